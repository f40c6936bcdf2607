package incident

import (
	"context"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vedette-edr/vedette/server/alert"
	"github.com/vedette-edr/vedette/server/ident"
)

// Kind is what a key is.
type Kind string

// The kinds of key. A local account and a private address mean somebody else on the next
// device or network, so they weigh less than their like.
const (
	OnDevice      Kind = "device"
	DomainAccount Kind = "account"
	LocalAccount  Kind = "local-account"
	File          Kind = "file"
	Address       Kind = "address"
	PrivateAddr   Kind = "private-address"
	Domain        Kind = "domain"
)

// Key is one thing that alerts may share.
type Key struct {
	Kind  Kind
	Value string // canonical: lower case
}

// step is a weight up to a distance in time.
type step struct {
	within time.Duration
	weight int
}

// enough is the weight at which an alert joins an incident.
const enough = 100

// weights is how much a shared key of each kind weighs, by the time between the events. A
// kind counts once, however many keys of it are shared. Two weak kinds do not suffice.
var weights = map[Kind][]step{
	OnDevice:      {{4 * time.Hour, enough}, {24 * time.Hour, 50}},
	DomainAccount: {{4 * time.Hour, enough}, {24 * time.Hour, 50}},
	LocalAccount:  {{24 * time.Hour, 40}},
	File:          {{72 * time.Hour, enough}, {7 * 24 * time.Hour, 50}},
	Address:       {{24 * time.Hour, enough}, {72 * time.Hour, 50}},
	PrivateAddr:   {{24 * time.Hour, 40}},
	Domain:        {{24 * time.Hour, enough}, {72 * time.Hour, 50}},
}

// reach is the longest time over which a kind links.
func (k Kind) reach() time.Duration {
	s := weights[k]
	if len(s) == 0 {
		return 0
	}
	return s[len(s)-1].within
}

func (k Kind) weight(apart time.Duration) int {
	for _, s := range weights[k] {
		if apart <= s.within {
			return s.weight
		}
	}
	return 0
}

// maxReach is the longest reach of any kind: links that ended before it link nothing.
const maxReach = 7 * 24 * time.Hour

// Bounds of what correlation looks at and builds. An alert that would exceed one of an
// incident's begins another.
const (
	maxKeys    = 32 // of one alert
	common     = 16 // incidents that hold a key at one time: from then on it links nobody
	maxAlerts  = 500
	maxDevices = 100
	maxSpan    = 30 * 24 * time.Hour // between an incident's first event and its last
)

// KeysOf returns what an alert may share with others, the strongest first, without what is
// everybody's.
func KeysOf(a *alert.Alert) []Key {
	var out []Key
	add := func(k Kind, value string) {
		key := Key{k, strings.ToLower(value)}
		if value != "" && len(out) < maxKeys && !slices.Contains(out, key) {
			out = append(out, key)
		}
	}
	add(OnDevice, string(a.Device))
	for i := range a.Evidence {
		e := &a.Evidence[i]
		if name, ok := fileKey(a, e); ok {
			add(File, name)
		}
		if ip, err := netip.ParseAddr(e.IP); err == nil {
			if k := addressKind(ip.Unmap()); k != "" {
				add(k, ip.Unmap().WithZone("").String())
			}
		}
		add(Domain, domainOf(e.URL))
		if k, name := accountKey(a, e.Account, e.Domain, e.UserID); k != "" {
			add(k, name)
		}
	}
	if k, name := accountKey(a, a.User.Name, a.User.Domain, ""); k != "" {
		add(k, name)
	}
	return out
}

// systemFolders hold what a system is made of: a process of such a file tells of the
// system's shells and tools, which every attack and every user runs.
var systemFolders = []string{
	"/bin", "/sbin", "/lib", "/lib64", "/usr/bin", "/usr/sbin", "/usr/lib", "/usr/lib64", "/usr/libexec", "/usr/local/bin", "/usr/local/sbin",
	`c:\windows`, `c:\program files`, `c:\program files (x86)`,
}

// fileKey returns the hash of a file that is worth linking by. A file of the system is not,
// unless it is the very thing that an indicator named.
func fileKey(a *alert.Alert, e *alert.Evidence) (string, bool) {
	hash := e.SHA256
	if hash == "" {
		hash = e.SHA1
	}
	if hash == "" {
		return "", false
	}
	if e.Type == "File" && a.Source.Indicator != "" {
		return hash, true
	}
	dir := strings.ToLower(e.FilePath)
	return hash, !slices.ContainsFunc(systemFolders, func(f string) bool {
		rest, ok := strings.CutPrefix(dir, f)
		return ok && (rest == "" || rest[0] == '/' || rest[0] == '\\')
	})
}

// resolvers are public addresses that everybody talks to.
var resolvers = []string{"1.1.1.1", "1.0.0.1", "8.8.8.8", "8.8.4.4", "9.9.9.9", "208.67.222.222", "208.67.220.220",
	"2606:4700:4700::1111", "2606:4700:4700::1001", "2001:4860:4860::8888", "2001:4860:4860::8844"}

var sharedSpace = netip.MustParsePrefix("100.64.0.0/10") // RFC 6598: behind a carrier's NAT

