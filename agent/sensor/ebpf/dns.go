package ebpf

import (
	"errors"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/vedette-edr/vedette/agent/process"
)

// Bounds on what one datagram may make us do or keep.
const (
	maxQuestions = 4
	maxAnswers   = 64
	maxTXT       = 512 // bytes of one TXT answer that are kept
)

// dnsAnswer is one record of an answer, in words.
type dnsAnswer struct {
	Type   string     `json:"DnsQueryType"`
	Result string     `json:"Result"`
	addr   netip.Addr // valid for A and AAAA
	ttl    time.Duration
}

// dnsMessage is what is kept of a DNS message. Malformed ends are cut off: everything
// before the first error stands.
type dnsMessage struct {
	id       uint16
	response bool
	code     string
	name     string // of the first question, without the final dot
	kind     string // its type
	answers  []dnsAnswer
}

// parseDNS reads a DNS message that came from the network; it reports false for bytes that
// are none, or ask nothing.
func parseDNS(b []byte) (dnsMessage, bool) {
	var p dnsmessage.Parser
	h, err := p.Start(b)
	if err != nil {
		return dnsMessage{}, false
	}
	m := dnsMessage{id: h.ID, response: h.Response, code: strings.TrimPrefix(h.RCode.String(), "RCode")}
	for i := 0; ; i++ {
		q, err := p.Question()
		if errors.Is(err, dnsmessage.ErrSectionDone) {
			break
		}
		if err != nil || i >= maxQuestions {
			return dnsMessage{}, false
		}
		if i == 0 {
			m.name, m.kind = domain(q.Name), recordType(q.Type)
		}
	}
	if m.name == "" && m.kind == "" {
		return dnsMessage{}, false
	}
	if !m.response {
		return m, true
	}
	for len(m.answers) < maxAnswers {
		h, err := p.AnswerHeader()
		if err != nil {
			break
		}
		a := dnsAnswer{Type: recordType(h.Type), ttl: time.Duration(h.TTL) * time.Second}
		if !readAnswer(&p, h.Type, &a) {
			break
		}
		m.answers = append(m.answers, a)
	}
	return m, true
}

func readAnswer(p *dnsmessage.Parser, t dnsmessage.Type, a *dnsAnswer) bool {
	switch t {
	case dnsmessage.TypeA:
		r, err := p.AResource()
		if err != nil {
			return false
		}
		a.addr = netip.AddrFrom4(r.A)
		a.Result = a.addr.String()
	case dnsmessage.TypeAAAA:
		r, err := p.AAAAResource()
		if err != nil {
			return false
		}
		a.addr = netip.AddrFrom16(r.AAAA).Unmap()
		a.Result = a.addr.String()
	case dnsmessage.TypeCNAME:
		r, err := p.CNAMEResource()
		if err != nil {
			return false
		}
		a.Result = domain(r.CNAME)
	case dnsmessage.TypePTR:
		r, err := p.PTRResource()
		if err != nil {
			return false
		}
		a.Result = domain(r.PTR)
	case dnsmessage.TypeNS:
		r, err := p.NSResource()
		if err != nil {
			return false
		}
		a.Result = domain(r.NS)
	case dnsmessage.TypeMX:
		r, err := p.MXResource()
		if err != nil {
			return false
		}
		a.Result = domain(r.MX)
	case dnsmessage.TypeSRV:
		r, err := p.SRVResource()
		if err != nil {
			return false
		}
		a.Result = domain(r.Target)
	case dnsmessage.TypeTXT:
		r, err := p.TXTResource()
		if err != nil {
			return false
		}
		s := strings.Join(r.TXT, "")
		a.Result = process.Text(s[:min(len(s), maxTXT)])
	default:
		return p.SkipAnswer() == nil
	}
	return true
}

func domain(n dnsmessage.Name) string {
	return process.Text(strings.TrimSuffix(string(n.Data[:n.Length]), "."))
}

func recordType(t dnsmessage.Type) string {
	switch t {
	case 64:
		return "SVCB"
	case 65:
		return "HTTPS"
	case 43:
		return "DS"
	case 48:
		return "DNSKEY"
	}
	return strings.TrimPrefix(t.String(), "Type")
}

// question identifies a query that waits for its answer.
type question struct {
	server netip.Addr
	port   uint16 // ours
	id     uint16
	name   string
	kind   string
}

// names remembers which name led to an address: from answers to questions that were really
// asked, for as long as they are good. Both maps are bounded.
type names struct {
	asked  map[question]time.Time
	byAddr map[netip.Addr]name
}

type name struct {
	text    string
	expires time.Time
}

const (
	maxAsked  = 4096
	maxNames  = 16384
	askedLife = 30 * time.Second
	minLife   = 30 * time.Second // a name is used a moment after its answer even at TTL 0
	maxLife   = 6 * time.Hour
)

func newNames() *names {
	return &names{asked: make(map[question]time.Time), byAddr: make(map[netip.Addr]name)}
}

func (n *names) ask(q question, now time.Time) {
	if len(n.asked) >= maxAsked {
		evict(n.asked, func(t time.Time) bool { return now.Sub(t) > askedLife })
	}
	n.asked[q] = now
}

// learn takes an answer; it reports whether the question had been asked.
func (n *names) learn(q question, answers []dnsAnswer, now time.Time) bool {
	at, ok := n.asked[q]
	if !ok || now.Sub(at) > askedLife {
		return false
	}
	delete(n.asked, q)
	for _, a := range answers {
		if !a.addr.IsValid() {
			continue
		}
		if len(n.byAddr) >= maxNames {
			evict(n.byAddr, func(m name) bool { return now.After(m.expires) })
		}
		n.byAddr[a.addr] = name{text: strings.ToLower(q.name), expires: now.Add(min(max(a.ttl, minLife), maxLife))}
	}
	return true
}

// of returns the name that led to addr, "" when none is known.
func (n *names) of(addr netip.Addr, now time.Time) string {
	m, ok := n.byAddr[addr]
	if !ok || now.After(m.expires) {
		return ""
	}
	return m.text
}

// evict makes room in a full map: all that is stale, else an eighth of it, whichever comes
// first in the map's random order.
func evict[K comparable, V any](m map[K]V, stale func(V) bool) {
	before := len(m)
	for k, v := range m {
		if stale(v) {
			delete(m, k)
		}
	}
	for k := range m {
		if len(m) <= before-before/8 {
			return
		}
		delete(m, k)
	}
}
