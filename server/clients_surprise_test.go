package server

import (
	"encoding/base64"
	"fmt"
	"net/url"
)

func surpriseRows() []clientRow {
	return []clientRow{
		row("Token endpoint", tokenSurprises()...),
		row("Requests", requestSurprises()...),
		row("Answers", answerSurprises()...),
		row("KQL from clients", kqlSurprises()...),
	}
}

func tokenSurprises() []clientCall {
	const v1 = "token_type = Bearer; access_token string; expires_in string; ext_expires_in string; expires_on string; not_before string; resource string"
	const v2 = "token_type = Bearer; access_token string; expires_in integer; ext_expires_in integer"
	var calls []clientCall
	add := func(request, more, reads string, header ...string) *clientCall {
		c := form(request, more, header...)
		c.reads = reads
		calls = append(calls, c)
		return &calls[len(calls)-1]
	}
	add("POST /{tenant}/oauth2/token", mdeV1, v1)
	add("GET /{tenant}/oauth2/token", mdeV1, v1)
	add("POST /{tenant}/oauth2/v2.0/token", mdeV2, v2)
	add("GET /{tenant}/oauth2/v2.0/token", mdeV2, v2)
	basic := add("POST /{tenant}/oauth2/v2.0/token", "", v2, formType, "Authorization: Basic {basic}")
	basic.before = func(w *world) {
		w.names["basic"] = base64.StdEncoding.EncodeToString([]byte(w.names["app"] + ":" + w.names["plainsecret"]))
	}
	basic.body = "grant_type=client_credentials" + mdeV2
	for _, audience := range []string{"https://api.securitycenter.windows.com", "https://api.securitycenter.microsoft.com", "https://api.security.microsoft.com", "https://securitycenter.onmicrosoft.com/windowsatpservice",
		"https://graph.microsoft.com", "{url}"} {
		text := url.QueryEscape(audience)
		if audience == "{url}" {
			text = audience
		}
		add("POST /{tenant}/oauth2/token", "&resource="+text, v1, formType)
		add("POST /{tenant}/oauth2/v2.0/token", "&scope="+text+"%2F.default", v2, formType)
	}
	denied := add("POST /{tenant}/oauth2/v2.0/token", mdeV2, "error = invalid_client; error_description string; error_codes[] integer; timestamp string; trace_id string; correlation_id string", formType)
	denied.body, denied.status, denied.keeps = "client_id={app}&client_secret=wrong&grant_type=client_credentials"+mdeV2, 401, nil
	// What was granted last is for Graph or ourselves: the rows to come ask the published API.
	add("POST /{tenant}/oauth2/v2.0/token", mdeV2, v2, formType)
	return append(calls, clientCall{request: "GET /{tenant}/v2.0/.well-known/openid-configuration", anon: true, status: 200,
		reads: "issuer string; authorization_endpoint string; token_endpoint string; jwks_uri string"})
}

func requestSurprises() []clientCall {
	var calls []clientCall
	// Each names the client's own machine and no other.
	for _, target := range []string{"/api/machines/{id}", "/api/v1.0/machines/{id}", "/API/V1.0/Machines/{id}", "/api/machines/{id}/", "/api/machines/{id}?", "/api/machines/{name}", "/api/machines/{aad}"} {
		calls = append(calls, ask("GET "+target, "id = {id}"))
	}
	for _, query := range []string{"$filter=computerDnsName+eq+'{name}'", "$filter=computerDnsName%20eq%20'{name}'&", "$filter=computerDnsName+in+['{name}','b']", "$filter=computerDnsName+in+('{name}','b')",
		"%24filter=computerDnsName+in+%5B%27{name}%27%2C%27b%27%5D"} {
		calls = append(calls, ask("GET /api/machines?"+query, "value some; value[].id = {id}"))
	}
	quoted := ask("GET /api/alerts?$filter=title+eq+'O''Brien''s'", "value list")
	quoted.says = []string{`"value":[]`}
	body := ask("GET /api/machines/{id}", "id = {id}")
	body.header, body.body = jsonType, `{"some":"thing"}`
	calls = append(calls, quoted, body)
	for _, patch := range []string{`{"Status":"InProgress","AssignedTo":"eve@corp.example","Classification":"TruePositive","Determination":"Malware","Comment":"one"}`,
		`{"status":"InProgress","assignedTo":"eve@corp.example","classification":"TruePositive","determination":"Malware","comment":"two"}`} {
		calls = append(calls, tell("PATCH /api/alerts/{alert}", patch, 200, "status = InProgress; assignedTo = eve@corp.example; classification = TruePositive; determination = Malware"))
	}
	// No IsolationType, and no Content-Type.
	bare := tell("POST /api/machines/{name}/isolate", theComment, 201, actionReads("")+"scope = Full; machineId = {id}")
	bare.header = nil
	return append(calls, bare)
}

