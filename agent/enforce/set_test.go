package enforce

import (
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/vedette-edr/vedette/agent/enforce/address"
	"github.com/vedette-edr/vedette/agent/sensor"
	"github.com/vedette-edr/vedette/wire/wirepb"
)

const device = "0123456789abcdef0123456789abcdef01234567"

// table is rules in force, in memory.
type table struct {
	rules map[netip.Prefix]address.Rule
	fail  error
	calls int
}

func (t *table) Replace(rules iter.Seq[address.Rule], _ int) error {
	if t.fail != nil {
		return t.fail
	}
	t.rules = map[netip.Prefix]address.Rule{}
	for r := range rules {
		if _, twice := t.rules[r.Prefix]; twice || r.Verdict == 0 {
			return fmt.Errorf("rule %+v comes twice, or wants nothing", r)
		}
		t.rules[r.Prefix] = r
	}
	t.calls++
	return nil
}

func (t *table) Change(rules []address.Rule) error {
	if t.fail != nil {
		return t.fail
	}
	for _, r := range rules {
		if r.Verdict == 0 {
			delete(t.rules, r.Prefix)
		} else {
			t.rules[r.Prefix] = r
		}
	}
	t.calls++
	return nil
}

// verdicts is what the table wants, by text of the prefix.
func (t *table) verdicts() map[string]address.Verdict {
	out := map[string]address.Verdict{}
	for p, r := range t.rules {
		out[p.String()] = r.Verdict
	}
	return out
}

func ip(id int64, value, action string, expires time.Time) *wirepb.Indicator {
	i := &wirepb.Indicator{Id: id, Type: "IpAddress", Value: value, Action: action}
	if !expires.IsZero() {
		i.Expires = expires.UnixNano()
	}
	return i
}

// full is a complete set in parts of two indicators.
func full(revision uint64, put ...*wirepb.Indicator) []*wirepb.IndicatorSet {
	var parts []*wirepb.IndicatorSet
	for chunk := range slices.Chunk(put, 2) {
		parts = append(parts, &wirepb.IndicatorSet{Device: device, Incarnation: 1, Revision: revision, Part: uint32(len(parts)), Put: chunk})
	}
	return append(parts, &wirepb.IndicatorSet{Device: device, Incarnation: 1, Revision: revision, Part: uint32(len(parts)), Last: true})
}

func diff(base, revision uint64, put []*wirepb.Indicator, remove ...int64) []*wirepb.IndicatorSet {
	return []*wirepb.IndicatorSet{{Device: device, Incarnation: 1, Base: base, Revision: revision, Put: put, Remove: remove, Last: true}}
}

func open(t testing.TB, dir string, to Addresses) *Set {
	t.Helper()
	return openAt(t, dir, to, nil)
}

