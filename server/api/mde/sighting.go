package mde

import (
	"cmp"
	"context"
	"net/http"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/alert"
	"github.com/vedette-edr/vedette/server/api"
	"github.com/vedette-edr/vedette/server/api/odata"
	"github.com/vedette-edr/vedette/server/device"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/filter"
	"github.com/vedette-edr/vedette/server/hunt"
	"github.com/vedette-edr/vedette/server/ident"
)

// Sightings knows which devices saw a file, an address, a domain or a user.
type Sightings interface {
	// Sightings returns those that the caller of ctx sees, last sighting first.
	Sightings(ctx context.Context, tenant ident.TenantID, thing hunt.Thing, value string, since time.Time) ([]hunt.Sighting, error)
}

// thing is what a path of files, domains, ips or users names.
type thing struct {
	kind   hunt.Thing
	entity string // the alerts' word for the kind
	value  string // canonical
}

// namer reads the thing that a path names.
type namer func(r *api.Request) (thing, error)

var (
	digest = regexp.MustCompile(`^(?:[0-9a-f]{40}|[0-9a-f]{64})$`)
	label  = regexp.MustCompile(`^[\p{L}\p{N}_](?:[\p{L}\p{N}_-]{0,61}[\p{L}\p{N}_])?$`)
)

func namedFile(r *api.Request) (thing, error) {
	s := strings.ToLower(r.Var("id"))
	switch {
	case !digest.MatchString(s):
		return thing{}, errs.New("mde.file", errs.Invalid, errs.InvalidHashValue, "The hash value %q is not a SHA-1 or SHA-256 in hexadecimal", r.Var("id"))
	case len(s) == 40:
		return thing{hunt.FileSHA1, alert.EntitySHA1, s}, nil
	}
	return thing{hunt.FileSHA256, alert.EntitySHA256, s}, nil
}

func namedDomain(r *api.Request) (thing, error) {
	s := strings.TrimSuffix(strings.ToLower(r.Var("id")), ".")
	_, err := netip.ParseAddr(s)
	if err == nil || len(s) > 253 || slices.ContainsFunc(strings.Split(s, "."), func(l string) bool { return !label.MatchString(l) }) {
		return thing{}, errs.New("mde.domain", errs.Invalid, errs.InvalidDomainName, "%q is not a domain name", r.Var("id"))
	}
	return thing{hunt.Domain, alert.EntityDomain, s}, nil
}

func namedIP(r *api.Request) (thing, error) {
	ip, err := netip.ParseAddr(r.Var("id"))
	if err != nil || ip.Zone() != "" {
		return thing{}, errs.New("mde.ip", errs.Invalid, errs.InvalidIPAddress, "%q is not an IP address", r.Var("id"))
	}
	return thing{hunt.Address, alert.EntityIP, ip.Unmap().String()}, nil
}

// maxAccount bounds an account name, in bytes.
const maxAccount = 256

func namedUser(r *api.Request) (thing, error) {
	s := r.Var("id")
	if s == "" || len(s) > maxAccount || strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || c == 0x7f }) {
		return thing{}, errs.New("mde.user", errs.Invalid, errs.InvalidInput, "Invalid input: %q is not an account name", s)
	}
	return thing{hunt.User, alert.EntityUser, s}, nil
}

func (a *API) sightingRoutes() []api.Route {
	file, url, ip, user := []access.Permission{access.FileRead}, []access.Permission{access.URLRead}, []access.Permission{access.IPRead}, []access.Permission{access.UserRead}
	routes := []api.Route{
		get("/files/{id}", file, a.getFile),
		get("/files/{id}/stats", file, a.getFileStats),
		get("/domains/{id}", url, a.getDomain),
		get("/domains/{id}/stats", url, a.getDomainStats),
		get("/ips/{id}", ip, a.getIP),
		get("/ips/{id}/stats", ip, a.getIPStats),
		get("/users/{id}", user, a.getUser),
	}
	for set, name := range map[string]namer{"files": namedFile, "domains": namedDomain, "ips": namedIP, "users": namedUser} {
		routes = append(routes,
			get("/"+set+"/{id}/alerts", alertRead, a.alertsAbout(name)),
			get("/"+set+"/{id}/alerts/$count", alertRead, a.countAlertsAbout(name)),
			get("/"+set+"/{id}/machines", machineRead, a.machinesThatSaw(name)),
			get("/"+set+"/{id}/machines/$count", machineRead, a.countMachinesThatSaw(name)))
	}
	slices.SortFunc(routes, func(x, y api.Route) int { return cmp.Compare(x.Pattern, y.Pattern) })
	return routes
}

func (a *API) alertsAbout(name namer) api.Handler {
	return func(w http.ResponseWriter, r *api.Request) error {
		t, err := name(r)
		if err != nil {
			return err
		}
		return a.listAlerts(w, r, alert.About(t.entity, t.value))
	}
}