func answerSurprises() []clientCall {
	put := tell("POST /api/indicators", `{"indicatorValue":"answers.example","indicatorType":"DomainName","action":"Audit","title":"first","description":"d","generateAlert":true,"externalId":"mine-1"}`, 200,
		"createdBy = {app}; externalId = mine-1; title = first;"+indicatorReads(""))
	put.keeps = map[string]string{"id": "indicator"}
	again := tell("POST /api/indicators", `{"id":"{indicator}","indicatorValue":"answers.example","indicatorType":"DomainName","action":"Audit","title":"second","description":"d","generateAlert":true}`, 200, "id = {indicator}; title = second")
	more := tell("POST /api/indicators", `{"indicatorValue":"more.answers.example","indicatorType":"DomainName","action":"Audit","title":"t","description":"d","generateAlert":true}`, 200, "id string")
	more.keeps = map[string]string{"id": "other"}
	plain := ask("GET /api/alerts/{alert}", "incidentId integer; investigationId integer?; evidence list")
	list := ask("GET /api/alerts?$filter=machineId+eq+'{id}'", "value some; value[].incidentId integer; value[].evidence list")
	list.says = []string{`"evidence":[]`}
	next := ask("GET /api/machines/SoftwareInventoryByMachine?pageSize=1", "value some")
	next.keeps = map[string]string{`@odata\.nextLink`: "link"}
	page := ask("GET {link}", "value some; value[] object")
	page.before = pathOfLink
	refusal := refused("/api", "isolate", `{"Comment":"because","IsolationType":"Full"}`)
	unknown := clientCall{request: "GET /api/machines/{nowhere}", status: 404, reads: "error.code = ResourceNotFound;" + errorReads}
	wrong := clientCall{request: "GET /api/alerts?$filter=nosuch+eq+1", status: 400, reads: errorReads}
	live := tell("POST /api/machines/{id}/runliveresponse", `{"Comment":"because","Commands":[{"type":"GetFile","params":[{"key":"Path","value":"/x"}]}]}`, 201, actionReads(""))
	live.keeps = map[string]string{"id": "live"}
	link := ask("GET /api/machineactions/{live}/GetLiveResponseResultDownloadLink(index=0)", "value string")
	link.before = func(w *world) { w.finish("live", map[string][]byte{"x.gz": zipped("x")}) }
	link.keeps = map[string]string{"value": "link"}
	file := clientCall{request: "GET {link}", anon: true, status: 200, before: pathOfLink, says: []string{`Content-Disposition: attachment; filename="x.gz"`}}
	hunt := tell("POST /api/advancedqueries/run", `{"Query":"print a=1"}`, 200, "Stats object; Schema some; Results some")
	return []clientCall{put, again, more, {request: "DELETE /api/indicators/{indicator}", status: 204},
		tell("POST /api/indicators/BatchDelete", `{"IndicatorIds":["{other}"]}`, 204, ""), refusal, unknown, wrong, plain, list,
		ask("GET /api/machines/{id}", "rbacGroupId integer; osBuild integer"), next, page, live, link, file, hunt}
}

func kqlSurprises() []clientCall {
	var calls []clientCall
	for _, q := range []struct{ text, reads string }{
		{`DeviceProcessEvents | where DeviceId == '{id}' | summarize argmax(Timestamp, *) by DeviceId`, "Results some"},
		{`DeviceProcessEvents | where DeviceId == '{id}' | summarize Names=makeset(FileName)`, "Results some; Results[0].Names any"},
		{`DeviceProcessEvents | where DeviceId == '{id}' | summarize N=any(FileName)`, "Results[0].N = curl"},
		{`DeviceProcessEvents | filter DeviceId == '{id}'`, "Results some"},
		{`print a=extractjson('$.a', '{\"a\":\"b\"}')`, "Results[0].a = b"},
		{`DeviceAlertEvents | take 1`, "Results list; Schema some"},
	} {
		calls = append(calls, tell("POST /api/advancedqueries/run", fmt.Sprintf(`{"Query":"%s"}`, q.text), 200, q.reads))
	}
	return calls
}
