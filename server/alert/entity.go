package alert

import (
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/vedette-edr/vedette/server/filter"
)

// Kinds of entity, as Entity takes them.
const (
	EntitySHA1   = "sha1"
	EntitySHA256 = "sha256"
	EntityIP     = "ip"
	EntityDomain = "domain"
	EntityUser   = "user"
)

// entities is a list that exists to be searched: it is no property of an alert.
var entities = filter.Field{Name: "$entities", Type: filter.List}

// Stored is what stores can select alerts by: Fields, and the entities of the evidence.
var Stored = append(slices.Clip(Fields), entities)

// About is the predicate of the alerts whose evidence names the entity. The value of a
// hash is its digits, of an address its canonical text, of a domain the host name, of a
// user the bare account name; case does not matter.
func About(kind, value string) filter.Expr {
	return filter.Any{Field: entities, Where: filter.Compare{Field: filter.Element, Op: filter.Eq,
		Value: filter.Value{Type: filter.String, S: kind + ":" + value}}}
}

// Entities returns what a's evidence and user name, each as kind:value, sorted, each once.
func (a *Alert) Entities() []string {
	var out []string
	add := func(kind, value string) {
		if value != "" {
			out = append(out, kind+":"+filter.Fold(value))
		}
	}
	for i := range a.Evidence {
		v := &a.Evidence[i]
		add(EntitySHA1, v.SHA1)
		add(EntitySHA256, v.SHA256)
		add(EntityUser, v.Account)
		if ip, err := netip.ParseAddr(v.IP); err == nil {
			add(EntityIP, ip.Unmap().String())
		}
		add(EntityDomain, Host(v.URL))
	}
	add(EntityUser, a.User.Name)
	slices.Sort(out)
	return slices.Compact(out)
}

// Host returns the domain name of a URL or of a bare host in lower case, "" when it has
// none.
func Host(s string) string {
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
	if _, err := netip.ParseAddr(host); err == nil {
		return ""
	}
	return host
}
