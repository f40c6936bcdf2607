package agent

import (
	"context"
	"errors"

	"github.com/vedette-edr/vedette/agent/responder/offboard"
	"github.com/vedette-edr/vedette/wire/wirepb"
)

// newLeave makes the handler by which the device leaves the service.
func (p *platform) newLeave() *offboard.Handler {
	l := p.conf.leaver
	return &offboard.Handler{Owed: p.conf.owed, Leave: l.leave, Outcome: string(l.outcome),
		Steps: []offboard.Step{
			{Name: "isolation", Lift: p.liftIsolation}, {Name: "restriction", Lift: p.restriction.Lift},
			{Name: "indicators", Lift: p.liftIndicators}, {Name: "live response", Lift: p.liftLive},
			{Name: "messages", Lift: func(context.Context) error { return p.messages.Withdraw() }},
		}}
}

// liftIsolation ends the isolation of a device that leaves, where it is isolated.
func (p *platform) liftIsolation(ctx context.Context) error {
	if !p.isolated() {
		return nil
	}
	r := p.endIsolation(ctx)
	if r.Problem != "" {
		return errors.New(r.Problem)
	}
	if !r.Verified {
		return errors.New("probes do not show that the device is released")
	}
	return nil
}

// liftIndicators lets a device that leaves do what indicators forbade it.
func (p *platform) liftIndicators(ctx context.Context) error {
	set := p.set.Load()
	if set == nil {
		return nil
	}
	return set.Apply(ctx, []*wirepb.IndicatorSet{{Revision: max(set.Revision(), 1), Last: true}})
}

// liftLive ends the sessions of a device that leaves, with what they started and put there.
func (p *platform) liftLive(context.Context) error {
	if p.live == nil {
		return nil
	}
	return p.live.Leave()
}
