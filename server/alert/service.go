package alert

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/audit"
	"github.com/vedette-edr/vedette/server/bus"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/filter"
	"github.com/vedette-edr/vedette/server/history"
	"github.com/vedette-edr/vedette/server/ident"
)

// maxUpdate bounds the alerts of one UpdateMany.
const maxUpdate = 1000

// Observer takes part in what happens to alerts. Its methods run inside the transaction
// that keeps the alert, so that what they keep is kept with it or not at all; an error
// undoes it all. They must be brief and must not call the Service that calls them.
type Observer interface {
	// Raised is told of a new alert before it is kept, and may set its Incident.
	Raised(ctx context.Context, a *Alert) error
	// Changed is told of a change before it is announced. Neither alert may be changed.
	Changed(ctx context.Context, by ident.Actor, was, is *Alert) error
}

// Groups tells which device group a device is in, for suppression by group.
type Groups interface {
	// GroupOf returns the device's group, 0 for none.
	GroupOf(ctx context.Context, tenant ident.TenantID, device ident.DeviceID) (int64, error)
}

// Sessions tells who is logged on to a device, for alerts that are raised on it.
type Sessions interface {
	// LoggedOn returns the accounts, none for a device that is not there.
	LoggedOn(ctx context.Context, tenant ident.TenantID, device ident.DeviceID) ([]User, error)
}

// Config is what a Service needs.
type Config struct {
	Store        Store
	Suppressions SuppressionStore    // nil for no rules
	History      history.Store       // nil for none
	Groups       Groups              // nil when every device is in no group
	Sessions     Sessions            // nil for nobody who knows
	Audit        audit.Log           // nil for none
	Created      *bus.Topic[Created] // nil for none
	Updated      *bus.Topic[Updated] // nil for none
	Clock        func() time.Time    // nil for time.Now
	// Observers take part, in their order.
	Observers []Observer
	// Atomic runs do in one transaction of the stores and Audit, which take part by do's
	// context; nil runs it as it is.
	Atomic func(ctx context.Context, do func(context.Context) error) error
}

// Service holds the rules about alerts. Permission is decided by the caller, before.
type Service struct {
	store        Store
	suppressions SuppressionStore
	history      history.Store
	groups       Groups
	sessions     Sessions
	audit        audit.Log
	created      *bus.Topic[Created]
	updated      *bus.Topic[Updated]
	now          func() time.Time
	observers    []Observer
	atomic       func(context.Context, func(context.Context) error) error

	mu    sync.Mutex
	rules map[ident.TenantID][]*Suppression // as the store has them; nil entries are not loaded
}

