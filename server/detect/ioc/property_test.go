package ioc

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/vedette-edr/vedette/schema/event"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/indicator"
	"github.com/vedette-edr/vedette/server/telemetry"
)

const acme = ident.TenantID("7e7c4e3e-1b8e-4a6e-9f1e-0c6b1a5d2f10")

// model is the matcher written the plainest way: every row is compared with every
// observable, with the standard library's own functions.
type model struct {
	group       string // of the device
	definitions map[int64]*indicator.Definition
	iocs        map[int64]*indicator.IOC
	indicators  map[int64]*indicator.Indicator
}

func newModel() *model {
	return &model{"7", map[int64]*indicator.Definition{}, map[int64]*indicator.IOC{}, map[int64]*indicator.Indicator{}}
}

// Indicator makes the model the source of texts for the matcher.
func (m *model) Indicator(_ context.Context, _ ident.TenantID, id ident.IndicatorID) (*indicator.Indicator, error) {
	if i := m.indicators[int64(id)]; i != nil {
		return i, nil
	}
	return nil, errs.New("model", errs.NotFound, errs.ResourceNotFound, "indicator %d", id)
}

// DeviceGroup makes the model the source of groups.
func (m *model) DeviceGroup(context.Context, ident.TenantID, ident.DeviceID) (string, error) {
	return m.group, nil
}

func (m *model) apply(c indicator.Change) {
	switch {
	case c.Noun == indicator.ADefinition && c.Deleted():
		delete(m.definitions, c.ID)
	case c.Noun == indicator.ADefinition:
		m.definitions[c.ID] = c.Definition
	case c.Noun == indicator.AnIOC && c.Deleted():
		delete(m.iocs, c.ID)
	case c.Noun == indicator.AnIOC:
		m.iocs[c.ID] = c.IOC
	case c.Deleted():
		delete(m.indicators, c.ID)
	default:
		m.indicators[c.ID] = c.Indicator
	}
}

// observed is what one test event shows: at most one of each kind.
type observed struct{ ip, domain, sha1, sha256, md5 string }

// hits returns the rows that raise an alert and all rows that are met, allowed ones
// included.
func (m *model) hits(o observed, now time.Time) (raised, met []string) {
	raised, met = []string{}, []string{}
	for id, i := range m.iocs {
		d := m.definitions[int64(i.Definition)]
		if !i.Enabled || d == nil || !d.Enabled || !i.Expires.IsZero() && !i.Expires.After(now) {
			continue
		}
		text := map[indicator.Type]string{
			indicator.IPAddress: o.ip, indicator.Domain: o.domain,
			indicator.SHA1: o.sha1, indicator.SHA256: o.sha256, indicator.MD5: o.md5,
		}[i.Type]
		if text != "" && naive(i, text) {
			raised = append(raised, fmt.Sprintf("ioc/%d", id))
		}
	}
	met = append(met, raised...)
	// Of indicators one decides: in the order of types and of narrower before wider, or for
	// addresses by what goes before what.
	var best int64
	var bestOrder []int
	for id, i := range m.indicators {
		if !i.Expires.IsZero() && !i.Expires.After(now) || len(i.GroupIDs) > 0 && !slices.Contains(i.GroupIDs, m.group) {
			continue
		}
		if order := orderOf(i, o); order != nil && (best == 0 || slices.Compare(order, bestOrder) < 0) {
			best, bestOrder = id, order
		}
	}
	if best != 0 {
		name := fmt.Sprintf("indicator/%d", best)
		met = append(met, name)
		if m.indicators[best].Alerts() {
			raised = append(raised, name)
		}
	}
	slices.Sort(raised)
	slices.Sort(met)
	return raised, met
}

// orderOf says where an indicator stands among those that an observation meets, the least
// first; nil when it is not met. Test events show either hashes, or a domain, or an
// address.
func orderOf(i *indicator.Indicator, o observed) []int {
	switch i.Type {
	case indicator.FileSHA256:
		if o.sha256 == i.Value {
			return []int{1}
		}
	case indicator.FileSHA1:
		if o.sha1 == i.Value {
			return []int{2}
		}
	case indicator.FileMD5:
		if o.md5 == i.Value {
			return []int{3}
		}
	case indicator.Domain:
		if o.domain == i.Value || o.domain != "" && strings.HasSuffix(o.domain, "."+i.Value) {
			return []int{-len(i.Value)}
		}
	case indicator.IPAddress:
		if o.ip == "" {
			return nil
		}
		p, err := netip.ParsePrefix(i.Value)
		if err != nil {
			p = netip.PrefixFrom(netip.MustParseAddr(i.Value), netip.MustParseAddr(i.Value).BitLen())
		}
		if !p.Contains(netip.MustParseAddr(o.ip)) {
			return nil
		}
		rank := map[indicator.Action]int{indicator.Allowed: 1, indicator.Warn: 2, indicator.Block: 3}[i.Action]
		if rank == 0 {
			rank = 4
		}
		return []int{rank, -p.Bits()}
	}
	return nil
}