func openAt(t testing.TB, dir string, to Addresses, now func() time.Time) *Set {
	t.Helper()
	s, err := Open(Config{StateDir: dir, Device: device, Addresses: to, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func apply(t testing.TB, s *Set, parts []*wirepb.IndicatorSet) {
	t.Helper()
	if err := s.Apply(t.Context(), parts); err != nil {
		t.Fatal(err)
	}
	if s.Revision() != parts[0].Revision {
		t.Fatalf("revision %d, want %d", s.Revision(), parts[0].Revision)
	}
}

func wantVerdicts(t testing.TB, to *table, want map[string]address.Verdict) {
	t.Helper()
	if d := cmp.Diff(want, to.verdicts(), cmpopts.EquateEmpty()); d != "" {
		t.Error(d)
	}
}

func TestFullSetDifferenceAndRestart(t *testing.T) {
	dir, to := t.TempDir(), &table{}
	s := open(t, dir, to)
	if s.Revision() != 0 {
		t.Fatalf("revision %d of nothing", s.Revision())
	}
	var never time.Time
	apply(t, s, full(10, ip(1, "198.51.100.1", "Block", never), ip(2, "2001:db8::1", "AlertAndBlock", never),
		ip(3, "198.51.100.0/24", "Allowed", never), ip(4, "::ffff:198.51.100.4", "Audit", never), ip(5, "198.51.100.5", "Warn", never),
		&wirepb.Indicator{Id: 6, Type: "FileSha256", Value: strings.Repeat("ab", 32), Action: "BlockAndRemediate"}))
	want := map[string]address.Verdict{"198.51.100.1/32": address.Block, "2001:db8::1/128": address.Block, "198.51.100.0/24": address.Allow,
		"198.51.100.4/32": address.Audit, "198.51.100.5/32": address.Warn}
	wantVerdicts(t, to, want)

	// 1 moves to another value, 2 takes its old one, 3 goes, 7 comes.
	apply(t, s, diff(10, 12, []*wirepb.Indicator{ip(1, "198.51.100.9", "Block", never), ip(2, "198.51.100.1", "Audit", never), ip(7, "192.0.2.0/25", "Block", never)}, 3))
	want = map[string]address.Verdict{"198.51.100.9/32": address.Block, "198.51.100.1/32": address.Audit, "192.0.2.0/25": address.Block,
		"198.51.100.4/32": address.Audit, "198.51.100.5/32": address.Warn}
	wantVerdicts(t, to, want)
	if st := s.Stats(); st.Entries != 6 || st.Ignored != 0 {
		t.Errorf("stats %+v", st)
	}
	// Changes of other things make revisions that change nothing here.
	apply(t, s, diff(12, 13, nil))
	apply(t, s, diff(13, 14, []*wirepb.Indicator{ip(8, "192.0.2.200", "Block", never)}))
	want["192.0.2.200/32"] = address.Block

	s.Close()
	to = &table{}
	s = open(t, dir, to)
	if s.Revision() != 14 {
		t.Errorf("revision %d after the restart", s.Revision())
	}
	wantVerdicts(t, to, want)
	if f := s.Facilities()[0]; f.State != sensor.Working {
		t.Errorf("%+v", f)
	}

	apply(t, s, full(9, ip(1, "203.0.113.1", "Block", never))) // the server was restored from a backup
	wantVerdicts(t, to, map[string]address.Verdict{"203.0.113.1/32": address.Block})
	apply(t, s, full(15))
	wantVerdicts(t, to, nil)
}

func TestAllowedGoesBeforeBlockedOfOneValue(t *testing.T) {
	to := &table{}
	s := open(t, t.TempDir(), to)
	var never time.Time
	apply(t, s, full(1, ip(1, "192.0.2.1", "Block", never), ip(2, "192.0.2.1", "Allowed", never)))
	wantVerdicts(t, to, map[string]address.Verdict{"192.0.2.1/32": address.Allow | address.Block})
	if r := to.rules[netip.MustParsePrefix("192.0.2.1/32")]; r.ID != 2 {
		t.Errorf("the deciding indicator is %d", r.ID)
	}
	apply(t, s, diff(1, 2, nil, 2))
	wantVerdicts(t, to, map[string]address.Verdict{"192.0.2.1/32": address.Block})
}

func TestIndicatorsExpireToTheSecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		to := &table{}
		s := open(t, t.TempDir(), to)
		go s.Run(t.Context())
		apply(t, s, full(1, ip(1, "192.0.2.1", "Block", start.Add(90*time.Second)), ip(2, "192.0.2.2", "Block", time.Time{}),
			ip(3, "192.0.2.3", "Block", start.Add(-time.Second)), ip(4, "192.0.2.4", "Block", start.Add(3*time.Hour)),
			ip(5, "192.0.2.1", "Audit", start.Add(2*time.Hour))))
		apply(t, s, diff(1, 2, []*wirepb.Indicator{ip(6, "192.0.2.6", "Block", start.Add(100*time.Second))}))
		at := func(d time.Duration, want map[string]address.Verdict) {
			t.Helper()
			time.Sleep(time.Until(start.Add(d)))
			synctest.Wait()
			s.mu.Lock()
			defer s.mu.Unlock()
			wantVerdicts(t, to, want)
		}
		want := map[string]address.Verdict{"192.0.2.1/32": address.Block | address.Audit, "192.0.2.2/32": address.Block, "192.0.2.4/32": address.Block, "192.0.2.6/32": address.Block}
		at(0, want)
		at(89*time.Second+900*time.Millisecond, want)
		want["192.0.2.1/32"] = address.Audit
		at(90*time.Second+100*time.Millisecond, want)
		delete(want, "192.0.2.6/32")
		at(100*time.Second+100*time.Millisecond, want)
		delete(want, "192.0.2.1/32")
		at(2*time.Hour+100*time.Millisecond, want)
		at(3*time.Hour-100*time.Millisecond, want)
		delete(want, "192.0.2.4/32")
		at(3*time.Hour+100*time.Millisecond, want)
	})
}

