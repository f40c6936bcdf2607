package detection

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vedette-edr/vedette/kql/types"
	"github.com/vedette-edr/vedette/schema"
)

// TestFile is the file beside a rule that proves it: cases whose events raise alerts, and
// cases whose events must not.
type TestFile struct {
	Fires  []Case `yaml:"fires"`
	Silent []Case `yaml:"silent"`
}

// Case is events in their order, and how many alerts they raise.
type Case struct {
	Name   string      `yaml:"name"`
	Alerts int         `yaml:"alerts"` // of a case that fires; 0 for one
	Title  string      `yaml:"title"`  // that the first alert has; "" for any
	Events []TestEvent `yaml:"events"`
}

// TestEvent is one event by its columns, or several that come one after the other.
type TestEvent struct {
	Table  string   `yaml:"table"`
	After  Duration `yaml:"after"`  // the event before it; the first is at the case's beginning
	Device string   `yaml:"device"` // any text; "" for the case's one device
	Repeat int      `yaml:"repeat"` // 0 for once
	Every  Duration `yaml:"every"`  // between repetitions; 0 for a millisecond
	// Columns are the event's cells. In a text, {n} is the number of the repetition, from 1.
	Columns map[string]any `yaml:"columns"`
}

// Bounds of a case, and of all of a file together.
const (
	maxTestEvents = 20_000
	maxTestTotal  = 100_000
)

// ParseTests reads a test file.
func ParseTests(text []byte) (*TestFile, error) {
	var f TestFile
	if err := decode(text, &f); err != nil {
		return nil, err
	}
	return &f, nil
}

// Outcome is how one case went; Why is "" when it went as it should.
type Outcome struct {
	Case   string `json:"case"`
	Alerts int    `json:"alerts"`
	Why    string `json:"why,omitempty"`
}

// Run runs the cases on a rule, each with a memory of its own. The outcomes tell of every
// case; a file without a case that fires, or without one that stays silent, proves nothing
// and is a failed outcome itself.
func (f *TestFile) Run(c *Compiled) []Outcome {
	var out []Outcome
	if len(f.Fires) == 0 {
		out = append(out, Outcome{Case: "fires", Why: "there is no case that fires"})
	}
	if len(f.Silent) == 0 {
		out = append(out, Outcome{Case: "silent", Why: "there is no case that stays silent"})
	}
	total := 0
	run := func(k *Case, want int) {
		// Whoever imports a rule has the server run its tests: they are bounded.
		for _, e := range k.Events {
			total += max(e.Repeat, 1)
		}
		if total > maxTestTotal {
			out = append(out, Outcome{Case: k.Name, Why: fmt.Sprintf("the cases have more than %d events together", maxTestTotal)})
			return
		}
		out = append(out, k.run(c, want))
	}
	for i := range f.Fires {
		run(&f.Fires[i], max(f.Fires[i].Alerts, 1))
	}
	for i := range f.Silent {
		run(&f.Silent[i], 0)
	}
	return out
}

// Red returns the outcomes that are not as they should be, as an error; nil for none.
func Red(list []Outcome) error {
	var ps Problems
	for _, o := range list {
		if o.Why != "" {
			ps.add(o.Case, "%s", o.Why)
		}
	}
	return ps.or()
}

func (k *Case) run(c *Compiled, want int) Outcome {
	o := Outcome{Case: k.Name}
	if k.Name == "" {
		o.Why = "the case has no name"
		return o
	}
	records, err := k.records()
	if err != nil {
		o.Why = err.Error()
		return o
	}
	var titles []string
	err = NewSet([]*Compiled{c}, nil).Match(NewState(0), slices.Values(records), func(f *Finding) { titles = append(titles, f.Title) })
	o.Alerts = len(titles)
	switch {
	case err != nil:
		o.Why = err.Error()
	case len(titles) != want:
		o.Why = fmt.Sprintf("raises %d alerts, want %d", len(titles), want)
	case k.Title != "" && titles[0] != k.Title:
		o.Why = fmt.Sprintf("the alert's title is %q, want %q", titles[0], k.Title)
	}
	return o
}

// epoch is when cases begin; any instant does.
var epoch = time.Date(2026, 1, 5, 9, 0, 0, 0, time.UTC)

func (k *Case) records() ([]*Record, error) {
	var out []*Record
	if len(k.Events) == 0 {
		return nil, fmt.Errorf("the case has no events")
	}
	at := epoch
	for i := range k.Events {
		e := &k.Events[i]
		at = at.Add(time.Duration(e.After))
		for n := 1; n <= max(e.Repeat, 1); n++ {
			if len(out) == maxTestEvents {
				return nil, fmt.Errorf("the case has more than %d events", maxTestEvents)
			}
			if n > 1 {
				at = at.Add(max(time.Duration(e.Every), time.Millisecond))
			}
			r, err := e.record(at, int64(len(out)+1), n)
			if err != nil {
				return nil, fmt.Errorf("event %d: %w", i+1, err)
			}
			out = append(out, r)
		}
	}
	return out, nil
}

func (e *TestEvent) record(at time.Time, report int64, n int) (*Record, error) {
	t, ok := schema.Lookup(e.Table)
	if !ok || !streamed(e.Table) {
		return nil, fmt.Errorf("%q is no table of events: those are %s", e.Table, strings.Join(streamTables(), ", "))
	}
	if s, _ := e.Columns["ActionType"].(string); s == "" {
		return nil, fmt.Errorf("ActionType is missing")
	}
	name := e.Device
	if name == "" {
		name = "host"
	}
	row := map[string]types.Value{
		"Timestamp": types.NewDatetime(types.FromTime(at)), "IngestionTime": types.NewDatetime(types.FromTime(at)), "RawTimestamp": types.NewDatetime(types.FromTime(at)),
		"DeviceId": types.NewString(name), "DeviceName": types.NewString(name), "ReportId": types.NewLong(report),
	}
	for name, v := range e.Columns {
		c, ok := t.Column(name)
		if !ok || !c.Stored() {
			return nil, fmt.Errorf("the table %s has no column %q", e.Table, name)
		}
		cell := types.NewString(strings.ReplaceAll(fmt.Sprint(v), "{n}", strconv.Itoa(n)))
		typ := c.Type
		if c.JSON {
			typ = types.String
		}
		if row[name] = types.Convert(cell, typ); row[name].Null {
			return nil, fmt.Errorf("%v is no %s for column %s", v, typ, name)
		}
	}
	r := FromRow(e.Table, row)
	return &r, nil
}
