package enforce

import (
	"fmt"
	"slices"
	"strings"

	"github.com/vedette-edr/vedette/agent/enforce/address"
	"github.com/vedette-edr/vedette/agent/sensor"
)

// rule returns what is wanted of an address key at a moment: all its living entries
// together, nothing when there is none.
func (s *Set) rule(key string, now int64) address.Rule {
	p, _ := keyPrefix(key)
	r := address.Rule{Prefix: p}
	s.state.matching(kindAddress, key, func(e *entry) {
		if e.alive(now) {
			r = address.Merge(r, address.Rule{Prefix: p, Verdict: e.action.verdict(), ID: e.id})
		}
	})
	return r
}

// enforceAll brings all that the state wants of addresses into force, and nothing else.
func (s *Set) enforceAll() error {
	if s.cfg.Addresses == nil {
		return nil
	}
	now := s.cfg.Now().Unix()
	s.clock.restart(now)
	sec := &s.state.base.sections[kindAddress]
	changed := s.state.overlay.byKey[kindAddress]
	rules := func(yield func(address.Rule) bool) {
		one := func(key string) bool {
			if _, ok := keyPrefix(key); !ok {
				return true
			}
			r := s.rule(key, now)
			return r.Verdict == 0 || yield(r)
		}
		last := ""
		for i := range sec.n {
			key := string(sec.key(i))
			if key == last {
				continue
			}
			last = key
			if _, ok := changed[key]; !ok && !one(key) {
				return
			}
		}
		for key := range changed {
			if !one(key) {
				return
			}
		}
	}
	if err := s.cfg.Addresses.Replace(rules, sec.n+len(changed)); err != nil {
		return fmt.Errorf("enforce: %w", err)
	}
	return nil
}

// enforce brings into force what is wanted of the addresses of some entries.
func (s *Set) enforce(touched []entry) error {
	if s.cfg.Addresses == nil {
		return nil
	}
	now := s.cfg.Now().Unix()
	seen := map[string]bool{}
	var rules []address.Rule
	for i := range touched {
		e := &touched[i]
		if e.kind != kindAddress {
			continue
		}
		s.clock.came(e)
		if seen[e.key] {
			continue
		}
		seen[e.key] = true
		if _, ok := keyPrefix(e.key); ok {
			rules = append(rules, s.rule(e.key, now))
		}
	}
	if len(rules) == 0 {
		return nil
	}
	if err := s.cfg.Addresses.Change(rules); err != nil {
		return fmt.Errorf("enforce: %w", err)
	}
	return nil
}

// Facilities reports what of the set is enforced here. That of addresses is the Blocker's
// own to report, when there is one.
func (s *Set) Facilities() []sensor.Facility { return s.view.Load().facilities }

// publish makes the state known to those who do not wait for mu.
func (s *Set) publish() {
	v := &view{stats: Stats{Entries: s.state.len(), Changed: len(s.state.overlay.byID), Ignored: s.ignored, Bytes: len(s.state.base.data)}}
	if s.dirty == nil && (s.cfg.Device == "" || s.device == s.cfg.Device) {
		v.revision = s.state.base.revision
	}
	v.facilities = s.facilities()
	s.view.Store(v)
}

func (s *Set) facilities() []sensor.Facility {
	f := sensor.Facility{Name: "enforce", State: sensor.Working}
	degraded := func(remedy, format string, args ...any) {
		f.State, f.Detail, f.Remedy = sensor.Degraded, clip(fmt.Sprintf(format, args...)), remedy
	}
	switch {
	case s.dirty != nil:
		degraded("", "not all indicators are in force: %v", s.dirty)
	case s.refused != nil:
		degraded("", "the newest set of indicators was not taken: %v", s.refused)
	case s.unsaved != nil:
		degraded("make room in the agent's state directory", "the indicators are in force but would not survive a restart: %v", s.unsaved)
	case s.damage != nil:
		degraded("", "some of the kept indicators could not be read and are asked for again: %v", s.damage)
	case s.ignored > 0:
		degraded("update the agent", "%d indicators are left out because this agent does not understand them, e.g. %s", s.ignored, s.example)
	}
	out := []sensor.Facility{f}
	if s.cfg.Addresses == nil {
		m := sensor.Facility{Name: "enforce:address", State: sensor.Missing, Detail: "addresses cannot be blocked here",
			Remedy: "run the agent as root on a kernel with cgroup2, BPF and BTF (5.8 or later)"}
		if s.cfg.Without != nil {
			m.Detail = clip(m.Detail + ": " + s.cfg.Without.Error())
		}
		out = append(out, m)
	}
	// What is not enforced is worth a word once there is something to enforce.
	for _, m := range [...]struct {
		name, with string
		kinds      []kind
	}{
		{"enforce:domain", "name blocking", []kind{kindDomain}},
		{"enforce:url", "name blocking", []kind{kindURL}},
		{"enforce:file", "execution control", []kind{kindSHA1, kindSHA256, kindMD5}},
	} {
		if slices.ContainsFunc(m.kinds, s.state.holds) {
			out = append(out, sensor.Facility{Name: m.name, State: sensor.Missing,
				Detail: "indicators of this kind are kept but not enforced: that comes with " + m.with})
		}
	}
	return out
}

// clip bounds a text that is sent with every heartbeat.
func clip(s string) string {
	const most = 500
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