func (a *API) countAlertsAbout(name namer) api.Handler {
	return func(w http.ResponseWriter, r *api.Request) error {
		t, err := name(r)
		if err != nil {
			return err
		}
		return a.numberOfAlerts(w, r, alert.About(t.entity, t.value))
	}
}

// maxSeers bounds the machines that are listed for a thing: the published size of a page.
const maxSeers = 10_000

// seers is the predicate of the machines that saw what the path names, within the
// published 30 days; false says that none did.
func (a *API) seers(r *api.Request, name namer) (filter.Expr, bool, error) {
	t, err := name(r)
	if err != nil {
		return nil, false, err
	}
	seen, err := a.sightings.Sightings(r.Context(), r.Caller.Tenant, t.kind, t.value, a.now().Add(-lookBack*time.Hour))
	if err != nil || len(seen) == 0 {
		return nil, false, err
	}
	id, _ := device.Fields.Find("id")
	in := filter.In{Field: id}
	for _, s := range seen[:min(len(seen), maxSeers)] {
		in.Values = append(in.Values, filter.Value{Type: filter.String, S: string(s.Device)})
	}
	return in, true, nil
}

func (a *API) machinesThatSaw(name namer) api.Handler {
	return func(w http.ResponseWriter, r *api.Request) error {
		o, err := odata.Parse(r.Query, a.machineSpec())
		if err != nil {
			return err
		}
		only, some, err := a.seers(r, name)
		if err != nil {
			return err
		}
		page := filter.Page[*device.Device]{}
		if some {
			q := o.Query
			q.Where = narrow(only, q.Where)
			if page, err = a.devices.Find(r.Context(), r.Caller.Tenant, device.Query{}, q); err != nil {
				return err
			}
		}
		return a.writeMachines(w, r, o, page)
	}
}

func (a *API) countMachinesThatSaw(name namer) api.Handler {
	return func(w http.ResponseWriter, r *api.Request) error {
		o, err := odata.Parse(r.Query, a.machineSpec())
		if err != nil {
			return err
		}
		only, some, err := a.seers(r, name)
		if err != nil {
			return err
		}
		if !some {
			return counted(w, 0)
		}
		page, err := a.devices.Find(r.Context(), r.Caller.Tenant, device.Query{}, filter.Query{Where: narrow(only, o.Query.Where), Top: 1, Count: true})
		if err != nil {
			return err
		}
		return counted(w, page.Total)
	}
}

// lookBack is how far back sightings go, in hours: the published default, and the most
// that lookBackHours may ask for.
const lookBack = 720

// within reads lookBackHours.
func (a *API) within(r *api.Request) (time.Time, error) {
	hours := lookBack
	if s := r.Query.Get("lookBackHours"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > lookBack {
			return time.Time{}, errs.New("mde.stats", errs.Invalid, errs.InvalidInput, "Invalid input: lookBackHours is %q, not a number from 1 to %d", s, lookBack)
		}
		hours = n
	}
	return a.now().Add(-time.Duration(hours) * time.Hour), nil
}

// prevalence is what the sightings of a thing come to.
type prevalence struct {
	seen        []hunt.Sighting
	first, last time.Time
}

// prevalence looks for what the path names.
func (a *API) prevalence(r *api.Request, name namer) (thing, prevalence, error) {
	t, err := name(r)
	if err != nil {
		return t, prevalence{}, err
	}
	since, err := a.within(r)
	if err != nil {
		return t, prevalence{}, err
	}
	p, err := a.seen(r, t, since)
	return t, p, err
}

func (a *API) seen(r *api.Request, t thing, since time.Time) (p prevalence, err error) {
	p.seen, err = a.sightings.Sightings(r.Context(), r.Caller.Tenant, t.kind, t.value, since)
	for i, s := range p.seen {
		if i == 0 || s.First.Before(p.first) {
			p.first = s.First
		}
		if s.Last.After(p.last) {
			p.last = s.Last
		}
	}
	return p, err
}

type fileStats struct {
	SHA1                   *string        `json:"sha1"`
	OrganizationPrevalence int64          `json:"organizationPrevalence"`
	OrgFirstSeen           odata.DateTime `json:"orgFirstSeen"`
	OrgLastSeen            odata.DateTime `json:"orgLastSeen"`
	GloballyPrevalence     *int64         `json:"globallyPrevalence"` // published so
	GlobalFirstObserved    odata.DateTime `json:"globalFirstObserved"`
	GlobalLastObserved     odata.DateTime `json:"globalLastObserved"`
	TopFileNames           []string       `json:"topFileNames"`
}

