package hunt_test

import (
	"testing"
	"time"

	"github.com/vedette-edr/vedette/schema/event"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/hunt"
)

// reports returns the tables and reports of a timeline's rows in their order.
func reports(t *testing.T, l *hunt.Timeline) (tables []string, ids []int64) {
	t.Helper()
	at := map[string]int{}
	for i, c := range l.Columns {
		at[c.Name] = i
	}
	for row, err := range l.Rows.All() {
		if err != nil {
			t.Fatal(err)
		}
		tables, ids = append(tables, row[at[hunt.TimelineTable]].S), append(ids, row[at["ReportId"]].I)
	}
	if _, ok := at["TimelineDistance"]; ok {
		t.Error("the column that chose the rows is among the answer")
	}
	return tables, ids
}

func TestTimelineIsOneDevicesAndInOrder(t *testing.T) {
	f := setup(t)
	events := examples()
	f.rows.Add(tenantA, origin(1), events...)
	f.rows.Add(tenantA, origin(2), events...)
	f.rows.Add(tenantB, origin(1), events...)
	l, err := f.Timeline(t.Context(), tenantA, device(1), hunt.Stretch{From: noon, To: noon.Add(time.Hour), Near: noon, Most: 100})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	tables, ids := reports(t, l)
	if len(tables) != len(events) || l.Cut {
		t.Fatalf("%d events of %d, cut %v", len(tables), len(events), l.Cut)
	}
	for i, e := range events {
		if tables[i] != e.Table.String() || ids[i] != 100+int64(i) {
			t.Errorf("event %d is %d of %s, want %d of %s", i, ids[i], tables[i], 100+i, e.Table)
		}
	}
}

// TestTimelineKeepsWhatIsNearest cuts a stretch that has more than may be answered: the events
// around the time that matters stay.
func TestTimelineKeepsWhatIsNearest(t *testing.T) {
	f := setup(t)
	var events []*event.Event
	for i := range 20 {
		events = append(events, &event.Event{Table: event.DeviceEvents, Action: "Something", Time: noon.Add(time.Duration(i) * time.Minute)})
	}
	f.rows.Add(tenantA, origin(1), events...)
	l, err := f.Timeline(t.Context(), tenantA, device(1), hunt.Stretch{From: noon, To: noon.Add(time.Hour), Near: noon.Add(10 * time.Minute), Most: 5})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, ids := reports(t, l)
	if want := []int64{108, 109, 110, 111, 112}; !l.Cut || len(ids) != 5 || ids[0] != want[0] || ids[4] != want[4] {
		t.Errorf("events %v, cut %v; want %v, cut", ids, l.Cut, want)
	}
	for name, at := range map[string]hunt.Stretch{"no events": {From: noon, To: noon.Add(1)}, "backwards": {From: noon, To: noon.Add(-1), Most: 1}} {
		if _, err := f.Timeline(t.Context(), tenantA, device(1), at); !errs.Is(err, errs.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := f.Timeline(t.Context(), tenantA, `x" or 1 == 1 //`, hunt.Stretch{From: noon, To: noon.Add(1), Most: 1}); !errs.Is(err, errs.NotFound) {
		t.Errorf("a device that is none: %v", err)
	}
}