// NewService returns the service.
func NewService(c Config) *Service {
	s := &Service{
		store: c.Store, suppressions: c.Suppressions, history: c.History, groups: c.Groups, sessions: c.Sessions, audit: c.Audit,
		created: c.Created, updated: c.Updated, now: c.Clock, observers: c.Observers, atomic: c.Atomic,
		rules: map[ident.TenantID][]*Suppression{},
	}
	if s.history == nil {
		s.history = history.Discard
	}
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

// Get returns one alert. An id that was merged into another alert is that alert.
func (s *Service) Get(ctx context.Context, tenant ident.TenantID, id ident.AlertID) (*Alert, error) {
	a, err := s.store.Alert(ctx, tenant, id)
	return a, errs.Wrap("alert.Get", err)
}

// List lists alerts, newest first unless q orders otherwise.
func (s *Service) List(ctx context.Context, tenant ident.TenantID, q filter.Query) (filter.Page[*Alert], error) {
	p, err := s.store.Alerts(ctx, tenant, q)
	return p, errs.Wrap("alert.List", err)
}

// History returns up to limit changes of an alert after the given Seq, oldest first. An
// alert that is not there is errs.NotFound.
func (s *Service) History(ctx context.Context, tenant ident.TenantID, id ident.AlertID, after int64, limit int) ([]history.Entry, error) {
	const op = "alert.History"
	a, err := s.Get(ctx, tenant, id)
	if err != nil {
		return nil, errs.Wrap(op, err)
	}
	es, err := s.history.History(ctx, object(tenant, a.ID), after, limit)
	return es, errs.Wrap(op, err)
}

func object(tenant ident.TenantID, id ident.AlertID) history.Object {
	return history.Object{Tenant: tenant, Noun: "alert", ID: string(id)}
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
	var out []*Alert
	err := s.atomic(ctx, func(ctx context.Context) error {
		var err error
		out, err = s.Cascade(ctx, by, ids, c)
		return err
	})
	if err != nil {
		return nil, errs.Wrap("alert.Update", err)
	}
	s.Announce(by.Actor, out)
	return out, nil
}

// Cascade is UpdateMany for somebody who has a transaction open: it announces nothing, and
// the caller calls Announce with the result when the transaction is kept.
func (s *Service) Cascade(ctx context.Context, by *access.Principal, ids []ident.AlertID, c Change) ([]*Alert, error) {
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
	for _, id := range ids {
		a, err := s.change(ctx, by.Actor, by.Tenant, id, now, func(a *Alert) error { return c.apply(a, by.Actor, now) })
		if err != nil {
			return nil, err
		}
		out = append(out, a)
		err = s.audit.Record(ctx, audit.Entry{
			At: now, Tenant: by.Tenant, Actor: by.Actor, Verb: "alert.update", Object: string(a.ID), Detail: c.summary(), Outcome: audit.Done,
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Move files alerts under another incident, for package incident, which has a transaction
// open and keeps its own account of them: observers are not told. The caller calls
// Announce with the result when the transaction is kept.
func (s *Service) Move(ctx context.Context, by ident.Actor, tenant ident.TenantID, ids []ident.AlertID, to ident.IncidentID) ([]*Alert, error) {
	now := s.now().UTC()
	var out []*Alert
	for _, id := range ids {
		var was *Alert
		a, err := s.store.UpdateAlert(ctx, tenant, id, func(a *Alert) error {
			was = a.Clone()
			a.Incident, a.Updated = to, now
			return nil
		})
		if err != nil {
			return nil, err
		}
		if err := s.remember(ctx, by, now, was, a); err != nil {
			return nil, err
		}
		out = append(out, a)
	}
	return out, nil
}

// Announce tells subscribers of alerts that Cascade or Move changed.
func (s *Service) Announce(by ident.Actor, changed []*Alert) {
	for _, a := range changed {
		s.updated.Publish(Updated{Alert: a, By: by})
	}
}

// Investigated notes that the automated investigation with the number is in a state, one
// of the published ones, on the alert id, which becomes one of its alerts ("" for none),
// and on every alert that is one already. It is for somebody who has a transaction open:
// the caller calls Announce with the result when the transaction is kept.
func (s *Service) Investigated(ctx context.Context, tenant ident.TenantID, id ident.AlertID, investigation int64, state string) ([]*Alert, error) {
	const op, part = "alert.Investigated", 500
	ids := map[ident.AlertID]bool{}
	if id != "" {
		ids[id] = true
	}
	field, _ := Fields.Find("investigationId")
	for q := (filter.Query{Top: part, Where: filter.Compare{Field: field, Value: filter.Value{Type: filter.Int, N: investigation}}}); ; q.Skip += part {
		page, err := s.store.Alerts(ctx, tenant, q)
		if err != nil {
			return nil, errs.Wrap(op, err)
		}
		for _, a := range page.Items {
			if a.InvestigationState != state {
				ids[a.ID] = true
			}
		}
		if len(page.Items) < part {
			break
		}
	}
	now := s.now().UTC()
	var out []*Alert
	for _, id := range slices.Sorted(maps.Keys(ids)) {
		a, err := s.change(ctx, access.System(tenant, "investigation").Actor, tenant, id, now, func(a *Alert) error {
			a.Investigation, a.InvestigationState, a.Updated = investigation, state, now
			return nil
		})
		if err != nil {
			return nil, errs.Wrap(op, err)
		}
		out = append(out, a)
	}
	return out, nil
}

// change changes one alert with its history and lets observers take part.
func (s *Service) change(ctx context.Context, by ident.Actor, tenant ident.TenantID, id ident.AlertID, now time.Time, apply func(*Alert) error) (*Alert, error) {
	var was *Alert
	a, err := s.store.UpdateAlert(ctx, tenant, id, func(a *Alert) error {
		was = a.Clone()
		return apply(a)
	})
	if err != nil {
		return nil, err
	}
	if err := s.remember(ctx, by, now, was, a); err != nil {
		return nil, err
	}
	for _, o := range s.observers {
		if err := o.Changed(ctx, by, was, a); err != nil {
			return nil, err
		}
	}
	return a, nil
}

// remember adds to the history what differs between was and is.
func (s *Service) remember(ctx context.Context, by ident.Actor, now time.Time, was, is *Alert) error {
	d := history.Diff{At: now, By: by}
	d.Field("status", string(was.Status), string(is.Status))
	d.Field("assignedTo", was.AssignedTo, is.AssignedTo)
	d.Field("classification", was.Classification, is.Classification)
	d.Field("determination", was.Determination, is.Determination)
	d.Field("incidentId", number(int64(was.Incident)), number(int64(is.Incident)))
	d.Field("investigationId", number(was.Investigation), number(is.Investigation))
	d.Field("investigationState", was.InvestigationState, is.InvestigationState)
	for _, c := range is.Comments[min(len(was.Comments), len(is.Comments)):] {
		d.Field("comment", "", c.Text)
	}
	if n := len(is.Evidence) - len(was.Evidence); n > 0 {
		d.Field("evidence", number(int64(len(was.Evidence))), number(int64(len(is.Evidence))))
	}
	if len(d.Entries) == 0 {
		return nil
	}
	return s.history.AppendHistory(ctx, object(is.Tenant, is.ID), d.Entries...)
}
