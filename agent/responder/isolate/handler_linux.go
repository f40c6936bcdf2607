package isolate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"

	"github.com/vedette-edr/vedette/agent/responder"
)

// The kinds of command that Handler carries out.
const (
	KindIsolate   = "isolate"
	KindUnisolate = "unisolate"
)

// Params are the parameters of KindIsolate.
type Params struct {
	// ForceSelf isolates a device that runs the server itself.
	ForceSelf bool `json:"forceSelf,omitempty"`
	// IsolationType is Full or Selective, "" for Full.
	IsolationType string `json:"isolationType,omitempty"`
	// Allow is what a selectively isolated device may do beside speaking to its server.
	Allow *Allow `json:"allow,omitempty"`
}

// Evidence is the evidence of both kinds.
type Evidence struct {
	Report
	Ended    int      `json:"endedSessions,omitempty"`
	Servers  []string `json:"servers,omitempty"` // what stays reachable
	Allowed  *Allow   `json:"allowed,omitempty"` // of a selective isolation
	Released bool     `json:"released,omitempty"`
}

// Handler carries out isolate and unisolate. Servers returns the server's addresses, with
// names resolved; it is called for each command before anything is cut.
type Handler struct {
	Isolator *Isolator
	Servers  func(context.Context) ([]netip.AddrPort, error)
}

var _ responder.Limited = (*Handler)(nil)

// Lacks implements responder.Limited.
func (h *Handler) Lacks(string) (string, error) {
	_, err := h.Isolator.Status()
	return "isolation needs nftables in the kernel and CAP_NET_ADMIN", err
}

// Kinds returns isolate and unisolate.
func (h *Handler) Kinds() []string { return []string{KindIsolate, KindUnisolate} }

// Handle carries out one command.
func (h *Handler) Handle(ctx context.Context, c responder.Command) responder.Result {
	if c.Kind == KindUnisolate {
		return h.unisolate(ctx)
	}
	var params Params
	if len(c.Params) > 0 {
		if err := json.Unmarshal(c.Params, &params); err != nil {
			return refuse("parameters: %v", err)
		}
	}
	return h.isolate(ctx, params)
}

func (h *Handler) isolate(ctx context.Context, params Params) responder.Result {
	servers, err := h.Servers(ctx)
	if err != nil {
		return refuse("the server's addresses are not known: %v", err)
	}
	policy := Policy{Servers: servers}
	switch params.IsolationType {
	case "", "Full":
		if params.Allow != nil {
			return refuse("a full isolation allows nothing beside the server")
		}
	case "Selective":
		policy.Allow = params.Allow
	default:
		return refuse("isolation type %q is neither Full nor Selective", params.IsolationType)
	}
	p, err := policy.normal()
	if err != nil {
		return refuse("%v", err)
	}
	for _, s := range p.Servers {
		local, err := IsLocal(s.Addr())
		if err != nil {
			return refuse("%v", err)
		}
		if local && !params.ForceSelf {
			return refuse("the server runs on this device (%v): isolating it would cut everybody off; it must be forced", s)
		}
	}
	was, err := h.Isolator.Status()
	if err != nil {
		return refuse("nftables is not to be had: %v", err)
	}
	reachable := h.Isolator.Reach(ctx, p).OK
	ended, err := h.Isolator.Apply(ctx, p)
	if err != nil && !errors.Is(err, ErrSessions) {
		return responder.Result{State: responder.Failed, Detail: err.Error()}
	}
	sessions := err
	ev := Evidence{Report: h.Isolator.Verify(ctx, p), Ended: ended, Allowed: p.Allow}
	for _, s := range p.Servers {
		ev.Servers = append(ev.Servers, s.String())
	}
	if sessions != nil {
		ev.Probes = append(ev.Probes, Probe{Name: "sessions", Detail: sessions.Error()})
		ev.Verified = false
	}
	// A device that lost its server by the isolation could never be told to end it.
	if reachable && !was.Isolated && ctx.Err() == nil && !serverOK(ev.Probes) && !h.Isolator.Reach(ctx, p).OK {
		err := h.Isolator.Release(ctx)
		ev.Released = err == nil
		return result(responder.Failed, fmt.Sprintf("the server could not be reached through the isolation, which was undone: %s", ev.Failures()), ev)
	}
	if !ev.Verified {
		return result(responder.Applied, ev.Failures(), ev)
	}
	return result(responder.Verified, "", ev)
}

func (h *Handler) unisolate(ctx context.Context) responder.Result {
	if err := h.Isolator.Release(ctx); err != nil {
		return responder.Result{State: responder.Failed, Detail: err.Error()}
	}
	ev := Evidence{Report: h.Isolator.VerifyReleased(ctx), Released: true}
	if !ev.Verified {
		return result(responder.Applied, ev.Failures(), ev)
	}
	return result(responder.Verified, "", ev)
}

func serverOK(probes []Probe) bool {
	for _, p := range probes {
		if p.Name == "server" {
			return p.OK
		}
	}
	return false
}

func refuse(format string, args ...any) responder.Result {
	return responder.Result{State: responder.Refused, Detail: fmt.Sprintf(format, args...)}
}

func result(s responder.State, detail string, ev Evidence) responder.Result {
	r := responder.Result{State: s, Detail: detail}
	r.Evidence, _ = json.Marshal(ev) // of strings, numbers and bools: cannot fail
	return r
}
