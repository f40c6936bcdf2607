package expert

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/action"
	"github.com/vedette-edr/vedette/server/alert"
	"github.com/vedette-edr/vedette/server/audit"
	"github.com/vedette-edr/vedette/server/device"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/filter"
	"github.com/vedette-edr/vedette/server/ident"
)

// Bounds of a case.
const (
	maxQuestion = 4000 // characters; the comment of its action
	maxContact  = 256
	maxAlerts   = 100
	maxSubjects = 5
	maxOpen     = 50 // cases of a tenant at a time

	maxSpan  = 7 * 24 * time.Hour
	around   = time.Hour      // before and after an alert's events
	ofDevice = 24 * time.Hour // of a device without an alert

	defaultPatience = 2 * time.Hour
	maxPatience     = 3 * 24 * time.Hour
)

// Question is what somebody asks an expert.
type Question struct {
	About    About
	Text     string
	Contact  string // how to answer; "" for the asker's name
	Receiver ident.ReceiverID
	Package  Package       // "" for Latest, as far as the asker may
	From, To time.Time     // of the timelines; zero for what surrounds the alerts
	Patience time.Duration // how long a package that is collected is waited for; 0 for two hours
	Source   string        // Portal, PublicApi
}

func (q *Question) check(by *access.Principal, now time.Time) error {
	if err := prose("question", q.Text, 1, maxQuestion); err != nil {
		return err
	}
	if q.Contact == "" {
		q.Contact = by.Name
	}
	if err := line("contact", q.Contact, 0, maxContact); err != nil {
		return err
	}
	n := 0
	for _, is := range []bool{q.About.Alert != "", q.About.Incident != 0, q.About.Device != ""} {
		if is {
			n++
		}
	}
	if n != 1 {
		return bad("give one of alertId, incidentId and machineId")
	}
	wanted := q.Package
	at := slices.IndexFunc([]Package{NoPackage, Latest, Collect}, func(p Package) bool { return strings.EqualFold(string(p), string(q.Package)) })
	switch {
	case q.Package == "":
		q.Package = Latest
	case at < 0:
		return bad("package: it is %s, %s or %s", NoPackage, Latest, Collect)
	default:
		q.Package = []Package{NoPackage, Latest, Collect}[at]
	}
	if q.Package != NoPackage && !by.Can(access.MachineCollect) {
		if wanted != "" {
			return errs.New("expert.Ask", errs.Denied, errs.Forbidden, "package: it takes the permission %s", access.MachineCollect)
		}
		q.Package = NoPackage
	}
	if q.Patience == 0 {
		q.Patience = defaultPatience
	}
	if q.Patience < time.Minute || q.Patience > maxPatience {
		return bad("waitMinutes: between 1 and %d", maxPatience/time.Minute)
	}
	if q.From.IsZero() != q.To.IsZero() {
		return bad("from, to: give both or none")
	}
	if !q.From.IsZero() && (!q.From.Before(q.To) || q.To.Sub(q.From) > maxSpan || q.From.After(now)) {
		return bad("from, to: a time that has begun, of %d days at most", maxSpan/(24*time.Hour))
	}
	return nil
}

