package triage_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/vedette-edr/vedette/schema/event"
	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/alert"
	"github.com/vedette-edr/vedette/server/api"
	"github.com/vedette-edr/vedette/server/api/triage"
	"github.com/vedette-edr/vedette/server/audit"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/hunt"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/incident"
	"github.com/vedette-edr/vedette/server/notify"
	"github.com/vedette-edr/vedette/server/store"
)

const (
	ours   = ident.TenantID("00000000-0000-4000-8000-000000000001")
	theirs = ident.TenantID("00000000-0000-4000-8000-000000000002")
)

// callers lets a token be the name of a tenant; its bearer may do everything.
type callers struct{}

func (callers) Authenticate(_ context.Context, token, _ string) (*access.Principal, error) {
	p := &access.Principal{Actor: ident.Actor{Kind: ident.ActorApp, ID: "caller", Name: "app", Tenant: ident.TenantID(token)}, Scope: access.Everything}
	for _, perm := range access.Permissions() {
		p.Roles = append(p.Roles, string(perm))
	}
	return p, nil
}

// alone knows no process but the one it is asked about.
type alone struct{}

func (alone) ProcessTree(_ context.Context, _ ident.TenantID, _ ident.DeviceID, of event.Process) (*hunt.Tree, error) {
	return &hunt.Tree{Nodes: []hunt.TreeNode{{Process: of, Parent: -1, Root: true}}}, nil
}

// untested refuses every test message.
type untested struct{}

func (untested) Test(context.Context, *access.Principal, ident.NotificationID) error {
	return errs.New("test", errs.Invalid, errs.DisallowedOperation, "the test was not taken: webhook: no")
}

