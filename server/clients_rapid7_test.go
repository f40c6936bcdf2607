package server

import "strings"

func rapid7Rows() []clientRow {
	of := func(kind, body string) clientRow {
		return row("POST /api/machines/{id}/"+kind, requested(kind, body)...)
	}
	machines := func(request string) clientCall { return ask(request, "value some;"+machineReads("value[].")) }
	alerts := func(query string) clientCall {
		return ask("GET /api/alerts?"+query, "value some; value[].alertCreationTime string;"+alertReads("value[]."))
	}
	put := tell("POST /api/indicators", `{"indicatorValue":"{sha1}","indicatorType":"FileSha1","action":"Audit","application":"app","title":"t","description":"d","expirationTime":"{future}",`+
		`"severity":"Medium","recommendedActions":"r","rbacGroupNames":[],"generateAlert":true}`, 200, indicatorReads(""))
	put.keeps = map[string]string{"id": "indicator"}
	gone := clientCall{request: "GET /api/Software/nobody-_-nothing/machineReferences", status: 404, reads: errorReads}
	const text = " string;"
	return []clientRow{
		row("POST /{tenant}/oauth2/token", form("POST /{tenant}/oauth2/token", mdeV1, formType)),
		row("GET /api/alerts", alerts("$top=1"), alerts("$orderby=alertCreationTime+desc&$top=1&$expand=evidence"), alerts("$filter=alertCreationTime+gt+{past}&$orderby=alertCreationTime+desc&$expand=evidence")),
		row("GET /api/machines/{id}", ask("GET /api/machines/{id}", machineReads("")+"osBuild = 17763; isAadJoined = true")),
		row("GET /api/machines", machines("GET /api/machines?$top=5"), machines("GET /api/machines?$filter=computerDnsName+eq+'{name}'&$top=1"), machines("GET /api/machines?$filter=healthStatus+eq+'Active'&$top=1")),
		row("GET /api/alerts/{id}/files", ask("GET /api/alerts/{alert}/files", "value some; value[].globalPrevalence integer?; value[].size integer?; value[].isPeFile boolean?; value[].isValidCertificate boolean?;"+
			"value[].sha1 string; value[].sha256 string; value[].md5 string?; value[].fileType string?; value[].signer string?; value[].issuer string?; value[].filePublisher string?")),
		row("GET /api/machines/{id}/vulnerabilities", ask("GET /api/machines/{id}/vulnerabilities", "value some; value[].id = {cve};"+
			strings.ReplaceAll("value[].name, value[].description, value[].severity,", ",", text)+
			"value[].cvssV3 number?; value[].exposedMachines integer; value[].publishedOn string?; value[].updatedOn string?; value[].publicExploit boolean; value[].exploitVerified boolean;"+
			"value[].exploitInKit boolean; value[].exploitTypes strings; value[].exploitUris strings")),
		row("GET /api/machines/{id}/recommendations", ask("GET /api/machines/{id}/recommendations", "value some;"+
			strings.ReplaceAll("value[].id, value[].productName, value[].recommendationName, value[].vendor, value[].recommendedVersion, value[].recommendationCategory, value[].remediationType, value[].status, value[].relatedComponent,", ",", text)+
			"value[].weaknesses integer; value[].subCategory string?; value[].severityScore number?; value[].publicExploit boolean; value[].activeAlert boolean; value[].associatedThreats strings;"+
			"value[].configScoreImpact number; value[].exposureImpact number; value[].totalMachineCount integer; value[].exposedMachinesCount integer; value[].nonProductivityImpactedAssets integer")),
		row("GET /api/machines/{id}/getmissingkbs", ask("GET /api/machines/{id}/getmissingkbs", "value list; value[].osBuild integer?")),
		row("GET /api/machines/{id}/software", ask("GET /api/machines/{id}/software", "value some; value[].id string; value[].name string; value[].vendor string; value[].weaknesses integer; value[].publicExploit boolean;"+
			"value[].activeAlert boolean; value[].exposedMachines integer; value[].impactScore number")),
		row("GET /api/Software/{id}/machineReferences", ask("GET /api/Software/{software}/machineReferences",
			"value some; value[].id string; value[].computerDnsName string; value[].osPlatform string; value[].rbacGroupName string?; value[].rbacGroupId integer"), gone),
		row("GET /api/domains/{domain}/machines", machines("GET /api/domains/{domain}/machines")),
		row("GET /api/files/{sha1}/machines", machines("GET /api/files/{sha1}/machines")),
		row("GET /api/users/{accountName}/machines", machines("GET /api/users/{user}/machines")),
		row("POST /api/machines/{id}/tags", tell("POST /api/machines/{id}/tags", `{"Value":"rapid7","Action":"Add"}`, 200, machineReads("")+"isAadJoined boolean"),
			tell("POST /api/machines/{id}/tags", `{"Value":"rapid7","Action":"Remove"}`, 200, machineReads(""))),
		row("PATCH /api/alerts/{id}", tell("PATCH /api/alerts/{alert}", `{"status":"Resolved","assignedTo":"eve@corp.example","classification":"FalsePositive","determination":"NotMalicious"}`, 200,
			"status = Resolved; classification = FalsePositive; determination = NotMalicious")),
		row("POST /api/indicators", put),
		row("GET /api/indicators", ask("GET /api/indicators?$top=1&$filter=indicatorValue+eq+'{sha1}'", "value some; value[].id = {indicator};"+indicatorReads("value[]."))),
		row("DELETE /api/indicators/{id}", clientCall{request: "DELETE /api/indicators/{indicator}", status: 204}),
		of("isolate", `{"Comment":"because","IsolationType":"Full"}`),
		of("unisolate", theComment),
		of("runAntiVirusScan", `{"Comment":"because","ScanType":"Full"}`),
		of("StopAndQuarantineFile", `{"Comment":"because","Sha1":"{sha1}"}`),
		of("collectInvestigationPackage", theComment),
		row("GET /api/machineactions/{id}", ask("GET /api/machineactions/{isolate}", actionReads("")+"status = Pending; errorHResult integer")),
	}
}
