package server

import (
	"fmt"
	"net/url"
	"strings"
)

// form is a client's token request with what it adds.
func form(request, more string, header ...string) clientCall {
	return clientCall{request: request, header: header, anon: true, status: 200, reads: "access_token string",
		body:  "client_id={app}&client_secret={secret}&grant_type=client_credentials" + more,
		keeps: map[string]string{"access_token": "token"}}
}

// What clients send as Content-Type of a form, and as the audience.
const (
	formType   = "Content-Type: application/x-www-form-urlencoded"
	mdeV1      = "&resource=https%3A%2F%2Fapi.securitycenter.windows.com"
	mdeV2      = "&scope=https%3A%2F%2Fapi.securitycenter.microsoft.com%2F.default"
	theComment = `{"Comment":"because"}`
)

// longer wants a body of more than so many bytes.
func longer(n int) func(*world, *clientAnswer) error {
	return func(_ *world, a *clientAnswer) error {
		if len(a.body) <= n {
			return fmt.Errorf("%d bytes, want more than %d", len(a.body), n)
		}
		return nil
	}
}

// isJSON wants the Content-Type that says JSON.
func isJSON(_ *world, a *clientAnswer) error {
	if !strings.Contains(a.header.Get("Content-Type"), "json") {
		return fmt.Errorf("the Content-Type is %q", a.header.Get("Content-Type"))
	}
	return nil
}

func cortexRows() []clientRow {
	// The id of the directory is what it names machines by from the first answer on.
	const root = "/api/v1.0"
	byAAD := func(kind, body string) clientRow {
		c := tell("POST "+root+"/machines/{machine}/"+kind, body, 201, "")
		c.says = []string{`"machineId":"{id}"`}
		again := refused(root, kind, body)
		again.request = "POST " + root + "/machines/{machine}/" + kind
		return row("POST "+root+"/machines/{id}/"+kind, c, again)
	}
	find := func(request string) clientCall {
		c := ask(request, "value some; value[0].aadDeviceId string; value[0].id string")
		c.says, c.check, c.keeps = []string{`"id":"{id}"`}, longer(100), map[string]string{"value[0].aadDeviceId": "machine"}
		return c
	}
	missing := tell("POST "+root+"/machines/{nowhere}/isolate", `{"Comment":"c","IsolationType":"Full"}`, 404, "error.code = ResourceNotFound;"+errorReads)
	missing.never = []string{"ActiveRequestAlreadyExists"}
	isolate := byAAD("isolate", `{"Comment":"because","IsolationType":"Full"}`)
	isolate.calls = append(isolate.calls, missing)
	return []clientRow{
		row("POST /{tenant}/oauth2/token", form("POST /{tenant}/oauth2/token", mdeV1, formType)),
		row("GET /api/v1.0/machines", find("GET /api/v1.0/machines?$filter=computerDnsName+eq+'{name}'")),
		byAAD("startInvestigation", theComment),
		row("GET /api/v1.0/machines/findbyip(ip='<ip>',timestamp=<ISO Z>)", find("GET /api/v1.0/machines/findbyip(ip='{lastip}',timestamp={now})")),
		byAAD("runAntiVirusScan", `{"Comment":"because","ScanType":"Full"}`),
		isolate,
		row("POST /api/v1.0/indicators", tell("POST /api/v1.0/indicators", `{"indicatorValue":"cortex.example","indicatorType":"DomainName","action":"Block","title":"t","severity":"High",`+
			`"description":"d","recommendedActions":"r","generateAlert":true}`, 200, "")),
		byAAD("restrictCodeExecution", theComment),
		byAAD("unrestrictCodeExecution", theComment),
		byAAD("unisolate", theComment),
	}
}

func sekoiaRows() []clientRow {
	of := func(kind, body string) clientRow {
		calls := requested(kind, body)
		return row("POST /api/machines/{id}/"+kind, calls...)
	}
	token := form("GET /{tenant}/oauth2/token", mdeV1)
	token.reads = "token_type string; access_token string; expires_in string"
	wrong := tell("PATCH /api/alerts/da000000000000000099_9/", `{"Status":"New"}`, 404, errorReads)
	update := tell("PATCH /api/alerts/{alert}/", `{"Status":"InProgress","Classification":"TruePositive","Determination":"Malware","assignedTo":"eve@corp.example"}`, 200,
		"status = InProgress; classification = TruePositive; determination = Malware; assignedTo = eve@corp.example")
	comment := tell("PATCH /api/alerts/{alert}/", `{"Comment":"seen by the playbook"}`, 200, "comments[0].comment = seen by the playbook")
	show := ask("GET /api/machineactions/{isolate}", actionReads("")+"status = Pending")
	cancel := tell("POST /api/machineactions/{runAntiVirusScan}/cancel", theComment, 200, "status = Cancelled; cancellationComment = because")
	indicators := `{"Indicators":[` +
		`{"title":"t","createdByDisplayName":"Sekoia","indicatorType":"IpAddress","indicatorValue":"203.0.113.201","severity":"High","action":"Block","generateAlert":true,"expirationTime":"{future}","description":"d"},` +
		`{"title":"t","createdByDisplayName":"Sekoia","indicatorType":"DomainName","indicatorValue":"sekoia.example","severity":"Low","action":"Audit","generateAlert":true,"expirationTime":"{future}","description":"d"}]}`
	both := ask("GET /api/indicators?$filter=indicatorValue+in+['203.0.113.201','sekoia.example']", "value some; value[].id string")
	both.says = []string{`"203.0.113.201"`, `"sekoia.example"`}
	both.keeps = map[string]string{"value[0].id": "indicator"}
	return []clientRow{
		row("GET /{tenant}/oauth2/token", token),
		row("PATCH /api/alerts/{id}/", update, comment, wrong),
		of("isolate", `{"Comment":"because","IsolationType":"Full"}`),
		row("GET /api/machineactions/{id}", show),
		of("unisolate", theComment),
		of("restrictCodeExecution", theComment),
		of("unrestrictCodeExecution", theComment),
		of("runAntiVirusScan", `{"Comment":"because","ScanType":"Quick"}`),
		row("POST /api/machineactions/{id}/cancel", cancel),
		row("POST /api/indicators/import", tell("POST /api/indicators/import", indicators, 200, "value some; value[].isFailed = false; value[].id string; value[].indicator string")),
		row("GET /api/indicators", both),
		row("POST /api/indicators/BatchDelete", tell("POST /api/indicators/BatchDelete", `{"IndicatorIds":["{indicator}"]}`, 204, ""),
			clientCall{request: "GET /api/indicators/{indicator}", status: 404, reads: errorReads}),
	}
}

