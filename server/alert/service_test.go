package alert_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/alert"
	"github.com/vedette-edr/vedette/server/audit"
	"github.com/vedette-edr/vedette/server/bus"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/store"
)

const tenant ident.TenantID = "0a0a0a0a-0000-4000-8000-000000000001"

var analyst = &access.Principal{Actor: ident.Actor{Kind: ident.ActorUser, ID: "u", Name: "ana@example", Tenant: tenant}, Scope: access.Everything}

type fixture struct {
	*alert.Service
	created *bus.Subscription[alert.Created]
	updated *bus.Subscription[alert.Updated]
	log     *audit.Chain
	now     time.Time
}

func setup(t *testing.T) *fixture {
	t.Helper()
	s, err := store.Open(t.Context(), store.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	f := &fixture{now: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC), log: audit.New(s.Audit(), s.Key().Derive("audit"), nil)}
	created, updated := new(bus.Topic[alert.Created]), new(bus.Topic[alert.Updated])
	f.created, f.updated = created.Subscribe(10), updated.Subscribe(10)
	f.Service = alert.NewService(alert.Config{
		Store: s.Alerts(), Audit: f.log, Created: created, Updated: updated, Atomic: s.Atomic, History: s.Histories(), Suppressions: s.Alerts(), Clock: func() time.Time { return f.now },
	})
	return f
}

func (f *fixture) raise(t *testing.T, n int) ident.AlertID {
	t.Helper()
	id := ident.AlertID(fmt.Sprintf("da%d_1", n))
	made, err := f.Raise(t.Context(), []*alert.Alert{{ID: id, Tenant: tenant, Title: "x"}})
	if err != nil || len(made) != 1 {
		t.Fatalf("%v, %v", made, err)
	}
	return id
}

func ptr(s string) *string { return &s }

func TestRaiseOnce(t *testing.T) {
	f := setup(t)
	id := f.raise(t, 1)
	if e := <-f.created.Events(); e.Alert.ID != id || e.Alert.Status != alert.New || !e.Alert.Created.Equal(f.now) {
		t.Errorf("event %+v", e.Alert)
	}
	again, err := f.Raise(t.Context(), []*alert.Alert{{ID: id, Tenant: tenant}})
	if err != nil || len(again) != 0 || len(f.created.Events()) != 0 {
		t.Errorf("raised again: %v, %v, %d events", again, err, len(f.created.Events()))
	}
	if _, err := f.Raise(t.Context(), []*alert.Alert{{ID: "da2_1"}}); !errs.Is(err, errs.Invalid) {
		t.Errorf("without a tenant: %v", err)
	}
}

// TestPairs tries every published pair of classification and determination, and others.
func TestPairs(t *testing.T) {
	f := setup(t)
	id := f.raise(t, 1)
	pairs := map[string][]string{
		"TruePositive":                  {"MultiStagedAttack", "MaliciousUserActivity", "CompromisedUser", "Malware", "Phishing", "UnwantedSoftware", "Other"},
		"InformationalExpectedActivity": {"SecurityTesting", "LineOfBusinessApplication", "ConfirmedUserActivity", "Other"},
		"FalsePositive":                 {"NotMalicious", "InsufficientData", "Other"},
	}
	all := map[string]bool{"SecurityPersonel": true, "nonsense": true}
	for _, ds := range pairs {
		for _, d := range ds {
			all[d] = true
		}
	}
	for c, ds := range pairs {
		for d := range all {
			want := strings.Contains("|"+strings.Join(ds, "|")+"|", "|"+d+"|")
			got, err := f.Update(t.Context(), analyst, id, alert.Change{Classification: ptr(strings.ToLower(c)), Determination: ptr(strings.ToUpper(d))})
			switch {
			case want && (err != nil || got.Classification != c || got.Determination != d):
				t.Errorf("%s/%s: %v", c, d, err)
			case !want && !errs.Is(err, errs.Invalid):
				t.Errorf("%s/%s was taken: %v", c, d, err)
			}
		}
	}
	for _, c := range []struct{ set, want, determination string }{
		{"FalsePositive", "FalsePositive", "Clean"}, {"Informational, expected activity", "InformationalExpectedActivity", "SecurityTesting"},
	} {
		got, err := f.Update(t.Context(), analyst, id, alert.Change{Classification: &c.set, Determination: &c.determination})
		if err != nil || got.Classification != c.want {
			t.Errorf("%s: %v", c.set, err)
		}
	}
	// A new classification takes a determination back that does not go with it.
	got, err := f.Update(t.Context(), analyst, id, alert.Change{Classification: ptr("TruePositive")})
	if err != nil || got.Determination != "" {
		t.Errorf("determination %q, %v", got.Determination, err)
	}
	if _, err = f.Update(t.Context(), analyst, id, alert.Change{Classification: ptr("Unknown"), Determination: ptr("Malware")}); !errs.Is(err, errs.Invalid) {
		t.Errorf("a determination without a classification: %v", err)
	}
}