func TestManyExpireInOneSecond(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	to := &table{}
	s := openAt(t, t.TempDir(), to, func() time.Time { return now })
	var put []*wirepb.Indicator
	a := netip.MustParseAddr("198.18.0.0")
	for i := range 2*maxDue + 10 {
		put = append(put, ip(int64(i+1), a.String(), "Block", now.Add(time.Minute)))
		a = a.Next()
	}
	apply(t, s, []*wirepb.IndicatorSet{{Device: device, Revision: 1, Put: put, Last: true}})
	s.expire()
	if len(to.rules) != len(put) {
		t.Fatalf("%d rules", len(to.rules))
	}
	now = now.Add(time.Minute)
	s.expire()
	if len(to.rules) != 0 {
		t.Errorf("%d rules are left", len(to.rules))
	}
	// The clock is set back: they hold again.
	now = now.Add(-30 * time.Second)
	s.expire()
	if len(to.rules) != len(put) {
		t.Errorf("%d rules after the clock was set back", len(to.rules))
	}
}

// model is what a set is to be, in the plainest way.
type model map[int64]*wirepb.Indicator

func (m model) verdicts(now time.Time) map[string]address.Verdict {
	out := map[string]address.Verdict{}
	for _, i := range m {
		if i.Type != "IpAddress" || i.Expires != 0 && i.Expires <= now.UnixNano() {
			continue
		}
		p, err := netip.ParsePrefix(i.Value)
		if err != nil {
			a := netip.MustParseAddr(i.Value).Unmap()
			p = netip.PrefixFrom(a, a.BitLen())
		}
		v := map[string]address.Verdict{"Allowed": address.Allow, "Block": address.Block, "Audit": address.Audit}[i.Action]
		out[p.Masked().String()] |= v
	}
	return out
}

