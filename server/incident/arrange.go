package incident

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/alert"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/filter"
	"github.com/vedette-edr/vedette/server/history"
	"github.com/vedette-edr/vedette/server/ident"
)

// maxMove bounds the alerts of one Move and of what Merge makes.
const maxMove = 1000

// Merge moves every alert of an incident into another, to which it redirects from then on.
// What people wrote stays where it is.
func (s *Service) Merge(ctx context.Context, by *access.Principal, from, into ident.IncidentID) (*Incident, error) {
	const op = "incident.Merge"
	if from == into {
		return nil, errs.New(op, errs.Invalid, errs.InvalidInput, "an incident cannot be merged into itself")
	}
	var moved []*alert.Alert
	var out *Incident
	err := s.atomic(ctx, func(ctx context.Context) error {
		target, err := s.target(ctx, by.Tenant, into)
		if err != nil {
			return err
		}
		source, err := s.target(ctx, by.Tenant, from)
		if err != nil {
			return err
		}
		if target.Alerts+source.Alerts > maxMove {
			return errs.New(op, errs.Invalid, errs.MaximumBatchSizeExceeded, "together they have %d alerts, at most %d", target.Alerts+source.Alerts, maxMove)
		}
		alerts, err := s.AlertsOf(ctx, by.Tenant, from)
		if err != nil {
			return err
		}
		if len(alerts[from]) < source.Alerts {
			return errs.New(op, errs.Denied, errs.Forbidden, "incident %d has alerts on devices that the caller does not see", from)
		}
		if moved, err = s.alerts.Move(ctx, by.Actor, by.Tenant, idsOf(alerts[from]), into); err != nil {
			return err
		}
		if err := s.redirect(ctx, by, from, into); err != nil {
			return err
		}
		out, err = s.recount(ctx, by.Actor, by.Tenant, into)
		return err
	})
	if err != nil {
		return nil, errs.Wrap(op, err)
	}
	s.alerts.Announce(by.Actor, moved)
	return out, nil
}

// target returns an incident that alerts may be moved from and to.
func (s *Service) target(ctx context.Context, tenant ident.TenantID, id ident.IncidentID) (*Incident, error) {
	i, err := s.store.Incident(ctx, tenant, id)
	if err != nil {
		return nil, noIncident(err, id)
	}
	if i.Status == Redirected {
		return nil, errs.New("incident", errs.Conflict, errs.BadRequest, "incident %d was merged into incident %d", id, i.Redirect)
	}
	return i, nil
}

func noIncident(err error, id ident.IncidentID) error {
	if errs.Is(err, errs.NotFound) {
		return errs.New("incident", errs.NotFound, errs.ResourceNotFound, "Incident %d was not found", id)
	}
	return err
}

// redirect empties an incident whose alerts were all moved.
func (s *Service) redirect(ctx context.Context, by *access.Principal, from, into ident.IncidentID) error {
	_, err := s.change(everything(ctx, by.Tenant), by.Actor, by.Tenant, from, func(i *Incident, _ time.Time) error {
		i.Status, i.Redirect, i.Resolved = Redirected, into, time.Time{}
		i.Alerts, i.Unresolved = 0, 0
		return nil
	})
	if err == nil {
		err = s.links.Unlink(ctx, by.Tenant, from)
	}
	if err == nil {
		err = s.record(ctx, by, "incident.merge", from, "into "+into.String())
	}
	return err
}

// Move files alerts under another incident, or under a new one when to is 0, and returns
// it. An incident that has no alert left redirects there.
func (s *Service) Move(ctx context.Context, by *access.Principal, ids []ident.AlertID, to ident.IncidentID) (*Incident, error) {
	const op = "incident.Move"
	if len(ids) == 0 {
		return nil, errs.New(op, errs.Invalid, errs.MissingRequiredParameter, "no alert is named")
	}
	if len(ids) > maxMove {
		return nil, errs.New(op, errs.Invalid, errs.MaximumBatchSizeExceeded, "%d alerts are named, at most %d can be moved at once", len(ids), maxMove)
	}
	var moved []*alert.Alert
	var out *Incident
	err := s.atomic(ctx, func(ctx context.Context) error {
		sources, alerts, err := s.leaving(ctx, by.Tenant, ids, to)
		if err != nil {
			return err
		}
		goal := to
		if goal == 0 {
			if goal, err = s.found(ctx, by); err != nil {
				return err
			}
		} else if i, err := s.target(ctx, by.Tenant, goal); err != nil {
			return err
		} else if i.Alerts+len(alerts) > maxMove {
			return errs.New(op, errs.Invalid, errs.MaximumBatchSizeExceeded, "incident %d would have %d alerts, at most %d", goal, i.Alerts+len(alerts), maxMove)
		}
		if moved, err = s.alerts.Move(ctx, by.Actor, by.Tenant, idsOf(alerts), goal); err != nil {
			return err
		}
		for _, from := range sources {
			left, err := s.recount(ctx, by.Actor, by.Tenant, from)
			if err == nil && left.Alerts == 0 {
				err = s.redirect(ctx, by, from, goal)
			}
			if err != nil {
				return err
			}
		}
		if out, err = s.recount(ctx, by.Actor, by.Tenant, goal); err != nil {
			return err
		}
		return s.record(ctx, by, "incident.move", goal, fmt.Sprintf("%d alerts moved there", len(alerts)))
	})
	if err != nil {
		return nil, errs.Wrap(op, err)
	}
	s.alerts.Announce(by.Actor, moved)
	return out, nil
}