func TestUpdate(t *testing.T) {
	f := setup(t)
	id := f.raise(t, 1)
	f.now = f.now.Add(time.Hour)
	got, err := f.Update(t.Context(), analyst, id, alert.Change{Status: ptr("resolved"), AssignedTo: ptr("ana@example"), Comment: "seen"})
	if err != nil {
		t.Fatal(err)
	}
	if got.Status != alert.Resolved || !got.Resolved.Equal(f.now) || !got.Updated.Equal(f.now) || got.AssignedTo != "ana@example" ||
		len(got.Comments) != 1 || got.Comments[0].By != "ana@example" {
		t.Errorf("updated %+v", got)
	}
	got, err = f.Update(t.Context(), analyst, id, alert.Change{Status: ptr("InProgress")})
	if err != nil || !got.Resolved.IsZero() {
		t.Errorf("reopened %+v, %v", got, err)
	}
	for name, c := range map[string]alert.Change{
		"nothing": {}, "status": {Status: ptr("Closed")}, "no status": {Status: ptr("")}, "long comment": {Comment: strings.Repeat("x", 5000)},
		"long assignee": {AssignedTo: ptr(strings.Repeat("x", 300))}, "classification": {Classification: ptr("Maybe")},
	} {
		if _, err := f.Update(t.Context(), analyst, id, c); !errs.Is(err, errs.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := len(f.updated.Events()); n != 2 {
		t.Errorf("%d events of 2 changes", n)
	}
	records, err := f.log.Records(t.Context(), tenant, 0, 10)
	if err != nil || len(records) != 2 || records[0].Verb != "alert.update" || records[0].Object != string(id) || records[0].Actor != analyst.Actor {
		t.Errorf("audit %+v, %v", records, err)
	}
}

func TestUpdateManyIsAllOrNothing(t *testing.T) {
	f := setup(t)
	a, b := f.raise(t, 1), f.raise(t, 2)
	c := alert.Change{Status: ptr("Resolved")}
	if _, err := f.UpdateMany(t.Context(), analyst, []ident.AlertID{a, "da9_9"}, c); !errs.Is(err, errs.NotFound) {
		t.Errorf("one of two is not there: %v", err)
	}
	got, err := f.Get(t.Context(), tenant, a)
	if err != nil || got.Status != alert.New || len(f.updated.Events()) != 0 {
		t.Errorf("the first was changed: %v, %v", got.Status, err)
	}
	if rs, err := f.log.Records(t.Context(), tenant, 0, 10); err != nil || len(rs) != 0 {
		t.Errorf("audit of what did not happen: %v, %v", rs, err)
	}
	if _, err := f.UpdateMany(t.Context(), analyst, []ident.AlertID{a, b}, c); err != nil {
		t.Fatal(err)
	}
	stranger := &access.Principal{Actor: ident.Actor{Tenant: "other"}, Scope: access.Everything}
	if _, err := f.Update(t.Context(), stranger, a, c); !errs.Is(err, errs.NotFound) {
		t.Errorf("across tenants: %v", err)
	}
}
