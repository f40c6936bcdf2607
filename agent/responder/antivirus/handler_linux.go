package antivirus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/vedette-edr/vedette/agent/quarantine"
	"github.com/vedette-edr/vedette/agent/responder"
	"github.com/vedette-edr/vedette/agent/responder/remediate"
	"github.com/vedette-edr/vedette/agent/scan"
	"github.com/vedette-edr/vedette/schema/event"
)

// The kinds of command that Handler carries out.
const (
	KindScan   = "runantivirusscan"
	KindPause  = "pauseantivirusscan"
	KindResume = "resumeantivirusscan"
)

// What is taken into quarantine.
const (
	TakeKnown   = ""     // the test file, and what an indicator blocks
	TakeAll     = "all"  // every file in which something was found
	TakeNothing = "none" //
)

// Params are the parameters of KindScan.
type Params struct {
	ScanType   string   `json:"scanType"`             // Quick or Full
	CPULimit   int      `json:"cpuLimit,omitempty"`   // percent of one processor; 0 for 50
	Quarantine string   `json:"quarantine,omitempty"` // "", all, none
	Rules      []string `json:"rules,omitempty"`      // files of YARA rules in the server's library
}

const maxRules = 32

func (p *Params) check() error {
	switch {
	case p.ScanType != string(scan.Quick) && p.ScanType != string(scan.Full):
		return fmt.Errorf("scanType is %q, neither Quick nor Full", p.ScanType)
	case p.CPULimit < 0 || p.CPULimit > 100:
		return errors.New("cpuLimit is not between 1 and 100")
	case p.Quarantine != TakeKnown && p.Quarantine != TakeAll && p.Quarantine != TakeNothing:
		return fmt.Errorf("quarantine is %q, neither all nor none", p.Quarantine)
	case len(p.Rules) > maxRules:
		return fmt.Errorf("more than %d files of rules", maxRules)
	}
	return nil
}

// Config is what a Handler needs. Members marked so may be left out.
type Config struct {
	Scanner    *scan.Scanner
	Remediator *remediate.Remediator // nil takes nothing
	Server     responder.Server      // nil has no library, and is told of no progress
	Emit       func(*event.Event)
	Lookup     func(pid uint32) *event.Process // nil knows no process
	// RuleDirs have files of YARA rules, *.yar and *.yara, that belong to root alone.
	RuleDirs []string
	Now      func() time.Time // nil for time.Now
}

// Handler carries out the commands.
type Handler struct {
	cfg Config

	mu   sync.Mutex
	gate *scan.Gate // of the scan that runs; nil for none
}

var _ responder.Handler = (*Handler)(nil)

// New returns a Handler.
func New(cfg Config) *Handler {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Lookup == nil {
		cfg.Lookup = func(uint32) *event.Process { return nil }
	}
	return &Handler{cfg: cfg}
}

// Kinds implements responder.Handler.
func (h *Handler) Kinds() []string { return []string{KindScan, KindPause, KindResume} }

// Threat is one object in which something was found, in the evidence.
type Threat struct {
	Path   string   `json:"path"`
	Member string   `json:"member,omitempty"`
	PID    uint32   `json:"pid,omitempty"`
	Memory bool     `json:"memory,omitempty"`
	Names  []string `json:"threats"` // ENGINE:NAME
	SHA256 string   `json:"sha256,omitempty"`
	Action string   `json:"action"` // Detected, Quarantined, …
	Item   string   `json:"item,omitempty"`
	Detail string   `json:"detail,omitempty"`
}

// Evidence is the evidence of KindScan.
type Evidence struct {
	scan.Report
	Found []Threat `json:"found"`
	Cut   int      `json:"cut,omitempty"` // of these that are left out
}

const maxThreats = 500

// Handle implements responder.Handler.
func (h *Handler) Handle(ctx context.Context, c responder.Command) responder.Result {
	switch c.Kind {
	case KindPause, KindResume:
		return h.hold(c.Kind)
	}
	var p Params
	if err := json.Unmarshal(c.Params, &p); err != nil {
		return responder.Result{State: responder.Refused, Detail: fmt.Sprintf("parameters: %v", err)}
	}
	if err := p.check(); err != nil {
		return responder.Result{State: responder.Refused, Detail: err.Error()}
	}
	return h.scan(ctx, c.ID, p)
}