// memoryDir returns a directory in memory where there is one: thousands of writes are
// brought to it, and the disk is not what is tested.
func memoryDir(t *testing.T) string {
	dir, err := os.MkdirTemp("/dev/shm", "vedette-enforce-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func TestSetEqualsNaiveMap(t *testing.T) {
	memory := memoryDir(t)
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(memory, "")
		if err != nil {
			rt.Fatal(err)
		}
		now := time.Unix(1_800_000_000, 0)
		clock := func() time.Time { return now }
		to := &table{}
		s := openAt(t, dir, to, clock)
		defer func() { s.Close() }()
		m, revision := model{}, uint64(0)
		indicator := rapid.Custom(func(rt *rapid.T) *wirepb.Indicator {
			value := rapid.SampledFrom([]string{"192.0.2.1", "::ffff:192.0.2.1", "192.0.2.2", "192.0.2.0/24", "192.0.0.0/16", "2001:db8::1", "2001:db8::/32", "0.0.0.0/0"}).Draw(rt, "value")
			i := ip(rapid.Int64Range(1, 12).Draw(rt, "id"), value, rapid.SampledFrom([]string{"Allowed", "Block", "Audit"}).Draw(rt, "action"), time.Time{})
			if rapid.IntRange(0, 9).Draw(rt, "file") == 0 {
				i.Type, i.Value = "FileMd5", strings.Repeat("0f", 16)
			}
			if life := rapid.IntRange(-5, 60).Draw(rt, "life"); life > -5 {
				i.Expires = now.Add(time.Duration(life) * time.Second).UnixNano()
			}
			return i
		})
		rt.Repeat(map[string]func(*rapid.T){
			"full": func(rt *rapid.T) {
				revision++
				m = model{}
				for _, i := range rapid.SliceOfN(indicator, 0, 8).Draw(rt, "set") {
					m[i.Id] = i
				}
				if err := s.Apply(t.Context(), full(revision, slices.Collect(maps.Values(m))...)); err != nil {
					rt.Fatal(err)
				}
			},
			"change": func(rt *rapid.T) {
				if revision == 0 {
					rt.Skip()
				}
				put := rapid.SliceOfN(indicator, 0, 4).Draw(rt, "put")
				remove := rapid.SliceOfN(rapid.Int64Range(1, 12), 0, 3).Draw(rt, "remove")
				for _, id := range remove {
					delete(m, id)
				}
				for _, i := range put {
					m[i.Id] = i
				}
				if err := s.Apply(t.Context(), diff(revision, revision+1, put, remove...)); err != nil {
					rt.Fatal(err)
				}
				revision++
			},
			"compact": func(*rapid.T) {
				s.mu.Lock()
				defer s.mu.Unlock()
				if revision > 0 {
					if err := s.rebase(s.device, s.state.base.revision, s.state.records(), func() error { return nil }); err != nil {
						rt.Fatal(err)
					}
				}
			},
			"pass": func(rt *rapid.T) {
				now = now.Add(time.Duration(rapid.IntRange(1, 40).Draw(rt, "seconds")) * time.Second)
				s.expire()
			},
			"restart": func(*rapid.T) {
				s.Close()
				to = &table{}
				s = openAt(t, dir, to, clock)
				// A revision in which nothing changed need not be remembered.
				if s.Revision() > revision {
					rt.Fatalf("revision %d, want at most %d", s.Revision(), revision)
				}
				revision = s.Revision()
			},
			"": func(rt *rapid.T) {
				s.expire()
				if d := cmp.Diff(m.verdicts(now), to.verdicts(), cmpopts.EquateEmpty()); d != "" {
					rt.Fatal(d)
				}
				if st := s.Stats(); st.Entries != len(m) {
					rt.Fatalf("%d entries, want %d", st.Entries, len(m))
				}
			},
		})
	})
}

func TestLogCutAnywhereKeepsWhatWasWhole(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, &table{})
	var never time.Time
	apply(t, s, full(1, ip(1, "192.0.2.1", "Block", never)))
	size := []int64{0}
	for r := uint64(2); r < 6; r++ {
		apply(t, s, diff(r-1, r, []*wirepb.Indicator{ip(int64(r), fmt.Sprintf("192.0.2.%d", r), "Block", never)}, int64(r-1)))
		size = append(size, s.disk.size)
	}
	log := s.disk.log.Name()
	s.Close()
	whole, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	for n := len(whole); n >= 0; n-- {
		for _, garbage := range []string{"", "\x00\x00\x00\x14garbage"} {
			if err := os.WriteFile(log, append(slices.Clone(whole[:n]), garbage...), 0o600); err != nil {
				t.Fatal(err)
			}
			frames := 0
			for frames+1 < len(size) && size[frames+1] <= int64(n) {
				frames++
			}
			to := &table{}
			s := open(t, dir, to)
			last := frames + 1
			if s.Revision() != uint64(last) {
				t.Fatalf("cut at %d: revision %d, want %d", n, s.Revision(), last)
			}
			wantVerdicts(t, to, map[string]address.Verdict{fmt.Sprintf("192.0.2.%d/32", last): address.Block})
			s.Close()
		}
	}
}

