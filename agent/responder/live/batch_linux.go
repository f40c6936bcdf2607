package live

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/vedette-edr/vedette/agent/responder"
	"github.com/vedette-edr/vedette/durable"
)

// batches carries out the command liveresponse: what the API asks for in one go.
type batches struct{ live *Live }

// Kinds implements responder.Handler.
func (h *batches) Kinds() []string { return []string{"liveresponse"} }

// Published bounds.
const (
	scriptTime = 10 * time.Minute
	fileTime   = 30 * time.Minute
	maxOutput  = 16 << 20 // of a script, of each of its two outputs: our own
)

// asked is one command, as the server spells it.
type asked struct {
	Kind   string
	Params []struct{ Key, Value string }
}

func (a *asked) param(key string) string {
	for _, p := range a.Params {
		if p.Key == key {
			return p.Value
		}
	}
	return ""
}

// Outcome is what became of one command; the evidence of the action is a list of them.
type outcome struct {
	Index  int       `json:"index"`
	Status string    `json:"status"` // Completed, Failed
	Start  time.Time `json:"start"`
	End    time.Time `json:"end"`
	Errors []string  `json:"errors,omitempty"`
}

// diary is what an action has done, on the disk, so that a script is not run twice.
type diary struct {
	file    string
	Begun   int       `json:"begun"` // commands that were begun
	Results []outcome `json:"results"`
}

func (d *diary) save() error {
	raw, err := json.Marshal(d)
	if err != nil {
		return err
	}
	return durable.Write(d.file, raw, 0o600)
}

// Handle implements responder.Handler. Commands run in their order, and the first that
// fails is the last.
func (h *batches) Handle(ctx context.Context, c responder.Command) responder.Result {
	var p struct {
		Commands []asked `json:"commands"`
	}
	if err := json.Unmarshal(c.Params, &p); err != nil || len(p.Commands) == 0 {
		return responder.Result{State: responder.Refused, Detail: "the commands are not understood"}
	}
	d := &diary{file: filepath.Join(h.live.dir, "batch-"+filepath.Base(c.ID)+".json")}
	if raw, err := os.ReadFile(d.file); err == nil {
		if err := json.Unmarshal(raw, d); err != nil {
			return responder.Result{State: responder.Failed, Detail: "what was done before the agent ended is not known: " + err.Error()}
		}
	}
	sp, err := h.live.space(c.ID)
	if err != nil {
		return responder.Result{State: responder.Failed, Detail: err.Error()}
	}
	err = h.all(ctx, sp, p.Commands, d)
	if ctx.Err() != nil && len(d.Results) < len(p.Commands) {
		// Stopped, or the agent ends; then it is taken up again where the diary says.
		err = errors.Join(err, context.Cause(ctx))
	}
	if eerr := sp.end(); eerr != nil {
		err = errors.Join(err, eerr)
	}
	r := responder.Result{State: responder.Verified, Detail: fmt.Sprintf("%d commands were carried out", len(d.Results))}
	if err != nil {
		r.State, r.Detail = responder.Failed, err.Error()
	}
	r.Evidence, _ = json.Marshal(map[string]any{"commands": d.Results}) // of plain values: cannot fail
	if ctx.Err() == nil {
		// The result is written down next; without it the diary would only be read again.
		_ = os.Remove(d.file)
	}
	return r
}

