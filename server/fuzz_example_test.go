package server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"mime/multipart"
	"net/url"
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
	"POST /api/machines/{id}/isolate":                             `{"Comment":"c","IsolationType":"Full"}`,
	"POST /api/machines/{id}/runAntiVirusScan":                    `{"Comment":"c","ScanType":"Quick"}`,
	"POST /api/machines/{id}/StopAndQuarantineFile":               `{"Comment":"c","Sha1":"$SHA"}`,
	"POST /api/machines/{id}/requestSample":                       `{"Comment":"c","Sha1":"$SHA"}`,
	"POST /api/machines/{id}/runliveresponse":                     `{"Comment":"c","Commands":[{"type":"RunScript","params":[{"key":"ScriptName","value":"plain.sh"}]}]}`,
	"POST /api/tiindicators":                                      `{"indicator":"t$N.example","indicatorType":"DomainName","action":"Audit","title":"t","description":"d"}`,
	"POST /api/indicators":                                        `{"indicatorValue":"i$N.example","indicatorType":"DomainName","action":"Audit","title":"t","description":"d"}`,
	"PUT /api/vedette/devicegroups/{deviceGroupId}":               `{"name":"g$N"}`,
	"POST /api/vedette/recommendations/{id}/exception":            `{"reason":"r"}`,
	"POST /api/vedette/remediationTasks":                          `{"recommendationId":"va-_-debian-_-plain"}`,
	"POST /api/vedette/queries":                                   `{"name":"q$N","query":"DeviceInfo | take 1"}`,
	"POST /api/vedette/identityproviders":                         `{"name":"p$N","issuer":"https://login$N.example","clientId":"c","groupRoles":[],"roles":[],"allowedDomains":[],"scopes":[]}`,
	"POST /api/vedette/expert/receivers":                          `{"name":"e$N","enabled":true,"mail":["team@example.org"],"webhookUrl":"","handover":"Link","keys":[],"maxBytes":0,"linkHours":0,"linkBase":"","rbacGroupIds":[]}`,
	"POST /portal/session":                                        `{"login":"signed.in@vedette.example","password":"a password of somebody","tenant":""}`,
	"POST /portal/account/factor":                                 `{"password":"a password of somebody"}`,
	"POST /api/vedette/users/{userId}/password":                   `{"password":"correct horse battery $N"}`,
}

// example makes the body of an operation that is understood, "" where the shape suffices.
func (g *generator) example(o *operation) string {
	n := fmt.Sprint(g.Uint32())
	switch o.String() {
	case "POST /api/vedette/detections":
		rule, test := ruleFileOf("rule"+n, ident.TenantID(uuid.NewSHA1(uuid.Nil, []byte(n)).String()))
		return quoted("rule", rule, "test", test)
	case "POST /api/vedette/applications/{applicationId}/certificates":
		return quoted("certificate", certificate())
	case "POST /api/alerts/CreateAlertByReference":
		return strings.Replace(quoted("machineId", g.ids["/machines/"][0], "severity", "Low", "title", "t", "description", "d", "recommendedAction", "r",
			"category", "Malware", "eventTime", g.ids["event"][0], "reportId", "1"), `"reportId":"1"`, `"reportId":1`, 1)
	}
	if strings.HasPrefix(o.String(), "POST /api/vedette/machineactions/bulk/") {
		return strings.Replace(quoted("Comment", "c"+n, "Sha1", strings.Repeat("a", 40)), "}", `,"MachineIds":["`+g.ids["/machines/"][0]+`"]}`, 1)
	}
	body := strings.ReplaceAll(examples[o.String()], "$N", n)
	for word, collection := range map[string]string{"$DEF": "/V1.0/AlertDefinitions", "$IOC": "/indicators/", "$SHA": "/api/files"} {
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

// form makes the body of an operation that takes no JSON, "" where fields suffice.
func (g *generator) form(o *operation) (body, media string) {
	switch o.String() {
	case "POST /api/vedette/feeds":
		return `{"plain": {"CVE-2099-2": {"releases": {"bookworm": {"status": "open", "urgency": "low"}}}}}`, "application/octet-stream"
	case "POST /api/libraryfiles":
		var b bytes.Buffer
		w := multipart.NewWriter(&b)
		part, err := w.CreateFormFile("file", fmt.Sprint("script", g.Uint32(), ".sh"))
		if err == nil {
			_, err = part.Write([]byte("exit 0"))
		}
		if err == nil {
			err = w.Close()
		}
		if err != nil {
			panic(err) // into memory: cannot fail
		}
		return b.String(), w.FormDataContentType()
	case "POST /{tenant}/oauth2/token", "POST /{tenant}/oauth2/v2.0/token":
		form := url.Values{"grant_type": {"client_credentials"}, "client_id": {g.pick(g.ids["client_id"])}, "client_secret": {g.pick(g.ids["client_secret"])}}
		if strings.Contains(o.path, "v2.0") {
			form.Set("scope", "https://api.securitycenter.microsoft.com/.default")
		} else {
			form.Set("resource", "https://api.securitycenter.microsoft.com")
		}
		return form.Encode(), "application/x-www-form-urlencoded"
	}
	return "", ""
}
