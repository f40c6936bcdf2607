package feed_test

import (
	"context"
	"encoding/json"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/alert"
	"github.com/vedette-edr/vedette/server/api"
	"github.com/vedette-edr/vedette/server/api/feed"
	"github.com/vedette-edr/vedette/server/device"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/notify"
	"github.com/vedette-edr/vedette/server/store"
)

const tenant = ident.TenantID("00000000-0000-4000-8000-000000000001")

type callers struct{}

func (callers) Authenticate(_ context.Context, token, _ string) (*access.Principal, error) {
	return &access.Principal{Actor: ident.Actor{Kind: ident.ActorApp, ID: "caller", Tenant: ident.TenantID(token)}, Roles: []string{string(access.AlertRead)}, Scope: access.Everything}, nil
}

var now = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func newSite(t *testing.T, of func(*feed.API) []api.Route) func(method, target, body string) (int, string) {
	t.Helper()
	db, err := store.Open(t.Context(), store.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	clock := func() time.Time { return now }
	alerts := alert.NewService(alert.Config{Store: db.Alerts(), Clock: clock, Atomic: db.Atomic})
	for id, ago := range map[ident.AlertID]time.Duration{"da1_1": time.Hour, "da2_1": 3 * time.Hour} {
		_, err := alerts.Raise(t.Context(), []*alert.Alert{{ID: id, Tenant: tenant, Device: ident.DeviceID(strings.Repeat("a", 40)), DeviceName: "web.example", Title: string(id),
			Severity: alert.High, Created: now.Add(-ago), FirstEvent: now.Add(-ago), LastEvent: now.Add(-ago), User: alert.User{Name: "eve", Domain: "corp"},
			Evidence: []alert.Evidence{{Type: "Ip", IP: "203.0.113.7"}, {Type: "Process", FileName: "curl", SHA1: "ab", CommandLine: "curl x"}, {Type: "User", Account: "eve"}}}})
		if err != nil {
			t.Fatal(err)
		}
	}
	a := feed.New(feed.Config{Alerts: alerts, Devices: device.New(device.Config{Store: db.Devices(), Tokens: db.Tokens(), TokenKey: db.Key().Derive("t")}),
		Subscriptions: notify.New(notify.Config{Store: db.Notifications(), Sealer: db.Key(), Clock: clock, Atomic: db.Atomic}), Now: clock})
	r, err := api.New(api.Config{Auth: callers{}}, of(a))
	if err != nil {
		t.Fatal(err)
	}
	return func(method, target, body string) (int, string) {
		q := httptest.NewRequest(method, target, strings.NewReader(body))
		q.Header.Set("Authorization", "Bearer "+string(tenant))
		w := httptest.NewRecorder()
		r.ServeHTTP(w, q)
		return w.Code, w.Body.String()
	}
}

func TestExporter(t *testing.T) {
	call := newSite(t, (*feed.API).Exporter)
	for query, want := range map[string]int{
		"": 2, "?ago=PT4H": 4, "?sinceTimeUtc=2026-11-21T08:00:00.000Z&untilTimeUtc=2026-11-21T10:00:00Z": 2, "?ago=PT4H&limit=1": 1,
		"?CloudCreatedMachineTags=vip": 0, "?ago=PT10M": 0,
	} {
		status, body := call("GET", "/api/Alerts"+query, "")
		var out []map[string]any
		if err := json.Unmarshal([]byte(body), &out); err != nil || status != 200 || len(out) != want {
			t.Errorf("%s: %d, %d records, want %d: %v", query, status, len(out), want, err)
			continue
		}
		if query == "" && (out[0]["AlertId"] != "da1_1" || out[0]["IpAddress"] != "203.0.113.7" || out[0]["IocName"] != "IpAddress" || out[0]["UserName"] != "eve" ||
			out[0]["MachineDomain"] != "example" || out[1]["CommandLine"] != "curl x" || out[1]["AlertPart"] != 1.0 || out[1]["FullId"] != "da1_1:1" || out[0]["Sha1"] != nil) {
			t.Errorf("records %s", body)
		}
	}
	for _, query := range []string{"?ago=1h", "?limit=x", "?sinceTimeUtc=yesterday"} {
		if status, body := call("GET", "/api/alerts"+query, ""); status != 400 {
			t.Errorf("%s: %d %s", query, status, body)
		}
	}
}

// TestTheConnectorSubscribes sends what the flow connector sends.
func TestTheConnectorSubscribes(t *testing.T) {
	call := newSite(t, (*feed.API).Routes)
	status, body := call("POST", "/subscriptions", `{"clientState":"flow","changeType":"created","resource":"alerts","expirationDateTime":"2038-09-20T12:00:00Z","notificationUrl":"https://flow.example/hook?sig=x"}`)
	var s struct{ ID, NotificationURL, ClientState string }
	if err := json.Unmarshal([]byte(body), &s); err != nil || status != 201 || s.ID == "" || s.NotificationURL != "https://flow.example/hook?sig=x" || s.ClientState != "flow" {
		t.Fatalf("%d %s, %v", status, body, err)
	}
	if status, body := call("PATCH", "/subscriptions/"+url.PathEscape(s.ID), `{"expirationDateTime":"2027-01-01T00:00:00Z"}`); status != 200 || !strings.Contains(body, "2027-01-01") {
		t.Errorf("renewed: %d %s", status, body)
	}
	if status, body := call("GET", "/subscriptions", ""); status != 200 || !strings.Contains(body, s.ID) {
		t.Errorf("listed: %d %s", status, body)
	}
	for want, b := range map[string]string{
		"InvalidUrl":               `{"changeType":"created","resource":"alerts","expirationDateTime":"2038-09-20T12:00:00Z","notificationUrl":"http://169.254.169.254/"}`,
		"MissingRequiredParameter": `{"changeType":"created","resource":"alerts","notificationUrl":"https://x.example/"}`,
		"InvalidInput":             `{"changeType":"updated","resource":"alerts","expirationDateTime":"2038-09-20T12:00:00Z","notificationUrl":"https://x.example/"}`,
	} {
		if status, body := call("POST", "/subscriptions", b); status != 400 || !strings.Contains(body, want) {
			t.Errorf("%s: %d %s", b, status, body)
		}
	}
	if status, _ := call("DELETE", "/subscriptions/"+s.ID, ""); status != 204 {
		t.Errorf("ended: %d", status)
	}
	if status, _ := call("DELETE", "/subscriptions/"+s.ID, ""); status != 404 {
		t.Errorf("ended twice: %d", status)
	}
}
