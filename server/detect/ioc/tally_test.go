package ioc

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vedette-edr/vedette/schema/event"
	"github.com/vedette-edr/vedette/server/indicator"
)

// ledger keeps tallies as a store does.
type ledger struct {
	rows map[indicator.TallyKey]indicator.Tally
	fail error
}

func (l *ledger) AddTallies(_ context.Context, ts []indicator.Tally) error {
	if l.fail != nil {
		return l.fail
	}
	if l.rows == nil {
		l.rows = map[indicator.TallyKey]indicator.Tally{}
	}
	for _, t := range ts {
		if have, ok := l.rows[t.TallyKey]; ok {
			t.Add(&have)
		}
		l.rows[t.TallyKey] = t
	}
	return nil
}

func (l *ledger) names() []string {
	out := []string{}
	for k := range l.rows {
		noun := RuleIOC
		if k.Noun == indicator.AnIndicator {
			noun = RuleIndicator
		}
		out = append(out, fmt.Sprintf("%s/%d", noun, k.ID))
	}
	slices.Sort(out)
	return out
}

// counted is a rig whose matcher counts into a ledger.
func counted(t *testing.T) (*rig, *ledger) {
	r, l := newRig(t), &ledger{}
	r.m.tally = newTally(l)
	return r, l
}

