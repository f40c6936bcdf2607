package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/action"
	"github.com/vedette-edr/vedette/server/alert"
	"github.com/vedette-edr/vedette/server/api"
	"github.com/vedette-edr/vedette/server/device"
	"github.com/vedette-edr/vedette/server/device/group"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/expert"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/indicator"
	"github.com/vedette-edr/vedette/server/investigation"
	"github.com/vedette-edr/vedette/server/live"
	"github.com/vedette-edr/vedette/server/sso"
	"github.com/vedette-edr/vedette/server/vulnerability"
	vulnfeed "github.com/vedette-edr/vedette/server/vulnerability/feed"
	"github.com/vedette-edr/vedette/wire"
)

// bearers is an authenticator whose tokens are the principals themselves.
type bearers map[string]*access.Principal

// Authenticate implements api.Authenticator.
func (b bearers) Authenticate(_ context.Context, token, _ string) (*access.Principal, error) {
	if p := b[token]; p != nil {
		return p, nil
	}
	return nil, errs.New("test", errs.Unauthenticated, errs.Unauthorized, "unknown token")
}

// site is a whole server whose routes are called as anybody.
type site struct {
	*Server
	router  *api.Router
	bearers bearers
}

func newSite(t *testing.T) *site {
	t.Helper()
	s, err := New(t.Context(), Config{DataDir: t.TempDir(), Listen: freePort(t), RateLimit: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.close)
	inMemory(s)
	table, err := routes(s)
	if err != nil {
		t.Fatal(err)
	}
	out := &site{Server: s, bearers: bearers{}}
	if out.router, err = api.New(api.Config{Auth: out.bearers, Now: s.cfg.Clock}, table); err != nil {
		t.Fatal(err)
	}
	return out
}

// call sends a request as p, nil for without a token.
func (s *site) call(p *access.Principal, method, path string) *httptest.ResponseRecorder {
	body := ""
	if method != http.MethodGet && method != http.MethodDelete {
		body = anyBody
	}
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	if p != nil {
		s.bearers["x"] = p
		r.Header.Set("Authorization", "Bearer x")
	}
	w := httptest.NewRecorder()
	s.router.ServeHTTP(w, r)
	return w
}

// anyBody holds what the routes' bodies need to get as far as looking for what their path
// names. A route that wants more says so by failing TestNobodyReachesAcrossTenantsAndGroups
// with a 400: add its members here.
const anyBody = `{
	"Comment": "test", "Value": "tag", "Action": "Add", "DeviceValue": "High", "deviceValue": "High", "machineTags": ["a"],
	"status": "Resolved", "comment": "test", "IsolationType": "Full", "ScanType": "Quick", "Sha1": "0000000000000000000000000000000000000000",
	"name": "x", "displayName": "x", "password": "a long enough password", "permissions": ["AlertsInvestigation"], "roles": [],
	"disabled": false, "lifeInDays": 1, "certificate": "x", "Query": "print 1", "query": "print 1", "title": "x", "description": "x", "Title": "x", "Name": "x",
	"Severity": "Low", "Category": "Malware", "Description": "x", "RecommendedAction": "x", "Enabled": true, "@odata.id": "AlertDefinitions(1)",
	"into": 2, "expirationDateTime": "2099-01-01T00:00:00Z", "enabled": true, "incidentName": "x", "isEnabled": true, "reason": "x", "Message": "x", "Minutes": 60, "issuer": "https://login.example", "clientId": "x", "secondFactor": "None", "MachineIds": ["ffffffffffffffffffffffffffffffffffffffff"]
}`

func principal(kind ident.ActorKind, tenant ident.TenantID, permissions ...string) *access.Principal {
	p := &access.Principal{Actor: ident.Actor{Kind: kind, ID: "test", Name: "test", Tenant: tenant}, Scope: access.Everything}
	if kind == ident.ActorUser {
		p.Scopes = permissions
	} else {
		p.Roles = permissions
	}
	return p
}

// suffices reports whether holding u satisfies one of the needed permissions.
func suffices(u access.Usage, need []access.Permission) bool {
	return slices.ContainsFunc(need, func(n access.Permission) bool { return u.Permission == n || slices.Contains(u.Covers, n) })
}

// TestEveryRouteAsksForItsPermission walks the whole route table, so that a route which
// is added tomorrow is tested as well.
func TestEveryRouteAsksForItsPermission(t *testing.T) {
	s := newSite(t)
	tenant := ident.TenantID("0a0a0a0a-0000-4000-8000-00000000000a")
	refusals := 0
	s.router.Walk(func(r api.Route) {
		if r.Open != "" {
			return
		}
		where := r.Method + " " + r.Pattern
		path, ok := fill(r.Pattern, func(key string) (string, bool) { return nowhere(key) })
		if !ok {
			t.Errorf("%s: %s", where, path)
			return
		}
		delegated := r.Need
		if len(r.NeedDelegated) > 0 {
			delegated = r.NeedDelegated
		}
		var otherRoles, otherScopes, allScopes []string
		for _, u := range access.Usages() {
			allScopes = append(allScopes, u.Delegated...)
			if !suffices(u, r.Need) {
				otherRoles = append(otherRoles, string(u.Permission))
			}
			if !suffices(u, delegated) {
				otherScopes = append(otherScopes, u.Delegated...)
			}
		}
		for _, p := range slices.Concat(r.Need, r.NeedDelegated) {
			if !p.Known() {
				t.Errorf("%s needs %q, which is no permission: add it to access.Usages", where, p)
			}
		}
		want := func(what string, status int, p *access.Principal) {
			t.Helper()
			refusals++
			if w := s.call(p, r.Method, path); w.Code != status {
				t.Errorf("%s: %s: %d %s, want %d", where, what, w.Code, w.Body, status)
			}
		}
		want("no token", 401, nil)
		want("an application with every other permission", 403, principal(ident.ActorApp, tenant, otherRoles...))
		want("an application with delegated names", 403, principal(ident.ActorApp, tenant, "x"))
		person := principal(ident.ActorUser, tenant, otherScopes...)
		person.Rights = access.Rights()
		want("a person with every right by a program with every other permission", 403, person)
		person = principal(ident.ActorUser, tenant, allScopes...)
		want("a person without rights by a program with every permission", 403, person)
		for _, n := range r.Need {
			if w := s.call(principal(ident.ActorApp, tenant, string(n)), r.Method, path); w.Code == 401 || w.Code == 403 {
				t.Errorf("%s: an application with %s: %d %s", where, n, w.Code, w.Body)
			}
		}
		for _, n := range delegated {
			if n.Delegated() == "" {
				continue
			}
			person := principal(ident.ActorUser, tenant, n.Delegated())
			person.Rights = usage(n).Rights
			if w := s.call(person, r.Method, path); w.Code == 401 || w.Code == 403 {
				t.Errorf("%s: a person with %s and the rights %v: %d %s", where, n.Delegated(), person.Rights, w.Code, w.Body)
			}
		}
	})
	if refusals < 100 {
		t.Errorf("%d refusals were tried: where are the routes?", refusals)
	}
}

func usage(p access.Permission) access.Usage {
	for _, u := range access.Usages() {
		if u.Permission == p {
			return u
		}
	}
	return access.Usage{}
}

var variableForm = regexp.MustCompile(`\{([^}]+)\}`)

// fill puts values into a pattern. A variable is looked for as "segment/{name}", where
// segment is the literal around or before it in lower case, and then by its name alone.
func fill(pattern string, value func(key string) (string, bool)) (string, bool) {
	out, before := "", ""
	for _, seg := range strings.Split(strings.TrimPrefix(pattern, "/"), "/") {
		if i := strings.IndexByte(seg, '('); i > 0 {
			before = strings.ToLower(seg[:i])
		}
		unknown := ""
		filled := variableForm.ReplaceAllStringFunc(seg, func(m string) string {
			name := m[1 : len(m)-1]
			v, ok := value(before + "/" + m)
			if !ok {
				v, ok = value(name)
			}
			if !ok {
				unknown = before + "/" + m
			}
			return url.PathEscape(v)
		})
		if unknown != "" {
			return fmt.Sprintf("the test knows no value for %s of %s: add it to nowhere, and to things if it names something that belongs to a tenant", unknown, pattern), false
		}
		out += "/" + filled
		if !strings.Contains(seg, "{") {
			before = strings.ToLower(seg)
		}
	}
	return out, true
}

// nowhere returns a value that is well-formed and names nothing.
func nowhere(key string) (string, bool) {
	const guid, digits = "5f3ad3a4-0000-4000-8000-00000000ffff", "7777777"
	v, ok := map[string]string{
		"machines/{id}": strings.Repeat("f", 40), "alerts/{id}": "da637551227677560813_-961444813", "machineactions/{id}": guid, "filemachineactions/{id}": guid, "actors/{id}": "nobody",
		"indicators/{id}": digits, "alertdefinitions/{id}": digits, "indicatorsofcompromise/{id}": digits,
		"incidents/{id}": digits, "alerts_v2/{id}": "da637551227677560813_-961444813", "detectionrules/{id}": digits, "investigations/{id}": digits,
		"suppressions/{id}": digits, "notifications/{id}": digits, "detections/{id}": guid, "backtests/{id}": guid, "rules/{id}": guid, "suppressionrules/{id}": guid, "subscriptions/{id}": guid, "libraryfiles/{id}": "no-such-file", "tiindicators/{id}": digits,
		"applicationId": guid, "secretId": guid, "providerId": guid, "userId": guid, "roleId": guid, "userGroupId": guid, "deviceGroupId": digits,
		"ip": "192.0.2.77", "timestamp": time.Now().UTC().Format(time.RFC3339), "index": "0",
		"files/{id}": strings.Repeat("e", 40), "domains/{id}": "nowhere.example", "ips/{id}": "192.0.2.77", "users/{id}": "nobody",
		"tag": "no-such-tag", "prefix": "false", "ticket": "no-such-ticket",
		"software/{id}": "nobody-_-nothing", "vulnerabilities/{id}": "CVE-1999-99999", "recommendations/{id}": "va-_-nobody-_-nothing",
		"remediationtasks/{id}": guid, "deviceauthenticatedscandefinitions/{id}": guid, "deviceauthenticatedscanagents/{id}": guid, "feeds/{id}": digits,
		"approvalpolicies/{id}": digits, "livesessions/{id}": guid, "tokens/{tokenId}": guid, "queries/{id}": strings.Repeat("d", 32),
		"cases/{id}": guid, "receivers/{id}": digits,
	}[key]
	return v, ok
}

// things is what a tenant has, by the key of the variable that names it.
type things struct {
	ids     map[string]string
	devices map[string]bool // those of ids that belong to a device
}

// furnish makes one of everything in a tenant, on a device of the group.
func (s *site) furnish(t *testing.T, tenant ident.TenantID, n int, inGroup int64) things {
	t.Helper()
	ctx, c := t.Context(), s.control
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	now := time.Now().UTC()
	dev := ident.DeviceID(fmt.Sprintf("%040x", n))
	must(c.store.Devices().Create(ctx, &device.Device{ID: dev, Tenant: tenant, Name: fmt.Sprintf("host%d", n), Platform: "Linux",
		Incarnation: 1, FirstSeen: now, LastSeen: now, LastReport: now, Group: inGroup}))
	al := &alert.Alert{ID: ident.AlertID(fmt.Sprintf("da%018d_1", n)), Tenant: tenant, Device: dev, Title: "t", User: alert.User{Name: "eve"},
		Evidence: []alert.Evidence{{Type: "File", SHA1: strings.Repeat("a", 40)}, {Type: "Ip", IP: "192.0.2.1"}, {Type: "Url", URL: "x.example"}}}
	_, err := c.alerts.Raise(ctx, []*alert.Alert{al})
	must(err)
	ac := &action.Action{ID: ident.ActionID(fmt.Sprintf("%08x-0000-4000-8000-000000000000", n)), Tenant: tenant, Device: dev, Kind: action.StopAndQuarantineFile, File: strings.Repeat("a", 40),
		State: action.Approved, Created: now, Updated: now, Expires: now.Add(time.Hour), Incarnation: 1}
	must(c.store.Actions().CreateAction(ctx, ac))
	in, def, ioc := s.furnishThreats(t, tenant, n, inGroup)
	task, scan := s.furnishSoftware(t, tenant, dev, n)
	// As many as n, so that no other tenant has the number of the last.
	inquiry := &investigation.Investigation{Tenant: tenant, Device: dev, State: investigation.TerminatedBySystem, Start: now}
	for range n {
		must(c.store.Investigations().CreateInvestigation(ctx, inquiry))
	}
	session := &live.Session{ID: ident.ActionID(fmt.Sprintf("%08x-0000-4000-8000-00000000aaaa", n)), Tenant: tenant, Device: dev, State: live.Ended, Created: now}
	must(c.store.Live().CreateSession(ctx, session))
	asked, receiver := s.furnishExperts(t, tenant, dev, n)
	app, _, err := c.directory.NewApplication(ctx, tenant, "app", nil)
	must(err)
	person, _, err := c.directory.NewPerson(ctx, tenant, "somebody", "", nil)
	must(err)
	role, err := c.directory.NewRole(ctx, tenant, access.RoleRequest{Name: "role", Rights: []access.Right{access.ViewOperations}})
	must(err)
	team, err := c.directory.NewUserGroup(ctx, tenant, access.UserGroupRequest{Name: "team"})
	must(err)
	provider, err := c.sso.Create(ctx, tenant, sso.Request{Name: "provider", Issuer: "https://login.invalid", ClientID: "x"})
	must(err)
	out := things{
		ids: map[string]string{
			"machines/{id}": string(dev), "alerts/{id}": string(al.ID), "machineactions/{id}": string(ac.ID), "filemachineactions/{id}": string(ac.ID), "indicators/{id}": in.ID.String(),
			"alertdefinitions/{id}": def.ID.String(), "indicatorsofcompromise/{id}": ioc.ID.String(),
			"software/{id}": fmt.Sprintf("debian-_-package%d", n), "vulnerabilities/{id}": fmt.Sprintf("CVE-2099-000%d", n),
			"recommendations/{id}": fmt.Sprintf("va-_-debian-_-package%d", n), "remediationtasks/{id}": task, "deviceauthenticatedscandefinitions/{id}": scan,
			"applicationId": string(app.ID), "secretId": app.Secrets[0].ID, "providerId": string(provider.ID), "userId": string(person.ID), "roleId": string(role.ID),
			"userGroupId": string(team.ID), "deviceGroupId": fmt.Sprint(inGroup), "alerts_v2/{id}": string(al.ID),
			"investigations/{id}": fmt.Sprint(inquiry.ID), "tiindicators/{id}": in.ID.String(),
			"incidents/{id}": al.Incident.String(), "livesessions/{id}": string(session.ID),
			"cases/{id}": string(asked), "receivers/{id}": receiver.String(),
		},
		devices: map[string]bool{"machines/{id}": true, "alerts/{id}": true, "machineactions/{id}": true, "filemachineactions/{id}": true, "indicators/{id}": true, "alerts_v2/{id}": true,
			"incidents/{id}": true, "backtests/{id}": true, "investigations/{id}": true, "tiindicators/{id}": true,
			"software/{id}": true, "recommendations/{id}": true, "livesessions/{id}": true, "cases/{id}": true},
	}
	maps.Copy(out.ids, s.furnishRules(t, tenant, fmt.Sprintf("rules%d", n), fmt.Sprintf("5f3ad3a4-0000-4000-8000-%012d", n)))
	return out
}

// furnishExperts asks an expert about a device, and makes a receiver.
func (s *site) furnishExperts(t *testing.T, tenant ident.TenantID, dev ident.DeviceID, n int) (ident.ActionID, ident.ReceiverID) {
	t.Helper()
	ctx, c, now := t.Context(), s.control, time.Now().UTC()
	var err error
	// As many as n, so that no other tenant has the number of the last.
	to := &expert.Receiver{Tenant: tenant, Name: "somebody", Mail: []string{"a@b.example"}, Hand: expert.ByLink}
	for range n {
		err = errors.Join(err, c.store.Experts().CreateReceiver(ctx, to))
	}
	ask := &action.Action{ID: ident.ActionID(fmt.Sprintf("%08x-0000-4000-8000-00000000bbbb", n)), Tenant: tenant, Device: dev, Kind: action.AskExpert,
		State: action.Verified, Created: now, Updated: now}
	err = errors.Join(err, c.store.Actions().CreateAction(ctx, ask),
		c.store.Experts().CreateCase(ctx, &expert.Case{ID: ask.ID, Tenant: tenant, Receiver: to.ID, Subjects: []expert.Subject{{Device: dev}}, Created: now, Due: now}))
	if err != nil {
		t.Fatal(err)
	}
	return ask.ID, to.ID
}

// furnishSoftware gives a device vulnerable software of its own, with a remediation task and
// the definition of a scan, whose ids it returns.
func (s *site) furnishSoftware(t *testing.T, tenant ident.TenantID, dev ident.DeviceID, n int) (task, scan string) {
	t.Helper()
	ctx, c := t.Context(), s.control
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	name := fmt.Sprintf("package%d", n)
	cve := fmt.Sprintf("CVE-2099-000%d", n)
	_, err := c.store.Vulnerabilities().SaveRecords(ctx, tenant, "test", 1, []*vulnfeed.Record{{ID: cve, Vulnerabilities: []string{cve},
		Affected: []vulnfeed.Affected{{Ecosystem: "debian:12", Package: name, Ranges: []vulnfeed.Range{{Fixed: "2"}}}}}})
	must(err)
	item := fmt.Appendf(nil, `{"kind":"deb","name":%q,"version":"1","source":%q,"sourceVersion":"1","release":"debian:12"}`, name, name)
	digest := wire.SectionDigest([]string{wire.SectionKey(item)})
	body, err := wire.EncodeSection(&wire.SectionBody{Put: []json.RawMessage{item}})
	must(err)
	_, _, err = c.vulnerabilities.Report(ctx, &device.Device{ID: dev, Tenant: tenant}, vulnerability.Report{Section: wire.SectionSoftware, Digest: digest[:], Body: body})
	must(err)
	by := principal(ident.ActorApp, tenant)
	asked, err := c.vulnerabilities.NewTask(ctx, by, vulnerability.TaskRequest{Recommendation: "va-_-debian-_-" + name})
	must(err)
	defined, err := c.vulnerabilities.PutScan(ctx, by, &vulnerability.Scan{Type: "Network", Name: "n", Target: "192.0.2.0/24", TargetType: "Ip", Interval: 24, Scanner: string(dev)})
	must(err)
	return asked.ID, defined.ID
}

// furnishThreats makes an indicator, a definition and an IOC in a tenant.
func (s *site) furnishThreats(t testing.TB, tenant ident.TenantID, n int, inGroup int64) (*indicator.Indicator, *indicator.Definition, *indicator.IOC) {
	t.Helper()
	c, now := s.control, time.Now().UTC()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	as := access.WithPrincipal(t.Context(), principal(ident.ActorApp, tenant, string(access.TIReadWrite)))
	in := &indicator.Indicator{Value: fmt.Sprintf("host%d.example", n), Type: indicator.Domain, Action: indicator.Block, Title: "t", Description: "d"}
	if inGroup != 0 {
		in.GroupIDs = []string{fmt.Sprint(inGroup)}
	}
	in, err := c.indicators.Put(as, in)
	must(err)
	def := &indicator.Definition{Name: "n", Title: "t", Severity: "high", Category: "malware", Enabled: true}
	must(c.indicators.CreateDefinitions(as, []*indicator.Definition{def}))
	ioc := &indicator.IOC{Type: indicator.IPAddress, Value: "192.0.2.9", Function: indicator.Equals, Definition: def.ID, Enabled: true, Expires: now.Add(time.Hour)}
	must(c.indicators.CreateIOCs(as, []*indicator.IOC{ioc}))
	return in, def, ioc
}

// TestNobodyReachesAcrossTenantsAndGroups calls every route that takes an id with the ids
// of another tenant, and of a device group that is out of scope: the answer must be the
// one to an id that names nothing.
func TestNobodyReachesAcrossTenantsAndGroups(t *testing.T) {
	s := newSite(t)
	ctx := t.Context()
	other, err := s.control.directory.NewTenant(ctx, "Other")
	if err != nil {
		t.Fatal(err)
	}
	tenants, err := s.control.store.Access().Tenants(ctx)
	if err != nil {
		t.Fatal(err)
	}
	own := tenants[0].ID
	admin := principal(ident.ActorApp, own)
	g, err := s.control.groups.Create(ctx, admin, group.Request{Name: "Theirs",
		Rules: []group.Condition{{Property: group.Name, Operator: group.Equals, Values: []string{"host1"}}}, Access: group.Access{UserGroups: []ident.UserGroupID{"x"}}})
	if err != nil {
		t.Fatal(err)
	}
	theirs := s.furnish(t, own, 1, g.ID)
	// Numbers count from 1 in each tenant: the ids to try must not be ones that the caller has.
	for n := range 3 {
		s.furnishThreats(t, other.ID, 100+n, 0)
		s.furnishRules(t, other.ID, fmt.Sprintf("rules%d", 100+n), fmt.Sprintf("5f3ad3a4-0000-4000-8000-%012d", 100+n))
		_, err := s.control.alerts.Raise(ctx, []*alert.Alert{{ID: ident.AlertID(fmt.Sprintf("da%018d_1", 100+n)), Tenant: other.ID, Title: fmt.Sprint("t", n)}})
		if err != nil {
			t.Fatal(err)
		}
	}
	foreign := s.furnish(t, other.ID, 2, 0)
	// An incident of one's own, the second of the tenant: anyBody merges into it.
	if _, err := s.control.alerts.Raise(ctx, []*alert.Alert{{ID: "da000000000000000001_2", Tenant: own, Title: "mine"}}); err != nil {
		t.Fatal(err)
	}
	var roles, scopes []string
	for _, u := range access.Usages() {
		roles, scopes = append(roles, string(u.Permission)), append(scopes, u.Delegated...)
	}
	app := principal(ident.ActorApp, own, roles...)
	person := principal(ident.ActorUser, own, scopes...)
	person.Rights, person.Scope = access.Rights(), access.Scope{Groups: []int64{0}}

	tried := map[string]bool{}
	compare := func(who string, p *access.Principal, r api.Route, th things, key string) {
		name := func(k string) (string, bool) {
			if v, ok := th.ids[k]; ok && k == key {
				return v, true
			}
			if v, ok := th.ids[k]; ok && k != key && (k == "applicationId" || k == "secretId") {
				return v, true // the other half of the pair is there
			}
			return nowhere(k)
		}
		path, ok := fill(r.Pattern, name)
		if !ok {
			t.Errorf("%s %s: %s", r.Method, r.Pattern, path)
			return
		}
		unknown, _ := fill(r.Pattern, nowhere)
		got, want := s.call(p, r.Method, path), s.call(p, r.Method, unknown)
		// What says 403, as published, are changes of indicators of other device groups.
		if strings.HasSuffix(key, "indicators/{id}") && who == "another group" && got.Code == 403 && r.Method != http.MethodGet {
			return
		}
		if got.Code != 404 {
			t.Errorf("%s %s: the id of %s: %d %s, want 404 (is something missing in anyBody?)", r.Method, r.Pattern, who, got.Code, got.Body)
		}
		if a, b := bare(got, path), bare(want, unknown); a != b {
			t.Errorf("%s %s: the id of %s answers\n%s\nand one of nothing\n%s", r.Method, r.Pattern, who, a, b)
		}
		tried[key] = true
	}
	s.router.Walk(func(r api.Route) {
		if r.Open != "" || !strings.Contains(r.Pattern, "{") {
			return
		}
		for key := range foreign.ids {
			if !names(r.Pattern, key) {
				continue
			}
			if key != "deviceGroupId" { // numbers of groups are the same in every tenant
				compare("another tenant", app, r, foreign, key)
			}
			if theirs.devices[key] {
				compare("another group", person, r, theirs, key)
			}
		}
	})
	for key := range foreign.ids {
		if key != "deviceGroupId" && !tried[key] {
			t.Errorf("no route was tried with %s", key)
		}
	}
	// What has no id in its path shows nothing of others either.
	s.router.Walk(func(r api.Route) {
		if r.Open != "" || strings.Contains(r.Pattern, "{") || r.Method != http.MethodGet {
			return
		}
		for who, c := range map[string]struct {
			p   *access.Principal
			not []string
		}{
			"another tenant": {app, []string{"host2", "rules2", foreign.ids["machines/{id}"], foreign.ids["alerts/{id}"], foreign.ids["subscriptions/{id}"]}},
			"another group":  {person, []string{"host1", theirs.ids["machines/{id}"], theirs.ids["alerts/{id}"], theirs.ids["machineactions/{id}"]}},
		} {
			w := s.call(c.p, r.Method, r.Pattern)
			for _, text := range c.not {
				if w.Code < 400 && strings.Contains(w.Body.String(), text) {
					t.Errorf("%s tells %s of %s: %s", r.Pattern, text, who, w.Body)
				}
			}
		}
	})
	// And what is one's own is there.
	for _, list := range []string{"machines", "alerts", "machineactions", "indicators"} {
		all := s.call(app, "GET", "/api/"+list).Body.String()
		own, not := theirs.ids[list+"/{id}"], foreign.ids[list+"/{id}"]
		if !strings.Contains(all, `"id":"`+own+`"`) || strings.Contains(all, `"id":"`+not+`"`) {
			t.Errorf("%s of a tenant: %s", list, all)
		}
		if some := s.call(person, "GET", "/api/"+list).Body.String(); strings.Contains(some, `"id":"`+own+`"`) {
			t.Errorf("%s of a group out of scope: %s", list, some)
		}
		if count := s.call(person, "GET", "/api/"+list+"/$count").Body.String(); strings.Trim(count, "\ufeff") != "0" {
			t.Errorf("%s counted out of scope: %s", list, count)
		}
	}
}

// names reports whether a pattern has the variable of a key.
func names(pattern, key string) bool {
	found := false
	_, _ = fill(pattern, func(k string) (string, bool) {
		found = found || k == key
		return "x", strings.Contains(k, "/") == strings.Contains(key, "/") || !strings.Contains(k, "/")
	})
	return found
}

// bare is an answer without what differs from call to call.
func bare(w *httptest.ResponseRecorder, path string) string {
	var e struct {
		Error struct{ Code, Message string }
	}
	_ = json.Unmarshal(w.Body.Bytes(), &e)
	message := e.Error.Message
	for _, part := range strings.FieldsFunc(path, func(r rune) bool { return strings.ContainsRune("/()=,'", r) }) {
		if text, err := url.PathUnescape(part); err == nil && len(text) > 0 {
			message = strings.ReplaceAll(message, text, "ID")
		}
	}
	return fmt.Sprintf("%d %s %s", w.Code, e.Error.Code, message)
}

// TestDevicesNameTheirGroupInEveryShape reads one device's group where alerts, incidents
// and devices tell of it.
func TestDevicesNameTheirGroupInEveryShape(t *testing.T) {
	s := newSite(t)
	tenants, err := s.control.store.Access().Tenants(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	own := tenants[0].ID
	g, err := s.control.groups.Create(t.Context(), principal(ident.ActorApp, own), group.Request{Name: "Web servers"})
	if err != nil {
		t.Fatal(err)
	}
	th := s.furnish(t, own, 1, g.ID)
	var roles []string
	for _, u := range access.Usages() {
		roles = append(roles, string(u.Permission))
	}
	for _, path := range []string{"/api/machines", "/api/machines/" + th.ids["machines/{id}"], "/api/alerts", "/api/incidents", "/api/incidents/" + th.ids["incidents/{id}"],
		"/v1.0/security/alerts_v2/" + th.ids["alerts/{id}"], "/v1.0/security/incidents/" + th.ids["incidents/{id}"] + "?$expand=alerts"} {
		if w := s.call(principal(ident.ActorApp, own, roles...), "GET", path); !strings.Contains(w.Body.String(), `"rbacGroupName":"Web servers"`) {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
}