func (h *batches) all(ctx context.Context, sp *space, commands []asked, d *diary) error {
	for i, a := range commands {
		if i < len(d.Results) {
			if d.Results[i].Status == "Failed" {
				return errors.New(strings.Join(d.Results[i].Errors, "; "))
			}
			continue
		}
		o := outcome{Index: i, Start: time.Now().UTC(), Status: "Completed"}
		var err error
		if i < d.Begun && a.Kind == "RunScript" {
			err = errors.New("the agent ended while the script ran; whether it came to its end is not known, and it is not run twice")
		} else {
			d.Begun = i + 1
			if err = d.save(); err == nil {
				h.live.conf.Server.Progress(sp.id, responder.Progress{Percent: 100 * i / len(commands), Detail: fmt.Sprintf("command %d: %s", i, a.Kind)})
				err = h.one(ctx, sp, i, &a)
			}
		}
		if ctx.Err() != nil {
			return err
		}
		o.End = time.Now().UTC()
		if err != nil {
			o.Status, o.Errors = "Failed", []string{visible(err.Error())}
		}
		d.Results = append(d.Results, o)
		if serr := d.save(); serr != nil {
			return serr
		}
		if err != nil {
			return fmt.Errorf("command %d, %s: %s", i, a.Kind, visible(err.Error()))
		}
	}
	return nil
}

func (h *batches) one(ctx context.Context, sp *space, index int, a *asked) error {
	limit := fileTime
	if a.Kind == "RunScript" {
		limit = scriptTime
	}
	ctx, cancel := context.WithTimeoutCause(ctx, limit, errTimeout)
	defer cancel()
	switch a.Kind {
	case "GetFile":
		f, err := sp.gettable(a.param("Path"))
		if err != nil {
			return err
		}
		defer func() { _ = f.Close() }() // it was only read
		return h.live.conf.Server.Upload(ctx, sp.id, index, filepath.Base(a.param("Path")), f)
	case "PutFile":
		// As the console does, in the folder that sessions put files into; it stays.
		dir := filepath.Join(h.live.dir, "files")
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
		to, err := openFolder(dir)
		if err != nil {
			return err
		}
		defer to.close()
		if err := plainName(a.param("FileName")); err != nil {
			return err
		}
		into := &space{live: h.live, id: sp.id, cwd: to}
		_, err = into.put(ctx, a.param("FileName"), true, true)
		return err
	case "RunScript":
		return h.script(ctx, sp, index, a)
	}
	return fmt.Errorf("this agent does not carry out %q", a.Kind)
}

// scriptResult is the published form of a script's result.
type scriptResult struct {
	Name   string `json:"script_name"`
	Exit   int    `json:"exit_code"`
	Output string `json:"script_output"`
	Errors string `json:"script_errors"`
}

func (h *batches) script(ctx context.Context, sp *space, index int, a *asked) error {
	args, err := arguments(a.param("Args"))
	if err != nil {
		return err
	}
	argv, err := sp.script(ctx, a.param("ScriptName"))
	if err != nil {
		return err
	}
	// A script finds what was put before it in its working directory.
	if dir, err := openFolder(filepath.Join(h.live.dir, "files")); err == nil {
		sp.mu.Lock()
		sp.cwd.close()
		sp.cwd = dir
		sp.mu.Unlock()
	}
	var out, problems bytes.Buffer
	stdout, stderr := &bounded{w: &out, left: maxOutput}, &bounded{w: &problems, left: maxOutput}
	exit, err := sp.execute(ctx, append(argv, args...), stdout, stderr)
	r := scriptResult{Name: a.param("ScriptName"), Exit: exit, Output: strings.ToValidUTF8(out.String(), "\ufffd"), Errors: strings.ToValidUTF8(problems.String(), "\ufffd")}
	if stdout.cut {
		r.Output += "\n… (the output was longer)"
	}
	if stderr.cut {
		r.Errors += "\n… (the output was longer)"
	}
	if err != nil {
		return err
	}
	raw, err := json.Marshal(r)
	if err != nil {
		return err
	}
	file, err := os.OpenFile(filepath.Join(sp.dir, fmt.Sprintf("result-%d", index)), os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }() // it goes with the session
	if _, err := file.Write(raw); err != nil {
		return err
	}
	// Its own name, so that whoever downloads it knows which script it is of.
	return h.live.conf.Server.Upload(ctx, sp.id, index, r.Name+".json", file)
}
