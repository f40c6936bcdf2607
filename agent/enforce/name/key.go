package name

import (
	"encoding/binary"
	"strings"

	"github.com/vedette-edr/vedette/agent/enforce/address"
)

// KeySize is the length of a Key in bytes.
const KeySize = 16

// Key is what a rule is looked up by: a hash of a domain, or of host, port and path, under
// the device's own Seed. The kernel's programs make the same of what they see.
type Key [KeySize]byte

// Seed makes the keys of one device: without it nobody can make up a name whose key is
// that of another.
type Seed [16]byte

// The tags that the kernel's programs mix in.
const (
	tagDomain = 0x9d1ae3c5f2b86470
	tagURL    = 0x4be7150ca83f96d2
	tagOpen   = 0xe26c78b04d915fa3
)

type state struct{ a, b uint64 }

func (s Seed) state() state {
	return state{binary.BigEndian.Uint64(s[:8]), binary.BigEndian.Uint64(s[8:])}
}

func (s *state) mix(c byte) {
	s.a = (s.a ^ uint64(c)) * 0x9e3779b97f4a7c15
	s.a ^= s.a >> 29
	s.b = (s.b + uint64(c) + 1) * 0xd1342543de82ef95
	s.b ^= s.b >> 31
}

// host mixes a host name from its end.
func (s *state) host(h string) {
	for i := len(h) - 1; i >= 0; i-- {
		s.mix(lower(h[i]))
	}
}

func (s *state) text(t string) {
	for i := range len(t) {
		s.mix(t[i])
	}
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c + 32
	}
	return c
}

// key returns the key as the kernel's table has it.
func (s state) key(tag uint64) (k Key) {
	binary.NativeEndian.PutUint64(k[:8], s.a^tag)
	binary.NativeEndian.PutUint64(k[8:], s.b)
	return k
}

// Domain returns the key of a rule about a domain and all below it.
func (s Seed) Domain(domain string) Key {
	st := s.state()
	st.host(strings.TrimSuffix(domain, "."))
	return st.key(tagDomain)
}

// URL returns the key of a rule about a URL, canonical but for its scheme, which may be
// there or not and means nothing. open is the key of its host, by which Open marks that the
// host may be resolved; pathless says that the URL names a host alone.
func (s Seed) URL(url string) (key, open Key, pathless bool) {
	if i := strings.Index(url, "://"); i >= 0 {
		url = url[i+3:]
	}
	host, path := url, ""
	if i := strings.IndexAny(url, "/?#"); i >= 0 {
		host, path = url[:i], url[i:]
	}
	if path == "/" {
		path = ""
	}
	port := ""
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") {
		host, port = host[:i], host[i:]
	}
	st := s.state()
	st.host(strings.TrimSuffix(host, "."))
	open = st.key(tagOpen)
	st.text(port)
	st.text(path)
	return st.key(tagURL), open, path == "" && port == ""
}

// levels calls f with the keys by which a bare host is looked up, the widest first.
func (s Seed) levels(host string, f func(Key)) {
	st := s.state()
	for i := len(host) - 1; i >= 0; i-- {
		if host[i] == '.' {
			f(st.key(tagDomain))
		}
		st.mix(lower(host[i]))
	}
	f(st.key(tagDomain))
	f(st.key(tagURL))
}

func (s Seed) open(host string) Key {
	st := s.state()
	st.host(host)
	return st.key(tagOpen)
}

// Rule is what is wanted of one key.
type Rule struct {
	Key     Key
	Verdict address.Verdict // empty: nothing
	ID      int64           // of the indicator that is named in events
}

// Merge adds what another rule of the same key wants.
func Merge(a, b Rule) Rule {
	m := address.Merge(address.Rule{Verdict: a.Verdict, ID: a.ID}, address.Rule{Verdict: b.Verdict, ID: b.ID})
	return Rule{Key: b.Key, Verdict: m.Verdict, ID: m.ID}
}

// Stats counts what the kernel's programs decided since they were attached.
type Stats struct {
	Blocked    uint64 // datagrams and segments not sent
	Noted      uint64 // names let through and reported
	Suppressed uint64 // events left out as repetitions
	Lost       uint64 // events for which there was no room; also reported as a Gap
	Blind      uint64 // flows not looked at for lack of memory
	Rules      int
	Learned    int // addresses blocked because a blocked name leads to them
}
