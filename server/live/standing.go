package live

import (
	"context"
	"time"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/wire"
)

// withdrawn says why by may not go on with the session, "" while they may: a session lasts
// for hours, and a right that is taken away must not.
func (r *relay) withdrawn(ctx context.Context, by *access.Principal) (string, error) {
	if r.s.cfg.Renew == nil {
		return "", nil
	}
	now, err := r.s.cfg.Renew(ctx, by, r.session.Created)
	if errs.Is(err, errs.Unauthenticated) {
		return by.Name + " may no longer sign in", nil
	}
	if err != nil {
		return "", err
	}
	if level, ok := LevelOf(now); !ok || level == wire.LiveBasic && r.session.Level == wire.LiveAdvanced {
		return "the right of " + by.Name + " to it was withdrawn", nil
	}
	d, err := r.s.cfg.Devices.Get(access.WithPrincipal(ctx, now), r.session.Tenant, r.session.Device)
	if errs.Is(err, errs.NotFound) {
		return by.Name + " may no longer see the device", nil
	}
	if err != nil {
		return "", err
	}
	if r.s.cfg.Barred == nil {
		return "", nil
	}
	return r.s.cfg.Barred(ctx, d)
}

// recheck ends the session when its person's right to it ends. What cannot be found out is
// logged, and asked again.
func (r *relay) recheck(ctx context.Context, by *access.Principal) {
	t := time.NewTicker(r.s.cfg.Recheck)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		why, err := r.withdrawn(ctx, by)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			r.s.cfg.Log.Error("live response", "session", r.session.ID, "err", err)
		case why != "":
			r.end(why)
			return
		}
	}
}
