package custom

import (
	"context"
	"hash/fnv"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/vedette-edr/vedette/detection"
	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/audit"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/filter"
	"github.com/vedette-edr/vedette/server/ident"
)

// Capabilities says which responses the server can carry out now.
type Capabilities interface {
	// Offers returns nil for a response that can be carried out, and errs.Unsupported, which
	// names it, for one that cannot.
	Offers(r Response) error
}

// Groups resolves the names of device groups; group.Service does. What is not there, or out
// of the scope of the context's principal, is errs.Invalid.
type Groups interface {
	Resolve(ctx context.Context, tenant ident.TenantID, names, ids []string) (outNames, outIDs []string, err error)
}

// MaxRules is how many rules a tenant may have: continuous ones are held against each
// event, and scheduled ones take turns.
const MaxRules = 1000

// Config is what a Service needs.
type Config struct {
	Store        Store
	Attack       *detection.Attack
	Capabilities Capabilities
	Audit        audit.Log        // nil for none
	Clock        func() time.Time // nil for time.Now
	// Atomic runs do in one transaction of Store and Audit, which take part by do's
	// context; nil runs it as it is.
	Atomic func(ctx context.Context, do func(context.Context) error) error
	// GroupOf returns the device group of a device, for rules of people who do not see all
	// devices; nil when there are no groups.
	GroupOf func(ctx context.Context, tenant ident.TenantID, id ident.DeviceID) (int64, error)
	// Groups resolves what rules name device groups by; nil when there are none.
	Groups Groups
	// Changed is told of a tenant whose continuous rules changed; nil for nobody.
	Changed func(ctx context.Context, tenant ident.TenantID) error
}

// Service holds the rules about rules. Permission is decided by the caller, before; every
// method acts for the principal of the context.
type Service struct{ cfg Config }

