package indicator

import (
	"context"
	"errors"
	"time"

	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/filter"
	"github.com/vedette-edr/vedette/server/ident"
)

// History is how long an indicator that has expired is kept for looking up.
const History = 180 * 24 * time.Hour

// expireAtOnce bounds one transaction of a sweep, so that writers never wait long.
const expireAtOnce = 1000

// Expiry is one transaction in which indicators of a tenant expired.
type Expiry struct {
	Tenant   ident.TenantID
	Revision Revision
	More     bool // others have expired as well
}

// ExpiryStore keeps indicators that have expired apart from those in force.
type ExpiryStore interface {
	// ExpireIndicators moves indicators whose expiry is not after now out of the
	// IndicatorStore, at most limit of each tenant; the Feed tells of them as deleted. Of
	// what expired before forget it deletes some for good.
	ExpireIndicators(ctx context.Context, now, forget time.Time, limit int) ([]Expiry, error)
	// ExpiredIndicators lists what was moved, as Indicators does.
	ExpiredIndicators(ctx context.Context, tenant ident.TenantID, q filter.Query) (filter.Page[*Indicator], error)
}

// Expire takes out of force whatever indicator has expired, for all tenants. It is called
// every second or so: what matches and what is listed heeds the expiry itself, to the
// second, and Expire gives back the room.
func (s *Service) Expire(ctx context.Context) error {
	for more := true; more; {
		more = false
		now := s.now()
		list, err := s.expiry.ExpireIndicators(ctx, now, now.Add(-History), expireAtOnce)
		for _, x := range list {
			err = errors.Join(err, s.carry(ctx, x.Tenant, x.Revision))
			more = more || x.More
		}
		if err != nil {
			return errs.Wrap("indicator.Expire", err)
		}
	}
	return nil
}

// Expired lists the indicators that the caller sees and that have expired.
func (s *Service) Expired(ctx context.Context, q filter.Query) (filter.Page[*Indicator], error) {
	const op = "indicator.Expired"
	c, err := s.caller(ctx, op)
	if err != nil {
		return filter.Page[*Indicator]{}, err
	}
	page, err := s.expiry.ExpiredIndicators(ctx, c.Tenant, c.scope(q, Fields, "createdBy"))
	return page, errs.Wrap(op, err)
}

// expired reports whether i is not in force any more.
func (i *Indicator) expired(now time.Time) bool { return !i.Expires.IsZero() && !i.Expires.After(now) }

// inForce narrows a predicate to what has not expired: the published list is of active
// indicators.
func inForce(q filter.Query, now time.Time) filter.Query {
	f, _ := Fields.Find("expirationTime")
	alive := filter.Or{
		filter.Compare{Field: f, Op: filter.Eq, Value: filter.Value{Type: filter.Time, Null: true}},
		filter.Compare{Field: f, Op: filter.Gt, Value: filter.Value{Type: filter.Time, T: now}},
	}
	if q.Where == nil {
		q.Where = alive
	} else {
		q.Where = filter.And{alive, q.Where}
	}
	return q
}