func TestDamagedBaseIsSaidAndAskedForAgain(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, &table{})
	apply(t, s, full(7, ip(1, "192.0.2.1", "Block", time.Time{}), ip(2, "192.0.2.2", "Block", time.Time{})))
	apply(t, s, diff(7, 8, []*wirepb.Indicator{ip(3, "192.0.2.3", "Block", time.Time{})}))
	path := s.disk.path(basePrefix, s.disk.gen)
	s.Close()
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i <= len(whole); i += 7 {
		bad := whole[:i]
		if i%2 == 0 && i < len(whole) {
			bad = slices.Clone(whole)
			bad[i] ^= 0x40
		}
		if len(bad) == len(whole) && slices.Equal(bad, whole) {
			continue
		}
		sub := t.TempDir()
		if err := os.CopyFS(sub, os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(sub, "indicators", filepath.Base(path)), bad, 0o600); err != nil {
			t.Fatal(err)
		}
		to := &table{}
		s := open(t, sub, to)
		if f := s.Facilities()[0]; s.Revision() != 0 || len(to.rules) != 0 || f.State != sensor.Degraded {
			t.Fatalf("byte %d: revision %d, %d rules, %+v", i, s.Revision(), len(to.rules), f)
		}
		apply(t, s, full(9, ip(1, "192.0.2.9", "Block", time.Time{})))
		if f := s.Facilities()[0]; f.State != sensor.Working {
			t.Fatalf("%+v", f)
		}
		s.Close()
		s = open(t, sub, to)
		if s.Revision() != 9 || len(to.rules) != 1 {
			t.Fatalf("byte %d: revision %d, %d rules after healing", i, s.Revision(), len(to.rules))
		}
		s.Close()
	}
}

func TestWhatIsWrongChangesNothing(t *testing.T) {
	to := &table{}
	s := open(t, t.TempDir(), to)
	var never time.Time
	apply(t, s, full(5, ip(1, "192.0.2.1", "Block", never)))
	foreign := diff(5, 6, nil, 1)
	foreign[0].Device = strings.Repeat("f", 40)
	for name, c := range map[string]struct {
		parts []*wirepb.IndicatorSet
		want  string
	}{
		"nothing":          {nil, "without parts"},
		"other base":       {diff(4, 6, nil, 1), "does not fit revision 5"},
		"no end":           {full(6, ip(2, "192.0.2.2", "Block", never))[:1], "part 0 does not fit"},
		"an id twice":      {full(6, ip(2, "192.0.2.2", "Block", never), ip(2, "192.0.2.3", "Block", never)), "two indicators of the set have the id 2"},
		"removing of full": {[]*wirepb.IndicatorSet{{Device: device, Revision: 6, Remove: []int64{1}, Last: true}}, "part 0 of a complete set removes"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := s.Apply(t.Context(), c.parts); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
			if s.Revision() != 5 {
				t.Errorf("revision %d", s.Revision())
			}
			wantVerdicts(t, to, map[string]address.Verdict{"192.0.2.1/32": address.Block})
		})
	}
	// A difference for another device means that this agent enrolled anew: it asks for all.
	if err := s.Apply(t.Context(), foreign); err == nil || s.Revision() != 0 {
		t.Errorf("error %v, revision %d", err, s.Revision())
	}
	wantVerdicts(t, to, map[string]address.Verdict{"192.0.2.1/32": address.Block})
}