// Ask keeps a question as a case, whose action is approved at once or waits for somebody to
// agree. What it is about has to be visible to the caller of ctx, errs.NotFound otherwise, and
// so is all that goes into the bundle.
func (s *Service) Ask(ctx context.Context, by *access.Principal, q Question) (*Case, *action.Action, error) {
	const op = "expert.Ask"
	now := s.cfg.Clock().UTC()
	if err := q.check(by, now); err != nil {
		return nil, nil, err
	}
	r, err := s.Receiver(ctx, by.Tenant, q.Receiver)
	if err != nil {
		return nil, nil, err
	}
	if !r.Enabled {
		return nil, nil, errs.New(op, errs.Conflict, errs.DisallowedOperation, "the receiver %q is switched off", r.Name)
	}
	c := &Case{Tenant: by.Tenant, About: q.About, Question: q.Text, Contact: q.Contact, By: by.Actor, Receiver: r.ID, Name: r.Name,
		Package: q.Package, Patience: now.Add(q.Patience), Created: now, Due: now, Open: true}
	devices, err := s.subjects(ctx, c, now)
	if err != nil {
		return nil, nil, errs.Wrap(op, err)
	}
	for _, d := range devices {
		if len(r.Groups) > 0 && !slices.Contains(r.Groups, d.Group) {
			return nil, nil, errors.Join(errs.New(op, errs.Denied, errs.Forbidden, "cases about %s do not go to %q: its device group is none of the receiver's", d.Name, r.Name),
				s.cfg.Audit.Record(ctx, audit.Entry{At: now, Tenant: by.Tenant, Actor: by.Actor, Verb: "expert.ask", Object: string(d.ID), Detail: r.Name, Outcome: audit.Denied}))
		}
	}
	if !q.From.IsZero() {
		c.From, c.To = q.From.UTC(), q.To.UTC()
	}
	ask, err := s.packages(ctx, c, q)
	if err != nil {
		return nil, nil, errs.Wrap(op, err)
	}
	ask = append(ask, action.Request{Device: c.Subjects[0].Device, Kind: action.AskExpert, Comment: q.Text, Source: q.Source})
	as, err := s.cfg.Actions.RequestTogether(ctx, by, ask, func(ctx context.Context, as []*action.Action) error {
		if err := s.room(ctx, by.Tenant); err != nil {
			return err
		}
		last := len(as) - 1
		for _, a := range as[:last] {
			for i := range c.Subjects {
				if c.Subjects[i].Device == a.Device {
					c.Subjects[i].Package = a.ID
				}
			}
		}
		c.ID = as[last].ID
		if err := s.cfg.Cases.CreateCase(ctx, c); err != nil {
			return err
		}
		return s.record(ctx, by, "expert.ask", string(c.ID), fmt.Sprintf("%s, to %s", c.Title, r.Name))
	})
	if err != nil {
		return nil, nil, errs.Wrap(op, err)
	}
	return c, as[len(as)-1], nil
}

// room refuses a case beyond what a tenant may have open.
func (s *Service) room(ctx context.Context, tenant ident.TenantID) error {
	f, _ := Fields.Find("isOpen")
	p, err := s.cfg.Cases.Cases(ctx, tenant, filter.Query{Where: filter.Compare{Field: f, Op: filter.Eq, Value: filter.Value{Type: filter.Bool, B: true}}, Top: maxOpen})
	if err == nil && len(p.Items) >= maxOpen {
		err = errs.New("expert.Ask", errs.Limited, errs.QuotaExceeded, "%d cases are open, which is as many as may be", maxOpen)
	}
	return err
}

// subjects finds the alerts and devices of a case, and the time that matters.
func (s *Service) subjects(ctx context.Context, c *Case, now time.Time) ([]*device.Device, error) {
	var alerts []*alert.Alert
	var names []ident.DeviceID
	switch {
	case c.About.Alert != "":
		a, err := s.cfg.Alerts.Get(ctx, c.Tenant, c.About.Alert)
		if errs.Is(err, errs.NotFound) {
			err = errs.New("expert.Ask", errs.NotFound, errs.ResourceNotFound, "Alert %s was not found", c.About.Alert)
		}
		if err != nil {
			return nil, err
		}
		c.About.Alert, c.Title, alerts = a.ID, a.Title, []*alert.Alert{a}
	case c.About.Incident != 0:
		i, err := s.cfg.Incidents.Get(ctx, c.Tenant, c.About.Incident)
		if errs.Is(err, errs.NotFound) {
			err = errs.New("expert.Ask", errs.NotFound, errs.ResourceNotFound, "Incident %d was not found", c.About.Incident)
		}
		if err != nil {
			return nil, err
		}
		of, err := s.cfg.Incidents.AlertsOf(ctx, c.Tenant, i.ID)
		if err != nil {
			return nil, err
		}
		c.Title, alerts = i.Name, of[i.ID]
	default:
		d, err := s.cfg.Devices.Get(ctx, c.Tenant, c.About.Device)
		if errs.Is(err, errs.NotFound) {
			err = errs.New("expert.Ask", errs.NotFound, errs.ResourceNotFound, "Machine %s was not found", c.About.Device)
		}
		if err != nil {
			return nil, err
		}
		c.Title, names = d.Name, []ident.DeviceID{d.ID}
		c.From, c.To, c.Near = now.Add(-ofDevice), now, now
		if alerts, err = s.alertsOn(ctx, c.Tenant, d.ID, c.From); err != nil {
			return nil, err
		}
	}
	// The worst first: what is too much is what matters least.
	slices.SortStableFunc(alerts, func(a, b *alert.Alert) int {
		return cmp.Or(b.Severity.Rank()-a.Severity.Rank(), b.Created.Compare(a.Created))
	})
	if len(alerts) > maxAlerts {
		c.More, alerts = len(alerts)-maxAlerts, alerts[:maxAlerts]
	}
	for _, a := range alerts {
		c.Alerts = append(c.Alerts, a.ID)
		if a.Device != "" && !slices.Contains(names, a.Device) {
			names = append(names, a.Device)
		}
	}
	if c.About.Device == "" {
		c.window(alerts, now)
	}
	if len(names) == 0 {
		return nil, errs.New("expert.Ask", errs.Conflict, errs.DisallowedOperation, "there is no machine that the case could be about")
	}
	if len(names) > maxSubjects {
		c.Others, names = len(names)-maxSubjects, names[:maxSubjects]
	}
	var out []*device.Device
	for _, id := range names {
		d, err := s.cfg.Devices.Get(ctx, c.Tenant, id)
		if errs.Is(err, errs.NotFound) {
			return nil, errs.New("expert.Ask", errs.Conflict, errs.DisallowedOperation, "the machine %s of the alert is not there any more", id)
		}
		if err != nil {
			return nil, err
		}
		out = append(out, d)
		c.Subjects = append(c.Subjects, Subject{Device: d.ID, Name: d.Name})
	}
	return out, nil
}

