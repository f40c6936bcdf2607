package alert

import (
	"context"
	"time"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/audit"
	"github.com/vedette-edr/vedette/server/bus"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/filter"
	"github.com/vedette-edr/vedette/server/ident"
)

// maxUpdate bounds the alerts of one UpdateMany.
const maxUpdate = 1000

// Config is what a Service needs.
type Config struct {
	Store   Store
	Audit   audit.Log           // nil for none
	Created *bus.Topic[Created] // nil for none
	Updated *bus.Topic[Updated] // nil for none
	Clock   func() time.Time    // nil for time.Now
	// Atomic runs do in one transaction of Store and Audit, which take part by do's
	// context; nil runs it as it is.
	Atomic func(ctx context.Context, do func(context.Context) error) error
}

// Service holds the rules about alerts. Permission is decided by the caller, before.
type Service struct {
	store   Store
	audit   audit.Log
	created *bus.Topic[Created]
	updated *bus.Topic[Updated]
	now     func() time.Time
	atomic  func(context.Context, func(context.Context) error) error
}

// NewService returns the service.
func NewService(c Config) *Service {
	s := &Service{store: c.Store, audit: c.Audit, created: c.Created, updated: c.Updated, now: c.Clock, atomic: c.Atomic}
	if s.audit == nil {
		s.audit = audit.Discard
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.atomic == nil {
		s.atomic = func(ctx context.Context, do func(context.Context) error) error { return do(ctx) }
	}
	return s
}

// Raise keeps new alerts and announces them; those whose id is known already are passed
// over. It returns the new ones, which are on stable storage then. Missing times and
// status are filled in; the alerts belong to the service afterwards.
func (s *Service) Raise(ctx context.Context, alerts []*Alert) ([]*Alert, error) {
	const op = "alert.Raise"
	if len(alerts) == 0 {
		return nil, nil
	}
	now := s.now().UTC()
	for _, a := range alerts {
		if a.ID == "" || a.Tenant == "" {
			return nil, errs.New(op, errs.Invalid, errs.InvalidInput, "an alert has no id or no tenant")
		}
		if a.Status == "" {
			a.Status = New
		}
		if a.Severity == "" {
			a.Severity = Informational
		}
		if a.Created.IsZero() {
			a.Created = now
		}
		if a.Updated.IsZero() {
			a.Updated = a.Created
		}
	}
	created, err := s.store.CreateAlerts(ctx, alerts)
	if err != nil {
		return nil, errs.Wrap(op, err)
	}
	for _, a := range created {
		s.created.Publish(Created{Alert: a})
	}
	return created, nil
}

// Get returns one alert.
func (s *Service) Get(ctx context.Context, tenant ident.TenantID, id ident.AlertID) (*Alert, error) {
	a, err := s.store.Alert(ctx, tenant, id)
	return a, errs.Wrap("alert.Get", err)
}

// List lists alerts, newest first unless q orders otherwise.
func (s *Service) List(ctx context.Context, tenant ident.TenantID, q filter.Query) (filter.Page[*Alert], error) {
	p, err := s.store.Alerts(ctx, tenant, q)
	return p, errs.Wrap("alert.List", err)
}

// Update changes one alert of the caller's tenant, with the audit record of it. A change
// that says nothing, or something the published vocabulary does not have, is errs.Invalid.
func (s *Service) Update(ctx context.Context, by *access.Principal, id ident.AlertID, c Change) (*Alert, error) {
	as, err := s.UpdateMany(ctx, by, []ident.AlertID{id}, c)
	if err != nil {
		return nil, err
	}
	return as[0], nil
}

// UpdateMany changes several alerts alike, all or none.
func (s *Service) UpdateMany(ctx context.Context, by *access.Principal, ids []ident.AlertID, c Change) ([]*Alert, error) {
	const op = "alert.Update"
	if len(ids) == 0 {
		return nil, errs.New(op, errs.Invalid, errs.MissingRequiredParameter, "no alert is named")
	}
	if len(ids) > maxUpdate {
		return nil, errs.New(op, errs.Invalid, errs.MaximumBatchSizeExceeded, "%d alerts are named, at most %d can be changed at once", len(ids), maxUpdate)
	}
	if c.empty() {
		return nil, errs.New(op, errs.Invalid, errs.InvalidRequestBody, "nothing is to be changed: give status, assignedTo, classification, determination or comment")
	}
	now := s.now().UTC()
	var out []*Alert
	err := s.atomic(ctx, func(ctx context.Context) error {
		for _, id := range ids {
			a, err := s.store.UpdateAlert(ctx, by.Tenant, id, func(a *Alert) error { return c.apply(a, by.Actor, now) })
			if err != nil {
				return err
			}
			out = append(out, a)
			err = s.audit.Record(ctx, audit.Entry{
				At: now, Tenant: by.Tenant, Actor: by.Actor, Verb: "alert.update", Object: string(id), Detail: c.summary(), Outcome: audit.Done,
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, errs.Wrap(op, err)
	}
	for _, a := range out {
		s.updated.Publish(Updated{Alert: a, By: by.Actor})
	}
	return out, nil
}