// NewService returns the service.
func NewService(c Config) *Service {
	if c.Audit == nil {
		c.Audit = audit.Discard
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Atomic == nil {
		c.Atomic = func(ctx context.Context, do func(context.Context) error) error { return do(ctx) }
	}
	return &Service{c}
}

// Create checks and keeps a rule, of which the caller gave what can be changed. A
// scheduled one runs first at once.
func (s *Service) Create(ctx context.Context, r *Rule) (*Rule, error) {
	const op = "custom.Create"
	by, err := access.FromContext(ctx)
	if err != nil {
		return nil, err
	}
	now := s.cfg.Clock().UTC()
	r.Tenant, r.DetectorID, r.Queried = by.Tenant, uuid.NewString(), now
	r.Created, r.CreatedBy, r.Modified, r.ModifiedBy = now, by.Name, now, by.Name
	r.Owner, r.Sees, r.Responding = by.Actor, by.Scope, now
	r.Last, r.Until, r.Next = Run{}, time.Time{}, time.Time{}
	if err := s.check(r, now); err != nil {
		return nil, err
	}
	if err := s.confine(ctx, r, by); err != nil {
		return nil, err
	}
	r.schedule(now)
	err = s.cfg.Atomic(ctx, func(ctx context.Context) error {
		have, err := s.cfg.Store.Rules(ctx, by.Tenant, filter.Query{Top: 1, Count: true})
		if err != nil {
			return err
		}
		if have.Total >= MaxRules {
			return errs.New(op, errs.Exhausted, errs.QuotaExceeded, "a tenant has at most %d detection rules", MaxRules)
		}
		if err := s.cfg.Store.CreateRule(ctx, r); err != nil {
			return err
		}
		return s.record(ctx, by, "rule.create", r)
	})
	if err != nil {
		return nil, errs.Wrap(op, err)
	}
	return r, s.changed(ctx, by.Tenant)
}

func (s *Service) check(r *Rule, now time.Time) error {
	if err := r.check(s.cfg.Attack, now); err != nil {
		return err
	}
	// A rule that promises to contain and cannot would be worse than none: what is not
	// offered is refused when it is asked for, not when it is needed.
	for _, re := range r.Responses {
		if err := s.cfg.Capabilities.Offers(re); err != nil {
			return err
		}
	}
	return nil
}

// Update changes what change changes of a rule. A new period or query begins anew: the
// next run is at once, over the span of a first one when the query changed.
func (s *Service) Update(ctx context.Context, id int64, change func(*Rule) error) (*Rule, error) {
	const op = "custom.Update"
	by, err := access.FromContext(ctx)
	if err != nil {
		return nil, err
	}
	now := s.cfg.Clock().UTC()
	var out *Rule
	err = s.cfg.Atomic(ctx, func(ctx context.Context) (err error) {
		out, err = s.cfg.Store.UpdateRule(ctx, by.Tenant, id, func(r *Rule) error {
			before := *r
			if err := change(r); err != nil {
				return err
			}
			r.Modified, r.ModifiedBy = now, by.Name
			// Whoever changes what a rule does answers for what it sees from then on.
			r.Owner, r.Sees = by.Actor, by.Scope
			if r.Query != before.Query {
				r.Queried, r.Until = now, time.Time{}
			}
			if !slices.EqualFunc(r.Responses, before.Responses, Response.equal) {
				r.Responding = now
			}
			if err := s.check(r, now); err != nil {
				return err
			}
			if err := s.confine(ctx, r, by); err != nil {
				return err
			}
			if r.Query != before.Query || r.Period != before.Period || r.Enabled != before.Enabled {
				r.schedule(now)
			}
			return nil
		})
		if err != nil {
			return err
		}
		return s.record(ctx, by, "rule.update", out)
	})
	if err != nil {
		return nil, errs.Wrap(op, err)
	}
	return out, s.changed(ctx, by.Tenant)
}

// Delete forgets a rule; its alerts stay.
func (s *Service) Delete(ctx context.Context, id int64) error {
	const op = "custom.Delete"
	by, err := access.FromContext(ctx)
	if err != nil {
		return err
	}
	err = s.cfg.Atomic(ctx, func(ctx context.Context) error {
		if err := s.cfg.Store.DeleteRule(ctx, by.Tenant, id); err != nil {
			return err
		}
		return s.record(ctx, by, "rule.delete", &Rule{ID: id})
	})
	if err != nil {
		return errs.Wrap(op, err)
	}
	return s.changed(ctx, by.Tenant)
}

// Get returns one rule.
func (s *Service) Get(ctx context.Context, id int64) (*Rule, error) {
	by, err := access.FromContext(ctx)
	if err != nil {
		return nil, err
	}
	r, err := s.cfg.Store.Rule(ctx, by.Tenant, id)
	return r, errs.Wrap("custom.Get", err)
}

// List lists rules, by id unless q orders otherwise.
func (s *Service) List(ctx context.Context, q filter.Query) (filter.Page[*Rule], error) {
	by, err := access.FromContext(ctx)
	if err != nil {
		return filter.Page[*Rule]{}, err
	}
	p, err := s.cfg.Store.Rules(ctx, by.Tenant, q)
	return p, errs.Wrap("custom.List", err)
}

func (s *Service) record(ctx context.Context, by *access.Principal, verb string, r *Rule) error {
	return s.cfg.Audit.Record(ctx, audit.Entry{Tenant: by.Tenant, Actor: by.Actor, Verb: verb,
		Object: strconv.FormatInt(r.ID, 10), Detail: r.Name, Outcome: audit.Done})
}

func (s *Service) changed(ctx context.Context, tenant ident.TenantID) error {
	if s.cfg.Changed == nil {
		return nil
	}
	return errs.Wrap("custom.changed", s.cfg.Changed(ctx, tenant))
}

// schedule sets when r runs first, or first again: at once for a scheduled rule.
func (r *Rule) schedule(now time.Time) {
	r.Next = time.Time{}
	if r.Enabled && r.Period != Continuous {
		r.Next = now
	}
}

// after returns the first slot after now, the slot at having been run. Slots of a rule are
// a period apart from each other; those of different rules are spread, so that a hundred
// rules of one morning do not run at once for ever after.
func (r *Rule) after(at, now time.Time) time.Time {
	every := r.Period.Interval()
	h := fnv.New32a()
	h.Write([]byte(r.DetectorID))
	spread := time.Duration(h.Sum32()) % (every / 20)
	next := at.Truncate(every).Add(spread)
	// The first slot after a run that was out of turn is not right behind it.
	for next.Sub(at) < every/2 {
		next = next.Add(every)
	}
	// A server that was away makes up for all slots that it missed with one run, which looks
	// as far back as the last one that ended well.
	if late := now.Sub(next); late > 0 {
		next = next.Add(late.Truncate(every))
	}
	return next
}
