package server

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/action"
	"github.com/vedette-edr/vedette/server/device"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/notify"
)

// ask sends a request as p and decodes the answer into out, which may be nil.
func (s *site) ask(t *testing.T, p *access.Principal, status int, method, path, body string, out any) *httptest.ResponseRecorder {
	t.Helper()
	s.bearers["x"] = p
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer x")
	w := httptest.NewRecorder()
	s.router.ServeHTTP(w, r)
	if w.Code != status {
		t.Fatalf("%s %s: %d %s, want %d", method, path, w.Code, w.Body, status)
	}
	if out != nil {
		if err := json.Unmarshal(w.Body.Bytes(), out); err != nil {
			t.Fatalf("%s %s: %v in %s", method, path, err, w.Body)
		}
	}
	return w
}

// shown is what the test reads of an action.
type shown struct {
	ID, Type, Status, State, UndoType, Undoes string
	AwaitsApproval                            bool
	Approval                                  *struct{ Votes []struct{ By string } }
	Steps                                     []struct{ State, Actor, Detail string }
}

// TestAnActionGoesThroughTheHandsOfTwoPeople follows one action over the API alone, from the
// policy to its undoing, and what the action center shows of it.
func TestAnActionGoesThroughTheHandsOfTwoPeople(t *testing.T) {
	s := newSite(t)
	tenants, err := s.control.store.Access().Tenants(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	tenant := tenants[0].ID
	var all []string
	for _, u := range access.Usages() {
		all = append(all, u.Delegated...)
	}
	someone := func(name string, in ...ident.RoleID) *access.Principal {
		return &access.Principal{Actor: ident.Actor{Kind: ident.ActorUser, ID: name, Name: name, Tenant: tenant}, Scopes: all, Rights: access.Rights(), Scope: access.Everything, In: in}
	}
	root, ana, lead := someone("root", access.Admin), someone("ana", access.SecurityOperator), someone("lead", access.SecurityAdmin)
	now := time.Now().UTC()
	d := &device.Device{ID: ident.DeviceID(strings.Repeat("a", 40)), Tenant: tenant, Name: "=cmd.example", Platform: "Linux", Incarnation: 1, FirstSeen: now, LastSeen: now, LastReport: now}
	if err := s.control.store.Devices().Create(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	if _, err := s.control.notices.CreateRule(t.Context(), root, notify.Rule{Name: "approvals", Enabled: true, Subject: notify.OfApprovals, Mail: []string{"lead@example.org"}}); err != nil {
		t.Fatal(err)
	}
	s.ask(t, root, http.StatusCreated, "POST", "/api/vedette/approvalpolicies", `{"name":"isolation","types":["isolate"],"approvers":["security-admin"]}`, nil)
	s.ask(t, root, http.StatusBadRequest, "POST", "/api/vedette/approvalpolicies", `{"name":"x","types":["explode"]}`, nil)
	s.ask(t, root, http.StatusBadRequest, "POST", "/api/vedette/approvalpolicies", `{"name":"x","approvals":99}`, nil)

	var iso shown
	s.ask(t, ana, http.StatusCreated, "POST", "/api/machines/"+string(d.ID)+"/isolate", `{"Comment":"-beacon","IsolationType":"Full"}`, &iso)
	own := "/api/vedette/machineactions/" + iso.ID
	if iso.Status != "Pending" {
		t.Errorf("the published status is %s", iso.Status)
	}
	messages, err := s.control.notices.Messages(t.Context(), tenant, 0, 10)
	if err != nil || len(messages) != 1 || !strings.Contains(messages[0].Body, iso.ID) || !strings.Contains(messages[0].Subject, "waits for approval") {
		t.Errorf("messages %+v, %v", messages, err)
	}
	list := func(query string) []shown {
		t.Helper()
		var page struct{ Value []shown }
		s.ask(t, ana, http.StatusOK, "GET", "/api/vedette/machineactions?"+query, "", &page)
		return page.Value
	}
	if got := list("view=approval"); len(got) != 1 || got[0].ID != iso.ID || !got[0].AwaitsApproval || len(got[0].Steps) != 0 {
		t.Errorf("what waits: %+v", got)
	}
	s.ask(t, ana, http.StatusForbidden, "POST", own+"/approve", `{"Comment":"me"}`, nil)
	s.ask(t, lead, http.StatusBadRequest, "POST", own+"/approve", `{}`, nil)
	var whole shown
	s.ask(t, lead, http.StatusOK, "POST", own+"/approve", `{"Comment":"go"}`, &whole)
	if whole.State != "approved" || len(whole.Approval.Votes) != 1 || len(whole.Steps) != 3 {
		t.Errorf("approved: %+v", whole)
	}
	s.ask(t, lead, http.StatusConflict, "POST", own+"/reject", `{"Comment":"no"}`, nil)

	if work, err := s.control.dispatch.Pending(t.Context(), d, nil); err != nil || len(work.Commands) != 1 {
		t.Fatalf("%+v, %v", work, err)
	}
	if err := s.control.dispatch.Result(t.Context(), d, action.Result{ID: ident.ActionID(iso.ID), State: "verified", Evidence: json.RawMessage(`{"probe":1}`)}); err != nil {
		t.Fatal(err)
	}
	s.ask(t, ana, http.StatusOK, "GET", own, "", &whole)
	if whole.State != "verified" || whole.UndoType != "Unisolate" {
		t.Errorf("verified: %+v", whole)
	}
	weak := someone("weak")
	weak.Rights = []access.Right{access.InvestigateAlerts}
	s.ask(t, weak, http.StatusForbidden, "POST", own+"/undo", `{"Comment":"x"}`, nil)
	var undo shown
	s.ask(t, ana, http.StatusCreated, "POST", own+"/undo", `{"Comment":"false alarm"}`, &undo)
	if undo.Type != "Unisolate" || undo.Undoes != iso.ID || undo.State != "approved" {
		t.Errorf("undo: %+v", undo)
	}

	if got := list("view=pending"); len(got) != 1 || got[0].ID != undo.ID {
		t.Errorf("pending: %+v", got)
	}
	if got := list("view=history&$filter=" + url.QueryEscape("requestSource eq 'PublicApi' and type eq 'Isolate'")); len(got) != 1 || got[0].ID != iso.ID {
		t.Errorf("history: %+v", got)
	}
	s.ask(t, ana, http.StatusBadRequest, "GET", "/api/vedette/machineactions?view=all", "", nil)
	w := s.ask(t, ana, http.StatusOK, "GET", "/api/vedette/machineactions?format=csv&$orderby=creationDateTimeUtc", "", nil)
	rows, err := csv.NewReader(w.Body).ReadAll()
	if err != nil || len(rows) != 3 || w.Header().Get("Content-Type") != "text/csv; charset=utf-8" {
		t.Fatalf("%v, %v", rows, err)
	}
	cell := map[string]string{}
	for i, name := range rows[0] {
		cell[name] = rows[1][i]
	}
	for name, want := range map[string]string{"Id": iso.ID, "State": "verified", "ApprovedBy": "lead", "Requestor": "ana",
		"Device": "'=cmd.example", "Comment": "'-beacon"} { // what a spreadsheet would take for a formula is none
		if cell[name] != want {
			t.Errorf("%s is %q, want %q", name, cell[name], want)
		}
	}
	for _, query := range []string{"format=xml", "$filter=nothing%20eq%201", "$top=x"} {
		s.ask(t, ana, http.StatusBadRequest, "GET", "/api/vedette/machineactions?"+query, "", nil)
	}
}

// TestManyDevicesAreCountedFirst asks for an action on many devices over the API.
func TestManyDevicesAreCountedFirst(t *testing.T) {
	s := newSite(t)
	tenants, err := s.control.store.Access().Tenants(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	tenant := tenants[0].ID
	app := principal(ident.ActorApp, tenant, string(access.MachineIsolate))
	var ids []string
	for n := range 5 {
		d := &device.Device{ID: ident.DeviceID(fmt.Sprintf("%040x", n+1)), Tenant: tenant, Name: fmt.Sprintf("lab%d.example", n), Platform: "Linux", Incarnation: 1, LastSeen: time.Now()}
		if err := s.control.store.Devices().Create(t.Context(), d); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, string(d.ID))
	}
	const path = "/api/vedette/machineactions/bulk/Isolate"
	var got struct {
		Machines, Accepted, Refused int
		Outcomes                    []struct{ MachineID, ActionID, Code string }
	}
	filter := `"MachineFilter":"startswith(computerDnsName,'lab')"`
	s.ask(t, app, http.StatusOK, "POST", path, `{"Comment":"x","CountOnly":true,`+filter+`}`, &got)
	if got.Machines != 5 || got.Accepted != 5 || got.Outcomes[0].ActionID != "" {
		t.Errorf("counted %+v", got)
	}
	s.ask(t, app, http.StatusOK, "POST", path, `{"Comment":"x","MachineIds":["`+ids[0]+`","lab1.example"]}`, &got)
	if got.Machines != 2 || got.Accepted != 2 || got.Outcomes[1].ActionID == "" {
		t.Errorf("asked %+v", got)
	}
	s.ask(t, app, http.StatusOK, "POST", path, `{"Comment":"x",`+filter+`}`, &got)
	if got.Machines != 5 || got.Accepted != 3 || got.Refused != 2 {
		t.Errorf("asked the rest %+v", got)
	}
	for _, o := range got.Outcomes {
		if (o.Code == "ActiveRequestAlreadyExists") == (o.ActionID != "") {
			t.Errorf("outcome %+v", o)
		}
	}
	for body, status := range map[string]int{
		`{"Comment":"x"}`: 400, `{"MachineIds":["a"]}`: 400, `{"Comment":"x","MachineIds":["nobody"]}`: 404,
		`{"Comment":"x","MachineFilter":"nothing eq 1"}`: 400, `{"Comment":"x","MachineIds":["a"],` + filter + `}`: 400,
		`{"Comment":"x","MachineIds":["` + strings.Join(make([]string, 1002), `","`) + `"]}`: 400,
	} {
		s.ask(t, app, status, "POST", path, body, nil)
	}
	s.ask(t, principal(ident.ActorApp, tenant, string(access.MachineScan)), http.StatusForbidden, "POST", path, `{}`, nil)
}
