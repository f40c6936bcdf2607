package tvm_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/api"
	"github.com/vedette-edr/vedette/server/api/tvm"
	"github.com/vedette-edr/vedette/server/audit"
	"github.com/vedette-edr/vedette/server/device"
	"github.com/vedette-edr/vedette/server/device/group"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/export"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/store"
	"github.com/vedette-edr/vedette/server/telemetry"
	"github.com/vedette-edr/vedette/server/vulnerability"
	"github.com/vedette-edr/vedette/wire"
)

const (
	tenant = ident.TenantID("0a0a0a0a-0000-4000-8000-000000000001")
	other  = ident.TenantID("0b0b0b0b-0000-4000-8000-000000000002")
)

func deviceID(n int) ident.DeviceID { return ident.DeviceID(fmt.Sprintf("%040x", n)) }

// site is the API over real services on a real store.
type site struct {
	http.Handler
	t       testing.TB
	now     time.Time
	db      *store.Store
	service *vulnerability.Service
	devices *device.Service
	routes  []api.Route
	callers map[string]*access.Principal
	keys    map[ident.DeviceID][]string // of the software that each device reported
}

// Authenticate implements api.Authenticator: the token is the caller's name.
func (s *site) Authenticate(_ context.Context, token, _ string) (*access.Principal, error) {
	return s.callers[token], nil
}

func newSite(t testing.TB) *site {
	t.Helper()
	return newSiteIn(t, t.TempDir())
}

// newSiteIn keeps the site's files in a directory, which may have those of another run.
func newSiteIn(t testing.TB, dir string) *site {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	s := &site{t: t, now: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC), keys: map[ident.DeviceID][]string{}}
	clock := func() time.Time { return s.now }
	db, err := store.Open(ctx, store.Config{Dir: dir, Clock: clock})
	check(t, err)
	s.db = db
	log := audit.New(db.Audit(), []byte("key"), clock)
	groups := group.New(group.Config{Store: db.Groups(), Audit: log, Clock: clock, Atomic: db.Atomic})
	s.devices = device.New(device.Config{Store: db.Devices(), Tokens: db.Tokens(), TokenKey: make([]byte, 32), Clock: clock, Protections: db.Devices()})
	for i, name := range []string{"web.example", "db.example", "old.example", "foreign.example"} {
		d := &device.Device{ID: deviceID(i + 1), Tenant: tenant, Name: name, Incarnation: 1, FirstSeen: s.now, LastSeen: s.now, Platform: "Linux", Value: device.Normal,
			Inventory: device.Inventory{Hostname: name, Platform: "Linux", Version: "12", Architecture: "64-bit"}}
		if i == 3 {
			d.Tenant = other
		}
		if err := db.Devices().Create(ctx, d); !errs.Is(err, errs.Conflict) {
			check(t, err)
		}
	}
	s.service = vulnerability.New(vulnerability.Config{Store: db.Vulnerabilities(), Devices: s.devices, Audit: log, Dir: filepath.Join(dir, "feeds"), Clock: clock,
		Tenants: func(context.Context) ([]ident.TenantID, error) { return []ident.TenantID{tenant, other}, nil }})
	done := make(chan error, 1)
	go func() { done <- s.service.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		check(t, db.Close())
	})
	caller := func(name string, tenant ident.TenantID, scope access.Scope) *access.Principal {
		p := &access.Principal{Scope: scope, Actor: ident.Actor{Kind: ident.ActorApp, ID: name, Name: name, Tenant: tenant}}
		for _, permission := range access.Permissions() {
			p.Roles = append(p.Roles, string(permission))
		}
		return p
	}
	s.callers = map[string]*access.Principal{"all": caller("all", tenant, access.Everything), "none": caller("none", tenant, access.Scope{Groups: []int64{77}}),
		"other": caller("other", other, access.Everything)}
	a := tvm.New(tvm.Config{Service: s.service, Devices: s.devices, Groups: groups, Files: export.New(filepath.Join(dir, "exports"), []byte("key"), clock), Now: clock})
	s.routes = a.Routes()
	router, err := api.New(api.Config{Auth: s, PublicURL: "https://vedette.example", Log: slog.New(slog.DiscardHandler), Now: clock}, s.routes)
	check(t, err)
	s.Handler = router
	return s
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// pkg is a package as an agent reports it.
func pkg(kind, name, version, source, sourceVersion, release string) json.RawMessage {
	raw, _ := json.Marshal(map[string]any{"kind": kind, "name": name, "version": version, "arch": "amd64", "source": source,
		"sourceVersion": sourceVersion, "release": release, "paths": []string{"/usr/bin/" + name}})
	return raw
}

