package demo

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/vedette-edr/vedette/schema/event"
	"github.com/vedette-edr/vedette/wire"
)

var sunday = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// week is all that devices observe, by device.
func week(seed uint64, hostile bool) map[string][]*event.Event {
	c := newCompany(seed, MinDevices, hostile)
	out := map[string][]*event.Event{}
	for _, q := range script(c, sunday, hostile) {
		if q.host != nil {
			out[q.host.name] = append(out[q.host.name], q.events...)
		}
	}
	for _, h := range c.hosts {
		for at := sunday.AddDate(0, 0, -7); at.Before(sunday); at = at.Add(step) {
			out[h.name] = append(out[h.name], everyday(c, h, at, at.Add(step), 1)...)
		}
	}
	return out
}

func TestTheSameSeedTellsTheSameWeek(t *testing.T) {
	first, again := week(7, true), week(7, true)
	for name, events := range first {
		if !reflect.DeepEqual(events, again[name]) { // cmp.Diff takes seconds over so many
			t.Errorf("%s: another week with the same seed", name)
		}
	}
	if len(again) != len(first) || reflect.DeepEqual(first, week(8, true)) {
		t.Error("another seed tells the same week")
	}
}

// What the devices observe must be what a real agent could send: the wire's own check
// accepts each event, nothing lies outside of the week, and what acts has begun before.
func TestWhatDevicesObserveIsPossible(t *testing.T) {
	for name, events := range week(1, true) {
		for _, e := range events {
			if why := wire.CheckEvent(e); why != "" {
				t.Errorf("%s: an event that %s: %+v", name, why, e)
			}
			if e.Time.After(sunday) || e.Time.Before(sunday.AddDate(0, 0, -7)) {
				t.Errorf("%s: an event at %v", name, e.Time)
			}
			if p := e.Initiating; p != nil && p.Start.After(e.Time) {
				t.Errorf("%s: %s acts at %v and begins at %v", name, p.CommandLine, e.Time, p.Start)
			}
		}
	}
}

func TestTheClockOnlyGoesAhead(t *testing.T) {
	var c Clock
	if d := time.Since(c.Now()); d < 0 || d > time.Minute {
		t.Errorf("a new clock is %v off", d)
	}
	start := time.Now().Add(-7 * 24 * time.Hour)
	c.Set(start)
	if d := c.Now().Sub(start); d < 0 || d > time.Minute {
		t.Errorf("set, it is %v off", d)
	}
	c.Set(start.Add(time.Hour))
	before := c.Now()
	c.Set(start)
	if c.Now().Before(before) {
		t.Error("it went back")
	}
	c.Set(time.Now().Add(time.Hour))
	if d := time.Until(c.Now()); d > time.Second {
		t.Errorf("it is %v ahead of the real time", d)
	}
}

func TestADemonstrationIsNotFilledIntoAnotherServer(t *testing.T) {
	dir := t.TempDir()
	for name, c := range map[string]Config{
		"devices": {Devices: MinDevices - 1, Days: 7, Density: 1},
		"days":    {Devices: MinDevices, Days: 1, Density: 1},
		"density": {Devices: MinDevices, Days: 7},
	} {
		c.Server.DataDir = dir
		if err := Run(t.Context(), c); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := sameDemo([]byte(`{"Seed":2,"Devices":60}`), Config{Seed: 1, Devices: 60}); err == nil {
		t.Error("another seed is taken for the same")
	}
}
