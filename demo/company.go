package demo

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/vedette-edr/vedette/agent/link"
	"github.com/vedette-edr/vedette/fleetsim"
)

// domain is under the name that is reserved for examples (RFC 2606), the addresses of the
// company are private ones and those of the world outside of RFC 5737 and RFC 3849.
const domain = "halden.example"

// person works for the company.
type person struct {
	login string
	name  string
	uid   int
	unit  string
}

// host is one device of the company.
type host struct {
	index  int
	name   string // without the domain
	role   string // web, app, db, file, build, infra, laptop
	ip     string
	distro distro
	owner  *person // of a laptop; nil for servers
	silent bool    // stops reporting in the middle of the week
	called string  // what it says its full name is; "" for the name in the domain
	packs  []pkg
}

func (h *host) fqdn() string {
	if h.called != "" {
		return h.called
	}
	return h.name + "." + domain
}

type distro struct{ name, version, info, kernel, release string }

var distros = []distro{
	{"Debian", "12", "Debian GNU/Linux 12 (bookworm)", "6.1.0-28-amd64", "debian:12"},
	{"Debian", "13", "Debian GNU/Linux 13 (trixie)", "6.12.12-amd64", "debian:13"},
	{"Ubuntu", "24.04", "Ubuntu 24.04.3 LTS", "6.8.0-51-generic", "ubuntu:24.04"},
	{"Ubuntu", "22.04", "Ubuntu 22.04.5 LTS", "5.15.0-130-generic", "ubuntu:22.04"},
}

// company is everybody and everything, made from a seed.
type company struct {
	seed   uint64
	people []*person
	hosts  []*host
	byName map[string]*host
}

// servers are named by what they do; the attacks go by these names.
var servers = []struct {
	role  string
	names []string
}{
	{"web", []string{"web-01", "web-02", "web-03", "web-04", "web-05", "wiki-01"}},
	{"app", []string{"app-01", "app-02", "app-03", "app-04", "app-05", "app-06", "erp-01", "erp-02", "hr-01"}},
	{"db", []string{"db-01", "db-02", "db-03", "db-04"}},
	{"file", []string{"file-01", "file-02", "file-03", "backup-01", "backup-02"}},
	{"build", []string{"build-01", "build-02", "git-01", "registry-01"}},
	{"infra", []string{"jump-01", "dns-01", "dns-02", "mail-01", "mon-01", "vpn-01", "ldap-01", "log-01"}},
}

var given = []string{"Anna", "Bilal", "Chiara", "Dmitri", "Elif", "Femi", "Greta", "Hana", "Ines", "Jonas", "Katja", "Luca", "Marta", "Nils", "Oksana",
	"Pavel", "Quentin", "Rosa", "Sven", "Tariq", "Ute", "Vera", "Wanda", "Xenia", "Yusuf", "Zoe", "Aiko", "Bram", "Celine", "Diego"}

var family = []string{"Keller", "Novak", "Okafor", "Brandt", "Lindqvist", "Moreau", "Ferrari", "Kowalski", "Petrov", "Yilmaz", "Haddad", "Jensen", "Costa",
	"Virtanen", "Horvat", "Nagy", "Dubois", "Schreiber", "Ivanova", "Silva", "Andersson", "Weber", "Rossi", "Bakker", "Murphy", "Tanaka", "Ozturk", "Fischer", "Popescu", "Laine"}

var units = []string{"Finance", "Engineering", "Engineering", "Sales", "Human Resources", "Operations", "Research", "Management"}

// The people whom the attacks concern.
const (
	clerk    = "m.keller"    // opens the attachment
	insider  = "t.brandt"    // a database administrator who leaves
	operator = "j.lindqvist" // of the build servers
)

