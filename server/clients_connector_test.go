package server

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/vedette-edr/vedette/server/alert"
	"github.com/vedette-edr/vedette/server/ident"
)

// The OData options that the connector's list operations have, all at once.
const listOptions = "$filter=%s&$select=%s&$orderby=%s%%20desc&$top=5&$skip=0&$count=true"

func connectorRows() []clientRow {
	list := func(path, filter, selected, order, more string) clientCall {
		c := ask("GET "+path+"?"+more+fmt.Sprintf(listOptions, filter, selected, order), "@odata\\.count integer; value some; value[].id string")
		return c
	}
	const investigation = "id string; state string; statusDetails string?; computerDnsName string; machineId = {free}; startTime string; endTime string?"
	start := tell("POST /api/machines/{free}/startInvestigation", theComment, 201, investigation)
	start.keeps = map[string]string{"id": "investigation"}
	// The connector calls the answer of the older form text; what is published is a number.
	older := tell("POST /api/machines/{spare}/initiateInvestigation", theComment, 200, "value integer")
	live := tell("POST /api/machines/{id}/runliveresponse", `{"Comment":"because","Commands":[{"type":"RunScript","params":[{"key":"ScriptName","value":"collect.sh"}]},{"type":"GetFile","params":[{"key":"Path","value":"/etc/hosts"}]}]}`, 201,
		actionReads("")+"commands some; commands[].index integer; commands[].startTime string?; commands[].endTime string?; commands[].commandStatus = Created; commands[].errors list; commands[].command.type string;"+
			"commands[].command.params[].key string; commands[].command.params[].value string")
	live.keeps = map[string]string{"id": "runliveresponse"}
	uri := ask("GET /api/machineactions/{collectInvestigationPackage}/getPackageUri", "value string")
	uri.before = func(w *world) {
		w.finish("collectInvestigationPackage", map[string][]byte{"package.zip": []byte("PK\x05\x06")})
	}
	link := ask("GET /api/machineactions/{runliveresponse}/GetLiveResponseResultDownloadLink(index=0)", "value string")
	link.before = func(w *world) { w.finish("runliveresponse", map[string][]byte{"x.json": []byte(`{}`)}) }
	quarantine := tell("POST /api/machines/{id}/StopAndQuarantineFile", `{"Comment":"because","Sha1":"{sha1}"}`, 201, "relatedFileInfo.fileIdentifier = {sha1}; relatedFileInfo.fileIdentifierType = Sha1")
	machine := machineReads("") + "osBuild integer; rbacGroupId integer; isAadJoined boolean; healthStatus = Active; riskScore string"
	const task = "id string; title string; createdOn string; status = Active; targetDevices integer; fixedDevices integer"
	made := tell("POST /api/vedette/remediationTasks", `{"recommendationId":"va-_-debian-_-libalpha1","title":"Update it","priority":"High"}`, 201, task)
	made.keeps = map[string]string{"id": "task"}
	tasks := strings.ReplaceAll(task, "; ", "; value[].")
	tag := tell("POST /api/machines/{id}/tags", `{"Value":"flow","Action":"Add"}`, 200, machineReads(""))
	tag.says = []string{`"flow"`}
	return []clientRow{
		row("AdvancedHunting", tell("POST /api/advancedqueries/run", `{"Query":"DeviceLogonEvents | where DeviceId == '{id}'"}`, 200,
			"Stats.dataset_statistics some; Stats.dataset_statistics[].table_row_count = 1; Results some; Results[].AccountName = eve")),
		row("GetAlerts", list("/api/alerts", "severity%20eq%20'High'", "id,title", "alertCreationTime", ""), ask("GET /api/alerts?$expand=evidence&$top=1&$count=true", "@odata\\.count integer;"+alertReads("value[]."))),
		row("GetSingleAlert", ask("GET /api/alerts/{alert}", "incidentId integer; investigationId integer?; loggedOnUsers some; loggedOnUsers[].accountName = eve; loggedOnUsers[].domainName = corp; status = New; classification string?; determination string?; machineId = {id};"+alertReads(""))),
		row("PatchAlert", tell("PATCH /api/alerts/{alert}", `{"status":"InProgress","assignedTo":"eve@corp.example","classification":"TruePositive","determination":"Apt"}`, 200, "status = InProgress;"+alertReads("")),
			tell("PATCH /api/alerts/{alert}", `{"status":"New","classification":"Unknown","determination":"NotAvailable"}`, 200, "status = New"),
			tell("PATCH /api/alerts/{alert}", `{"classification":"TruePositive","determination":"SecurityPersonnel"}`, 200, "classification = TruePositive; determination string"),
			tell("PATCH /api/alerts/{alert}", `{"status":"Resolved","classification":"TruePositive","determination":"SecurityTesting"}`, 200, "status = Resolved; classification = InformationalExpectedActivity; determination = SecurityTesting"),
			tell("PATCH /api/alerts/{alert}", `{"classification":"FalsePositive","determination":"SecurityTesting"}`, 400, errorReads)),
		row("CreateAlertByReference", reference("createAlertByReference", `"7"`)),
		row("GetMachines / GetSingleMachine", list("/api/machines", "healthStatus%20eq%20'Active'", "id,computerDnsName", "lastSeen", ""), ask("GET /api/machines/{id}", machine)),
		row("MachineTag", tag, tell("POST /api/machines/{id}/tags", `{"Value":"flow","Action":"Remove"}`, 200, machineReads(""))),
		row("IsolateMachine / UnisolateMachine", append(requested("isolate", `{"Comment":"because","IsolationType":"Full"}`), requested("unisolate", theComment)...)...),
		row("RestrictAppExecution / UnrestrictAppExecution", append(requested("restrictCodeExecution", theComment), requested("unrestrictCodeExecution", theComment)...)...),
		row("RunAntivirusScan", requested("runAntiVirusScan", `{"Comment":"because","ScanType":"Quick"}`)...),
		row("CollectInvestigationPackage", requested("collectInvestigationPackage", theComment)...),
		row("InitiateInvestigation (to be deprecated)", older),
		row("StartInvestigation", start, clientCall{request: start.request, header: start.header, body: start.body, status: 400, reads: "error.code = ActiveRequestAlreadyExists;" + errorReads}),
		row("RunLiveResponse", live),
		row("GetMachineActions / GetSingleMachineAction", list("/api/machineactions", "type%20eq%20'Isolate'", "id,type", "lastUpdateDateTimeUtc", ""), quarantine, ask("GET /api/machineactions/{isolate}", actionReads("")+"type = Isolate; status = Pending; lastUpdateDateTimeUtc string; relatedFileInfo object?")),
		row("CancelSingleMachineAction", tell("POST /api/machineactions/{isolate}/cancel", theComment, 200, actionReads("")+"status = Cancelled")),
		row("GetInvestigationPackageUri", uri),
		row("GetLiveResponseDownloadLink", link),
		row("GetInvestigations / GetSingleInvestigation", list("/api/investigations", "machineId%20eq%20'{free}'", "id,state", "startTime", ""), ask("GET /api/investigations/{investigation}", investigation)),
		row("GetFileStats / GetDomainStats / GetIpStats",
			ask("GET /api/files/{sha1}/stats?lookBackHours=24", "sha1 = {sha1}; organizationPrevalence integer; orgFirstSeen string; orgLastSeen string; globallyPrevalence integer?; globalFirstObserved string?; globalLastObserved string?; topFileNames strings"),
			ask("GET /api/domains/{domain}/stats?lookBackHours=24", "host = {domain}; organizationPrevalence integer; orgFirstSeen string; orgLastSeen string"),
			ask("GET /api/ips/{ip}/stats?lookBackHours=24", "ipAddress = {ip}; organizationPrevalence integer; orgFirstSeen string; orgLastSeen string")),
		row("GetRemediationActivities / GetSingleRemediationActivity / GetRemediationActivityMachineList", made, ask("GET /api/remediationtasks?$top=10&$count=true", "@odata\\.count integer; value some; value[]."+tasks),
			ask("GET /api/remediationtasks/{task}", task), filled("GET /api/remediationtasks/{task}/machinereferences", "{id}")),
		row(`trigger WebHooks_CreateWebHook ("when a new WDATP alert occurs")`, webHook()),
		row("trigger OnNewRemediationActivity", ask("GET /trigger/api/remediationtasks?$orderby=createdOn%20desc", "value some; value[]."+tasks)),
	}
}

