// Package responder carries out on the device what the server commands: it holds the
// contract of a command's handler and the table from a command's kind to its handler.
//
// It does not decide whether a command may run: signatures, lifetimes and the policy floor
// are checked before a Command gets here. It does not speak to the network either.
//
// The invariant is that a Result tells the truth: Verified only when a probe has shown the
// effect, Applied when the effect was made but not shown, Failed and Refused when the
// device is as it was before. Start at Responder.Do; the handlers are the packages below.
package responder

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// State is how a command ended.
type State string

// The ends of a command.
const (
	// Verified: done, and a probe has shown it.
	Verified State = "verified"
	// Applied: done, but not shown; Detail says why.
	Applied State = "applied"
	// Failed: tried, and undone again.
	Failed State = "failed"
	// Refused: not tried; Detail says why.
	Refused State = "refused"
)

// Command is one thing to do on this device.
type Command struct {
	ID     string          `json:"id"`
	Kind   string          `json:"kind"` // isolate, unisolate, …
	Params json.RawMessage `json:"params,omitempty"`
}

// Result is what became of a command.
type Result struct {
	State    State           `json:"state"`
	Detail   string          `json:"detail,omitempty"`   // for people
	Evidence json.RawMessage `json:"evidence,omitempty"` // what the probes saw; its shape is the kind's own
}

// Handler carries out the commands of some kinds. Handle is called by one goroutine at a
// time for each kind, must be idempotent (a command may come again after the agent was
// killed), and returns when ctx ends: the agent ends, the time for a command is over, or the
// server wishes it to stop. It then says what is true, as always: Failed when it has undone
// what it began, Applied or Verified when it was too late.
type Handler interface {
	Kinds() []string
	Handle(ctx context.Context, c Command) Result
}

// ErrStopped is the cause of a Handler's context when somebody cancelled the command; with
// any other cause of a context that was cancelled the agent ends, and the command comes
// again.
var ErrStopped = errors.New("somebody cancelled the command")

// Limited is a Handler that not every device lets carry out what it is for.
type Limited interface {
	Handler
	// Lacks returns why commands of one of its kinds cannot be carried out on this device now,
	// nil when they can, and what would mend that.
	Lacks(kind string) (remedy string, why error)
}

// Responder finds the handler of a command. It is immutable and safe for concurrent use.
type Responder struct {
	handlers map[string]Handler
}

// New returns a Responder of the handlers; two that claim one kind are an error.
func New(handlers ...Handler) (*Responder, error) {
	r := &Responder{handlers: map[string]Handler{}}
	for _, h := range handlers {
		for _, k := range h.Kinds() {
			if _, ok := r.handlers[k]; ok {
				return nil, fmt.Errorf("two handlers for %q", k)
			}
			r.handlers[k] = h
		}
	}
	return r, nil
}

// Kinds lists what this device can do, sorted.
func (r *Responder) Kinds() []string {
	var kinds []string
	for k := range r.handlers {
		kinds = append(kinds, k)
	}
	slices.Sort(kinds)
	return kinds
}

// Lacks returns why commands of a kind cannot be carried out on this device now, and what
// would mend that; nil when they can, as far as is known.
func (r *Responder) Lacks(kind string) (remedy string, why error) {
	if l, ok := r.handlers[kind].(Limited); ok {
		return l.Lacks(kind)
	}
	return "", nil
}

// Do carries out c. It always returns a Result; a kind without a handler is Refused.
func (r *Responder) Do(ctx context.Context, c Command) Result {
	h, ok := r.handlers[c.Kind]
	if !ok {
		return Result{State: Refused, Detail: fmt.Sprintf("this agent cannot carry out %q", c.Kind)}
	}
	return h.Handle(ctx, c)
}
