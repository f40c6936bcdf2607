package server

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/vedette-edr/vedette/server/action"
	"github.com/vedette-edr/vedette/server/ident"
)

// TestThePreviewIsServed sends the requests of the API of before 2019 that have no
// successor of the same shape, below its own root on the host of Graph.
func TestThePreviewIsServed(t *testing.T) {
	w := newWorld(t)
	w.begin(t, surprises)
	const root = "/testwdatppreview"
	old := func(request, reads string) clientCall { return ask("GET "+root+request, reads) }
	missing := func(request string) clientCall {
		c := old(request, "error.code = ResourceNotFound;"+errorReads)
		c.status = 404
		return c
	}
	number := func(request, text string) clientCall {
		return clientCall{request: "GET " + request, status: 200, says: []string{text}}
	}
	const hash = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	block := tell("POST "+root+"/files/"+hash+"/block", `{"Comment":"because"}`, 200, "fileIdentifier = "+hash+"; fileIdentifierType = Sha1; actionType = Block; fileStatus = Blocked; requestor string; requestorComment = because")
	quarantine := tell("POST "+root+"/machines/{id}/stopAndQuarantineFile", `{"Comment":"because","Sha1":"`+hash+`"}`, 201, "id string")
	quarantine.keeps = map[string]string{"id": "quarantine"}
	const onFile = "type = StopAndQuarantineFile; sha1 = " + hash + "; fileId = " + hash + "; machineId = {id}; status = Pending; requestor string; requestorComment = because; creationDateTimeUtc string; lastUpdateDateTimeUtc string; fileInstances list"
	for _, c := range []clientCall{
		old("/fileactions", "value list"), block,
		old("/fileactions?$top=5&$count=true", "@odata\\.count = 1; value[].fileIdentifier = "+hash+"; value[].actionType = Block; value[].fileStatus = Blocked; value[].creationDateTimeUtc string; value[].cancellationRequestor string?"),
		number("/api/fileactions/$count", "1"),
		tell("POST "+root+"/files/"+hash+"/unblock", `{"Comment":"enough"}`, 200, "actionType = UnBlock; fileStatus = UnBlocked; requestorComment = enough"),
		number(root+"/fileactions/$count", "0"),
		quarantine,
		old("/filemachineactions", "value some; value[]."+strings.ReplaceAll(onFile, "; ", "; value[].")),
		old("/filemachineactions/{quarantine}", onFile), missing("/filemachineactions/none"), missing("/filemachineactions/00000000-0000-4000-8000-000000000000"),
		old("/cvekbmap", "value list"), old("/kbinfo", "value list"), number("/api/kbinfo/$count", "0"),
		old("/machinegroups", "value some; value[].id = 0; value[].name = UnassignedGroup; value[].ungrouped = true"),
		old("/machinesecuritystates?$top=1&$count=true", "@odata\\.count integer; value some; value[].id string; value[].propertiesRequireAttention strings; @odata\\.nextLink string?"),
		missing("/actors/strontium"), missing("/alerts/{alert}/actor"), missing("/alerts/none/actor"),
	} {
		if err := w.do(&c); err != nil {
			t.Errorf("%s: %v", c.request, err)
		}
	}
}

// scanned lets the client's device end the scan that it keeps under a name.
func (w *world) scanned(kept, state string, evidence any) {
	w.t.Helper()
	ctx := context.Background()
	d, err := w.control.store.Devices().Get(ctx, w.tenant, ident.DeviceID(w.names["id"]))
	w.must(err)
	_, err = w.control.dispatch.Pending(ctx, d, nil)
	w.must(err)
	raw, err := json.Marshal(evidence)
	w.must(err)
	w.must(w.control.dispatch.Result(ctx, d, action.Result{ID: ident.ActionID(w.names[kept]), State: state, Detail: "it is said so", Evidence: raw}))
}

// TestAntivirusIsAsScansTell runs scans through a device and reads deviceavinfo, by the
// name of the documentation and that of the release notes.
func TestAntivirusIsAsScansTell(t *testing.T) {
	w := newWorld(t)
	w.begin(t, surprises)
	scan := func(kind, kept string) clientCall {
		c := tell("POST /api/machines/{id}/runAntiVirusScan", fmt.Sprintf(`{"Comment":"because","ScanType":%q}`, kind), 201, "id string")
		c.keeps = map[string]string{"id": kept}
		return c
	}
	const mine = "/api/deviceavinfo?$filter=machineId+eq+'{id}'"
	never := ask("GET "+mine, "value some; value[].osKind = linux; value[].avPlatformVersion = 1.0.0; value[].avEngineVersion string?; value[].avIsSignatureUpToDate = Unknown; value[].quickScanTime string?; value[].fullScanTime string?")
	never.says = []string{`"quickScanResult":""`, `"fullScanResult":""`, `"avMode":""`, `"avSignatureVersion":null`}
	quick := ask("GET "+mine, "value some; value[].quickScanResult = Completed; value[].quickScanTime string; value[].avEngineVersion any; value[].avSignatureVersion = 27800; value[].avSignaturePublishTime = 2026-04-03T07:22:12.0000000Z")
	quick.says = []string{`"avEngineVersion":"ClamAV 1.4.3"`, `"fullScanResult":""`}
	quick.before = func(w *world) {
		w.scanned("quick", "verified", map[string]any{"engines": []map[string]any{{"name": "YARA", "used": true, "version": "4.2"}, {"name": "ClamAV", "used": true, "version": "ClamAV 1.4.3/27800/Fri Apr  3 07:22:12 2026"}}})
	}
	full := ask("GET "+mine, "value[].fullScanResult = Failed; value[].quickScanResult = Completed; value[].fullScanError string")
	full.says = []string{`"avEngineVersion":null`, `it is said so`}
	full.before = func(w *world) {
		w.scanned("full", "failed", map[string]any{"engines": []any{}, "ended": "2020-01-01T00:00:00Z"})
	}
	for _, c := range []clientCall{
		never, scan("Quick", "quick"), quick, scan("Full", "full"), full,
		ask("GET /api/public/avdeviceshealth?$filter=fullScanResult+eq+'Failed'+and+quickScanResult+eq+'completed'&$count=true", "@odata\\.count = 1; value[].machineId = {id}"),
		{request: "GET /api/deviceavinfo/$count?$filter=avIsEngineUpToDate+eq+'Unknown'+and+osKind+eq+'linux'+and+not(avMode+eq+'0')", status: 200, says: []string{"3"}},
		ask("GET /api/deviceavinfo?$orderby=quickScanResult+desc&$top=1", "value[].machineId = {id}"),
		{request: "GET /api/deviceavinfo?$filter=nonsense+eq+'x'", status: 400, reads: "error.code = ODataError;" + errorReads},
	} {
		if err := w.do(&c); err != nil {
			t.Errorf("%s: %v", c.request, err)
		}
	}
}
