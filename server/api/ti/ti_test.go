package ti_test

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/api"
	"github.com/vedette-edr/vedette/server/api/ti"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/indicator"
	"github.com/vedette-edr/vedette/server/store"
)

const tenant = ident.TenantID("7e7c4e3e-1b8e-4a6e-9f1e-0c6b1a5d2f10")

// tokens authenticates by a fixed table: what is tested here begins behind it.
type tokens map[string]*access.Principal

func (t tokens) Authenticate(_ context.Context, token, _ string) (*access.Principal, error) {
	if p := t[token]; p != nil {
		return p, nil
	}
	return nil, errs.New("test", errs.Unauthenticated, errs.Unauthorized, "unknown token")
}

func app(id string, role access.Permission) *access.Principal {
	return &access.Principal{
		Actor: ident.Actor{Kind: ident.ActorApp, ID: id, Name: id + "@Company1.contoso.com", Tenant: tenant},
		Roles: []string{string(role)}, Scope: access.Everything,
	}
}

// shown is where changes become visible in these tests: nowhere.
type shown struct{}

func (shown) Apply(context.Context, ident.TenantID, *indicator.Page) error { return nil }

// server is the API on a real router, service and store.
type server struct {
	t   *testing.T
	url string
	now time.Time
}

func newServer(t *testing.T, q indicator.Quota) *server {
	t.Helper()
	s := &server{t: t, now: time.Date(2017, 2, 1, 10, 46, 22, 80_000_000, time.UTC)}
	clock := func() time.Time { return s.now }
	db, err := store.Open(t.Context(), store.Config{Dir: t.TempDir(), Clock: clock})
	if err != nil {
		t.Fatal(err)
	}
	th := db.Threats()
	service := indicator.New(indicator.Config{
		Definitions: th, IOCs: th, Indicators: th, Tallies: th, Expiry: th, Feed: th, Sink: shown{}, Now: clock, Quota: q,
	})
	router, err := api.New(api.Config{Auth: tokens{
		"all": app("user2", access.TIReadWrite), "own": app("own", access.TIReadWriteOwn), "none": app("none", access.AlertRead),
	}, PublicURL: "https://TI.SecurityCenter.Windows.com", NewID: func() string { return "c" }}, ti.Routes(service))
	if err != nil {
		t.Fatal(err)
	}
	h := httptest.NewServer(router)
	t.Cleanup(func() {
		h.Close()
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	s.url = h.URL
	return s
}

// answer is a response with its body read.
type answer struct {
	*http.Response
	body string
}

func (s *server) do(method, path, body string, header ...string) answer {
	s.t.Helper()
	req, err := http.NewRequest(method, s.url+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer all")
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return answer{res, string(b)}
}

// want does a request and fails the test unless it has the status and, when it is not
// "", exactly the body.
func (s *server) want(status int, body, method, path, send string, header ...string) answer {
	s.t.Helper()
	a := s.do(method, path, send, header...)
	if a.StatusCode != status {
		s.t.Fatalf("%s %s: %s, want %d\n%s", method, path, a.Status, status, a.body)
	}
	if body != "" {
		if d := cmp.Diff(body, a.body); d != "" {
			s.t.Errorf("%s %s:\n%s", method, path, d)
		}
	}
	return a
}

func (a answer) json(t *testing.T) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal([]byte(a.body), &v); err != nil {
		t.Fatalf("%v in %s", err, a.body)
	}
	return v
}

const sample = `{
  "Name": "Connection to restricted company IP address",
  "Severity": "Low",
  "InternalDescription": "Unusual connection to restricted IP from production machine",
  "Title": "Connection to restricted company IP address",
  "UxDescription": "Any connection to this IP address from a production machine should be suspicious.",
  "RecommendedAction": "Isolate machine immediately and contact machine owner for awareness.",
  "Category": "Trojan",
  "Enabled": true
}`

const sampleAnswer = `"Name":"Connection to restricted company IP address","Severity":"Low",` +
	`"InternalDescription":"Unusual connection to restricted IP from production machine",` +
	`"Title":"Connection to restricted company IP address",` +
	`"UxDescription":"Any connection to this IP address from a production machine should be suspicious.",` +
	`"RecommendedAction":"Isolate machine immediately and contact machine owner for awareness.",` +
	`"Category":"Trojan","Id":1,"CreatedAt":"2017-02-01T10:46:22.08Z","CreatedBy":"user2@Company1.contoso.com",` +
	`"LastModifiedAt":null,"LastModifiedBy":null,"Enabled":true}`

const contextOf = `{"@odata.context":"https://TI.SecurityCenter.Windows.com/V1.0/$metadata#`

// TestDocumentedRequests goes through the requests of the published page in its order.
func TestDocumentedRequests(t *testing.T) {
	s := newServer(t, indicator.Quota{})
	s.want(200, contextOf+`AlertDefinitions","value":[]}`, "GET", "/V1.0/AlertDefinitions", "")
	a := s.want(201, contextOf+`AlertDefinitions/$entity",`+sampleAnswer, "POST", "/v1.0/AlertDefinitions", sample, "Content-Type", "application/json;")
	if got := a.Header.Get("Location"); got != "https://TI.SecurityCenter.Windows.com/V1.0/AlertDefinitions(1)" {
		t.Errorf("Location %q", got)
	}
	if got := a.Header.Get("OData-Version"); got != "4.0" {
		t.Errorf("OData-Version %q", got)
	}
	s.want(200, contextOf+`AlertDefinitions","value":[{`+sampleAnswer+`]}`, "GET", "/v1.0/AlertDefinitions", "")
	s.want(200, contextOf+`AlertDefinitions/$entity",`+sampleAnswer, "GET", "/v1.0/alertdefinitions(1)", "")

	const iocBody = `{
"Type": "SHA1",
"Value": "8311e8b377736fb93b18b15372355f3f26c4cd29",
"DetectionFunction": "Equals",
"Enabled": true,
"AlertDefinition@odata.bind": "AlertDefinitions(1)"
}`
	const iocAnswer = `"Type":"SHA1","Value":"8311e8b377736fb93b18b15372355f3f26c4cd29","DetectionFunction":"Equals","ExpiresAt":null,` +
		`"Id":1,"CreatedAt":"2017-02-01T10:46:22.08Z","CreatedBy":"user2@Company1.contoso.com","LastModifiedAt":null,"LastModifiedBy":null,"Enabled":true}`
	s.want(201, contextOf+`IndicatorsOfCompromise/$entity",`+iocAnswer, "POST", "/v1.0/IndicatorsOfCompromise", iocBody)
	s.want(200, `{"value":[{`+iocAnswer+`]}`, "GET", "/v1.0/IndicatorsOfCompromise(1)", "", "Accept", "application/json;odata.metadata=none")

	const bulk = `{
    "iocs": [{
            "Type": "SHA1",
            "Value": "b68e0b50420dbb03cb8e56a927105bf4b06f3793",
            "DetectionFunction": "Equals",
            "Enabled": true,
            "AlertDefinition@odata.bind": "AlertDefinitions(1)"
        },
        {
            "Type": "SHA1",
            "Value": "b68e0b50420dbb03cb8e56a927105bf4b06f3793",
            "DetectionFunction": "Equals",
            "Enabled": true,
            "AlertDefinition@odata.bind": "AlertDefinitions(1)"
        }
    ]
}`
	a = s.want(200, "", "POST", "/V1.0/IndicatorsOfCompromise/Actions.BulkUpload", bulk)
	if got := len(a.json(t)["value"].([]any)); got != 2 {
		t.Errorf("%d entities of a bulk upload", got)
	}

	s.now = s.now.Add(time.Hour)
	a = s.want(200, "", "PATCH", "/v1.0/AlertDefinitions(1)", `{"Category": "Backdoor", "Enabled": false}`, "Accept", "application/json;odata.metadata=none")
	got := a.json(t)
	if got["Category"] != "Backdoor" || got["Enabled"] != false || got["Severity"] != "Low" || got["LastModifiedAt"] != "2017-02-01T11:46:22.08Z" || got["LastModifiedBy"] != "user2@Company1.contoso.com" {
		t.Errorf("patched: %s", a.body)
	}

	s.want(201, "", "POST", "/V1.0/AlertDefinitions", sample)
	s.want(204, "", "PUT", "/v1.0/IndicatorsOfCompromise(3)/AlertDefinition/$ref", `{"@odata.id": "https://TI.SecurityCenter.Windows.com/v1.0/AlertDefinitions(2)"}`)
	a = s.want(200, "", "GET", "/V1.0/IndicatorsOfCompromise?$expand=AlertDefinition&$select=Id&$orderby=Id%20desc&$top=1&$count=true", "")
	got = a.json(t)
	first := got["value"].([]any)[0].(map[string]any)
	if got["@odata.count"] != 3.0 || first["Id"] != 3.0 || first["AlertDefinition"].(map[string]any)["Id"] != 2.0 || len(first) != 2 {
		t.Errorf("expanded: %s", a.body)
	}

	s.want(204, "", "DELETE", "/v1.0/IndicatorsOfCompromise(1)", "")
	s.want(404, "", "GET", "/v1.0/IndicatorsOfCompromise(1)", "")
	a = s.want(204, "", "POST", "/V1.0/AlertDefinitions(1)/Actions.DeleteIOCs", "")
	if a.body != "" || a.Header.Get("Content-Type") != "" {
		t.Errorf("204 with a body %q of type %q", a.body, a.Header.Get("Content-Type"))
	}
	s.want(200, "1", "GET", "/V1.0/IndicatorsOfCompromise/$count", "")
	s.want(200, "", "GET", "/V1.0/AlertDefinitions(1)", "")
	s.want(204, "", "DELETE", "/V1.0/AlertDefinitions(2)", "")
	s.want(200, "0", "GET", "/V1.0/IndicatorsOfCompromise/$count", "")
	s.want(201, "", "POST", "/V1.0/IndicatorsOfCompromise", iocBody)
	s.want(204, "", "DELETE", "/V1.0/IndicatorsOfCompromise", "")
	s.want(200, "0", "GET", "/V1.0/IndicatorsOfCompromise/$count", "")
	s.want(200, "1", "GET", "/V1.0/AlertDefinitions/$count", "")
	s.want(204, "", "DELETE", "/V1.0/AlertDefinitions", "")
	s.want(200, contextOf+`AlertDefinitions","value":[]}`, "GET", "/V1.0/AlertDefinitions", "")
}

// TestPythonSample sends what the published Python sample sends: requests serialises
// json= with ", " and ": " between members.
func TestPythonSample(t *testing.T) {
	s := newServer(t, indicator.Quota{})
	session := []string{"Content-Type", "application/json", "Accept", "application/json", "User-Agent", "python-requests/2.31.0", "Accept-Encoding", "identity"}
	s.want(200, "", "GET", "/V1.0/AlertDefinitions", "", session...)
	a := s.want(201, "", "POST", "/V1.0/AlertDefinitions", `{"Name": "The alert's name", "Severity": "Low", "InternalDescription": "An internal description of the Alert", "Title": "The Title", "UxDescription": "Description of the alerts", "RecommendedAction": "The alert's recommended action", "Category": "Trojan", "Enabled": true}`, session...)
	a = s.want(201, "", "POST", "/V1.0/IndicatorsOfCompromise", fmt.Sprintf(`{"Type": "Sha1", "Value": "dead1111eeaabbccddeeaabbccddee11ffffffff", "DetectionFunction": "Equals", "Enabled": true, "AlertDefinition@odata.bind": "AlertDefinitions(%v)"}`, a.json(t)["Id"]), session...)
	if got := a.json(t); got["Value"] != "dead1111eeaabbccddeeaabbccddee11ffffffff" || got["Enabled"] != true {
		t.Error(a.body)
	}
}

// TestPowerShellSample sends what the published PowerShell sample and the experiment
// guide send: ConvertTo-Json indents, orders members at will and escapes the apostrophe,
// and Enabled is a string.
func TestPowerShellSample(t *testing.T) {
	s := newServer(t, indicator.Quota{})
	header := []string{"Content-Type", "application/json", "Accept", "application/json"}
	a := s.want(200, "", "GET", "/V1.0/AlertDefinitions", "", header...)
	if v, ok := a.json(t)["value"].([]any); !ok || len(v) != 0 {
		t.Errorf("value of an empty set: %s", a.body)
	}
	a = s.want(201, "", "POST", "/V1.0/AlertDefinitions", "{\r\n    \"Category\":  \"SuspiciousNetworkTraffic\",\r\n    \"Name\":  \"The Alert\\u0027s Name\",\r\n    \"RecommendedAction\":  \"No recommended action for this test alert.\",\r\n    \"Enabled\":  \"true\",\r\n    \"UxDescription\":  \"This is a test alert\",\r\n    \"Title\":  \"Test alert.\",\r\n    \"InternalDescription\":  \"A test alert\",\r\n    \"Severity\":  \"Medium\"\r\n}", header...)
	d := a.json(t)
	if d["Enabled"] != true || d["Name"] != "The Alert's Name" || d["Category"] != "SuspiciousNetworkTraffic" {
		t.Error(a.body)
	}
	a = s.want(201, "", "POST", "/V1.0/IndicatorsOfCompromise", fmt.Sprintf("{\r\n    \"AlertDefinition@odata.bind\":  \"AlertDefinitions(%v)\",\r\n    \"Value\":  \"52.184.197.12\",\r\n    \"DetectionFunction\":  \"Equals\",\r\n    \"Type\":  \"IpAddress\",\r\n    \"Enabled\":  \"true\"\r\n}", d["Id"]), header...)
	if got := a.json(t); got["Type"] != "IpAddress" || got["Value"] != "52.184.197.12" || got["Enabled"] != true || got["DetectionFunction"] != "Equals" {
		t.Error(a.body)
	}
}

func TestWrongRequestsNameThePlace(t *testing.T) {
	s := newServer(t, indicator.Quota{Definitions: 2, Patterns: 1})
	s.want(201, "", "POST", "/V1.0/AlertDefinitions", sample)
	ioc := func(member, value string) string {
		m := map[string]any{"Type": "DomainName", "Value": "evil.test", "DetectionFunction": "Equals", "Enabled": true, "AlertDefinition@odata.bind": "AlertDefinitions(1)"}
		if value == "" {
			delete(m, member)
		} else {
			m[member] = json.RawMessage(value)
		}
		b, _ := json.Marshal(m)
		return string(b)
	}
	def := func(member, value string) string {
		var m map[string]json.RawMessage
		_ = json.Unmarshal([]byte(sample), &m)
		m[member] = json.RawMessage(value)
		b, _ := json.Marshal(m)
		return string(b)
	}
	const iocs, defs = "/V1.0/IndicatorsOfCompromise", "/V1.0/AlertDefinitions"
	for _, c := range []struct {
		status             int
		says               string
		method, path, body string
	}{
		{400, "line 1, column 2", "POST", defs, `{x`},
		{400, "empty", "POST", defs, ``},
		{400, "Name is missing", "POST", defs, `{}`},
		{400, "Name has 101 characters", "POST", defs, def("Name", `"`+strings.Repeat("x", 101)+`"`)},
		{400, "Severity", "POST", defs, def("Severity", `"Grave"`)},
		{400, "Severity must be a string", "POST", defs, def("Severity", `1`)},
		{400, "Enabled must be a boolean", "POST", defs, def("Enabled", `"yes"`)},
		{400, "Hash value", "POST", iocs, strings.Replace(ioc("Type", `"Sha1"`), "evil.test", "dead", 1)},
		{400, "Type", "POST", iocs, ioc("Type", `"FileName"`)},
		{400, "DetectionFunction", "POST", iocs, ioc("DetectionFunction", `"StartsWith"`)},
		{400, "ExpiresAt", "POST", iocs, ioc("ExpiresAt", `"tomorrow"`)},
		{400, "AlertDefinition@odata.bind", "POST", iocs, ioc("AlertDefinition@odata.bind", "")},
		{400, "AlertDefinition@odata.bind", "POST", iocs, ioc("AlertDefinition@odata.bind", `"AlertDefinitions(99)"`)},
		{400, "AlertDefinition@odata.bind", "POST", iocs, ioc("AlertDefinition@odata.bind", `"IndicatorsOfCompromise(1)"`)},
		{400, "@odata.id", "PUT", iocs + "(1)/AlertDefinition/$ref", `{}`},
		{404, "", "PUT", iocs + "(1)/AlertDefinition/$ref", `{"@odata.id":"AlertDefinitions(1)"}`},
		{405, "PUT", "PUT", defs + "(1)", sample},
		{404, "", "PATCH", defs + "(99)", `{"Title":"x"}`},
		{404, "", "DELETE", defs + "(99)", ``},
		{404, "", "POST", defs + "(99)/Actions.DeleteIOCs", ``},
		{400, "abc", "GET", defs + "(abc)", ``},
		{400, "column", "GET", defs + "?$filter=Name%20is%20x", ``},
		{400, "$top", "GET", defs + "?$top=x", ``},
		{400, "nope", "GET", iocs + "?$select=nope", ``},
		{400, "iocs", "POST", iocs + "/Actions.BulkUpload", `{"alertDefinitions":[]}`},
		{400, "iocs is empty", "POST", iocs + "/Actions.BulkUpload", `{"iocs":[]}`},
		{400, "alertDefinitions[1]", "POST", defs + "/Actions.BulkUpload", `{"alertDefinitions":[` + sample + `,` + def("Category", `"Nope"`) + `]}`},
		{400, "received 5001, allowed 5000", "POST", iocs + "/Actions.BulkUpload", `{"iocs":[{}` + strings.Repeat(",{}", 5000) + `]}`},
		{507, "definitions", "POST", defs + "/Actions.BulkUpload", `{"alertDefinitions":[` + sample + `,` + sample + `]}`},
		{507, "patterns", "POST", iocs + "/Actions.BulkUpload", `{"iocs":[` + ioc("DetectionFunction", `"Contains"`) + `,` + ioc("DetectionFunction", `"EndWith"`) + `]}`},
	} {
		a := s.do(c.method, c.path, c.body)
		if a.StatusCode != c.status {
			t.Errorf("%s %s %.60s: %s, want %d: %s", c.method, c.path, c.body, a.Status, c.status, a.body)
			continue
		}
		var e struct {
			Error struct{ Code, Message, Target string }
		}
		if err := json.Unmarshal([]byte(a.body), &e); err != nil || e.Error.Code == "" || !strings.Contains(e.Error.Message, c.says) {
			t.Errorf("%s %s %.60s: %s, want it to say %q", c.method, c.path, c.body, a.body, c.says)
		}
	}
	s.want(200, "1", "GET", defs+"/$count", "")
	s.want(200, "0", "GET", iocs+"/$count", "")
}

func TestWhoMay(t *testing.T) {
	s := newServer(t, indicator.Quota{})
	s.want(201, "", "POST", "/V1.0/AlertDefinitions", sample)
	s.want(401, "", "GET", "/V1.0/AlertDefinitions", "", "Authorization", "Bearer wrong")
	s.want(401, "", "GET", "/V1.0/$metadata", "", "Authorization", "")
	s.want(403, "", "GET", "/V1.0/AlertDefinitions", "", "Authorization", "Bearer none")
	s.want(404, "", "GET", "/V1.0/AlertDefinitions(1)", "", "Authorization", "Bearer own")
	s.want(204, "", "DELETE", "/V1.0/AlertDefinitions", "", "Authorization", "Bearer own")
	s.want(200, "", "GET", "/V1.0/AlertDefinitions(1)", "")
}

func TestFilterOrderAndPages(t *testing.T) {
	s := newServer(t, indicator.Quota{})
	s.want(201, "", "POST", "/V1.0/AlertDefinitions", sample)
	var list []string
	for n := range 25 {
		list = append(list, fmt.Sprintf(`{"Type":"IpAddress","Value":"10.0.0.%d","DetectionFunction":"Equals","ExpiresAt":"2030-01-%02dT00:00:00Z","AlertDefinition@odata.bind":"https://host/V1.0/AlertDefinitions(1)"}`, n, n%5+1))
	}
	s.want(200, "", "POST", "/V1.0/IndicatorsOfCompromise/Actions.BulkUpload", `{"iocs":[`+strings.Join(list, ",")+`]}`)
	for q, want := range map[string]int{
		"":                                25,
		"$filter=Value%20eq%20'10.0.0.7'": 1,
		"$filter=Type%20eq%20'ipaddress'%20and%20Enabled%20eq%20true": 25,
		"$filter=ExpiresAt%20gt%202030-01-04T00:00:00Z":               5,
		"$filter=startswith(Value,'10.0.0.2')":                        6,
		"$filter=Id%20in%20(1,2,99)":                                  2,
		"$filter=AlertDefinitionId%20eq%202":                          0,
		"$top=10&$skip=20":                                            5,
	} {
		a := s.want(200, "", "GET", "/V1.0/IndicatorsOfCompromise?"+q, "")
		if got := len(a.json(t)["value"].([]any)); got != want {
			t.Errorf("%s: %d entities, want %d", q, got, want)
		}
	}
	a := s.want(200, "", "PATCH", "/V1.0/IndicatorsOfCompromise(1)", `{"ExpiresAt":null,"Value":"10.9.9.9"}`)
	if got := a.json(t); got["ExpiresAt"] != nil || got["Value"] != "10.9.9.9" || got["Type"] != "IpAddress" {
		t.Error(a.body)
	}
}

// TestMetadata reads the EDMX as a client would: every property of a rendered entity is
// declared, and every type that is used.
func TestMetadata(t *testing.T) {
	s := newServer(t, indicator.Quota{})
	s.want(200, `{"@odata.context":"https://TI.SecurityCenter.Windows.com/V1.0/$metadata","value":[{"name":"AlertDefinitions","kind":"EntitySet","url":"AlertDefinitions"},{"name":"IndicatorsOfCompromise","kind":"EntitySet","url":"IndicatorsOfCompromise"}]}`, "GET", "/V1.0/", "")
	a := s.want(200, "", "GET", "/v1.0/$metadata", "")
	if got := a.Header.Get("Content-Type"); !strings.HasPrefix(got, "application/xml") {
		t.Errorf("Content-Type %q", got)
	}
	var doc struct {
		Schemas []struct {
			Namespace string     `xml:"Namespace,attr"`
			Enums     []struct{} `xml:"EnumType"`
			Entities  []struct {
				Name       string `xml:"Name,attr"`
				Properties []struct {
					Name string `xml:"Name,attr"`
					Type string `xml:"Type,attr"`
				} `xml:"Property"`
			} `xml:"EntityType"`
		} `xml:"DataServices>Schema"`
	}
	if err := xml.NewDecoder(bytes.NewReader([]byte(a.body))).Decode(&doc); err != nil {
		t.Fatal(err)
	}
	declared := map[string]bool{}
	for _, sc := range doc.Schemas {
		for _, e := range sc.Entities {
			for _, p := range e.Properties {
				declared[e.Name+"."+p.Name] = true
				if name, ours := strings.CutPrefix(p.Type, sc.Namespace+"."); ours && !strings.Contains(a.body, `<EnumType Name="`+name+`">`) {
					t.Errorf("%s.%s has the undeclared type %s", e.Name, p.Name, p.Type)
				}
			}
		}
	}
	d := s.want(201, "", "POST", "/V1.0/AlertDefinitions", sample).json(t)
	i := s.want(201, "", "POST", "/V1.0/IndicatorsOfCompromise", `{"Type":"Md5","Value":"00000000000000000000000000000000","AlertDefinition@odata.bind":"AlertDefinitions(1)"}`).json(t)
	for name, entity := range map[string]map[string]any{"AlertDefinition": d, "IndicatorOfCompromise": i} {
		for member := range entity {
			if !strings.HasPrefix(member, "@") && !declared[name+"."+member] {
				t.Errorf("%s.%s is rendered and not declared", name, member)
			}
		}
	}
}
