package ti_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/vedette-edr/vedette/server/indicator"
)

// step is one request of a published operation and what its answer must be.
type step struct {
	operation    string // as the published page calls it
	method, path string
	send         string
	header       []string
	status       int
	holds        string // what the answer must contain; "" for anything
	lacks        string // what it must not contain; "" for nothing
}

// run sends the steps in their order.
func (s *server) run(t *testing.T, steps []step) {
	t.Helper()
	for _, c := range steps {
		a := s.do(c.method, "/V1.0/"+c.path, c.send, c.header...)
		switch {
		case a.StatusCode != c.status:
			t.Errorf("%s: %s %s %.80s: %s, want %d: %s", c.operation, c.method, c.path, c.send, a.Status, c.status, a.body)
		case !strings.Contains(a.body, c.holds):
			t.Errorf("%s: %s %s: %s, want %s in it", c.operation, c.method, c.path, a.body, c.holds)
		case c.lacks != "" && strings.Contains(a.body, c.lacks):
			t.Errorf("%s: %s %s: %s, with %s in it", c.operation, c.method, c.path, a.body, c.lacks)
		case c.status == 204 && a.body != "":
			t.Errorf("%s: 204 with the body %q", c.operation, a.body)
		}
	}
}

func domain(value, function string, definition int) string {
	return fmt.Sprintf(`{"Type":"DomainName","Value":%q,"DetectionFunction":%q,"Enabled":true,"AlertDefinition@odata.bind":"AlertDefinitions(%d)"}`, value, function, definition)
}