func naive(i *indicator.IOC, text string) bool {
	switch i.Function {
	case indicator.StartWith:
		return strings.HasPrefix(text, i.Value)
	case indicator.EndWith:
		return strings.HasSuffix(text, i.Value)
	case indicator.Contains:
		return strings.Contains(text, i.Value)
	}
	if p, err := netip.ParsePrefix(i.Value); err == nil && i.Type == indicator.IPAddress {
		return p.Contains(netip.MustParseAddr(text))
	}
	return i.Value == text
}

// Small alphabets, so that values meet.
var (
	ips     = []string{"10.0.0.1", "10.0.0.2", "10.0.1.1", "127.0.0.77", "2001:db8::1", "2001:db8::2", "192.0.2.200"}
	ranges  = []string{"10.0.0.0/24", "10.0.0.0/8", "127.0.0.64/26", "2001:db8::/32", "2001:db8::/126", "192.0.2.200/31"}
	domains = []string{"evil.test", "a.evil.test", "b.a.evil.test", "good.test", "test", "xn--bcher-kva.test", "ab.abab.test"}
	parts   = []string{"e", "evil", ".test", "ab", "abab", "a", "test", "b.a", "il.te", "bab", "xn--"}
	digits  = []string{"0", "1"}
)

func hashOf(t *rapid.T, name string, n int) string {
	return strings.Repeat(rapid.SampledFrom(digits).Draw(t, name), n-1) + rapid.SampledFrom(digits).Draw(t, name)
}

func drawIOC(t *rapid.T) *indicator.IOC {
	i := &indicator.IOC{
		Definition: ident.DefinitionID(rapid.Int64Range(1, 3).Draw(t, "definition")),
		Function:   rapid.SampledFrom(indicator.Functions()).Draw(t, "function"),
		Type:       rapid.SampledFrom(indicator.IOCTypes()).Draw(t, "type"),
		Enabled:    rapid.IntRange(0, 9).Draw(t, "enabled") > 0,
	}
	size := map[indicator.Type]int{indicator.SHA1: 40, indicator.SHA256: 64, indicator.MD5: 32}[i.Type]
	switch {
	case size > 0 && i.Function == indicator.Equals:
		i.Value = hashOf(t, "hash", size)
	case size > 0:
		i.Value = strings.Repeat(rapid.SampledFrom(digits).Draw(t, "digit"), rapid.IntRange(1, size).Draw(t, "n"))
	case i.Type == indicator.IPAddress && i.Function == indicator.Equals:
		i.Value = rapid.SampledFrom(slices.Concat(ips, ranges)).Draw(t, "ip")
	case i.Type == indicator.IPAddress:
		v := rapid.SampledFrom(ips).Draw(t, "ip")
		i.Value = v[:rapid.IntRange(1, len(v)).Draw(t, "n")]
	case i.Function == indicator.Equals:
		i.Value = rapid.SampledFrom(domains).Draw(t, "domain")
	default:
		i.Value = rapid.SampledFrom(parts).Draw(t, "part")
	}
	return i
}

func drawIndicator(t *rapid.T) *indicator.Indicator {
	i := &indicator.Indicator{
		Title: "t", Description: "d",
		Action:        rapid.SampledFrom([]indicator.Action{indicator.Block, indicator.Allowed, indicator.Alert, indicator.Audit, indicator.Warn}).Draw(t, "action"),
		GenerateAlert: rapid.Bool().Draw(t, "alert"),
		Type:          rapid.SampledFrom([]indicator.Type{indicator.FileSHA1, indicator.FileSHA256, indicator.FileMD5, indicator.IPAddress, indicator.Domain}).Draw(t, "type"),
	}
	if rapid.IntRange(0, 2).Draw(t, "scoped") == 0 {
		i.Groups, i.GroupIDs = []string{"some"}, rapid.SampledFrom([][]string{{"7"}, {"8"}, {"8", "7"}}).Draw(t, "groups")
	}
	switch i.Type {
	case indicator.IPAddress:
		i.Value = rapid.SampledFrom(slices.Concat(ips, ranges)).Draw(t, "ip")
	case indicator.Domain:
		i.Value = rapid.SampledFrom(domains).Draw(t, "domain")
	default:
		i.Value = hashOf(t, "hash", map[indicator.Type]int{indicator.FileSHA1: 40, indicator.FileSHA256: 64, indicator.FileMD5: 32}[i.Type])
	}
	return i
}

func drawExpiry(t *rapid.T, now time.Time) time.Time {
	if n := rapid.IntRange(-1, 8).Draw(t, "expiry"); n >= 0 {
		return now.Add(time.Duration(n) * time.Second).Truncate(time.Second)
	}
	return time.Time{}
}