// webHook subscribes a receiver of the test's, raises an alert and waits for the call.
func webHook() clientCall {
	c := tell("POST /subscriptions", `{"clientState":"flow","changeType":"created","resource":"alerts","expirationDateTime":"2038-09-20T12:00:00Z","notificationUrl":"{callback}"}`, 201,
		"id string; notificationUrl = {callback}; clientState = flow")
	c.before = func(w *world) { w.names["callback"] = w.receiver.URL + "/flow" }
	c.check = func(w *world, _ *clientAnswer) error {
		id := ident.AlertID("da" + strings.Repeat("0", 15) + "777_1")
		_, err := w.control.alerts.Raise(context.Background(), []*alert.Alert{{ID: id, Tenant: w.tenant, Device: ident.DeviceID(w.names["id"]), DeviceName: w.names["name"], Title: "For the flow", Severity: alert.High}})
		if err != nil {
			return err
		}
		for end := time.After(30 * time.Second); ; {
			select {
			case got := <-w.received:
				if got["id"] != string(id) {
					continue
				}
				if got["machineId"] != w.names["id"] {
					return fmt.Errorf("the web hook was told %v", got)
				}
				return nil
			case <-end:
				return fmt.Errorf("the web hook was not called")
			}
		}
	}
	return c
}

// receive makes the receiver of web hooks.
func (w *world) receive() {
	w.received = make(chan map[string]any, 100)
	w.receiver = httptest.NewTLSServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		var v map[string]any
		if json.NewDecoder(r.Body).Decode(&v) == nil {
			select {
			case w.received <- v:
			default: // nobody waits any more
			}
		}
		rw.WriteHeader(http.StatusOK)
	}))
	w.t.Cleanup(w.receiver.Close)
}
