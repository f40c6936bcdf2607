package incident

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/alert"
	"github.com/vedette-edr/vedette/server/audit"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/filter"
	"github.com/vedette-edr/vedette/server/history"
	"github.com/vedette-edr/vedette/server/ident"
)

// Alerts is what this package needs of alert.Service, which is built with this package's
// Service as its observer. Cascade and Move take part in the transaction of their context
// and announce nothing; Announce does, once it is kept.
type Alerts interface {
	List(ctx context.Context, tenant ident.TenantID, q filter.Query) (filter.Page[*alert.Alert], error)
	Get(ctx context.Context, tenant ident.TenantID, id ident.AlertID) (*alert.Alert, error)
	Cascade(ctx context.Context, by *access.Principal, ids []ident.AlertID, c alert.Change) ([]*alert.Alert, error)
	Move(ctx context.Context, by ident.Actor, tenant ident.TenantID, ids []ident.AlertID, to ident.IncidentID) ([]*alert.Alert, error)
	Announce(by ident.Actor, changed []*alert.Alert)
}

// Observer takes part in what happens to incidents, as alert.Observer does for alerts.
type Observer interface {
	// Opened is told of a new incident, in the transaction that keeps it, with the alert
	// that it begins with.
	Opened(ctx context.Context, i *Incident, a *alert.Alert) error
}

// Config is what a Service needs.
type Config struct {
	Store     Store
	Links     LinkStore
	History   history.Store    // nil for none
	Audit     audit.Log        // nil for none
	Clock     func() time.Time // nil for time.Now
	Observers []Observer
	// Atomic runs do in one transaction of the stores and Audit, which take part by do's
	// context; nil runs it as it is.
	Atomic func(ctx context.Context, do func(context.Context) error) error
}

// Service holds the rules about incidents. Permission is decided by the caller, before.
type Service struct {
	store     Store
	links     LinkStore
	history   history.Store
	audit     audit.Log
	now       func() time.Time
	observers []Observer
	atomic    func(context.Context, func(context.Context) error) error
	alerts    Alerts // set by Use
}

