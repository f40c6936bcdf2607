package alert

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/history"
	"github.com/vedette-edr/vedette/server/ident"
)

// mergeWindow is how far apart the events of two detections may be that make one alert.
const mergeWindow = 24 * time.Hour

// maxEvidence bounds the evidence of an alert that others are merged into: each merge
// writes the alert anew.
const maxEvidence = 500

// mergeCandidates is how many open alerts of one title and device are looked at for room.
const mergeCandidates = 8

// placed is what became of detections.
type placed struct {
	created []*Alert
	updated []Updated
}

// Raise keeps what detection found and announces it. A detection whose id is known is
// passed over. One that a suppression rule matches is kept as resolved. One whose title is
// that of an open alert on the same device, with a last event less than a day away, is
// merged into that alert. The rest are new alerts, which are returned. Everything is on
// stable storage then. Missing times and status are filled in; the alerts belong to the
// service afterwards.
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
		a.fill(now)
	}
	var done placed
	err := s.atomic(ctx, func(ctx context.Context) error {
		done = placed{}
		for _, a := range alerts {
			known, err := s.store.Known(ctx, a.Tenant, a.ID)
			if err != nil {
				return err
			}
			if known == "" {
				_, err = s.place(ctx, a, mergeWindow, access.System(a.Tenant, "detection").Actor, now, &done)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, errs.Wrap(op, err)
	}
	s.announce(&done)
	return done.created, nil
}

func (a *Alert) fill(now time.Time) {
	a.Status = cmp.Or(a.Status, New)
	a.Severity = cmp.Or(a.Severity, Informational)
	a.Count = cmp.Or(a.Count, 1)
	if a.Created.IsZero() {
		a.Created = now
	}
	if a.Updated.IsZero() {
		a.Updated = a.Created
	}
}

func (s *Service) announce(p *placed) {
	for _, a := range p.created {
		s.created.Publish(Created{Alert: a})
	}
	for _, u := range p.updated {
		s.updated.Publish(u)
	}
}

// place keeps one detection that is not known and returns the alert that tells of it.
// window bounds the distance of the events of what is merged; 0 for no bound.
func (s *Service) place(ctx context.Context, a *Alert, window time.Duration, by ident.Actor, now time.Time, done *placed) (*Alert, error) {
	rule, err := s.suppress(ctx, a, now)
	if err != nil {
		return nil, err
	}
	if rule == nil && a.Open() && a.merges() {
		open, err := s.openLike(ctx, a, window)
		if err != nil {
			return nil, err
		}
		if open != nil {
			return s.merge(ctx, open.ID, a, by, now, done)
		}
	}
	if s.sessions != nil && a.Device != "" && len(a.LoggedOn) == 0 {
		if a.LoggedOn, err = s.sessions.LoggedOn(ctx, a.Tenant, a.Device); err != nil {
			return nil, err
		}
	}
	if !a.Hidden {
		for _, o := range s.observers {
			if err := o.Raised(ctx, a); err != nil {
				return nil, err
			}
		}
	}
	made, err := s.store.CreateAlerts(ctx, []*Alert{a})
	if err != nil || len(made) == 0 {
		return a, err
	}
	entries := []history.Entry{{At: now, By: by, Field: "created", New: string(a.Severity)}}
	if rule != nil {
		entries = append(entries, history.Entry{At: now, By: by, Field: "suppressed", New: rule.ID.String() + " " + rule.Name})
	}
	if err := s.history.AppendHistory(ctx, object(a.Tenant, a.ID), entries...); err != nil {
		return nil, err
	}
	done.created = append(done.created, a)
	return a, nil
}

// merges reports whether a may become part of another alert. The alerts of a custom
// detection rule stay apart: each stands for a row of the rule's result, which is published
// as up to a hundred alerts a run, and the rule's response actions are done to each.
func (a *Alert) merges() bool {
	return a.Title != "" && a.Device != "" && (a.DetectionSource != reportSource || a.Source.Rule == RuleReport)
}

// openLike returns the open alert that a is merged into, nil for none.
func (s *Service) openLike(ctx context.Context, a *Alert, window time.Duration) (*Alert, error) {
	var since time.Time
	if window > 0 {
		since = a.FirstEvent.Add(-window)
	}
	candidates, err := s.store.OpenLike(ctx, a.Tenant, a.Device, a.Title, since, mergeCandidates)
	if err != nil {
		return nil, err
	}
	for _, c := range candidates {
		switch {
		// The store compares without regard to case.
		case c.Title != a.Title:
		case window > 0 && c.FirstEvent.Sub(a.LastEvent) > window:
		// One whose evidence is full is passed over, so that nothing is left out.
		case len(c.Evidence)+len(fresh(c.Evidence, a.Evidence)) > maxEvidence:
		default:
			return c, nil
		}
	}
	return nil, nil
}

// fresh returns the evidence that have does not have yet.
func fresh(have, evidence []Evidence) []Evidence {
	var out []Evidence
	for _, e := range evidence {
		same := func(h Evidence) bool { return sameEntity(h, e) }
		if !slices.ContainsFunc(have, same) && !slices.ContainsFunc(out, same) {
			out = append(out, e)
		}
	}
	return out
}

// merge adds the detection a to the open alert id.
func (s *Service) merge(ctx context.Context, id ident.AlertID, a *Alert, by ident.Actor, now time.Time, done *placed) (*Alert, error) {
	added := 0
	out, err := s.change(ctx, by, a.Tenant, id, now, func(into *Alert) error {
		added = into.join(a, now)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if err := s.store.Absorb(ctx, a.Tenant, a.ID, id); err != nil {
		return nil, err
	}
	// One announcement for several detections of a batch: the last tells it all.
	for i := range done.updated {
		if done.updated[i].Alert.ID == id {
			done.updated[i].Alert, done.updated[i].Added = out, done.updated[i].Added+added
			return out, nil
		}
	}
	if slices.ContainsFunc(done.created, func(c *Alert) bool { return c.ID == id }) {
		i := slices.IndexFunc(done.created, func(c *Alert) bool { return c.ID == id })
		done.created[i] = out
		return out, nil
	}
	done.updated = append(done.updated, Updated{Alert: out, By: by, Added: added})
	return out, nil
}

// join adds what a tells to the alert and returns how many pieces of evidence were new.
func (into *Alert) join(a *Alert, now time.Time) int {
	if !a.FirstEvent.IsZero() && (into.FirstEvent.IsZero() || a.FirstEvent.Before(into.FirstEvent)) {
		into.FirstEvent = a.FirstEvent
	}
	if a.LastEvent.After(into.LastEvent) {
		into.LastEvent = a.LastEvent
	}
	add := fresh(into.Evidence, a.Evidence)
	into.Evidence = append(into.Evidence, add...)
	into.User = cmp.Or(into.User, a.User)
	// What somebody reports joins an alert as it stands; a detection may make it worse.
	if a.Source.Rule != RuleReport && severer(a.Severity, into.Severity) {
		into.Severity = a.Severity
	}
	for _, t := range a.Techniques {
		if !slices.Contains(into.Techniques, t) {
			into.Techniques = append(into.Techniques, t)
		}
	}
	into.Count = max(into.Count, 1) + max(a.Count, 1)
	into.Updated = now
	return len(add)
}

// severities from the least to the most severe.
var severities = []Severity{Informational, Low, Medium, High}

// Rank orders severities: 0 for Informational (and for words that are none) to 3 for High.
func (s Severity) Rank() int { return max(slices.Index(severities, s), 0) }

func severer(a, b Severity) bool { return a.Rank() > b.Rank() }

// sameEntity reports whether two pieces of evidence tell of the same thing, whenever they
// were found.
func sameEntity(a, b Evidence) bool {
	if !a.ProcessCreated.Equal(b.ProcessCreated) || !a.ParentCreated.Equal(b.ParentCreated) {
		return false
	}
	a.Created, a.ProcessCreated, a.ParentCreated = b.Created, b.ProcessCreated, b.ParentCreated
	return a == b
}

func number(n int64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatInt(n, 10)
}