func TestWhatIsNotUnderstoodIsLeftOutAndSaid(t *testing.T) {
	to := &table{}
	s := open(t, t.TempDir(), to)
	var never time.Time
	bad := []*wirepb.Indicator{ip(2, "300.1.1.1", "Block", never), ip(3, "::ffff:0.0.0.0/40", "Block", never), ip(4, strings.Repeat("1", 5000), "Block", never),
		ip(5, "fe80::1%eth0", "Block", never), {Id: 6, Type: "Smell", Value: "x", Action: "Block"}, ip(7, "192.0.2.7", "Explode", never),
		{Id: 8, Type: "FileSha1", Value: hex.EncodeToString([]byte("short")), Action: "Block"}}
	apply(t, s, full(1, append(bad, ip(1, "192.0.2.1", "Block", never))...))
	wantVerdicts(t, to, map[string]address.Verdict{"192.0.2.1/32": address.Block})
	f := s.Facilities()[0]
	if st := s.Stats(); st.Ignored != uint64(len(bad)) || st.Entries != 1 || f.State != sensor.Degraded || !strings.Contains(f.Detail, "7 indicators") {
		t.Errorf("stats %+v, %+v", st, f)
	}
	// One that was understood before does not stay as it was.
	apply(t, s, diff(1, 2, []*wirepb.Indicator{ip(1, "nonsense", "Block", never)}))
	wantVerdicts(t, to, nil)
}

func TestARevisionIsNotClaimedWhenItIsNotInForce(t *testing.T) {
	dir, to := t.TempDir(), &table{}
	s := open(t, dir, to)
	apply(t, s, full(1, ip(1, "192.0.2.1", "Block", time.Time{})))
	to.fail = errors.New("no memory")
	err := s.Apply(t.Context(), diff(1, 2, []*wirepb.Indicator{ip(2, "192.0.2.2", "Block", time.Time{})}))
	if f := s.Facilities()[0]; !errors.Is(err, to.fail) || s.Revision() != 0 || f.State != sensor.Degraded || !strings.Contains(f.Detail, "no memory") {
		t.Errorf("error %v, revision %d, %+v", err, s.Revision(), f)
	}
	to.fail = nil
	apply(t, s, full(2, ip(1, "192.0.2.1", "Block", time.Time{}), ip(2, "192.0.2.2", "Block", time.Time{})))
	if f := s.Facilities()[0]; f.State != sensor.Working || len(to.rules) != 2 {
		t.Errorf("%+v, %v", f, to.rules)
	}
}

func TestFacilitiesSayWhatIsEnforced(t *testing.T) {
	states := func(s *Set) map[string]sensor.State {
		out := map[string]sensor.State{}
		for _, f := range s.Facilities() {
			out[f.Name] = f.State
			if f.State != sensor.Working && f.Detail == "" {
				t.Errorf("%s is %s for no reason", f.Name, f.State)
			}
		}
		return out
	}
	empty := open(t, t.TempDir(), &table{})
	want := map[string]sensor.State{"enforce": sensor.Working, "enforce:domain": sensor.Missing, "enforce:url": sensor.Missing, "enforce:file": sensor.Missing}
	if d := cmp.Diff(want, states(empty)); d != "" {
		t.Error(d)
	}
	s, err := Open(Config{StateDir: t.TempDir(), Without: Without{Addresses: errors.New("no BPF")}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	apply(t, s, full(1, ip(1, "192.0.2.1", "Block", time.Time{}))) // kept for a better day
	want["enforce:address"] = sensor.Missing
	if d := cmp.Diff(want, states(s)); d != "" {
		t.Error(d)
	}
}

func TestWhatIsKeptOfAnotherDeviceIsEnforcedButNotClaimed(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, &table{})
	apply(t, s, full(3, ip(1, "192.0.2.1", "Block", time.Time{})))
	s.Close()
	to := &table{}
	s, err := Open(Config{StateDir: dir, Device: strings.Repeat("a", 40), Addresses: to})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if s.Revision() != 0 || len(to.rules) != 1 {
		t.Errorf("revision %d, %d rules", s.Revision(), len(to.rules))
	}
}

func TestAMillionEntriesFitTheBound(t *testing.T) {
	for k := range kinds {
		if n := headSize + maxEntries*(recordSize(k)+4) + 32; n > maxFile {
			t.Errorf("kind %d: %d bytes", k, n)
		}
	}
}
