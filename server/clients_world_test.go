package server

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/vedette-edr/vedette/schema/event"
	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/action"
	"github.com/vedette-edr/vedette/server/alert"
	"github.com/vedette-edr/vedette/server/device"
	"github.com/vedette-edr/vedette/server/hunt/hunttest"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/library"
	"github.com/vedette-edr/vedette/server/vulnerability"
	"github.com/vedette-edr/vedette/wire"
)

// world is a server that runs, with what clients ask for.
type world struct {
	*Server
	t       *testing.T
	address string // of the listener without TLS
	tenant  ident.TenantID
	rows    *hunttest.Memory
	names   map[string]string // what stands in braces
	fixed   map[string]string // those of names that every client has
	devices int

	receiver *httptest.Server // of web hooks
	received chan map[string]any
}

// Hashes of files that the devices have.
const (
	worldSHA1   = "c6f5a9d2b1e04738a96f2c5d8e1b4a7f30c9d6e2"
	worldSHA256 = "0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0"
)

func newWorld(t *testing.T) *world {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	address := freePort(t)
	dir := t.TempDir()
	w := &world{t: t, address: address, names: map[string]string{}}
	w.receive()
	s, err := New(ctx, Config{DataDir: dir, Listen: freePort(t), ListenHTTP: address, RateLimit: -1,
		HookNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, HookTLS: w.receiver.Client().Transport.(*http.Transport).TLSClientConfig})
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	rows := inMemory(s)
	if s.front, err = newFront(s); err != nil {
		t.Fatal(err)
	}
	b := readBootstrap(t, dir)
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	w.Server, w.tenant, w.rows = s, b.TenantID, rows
	w.fixed = map[string]string{"tenant": string(b.TenantID), "app": string(b.ClientID), "secret": url.QueryEscape(b.ClientSecret), "plainsecret": b.ClientSecret, "address": address, "url": s.where.url,
		"sha1": worldSHA1, "sha256": worldSHA256, "ip": "203.0.113.7", "domain": "evil.example", "user": "eve", "cve": "CVE-2099-0001", "software": "debian-_-libalpha1",
		"past": time.Now().Add(-time.Hour).UTC().Format("2006-01-02T15:04:05.000000Z"), "future": time.Now().Add(24 * time.Hour).UTC().Format("2006-01-02T15:04:05Z"),
		"nowhere": strings.Repeat("f", 40), "now": time.Now().UTC().Format("2006-01-02T15:04:05Z")}
	_, err = s.control.library.Put(ctx, access.System(w.tenant, "test"), library.Upload{Name: "collect.sh", Content: strings.NewReader("exit 0")})
	w.must(err)
	w.feed()
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// made-up vulnerabilities, in the format of Debian's tracker.
const worldFeed = `{"libalpha": {"CVE-2099-0001": {"description": "A made-up overflow.", "scope": "remote",
	"releases": {"bookworm": {"status": "resolved", "fixed_version": "1.2-3+deb12u1", "urgency": "medium"}}}}}`

// feed imports vulnerabilities.
func (w *world) feed() {
	w.t.Helper()
	ctx, by := context.Background(), access.System(w.tenant, "test")
	f, err := w.control.vulnerabilities.Import(ctx, by, "", "test.json", strings.NewReader(worldFeed))
	w.must(err)
	for end := time.Now().Add(30 * time.Second); f.State != "ready"; time.Sleep(5 * time.Millisecond) {
		f, err = w.control.vulnerabilities.Feed(ctx, w.tenant, f.ID)
		w.must(err)
		if f.State == "failed" || time.Now().After(end) {
			w.t.Fatalf("the feed is not read: %+v", f)
		}
	}
}

// begin makes a device for a client, with an alert, telemetry, software and settings; the
// client has no token yet, unless it never asks for one.
func (w *world) begin(t *testing.T, client string) {
	w.t = t
	w.devices++
	n, ctx, now := w.devices, context.Background(), time.Now().UTC()
	w.names = map[string]string{}
	for k, v := range w.fixed {
		w.names[k] = v
	}
	name := fmt.Sprintf("host%d.corp.example", n)
	aad := fmt.Sprintf("5f3ad3a4-0000-4000-8000-%012d", n)
	dev := ident.DeviceID(fmt.Sprintf("%040x", n))
	d := &device.Device{ID: dev, Tenant: w.tenant, Name: name, Incarnation: 1, Fingerprint: [32]byte{byte(n)}, FirstSeen: now, LastSeen: now, LastReport: now, LastData: now,
		Platform: "Linux", AgentVersion: "1.0.0", Value: device.Normal, LastIP: fmt.Sprintf("192.0.2.%d", n), ExternalIP: "198.51.100.1", Tags: []string{"client"},
		Inventory: device.Inventory{Users: []device.User{{Name: "eve", Domain: "corp"}}, Hostname: strings.TrimSuffix(name, ".corp.example"), FQDN: name, Platform: "Linux", Version: "12", Build: 17763, Architecture: "64-bit", Processor: "x64", AadDeviceID: aad,
			Interfaces: []device.Interface{{Name: "eth0", Type: "Ethernet", Status: "Up", Addresses: []string{fmt.Sprintf("192.0.2.%d/24", n)}}}}}
	w.must(w.control.store.Devices().Create(ctx, d))
	// Two more, on which nothing goes on.
	for i, spare := range []string{"spare", "free"} {
		id := fmt.Sprintf("%039x%d", n, i+1)
		w.must(w.control.store.Devices().Create(ctx, &device.Device{ID: ident.DeviceID("f" + id[1:]), Tenant: w.tenant, Name: fmt.Sprintf("%s%d.corp.example", spare, n), Incarnation: 1,
			Fingerprint: [32]byte{byte(n), byte(i + 1)}, FirstSeen: now, LastSeen: now, LastReport: now, Platform: "Linux", Value: device.Normal}))
		w.names[spare] = "f" + id[1:]
	}
	al := &alert.Alert{ID: ident.AlertID(fmt.Sprintf("da%018d_1", n)), Tenant: w.tenant, Device: dev, DeviceName: name, Title: "Something bad", Description: "It is.", Recommended: "Look.",
		Category: "Malware", Severity: alert.High, DetectionSource: "CustomDetection", User: alert.User{Name: "eve", Domain: "corp"}, FirstEvent: now, LastEvent: now,
		Evidence: []alert.Evidence{{Type: "Process", SHA1: worldSHA1, SHA256: worldSHA256, FileName: "curl", FilePath: "/usr/bin", ProcessID: 11, ParentID: 10, CommandLine: "curl", ProcessCreated: now},
			{Type: "File", SHA1: worldSHA1, SHA256: worldSHA256, FileName: "curl", FilePath: "/usr/bin"}, {Type: "Ip", IP: "203.0.113.7"}, {Type: "Url", URL: "http://evil.example/x"}}}
	_, err := w.control.alerts.Raise(ctx, []*alert.Alert{al})
	w.must(err)
	at := w.observe(d)
	w.report(d, "software", map[string]any{"kind": "deb", "name": "libalpha1", "version": "1.2-3", "arch": "amd64", "source": "libalpha", "sourceVersion": "1.2-3", "release": "debian:12", "paths": []string{"/usr/bin/alpha"}})
	w.report(d, "configuration", map[string]any{"id": "scid-90001", "applicable": true, "compliant": true})
	for k, v := range map[string]string{"name": name, "aad": aad, "id": string(dev), "lastip": d.LastIP, "alert": string(al.ID), "incident": al.Incident.String(),
		"eventtime": at.Format(time.RFC3339Nano), "n": fmt.Sprint(n)} {
		w.names[k] = v
	}
	if client == connector || client == surprises {
		c := form("POST /{tenant}/oauth2/token", mdeV1, formType)
		w.must(w.do(&c))
	}
}

// The clients among whose rows none asks for the token that the others need.
const (
	connector = "Power Automate / Logic Apps connector `wdatp`"
	surprises = "What surprises a server"
)

// observe adds telemetry and returns the time of the process, whose ReportId is 7.
func (w *world) observe(d *device.Device) time.Time {
	at := time.Now().UTC().Add(-10 * time.Minute).Truncate(time.Microsecond)
	account := event.Account{Name: "eve", Domain: "corp", SID: "1000"}
	curl := &event.Process{PID: 11, Start: at, CommandLine: "curl http://evil.example/", Account: account,
		Image: event.File{Name: "curl", Path: "/usr/bin/curl", SHA1: worldSHA1, SHA256: worldSHA256, Size: 1}}
	w.rows.Add(w.tenant, event.Origin{DeviceID: string(d.ID), DeviceName: d.Name, ReportID: 7},
		&event.Event{Table: event.ProcessEvents, Action: "ProcessCreated", Time: at, Process: curl},
		&event.Event{Table: event.NetworkEvents, Action: "ConnectionSuccess", Time: at, Initiating: curl,
			Network: &event.Network{RemoteIP: "203.0.113.7", RemotePort: 80, RemoteURL: "evil.example", Protocol: "Tcp"}},
		&event.Event{Table: event.LogonEvents, Action: "LogonSuccess", Time: at, Account: &account, Logon: &event.Logon{Type: "Interactive"}})
	return at
}

// report tells the server a section of a device's inventory, as its agent does.
func (w *world) report(d *device.Device, section string, item any) {
	w.t.Helper()
	raw, err := json.Marshal(item)
	w.must(err)
	digest := wire.SectionDigest([]string{wire.SectionKey(raw)})
	body, err := wire.EncodeSection(&wire.SectionBody{Put: []json.RawMessage{raw}})
	w.must(err)
	have, _, err := w.control.vulnerabilities.Report(context.Background(), d, vulnerability.Report{Section: section, Digest: digest[:], Body: body})
	w.must(err)
	if !have {
		w.t.Fatal("the report was not taken")
	}
}

// finish lets the client's device carry out the action that it keeps under a name, and
// hand in the files; nil for none.
func (w *world) finish(kept string, files map[string][]byte) {
	w.t.Helper()
	ctx := context.Background()
	d, err := w.control.store.Devices().Get(ctx, w.tenant, ident.DeviceID(w.names["id"]))
	w.must(err)
	id := ident.ActionID(w.names[kept])
	_, err = w.control.dispatch.Pending(ctx, d, nil)
	w.must(err)
	i := 0
	for name, content := range files {
		w.must(w.control.dispatch.Keep(ctx, d, id, i, name, bytes.NewReader(content)))
		i++
	}
	w.must(w.control.dispatch.Result(ctx, d, action.Result{ID: id, State: "verified", Detail: "done"}))
}

// zipped is a text as a gzip file.
func zipped(text string) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write([]byte(text))
	_ = z.Close()
	return b.Bytes()
}