func TestWhatIsSeenOfAnIndicatorIsCountedOnce(t *testing.T) {
	r, l := counted(t)
	r.indicator(1, indicator.IPAddress, indicator.Block, "192.0.2.1")
	r.indicator(2, indicator.IPAddress, indicator.Allowed, "192.0.2.2")
	p := curl(1)
	refused := connect("ExploitGuardNetworkProtectionBlocked", "192.0.2.1", "", p, start.Add(2*time.Second))
	refused.Table, refused.Additional = event.DeviceEvents, `{"IsAudit":false,"ResponseCategory":"CustomBlockList","IndicatorId":1,"Repeated":4}`
	b := r.batch(
		connect("ConnectionAttempt", "192.0.2.1", "", p, start),
		refused,
		connect("ConnectionSuccess", "192.0.2.2", "", p, start.Add(time.Hour)), // by a clock that is wrong
	)
	r.match(b)
	l.fail = errors.New("full")
	if err := r.m.Flush(t.Context()); err == nil {
		t.Error("a store that takes nothing is no error")
	}
	r.match(b) // sent again
	l.fail = nil
	for range 2 {
		if err := r.m.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	key := indicator.TallyKey{Tenant: acme, Noun: indicator.AnIndicator, ID: 1, Device: "d1"}
	other := key
	other.ID = 2
	want := map[indicator.TallyKey]indicator.Tally{
		key:   {TallyKey: key, Matches: 6, Blocks: 5, Alerts: 1, First: start, Last: start},
		other: {TallyKey: other, Matches: 1, First: start, Last: start},
	}
	if d := cmp.Diff(want, l.rows); d != "" {
		t.Error(d)
	}
}

func TestABlockIsTheOneThatTheDeviceNames(t *testing.T) {
	r, l := counted(t)
	r.ioc(1, indicator.IPAddress, indicator.Equals, "192.0.2.1")
	r.indicator(9, indicator.IPAddress, indicator.Audit, "192.0.2.0/24")
	e := connect("ExploitGuardNetworkProtectionBlocked", "192.0.2.1", "", curl(1), start)
	e.Additional = `{"IndicatorId":12}` // changed since
	as := r.match(r.batch(e))
	if got := sources(as); got != "ioc/1 indicator/9" {
		t.Fatalf("hits %q", got)
	}
	if err := r.m.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	for k, x := range l.rows {
		if x.Blocks != 0 || x.Matches != 1 {
			t.Errorf("%+v: %+v", k, x)
		}
	}
}

func TestEvidenceSaysWhatTheDeviceDid(t *testing.T) {
	for _, c := range []struct{ action, additional, want string }{
		{"ConnectionSuccess", "", "Detected"},
		{"ExploitGuardNetworkProtectionBlocked", `{"IndicatorId":1}`, "Blocked"},
		{"FirewallInboundConnectionBlocked", `not JSON`, "Blocked"},
		{"ExploitGuardNetworkProtectionAudited", `{"IsAudit":true}`, "Detected"},
		{"AntivirusDetection", `{"Action":"Blocked"}`, "Blocked"},
		{"AntivirusDetection", `{"Action":"Killed"}`, "Blocked"},
		{"AntivirusDetection", `{"Action":"Quarantined"}`, "Remediated"},
		{"AntivirusDetection", `{"Action":"Audited","IsAudit":true}`, "Detected"},
		{"AntivirusDetection", `{"Action":7}`, "Detected"},
		{"SmartScreenAppWarning", `{"Action":"Warned"}`, "Detected"},
	} {
		if got := statusOf(&event.Event{Action: c.action, Additional: c.additional}); got != c.want {
			t.Errorf("%s %s: %s, want %s", c.action, c.additional, got, c.want)
		}
	}
}

// TestMadeUpProcessesDoNotMakeAlerts lets a device name a new process in every event.
func TestMadeUpProcessesDoNotMakeAlerts(t *testing.T) {
	r := newRig(t)
	r.ioc(1, indicator.IPAddress, indicator.Equals, "192.0.2.1")
	ids := map[string]bool{}
	for batch := range 20 {
		b := r.batch()
		for n := range 500 {
			b.Events = append(b.Events, connect("ConnectionSuccess", "192.0.2.1", "", curl(uint64(1+batch*500+n)), start.Add(time.Duration(batch)*time.Second)))
		}
		for range 2 { // a batch that is sent again gives the same alerts
			for _, a := range r.match(b) {
				ids[string(a.ID)] = true
			}
		}
	}
	if len(ids) != maxProcesses+1 {
		t.Errorf("10,000 processes made %d alerts, want %d", len(ids), maxProcesses+1)
	}
	if n := r.m.Stats().Flooded; n == 0 {
		t.Error("nothing says that there were more")
	}
	later := start.Add(DefaultWindow + time.Minute)
	if got := len(r.match(r.batch(connect("ConnectionSuccess", "192.0.2.1", "", curl(99999), later)))); got != 1 {
		t.Errorf("in the next window a process raised %d alerts", got)
	}
}

func TestExpiredRowsGiveTheirRoomBack(t *testing.T) {
	r := newRig(t)
	end := start.Add(time.Hour)
	var cs []indicator.Change
	for n := range 2000 {
		i := nth(n)
		if n%2 == 0 {
			i.Expires = end
		}
		cs = append(cs, indicator.Change{Noun: indicator.AnIOC, ID: int64(n + 1), IOC: i})
	}
	r.apply(cs...)
	r.m.startMerge(r.m.live(acme), true)
	r.m.merges.Wait()
	hit := func() bool {
		return len(r.match(r.batch(connect("ConnectionSuccess", "45.0.0.4", "", curl(1), r.now)))) == 1
	}
	if r.now = end.Add(-time.Nanosecond); !hit() {
		t.Error("an IOC is not in force before its expiry")
	}
	if r.now = end; hit() {
		t.Error("an IOC is in force at its expiry")
	}
	if n := r.m.Stats().Rows; n != 2000 {
		t.Fatalf("%d rows", n)
	}
	r.m.Reclaim()
	r.m.merges.Wait()
	if n := r.m.Stats().Rows; n != 1000 {
		t.Errorf("%d rows are held, 1000 are in force", n)
	}
}

func TestPrecedenceOfAddresses(t *testing.T) {
	r := newRig(t)
	r.indicator(1, indicator.IPAddress, indicator.Block, "10.0.0.0/8")
	r.indicator(2, indicator.IPAddress, indicator.Audit, "10.1.0.0/16")
	r.indicator(3, indicator.IPAddress, indicator.Block, "10.1.2.0/24")
	r.indicator(4, indicator.IPAddress, indicator.Allowed, "10.1.2.128/25")
	r.indicator(5, indicator.IPAddress, indicator.Block, "10.1.2.200")
	r.indicator(6, indicator.IPAddress, indicator.Block, "2001:db8::/32")
	for n, c := range []struct{ ip, want string }{
		{"10.9.9.9", "indicator/1"},
		{"10.1.9.9", "indicator/1"}, // Block goes before Audit, however narrow
		{"10.1.2.9", "indicator/3"},
		{"10.1.2.129", ""},
		{"10.1.2.200", ""}, // an allowed range goes before every block within
		{"2001:db8::9", "indicator/6"},
		{"2001:db9::9", ""},
	} {
		if got := sources(r.match(r.batch(connect("ConnectionSuccess", c.ip, "", curl(uint64(n+1)), start)))); got != c.want {
			t.Errorf("%s: %q, want %q", c.ip, got, c.want)
		}
	}
}