// leaving returns the alerts that are not in the incident yet, and the incidents they
// leave.
func (s *Service) leaving(ctx context.Context, tenant ident.TenantID, ids []ident.AlertID, to ident.IncidentID) ([]ident.IncidentID, []*alert.Alert, error) {
	var sources []ident.IncidentID
	var alerts []*alert.Alert
	for _, id := range ids {
		a, err := s.alerts.Get(ctx, tenant, id)
		if errs.Is(err, errs.NotFound) {
			err = errs.New("incident.Move", errs.NotFound, errs.ResourceNotFound, "Alert %s was not found", id)
		}
		if err != nil {
			return nil, nil, err
		}
		if a.Incident == to && to != 0 || slices.ContainsFunc(alerts, func(x *alert.Alert) bool { return x.ID == a.ID }) {
			continue
		}
		alerts = append(alerts, a)
		if a.Incident != 0 && !slices.Contains(sources, a.Incident) {
			sources = append(sources, a.Incident)
		}
	}
	return sources, alerts, nil
}

// found makes an empty incident for alerts that are about to be moved there.
func (s *Service) found(ctx context.Context, by *access.Principal) (ident.IncidentID, error) {
	now := s.now().UTC()
	i := &Incident{Tenant: by.Tenant, Status: Active, Severity: alert.Informational, Created: now, Updated: now}
	if err := s.store.CreateIncident(ctx, i); err != nil {
		return 0, err
	}
	return i.ID, s.history.AppendHistory(ctx, object(by.Tenant, i.ID), history.Entry{At: now, By: by.Actor, Field: "created"})
}

// Adopt files the alerts since then that are in no incident: those of a release before
// there were incidents. It may be called again at any time.
func (s *Service) Adopt(ctx context.Context, tenant ident.TenantID, since time.Time) error {
	const op = "incident.Adopt"
	incidentID, _ := alert.Fields.Find("incidentId")
	created, _ := alert.Fields.Find("alertCreationTime")
	suppressed, _ := alert.Fields.Find("suppressed")
	where := filter.And{
		filter.Compare{Field: incidentID, Op: filter.Eq, Value: filter.Value{Null: true}},
		filter.Compare{Field: created, Op: filter.Ge, Value: filter.Value{Type: filter.Time, T: since}},
		filter.Compare{Field: suppressed, Op: filter.Eq, Value: filter.Value{Type: filter.Bool}},
	}
	for {
		page, err := s.alerts.List(ctx, tenant, filter.Query{Where: where, Top: 200, Order: []filter.Order{{Field: created}}})
		if err != nil {
			return errs.Wrap(op, err)
		}
		for _, a := range page.Items {
			err := s.atomic(ctx, func(ctx context.Context) error {
				a, err := s.alerts.Get(ctx, tenant, a.ID)
				if err != nil || a.Incident != 0 {
					return err
				}
				if err := s.Raised(ctx, a); err != nil {
					return err
				}
				_, err = s.alerts.Move(ctx, system(tenant), tenant, []ident.AlertID{a.ID}, a.Incident)
				return err
			})
			if err != nil {
				return errs.Wrap(op, err)
			}
		}
		if !page.More {
			return nil
		}
	}
}

// Prune forgets links that are too old to link anything.
func (s *Service) Prune(ctx context.Context) error {
	return errs.Wrap("incident.Prune", s.links.PruneLinks(ctx, s.now().Add(-maxSpan-maxReach)))
}