// What several clients read. machineReads is of a machine after nulls are dropped, by the
// path that it stands at.
func machineReads(at string) string {
	out := at + "id string;" + at + "osBuild integer?;" + at + "rbacGroupId integer?;" + at + "machineTags strings?;" + at + "isAadJoined boolean?;"
	for _, key := range strings.Fields("computerDnsName firstSeen lastSeen osPlatform osProcessor version lastIpAddress lastExternalIpAddress agentVersion healthStatus rbacGroupName riskScore exposureLevel aadDeviceId deviceValue") {
		out += at + key + " string?;"
	}
	return out
}

// actionReads is of a machine action after nulls are dropped.
func actionReads(at string) string {
	out := at + "errorHResult integer?;" + at + "id string;" + at + "status string;" + at + "type string;" + at + "machineId string;"
	for _, key := range strings.Fields("requestor requestorComment computerDnsName creationDateTimeUtc lastUpdateDateTimeUtc scope title externalId requestSource cancellationRequestor cancellationComment cancellationDateTimeUtc troubleshootInfo") {
		out += at + key + " string?;"
	}
	return out
}

// alertReads is of an alert, with the integers that schema checks ask for.
func alertReads(at string) string {
	return at + "id string;" + at + "title string;" + at + "severity string;" + at + "status string;" + at + "incidentId integer?;" + at + "investigationId integer?;" +
		at + "alertCreationTime string;" + at + "lastUpdateTime string;" + at + "relatedUser object?;" + at + "machineId string?;" + at + "evidence list;" +
		at + "evidence[].entityType string?;" + at + "evidence[].processId integer?;" + at + "evidence[].parentProcessId integer?"
}

// indicatorReads is of an indicator.
func indicatorReads(at string) string {
	return at + "id string;" + at + "indicatorValue string;" + at + "createdBy string;" + at + "generateAlert boolean;" + at + "historicalDetection boolean;" +
		at + "rbacGroupIds strings;" + at + "rbacGroupNames strings;" + at + "mitreTechniques strings"
}

// errorReads is what every refusal holds.
const errorReads = "error.code string; error.message string; error.target string"

// requested is a request for a machine action, and the same once more, which is refused
// because the first is pending. The id is kept as the kind.
func requested(kind, body string) []clientCall {
	first := tell("POST /api/machines/{id}/"+kind, body, http.StatusCreated, actionReads(""))
	first.keeps = map[string]string{"id": kind}
	first.says = []string{`"machineId":"{id}"`}
	return []clientCall{first, refused("/api", kind, body)}
}

// refused is a request for an action of a kind that is pending already.
func refused(root, kind, body string) clientCall {
	again := tell("POST "+root+"/machines/{id}/"+kind, body, http.StatusBadRequest, "error.code = ActiveRequestAlreadyExists;"+errorReads)
	again.says = []string{`"message":"Action is already in progress"`, "ActiveRequestAlreadyExists"}
	return again
}