// report makes a device's software what items say.
func (s *site) report(id ident.DeviceID, section string, items ...json.RawMessage) {
	s.t.Helper()
	var keys []string
	for _, i := range items {
		keys = append(keys, wire.SectionKey(i))
	}
	digest := wire.SectionDigest(keys)
	body, err := wire.EncodeSection(&wire.SectionBody{Put: items})
	check(s.t, err)
	d := &device.Device{ID: id, Tenant: tenant}
	if id == deviceID(4) {
		d.Tenant = other
	}
	have, _, err := s.service.Report(context.Background(), d, vulnerability.Report{Section: section, Digest: digest[:], Body: body})
	check(s.t, err)
	if !have {
		s.t.Fatal("the report was not taken")
	}
}

// ask sends a request as a caller and decodes the answer.
func (s *site) ask(caller, method, path, body string, status int) map[string]any {
	s.t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+caller)
	if body != "" && !strings.Contains(path, "feeds") {
		r.Header.Set("Content-Type", "application/json")
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	if w.Code != status {
		s.t.Fatalf("%s %s as %s: %d, want %d: %s", method, path, caller, w.Code, status, w.Body)
	}
	var out map[string]any
	if w.Body.Len() > 0 {
		check(s.t, json.Unmarshal(w.Body.Bytes(), &out))
	}
	return out
}

func (s *site) values(caller, path string) []map[string]any {
	s.t.Helper()
	out := []map[string]any{}
	list, ok := s.ask(caller, "GET", path, "", 200)["value"].([]any)
	if !ok {
		s.t.Fatalf("%s answers no list", path)
	}
	for _, v := range list {
		out = append(out, v.(map[string]any))
	}
	return out
}