func newCompany(seed uint64, devices int, hostile bool) *company {
	r := rand.New(rand.NewPCG(seed, 0xc0))
	c := &company{seed: seed, byName: map[string]*host{}}
	add := func(h *host) {
		h.index = len(c.hosts)
		h.packs = packages(r, h)
		c.hosts = append(c.hosts, h)
		c.byName[h.name] = h
	}
	for net, s := range servers {
		for i, name := range s.names {
			add(&host{name: name, role: s.role, ip: fmt.Sprintf("10.20.%d.%d", net+1, i+11), distro: distros[r.IntN(2)]})
		}
	}
	logins := map[string]bool{}
	hire := func(first, last, unit string) *person {
		login := strings.ToLower(first[:1] + "." + last)
		for n := 2; logins[login]; n++ {
			login = fmt.Sprintf("%s.%s%d", strings.ToLower(first[:1]), strings.ToLower(last), n)
		}
		logins[login] = true
		p := &person{login: login, name: first + " " + last, uid: 1000 + len(c.people), unit: unit}
		c.people = append(c.people, p)
		return p
	}
	laptop := func(p *person) {
		n := len(c.hosts)
		add(&host{name: "lt-" + strings.ReplaceAll(p.login, ".", ""), role: "laptop", owner: p, ip: fmt.Sprintf("10.30.%d.%d", n/200+1, n%200+20),
			distro: distros[r.IntN(len(distros))]})
	}
	laptop(hire("Marta", "Keller", "Finance"))
	laptop(hire("Tariq", "Brandt", "Operations"))
	laptop(hire("Jonas", "Lindqvist", "Engineering"))
	for len(c.hosts) < devices {
		laptop(hire(given[r.IntN(len(given))], family[r.IntN(len(family))], units[r.IntN(len(units))]))
	}
	// Some sensors fall silent, as they do.
	for _, i := range r.Perm(len(c.hosts))[:max(3, devices/40)] {
		if h := c.hosts[i]; h.role == "laptop" && i > 45 {
			h.silent = true
		}
	}
	if hostile {
		for _, name := range hostileNames() {
			p := &person{login: name, name: name, uid: 6666, unit: name}
			n := len(c.hosts)
			add(&host{name: fmt.Sprintf("kiosk-%d", n), role: "laptop", owner: p, ip: fmt.Sprintf("10.66.0.%d", n%200+10), distro: distros[0], called: fmt.Sprintf("%s %d", name, n)})
		}
	}
	return c
}

// host returns the device of a name; asking for one that is not there is a mistake of the
// demonstration.
func (c *company) host(name string) *host {
	h := c.byName[name]
	if h == nil {
		panic("demo: there is no device " + name)
	}
	return h
}

func (c *company) laptopOf(login string) *host {
	return c.host("lt-" + strings.ReplaceAll(login, ".", ""))
}

type m = map[string]any

// describe is fleetsim.Config.Describe.
func (c *company) describe(i int) fleetsim.Host {
	h := c.hosts[i]
	user := m{"userName": "root", "domainName": h.name, "sid": "0", "admin": true}
	users := []any{user}
	var on []any
	vendor, model, chassis := "QEMU", "Standard PC (Q35 + ICH9, 2009)", 1
	if h.owner != nil {
		u := m{"userName": h.owner.login, "domainName": h.name, "sid": fmt.Sprint(h.owner.uid), "admin": h.owner.unit == "Engineering"}
		users, on = append(users, u), []any{u}
		vendor, model, chassis = "LENOVO", "ThinkPad T14 Gen 5", 10
	}
	mac := fmt.Sprintf("52:54:00:%02x:%02x:%02x", byte(i>>8), byte(i), byte(c.seed))
	b, err := json.Marshal(m{
		"hostname": h.name, "fqdn": h.fqdn(),
		"os": m{"platform": "Linux", "distribution": h.distro.name, "version": h.distro.version, "versionInfo": h.distro.info,
			"kernel": h.distro.kernel, "architecture": "64-bit", "processor": "x64"},
		"hardware": m{"vendor": vendor, "model": model, "chassis": chassis},
		"users":    users, "loggedOn": on, "dns": []string{"10.20.6.12", "10.20.6.13"},
		"interfaces": []any{m{"name": "eth0", "mac": mac, "type": "Ethernet", "status": "Up", "gateways": []string{gateway(h.ip)},
			"addresses": []any{m{"ip": h.ip, "prefix": 24, "type": "Private"}}}},
		"fingerprint": m{"machineId": fmt.Sprintf("%032x", hash64(h.name)), "mac": mac},
	})
	if err != nil {
		panic(err) // of texts and numbers: cannot fail
	}
	return fleetsim.Host{Name: h.fqdn(), Inventory: b, Sections: []link.Section{softwareSection(h)}}
}

func gateway(ip string) string { return ip[:strings.LastIndexByte(ip, '.')] + ".1" }