// TestEveryPublishedOperation sends each of the eighteen operations, with the variations
// of spelling that the documents have.
func TestEveryPublishedOperation(t *testing.T) {
	s := newServer(t, indicator.Quota{})
	none := []string{"Accept", "application/json;odata.metadata=none"}
	const set, iocs = "AlertDefinitions", "IndicatorsOfCompromise"
	s.run(t, []step{
		{"service document", "GET", "", "", nil, 200, `"name":"IndicatorsOfCompromise"`, ""},
		{"metadata", "GET", "$metadata", "", nil, 200, `<EntityType Name="AlertDefinition">`, ""},
		{"list definitions, none yet", "GET", set, "", none, 200, `{"value":[]}`, "@odata"},
		{"create a definition", "POST", set, sample, nil, 201, `"Id":1`, ""},
		{"create, enums in any case", "POST", set, `{"name":"n","severity":"LOW","category":"trojan","Enabled":"True"}`, nil, 201, `"Severity":"Low"`, ""},
		{"create, enums in any case", "GET", set + "(2)", "", nil, 200, `"Category":"Trojan"`, ""},
		{"create without what is optional", "GET", set + "(2)", "", nil, 200, `"RecommendedAction":null`, ""},
		{"create with the old name of Title", "POST", set, `{"Name":"n","Severity":"High","Category":"Backdoor","ShortUxDescription":"old"}`, nil, 201, `"Title":"old"`, ""},
		{"read a definition", "GET", "alertDefinitions(1)", "", nil, 200, "#AlertDefinitions/$entity", ""},
		{"read a definition by a named key", "GET", set + "(Id=1)", "", nil, 200, `"Id":1`, ""},
		{"read a definition, without metadata", "GET", set + "(1)", "", none, 200, `{"value":[{"Name"`, "@odata"},
		{"read some properties", "GET", set + "(1)?$select=Id,Title", "", nil, 200, `"Id":1`, "Category"},
		{"list some properties", "GET", set + "?$select=id&$orderby=Id%20desc&$skip=1&$top=1&$count=true", "", nil, 200, `"@odata.count":3,"value":[{"Id":2}]`, ""},
		{"list filtered", "GET", set + "?$filter=Severity%20eq%20'High'", "", nil, 200, `"Id":3`, `"Id":1,`},
		{"update one property", "PATCH", set + "(2)", `{"Title":"now"}`, nil, 200, `"Title":"now"`, `"LastModifiedAt":null`},
		{"update to null", "PATCH", set + "(1)", `{"RecommendedAction":null}`, nil, 200, `"RecommendedAction":null`, ""},
		{"update what is not nullable to null", "PATCH", set + "(1)", `{"Name":null}`, nil, 400, "Name", ""},
		{"update wholly", "PATCH", set + "(1)", sample, nil, 200, `"Category":"Trojan"`, ""},
		{"update by a string for a boolean", "PATCH", set + "(1)", `{"Enabled":"false"}`, nil, 200, `"Enabled":false`, ""},
		{"update what is not the client's", "PATCH", set + "(1)", `{"Id":9,"CreatedBy":"me","Enabled":true}`, nil, 200, `"Id":1`, `"me"`},
		{"upload definitions", "POST", set + "/Actions.BulkUpload", `{"alertDefinitions":[` + sample + `,` + sample + `]}`, nil, 200, `"Id":5`, ""},
		{"create an indicator", "POST", iocs, domain("evil.test", "Equals", 1), nil, 201, `"Type":"DomainName"`, ""},
		{"create, enums in any case", "POST", iocs, strings.Replace(domain("worse.test", "endwith", 1), "DomainName", "DOMAINNAME", 1), nil, 201, `"DetectionFunction":"EndWith"`, ""},
		{"create, expiring", "POST", iocs, strings.Replace(domain("bad.test", "Contains", 4), `"Enabled"`, `"ExpiresAt":"2030-01-02T03:04:05Z","Enabled"`, 1), nil, 201, `"ExpiresAt":"2030-01-02T03:04:05Z"`, ""},
		{"read an indicator", "GET", iocs + "(1)", "", nil, 200, "#IndicatorsOfCompromise/$entity", `"AlertDefinition"`},
		{"read an indicator with its definition", "GET", iocs + "(3)?$expand=alertdefinition", "", nil, 200, `"AlertDefinition":{"Name"`, ""},
		{"read the definition of an indicator", "GET", iocs + "(3)/AlertDefinition", "", nil, 200, `"Id":4`, ""},
		{"read the link of an indicator", "GET", iocs + "(3)/AlertDefinition/$ref", "", nil, 200, `"@odata.id":"https://TI.SecurityCenter.Windows.com/V1.0/AlertDefinitions(4)"`, ""},
		{"list indicators", "GET", iocs + "?$expand=AlertDefinition&$filter=DetectionFunction%20eq%20'Contains'", "", nil, 200, `"AlertDefinition":{`, `"Id":1,"`},
		{"count indicators", "GET", iocs + "/$count?$filter=Enabled%20eq%20true", "", nil, 200, "3", ""},
		{"update an indicator", "PATCH", iocs + "(1)", `{"Value":"other.test","Enabled":"false"}`, nil, 200, `"Value":"other.test"`, `"Enabled":true`},
		{"update its link", "PATCH", iocs + "(1)", `{"AlertDefinition@odata.bind":"AlertDefinitions(3)"}`, nil, 200, "", ""},
		{"update its link", "GET", iocs + "(1)/AlertDefinition/$ref", "", nil, 200, "AlertDefinitions(3)", ""},
		{"link to another definition", "PUT", iocs + "(1)/AlertDefinition/$ref", `{"@odata.id":"https://TI.SecurityCenter.Windows.com/V1.0/AlertDefinitions(1)"}`, nil, 204, "", ""},
		{"link to what is not there", "PUT", iocs + "(1)/AlertDefinition/$ref", `{"@odata.id":"AlertDefinitions(99)"}`, nil, 400, "AlertDefinition", ""},
		{"upload indicators", "POST", iocs + "/Actions.BulkUpload", `{"iocs":[` + domain("a.test", "Equals", 2) + `,` + domain("b.test", "Equals", 2) + `]}`, nil, 200, `"Id":5`, ""},
		{"delete the indicators of a definition", "POST", set + "(2)/Actions.DeleteIOCs", "", nil, 204, "", ""},
		{"its definition stays", "GET", set + "(2)", "", nil, 200, `"Id":2`, ""},
		{"its indicators are gone", "GET", iocs + "/$count", "", nil, 200, "3", ""},
		{"delete an indicator", "DELETE", iocs + "(2)", "", nil, 204, "", ""},
		{"delete it again", "DELETE", iocs + "(2)", "", nil, 404, "", ""},
		{"delete a definition", "DELETE", set + "(4)", "", nil, 204, "", ""},
		{"with its indicators", "GET", iocs + "(3)", "", nil, 404, "", ""},
		{"delete all indicators", "DELETE", iocs, "", nil, 204, "", ""},
		{"delete all indicators", "GET", iocs, "", nil, 200, `"value":[]`, ""},
		{"delete all definitions", "DELETE", set, "", nil, 204, "", ""},
		{"delete all definitions", "GET", set + "/$count", "", nil, 200, "0", ""},
		{"PUT is for links alone", "PUT", iocs + "(1)", domain("a.test", "Equals", 1), nil, 405, "", ""},
	})
}

