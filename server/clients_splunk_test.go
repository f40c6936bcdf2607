package server

import (
	"fmt"
	"strings"
)

// whole is a list of objects that a client passes on.
func whole(request string) clientCall { return ask(request, "value list; value[] object?") }

// filled is a whole list that must not be empty.
func filled(request string, says ...string) clientCall {
	c := ask(request, "value some; value[] object")
	c.says = says
	return c
}

func splunkRows() []clientRow {
	token := form("POST /{tenant}/oauth2/token", mdeV1, formType)
	token.check = isJSON
	denied := form("POST /{tenant}/oauth2/token", mdeV1, formType)
	denied.body = strings.Replace(denied.body, "{secret}", "wrong", 1)
	denied.status, denied.reads, denied.keeps, denied.check = 401, "error string; error_description string", nil, isJSON
	rows := []clientRow{
		row("POST /{tenant}/oauth2/token", token, denied),
		row("GET /api/alerts", filled("GET /api/alerts?$top=1"), ask("GET /api/alerts?$top=100&$filter=lastUpdateTime%20ge%20{past}", "value some;"+alertReads("value[]."))),
		row("GET /api/machines", ask("GET /api/machines?$top=10&$filter=computerDnsName%20eq%20'{name}'", "value some;"+machineReads("value[].")), ask("GET /api/machines?$top=2&", "value some;"+machineReads("value[]."))),
		row("GET /api/domains/{domain}/machines", filled("GET /api/domains/{domain}/machines?$top=100&", "{id}")),
		row("GET /api/files/{sha1}/machines", filled("GET /api/files/{sha1}/machines?$top=100&", "{id}")),
		row("GET /api/ips/{ip}/alerts", filled("GET /api/ips/{ip}/alerts?$top=100", "{alert}")),
		row("GET /api/domains/{domain}/alerts", filled("GET /api/domains/{domain}/alerts?$top=100", "{alert}")),
		row("GET /api/files/{sha1}/alerts", filled("GET /api/files/{sha1}/alerts?$top=100", "{alert}")),
		row("GET /api/alerts/{id}", ask("GET /api/alerts/{alert}", "id = {alert}; evidence[0].entityType = Process;"+alertReads(""))),
		row("GET /api/alerts/{id}/user", ask("GET /api/alerts/{alert}/user", "id string; accountName = eve")),
		row("GET /api/alerts/{id}/files", filled("GET /api/alerts/{alert}/files?$top=10&$skip=0", "{sha1}"), whole("GET /api/alerts/{alert}/files?$top=10&$skip=10")),
		row("GET /api/alerts/{id}/ips", filled("GET /api/alerts/{alert}/ips?$top=10&$skip=0", "203.0.113.7")),
		row("GET /api/alerts/{id}/domains", filled("GET /api/alerts/{alert}/domains?$top=10&$skip=0", "evil.example")),
		row("PATCH /api/alerts/{id}", tell("PATCH /api/alerts/{alert}", `{"status":"InProgress","assignedTo":"eve@corp.example","classification":"TruePositive","determination":"Malware","comment":"from splunk"}`, 200,
			"status = InProgress; classification = TruePositive; determination = Malware; assignedTo = eve@corp.example; comments[0].comment = from splunk;"+alertReads(""))),
		row("POST /api/alerts/CreateAlertByReference", reference("CreateAlertByReference", `"7"`)),
		row("GET /api/machines/{id}", ask("GET /api/machines/{id}", machineReads(""))),
		row("GET /api/machines/{id}/logonusers", filled("GET /api/machines/{id}/logonusers", "eve")),
		row("GET /api/machines/{id}/alerts", filled("GET /api/machines/{id}/alerts", "{alert}")),
		row("GET /api/users/{accountName}/alerts", filled("GET /api/users/{user}/alerts", "{alert}")),
		row("GET /api/files/{sha1}", ask("GET /api/files/{sha1}", "sha1 string; sha256 string")),
		row("GET /api/users/{accountName}/machines", filled("GET /api/users/{user}/machines", "{id}")),
		row("GET /api/domains/{domain}/stats", ask("GET /api/domains/{domain}/stats?lookBackHours=48", "host string; organizationPrevalence integer")),
		row("GET /api/ips/{ip}/stats", ask("GET /api/ips/{ip}/stats?lookBackHours=48", "ipAddress string; organizationPrevalence integer")),
		row("GET /api/files/{sha1}/stats", ask("GET /api/files/{sha1}/stats?lookBackHours=48", "sha1 string; organizationPrevalence integer")),
		row("POST /api/machines/{id}/tags", tell("POST /api/machines/{id}/tags", `{"Action":"Add","Value":"splunk"}`, 200, "machineTags strings;"+machineReads(""))),
		row("GET /api/software", filled("GET /api/software?$top=10&$skip=0", "{software}"), whole("GET /api/software?$top=10&$skip=100")),
		row("GET /api/software/{id}/distributions", filled("GET /api/software/{software}/distributions")),
		row("GET /api/software/{id}/machineReferences", filled("GET /api/software/{software}/machineReferences", "{id}")),
		row("GET /api/software/{id}/vulnerabilities", filled("GET /api/software/{software}/vulnerabilities", "{cve}")),
		row("GET /api/vulnerabilities/machinesVulnerabilities", filled("GET /api/vulnerabilities/machinesVulnerabilities?$top=100&$skip=0", "{id}")),
		row("GET /api/vulnerabilities", filled("GET /api/vulnerabilities?$top=10&$skip=0", "{cve}"), filled("GET /api/vulnerabilities?$top=10&$skip=0&$filter=severity%20eq%20'Medium'", "{cve}")),
		row("GET /api/vulnerabilities/{cve}/machineReferences", filled("GET /api/vulnerabilities/{cve}/machineReferences", "{id}")),
		row("GET /api/machines/{id}/software", filled("GET /api/machines/{id}/software", "{software}")),
		row("GET /api/machines/{id}/vulnerabilities", filled("GET /api/machines/{id}/vulnerabilities", "{cve}")),
		row("GET /api/machines/{id}/getmissingkbs", whole("GET /api/machines/{id}/getmissingkbs")),
		row("GET /api/exposureScore", ask("GET /api/exposureScore", "score number")),
		row("GET /api/configurationScore", ask("GET /api/configurationScore", "score number")),
		row("POST /api/advancedqueries/run", tell("POST /api/advancedqueries/run", `{"Query":"DeviceProcessEvents | where DeviceId == '{id}' | take 5"}`, 200, "Results some; Results[] object")),
	}
	return append(rows, splunkChanges()...)
}

