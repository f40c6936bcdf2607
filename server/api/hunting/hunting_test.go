package hunting_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/vedette-edr/vedette/schema/event"
	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/api"
	"github.com/vedette-edr/vedette/server/api/hunting"
	"github.com/vedette-edr/vedette/server/device"
	"github.com/vedette-edr/vedette/server/hunt"
	"github.com/vedette-edr/vedette/server/hunt/hunttest"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/query"
	"github.com/vedette-edr/vedette/server/store"
)

// caller is whom the token names: person/tenant/permissions.
type caller struct{}

// Authenticate implements api.Authenticator.
func (caller) Authenticate(_ context.Context, token, _ string) (*access.Principal, error) {
	part := strings.Split(token, "/")
	return &access.Principal{Actor: ident.Actor{ID: part[0], Name: part[0], Tenant: ident.TenantID(part[1])}, Roles: strings.Split(part[2], ","), Scope: access.Everything}, nil
}

const (
	anna    = "anna/aaaaaaaa-0000-4000-8000-000000000001/AdvancedQuery.Read.All"
	bilal   = "bilal/aaaaaaaa-0000-4000-8000-000000000001/AdvancedHunting.Read.All"
	admin   = "root/aaaaaaaa-0000-4000-8000-000000000001/AdvancedQuery.Read.All,Vedette.Admin.All"
	abroad  = "carl/bbbbbbbb-0000-4000-8000-000000000002/AdvancedQuery.Read.All,Vedette.Admin.All"
	nobody  = "dora/aaaaaaaa-0000-4000-8000-000000000001/Alert.Read.All"
	queries = "/api/vedette/queries"
)

