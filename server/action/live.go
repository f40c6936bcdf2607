package action

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
)

// Bounds of what a device says of one command.
const (
	maxErrors = 10
	maxError  = 2000 // bytes of one
)

// outcomes is the evidence of a live response: what became of each command.
type outcomes struct {
	Commands []struct {
		Index  int
		Status string
		Start  time.Time
		End    time.Time
		Errors []string
	}
}

// tally brings what a device says of the commands of a live response into them. What it
// says nothing of stays as it was: the commands after one that failed were not begun.
func (a *Action) tally(evidence json.RawMessage, now time.Time) {
	if a.Kind != LiveResponse || len(evidence) == 0 {
		return
	}
	var said outcomes
	if json.Unmarshal(evidence, &said) != nil {
		return // the step has it as it came
	}
	// The device's clock may be anything; the order of its times is what counts, and that
	// they lie within the action's own.
	within := func(t time.Time) time.Time {
		switch {
		case t.Before(a.Created):
			return a.Created
		case t.After(now):
			return now
		}
		return t.UTC()
	}
	for _, s := range said.Commands {
		if s.Index < 0 || s.Index >= len(a.Commands) || s.Status != "Completed" && s.Status != "Failed" {
			continue
		}
		c := &a.Commands[s.Index]
		c.Status, c.Start, c.End, c.Errors = s.Status, within(s.Start), within(s.End), nil
		for _, e := range s.Errors[:min(len(s.Errors), maxErrors)] {
			c.Errors = append(c.Errors, e[:min(len(e), maxError)])
		}
	}
}

// yielded reports whether there may be a result at an index: the action succeeded, or that
// command of it did.
func (a *Action) yielded(index int) bool {
	if a.State.Status() == Succeeded {
		return true
	}
	return a.Kind == LiveResponse && !a.State.Open() && index < len(a.Commands) && a.Commands[index].Status == "Completed"
}

// mayRun refuses commands that change a device to people who may only look at it.
func mayRun(by *access.Principal, r *Request) error {
	if r.Kind != LiveResponse || by.Kind != ident.ActorUser || slices.Contains(by.Rights, access.LiveResponseAdvanced) {
		return nil
	}
	for i, c := range r.Commands {
		if c.Kind != GetFile {
			return errs.New("action.Request", errs.Denied, errs.Forbidden, "Commands[%d]: %s needs the right %s", i, c.Kind, access.LiveResponseAdvanced)
		}
	}
	return nil
}