// TestUploadsAreAllOrNothing uploads lists in which one entity is wrong, or one too many
// for a quota: none of them may be there afterwards.
func TestUploadsAreAllOrNothing(t *testing.T) {
	s := newServer(t, indicator.Quota{Definitions: 3, IOCs: 4, Patterns: 2})
	s.want(201, "", "POST", "/V1.0/AlertDefinitions", sample)
	iocs := func(of ...string) string { return `{"iocs":[` + strings.Join(of, ",") + `]}` }
	good := domain("a.test", "Equals", 1)
	const up = "IndicatorsOfCompromise/Actions.BulkUpload"
	s.run(t, []step{
		{"a wrong value", "POST", up, iocs(good, good, `{"Type":"IpAddress","Value":"300.1.1.1","AlertDefinition@odata.bind":"AlertDefinitions(1)"}`), nil, 400, "iocs[2]", ""},
		{"a wrong type of a property", "POST", up, iocs(good, `{"Type":7}`), nil, 400, "iocs[1]", ""},
		{"a wrong link", "POST", up, iocs(good, `{"Type":"DomainName","Value":"a.test","AlertDefinition@odata.bind":"AlertDefinitions(x)"}`), nil, 400, "iocs[1]", ""},
		{"no entity", "POST", up, `{"iocs":[7]}`, nil, 400, "iocs", ""},
		{"a definition that is not there", "POST", up, iocs(good, domain("b.test", "Equals", 99)), nil, 400, "AlertDefinition", ""},
		{"two fields", "POST", up, `{"iocs":[` + good + `],"alertDefinitions":[]}`, nil, 400, "alertDefinitions", ""},
		{"a list alone", "POST", up, `[` + good + `]`, nil, 400, "", ""},
		{"one too many", "POST", up, iocs(good, good, good, good, good), nil, 507, "", ""},
		{"a pattern too many", "POST", up, iocs(domain("a.test", "Contains", 1), domain("a.test", "StartWith", 1), domain("a.test", "EndWith", 1)), nil, 507, "", ""},
		{"definitions: one too many", "POST", "AlertDefinitions/Actions.BulkUpload", `{"alertDefinitions":[` + strings.Join([]string{sample, sample, sample}, ",") + `]}`, nil, 507, "", ""},
		{"nothing is there", "GET", "IndicatorsOfCompromise/$count", "", nil, 200, "0", ""},
		{"nothing is there", "GET", "AlertDefinitions/$count", "", nil, 200, "1", ""},
		{"as many as there may be", "POST", up, iocs(domain("a.test", "Contains", 1), domain("b.test", "Contains", 1), good, good), nil, 200, `"Id":4`, ""},
		{"a full quota of patterns", "PATCH", "IndicatorsOfCompromise(3)", `{"DetectionFunction":"Contains"}`, nil, 507, "", ""},
		{"a change within it", "PATCH", "IndicatorsOfCompromise(1)", `{"DetectionFunction":"EndWith"}`, nil, 200, "EndWith", ""},
		{"a full quota", "POST", "IndicatorsOfCompromise", good, nil, 507, "", ""},
	})
}

// TestTheLargestUpload uploads 5,000 entities, which is allowed, as one.
func TestTheLargestUpload(t *testing.T) {
	s := newServer(t, indicator.Quota{})
	s.want(201, "", "POST", "/V1.0/AlertDefinitions", sample)
	list := make([]string, indicator.MaxBulk)
	for n := range list {
		list[n] = domain(fmt.Sprintf("h%d.test", n), "Equals", 1)
	}
	a := s.want(200, "", "POST", "/V1.0/IndicatorsOfCompromise/Actions.BulkUpload", `{"iocs":[`+strings.Join(list, ",")+`]}`)
	var page struct {
		Value []struct{ ID int64 } `json:"value"`
	}
	if err := json.Unmarshal([]byte(a.body), &page); err != nil || len(page.Value) != len(list) {
		t.Errorf("%d entities of %d: %v", len(page.Value), len(list), err)
	}
	s.want(200, "5000", "GET", "/V1.0/IndicatorsOfCompromise/$count", "")
}