func msticpyRows() []clientRow {
	token := form("POST /{tenant}/oauth2/v2.0/token", mdeV2, formType)
	denied := form("POST /{tenant}/oauth2/v2.0/token", mdeV2, formType)
	denied.body = strings.Replace(denied.body, "{secret}", "wrong", 1)
	denied.status, denied.reads, denied.keeps = 401, "error string; error_description string; error_codes[] integer", nil
	run := tell("POST /api/advancedqueries/run", `{"Query": "DeviceProcessEvents | where DeviceId == '{id}' | project Timestamp, FileName, ProcessId"}`, 200,
		"Results some; Results[].FileName = curl; Schema[0].Name = Timestamp; Schema[0].Type = DateTime; Schema[].Name string; Schema[].Type string")
	wrong := tell("POST /api/advancedqueries/run", `{"Query": "NoSuchTable | take 1"}`, 400, errorReads)
	anon := run
	anon.anon, anon.status, anon.reads = true, 401, errorReads
	return []clientRow{
		row("POST /{tenant}/oauth2/v2.0/token", token, denied),
		row("POST /api/advancedqueries/run", run, wrong, anon),
	}
}

func elasticRows() []clientRow {
	since := func(path, field, skip string) string {
		return "GET " + path + "?$filter=" + field + "+gt+{past}&$orderby=" + field + "+asc&$top=1&$skip=" + skip
	}
	act := tell("POST /api/machines/{id}/isolate", `{"Comment":"c","IsolationType":"Full"}`, 201, "")
	full := ask(since("/api/machineactions", "lastUpdateDateTimeUtc", "0"), "value some; value[].lastUpdateDateTimeUtc string")
	last := ask(since("/api/machineactions", "lastUpdateDateTimeUtc", "500"), "value list")
	last.says = []string{`"value":[]`}
	machines := ask(since("/api/machines", "lastSeen", "0"), "value some; value[].lastSeen string; value[].id string")
	// Its HTTP client escapes what stands in a query.
	logs := ask("GET /api/alerts?$expand=evidence&$filter="+url.QueryEscape("lastUpdateTime gt ")+"{past}", "value some;"+alertReads("value[]."))
	logs.says = []string{`"entityType":"File"`}
	export := ask("GET /api/machines/SoftwareVulnerabilitiesExport?sasValidHours=1", "exportFiles some; exportFiles[] string")
	export.keeps = map[string]string{"exportFiles[0]": "link"}
	file := clientCall{request: "GET {link}", anon: true, status: 200, before: pathOfLink,
		check: func(_ *world, a *clientAnswer) error {
			text, err := unzipped(a)
			if err == nil && !strings.Contains(text, `"cveId":"CVE-2099-0001"`) {
				err = fmt.Errorf("the file holds %s", text)
			}
			return err
		}}
	var rest []clientCall
	for _, name := range []string{"BaselineComplianceAssessmentExport", "SecureConfigurationsAssessmentExport", "InfoGatheringExport"} {
		rest = append(rest, ask("GET /api/machines/"+name+"?sasValidHours=1", "exportFiles list; exportFiles[] string"))
	}
	return []clientRow{
		row("machine_action", form("POST /{tenant}/oauth2/v2.0/token", mdeV2, formType), act, full, last),
		row("machine", machines),
		row("log", logs),
		row("vulnerability", append([]clientCall{export, file}, rest...)...),
	}
}

// pathOfLink makes what was kept as a link a target, after it was seen to be absolute and
// of this server.
func pathOfLink(w *world) {
	w.t.Helper()
	u, err := url.Parse(strings.Trim(w.names["link"], `"`))
	if err != nil || u.Host != w.address || u.Scheme != "http" {
		w.t.Errorf("the link %s is not absolute on %s: %v", w.names["link"], w.address, err)
		return
	}
	w.names["link"] = u.RequestURI()
}
