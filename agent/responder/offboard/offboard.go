// Package offboard takes a device out of the service: what limits it is lifted, what it
// still owes the server is sent, and that it has left is written down before the server
// hears of it, as the device's last word.
//
// It does not end the agent or remove it: whoever runs the agent does when the server has
// the last word. The invariant: a device that cannot be left as a device without an agent
// would be, stays, and says why. Start at Handler.
package offboard

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/vedette-edr/vedette/agent/responder"
)

// Kind is the command's kind.
const Kind = "offboard"

// drainTime bounds the wait for what the device still owes.
const drainTime = time.Minute

// Step is one thing that is lifted from the device.
type Step struct {
	Name string // isolation, indicators
	// Lift lifts it and proves that it is lifted. It does nothing when there is nothing.
	Lift func(ctx context.Context) error
}

// Evidence is the evidence of the command.
type Evidence struct {
	Lifted  []string `json:"lifted"`
	Unsent  int64    `json:"unsentBatches"` // batches that the server did not get; they are lost with the device's leave
	Outcome string   `json:"outcome"`       // what becomes of the agent: idle, uninstall
}

// Handler carries the command out.
type Handler struct {
	Steps []Step
	// Owed is how many batches the server has not acknowledged.
	Owed func() int64
	// Leave writes down that the device leaves by a command, before it is said.
	Leave func(command string) error
	// Outcome is what becomes of the agent then, for people.
	Outcome string
}

var _ responder.Handler = (*Handler)(nil)

// Kinds implements responder.Handler.
func (h *Handler) Kinds() []string { return []string{Kind} }

// Handle implements responder.Handler.
func (h *Handler) Handle(ctx context.Context, c responder.Command) responder.Result {
	e := Evidence{Outcome: h.Outcome, Lifted: []string{}}
	for _, s := range h.Steps {
		if err := s.Lift(ctx); err != nil {
			return result(responder.Failed, fmt.Sprintf("the device stays: its %s cannot be lifted: %v", s.Name, err), e)
		}
		e.Lifted = append(e.Lifted, s.Name)
	}
	e.Unsent = h.drain(ctx)
	if ctx.Err() != nil {
		return result(responder.Failed, "the device stays: "+context.Cause(ctx).Error(), e)
	}
	if err := h.Leave(c.ID); err != nil {
		return result(responder.Failed, fmt.Sprintf("the device stays: that it leaves cannot be written down: %v", err), e)
	}
	detail := "the device leaves; its agent: " + h.Outcome
	if e.Unsent > 0 {
		detail += fmt.Sprintf("; %d batches of telemetry could not be sent", e.Unsent)
	}
	return result(responder.Verified, detail, e)
}

// drain waits until nothing is owed, and returns what is in the end.
func (h *Handler) drain(ctx context.Context) int64 {
	t := time.NewTicker(50 * time.Millisecond)
	defer t.Stop()
	for end := time.Now().Add(drainTime); ; {
		n := h.Owed()
		if n == 0 || time.Now().After(end) {
			return n
		}
		select {
		case <-ctx.Done():
			return n
		case <-t.C:
		}
	}
}

func result(s responder.State, detail string, e Evidence) responder.Result {
	r := responder.Result{State: s, Detail: detail}
	r.Evidence, _ = json.Marshal(e) // of strings and numbers: cannot fail
	return r
}
