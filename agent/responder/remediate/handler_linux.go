package remediate

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/vedette-edr/vedette/agent/quarantine"
	"github.com/vedette-edr/vedette/agent/responder"
)

// The kinds of command that Handler carries out.
const (
	KindQuarantine = "stopandquarantinefile"
	KindRestore    = "restorefile"
)

// Handler carries out both kinds. The parameters of KindQuarantine are a Target, those of
// KindRestore a Wanted.
type Handler struct{ Remediator *Remediator }

var _ responder.Handler = (*Handler)(nil)

// Kinds implements responder.Handler.
func (h *Handler) Kinds() []string { return []string{KindQuarantine, KindRestore} }

// Handle implements responder.Handler.
func (h *Handler) Handle(ctx context.Context, c responder.Command) responder.Result {
	if c.Kind == KindRestore {
		var w Wanted
		if err := json.Unmarshal(c.Params, &w); err != nil {
			return responder.Result{State: responder.Refused, Detail: fmt.Sprintf("parameters: %v", err)}
		}
		return result(h.Remediator.Restore(ctx, w), "given back as it was")
	}
	var t Target
	if err := json.Unmarshal(c.Params, &t); err != nil {
		return responder.Result{State: responder.Refused, Detail: fmt.Sprintf("parameters: %v", err)}
	}
	out := h.Remediator.Remove(ctx, c.ID, t, quarantine.Reason{Note: "a command asked for it"})
	if out.Refused == nil && !out.Removed && len(out.Problems) == 0 {
		detail := "no file with this digest was found on the device"
		if s := out.Evidence.Search; s != nil && !s.Complete {
			detail += "; not everything could be looked through: " + s.Detail
		}
		return with(responder.Failed, detail, out.Evidence)
	}
	return result(out, "in quarantine")
}

// result says how a command ended: Failed and Refused leave the device as it was.
func result(out Outcome, done string) responder.Result {
	switch {
	case out.Refused != nil:
		return with(responder.Refused, out.Refused.Error(), out.Evidence)
	case out.Whole:
		return with(responder.Verified, summary(out.Evidence, done), out.Evidence)
	case out.Removed:
		return with(responder.Applied, summary(out.Evidence, done)+"; "+strings.Join(out.Problems, "; "), out.Evidence)
	}
	return with(responder.Failed, strings.Join(out.Problems, "; "), out.Evidence)
}

func summary(e Evidence, done string) string {
	files, stopped, entries := 0, 0, 0
	for _, f := range e.Files {
		if f.State != Left {
			files++
		}
	}
	for _, p := range e.Processes {
		if p.State == Stopped {
			stopped++
		}
	}
	for _, x := range e.Entries {
		if x.State != Left {
			entries++
		}
	}
	text := fmt.Sprintf("%d files %s, %d processes stopped, %d entries that start it", files, done, stopped, entries)
	if e.Search != nil && !e.Search.Complete {
		text += "; the search for further copies was not complete: " + e.Search.Detail
	}
	return text
}

func with(s responder.State, detail string, e Evidence) responder.Result {
	raw, _ := json.Marshal(e) // of strings and numbers: cannot fail
	return responder.Result{State: s, Detail: detail, Evidence: raw}
}
