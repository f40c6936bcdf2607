package enforce

import (
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/vedette-edr/vedette/agent/enforce/address"
	"github.com/vedette-edr/vedette/agent/enforce/file"
	"github.com/vedette-edr/vedette/agent/enforce/name"
	"github.com/vedette-edr/vedette/agent/hash"
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

// nameRule is the same for a domain's or URL's key.
func (s *Set) nameRule(k kind, key string, now int64) name.Rule {
	r := name.Rule{Key: name.Key([]byte(key))}
	s.state.matching(k, key, func(e *entry) {
		if e.alive(now) {
			r = name.Merge(r, name.Rule{Key: r.Key, Verdict: e.action.verdict(), ID: max(e.id, -e.id)})
		}
	})
	return r
}

// enforceAll brings all that the state wants into force, and nothing else.
func (s *Set) enforceAll() error {
	now := s.cfg.Now().Unix()
	s.clock.restart(now)
	var all []error
	if s.cfg.Addresses != nil {
		all = append(all, s.cfg.Addresses.Replace(s.addressRules(now), s.count(kindAddress)))
	}
	if s.names != nil {
		all = append(all, s.names.Replace(s.nameRules(now), s.count(kindDomain)+s.count(kindURL)))
	}
	if s.cfg.Files != nil {
		s.cfg.Files.Changed()
	}
	if err := errors.Join(all...); err != nil {
		return fmt.Errorf("enforce: %w", err)
	}
	return nil
}

// count is about how many keys of a kind there are.
func (s *Set) count(k kind) int { return s.state.base.sections[k].n + len(s.state.overlay.byKey[k]) }

// keys calls f with each key of a kind once, until f returns false.
func (s *Set) keys(k kind, f func(key string) bool) bool {
	sec := &s.state.base.sections[k]
	changed := s.state.overlay.byKey[k]
	last := ""
	for i := range sec.n {
		key := string(sec.key(i))
		if key == last {
			continue
		}
		last = key
		if _, ok := changed[key]; !ok && !f(key) {
			return false
		}
	}
	for key := range changed {
		if !f(key) {
			return false
		}
	}
	return true
}

func (s *Set) addressRules(now int64) iter.Seq[address.Rule] {
	return func(yield func(address.Rule) bool) {
		s.keys(kindAddress, func(key string) bool {
			if _, ok := keyPrefix(key); !ok {
				return true
			}
			r := s.rule(key, now)
			return r.Verdict == 0 || yield(r)
		})
	}
}

func (s *Set) nameRules(now int64) iter.Seq[name.Rule] {
	return func(yield func(name.Rule) bool) {
		for _, k := range [...]kind{kindDomain, kindURL} {
			if !s.keys(k, func(key string) bool {
				r := s.nameRule(k, key, now)
				return r.Verdict == 0 || yield(r)
			}) {
				return
			}
		}
	}
}

// enforce brings into force what is wanted of the keys of some entries.
func (s *Set) enforce(touched []entry) error {
	now := s.cfg.Now().Unix()
	seen := map[string]bool{}
	var rules []address.Rule
	var names []name.Rule
	files := false
	for i := range touched {
		e := &touched[i]
		switch e.kind {
		case kindAddress, kindDomain, kindURL:
			s.clock.came(e)
		default:
			files = true
			continue
		}
		at := string([]byte{byte(e.kind)}) + e.key
		if seen[at] {
			continue
		}
		seen[at] = true
		if e.kind != kindAddress {
			names = append(names, s.nameRule(e.kind, e.key, now))
		} else if _, ok := keyPrefix(e.key); ok {
			rules = append(rules, s.rule(e.key, now))
		}
	}
	var all []error
	if len(rules) > 0 && s.cfg.Addresses != nil {
		all = append(all, s.cfg.Addresses.Change(rules))
	}
	if len(names) > 0 && s.names != nil {
		all = append(all, s.names.Change(names))
	}
	if files && s.cfg.Files != nil {
		s.cfg.Files.Changed()
	}
	if err := errors.Join(all...); err != nil {
		return fmt.Errorf("enforce: %w", err)
	}
	return nil
}

// fileKinds are the kinds of digest; the first that an indicator knows decides, as
// published: the stronger digest before the weaker.
var fileKinds = [...]kind{kindSHA256, kindSHA1, kindMD5}

// File returns what is wanted of a file with these digests.
func (s *Set) File(sums hash.Sums) file.Decision {
	s.reads.RLock()
	defer s.reads.RUnlock()
	now := s.cfg.Now().Unix()
	for _, k := range fileKinds {
		text := sums.SHA256
		switch k {
		case kindSHA1:
			text = sums.SHA1
		case kindMD5:
			text = sums.MD5
		}
		raw, err := hex.DecodeString(text)
		if err != nil || len(raw) != keySize[k] {
			continue
		}
		var d file.Decision
		s.state.matching(k, string(raw), func(e *entry) {
			if a := e.action.file(); e.alive(now) && precedence(a) > precedence(d.Action) {
				d = file.Decision{Action: a, ID: e.id, Silent: e.silent}
			}
		})
		if d.Action != file.None {
			return d
		}
	}
	return file.Decision{}
}

// precedence orders what is wanted of one digest.
func precedence(a file.Action) int {
	return slices.Index([]file.Action{file.None, file.Audit, file.Block, file.Remediate, file.Warn, file.Allow}, a)
}

// HasFiles reports whether there are indicators of files.
func (s *Set) HasFiles() bool {
	s.reads.RLock()
	defer s.reads.RUnlock()
	return slices.ContainsFunc(fileKinds[:], s.state.holds)
}

// Facilities reports what of the set is enforced here. Those of the kinds are their
// enforcers' own to report, when there are some.
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
	missing := func(name, detail, remedy string) {
		out = append(out, sensor.Facility{Name: name, State: sensor.Missing, Detail: clip(detail), Remedy: remedy})
	}
	w := s.cfg.Without
	if s.cfg.Addresses == nil {
		missing("enforce:address", w.of(w.Addresses, "addresses cannot be blocked here"),
			"run the agent as root on a kernel with cgroup2, BPF and BTF (5.8 or later)")
	}
	if s.names == nil {
		for _, n := range [...]string{"enforce:domain", "enforce:url"} {
			missing(n, w.of(w.Names, "names cannot be blocked here"), "run the agent as root on a kernel with cgroup2, BPF and BTF (5.17 or later)")
		}
	}
	if s.cfg.Files == nil {
		missing("enforce:file", w.of(w.Files, "files cannot be blocked here"), "run the agent as root on a kernel with fanotify permission events")
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