// feed imports a file and waits until it was read.
func (s *site) feed(caller, text, state string) map[string]any {
	s.t.Helper()
	f := s.ask(caller, "POST", "/api/vedette/feeds?file=test.json", text, 202)
	deadline := time.Now().Add(30 * time.Second)
	for {
		now := s.ask(caller, "GET", "/api/vedette/feeds/"+f["id"].(string), "", 200)
		if now["state"] == "ready" || now["state"] == "failed" {
			if now["state"] != state {
				s.t.Fatalf("the feed ended as %v, want %s", now, state)
			}
			return now
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("the feed is not read: %v", now)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// Made up, in the published formats.
const (
	tracker = `{"libalpha": {"CVE-2099-0001": {"description": "A made-up overflow.", "scope": "remote", "releases": {
			"bookworm": {"status": "resolved", "fixed_version": "1.2-3+deb12u1", "urgency": "medium"},
			"bullseye": {"status": "open", "urgency": "low"}}},
		"CVE-2099-0002": {"description": "Never there.", "releases": {"bookworm": {"status": "resolved", "fixed_version": "0", "urgency": "high"}}}},
		"beta": {"CVE-2099-0003": {"description": "Open.", "releases": {"bookworm": {"status": "open", "urgency": "not yet assigned"}}}}}`
	osv = `[{"id": "ACME-2099-7", "modified": "2099-02-01T00:00:00Z", "published": "2099-01-01T00:00:00Z", "aliases": ["CVE-2099-0003"], "details": "Details.",
		"severity": [{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}],
		"affected": [{"package": {"ecosystem": "Debian:12", "name": "beta"}, "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "2.0"}, {"fixed": "2.5-1"}]}]},
			{"package": {"ecosystem": "npm", "name": "beta"}, "versions": ["1"]}]},
		{"id": "RLSA-2099:1", "modified": "2099-02-01T00:00:00Z", "upstream": ["CVE-2099-0100", "CVE-2099-0101"], "details": "Both.",
		"affected": [{"package": {"ecosystem": "Rocky Linux:9", "name": "gamma"}, "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "1:2.0-5.el9"}]}]}]},
		{"id": "GHSA-x", "modified": "2099-02-01T00:00:00Z", "affected": [{"package": {"ecosystem": "PyPI", "name": "x"}, "versions": ["1"]}]}]`
	kev = `{"title": "CISA", "catalogVersion": "2099", "count": 1, "vulnerabilities": [{"cveID": "CVE-2099-0001", "dateAdded": "2099-01-01", "knownRansomwareCampaignUse": "Unknown"}]}`
)

// fill reports software and imports the feeds. By hand: web has libalpha1 and libalpha-doc
// of the vulnerable source (0001, fixed in 1.2-3+deb12u1) and beta 2.4 (0003, fixed in
// 2.5-1); db has the mended libalpha1 and beta 1.9, which the tracker calls open and
// ACME-2099-7 does not concern; old has gamma 2.0-4 without the epoch of the fix.
func fill(t *testing.T) *site {
	s := newSite(t)
	s.report(deviceID(1), "software", pkg("deb", "libalpha1", "1.2-3", "libalpha", "1.2-3", "debian:12"), pkg("deb", "libalpha-doc", "1.2-3+b1", "libalpha", "1.2-3", "debian:12"),
		pkg("deb", "beta", "2.4-1", "beta", "2.4-1", "debian:12"), pkg("snap", "delta", "9", "", "", ""))
	s.report(deviceID(2), "software", pkg("deb", "libalpha1", "1.2-3+deb12u1", "libalpha", "1.2-3+deb12u1", "debian:12"), pkg("deb", "beta", "1.9-1", "beta", "1.9-1", "debian:12"))
	s.report(deviceID(3), "software", pkg("rpm", "gamma", "2.0-4.el9", "gamma", "", "rocky:9.3"))
	s.feed("all", tracker, "ready")
	if f := s.feed("all", osv, "ready"); f["records"] != 3.0 || f["skippedRecords"] != 1.0 {
		t.Errorf("osv: %v", f)
	}
	s.feed("all", kev, "ready")
	return s
}

func column(rows []map[string]any, keys ...string) string {
	var lines []string
	for _, r := range rows {
		var f []string
		for _, k := range keys {
			f = append(f, fmt.Sprint(r[k]))
		}
		lines = append(lines, strings.Join(f, " "))
	}
	return strings.Join(lines, "\n")
}

func want(t *testing.T, what, got string, lines ...string) {
	t.Helper()
	if w := strings.Join(lines, "\n"); got != w {
		t.Errorf("%s:\n%s\nwant:\n%s", what, got, w)
	}
}

func TestFindingsAreThoseWorkedOutByHand(t *testing.T) {
	s := fill(t)
	want(t, "vulnerabilities", column(s.values("all", "/api/vulnerabilities"), "id", "severity", "cvssV3", "exposedMachines", "exploitVerified"),
		"CVE-2099-0001 Medium <nil> 1 true", "CVE-2099-0002 High <nil> 0 false", "CVE-2099-0003 Critical 9.8 2 false",
		"CVE-2099-0100 <nil> <nil> 1 false", "CVE-2099-0101 <nil> <nil> 1 false")
	want(t, "assets", column(s.values("all", "/api/vulnerabilities/machinesVulnerabilities?$orderby=cveId,productName&$filter=machineId%20eq%20'"+string(deviceID(1))+"'"), "cveId", "productName", "productVersion"),
		"CVE-2099-0001 libalpha-doc 1.2-3+b1", "CVE-2099-0001 libalpha1 1.2-3", "CVE-2099-0003 beta 2.4-1")
	want(t, "software", column(s.values("all", "/api/Software?$orderby=id"), "id", "weaknesses", "exposedMachines"),
		"debian-_-beta 1 2", "debian-_-libalpha-doc 1 1", "debian-_-libalpha1 1 1", "rocky-_-gamma 2 1", "snap-_-delta 0 0")
	want(t, "distributions", column(s.values("all", "/api/Software/debian-_-libalpha1/distributions"), "version", "installations", "vulnerabilities"), "1.2-3 1 1", "1.2-3+deb12u1 1 0")
	want(t, "machines of a product", column(s.values("all", "/api/Software/debian-_-libalpha1/machineReferences"), "computerDnsName"), "web.example", "db.example")
	want(t, "machines of a CVE", column(s.values("all", "/api/vulnerabilities/CVE-2099-0003/machineReferences"), "computerDnsName"), "web.example", "db.example")
	want(t, "recommendations", column(s.values("all", "/api/recommendations"), "id", "recommendedVersion", "exposedMachinesCount", "weaknesses", "status"),
		"va-_-debian-_-beta 2.5-1 1 1 Active", "va-_-debian-_-libalpha-doc 1.2-3+deb12u1 1 1 Active", "va-_-debian-_-libalpha1 1.2-3+deb12u1 1 1 Active",
		"va-_-rocky-_-gamma 1:2.0-5.el9 1 2 Active")
	want(t, "software of a machine", column(s.values("all", "/api/machines/"+string(deviceID(2))+"/software"), "id"), "debian-_-beta", "debian-_-libalpha1")
	want(t, "vulnerabilities of a machine", column(s.values("all", "/api/machines/db.example/vulnerabilities"), "id"), "CVE-2099-0003")
	want(t, "recommendations for a machine", column(s.values("all", "/api/machines/web.example/recommendations?$filter=severityScore%20gt%209.5"), "id"), "va-_-debian-_-beta")
	// Points by docs/vulnerability.md: web 1×3 + 10, db 10, old 0.5 + 0.5.
	score := s.ask("all", "GET", "/api/exposureScore", "", 200)["score"].(float64)
	mean := 0.0
	for _, p := range []float64{13, 10, 1} {
		mean += 100 * p / (p + 100) / 3
	}
	if score < mean-0.001 || score > mean+0.001 {
		t.Errorf("exposure score %v, want %v", score, mean)
	}
}

func TestFiltersAreOfEveryPublishedProperty(t *testing.T) {
	s := fill(t)
	for _, c := range []struct {
		path, filter string
		n            int
	}{
		{"vulnerabilities", "id eq 'cve-2099-0001'", 1}, {"vulnerabilities", "cvssV3 ge 9.8", 1}, {"vulnerabilities", "severity eq 'Critical'", 1},
		{"vulnerabilities", "publishedOn gt 2098-01-01T00:00:00Z", 1}, {"vulnerabilities", "contains(description,'overflow')", 1}, {"vulnerabilities", "exploitVerified eq true", 1},
		{"vulnerabilities", "updatedOn lt 2099-03-01T00:00:00Z", 1}, {"Software", "vendor eq 'rocky' and weaknesses gt 1", 1}, {"Software", "startswith(name,'lib')", 2},
		{"recommendations", "productName eq 'gamma'", 1}, {"recommendations", "status eq 'Exception'", 0}, {"recommendations", "remediationType eq 'Update'", 4},
		{"recommendations", "recommendationCategory eq 'Application' and vendor eq 'debian'", 3}, {"vulnerabilities/machinesVulnerabilities", "productName eq 'beta'", 2},
		{"vulnerabilities/machinesVulnerabilities", "severity eq 'Medium' and productVendor eq 'debian'", 2},
	} {
		got := s.ask("all", "GET", "/api/"+c.path+"?$count=true&$top=1&$filter="+strings.ReplaceAll(c.filter, " ", "%20"), "", 200)["@odata.count"]
		if got != float64(c.n) {
			t.Errorf("%s, %s: %v, want %d", c.path, c.filter, got, c.n)
		}
	}
	s.ask("all", "GET", "/api/vulnerabilities?$filter=nosuch%20eq%201", "", 400)
}

// lines fetches the files of an export without a token.
func (s *site) lines(caller, path string) []map[string]any {
	s.t.Helper()
	var out []map[string]any
	for _, link := range s.ask(caller, "GET", path, "", 200)["exportFiles"].([]any) {
		w := httptest.NewRecorder()
		s.ServeHTTP(w, httptest.NewRequest("GET", strings.TrimPrefix(link.(string), "https://vedette.example"), nil))
		if w.Code != 200 || !strings.HasPrefix(w.Header().Get("Content-Disposition"), "attachment; filename=") {
			s.t.Fatalf("%s: %d %v", link, w.Code, w.Header())
		}
		z, err := gzip.NewReader(w.Body)
		check(s.t, err)
		for sc := bufio.NewScanner(z); sc.Scan(); {
			var v map[string]any
			check(s.t, json.Unmarshal(sc.Bytes(), &v))
			out = append(out, v)
		}
	}
	return out
}

func TestExportsPageAndFilesHoldTheSame(t *testing.T) {
	s := fill(t)
	for _, pair := range [][2]string{{"SoftwareInventoryByMachine", "SoftwareInventoryExport"}, {"SoftwareVulnerabilitiesByMachine", "SoftwareVulnerabilitiesExport"}} {
		var paged []map[string]any
		next := "/api/machines/" + pair[0] + "?pageSize=2"
		for next != "" {
			page := s.ask("all", "GET", next, "", 200)
			for _, v := range page["value"].([]any) {
				paged = append(paged, v.(map[string]any))
			}
			if len(page["value"].([]any)) > 2 {
				t.Errorf("a page of %d", len(page["value"].([]any)))
			}
			next, _ = page["@odata.nextLink"].(string)
			next = strings.TrimPrefix(next, "https://vedette.example")
		}
		a, _ := json.Marshal(paged)
		b, _ := json.Marshal(s.lines("all", "/api/machines/"+pair[1]+"?sasValidHours=1"))
		if !bytes.Equal(a, b) || len(paged) < 5 {
			t.Errorf("%s: pages hold\n%s\nfiles hold\n%s", pair[0], a, b)
		}
	}
	s.ask("all", "GET", "/api/machines/SoftwareInventoryExport?sasValidHours=25", "", 400)
	s.ask("all", "GET", "/api/vedette/exports/1.x?sig=y", "", 403)
}

func TestChangesTellWhatBeganAndEnded(t *testing.T) {
	s := fill(t)
	begin := s.now
	s.now = s.now.Add(time.Hour)
	since := s.now
	// web updates libalpha1, and removes the documentation.
	s.report(deviceID(1), "software", pkg("deb", "libalpha1", "1.2-3+deb12u1", "libalpha", "1.2-3+deb12u1", "debian:12"),
		pkg("deb", "beta", "2.4-1", "beta", "2.4-1", "debian:12"), pkg("snap", "delta", "9", "", "", ""))
	// db gets an old libalpha.
	s.report(deviceID(2), "software", pkg("deb", "libalpha1", "1.2-2", "libalpha", "1.2-2", "debian:12"), pkg("deb", "beta", "1.9-1", "beta", "1.9-1", "debian:12"))
	path := "/api/machines/SoftwareVulnerabilityChangesByMachine?sinceTime="
	rows := s.values("all", path+since.Format(time.RFC3339))
	got := map[string]bool{}
	for _, r := range rows {
		got[fmt.Sprint(r["deviceName"], " ", r["softwareName"], " ", r["softwareVersion"], " ", r["cveId"], " ", r["status"])] = true
	}
	for _, w := range []string{"web.example libalpha1 1.2-3 CVE-2099-0001 Fixed", "web.example libalpha-doc 1.2-3+b1 CVE-2099-0001 Fixed", "db.example libalpha1 1.2-2 CVE-2099-0001 New"} {
		if !got[w] {
			t.Errorf("no %q in %v", w, got)
		}
	}
	if len(rows) != 3 {
		t.Errorf("%d changes, want 3: %v", len(rows), got)
	}
	if n := len(s.values("all", path+begin.Format(time.RFC3339))); n < 6 {
		t.Errorf("%d changes since the beginning", n)
	}
	s.ask("all", "GET", "/api/machines/SoftwareVulnerabilityChangesByMachine", "", 400)
	s.ask("all", "GET", path+s.now.Add(-15*24*time.Hour).Format(time.RFC3339), "", 400)
}

func TestANewFeedEndsWhatItNoLongerSays(t *testing.T) {
	s := fill(t)
	s.now = s.now.Add(time.Minute)
	s.feed("all", `{"beta": {"CVE-2099-0003": {"releases": {"bookworm": {"status": "resolved", "fixed_version": "2.3-1", "urgency": "low"}}}}}`, "ready")
	want(t, "findings of web", column(s.values("all", "/api/machines/web.example/vulnerabilities"), "id"), "CVE-2099-0003") // ACME-2099-7 still says so
	s.now = s.now.Add(time.Minute)
	s.feed("all", `{"id": "ACME-2099-7", "modified": "2099-03-01T00:00:00Z", "withdrawn": "2099-03-01T00:00:00Z"}`, "ready")
	want(t, "findings of web", column(s.values("all", "/api/machines/web.example/vulnerabilities"), "id"))
	want(t, "recommendations", column(s.values("all", "/api/recommendations"), "id"), "va-_-debian-_-beta", "va-_-rocky-_-gamma")
	if f := s.feed("all", `<oval/>`, "failed"); !strings.Contains(fmt.Sprint(f["error"]), "OVAL") {
		t.Errorf("OVAL: %v", f)
	}
	s.feed("all", `{"source": {"CVE-1": "text"}}`, "failed")
}

func TestOtherTenantsAndGroupsSeeNothing(t *testing.T) {
	s := fill(t)
	for _, caller := range []string{"none", "other"} {
		for _, path := range []string{"Software", "vulnerabilities/machinesVulnerabilities", "recommendations", "machines/SoftwareInventoryByMachine", "machines/SoftwareVulnerabilitiesByMachine",
			"machines/SoftwareVulnerabilityChangesByMachine?sinceTime=" + s.now.Add(-time.Hour).Format(time.RFC3339)} {
			if rows := s.values(caller, "/api/"+path); len(rows) != 0 {
				t.Errorf("%s sees %v of %s", caller, rows, path)
			}
		}
		if got := s.ask(caller, "GET", "/api/exposureScore", "", 200)["score"]; got != nil {
			t.Errorf("%s has the score %v", caller, got)
		}
		s.ask(caller, "GET", "/api/Software/debian-_-beta", "", 404)
	}
	for _, v := range s.values("none", "/api/vulnerabilities") {
		if v["exposedMachines"] != 0.0 {
			t.Errorf("a caller without devices counts %v", v)
		}
	}
	if rows := s.values("other", "/api/vulnerabilities"); len(rows) != 0 {
		t.Errorf("another tenant knows %v", rows)
	}
}

func TestSettingsBecomeAScoreAndRecommendations(t *testing.T) {
	s := newSite(t)
	if got := s.ask("all", "GET", "/api/configurationScore", "", 200)["score"]; got != nil {
		t.Errorf("a score of nothing: %v", got)
	}
	state := func(id string, applicable, ok bool) json.RawMessage {
		raw, _ := json.Marshal(map[string]any{"id": id, "applicable": applicable, "compliant": ok})
		return raw
	}
	s.report(deviceID(1), "configuration", state("scid-90001", true, true), state("scid-90008", true, false), state("scid-90006", false, false))
	s.report(deviceID(2), "configuration", state("scid-90001", true, false))
	if got := s.ask("all", "GET", "/api/configurationScore", "", 200)["score"]; got != 4.0 { // 8 × 1/2 + 9 × 0
		t.Errorf("score %v, want 4", got)
	}
	want(t, "recommendations", column(s.values("all", "/api/recommendations"), "id", "exposedMachinesCount", "totalMachineCount", "recommendationCategory"),
		"sca-_-scid-90001 1 2 OS", "sca-_-scid-90008 1 1 Accounts")
	want(t, "devices", column(s.values("all", "/api/recommendations/sca-_-scid-90001/machineReferences"), "computerDnsName"), "db.example")
	s.ask("all", "POST", "/api/vedette/recommendations/sca-_-scid-90001/exception", `{"reason": "a test"}`, 200)
	want(t, "exceptions", column(s.values("all", "/api/recommendations?$filter=status%20eq%20'Exception'"), "id"), "sca-_-scid-90001")
	const exception = "/api/vedette/recommendations/sca-_-scid-90001/exception"
	if e := s.ask("all", "GET", exception, "", 200); e["reason"] != "a test" || e["expirationDateTimeUtc"] != nil {
		t.Errorf("the exception is %v", e)
	}
	for _, bad := range []string{`{"reason": " "}`, `{"reason": "x", "expirationDateTimeUtc": "2001-01-01T00:00:00Z"}`, `{"reason": "x", "expirationDateTimeUtc": "soon"}`} {
		s.ask("all", "POST", exception, bad, 400)
	}
	s.ask("all", "POST", exception, `{"reason": "until later", "expirationDateTimeUtc": "2999-01-01T00:00:00Z"}`, 200)
	if e := s.ask("all", "GET", exception, "", 200); e["reason"] != "until later" || e["expirationDateTimeUtc"] != "2999-01-01T00:00:00.0000000Z" {
		t.Errorf("the exception is %v", e)
	}
	s.ask("all", "DELETE", exception, "", 200)
	s.ask("all", "GET", exception, "", 404)
	// One that has its time ends by itself. A feed, here one that cannot be read, wakes the keeper.
	s.ask("all", "POST", exception, `{"reason": "for an hour", "expirationDateTimeUtc": "`+s.now.Add(time.Hour).Format(time.RFC3339)+`"}`, 200)
	s.feed("all", `{"source": {"CVE-1": "text"}}`, "failed")
	s.ask("all", "GET", exception, "", 200)
	s.now = s.now.Add(2 * time.Hour)
	for begin := time.Now(); ; {
		s.feed("all", `{"source": {"CVE-2": "text"}}`, "failed")
		if len(s.values("all", "/api/recommendations?$filter=status%20eq%20'Exception'")) == 0 {
			break
		}
		if time.Since(begin) > 20*time.Second {
			t.Fatal("the exception goes on beyond its time")
		}
	}
	s.ask("all", "GET", exception, "", 404)
	task := s.ask("all", "POST", "/api/vedette/remediationTasks", `{"recommendationId": "sca-_-scid-90008", "priority": "High"}`, 201)
	s.report(deviceID(1), "configuration", state("scid-90008", true, true))
	now := s.ask("all", "GET", "/api/remediationTasks/"+task["id"].(string), "", 200)
	if now["fixedDevices"] != 1.0 || now["targetDevices"] != 1.0 || now["status"] != "Active" {
		t.Errorf("task %v", now)
	}
	s.ask("all", "POST", "/api/vedette/remediationTasks/"+task["id"].(string)+"/complete", "", 200)
	want(t, "tasks", column(s.values("all", "/api/remediationTasks?$filter=status%20eq%20'Completed'"), "title"), "Do not let root log on by SSH with a password")
}

// Every route answers without a server error on a server that knows nothing.
func TestEveryRouteAnswersOnAnEmptyServer(t *testing.T) {
	s := newSite(t)
	for _, route := range s.routes {
		if route.Doc.Summary == "" {
			t.Errorf("%s %s has no summary", route.Method, route.Pattern)
		}
		if route.Method != http.MethodGet {
			continue
		}
		path := route.Pattern
		for _, v := range []string{"{id}", "{file}"} {
			path = strings.ReplaceAll(path, v, "x")
		}
		r := httptest.NewRequest("GET", path, nil)
		r.Header.Set("Authorization", "Bearer all")
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if w.Code >= 500 || strings.Contains(path, "/x") != (w.Code >= 400) && !strings.Contains(path, "Changes") {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
		_, _ = io.Copy(io.Discard, w.Body)
	}
}

func TestHostileReportsAreRefused(t *testing.T) {
	s := newSite(t)
	d := &device.Device{ID: deviceID(1), Tenant: tenant}
	send := func(items ...string) error {
		var b wire.SectionBody
		var keys []string
		for _, i := range items {
			b.Put = append(b.Put, json.RawMessage(i))
			keys = append(keys, wire.SectionKey([]byte(i)))
		}
		digest := wire.SectionDigest(keys)
		body, err := wire.EncodeSection(&b)
		check(t, err)
		_, _, err = s.service.Report(context.Background(), d, vulnerability.Report{Section: "software", Digest: digest[:], Body: body})
		return err
	}
	for _, item := range []string{`{}`, `{"kind":"deb","name":"x"}`, `{"kind":"deb","name":"` + strings.Repeat("x", 600) + `","version":"1"}`, `[]`, `{"kind":"deb","name":"a\u0000b","version":"1"}`} {
		if err := send(item); err == nil {
			t.Errorf("%.80s was taken", item)
		}
	}
	if _, _, err := s.service.Report(context.Background(), d, vulnerability.Report{Section: "software", Digest: []byte("short")}); err == nil {
		t.Error("a short digest was taken")
	}
	check(t, send(`{"kind":"deb","name":"ok","version":"1","release":"debian:12","source":"ok","sourceVersion":"1"}`))
	var names []string
	check(t, s.service.Rows(context.Background(), tenant, "DeviceTvmSoftwareInventory", func(r telemetry.Row) error {
		names = append(names, r["SoftwareName"].S)
		return nil
	}))
	if len(names) != 1 || names[0] != "ok" {
		t.Errorf("rows: %v", names)
	}
}