// alertsOn returns the alerts of a device since a time, one more than a case holds at most.
func (s *Service) alertsOn(ctx context.Context, tenant ident.TenantID, id ident.DeviceID, since time.Time) ([]*alert.Alert, error) {
	on, _ := alert.Fields.Find("machineId")
	at, _ := alert.Fields.Find("alertCreationTime")
	p, err := s.cfg.Alerts.List(ctx, tenant, filter.Query{Top: maxAlerts + 1, Where: filter.And{
		filter.Compare{Field: on, Op: filter.Eq, Value: filter.Value{Type: filter.String, S: string(id)}},
		filter.Compare{Field: at, Op: filter.Ge, Value: filter.Value{Type: filter.Time, T: since}},
	}})
	return p.Items, err
}

// window is the time around the alerts' events, cut to what one case tells.
func (c *Case) window(alerts []*alert.Alert, now time.Time) {
	for _, a := range alerts {
		first, last := a.FirstEvent, a.LastEvent
		if first.IsZero() {
			first = a.Created
		}
		if last.Before(first) {
			last = first
		}
		if c.From.IsZero() || first.Before(c.From) {
			c.From = first
		}
		if last.After(c.To) {
			c.To = last
		}
		if c.Near.IsZero() { // of the worst
			c.Near = first
		}
	}
	if c.Near.IsZero() {
		c.From, c.To, c.Near = now.Add(-ofDevice), now, now
		return
	}
	c.From, c.To = c.From.Add(-around).UTC(), c.To.Add(around).UTC()
	if c.To.Sub(c.From) > maxSpan {
		c.From, c.To = later(c.From, c.Near.Add(-maxSpan/2)), earlier(c.To, c.Near.Add(maxSpan/2))
	}
	c.To = earlier(c.To, later(now, c.From.Add(time.Second)))
	c.Near = c.Near.UTC()
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// packages finds what yields the packages of a case, and returns what has to be asked of its
// devices for that. A package that is being collected already is waited for.
func (s *Service) packages(ctx context.Context, c *Case, q Question) ([]action.Request, error) {
	if c.Package == NoPackage {
		return nil, nil
	}
	on, _ := action.CenterFields.Find("machineId")
	is, _ := action.CenterFields.Find("type")
	var ask []action.Request
	for i := range c.Subjects {
		sub := &c.Subjects[i]
		p, err := s.cfg.Actions.List(ctx, c.Tenant, filter.Query{Top: 20, Where: filter.And{
			filter.Compare{Field: on, Op: filter.Eq, Value: filter.Value{Type: filter.String, S: string(sub.Device)}},
			filter.Compare{Field: is, Op: filter.Eq, Value: filter.Value{Type: filter.String, S: string(action.CollectPackage)}},
		}})
		if err != nil {
			return nil, err
		}
		for _, a := range p.Items {
			_, err := a.Artifact(0)
			if a.State.Open() && c.Package == Collect || c.Package == Latest && err == nil {
				sub.Package = a.ID
				break
			}
		}
		if c.Package == Collect && sub.Package == "" {
			ask = append(ask, action.Request{Device: sub.Device, Kind: action.CollectPackage, Source: q.Source,
				Comment: "For the question to an expert: " + cut(q.Text, 200)})
		}
	}
	return ask, nil
}

// cut shortens a text to some characters.
func cut(s string, most int) string {
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}
