package fleetsim_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/indicator"
)

// feed is a gateway.Indicators whose changes are a list: revision n is after n changes.
type feed struct {
	mu      sync.Mutex
	changes []indicator.Entry
}

func (f *feed) add(es ...indicator.Entry) indicator.Revision {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.changes = append(f.changes, es...)
	return indicator.Revision(len(f.changes))
}

func (f *feed) Revision(ident.TenantID) indicator.Revision {
	f.mu.Lock()
	defer f.mu.Unlock()
	return indicator.Revision(len(f.changes))
}

func (f *feed) Enforcing(_ context.Context, _ ident.TenantID, since indicator.Revision) (*indicator.Enforcement, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	e := &indicator.Enforcement{Revision: indicator.Revision(len(f.changes)), Full: since == 0}
	last := map[ident.IndicatorID]int{}
	for i, c := range f.changes[since:] {
		last[c.ID] = i
	}
	for i, c := range f.changes[since:] {
		if last[c.ID] == i && (c.Indicator != nil || !e.Full) {
			e.Entries = append(e.Entries, c)
		}
	}
	return e, nil
}

func blocked(id int64, value string, groups ...string) indicator.Entry {
	return indicator.Entry{ID: ident.IndicatorID(id), Indicator: &indicator.Indicator{ID: ident.IndicatorID(id), Type: "IpAddress",
		Value: value, Action: "Block", Expires: time.Now().Add(time.Hour), GroupIDs: groups}}
}

func TestEnforcingIndicatorsReachDevicesAndAreAcknowledged(t *testing.T) {
	s := start(t)
	var many []indicator.Entry
	for i := range 45_000 { // three parts
		many = append(many, blocked(int64(i+1), fmt.Sprintf("198.18.%d.%d", i>>8&255, i&255)))
	}
	many = append(many, blocked(100_001, "203.0.113.1", "0"), blocked(100_002, "203.0.113.2", "77"))
	first := s.feed.add(many...)
	d := s.enrolled(1, nil).Devices()[0]
	if err := d.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the whole set", func() bool { _, r := d.Enforced(); return r == uint64(first) })
	set, _ := d.Enforced()
	if len(set) != 45_001 || set[100_001] == nil || set[100_002] != nil {
		t.Errorf("%d indicators; of the device's group: %v, of another: %v", len(set), set[100_001], set[100_002])
	}
	eventually(t, "the acknowledgement", func() bool { return s.device(d.ID()).Indicators == uint64(first) })

	second := s.feed.add(blocked(5, "192.0.2.5"), indicator.Entry{ID: 6}, blocked(100_003, "203.0.113.3"))
	s.gateway.NudgeIndicators(tenant, second)
	begin := time.Now()
	eventually(t, "the difference", func() bool { _, r := d.Enforced(); return r == uint64(second) })
	t.Logf("in force %v after the nudge", time.Since(begin))
	set, _ = d.Enforced()
	if len(set) != 45_001 || set[5].Value != "192.0.2.5" || set[6] != nil || set[100_003] == nil {
		t.Errorf("%d indicators after the difference: %v %v %v", len(set), set[5], set[6], set[100_003])
	}
	eventually(t, "the acknowledgement", func() bool { return s.device(d.ID()).Indicators == uint64(second) })
}