func serve(t *testing.T) func(who, method, path, body string, status int) map[string]any {
	t.Helper()
	db, err := store.Open(t.Context(), store.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	r, err := api.New(api.Config{Auth: caller{}}, hunting.Routes(hunting.Config{Hunter: hunt.New(hunt.Config{}),
		Queries: query.New(query.Config{Store: db.Queries(), Atomic: db.Atomic})}))
	if err != nil {
		t.Fatal(err)
	}
	return func(who, method, path, body string, status int) map[string]any {
		t.Helper()
		req := httptest.NewRequest(method, path, strings.NewReader(body))
		req.Header.Set("Authorization", "Bearer "+who)
		w := httptest.NewRecorder()
		r.ServeHTTP(w, req)
		if w.Code != status {
			t.Fatalf("%s %s by %s: %d, want %d\n%s", method, path, who, w.Code, status, w.Body)
		}
		var out map[string]any
		if w.Body.Len() > 0 {
			if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil {
				t.Fatal(err)
			}
		}
		return out
	}
}

func TestAQueryIsSeenByItsOwnerAloneUntilItIsShared(t *testing.T) {
	call := serve(t)
	made := call(anna, http.MethodPost, queries, `{"name": " Shells ", "folder": "/Triage/", "query": "DeviceProcessEvents | take 1"}`, http.StatusCreated)
	at := queries + "/" + made["id"].(string)
	if made["name"] != "Shells" || made["folder"] != "Triage" || made["isOwn"] != true {
		t.Errorf("%v", made)
	}
	count := func(who string) int { return len(call(who, http.MethodGet, queries, "", 200)["value"].([]any)) }
	if count(anna) != 1 || count(bilal) != 0 {
		t.Errorf("%d and %d queries are seen", count(anna), count(bilal))
	}
	call(bilal, http.MethodGet, at, "", 404)
	call(bilal, http.MethodPatch, at, `{"name": "mine"}`, 404)
	call(bilal, http.MethodDelete, at, "", 404)
	call(admin, http.MethodDelete, at, "", 404)
	call(anna, http.MethodPatch, at, `{"isShared": true}`, 200)
	if got := call(bilal, http.MethodGet, at, "", 200); got["isOwn"] != false || got["query"] != "DeviceProcessEvents | take 1" || got["createdBy"] != "anna" {
		t.Errorf("%v", got)
	}
	call(bilal, http.MethodPatch, at, `{"name": "mine"}`, 403)
	call(bilal, http.MethodDelete, at, "", 403)
	call(abroad, http.MethodGet, at, "", 404)
	call(abroad, http.MethodDelete, at, "", 404)
	call(nobody, http.MethodGet, at, "", 403)
	call(admin, http.MethodDelete, at, "", 204)
	call(anna, http.MethodGet, at, "", 404)
}

func TestAQueryThatIsWrongIsRefused(t *testing.T) {
	call := serve(t)
	for name, body := range map[string]string{
		"no name": `{"query": "T"}`, "no text": `{"name": "a"}`, "a number": `{"name": 1, "query": "T"}`,
		"a long name": `{"name": "` + strings.Repeat("é", 257) + `", "query": "T"}`,
		"a long text": `{"name": "a", "query": "` + strings.Repeat("x", query.MaxText+1) + `"}`,
	} {
		if got := call(anna, http.MethodPost, queries, body, 400); got["error"] == nil {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestWhatIsWrongWithATextIsToldWithItsPlace(t *testing.T) {
	call := serve(t)
	check := func(text string) map[string]any {
		raw, err := json.Marshal(map[string]string{"query": text})
		if err != nil {
			t.Fatal(err)
		}
		return call(anna, http.MethodPost, "/api/vedette/hunting/check", string(raw), 200)
	}
	text := "DeviceProcessEvents\n| where FileNam == \"é\""
	p := check(text)["problems"].([]any)[0].(map[string]any)
	from := int(p["offset"].(float64))
	if text[from:from+int(p["length"].(float64))] != "FileNam" || p["line"] != 2.0 || p["suggestion"] != "FileName" {
		t.Errorf("%v", p)
	}
	sound := check("DeviceProcessEvents | summarize N = count() by FileName | render piechart with (title=\"t\")")
	if len(sound["problems"].([]any)) != 0 || len(sound["columns"].([]any)) != 2 || sound["render"].(map[string]any)["kind"] != "piechart" {
		t.Errorf("%v", sound)
	}
	call(anna, http.MethodPost, "/api/vedette/hunting/check", `{"query": " "}`, 400)
	call(nobody, http.MethodPost, "/api/vedette/hunting/check", `{"query": "T"}`, 403)
}

func TestTheVocabularyIsWhatTheBinderKnows(t *testing.T) {
	call := serve(t)
	v := call(anna, http.MethodGet, "/api/vedette/hunting/schema", "", 200)
	for _, x := range v["tables"].([]any) {
		table := x.(map[string]any)
		var names []string
		for _, c := range table["columns"].([]any) {
			names = append(names, "['"+c.(map[string]any)["name"].(string)+"']")
		}
		got := call(anna, http.MethodPost, "/api/vedette/hunting/check", `{"query": "`+table["name"].(string)+` | project `+strings.Join(names, ", ")+`"}`, 200)
		if len(got["problems"].([]any)) != 0 {
			t.Errorf("%s: %v", table["name"], got["problems"])
		}
	}
	if len(v["tables"].([]any)) < 20 || len(v["functions"].([]any)) < 200 {
		t.Errorf("%d tables and %d functions", len(v["tables"].([]any)), len(v["functions"].([]any)))
	}
}

// TestATimelineIsReadFromAnyPlace walks a device's events by the places that answers name.
func TestATimelineIsReadFromAnyPlace(t *testing.T) {
	const tenant ident.TenantID = "aaaaaaaa-0000-4000-8000-000000000001"
	db, err := store.Open(t.Context(), store.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	if err := db.Access().CreateTenant(t.Context(), &access.Tenant{ID: tenant, Name: "ours", Created: time.Now()}); err != nil {
		t.Fatal(err)
	}
	enrolled := device.New(device.Config{Store: db.Devices(), Tokens: db.Tokens(), TokenKey: db.Key().Derive("t")})
	token, _, err := enrolled.NewToken(t.Context(), tenant, device.TokenRequest{Name: "test"})
	if err != nil {
		t.Fatal(err)
	}
	d, err := enrolled.Enrol(t.Context(), device.Enrolment{Token: token, Name: "host", Platform: "Debian", AgentVersion: "1.0.0", Protocol: 1})
	if err != nil {
		t.Fatal(err)
	}
	id := string(d.ID)
	memory := &hunttest.Memory{}
	start := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	var events []*event.Event
	for i := range 25 {
		events = append(events, &event.Event{Table: event.DeviceEvents, Action: fmt.Sprint("Event", i), Time: start.Add(time.Duration(i)*time.Second + 123400*time.Nanosecond)})
	}
	memory.Add(tenant, event.Origin{DeviceID: id, ReportID: 1 << 60}, events...)
	r, err := api.New(api.Config{Auth: caller{}}, hunting.Routes(hunting.Config{Hunter: hunt.New(hunt.Config{Store: memory}), Devices: enrolled}))
	if err != nil {
		t.Fatal(err)
	}
	call := func(who, path, body string, status int) (out struct {
		Total, Every int64
		Complete     bool
		Landmarks    []json.RawMessage
		Bins         []int64
		Cut          bool
		Columns      []struct{ Name string }
		Rows         [][]json.RawMessage
	}) {
		t.Helper()
		req := httptest.NewRequest(http.MethodPost, "/api/vedette/machines/"+path, strings.NewReader(body))
		req.Header.Set("Authorization", "Bearer "+who)
		w := httptest.NewRecorder()
		r.ServeHTTP(w, req)
		if w.Code != status {
			t.Fatalf("%s by %s: %d, want %d\n%s", path, who, w.Code, status, w.Body)
		}
		if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil {
			t.Fatal(err)
		}
		return out
	}
	const span = `"from": "2026-11-21T12:00:00Z", "to": "2026-11-21T13:00:00Z"`
	o := call(anna, id+"/timeline/outline", `{`+span+`, "every": 10, "bins": 6}`, 200)
	if o.Total != 25 || o.Every != 10 || len(o.Landmarks) != 2 || len(o.Bins) != 6 || o.Bins[0] != 25 || !o.Complete {
		t.Errorf("%+v", o)
	}
	names := func(more string) (got []string) {
		t.Helper()
		s := call(anna, id+"/timeline", `{`+span+more+`}`, 200)
		for _, row := range s.Rows {
			if len(row) != len(s.Columns) {
				t.Fatalf("%d cells in %d columns", len(row), len(s.Columns))
			}
			for i, c := range s.Columns {
				if c.Name == "ActionType" {
					got = append(got, string(row[i]))
				}
			}
		}
		if s.Cut {
			got = append(got, "cut")
		}
		return got
	}
	for body, want := range map[string]string{
		`, "top": 2`:                      `"Event24" "Event23" cut`,
		`, "top": 20, "search": "EVENT7"`: `"Event7"`,
		fmt.Sprintf(`, "top": 10, "after": %s, "until": %s`, o.Landmarks[0], o.Landmarks[1]):                                                  `"Event14" "Event13" "Event12" "Event11" "Event10" "Event9" "Event8" "Event7" "Event6" "Event5"`,
		fmt.Sprintf(`, "top": 10, "after": %s`, o.Landmarks[1]):                                                                               `"Event4" "Event3" "Event2" "Event1" "Event0"`,
		`, "top": 20, "tables": ["DeviceEvents"], "marked": [{"timestamp": "2026-11-21T12:00:03.0001234Z", "reportId": 1152921504606846979}]`: `"Event3"`,
	} {
		if got := strings.Join(names(body), " "); got != want {
			t.Errorf("%s: %s, want %s", body, got, want)
		}
	}
	for body, status := range map[string]int{
		`{}`: 400, `{` + span + `}`: 400, `{` + span + `, "top": 5001}`: 400, `{` + span + `, "top": 9223372036854775807}`: 400, `{` + span + `, "top": 1, "after": 1}`: 400,
		`{` + span + `, "top": 1, "marked": [{"timestamp": "x"}]}`: 400,
	} {
		call(anna, id+"/timeline", body, status)
	}
	call(anna, "mine/timeline", `{`+span+`, "top": 1}`, 404)
	call(nobody, id+"/timeline", `{`+span+`, "top": 1}`, 403)
	call(abroad, id+"/timeline", `{`+span+`, "top": 10}`, 404)
	call(abroad, id+"/timeline/outline", `{`+span+`, "every": 10, "bins": 6}`, 404)
}