// hold stops the scan that runs, or lets it go on.
func (h *Handler) hold(kind string) responder.Result {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.gate == nil {
		return responder.Result{State: responder.Refused, Detail: "no scan runs on this device"}
	}
	if kind == KindPause {
		h.gate.Pause()
	} else {
		h.gate.Resume()
	}
	if h.gate.Paused() != (kind == KindPause) {
		return responder.Result{State: responder.Failed, Detail: "the scan could not be held"}
	}
	return responder.Result{State: responder.Verified}
}

func (h *Handler) scan(ctx context.Context, id string, p Params) responder.Result {
	gate := &scan.Gate{}
	h.mu.Lock()
	h.gate = gate
	h.mu.Unlock()
	defer func() {
		h.mu.Lock()
		h.gate = nil
		h.mu.Unlock()
	}()
	rules, problems := h.rules(ctx, id, p.Rules)
	defer func() {
		for _, r := range rules {
			r.File.Close()
		}
	}()
	if len(problems) > 0 && len(p.Rules) > 0 && ctx.Err() == nil {
		if slices.ContainsFunc(problems, func(s string) bool { return strings.HasPrefix(s, "library: ") }) {
			return responder.Result{State: responder.Refused, Detail: "the rules that were asked for are not to be had: " + strings.Join(problems, "; ")}
		}
	}
	w := &work{h: h, ctx: ctx, id: id, policy: p.Quarantine}
	rep, err := h.cfg.Scanner.Run(ctx, scan.Job{
		Kind: scan.Kind(p.ScanType), Percent: p.CPULimit, Rules: rules, Gate: gate, Found: w.found,
		Progress: func(percent int, text string, r scan.Report) {
			if h.cfg.Server == nil {
				return
			}
			numbers, _ := json.Marshal(struct { // of numbers: cannot fail
				Files   int64 `json:"files"`
				Bytes   int64 `json:"bytes"`
				Threats int   `json:"threats"`
			}{r.Files, r.Bytes, r.Threats})
			h.cfg.Server.Progress(id, responder.Progress{Percent: percent, Detail: text, Numbers: numbers})
		},
	})
	rep.Problems = append(rep.Problems, problems...)
	ev := Evidence{Report: rep, Found: w.threats, Cut: w.cut}
	if ev.Found == nil {
		ev.Found = []Threat{}
	}
	raw, _ := json.Marshal(ev) // of strings and numbers: cannot fail
	res := responder.Result{State: responder.Verified, Detail: summary(ev, w.taken), Evidence: raw}
	switch {
	case ctx.Err() != nil:
		res.State, res.Detail = responder.Failed, "ended before it was through: "+res.Detail
		h.tell(id, p, "AntivirusScanCancelled", "")
	case err != nil:
		res.State, res.Detail = responder.Failed, err.Error()+": "+res.Detail
		h.tell(id, p, "AntivirusScanFailed", err.Error())
	default:
		h.tell(id, p, "AntivirusScanCompleted", "")
	}
	return res
}

func summary(e Evidence, taken int) string {
	text := fmt.Sprintf("%d files (%d MiB), %d in archives, and %d processes were looked at: %d threats, %d in quarantine", e.Files, e.Bytes>>20, e.Members, e.Processes, e.Threats, taken)
	for _, left := range []struct {
		n    int64
		what string
	}{{e.TooLarge, "too large"}, {e.Bounded, "packed beyond the bounds"}, {e.Encrypted, "encrypted"}, {e.Damaged, "damaged"}, {e.Unread, "unreadable"}} {
		if left.n > 0 {
			text += fmt.Sprintf("; %d %s", left.n, left.what)
		}
	}
	return text
}

// quarantineNote says why a file is in quarantine.
func quarantineNote(names []string) quarantine.Reason {
	return quarantine.Reason{Note: "an antivirus scan found " + strings.Join(names, ", ")}
}