type domainStats struct {
	Host                   string         `json:"host"`
	OrganizationPrevalence int64          `json:"organizationPrevalence"`
	OrgFirstSeen           odata.DateTime `json:"orgFirstSeen"`
	OrgLastSeen            odata.DateTime `json:"orgLastSeen"`
}

type ipStats struct {
	IPAddress              string         `json:"ipAddress"`
	OrganizationPrevalence int64          `json:"organizationPrevalence"`
	OrgFirstSeen           odata.DateTime `json:"orgFirstSeen"`
	OrgLastSeen            odata.DateTime `json:"orgLastSeen"`
}

// maxTopNames is how many names file statistics list.
const maxTopNames = 5

// topNames returns the names that most devices know the file by.
func (p prevalence) topNames() []string {
	count := map[string]int{}
	names := []string{}
	for _, s := range p.seen {
		for _, n := range s.Names {
			if count[n]++; count[n] == 1 {
				names = append(names, n)
			}
		}
	}
	slices.SortFunc(names, func(x, y string) int { return cmp.Or(count[y]-count[x], cmp.Compare(x, y)) })
	return names[:min(len(names), maxTopNames)]
}

// fileOf makes the published file of what devices told of it. What nobody here can know,
// such as its prevalence elsewhere, stays null.
func (p prevalence) fileOf(t thing) fileEntity {
	e := fileEntity{DeterminationType: optional("Unknown")}
	for _, s := range p.seen {
		e.SHA1, e.SHA256 = first(e.SHA1, s.SHA1), first(e.SHA256, s.SHA256)
		e.MD5 = first(e.MD5, s.MD5)
		if e.Size == nil && s.Size >= 0 {
			e.Size = &s.Size
		}
	}
	if t.kind == hunt.FileSHA1 {
		e.SHA1 = &t.value
	} else {
		e.SHA256 = &t.value
	}
	return e
}

func first(have *string, s string) *string {
	if have != nil {
		return have
	}
	return optional(s)
}

// getFile answers what the devices of the caller's scope, or else the alerts, know of a file.
func (a *API) getFile(w http.ResponseWriter, r *api.Request) error {
	t, err := namedFile(r)
	if err != nil {
		return err
	}
	p, err := a.seen(r, t, a.now().Add(-lookBack*time.Hour))
	if err != nil {
		return err
	}
	if len(p.seen) == 0 {
		page, err := a.alerts.List(r.Context(), r.Caller.Tenant, filter.Query{Where: alert.About(t.entity, t.value), Top: 1})
		if err != nil {
			return err
		}
		for _, al := range page.Items {
			for i := range al.Evidence {
				if v := &al.Evidence[i]; strings.EqualFold(v.SHA1, t.value) || strings.EqualFold(v.SHA256, t.value) {
					p.seen = append(p.seen, hunt.Sighting{SHA1: v.SHA1, SHA256: v.SHA256, Size: -1})
				}
			}
		}
	}
	if len(p.seen) == 0 {
		return errs.New("mde.file", errs.NotFound, errs.ResourceNotFound, "File %s was not found", t.value)
	}
	return odata.WriteEntity(w, r, http.StatusOK, kindOf("Files/$entity"), p.fileOf(t))
}

func (a *API) getFileStats(w http.ResponseWriter, r *api.Request) error {
	t, p, err := a.prevalence(r, namedFile)
	if err != nil {
		return err
	}
	if len(p.seen) == 0 {
		return errs.New("mde.fileStats", errs.NotFound, errs.ResourceNotFound, "File %s was not found", t.value)
	}
	return odata.WriteEntity(w, r, http.StatusOK, kindOf("microsoft.windowsDefenderATP.api.InOrgFileStats"), fileStats{
		SHA1: p.fileOf(t).SHA1, OrganizationPrevalence: int64(len(p.seen)), OrgFirstSeen: stamp(p.first), OrgLastSeen: stamp(p.last),
		TopFileNames: p.topNames(),
	})
}

func (a *API) getDomainStats(w http.ResponseWriter, r *api.Request) error {
	t, p, err := a.prevalence(r, namedDomain)
	if err != nil {
		return err
	}
	return odata.WriteEntity(w, r, http.StatusOK, kindOf("microsoft.windowsDefenderATP.api.InOrgDomainStats"),
		domainStats{t.value, int64(len(p.seen)), stamp(p.first), stamp(p.last)})
}

func (a *API) getIPStats(w http.ResponseWriter, r *api.Request) error {
	t, p, err := a.prevalence(r, namedIP)
	if err != nil {
		return err
	}
	return odata.WriteEntity(w, r, http.StatusOK, kindOf("microsoft.windowsDefenderATP.api.InOrgIPStats"),
		ipStats{t.value, int64(len(p.seen)), stamp(p.first), stamp(p.last)})
}

