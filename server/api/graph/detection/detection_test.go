package detection_test

import (
	"context"
	"encoding/json"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/vedette-edr/vedette/content"
	rules "github.com/vedette-edr/vedette/detection"
	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/api"
	"github.com/vedette-edr/vedette/server/api/graph/detection"
	"github.com/vedette-edr/vedette/server/detect/custom"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/store"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// caller is whoever the token says: its roles, comma-separated.
type caller struct{}

// Authenticate implements api.Authenticator.
func (caller) Authenticate(_ context.Context, token, _ string) (*access.Principal, error) {
	return &access.Principal{Actor: ident.Actor{ID: "app", Name: "engineer@contoso.example", Tenant: "aaaaaaaa-0000-4000-8000-000000000001"},
		Roles: strings.Split(token, ","), Scope: access.Everything}, nil
}

func serve(t *testing.T) http.Handler {
	t.Helper()
	text, err := fs.ReadFile(content.FS, "attack.yaml")
	if err != nil {
		t.Fatal(err)
	}
	attack, err := rules.ParseAttack(text)
	if err != nil {
		t.Fatal(err)
	}
	db, err := store.Open(t.Context(), store.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	s := custom.NewService(custom.Config{Store: db.Detections(), Attack: attack, Capabilities: custom.Offered{}, Clock: func() time.Time { return noon }, Atomic: db.Atomic})
	r, err := api.New(api.Config{Auth: caller{}}, detection.Routes(s))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// sample has the shape of the request in Graph's reference, security-rulesroot-post-detectionrules.
const sample = `{
  "displayName": "Some rule name", "isEnabled": true,
  "queryCondition": {"queryText": "DeviceProcessEvents | take 1"},
  "schedule": {"period": "12H"},
  "detectionAction": {
    "alertTemplate": {"title": "Some alert title", "description": "Some alert description", "severity": "medium", "category": "Execution",
      "recommendedActions": null, "mitreTechniques": [],
      "impactedAssets": [{"@odata.type": "#microsoft.graph.security.impactedDeviceAsset", "identifier": "deviceId"}]},
    "organizationalScope": null,
    "responseActions": [{"@odata.type": "#microsoft.graph.security.isolateDeviceResponseAction", "identifier": "deviceId", "isolationType": "full"}]
  }
}`

func call(t *testing.T, h http.Handler, role, method, path, body string, status int) map[string]any {
	t.Helper()
	req := httptest.NewRequest(method, path, strings.NewReader(body))
	req.Header.Set("Authorization", "Bearer "+role)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, req)
	if w.Code != status {
		t.Fatalf("%s %s: %d, want %d\n%s", method, path, w.Code, status, w.Body)
	}
	var out map[string]any
	if w.Body.Len() > 0 {
		if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil {
			t.Fatalf("%s %s: %v\n%s", method, path, err, w.Body)
		}
	}
	return out
}

const (
	root  = "/beta/security/rules/detectionRules"
	read  = "CustomDetection.Read.All"
	write = "CustomDetection.ReadWrite.All"
)

func TestRulesAsPublished(t *testing.T) {
	h := serve(t)
	made := call(t, h, write, http.MethodPost, root, sample, http.StatusCreated)
	for key, want := range map[string]string{
		"id": `"1"`, "displayName": `"Some rule name"`, "isEnabled": "true", "createdBy": `"engineer@contoso.example"`,
		"createdDateTime": `"2026-11-21T12:00:00.0000000Z"`, "lastModifiedBy": `"engineer@contoso.example"`,
		"queryCondition":  `{"lastModifiedDateTime":"2026-11-21T12:00:00.0000000Z","queryText":"DeviceProcessEvents | take 1"}`,
		"schedule":        `{"nextRunDateTime":"2026-11-21T12:00:00.0000000Z","period":"12H"}`,
		"lastRunDetails":  `{"errorCode":null,"failureReason":null,"lastRunDateTime":null,"status":null}`,
		"detectionAction": `{"alertTemplate":{"category":"Execution","description":"Some alert description","impactedAssets":[{"@odata.type":"#microsoft.graph.security.impactedDeviceAsset","identifier":"deviceId"}],"mitreTechniques":[],"recommendedActions":null,"severity":"medium","title":"Some alert title"},"organizationalScope":null,"responseActions":[{"@odata.type":"#microsoft.graph.security.isolateDeviceResponseAction","identifier":"deviceId","isolationType":"full"}]}`,
	} {
		got, err := json.Marshal(made[key])
		if err != nil || string(got) != want {
			t.Errorf("%s is %s, want %s", key, got, want)
		}
	}
	if id, _ := made["detectorId"].(string); len(id) != 36 {
		t.Errorf("detectorId %q", id)
	}
	list := call(t, h, read, http.MethodGet, root+"?$filter=isEnabled+eq+true&$top=5", "", http.StatusOK)
	if v, _ := list["value"].([]any); len(v) != 1 {
		t.Errorf("list %v", list)
	}
	changed := call(t, h, write, http.MethodPatch, root+"/1", `{"displayName": "Other", "detectionAction": {"alertTemplate": {"severity": "high"}}}`, http.StatusOK)
	if changed["displayName"] != "Other" || changed["isEnabled"] != true {
		t.Errorf("changed %v", changed)
	}
	one := call(t, h, read, http.MethodGet, root+"/1", "", http.StatusOK)
	if d, _ := json.Marshal(one["detectionAction"]); !strings.Contains(string(d), `"severity":"high","title":"Some alert title"`) {
		t.Errorf("what a PATCH leaves out changed: %s", d)
	}
	call(t, h, write, http.MethodDelete, root+"/1", "", http.StatusNoContent)
	call(t, h, read, http.MethodGet, root+"/1", "", http.StatusNotFound)
}

func TestRefusals(t *testing.T) {
	h := serve(t)
	for _, k := range []struct {
		role, method, path, body string
		status                   int
		want                     string
	}{
		{read, http.MethodPost, root, sample, 403, "CustomDetection.ReadWrite.All"},
		{"Alert.Read.All", http.MethodGet, root, "", 403, "CustomDetection.Read.All"},
		{write, http.MethodPost, root, "{", 400, "not JSON"},
		{write, http.MethodPost, root, "", 400, "empty"},
		{write, http.MethodPost, root, `{"isEnabled": "yes"}`, 400, "isEnabled"},
		{write, http.MethodPost, root, strings.Replace(sample, "12H", "2H", 1), 400, "schedule.period"},
		{write, http.MethodPost, root, strings.Replace(sample, "take 1", "nope", 1), 400, "1:23: KQL"},
		{write, http.MethodPost, root, strings.Replace(strings.Replace(sample, "12H", "0", 1), "take 1", "join DeviceInfo on DeviceId", 1), 400, "1:23: KQL0201"},
		{write, http.MethodPost, root, strings.Replace(sample, "isolateDeviceResponse", "initiateInvestigationResponse", 1), 400, "initiateInvestigation is not offered"},
		{write, http.MethodPost, root, strings.Replace(sample, "impactedDeviceAsset", "impactedPlanet", 1), 400, "impactedPlanet"},
		{write, http.MethodPatch, root + "/77", `{}`, 404, ""},
		{write, http.MethodPatch, root + "/x", `{}`, 404, ""},
		{write, http.MethodDelete, root + "/77", "", 404, ""},
	} {
		out := call(t, h, k.role, k.method, k.path, k.body, k.status)
		e, _ := out["error"].(map[string]any)
		if m, _ := e["message"].(string); !strings.Contains(m, k.want) {
			t.Errorf("%s %s %.80s: %v, want %q", k.method, k.path, k.body, e, k.want)
		}
	}
}
