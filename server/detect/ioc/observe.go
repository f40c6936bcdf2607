package ioc

import (
	"encoding/json"
	"net/netip"
	"slices"
	"strings"

	"github.com/vedette-edr/vedette/schema/event"
	"github.com/vedette-edr/vedette/server/indicator"
)

// finding is one row that an event hit.
type finding struct {
	index   int // of the event in its batch
	value   value
	kind    indicator.Kind
	text    string         // what was observed
	process *event.Process // whose doing it is; may be nil
	file    *event.File    // for hashes
}

// search looks one event's observables up in a set, which it holds for reading.
type search struct {
	set   *set
	now   int64
	group string // the device's; what is for other groups is not there
	found func(finding)
	at    finding // index and process of what is being looked up
}

// mine reports whether an indicator is for the device.
func (s *search) mine(v value) bool {
	place := mark(v.def).scope()
	return place == 0 || slices.Contains(s.set.scopes[place], s.group)
}

// event looks up everything that e shows. Findings of the process that an event is about
// come before those of who did it, so that an alert names the nearest.
func (s *search) event(index int, e *event.Event) {
	s.at = finding{index: index}
	if p := e.Process; p != nil {
		s.at.process = p
		s.file(&p.Image)
	}
	s.at.process = e.Initiating
	if e.File != nil {
		s.file(e.File)
	}
	if n := e.Network; n != nil {
		if n.RemoteIP != "" {
			s.address(n.RemoteIP)
		}
		if n.RemoteURL != "" {
			s.url(n.RemoteURL)
		}
	}
	if e.Action == "DnsQueryResponse" && e.Additional != "" {
		if name := jsonString(e.Additional, "DnsQueryString"); name != "" {
			s.host(name)
		}
	}
	if e.Initiating != nil {
		s.file(&e.Initiating.Image)
	}
}

// file looks a file's hashes up. Of the current API's indicators the strongest hash
// decides, as published: SHA-256, then SHA-1, then MD5.
func (s *search) file(f *event.File) {
	if f.SHA256 == "" && f.SHA1 == "" && f.MD5 == "" {
		return
	}
	s.at.file = f
	decided := s.hash(indicator.KindSHA256, f.SHA256, false)
	decided = s.hash(indicator.KindSHA1, f.SHA1, decided) || decided
	s.hash(indicator.KindMD5, f.MD5, decided)
	s.at.file = nil
}

func (s *search) hash(k indicator.Kind, text string, decided bool) bool {
	if text == "" || len(text) > maxHash {
		return false
	}
	s.at.kind, s.at.text = k, strings.ToLower(text)
	met := false
	if t := tagOf(k, whole); s.set.shape[t].used {
		met = s.level(s.set.hash.text(t, s.at.text), decided)
	}
	s.parts(k, s.at.text)
	return met
}

// level looks up one key. It reports IOCs always and the current API's indicators for this
// device unless decided, and returns whether there were any of the latter: at the most
// specific level that has one, it decides for all less specific ones. An allowed value is
// reported too: its hit is quiet.
func (s *search) level(k key, decided bool) (met bool) {
	s.set.find(k, s.now, func(v value) {
		if v.ref.indicator() {
			if !s.mine(v) {
				return
			}
			met = true
			if decided {
				return
			}
		}
		s.hit(v)
	})
	return met
}

func (s *search) hit(v value) {
	f := s.at
	f.value = v
	s.found(f)
}

// parts looks up what text starts with, ends with and contains.
func (s *search) parts(k indicator.Kind, text string) {
	if t := tagOf(k, prefix); s.set.shape[t].used {
		ls := s.set.shape[t].lengths
		for n := 1; n <= min(len(text), 255); n++ {
			if ls.has(uint8(n)) {
				s.set.find(s.set.hash.text(t, text[:n]), s.now, s.hit)
			}
		}
	}
	if t := tagOf(k, suffix); s.set.shape[t].used {
		ls := s.set.shape[t].lengths
		for n := 1; n <= min(len(text), 255); n++ {
			if ls.has(uint8(n)) {
				s.set.find(s.set.hash.text(t, text[len(text)-n:]), s.now, s.hit)
			}
		}
	}
	s.set.contained(tagOf(k, whole), text, s.now, s.hit)
}

// address looks a remote address up. The device's own 127.0.0.1 and ::1 and the
// unspecified addresses are nobody's; any other loopback address is looked up.
func (s *search) address(text string) {
	a, err := netip.ParseAddr(text)
	if err != nil {
		return
	}
	a = a.Unmap().WithZone("")
	if a == ownV4 || a == ownV6 || a.IsUnspecified() {
		return
	}
	s.at.kind, s.at.text = indicator.KindIP, a.String()
	// Of the current API's indicators one decides: that with the first rank among the
	// address and all ranges around it, and of several the narrowest, as on devices.
	var decides value
	met := false
	weigh := func(v value) {
		switch {
		case !v.ref.indicator():
			s.hit(v)
		case s.mine(v) && (!met || mark(v.def).rank() > mark(decides.def).rank()):
			decides, met = v, true
		}
	}
	if t := tagOf(indicator.KindIP, whole); s.set.shape[t].used {
		s.set.find(s.set.hash.addr(t, a, 128), s.now, weigh)
	}
	if s.set.shape[cidr].used {
		ls := s.set.shape[cidr].lengths
		least := 1
		if a.Is4() {
			least = 97
		}
		for n := 127; n >= least; n-- {
			if ls.has(uint8(n)) {
				s.set.find(s.set.hash.addr(cidr, mask(a, n), uint8(n)), s.now, weigh)
			}
		}
	}
	if met {
		s.hit(decides)
	}
	s.parts(indicator.KindIP, s.at.text)
}