// getDomain says whether a domain was seen in the organisation: 404 when it was not.
func (a *API) getDomain(w http.ResponseWriter, r *api.Request) error {
	t, p, err := a.prevalence(r, namedDomain)
	if err != nil {
		return err
	}
	if len(p.seen) == 0 {
		return errs.New("mde.domain", errs.NotFound, errs.ResourceNotFound, "Domain %s was not seen", t.value)
	}
	return odata.WriteEntity(w, r, http.StatusOK, kindOf("Domains/$entity"), domainReference{t.value})
}

// getIP says whether an address was seen in the organisation: 404 when it was not.
func (a *API) getIP(w http.ResponseWriter, r *api.Request) error {
	t, p, err := a.prevalence(r, namedIP)
	if err != nil {
		return err
	}
	if len(p.seen) == 0 {
		return errs.New("mde.ip", errs.NotFound, errs.ResourceNotFound, "IP address %s was not seen", t.value)
	}
	return odata.WriteEntity(w, r, http.StatusOK, kindOf("Ips/$entity"), ipReference{t.value})
}

// getUser answers the account that a path names as name or domain\name, as logons show it.
func (a *API) getUser(w http.ResponseWriter, r *api.Request) error {
	t, err := namedUser(r)
	if err != nil {
		return err
	}
	domain, name, qualified := strings.Cut(t.value, `\`)
	if !qualified {
		domain, name = "", t.value
	}
	t.value = name
	p, err := a.seen(r, t, a.now().Add(-lookBack*time.Hour))
	if err != nil {
		return err
	}
	var found *hunt.LogonUser
	for _, s := range p.seen {
		for _, u := range s.Accounts {
			switch {
			case qualified && !strings.EqualFold(u.Account.Domain, domain):
			case found == nil:
				found = &u
			default: // the newest names it; the rest adds to what is known
				if u.First.Before(found.First) {
					found.First = u.First
				}
				if u.Last.After(found.Last) {
					found.Last = u.Last
				}
				found.Types = append(found.Types, u.Types...)
			}
		}
	}
	if found == nil {
		return errs.New("mde.user", errs.NotFound, errs.ResourceNotFound, "User %s was not found", r.Var("id"))
	}
	slices.Sort(found.Types)
	found.Types = slices.Compact(found.Types)
	return odata.WriteEntity(w, r, http.StatusOK, kindOf("Users/$entity"), logonUser(*found))
}

func (a *API) sightingDocs() docs {
	back := api.Param{Name: "lookBackHours", Type: "integer", Min: 1, Max: lookBack, About: "How far back to look; 30 days when absent.", Example: "24"}
	stats := func(summary string, answer any, bad errs.Code) api.Doc {
		return api.Doc{Summary: summary, Params: []api.Param{back}, Answer: answer, Errors: []errs.Code{bad, errs.InvalidInput, errs.ResourceNotFound}}
	}
	one := func(summary string, answer any, bad errs.Code) api.Doc {
		return api.Doc{Summary: summary, Answer: answer, Errors: []errs.Code{bad, errs.ResourceNotFound}}
	}
	out := docs{
		"GET /files/{id}":         one("Get a file by its SHA-1 or SHA-256", fileEntity{}, errs.InvalidHashValue),
		"GET /files/{id}/stats":   stats("Get how prevalent a file is in the organisation", fileStats{}, errs.InvalidHashValue),
		"GET /domains/{id}":       stats("Ask whether a domain was seen in the organisation", domainReference{}, errs.InvalidDomainName),
		"GET /domains/{id}/stats": stats("Get how prevalent a domain is in the organisation", domainStats{}, errs.InvalidDomainName),
		"GET /ips/{id}":           stats("Ask whether an address was seen in the organisation", ipReference{}, errs.InvalidIPAddress),
		"GET /ips/{id}/stats":     stats("Get how prevalent an address is in the organisation", ipStats{}, errs.InvalidIPAddress),
		"GET /users/{id}":         one("Get a user by the account name, or domain\\name", userEntity{}, errs.InvalidInput),
	}
	for set, bad := range map[string]errs.Code{"files": errs.InvalidHashValue, "domains": errs.InvalidDomainName, "ips": errs.InvalidIPAddress, "users": errs.InvalidInput} {
		noun := strings.TrimSuffix(set, "s")
		for path, d := range map[string]api.Doc{
			"/alerts":          listed("List the alerts of a "+noun, a.alertSpec(), []alertEntity{}),
			"/alerts/$count":   numbered("Count the alerts of a "+noun, a.alertSpec()),
			"/machines":        listed("List the machines that saw a "+noun+" in the last 30 days", a.machineSpec(), []machineEntity{}),
			"/machines/$count": numbered("Count the machines that saw a "+noun+" in the last 30 days", a.machineSpec()),
		} {
			d.Errors = append(d.Errors, bad)
			out["GET /"+set+"/{id}"+path] = d
		}
	}
	return out
}
