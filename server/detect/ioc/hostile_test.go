package ioc

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/vedette-edr/vedette/schema/event"
	"github.com/vedette-edr/vedette/server/indicator"
)

// TestHostileEventsAreCheap sends what no device should: none may cost more than a few
// milliseconds, whatever indicators there are.
func TestHostileEventsAreCheap(t *testing.T) {
	r := newRig(t)
	var changes []indicator.Change
	for n := range 2000 {
		f := indicator.Functions()[1+n%3]
		changes = append(changes, indicator.Change{Noun: indicator.AnIOC, ID: int64(n + 1), IOC: &indicator.IOC{
			Definition: 1, Type: indicator.Domain, Function: f, Value: strings.Repeat("a", n%250+2), Enabled: true,
		}})
	}
	r.apply(changes...)
	r.indicator(1, indicator.URL, indicator.Block, "x.test/a")
	r.indicator(2, indicator.Domain, indicator.Block, "y.test")
	r.m.startMerge(r.m.live(acme), true)
	r.m.Close()
	const mega = 1 << 20
	long := strings.Repeat("a", mega)
	for name, e := range map[string]*event.Event{
		"long name":    connect("a", "", long, nil, start),
		"many labels":  connect("a", "", strings.Repeat("a.", mega/2), nil, start),
		"long path":    connect("a", "", "http://x.test"+strings.Repeat("/a", mega/2), nil, start),
		"long address": connect("a", long, "", nil, start),
		"long hash":    {File: &event.File{SHA1: long, SHA256: long, MD5: long}},
		"long answer":  {Action: "DnsQueryResponse", Additional: `{"DnsQueryString":"` + strings.Repeat("é", mega) + `"}`},
		"no bytes":     connect("a", "::ffff:", "://@:/?#", nil, time.Time{}),
		"bad UTF-8":    connect("a", "\xff", "http://\xff\xfe/\xff", nil, time.Unix(1<<62, 0)),
	} {
		began := time.Now()
		const rounds = 20
		for range rounds {
			r.match(r.batch(e))
		}
		// Generous, for a loaded machine: without bounds some of these take seconds.
		took := time.Since(began) / rounds
		t.Logf("%s: %v", name, took)
		if took > 50*time.Millisecond {
			t.Errorf("%s: %v", name, took)
		}
	}
}

func TestJSONStringAgreesWithTheDecoder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := map[string]string{}
		for range rapid.IntRange(0, 4).Draw(t, "members") {
			m[rapid.SampledFrom([]string{"DnsQueryString", "a", "b"}).Draw(t, "name")] = rapid.OneOf(rapid.String(), rapid.Just("DnsQueryString")).Draw(t, "value")
		}
		b, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		var back map[string]string
		if err := json.Unmarshal(b, &back); err != nil {
			t.Fatal(err)
		}
		if got := jsonString(string(b), "DnsQueryString"); got != back["DnsQueryString"] {
			t.Fatalf("%s: %q", b, got)
		}
	})
}
