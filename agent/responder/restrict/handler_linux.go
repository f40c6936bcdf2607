package restrict

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/vedette-edr/vedette/agent/launch"
	"github.com/vedette-edr/vedette/agent/responder"
)

// The kinds of command that Handler carries out.
const (
	KindRestrict   = "restrictcodeexecution"
	KindUnrestrict = "unrestrictcodeexecution"
)

// Guard is what asks a Restrictor.
type Guard interface {
	// Apply brings what is asked of the kernel to what is in force, and returns why that
	// cannot be done.
	Apply(ctx context.Context) error
	// Unmarked is why on some file system programs are ended only after they began.
	Unmarked() error
}

// Probe is one thing that was tried to learn whether the restriction holds.
type Probe struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail,omitempty"`
}

// Evidence is the evidence of both kinds.
type Evidence struct {
	Probes []Probe `json:"probes"`
	Known  int     `json:"knownFiles,omitempty"` // of packages
	// Floor are files that run although no package explains them as they are.
	Floor []string `json:"floor,omitempty"`
}

func (e *Evidence) failures() string {
	var out []string
	for _, p := range e.Probes {
		if !p.OK {
			out = append(out, p.Name+": "+p.Detail)
		}
	}
	return strings.Join(out, "; ")
}

// Handler carries out both kinds.
type Handler struct {
	Restrictor *Restrictor
	Guard      Guard // nil where execution cannot be controlled, for the reason in Without
	Without    error
}

var _ responder.Limited = (*Handler)(nil)

// Lacks implements responder.Limited.
func (h *Handler) Lacks(string) (string, error) {
	if h.Guard == nil {
		return "run the agent as root (CAP_SYS_ADMIN) on a kernel with fanotify permission events", h.Without
	}
	if err := h.Restrictor.Problem(); err != nil {
		return "see that the database of dpkg or rpm can be read, and restrict the device again", fmt.Errorf("this device is to be restricted, and is not: %w", err)
	}
	return "", nil
}

// Kinds returns both.
func (h *Handler) Kinds() []string { return []string{KindRestrict, KindUnrestrict} }

// Handle carries out one command.
func (h *Handler) Handle(ctx context.Context, c responder.Command) responder.Result {
	if h.Guard == nil {
		return responder.Result{State: responder.Refused, Detail: fmt.Sprintf("execution cannot be controlled on this device: %v", h.Without)}
	}
	if c.Kind == KindUnrestrict {
		return h.unrestrict(ctx)
	}
	var p Params
	if len(c.Params) > 0 {
		if err := json.Unmarshal(c.Params, &p); err != nil {
			return responder.Result{State: responder.Refused, Detail: fmt.Sprintf("parameters: %v", err)}
		}
	}
	p, err := p.normal()
	if err != nil {
		return responder.Result{State: responder.Refused, Detail: err.Error()}
	}
	return h.restrict(ctx, p)
}

func (h *Handler) restrict(ctx context.Context, p Params) responder.Result {
	r := h.Restrictor
	was := r.Active()
	if err := r.restrict(ctx, p); err != nil {
		state := responder.Failed
		if errors.Is(err, errNothingKnown) {
			state = responder.Refused
		}
		return responder.Result{State: state, Detail: err.Error()}
	}
	if err := h.Guard.Apply(ctx); err != nil {
		if !was {
			err = errors.Join(err, r.lift(), h.Guard.Apply(ctx))
		}
		return responder.Result{State: responder.Failed, Detail: err.Error()}
	}
	ev := Evidence{Known: r.known.Len()}
	if g := r.grounds.Load(); g != nil {
		for _, e := range g.Floor {
			ev.Floor = append(ev.Floor, e.Path)
		}
	}
	// What must run comes first: a device that runs nothing could never be told otherwise.
	known := h.try(ctx, "trusted-runs", sayKnown, "/bin/sh", "-c", fmt.Sprintf("exit %d", sayKnown))
	ev.Probes = append(ev.Probes, known)
	if err := r.Memory(); err != nil {
		ev.Probes = append(ev.Probes, Probe{Name: "programs-in-memory", OK: true, Detail: "they are ended after they began: " + err.Error()})
	}
	if err := h.Guard.Unmarked(); err != nil {
		ev.Probes = append(ev.Probes, Probe{Name: "file-systems", OK: true, Detail: "on some, programs are ended after they began: " + err.Error()})
	}
	if !known.OK && !was {
		err := errors.Join(r.lift(), h.Guard.Apply(ctx))
		return result(responder.Failed, fmt.Sprintf("a package's own program did not run any more, and the restriction was undone (%v): %s", err, ev.failures()), ev)
	}
	return h.conclude(ctx, ev, false)
}