// New returns the service. Use must be called before any other method but Raised and
// Changed.
func New(c Config) *Service {
	s := &Service{store: c.Store, links: c.Links, history: c.History, audit: c.Audit, now: c.Clock, observers: c.Observers, atomic: c.Atomic}
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

// Use gives the service the alerts, whose own service is built after this one.
func (s *Service) Use(alerts Alerts) { s.alerts = alerts }

var _ alert.Observer = (*Service)(nil)

// part is the name under which correlation acts.
const part = "correlation"

// Raised implements alert.Observer: it files a new alert under an incident.
func (s *Service) Raised(ctx context.Context, a *alert.Alert) error {
	const op = "incident.Raised"
	if a.Incident != 0 {
		return nil
	}
	ctx = everything(ctx, a.Tenant)
	keys := KeysOf(a)
	into, err := s.find(ctx, a, keys)
	if err != nil {
		return errs.Wrap(op, err)
	}
	if into == nil {
		into, err = s.open(ctx, a)
	} else {
		into, err = s.change(ctx, system(a.Tenant), a.Tenant, into.ID, func(i *Incident, now time.Time) error {
			i.add(a)
			i.settle(now)
			return nil
		})
	}
	if err != nil {
		return errs.Wrap(op, err)
	}
	a.Incident = into.ID
	first, last := span(a)
	return errs.Wrap(op, s.links.Link(ctx, a.Tenant, into.ID, keys, first, last))
}

// everything returns a context in which incidents are kept whole, whatever devices its
// caller sees.
func everything(ctx context.Context, tenant ident.TenantID) context.Context {
	return access.WithPrincipal(ctx, access.System(tenant, part))
}

func system(tenant ident.TenantID) ident.Actor { return access.System(tenant, part).Actor }

// open begins an incident with an alert.
func (s *Service) open(ctx context.Context, a *alert.Alert) (*Incident, error) {
	now := s.now().UTC()
	i := &Incident{Tenant: a.Tenant, Status: Active, Severity: a.Severity, Created: now, Updated: now}
	i.add(a)
	i.settle(now)
	if err := s.store.CreateIncident(ctx, i); err != nil {
		return nil, err
	}
	if err := s.history.AppendHistory(ctx, object(i.Tenant, i.ID), history.Entry{
		At: now, By: system(a.Tenant), Field: "created", New: string(i.Severity)}); err != nil {
		return nil, err
	}
	for _, o := range s.observers {
		if err := o.Opened(ctx, i, a); err != nil {
			return nil, err
		}
	}
	return i, nil
}

func object(tenant ident.TenantID, id ident.IncidentID) history.Object {
	return history.Object{Tenant: tenant, Noun: "incident", ID: id.String()}
}

// Changed implements alert.Observer: it lets an incident follow its alert.
func (s *Service) Changed(ctx context.Context, by ident.Actor, was, is *alert.Alert) error {
	const op = "incident.Changed"
	if is.Incident == 0 {
		return nil
	}
	ctx = everything(ctx, is.Tenant)
	_, err := s.change(ctx, by, is.Tenant, is.Incident, func(i *Incident, now time.Time) error {
		switch {
		case was.Open() && !is.Open():
			i.Unresolved = max(i.Unresolved-1, 0)
		case !was.Open() && is.Open():
			i.Unresolved++
		}
		i.note(is)
		i.derive()
		// Who reopened an incident whose alerts are done wants it open until one changes.
		if was.Open() != is.Open() {
			i.settle(now)
		}
		return nil
	})
	if err != nil || len(is.Evidence) == len(was.Evidence) && is.LastEvent.Equal(was.LastEvent) && is.FirstEvent.Equal(was.FirstEvent) {
		return errs.Wrap(op, err)
	}
	first, last := span(is)
	return errs.Wrap(op, s.links.Link(ctx, is.Tenant, is.Incident, KeysOf(is), first, last))
}

// change changes one incident with its history.
func (s *Service) change(ctx context.Context, by ident.Actor, tenant ident.TenantID, id ident.IncidentID, apply func(*Incident, time.Time) error) (*Incident, error) {
	now := s.now().UTC()
	var was *Incident
	i, err := s.store.UpdateIncident(ctx, tenant, id, func(i *Incident) error {
		was = i.clone()
		i.Updated = now
		return apply(i, now)
	})
	if err != nil {
		return nil, err
	}
	if es := changes(by, now, was, i); len(es) > 0 {
		err = s.history.AppendHistory(ctx, object(tenant, id), es...)
	}
	return i, err
}

// Get returns one incident, one that was redirected included.
func (s *Service) Get(ctx context.Context, tenant ident.TenantID, id ident.IncidentID) (*Incident, error) {
	i, err := s.store.Incident(ctx, tenant, id)
	if err != nil {
		return nil, errs.Wrap("incident.Get", err)
	}
	return shown(ctx, i), nil
}

// shown is an incident as the caller of ctx may see it. One that was merged into another is
// seen by whoever sees an alert of that one, so that its number leads there; but what it
// was called and what was said of it may be about devices that they do not see.
func shown(ctx context.Context, i *Incident) *Incident {
	if i.Status != Redirected || access.ScopeOf(ctx).All {
		return i
	}
	i = i.clone()
	i.Name, i.Summary, i.AssignedTo, i.Tags, i.Comments, i.Sources, i.Techniques = "Incident "+i.ID.String(), "", "", nil, nil, nil, nil
	return i
}

// List lists incidents, newest first unless q orders otherwise.
func (s *Service) List(ctx context.Context, tenant ident.TenantID, q filter.Query) (filter.Page[*Incident], error) {
	p, err := s.store.Incidents(ctx, tenant, q)
	for n, i := range p.Items {
		p.Items[n] = shown(ctx, i)
	}
	return p, errs.Wrap("incident.List", err)
}

// History returns up to limit changes of an incident after the given Seq, oldest first.
func (s *Service) History(ctx context.Context, tenant ident.TenantID, id ident.IncidentID, after int64, limit int) ([]history.Entry, error) {
	const op = "incident.History"
	i, err := s.Get(ctx, tenant, id)
	if err != nil {
		return nil, errs.Wrap(op, err)
	}
	if i.Status == Redirected && !access.ScopeOf(ctx).All {
		return nil, nil // as shown
	}
	es, err := s.history.History(ctx, object(tenant, id), after, limit)
	return es, errs.Wrap(op, err)
}

// alertPage is how many alerts AlertsOf reads at a time.
const alertPage = 1000

// AlertsOf returns the alerts of incidents, by incident, newest first.
func (s *Service) AlertsOf(ctx context.Context, tenant ident.TenantID, ids ...ident.IncidentID) (map[ident.IncidentID][]*alert.Alert, error) {
	out := map[ident.IncidentID][]*alert.Alert{}
	if len(ids) == 0 {
		return out, nil
	}
	field, _ := alert.Fields.Find("incidentId")
	values := make([]filter.Value, len(ids))
	for n, id := range ids {
		values[n] = filter.Value{Type: filter.Int, N: int64(id)}
	}
	q := filter.Query{Where: filter.In{Field: field, Values: values}, Top: alertPage}
	for {
		page, err := s.alerts.List(ctx, tenant, q)
		if err != nil {
			return nil, errs.Wrap("incident.AlertsOf", err)
		}
		for _, a := range page.Items {
			out[a.Incident] = append(out[a.Incident], a)
		}
		if !page.More {
			return out, nil
		}
		q.Skip += len(page.Items)
	}
}

// Update changes one incident of the caller's tenant, and hands down to its alerts what
// Change says, with the audit record of it.
func (s *Service) Update(ctx context.Context, by *access.Principal, id ident.IncidentID, c Change) (*Incident, error) {
	const op = "incident.Update"
	if c.empty() {
		return nil, errs.New(op, errs.Invalid, errs.InvalidRequestBody,
			"nothing is to be changed: give status, assignedTo, classification, determination, tags, comment, incidentName, severity or summary")
	}
	var out *Incident
	var touched []*alert.Alert
	err := s.atomic(ctx, func(ctx context.Context) error {
		touched = nil
		var rated bool
		var err error
		out, err = s.change(ctx, by.Actor, by.Tenant, id, func(i *Incident, now time.Time) error {
			err := c.apply(i, by.Actor, now)
			rated = c.Severity != nil && !i.Rated
			return err
		})
		if err != nil {
			return err
		}
		alerts, err := s.AlertsOf(ctx, by.Tenant, id)
		if err != nil {
			return err
		}
		if touched, err = s.handDown(ctx, by, out, &c, alerts[id]); err != nil {
			return err
		}
		// Alerts that the caller does not see are open still, or the severity follows again.
		if c.Status != nil || rated {
			if _, err := s.follow(ctx, by, &c, id); err != nil {
				return err
			}
		}
		if err := s.record(ctx, by, "incident.update", id, c.summary()); err != nil {
			return err
		}
		out, err = s.store.Incident(ctx, by.Tenant, id)
		return err
	})
	if err != nil {
		return nil, errs.Wrap(op, err)
	}
	s.alerts.Announce(by.Actor, touched)
	return out, nil
}

// handDown gives alerts what the change of their incident means for them.
func (s *Service) handDown(ctx context.Context, by *access.Principal, i *Incident, c *Change, alerts []*alert.Alert) ([]*alert.Alert, error) {
	byChange := map[string][]ident.AlertID{}
	down := map[string]alert.Change{}
	resolved := string(alert.Resolved)
	for _, a := range alerts {
		var ch alert.Change
		key := ""
		if c.Status != nil && i.Status == Resolved && a.Open() {
			ch.Status, key = &resolved, "s"
		}
		if c.AssignedTo != nil && a.AssignedTo != i.AssignedTo {
			ch.AssignedTo, key = &i.AssignedTo, key+"a"
		}
		if c.Classification != nil && a.Classification == "" && i.Classification != "" {
			ch.Classification, ch.Determination, key = &i.Classification, &i.Determination, key+"c"
		}
		if key != "" {
			byChange[key], down[key] = append(byChange[key], a.ID), ch
		}
	}
	var out []*alert.Alert
	for key, ids := range byChange {
		for some := range slices.Chunk(ids, 500) {
			changed, err := s.alerts.Cascade(ctx, by, some, down[key])
			if err != nil {
				return nil, err
			}
			out = append(out, changed...)
		}
	}
	return out, nil
}

// follow brings what follows from the alerts up to date after a change of the incident: a
// severity that nobody chooses any more, and the status where alerts that the caller does
// not see are open still.
func (s *Service) follow(ctx context.Context, by *access.Principal, c *Change, id ident.IncidentID) (*Incident, error) {
	if c.Severity != nil && *c.Severity == "" {
		return s.recount(ctx, by.Actor, by.Tenant, id)
	}
	return s.change(everything(ctx, by.Tenant), by.Actor, by.Tenant, id, func(i *Incident, _ time.Time) error {
		if i.Status == Resolved && i.Unresolved > 0 {
			i.Status, i.Resolved = Active, time.Time{}
		}
		return nil
	})
}

// recount makes an incident's account anew from its alerts, in a transaction.
func (s *Service) recount(ctx context.Context, by ident.Actor, tenant ident.TenantID, id ident.IncidentID) (*Incident, error) {
	ctx = everything(ctx, tenant)
	alerts, err := s.AlertsOf(ctx, tenant, id)
	if err != nil {
		return nil, err
	}
	i, err := s.change(ctx, by, tenant, id, func(i *Incident, now time.Time) error {
		i.recount(alerts[id])
		i.settle(now)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if err := s.links.Unlink(ctx, tenant, id); err != nil {
		return nil, err
	}
	for _, a := range alerts[id] {
		first, last := span(a)
		if err := s.links.Link(ctx, tenant, id, KeysOf(a), first, last); err != nil {
			return nil, err
		}
	}
	return i, nil
}

func (s *Service) record(ctx context.Context, by *access.Principal, verb string, id ident.IncidentID, detail string) error {
	return s.audit.Record(ctx, audit.Entry{Tenant: by.Tenant, Actor: by.Actor, Verb: verb, Object: id.String(), Detail: detail, Outcome: audit.Done})
}

// summary says for the audit record what c sets, without the text of comments.
func (c *Change) summary() string {
	out := ""
	for _, f := range []struct {
		name  string
		value *string
	}{{"incidentName", c.Name}, {"severity", c.Severity}, {"status", c.Status}, {"assignedTo", c.AssignedTo},
		{"classification", c.Classification}, {"determination", c.Determination}} {
		if f.value != nil {
			out += fmt.Sprintf("%s=%s, ", f.name, cut(*f.value, 64))
		}
	}
	if c.Tags != nil {
		out += fmt.Sprintf("tags=%d, ", len(*c.Tags))
	}
	if c.Summary != nil {
		out += "summary set, "
	}
	if c.Comment != "" {
		out += "comment added, "
	}
	return out[:len(out)-2]
}
