package server

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/google/uuid"

	"github.com/vedette-edr/vedette/server/ident"
)

// examples makes bodies that are understood, of operations whose bodies the document's
// shapes do not say enough of. $N is a number that tells names apart, $IOC and $DEF are ids.
var examples = map[string]string{
	"POST /api/vedette/suppressions":                              `{"name":"s$N","enabled":true,"action":"Resolve","conditions":[{"field":"title","op":"equals","values":["x"]}]}`,
	"PATCH /api/vedette/suppressions/{id}":                        `{"name":"t$N"}`,
	"POST /api/vedette/notifications":                             `{"name":"n$N","mail":["somebody@example.org"]}`,
	"PATCH /api/vedette/notifications/{id}":                       `{"name":"m$N","severity":"High"}`,
	"POST /subscriptions":                                         `{"notificationUrl":"https://hook.example/$N","resource":"alerts","changeType":"created","expirationDateTime":"2099-01-01T00:00:00Z"}`,
	"PATCH /subscriptions/{id}":                                   `{"expirationDateTime":"2098-01-01T00:00:00Z"}`,
	"POST /beta/security/rules/detectionRules":                    `{"displayName":"d$N","queryCondition":{"queryText":"DeviceLogonEvents | where AccountName == 'x'"},"schedule":{"period":"1H"},"detectionAction":{"alertTemplate":{"title":"t","severity":"low","category":"Execution"}}}`,
	"PATCH /beta/security/rules/detectionRules/{id}":              `{"displayName":"e$N"}`,
	"POST /api/vedette/backtests":                                 `{"query":"DeviceLogonEvents | where AccountName == 'x'","period":"1H"}`,
	"POST /api/vedette/roles":                                     `{"name":"r$N","permissions":["AlertsInvestigation"]}`,
	"PUT /api/vedette/roles/{roleId}":                             `{"name":"q$N","permissions":["AlertsInvestigation"]}`,
	"PUT /api/vedette/applications/{applicationId}":               `{"name":"a$N","roles":["Machine.Read.All"]}`,
	"POST /V1.0/AlertDefinitions":                                 `{"Name":"n$N","Severity":"Low","Title":"t","UxDescription":"d","Category":"Malware","Enabled":true}`,
	"PATCH /V1.0/AlertDefinitions({id})":                          `{"Title":"t$N"}`,
	"POST /V1.0/IndicatorsOfCompromise":                           `{"Type":"DomainName","Value":"d$N.example","DetectionFunction":"Equals","Enabled":true,"AlertDefinition@odata.bind":"AlertDefinitions($DEF)"}`,
	"PATCH /V1.0/IndicatorsOfCompromise({id})":                    `{"Enabled":false}`,
	"POST /V1.0/IndicatorsOfCompromise/Actions.BulkUpload":        `{"iocs":[{"Type":"DomainName","Value":"b$N.example","DetectionFunction":"Equals","Enabled":true,"AlertDefinition@odata.bind":"AlertDefinitions($DEF)"}]}`,
	"PUT /V1.0/IndicatorsOfCompromise({id})/AlertDefinition/$ref": `{"@odata.id":"AlertDefinitions($DEF)"}`,
	"POST /api/indicators/BatchDelete":                            `{"IndicatorIds":["$IOC"]}`,
	"POST /api/vedette/approvalpolicies":                          `{"name":"p$N","types":["Offboard"],"approvals":2}`,
	"PATCH /api/vedette/approvalpolicies/{id}":                    `{"name":"q$N"}`,
	"POST /api/vedette/machineactions/{id}/approve":               `{"Comment":"c$N"}`,
	"POST /api/vedette/incidents/{id}/merge":                      `{"into":1}`,
}

// example makes the body of an operation that is understood, "" where the shape suffices.
func (g *generator) example(o *operation) string {
	n := fmt.Sprint(g.Uint32())
	switch o.String() {
	case "POST /api/vedette/detections":
		rule, test := ruleFileOf("rule"+n, ident.TenantID(uuid.NewSHA1(uuid.Nil, []byte(n)).String()))
		return quoted("rule", rule, "test", test)
	case "POST /api/alerts/CreateAlertByReference":
		return strings.Replace(quoted("machineId", g.ids["/machines/"][0], "severity", "Low", "title", "t", "description", "d", "recommendedAction", "r",
			"category", "Malware", "eventTime", g.ids["event"][0], "reportId", "1"), `"reportId":"1"`, `"reportId":1`, 1)
	}
	if strings.HasPrefix(o.String(), "POST /api/vedette/machineactions/bulk/") {
		return strings.Replace(quoted("Comment", "c"+n, "Sha1", strings.Repeat("a", 40)), "}", `,"MachineIds":["`+g.ids["/machines/"][0]+`"]}`, 1)
	}
	body := strings.ReplaceAll(examples[o.String()], "$N", n)
	for word, collection := range map[string]string{"$DEF": "/V1.0/AlertDefinitions", "$IOC": "/indicators/"} {
		if ids := g.ids[collection]; len(ids) > 0 && strings.Contains(body, word) {
			body = strings.ReplaceAll(body, word, g.pick(ids))
		}
	}
	return body
}

// quoted makes an object of names and texts.
func quoted(pairs ...string) string {
	out := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		out[pairs[i]] = pairs[i+1]
	}
	raw, _ := json.Marshal(out)
	return string(raw)
}