func (h *Handler) unrestrict(ctx context.Context) responder.Result {
	if err := errors.Join(h.Restrictor.lift(), h.Guard.Apply(ctx)); err != nil {
		return responder.Result{State: responder.Failed, Detail: err.Error()}
	}
	return h.conclude(ctx, Evidence{}, true)
}

// Lift ends the restriction, also one that is to be and is not in force, and proves that
// programs run. Lifting what is not restricted does nothing.
func (h *Handler) Lift(ctx context.Context) error {
	r := h.Restrictor
	if !r.Active() && r.Problem() == nil {
		return nil
	}
	if h.Guard == nil {
		return r.lift() // nothing asks it
	}
	out := h.unrestrict(ctx)
	if out.State != responder.Verified {
		return errors.New(out.Detail)
	}
	return nil
}

// conclude tries whether programs that nobody knows run.
func (h *Handler) conclude(ctx context.Context, ev Evidence, run bool) responder.Result {
	name, err := h.unknown()
	if err != nil {
		return result(responder.Applied, "the probe could not be made: "+err.Error(), ev)
	}
	defer os.Remove(name)
	at, ok := h.Restrictor.below(name)
	if !ok {
		return result(responder.Applied, "the probe is not among the device's files", ev)
	}
	for _, p := range []struct {
		name string
		args []string
	}{{"unknown-program", []string{at}}, {"unknown-script", []string{"/bin/sh", at}}} {
		probe := h.try(ctx, p.name, sayUnknown, p.args...)
		if !run {
			probe.OK = !probe.OK
		}
		if probe.OK {
			probe.Detail = ""
		} else if !run {
			probe.Detail = "it ran"
		}
		ev.Probes = append(ev.Probes, probe)
	}
	if f := ev.failures(); f != "" {
		return result(responder.Applied, f, ev)
	}
	return result(responder.Verified, "", ev)
}

// What probes say when they run.
const (
	sayUnknown = 42
	sayKnown   = 43
	probeTime  = 20 * time.Second
)

// unknown makes a program that no package has and that is new each time.
func (h *Handler) unknown() (string, error) {
	f, err := os.CreateTemp(h.Restrictor.cfg.StateDir, "probe-*.sh")
	if err != nil {
		return "", err
	}
	_, err = fmt.Fprintf(f, "#!/bin/sh\n# %s %d\nexit %d\n", f.Name(), h.Restrictor.cfg.Now().UnixNano(), sayUnknown)
	if err = errors.Join(err, f.Chmod(0o700), f.Close()); err != nil {
		os.Remove(f.Name())
		return "", err
	}
	return f.Name(), nil
}

// try runs a program and is OK when it says what it should.
func (h *Handler) try(ctx context.Context, name string, say int, args ...string) Probe {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	before := launch.Before{}
	if h.Restrictor.cfg.Root != "/" {
		before.Root = h.Restrictor.cfg.Root
	}
	cmd := before.Command(ctx, "", args[0], args[1:]...)
	cmd.Env = []string{"PATH=/usr/bin:/bin"}
	err := launch.Run(cmd)
	if cmd.ProcessState == nil {
		return Probe{Name: name, Detail: err.Error()}
	}
	if code := cmd.ProcessState.ExitCode(); code != say {
		return Probe{Name: name, Detail: fmt.Sprintf("%s: exit %d: %v", filepath.Base(args[0]), code, err)}
	}
	return Probe{Name: name, OK: true}
}

func result(s responder.State, detail string, ev Evidence) responder.Result {
	r := responder.Result{State: s, Detail: detail}
	r.Evidence, _ = json.Marshal(ev) // of strings, numbers and bools: cannot fail
	return r
}
