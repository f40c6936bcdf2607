package access

import (
	"context"
	"slices"
	"time"

	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
)

// Renew returns p as it stands now, for what goes on long after the request that began it:
// with the rights and the scope of this moment. Who may no longer sign in, or whose password
// was changed after since, or whose identity provider vouches for nobody any more, is
// errs.Unauthenticated.
func (a *Authority) Renew(ctx context.Context, p *Principal, since time.Time) (*Principal, error) {
	const op = "access.Renew"
	over := &errs.E{Op: op, Kind: errs.Unauthenticated, Code: errs.Unauthorized, Detail: p.Name + " may no longer sign in"}
	switch p.Kind {
	case ident.ActorApp:
		app, err := a.apps.Application(ctx, ident.AppID(p.ID))
		switch {
		case errs.Is(err, errs.NotFound) || err == nil && (app.Tenant != p.Tenant || !app.Disabled.IsZero()):
			return nil, over
		case err != nil:
			return nil, errs.Wrap(op, err)
		}
		now := *p
		now.Roles = slices.DeleteFunc(slices.Clone(p.Roles), func(r string) bool { return !slices.Contains(app.Roles, r) })
		return &now, nil
	case ident.ActorUser:
		person, err := a.people.Person(ctx, p.Tenant, ident.UserID(p.ID))
		switch {
		case errs.Is(err, errs.NotFound) || err == nil && (!person.Disabled.IsZero() || person.Changed.After(since)):
			return nil, over
		case err != nil:
			return nil, errs.Wrap(op, err)
		}
		switch ok, err := a.vouches.last(ctx, p.Tenant, p.Provider); {
		case err != nil:
			return nil, errs.Wrap(op, err)
		case !ok:
			return nil, over
		}
		now, err := a.delegated(ctx, person, p.Scopes)
		if err != nil {
			return nil, errs.Wrap(op, err)
		}
		now.Portal, now.Provider = p.Portal, p.Provider
		return now, nil
	}
	return p, nil // the server itself
}