// addressKind returns how an address links, "" for one that does not.
func addressKind(ip netip.Addr) Kind {
	switch {
	case ip.IsUnspecified(), ip.IsLoopback(), ip.IsMulticast(), ip.IsLinkLocalUnicast(), ip.IsInterfaceLocalMulticast(),
		ip == netip.AddrFrom4([4]byte{255, 255, 255, 255}), slices.Contains(resolvers, ip.String()):
		return ""
	case ip.IsPrivate(), sharedSpace.Contains(ip):
		return PrivateAddr
	}
	return Address
}

// domainOf returns the host name of a URL or of a bare host, "" when it has none.
func domainOf(s string) string {
	if s == "" {
		return ""
	}
	if !strings.Contains(s, "://") {
		s = "http://" + s
	}
	u, err := url.Parse(s)
	if err != nil {
		return ""
	}
	host := strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
	if _, err := netip.ParseAddr(host); err == nil || !strings.Contains(host, ".") {
		return ""
	}
	return host
}

// everybody are accounts that are on every system, or on every image of a cloud.
var everybody = []string{
	"root", "system", "nobody", "daemon", "local service", "network service", "localservice", "networkservice", "www-data", "nginx", "apache",
	"mysql", "postgres", "sshd", "admin", "administrator", "guest", "user", "test", "ubuntu", "debian", "centos", "ec2-user", "azureuser", "vagrant",
}

// firstPerson is the least user id that Linux distributions give to people.
const firstPerson = 1000

// accountKey returns how an account links, "" for one that does not. A local account, one
// whose domain is the device itself, is told by its name alone.
func accountKey(a *alert.Alert, name, domain, sid string) (Kind, string) {
	name = strings.ToLower(name)
	if name == "" || slices.Contains(everybody, name) || strings.HasSuffix(name, "$") || strings.HasPrefix(name, "dwm-") ||
		strings.HasPrefix(name, "umfd-") || sid == "S-1-5-18" || sid == "S-1-5-19" || sid == "S-1-5-20" {
		return "", ""
	}
	if uid, err := strconv.ParseUint(sid, 10, 32); err == nil && (uid < firstPerson || uid == 65534) {
		return "", ""
	}
	host, _, _ := strings.Cut(a.DeviceName, ".")
	if domain == "" || strings.EqualFold(domain, host) || strings.EqualFold(domain, a.DeviceName) {
		return LocalAccount, name
	}
	return DomainAccount, domain + `\` + name
}

// find returns the open incident that the alert joins, nil for none.
func (s *Service) find(ctx context.Context, a *alert.Alert, keys []Key) (*Incident, error) {
	type score struct {
		byKind map[Kind]int
		last   time.Time
	}
	scores := map[ident.IncidentID]*score{}
	first, last := span(a)
	for _, k := range keys {
		links, err := s.links.Links(ctx, a.Tenant, k, first.Add(-k.Kind.reach()), last.Add(k.Kind.reach()), common)
		if err != nil {
			return nil, err
		}
		if len(links) >= common && k.Kind != OnDevice {
			continue
		}
		for _, l := range links {
			sc := scores[l.Incident]
			if sc == nil {
				sc = &score{byKind: map[Kind]int{}}
				scores[l.Incident] = sc
			}
			sc.byKind[k.Kind] = max(sc.byKind[k.Kind], k.Kind.weight(apart(first, last, l)))
			if l.Last.After(sc.last) {
				sc.last = l.Last
			}
		}
	}
	type candidate struct {
		id     ident.IncidentID
		weight int
		last   time.Time
	}
	var found []candidate
	for id, sc := range scores {
		total := 0
		for _, w := range sc.byKind {
			total += w
		}
		if total >= enough {
			found = append(found, candidate{id, total, sc.last})
		}
	}
	slices.SortFunc(found, func(x, y candidate) int {
		switch {
		case x.weight != y.weight:
			return y.weight - x.weight
		case !x.last.Equal(y.last):
			return y.last.Compare(x.last)
		}
		return int(y.id - x.id)
	})
	for _, c := range found {
		i, err := s.store.Incident(ctx, a.Tenant, c.id)
		if err != nil {
			return nil, err
		}
		if i.takes(a) {
			return i, nil
		}
	}
	return nil, nil
}

// span is the time of an alert's events; alerts that tell none happened when they were made.
func span(a *alert.Alert) (first, last time.Time) {
	first, last = a.FirstEvent, a.LastEvent
	if first.IsZero() {
		first = a.Created
	}
	if last.Before(first) {
		last = first
	}
	return first, last
}

func apart(first, last time.Time, l Link) time.Duration {
	return max(0, first.Sub(l.Last), l.First.Sub(last))
}

// takes reports whether the alert fits into the bounds of an open incident.
func (i *Incident) takes(a *alert.Alert) bool {
	first, last := span(a)
	if !i.Open() || i.Alerts >= maxAlerts {
		return false
	}
	if len(i.Devices) >= maxDevices && !slices.ContainsFunc(i.Devices, func(d Device) bool { return d.ID == a.Device }) {
		return false
	}
	return max(last.Sub(i.FirstEvent), i.LastEvent.Sub(first)) <= maxSpan
}