func newSite(t *testing.T) *api.Router {
	t.Helper()
	db, err := store.Open(t.Context(), store.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	log := audit.New(db.Audit(), db.Key().Derive("a"), nil)
	incidents := incident.New(incident.Config{Store: db.Incidents(), Links: db.Incidents(), History: db.Histories(), Audit: log, Atomic: db.Atomic})
	alerts := alert.NewService(alert.Config{Store: db.Alerts(), Suppressions: db.Alerts(), History: db.Histories(), Audit: log, Atomic: db.Atomic,
		Observers: []alert.Observer{incidents}})
	incidents.Use(alerts)
	now := time.Now().UTC()
	for i, id := range []ident.AlertID{"da1_1", "da2_1", "da3_1"} {
		_, err := alerts.Raise(t.Context(), []*alert.Alert{{ID: id, Tenant: ours, Device: ident.DeviceID(strings.Repeat("ab"[i%2:i%2+1], 40)), Title: string(id),
			Severity: alert.Low, FirstEvent: now, LastEvent: now, Evidence: []alert.Evidence{{Type: "Process", ProcessID: 7, FileName: "x", ProcessCreated: now}}}})
		if err != nil {
			t.Fatal(err)
		}
	}
	rules := notify.New(notify.Config{Store: db.Notifications(), Sealer: db.Key(), Audit: log, Atomic: db.Atomic})
	r, err := api.New(api.Config{Auth: callers{}}, triage.New(triage.Config{Alerts: alerts, Suppressions: alerts, Incidents: incidents, Rules: rules, Tester: untested{}, Trees: alone{}}).Routes())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRoutes(t *testing.T) {
	site := newSite(t)
	for _, c := range []struct {
		tenant       ident.TenantID
		call, body   string
		status       int
		part, absent string // of the answer
	}{
		{ours, "GET alerts/da1_1/history", "", 200, `"field":"created"`, ""},
		{theirs, "GET alerts/da1_1/history", "", 404, `Alert da1_1 was not found`, ""},
		{ours, "GET alerts/da1_1/history?top=0", "", 400, "top", ""},
		{ours, "GET alerts/da1_1/tree", "", 200, `"processId":7`, ""},
		{theirs, "GET alerts/da1_1/tree", "", 404, "", ""},

		{ours, "POST suppressions", `{"name":"n","action":"hide","conditions":[{"field":"title","op":"equals","values":["x"]}]}`, 201, `"enabled":true`, ""},
		{ours, "POST suppressions", `{"name":"n","action":"hide","conditions":[{"field":"title","values":["x"]}]}`, 400, "conditions[0].op", ""},
		{ours, "POST suppressions", `{"name":"n","action":"hide","conditions":[]}`, 400, "conditions", ""},
		{ours, "PATCH suppressions/1", `{"enabled":false,"comment":"c"}`, 200, `"enabled":false`, ""},
		{theirs, "PATCH suppressions/1", `{"enabled":true}`, 404, "Suppression rule 1 was not found", ""},
		{theirs, "GET suppressions", "", 200, `"value":[]`, ""},
		{ours, "GET suppressions/1", "", 200, `"comment":"c"`, ""},
		{ours, "DELETE suppressions/1", "", 204, "", ""},
		{ours, "DELETE suppressions/1", "", 404, "", ""},
		{ours, "GET suppressions/x", "", 404, "", ""},

		{ours, "PATCH incidents/1", `{"incidentName":"Mine","severity":"high","summary":"s"}`, 200, `"incidentName":"Mine","severity":"High"`, ""},
		{theirs, "PATCH incidents/1", `{"summary":"s"}`, 404, "", ""},
		{ours, "PATCH incidents/1", `{}`, 400, "", ""},
		{ours, "POST incidents/2/merge", `{"into":1}`, 200, `"alertCount":3`, ""},
		{theirs, "POST incidents/2/merge", `{"into":1}`, 404, "", ""},
		{ours, "POST incidents/1/merge", `{}`, 400, "into", ""},
		{ours, "POST incidents/move", `{"alertIds":["da1_1"]}`, 200, `"alertCount":1`, ""},
		{theirs, "POST incidents/move", `{"alertIds":["da1_1"]}`, 404, "Alert da1_1", ""},
		{ours, "POST incidents/move", `{"alertIds":["da1_1"],"incidentId":99}`, 404, "Incident 99", ""},
		{ours, "GET incidents/2/history", "", 200, `"new":"Redirected"`, ""},

		{ours, "POST notifications", `{"name":"n","severity":"High","webhookUrl":"https://example.com/","secret":"hush"}`, 201, `"signed":true`, "hush"},
		{ours, "POST notifications", `{"name":"n","webhookUrl":"http://example.com/"}`, 400, "InvalidUrl", ""},
		{ours, "POST notifications", `{"name":"n","mail":["x"]}`, 400, "mail[0]", ""},
		{ours, "PATCH notifications/1", `{"digestMinutes":60}`, 200, `"digestMinutes":60`, ""},
		{ours, "PATCH notifications/1", `{"digestMinutes":999999}`, 400, "digestMinutes", ""},
		{theirs, "GET notifications/1", "", 404, "", ""},
		{theirs, "DELETE notifications/1", "", 404, "", ""},
		{ours, "POST notifications/1/test", "", 400, "the test was not taken", ""},
		{ours, "GET notifications/1/messages", "", 200, `"value":[]`, ""},
		{theirs, "GET notifications/1/messages", "", 404, "", ""},
		{ours, "GET notifications/messages", "", 200, `"value":[]`, ""},
		{ours, "DELETE notifications/1", "", 204, "", ""},
	} {
		method, path, _ := strings.Cut(c.call, " ")
		r := httptest.NewRequest(method, "/api/vedette/"+path, strings.NewReader(c.body))
		r.Header.Set("Authorization", "Bearer "+string(c.tenant))
		w := httptest.NewRecorder()
		site.ServeHTTP(w, r)
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.part) || c.absent != "" && strings.Contains(w.Body.String(), c.absent) {
			t.Errorf("%s %s: %d %s, want %d with %s", c.call, c.body, w.Code, w.Body, c.status, c.part)
		}
		if w.Code != http.StatusNoContent && !json.Valid(w.Body.Bytes()) {
			t.Errorf("%s: %s", c.call, w.Body)
		}
	}
}