// reference raises an alert for the process of the client's device.
func reference(word, report string) clientCall {
	return tell("POST /api/alerts/"+word, `{"reportId":`+report+`,"eventTime":"{eventtime}","machineId":"{id}","severity":"Low","title":"By `+word+`","description":"d","recommendedAction":"r","category":"Exploit"}`,
		200, "severity = Low; machineId = {id};"+alertReads(""))
}

// splunkChanges are the rows of indicators and machine actions.
func splunkChanges() []clientRow {
	put := tell("POST /api/indicators", `{"indicatorValue":"splunk.example","indicatorType":"DomainName","title":"t","action":"Block","description":"d","generateAlert":true,`+
		`"expirationTime":"{future}","recommendedActions":"r","severity":"High"}`, 200, indicatorReads(""))
	put.keeps = map[string]string{"id": "indicator"}
	const item = `"indicatorType":"DomainName","action":"Block","description":"d","title":"t","severity":"Low"`
	imported := func(value string) clientCall {
		return tell("POST /api/indicators/import", `{"Indicators":[{"indicatorValue":"`+value+`",`+item+`}]}`, 200, "value some; value[].isFailed = false")
	}
	remove := clientCall{request: "DELETE /api/indicators/{indicator}", status: 204, check: func(_ *world, a *clientAnswer) error {
		if isJSON(nil, a) == nil {
			return fmt.Errorf("an empty body that says it is JSON")
		}
		return nil
	}}
	of := func(kind, body string) clientRow {
		return row("POST /api/machines/{id}/"+kind, requested(kind, body)...)
	}
	poll := ask("GET /api/machineactions/{isolate}", actionReads("")+"status = Pending; commands list")
	done := ask("GET /api/machineactions/{isolate}", actionReads("")+"status = Succeeded")
	done.before = func(w *world) { w.finish("isolate", nil) }
	uri := ask("GET /api/machineactions/{collectInvestigationPackage}/getPackageUri", "value string")
	uri.before = func(w *world) {
		w.finish("collectInvestigationPackage", map[string][]byte{"package.zip": []byte("PK\x05\x06")})
	}
	uri.keeps = map[string]string{"value": "link"}
	fetch := clientCall{request: "GET {link}", anon: true, status: 200, before: pathOfLink, says: []string{`Content-Disposition: attachment; filename="package.zip"`, "PK\x05\x06"}}
	live := of("runliveresponse", `{"Comment":"because","Commands":[{"type":"GetFile","params":[{"key":"Path","value":"/etc/hosts"}]}]}`)
	link := ask("GET /api/machineactions/{runliveresponse}/GetLiveResponseResultDownloadLink(index=0)", "value string")
	link.before = func(w *world) {
		w.finish("runliveresponse", map[string][]byte{"hosts.gz": zipped("127.0.0.1 localhost")})
	}
	link.keeps = map[string]string{"value": "link"}
	file := clientCall{request: "GET {link}", anon: true, status: 200, before: pathOfLink, check: func(_ *world, a *clientAnswer) error {
		if !strings.Contains(a.header.Get("Content-Disposition"), `filename="hosts.gz"`) {
			return fmt.Errorf("the Content-Disposition is %q", a.header.Get("Content-Disposition"))
		}
		text, err := unzipped(a)
		if err == nil && text != "127.0.0.1 localhost" {
			err = fmt.Errorf("the file holds %s", text)
		}
		return err
	}}
	seen := ask("GET /api/machineactions/{runliveresponse}", "status = Succeeded; commands[0].command.type = GetFile; commands[0].index integer")
	script := tell("POST /api/machines/{id}/runliveresponse", `{"Comment":"because","Commands":[{"type":"RunScript","params":[{"key":"ScriptName","value":"collect.sh"},{"key":"Args","value":"-v"}]}]}`, 201, actionReads(""))
	script.keeps = map[string]string{"id": "script"}
	output := ask("GET /api/machineactions/{script}/GetLiveResponseResultDownloadLink(index=0)", "value string")
	output.before = func(w *world) {
		w.finish("script", map[string][]byte{"collect.sh.json": []byte(`{"script_output":"done","exit_code":0}`)})
	}
	output.keeps = map[string]string{"value": "link"}
	read := clientCall{request: "GET {link}", anon: true, status: 200, before: pathOfLink, reads: "script_output = done; exit_code integer"}
	// What a device was given ends when the device says so, and it was given the scan above.
	scan := tell("POST /api/machines/{id}/runAntiVirusScan", `{"Comment":"because","ScanType":"Full"}`, 201, "status = Pending")
	scan.before = func(w *world) { w.finish("runAntiVirusScan", nil) }
	scan.keeps = map[string]string{"id": "scan"}
	return []clientRow{
		row("POST /api/indicators", put),
		row("GET /api/indicators", filled("GET /api/indicators?$top=10"), filled("GET /api/indicators?$top=10&$filter=indicatorValue%20eq%20'splunk.example'", `"id":"{indicator}"`)),
		row("GET /api/indicators/{id}", ask("GET /api/indicators/{indicator}", "id = {indicator};"+indicatorReads(""))),
		row("POST /api/indicators/import", imported("one.splunk.example"), imported("two.splunk.example")),
		row("DELETE /api/indicators/{id}", remove),
		of("isolate", `{"Comment":"because","IsolationType":"Full"}`),
		row("GET /api/machineactions/{id}", poll, done),
		of("unisolate", theComment),
		of("runAntiVirusScan", `{"Comment":"because","ScanType":"Quick"}`),
		of("StopAndQuarantineFile", `{"Comment":"because","Sha1":"{sha1}"}`),
		of("restrictCodeExecution", theComment),
		of("unrestrictCodeExecution", theComment),
		of("collectInvestigationPackage", theComment),
		row("GET /api/machineactions/{id}/getPackageUri", uri, fetch),
		live,
		row("GET /api/machineactions/{id}/GetLiveResponseResultDownloadLink(index=0)", link, file, seen, script, output, read),
		row("POST /api/machineactions/{id}/cancel", scan, tell("POST /api/machineactions/{scan}/cancel", theComment, 200, actionReads("")+"status = Cancelled")),
	}
}
