package graph

import (
	"testing"
	"time"

	"github.com/vedette-edr/vedette/server/alert"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/filter"
	"github.com/vedette-edr/vedette/server/incident"
)

// TestTimespans holds the published examples of runHuntingQuery's Timespan, and others,
// against what they mean.
func TestTimespans(t *testing.T) {
	now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	day := 24 * time.Hour
	for s, want := range map[string][2]time.Time{
		"":           {},
		"P90D":       {now.Add(-90 * day)},
		"PT36H":      {now.Add(-36 * time.Hour)},
		"P1DT2H3M4S": {now.Add(-day - 2*time.Hour - 3*time.Minute - 4*time.Second)},
		"2024-02-01T08:00:00Z/2024-02-15T08:00:00Z": {time.Date(2024, 2, 1, 8, 0, 0, 0, time.UTC), time.Date(2024, 2, 15, 8, 0, 0, 0, time.UTC)},
		"2024-02-01T08:00:00Z/P30D":                 {time.Date(2024, 2, 1, 8, 0, 0, 0, time.UTC), time.Date(2024, 3, 2, 8, 0, 0, 0, time.UTC)},
		"P1D/2024-02-02T00:00:00Z":                  {time.Date(2024, 2, 1, 0, 0, 0, 0, time.UTC), time.Date(2024, 2, 2, 0, 0, 0, 0, time.UTC)},
	} {
		from, to, err := timespan(s, now)
		if err != nil || !from.Equal(want[0]) || !to.Equal(want[1]) {
			t.Errorf("%s: %v to %v, %v", s, from, to, err)
		}
	}
	for _, s := range []string{"P", "30D", "PT", "P1H", "P9999Y", "/", "P1D/P1D", "2024-02-02T00:00:00Z/2024-02-01T00:00:00Z", "x/y"} {
		if from, to, err := timespan(s, now); !errs.Is(err, errs.Invalid) {
			t.Errorf("%s: %v to %v, %v", s, from, to, err)
		}
	}
}

// TestTheVocabularyIsWhole finds properties that name no field of their noun, and checks
// what they make of a predicate.
func TestTheVocabularyIsWhole(t *testing.T) {
	if n := len(alertWords.fields); n != 14 {
		t.Errorf("%d properties of alerts can be filtered by", n)
	}
	if n := len(incidentWords.fields); n != 11 {
		t.Errorf("%d properties of incidents can be filtered by", n)
	}
	for name, v := range map[string]*vocabulary{"alert": alertWords, "incident": incidentWords} {
		noun := map[string]filter.Schema{"alert": alert.Fields, "incident": incident.Fields}[name]
		for _, f := range v.fields {
			value := filter.Value{Type: f.Type, S: "7", T: time.Unix(1, 0)}
			if f.Type == filter.List {
				continue
			}
			e, err := v.expr(filter.Not{Term: filter.And{filter.Compare{Field: f, Value: value}, filter.In{Field: f, Values: []filter.Value{value, {Null: true}}}}})
			if err == nil {
				err = filter.Check(noun, e)
			}
			if err != nil {
				t.Errorf("%s %s: %v", name, f.Name, err)
			}
		}
	}
	f, _ := alertWords.fields.Find("determination")
	e, err := alertWords.expr(filter.Compare{Field: f, Value: filter.Value{S: "compromisedAccount"}})
	if c, ok := e.(filter.Compare); !ok || err != nil || c.Value.S != "CompromisedUser" {
		t.Errorf("determination: %v, %v", e, err)
	}
	e, err = alertWords.expr(filter.Compare{Field: f, Value: filter.Value{S: "unknown"}})
	if c, ok := e.(filter.Compare); !ok || err != nil || !c.Value.Null {
		t.Errorf("unknown: %v, %v", e, err)
	}
}