var (
	ownV4 = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	ownV6 = netip.IPv6Loopback()
)

// Bounds on what a device may make the matcher do for one event: hexadecimal digits of a
// hash, bytes of a name and of a URL, and how many paths and parent domains of one URL are
// looked up. No indicator reaches beyond them; a name has at most 127 labels.
const (
	maxHash   = 64
	maxName   = 253
	maxURL    = 2048
	maxLevels = 128
)

// url looks up a host name or a URL, with or without scheme. The longest path that an
// indicator of the current API names decides, then the host, then its parents.
func (s *search) url(text string) {
	text = text[:min(len(text), maxURL)]
	rest := withoutScheme(text)
	authority, path := rest, ""
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		authority, path = rest[:i], rest[i:]
	}
	if i := strings.LastIndexByte(authority, '@'); i >= 0 {
		authority = authority[i+1:]
	}
	host, port := authority, ""
	if i := strings.LastIndexByte(authority, ':'); i >= 0 && !strings.HasSuffix(authority, "]") {
		host, port = authority[:i], authority[i:]
	}
	host = canonicalHost(host)
	if host == "" {
		return
	}
	s.at.kind, s.at.text = indicator.KindURL, text
	decided := false
	if t := tagOf(indicator.KindURL, whole); s.set.shape[t].used {
		decided = s.paths(t, host, port, path)
	}
	s.name(host, decided)
}

// paths looks up host and path, then each shorter path down to the bare host.
func (s *search) paths(t tag, host, port, path string) bool {
	path, _, _ = strings.Cut(path, "#")
	cuts := make([]int, 0, 8)
	if path != "" && path != "/" {
		cuts = append(cuts, len(path))
	}
	end := len(path)
	if q := strings.IndexByte(path, '?'); q >= 0 {
		end = q
		cuts = append(cuts, q)
	}
	for i := end - 1; i > 0 && len(cuts) < maxLevels; i-- {
		if path[i] == '/' {
			cuts = append(cuts, i+1, i)
		}
	}
	cuts = append(cuts, 0)
	decided := false
	for _, n := range cuts {
		decided = s.level(s.set.hash.text(t, host+path[:n]), decided) || decided
		if port != "" {
			decided = s.level(s.set.hash.text(t, host+port+path[:n]), decided) || decided
		}
	}
	return decided
}

// host looks up a name that was asked of DNS.
func (s *search) host(name string) {
	if name = canonicalHost(name); name == "" {
		return
	}
	s.at.kind, s.at.text = indicator.KindDomain, name
	decided := false
	if t := tagOf(indicator.KindURL, whole); s.set.shape[t].used {
		decided = s.level(s.set.hash.text(t, name), false)
	}
	s.name(name, decided)
}

// name looks a canonical host name up as a domain. IOCs mean the very name; indicators of
// the current API also mean its subdomains.
func (s *search) name(name string, decided bool) {
	s.at.kind = indicator.KindDomain
	t := tagOf(indicator.KindDomain, whole)
	if s.set.shape[t].used {
		decided = s.level(s.set.hash.text(t, name), decided) || decided
		parent := name
		for range maxLevels {
			_, rest, more := strings.Cut(parent, ".")
			if !more || decided {
				break
			}
			parent = rest
			s.set.find(s.set.hash.text(t, parent), s.now, func(v value) {
				if v.ref.indicator() && s.mine(v) {
					decided = true
					s.hit(v)
				}
			})
		}
	}
	s.parts(indicator.KindDomain, name)
}

func withoutScheme(s string) string {
	if i := strings.Index(s, "://"); i >= 0 {
		return s[i+3:]
	}
	return s
}

// canonicalHost returns a host as indicators spell it; a name that is not one is only
// brought to lower case, so that functions on parts of it still see it.
func canonicalHost(s string) string {
	s = strings.TrimSuffix(s, ".")
	s = s[:min(len(s), 4*maxName)] // a name in UTF-8 is longer than its punycode
	plain := len(s) <= maxName
	for i := 0; plain && i < len(s); i++ {
		c := s[i]
		if !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '.' || c == '_') {
			plain = false
		}
	}
	if plain {
		return s
	}
	if d, err := indicator.CanonicalDomain(s); err == nil {
		return d
	}
	return strings.ToLower(s[:min(len(s), maxName)])
}

// jsonString returns a string member of a flat JSON object without decoding the rest: DNS
// answers are frequent and this is all that is wanted of them.
func jsonString(object, name string) string {
	quoted := `"` + name + `"`
	for rest := object; ; {
		_, after, ok := strings.Cut(rest, quoted)
		if !ok {
			return ""
		}
		rest = after
		value, ok := strings.CutPrefix(strings.TrimLeft(after, jsonSpace), ":")
		if !ok {
			continue // it was a value, not a name
		}
		value, ok = strings.CutPrefix(strings.TrimLeft(value, jsonSpace), `"`)
		if !ok {
			return ""
		}
		end := strings.IndexAny(value, `"\`)
		if end < 0 {
			return ""
		}
		if value[end] == '"' {
			return value[:end]
		}
		var all map[string]any
		if json.Unmarshal([]byte(object), &all) != nil {
			return ""
		}
		s, _ := all[name].(string)
		return s
	}
}

const jsonSpace = " \t\r\n"