// TestMatcherAgreesWithLinearSearch changes rows at random, lets time pass, merges in the
// middle, and compares every hit with the model's.
func TestMatcherAgreesWithLinearSearch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := time.Unix(1_800_000_000, 0)
		ref := newModel()
		seen := &ledger{}
		m := New(Config{Indicators: ref, Groups: ref, Tallies: seen, Now: func() time.Time { return now }})
		defer m.Close()
		next := map[indicator.Noun]int64{}
		revision := indicator.Revision(0)
		apply := func(c indicator.Change) {
			revision++
			c.Revision = revision
			ref.apply(c)
			if err := m.Apply(t.Context(), acme, &indicator.Page{Changes: []indicator.Change{c}, Revision: revision}); err != nil {
				t.Fatal(err)
			}
		}
		for id := int64(1); id <= 3; id++ {
			apply(indicator.Change{Noun: indicator.ADefinition, ID: id, Definition: &indicator.Definition{ID: ident.DefinitionID(id), Title: "t", Enabled: true}})
		}
		id := func(noun indicator.Noun) int64 {
			if next[noun] == 0 || rapid.IntRange(0, 2).Draw(t, "new") > 0 {
				next[noun]++
				return next[noun]
			}
			return rapid.Int64Range(1, next[noun]).Draw(t, "id")
		}
		sequence := uint64(0)
		t.Repeat(map[string]func(*rapid.T){
			"ioc": func(t *rapid.T) {
				i := drawIOC(t)
				i.Expires = drawExpiry(t, now)
				apply(indicator.Change{Noun: indicator.AnIOC, ID: id(indicator.AnIOC), IOC: i})
			},
			"indicator": func(t *rapid.T) {
				i := drawIndicator(t)
				for other, o := range ref.indicators {
					if o.Value == i.Value {
						apply(indicator.Change{Noun: indicator.AnIndicator, ID: other})
					}
				}
				i.Expires = drawExpiry(t, now)
				apply(indicator.Change{Noun: indicator.AnIndicator, ID: id(indicator.AnIndicator), Indicator: i})
			},
			"delete": func(t *rapid.T) {
				noun := rapid.SampledFrom([]indicator.Noun{indicator.AnIOC, indicator.AnIndicator}).Draw(t, "noun")
				if next[noun] > 0 {
					apply(indicator.Change{Noun: noun, ID: rapid.Int64Range(1, next[noun]).Draw(t, "id")})
				}
			},
			"definition": func(t *rapid.T) {
				n := rapid.Int64Range(1, 3).Draw(t, "id")
				apply(indicator.Change{Noun: indicator.ADefinition, ID: n, Definition: &indicator.Definition{Title: "t", Enabled: rapid.Bool().Draw(t, "enabled")}})
			},
			"time": func(t *rapid.T) {
				now = now.Add(time.Duration(rapid.IntRange(0, 2000).Draw(t, "ms")) * time.Millisecond)
			},
			"freeze": func(t *rapid.T) {
				m.live(acme).freeze(true)
			},
			"group": func(t *rapid.T) {
				ref.group = rapid.SampledFrom([]string{"7", "8", ""}).Draw(t, "group")
			},
			"reclaim": func(t *rapid.T) {
				m.Reclaim()
			},
			"merge": func(t *rapid.T) {
				s := m.live(acme)
				m.merges.Wait() // of what Reclaim began
				if s.frozen != nil {
					s.merge(now.Unix())
				}
			},
			"match": func(t *rapid.T) {
				var o observed
				switch rapid.IntRange(0, 2).Draw(t, "what") {
				case 0:
					o.ip = rapid.SampledFrom(ips).Draw(t, "ip")
				case 1:
					o.domain = rapid.SampledFrom(domains).Draw(t, "domain")
				case 2:
					o.sha1, o.sha256, o.md5 = hashOf(t, "sha1", 40), hashOf(t, "sha256", 64), hashOf(t, "md5", 32)
				}
				sequence++
				e := &event.Event{Table: event.NetworkEvents, Time: now}
				if o.sha1 != "" {
					e.File = &event.File{Name: "x", Path: "/x", SHA1: o.sha1, SHA256: o.sha256, MD5: o.md5}
				} else {
					e.Network = &event.Network{RemoteIP: o.ip, RemoteURL: o.domain}
				}
				// A process of its own for every event, so that nothing is suppressed.
				e.Initiating = &event.Process{Key: sequence}
				alerts, err := m.Match(t.Context(), &telemetry.Batch{Tenant: acme, Device: "d", Sequence: sequence, Events: []*event.Event{e}})
				if err != nil {
					t.Fatal(err)
				}
				got := []string{}
				for _, a := range alerts {
					got = append(got, a.Source.Rule+"/"+a.Source.Indicator)
				}
				slices.Sort(got)
				raised, met := ref.hits(o, now)
				if d := cmp.Diff(raised, got); d != "" {
					t.Fatalf("%+v: linear search, matcher:\n%s", o, d)
				}
				seen.rows = nil
				if err := m.Flush(t.Context()); err != nil {
					t.Fatal(err)
				}
				if d := cmp.Diff(met, seen.names()); d != "" {
					t.Fatalf("%+v: counted by linear search, by the matcher:\n%s", o, d)
				}
			},
		})
	})
}
