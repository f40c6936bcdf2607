package tvm

import (
	"encoding/json"
	"net/http"

	"github.com/vedette-edr/vedette/server/api"
	"github.com/vedette-edr/vedette/server/api/odata"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/vulnerability"
)

type feedEntity struct {
	ID       string         `json:"id"`
	Name     *string        `json:"name"`
	File     *string        `json:"fileName"`
	Kind     *string        `json:"kind"`
	State    string         `json:"state"` // waiting, importing, ready, failed
	Size     int64          `json:"sizeInBytes"`
	Read     int64          `json:"readBytes"`
	Records  int64          `json:"records"`
	Skipped  int64          `json:"skippedRecords"` // of ecosystems that no device here can have
	Packages int64          `json:"packages"`
	Started  odata.DateTime `json:"startedDateTimeUtc"`
	Finished odata.DateTime `json:"finishedDateTimeUtc"`
	By       string         `json:"importedBy"`
	Error    *string        `json:"error"`
}

func feedOf(f *vulnerability.Feed) feedEntity {
	return feedEntity{ID: f.ID, Name: optional(f.Name), File: optional(f.File), Kind: optional(f.Kind), State: f.State, Size: f.Size, Read: f.Read,
		Records: f.Records, Skipped: f.Skipped, Packages: f.Packages, Started: stamp(f.Started), Finished: stamp(f.Finished), By: f.By, Error: optional(f.Error)}
}

func (a *API) feedRoutes() []api.Route {
	upload := change(http.MethodPost, "/vedette/feeds", "Import a feed of vulnerabilities", configure, nil, feedEntity{}, a.importFeed)
	upload.MaxBody = vulnerability.MaxFeed + 1
	upload.Doc.Status = http.StatusAccepted
	upload.Doc.Params = []api.Param{{Name: "name", About: "What later imports of the same source replace; its kind when it is left out."},
		{Name: "file", About: "The file's name, for people."}}
	return []api.Route{
		get("/vedette/feeds", "List imported feeds", vulnerabilityRead, []feedEntity{}, a.listFeeds),
		get("/vedette/feeds/{id}", "Get an imported feed", vulnerabilityRead, feedEntity{}, a.getFeed),
		upload,
	}
}

func (a *API) listFeeds(w http.ResponseWriter, r *api.Request) error {
	all, err := a.service.Feeds(r.Context(), r.Caller.Tenant)
	if err != nil {
		return err
	}
	return whole(w, r, "Feeds", all, feedOf)
}

func (a *API) getFeed(w http.ResponseWriter, r *api.Request) error {
	f, err := a.service.Feed(r.Context(), r.Caller.Tenant, r.Var("id"))
	if err != nil {
		return err
	}
	return odata.WriteEntity(w, r, http.StatusOK, kindOf("Feeds/$entity"), feedOf(f))
}

func (a *API) importFeed(w http.ResponseWriter, r *api.Request) error {
	f, err := a.service.Import(r.Context(), r.Caller, r.Query.Get("name"), r.Query.Get("file"), r.Body)
	if err != nil {
		return err
	}
	return odata.WriteEntity(w, r, http.StatusAccepted, kindOf("Feeds/$entity"), feedOf(f))
}

// Authenticated scans.

type scanEntity struct {
	ID             string          `json:"id"`
	ScanType       string          `json:"scanType"`
	ScanName       string          `json:"scanName"`
	IsActive       bool            `json:"isActive"`
	OrgID          string          `json:"orgId"`
	CreatedBy      string          `json:"createdBy"`
	Target         string          `json:"target"`
	TargetType     string          `json:"targetType"`
	Interval       int64           `json:"intervalInHours"`
	ScannerAgent   scannerEntity   `json:"scannerAgent"`
	Authentication json.RawMessage `json:"scanAuthenticationParams"`
	LatestScan     *latestScan     `json:"latestScan"` // null: none has run
}

type latestScan struct {
	Status            string         `json:"status"`
	FailureReason     *string        `json:"failureReason"`
	ExecutionDateTime odata.DateTime `json:"executionDateTime"`
}

type scannerEntity struct {
	ID              string  `json:"id"`
	MachineID       string  `json:"machineId"`
	MachineName     *string `json:"machineName"`
	ComputerDNSName *string `json:"computerDnsName"`
	// No scanner is part of this server: nothing is known of one but its device.
	LastSeen               odata.DateTime `json:"lastSeen"`
	AssignedApplicationID  *string        `json:"assignedApplicationId"`
	ScannerSoftwareVersion *string        `json:"scannerSoftwareVersion"`
	LastCommandExecution   odata.DateTime `json:"lastCommandExecutionTimestamp"`
	MDEClientVersion       *string        `json:"mdeClientVersion"`
}

type scanBody struct {
	ScanType   string      `json:"scanType" doc:"required,enum=Windows|Network"`
	ScanName   string      `json:"scanName" doc:"required,max=512"`
	IsActive   bool        `json:"isActive"`
	Target     string      `json:"target" doc:"required,max=4096"`
	TargetType string      `json:"targetType" doc:"required,enum=Ip|Hostname"`
	Interval   int64       `json:"intervalInHours" doc:"required"`
	Scanner    scannerBody `json:"scannerAgent" doc:"required"`
}

type scannerBody struct {
	MachineID string `json:"machineId" doc:"required"`
}

type scanIDs struct {
	IDs []string `json:"ScanDefinitionIds" doc:"required"`
}

type sessionIDs struct {
	IDs []string `json:"SessionIds" doc:"required"`
}

func (a *API) scanRoutes() []api.Route {
	const root = "/DeviceAuthenticatedScanDefinitions"
	const agents = "/DeviceAuthenticatedScanAgents"
	return []api.Route{
		get(root, "List definitions of authenticated scans", machineRead, []scanEntity{}, a.listScans),
		change(http.MethodPost, root, "Define an authenticated scan", machineWrite, scanBody{}, scanEntity{}, a.createScan),
		change(http.MethodPatch, root+"/{id}", "Change the definition of an authenticated scan", machineWrite, scanBody{}, scanEntity{}, a.changeScan),
		change(http.MethodPost, root+"/BatchDelete", "Delete definitions of authenticated scans", machineWrite, scanIDs{}, nil, a.deleteScans),
		change(http.MethodPost, root+"/GetScanHistoryByScanDefinitionId", "List the sessions of definitions", machineRead, scanIDs{}, []latestScan{}, a.scanHistory("ScanDefinitionIds")),
		change(http.MethodPost, root+"/GetScanHistoryBySessionId", "List sessions of scans", machineRead, sessionIDs{}, []latestScan{}, a.scanHistory("SessionIds")),
		get(agents, "List scanners", machineRead, []scannerEntity{}, none[scannerEntity]("DeviceAuthenticatedScanAgents")),
		get(agents+"/{id}", "Get a scanner", machineRead, scannerEntity{}, func(_ http.ResponseWriter, r *api.Request) error {
			return errs.New("tvm.scanAgent", errs.NotFound, errs.ResourceNotFound, "Scan agent %.64s was not found", r.Var("id"))
		}),
	}
}

func (a *API) scanOf(r *api.Request) func(*vulnerability.Scan) scanEntity {
	return func(v *vulnerability.Scan) scanEntity {
		e := scanEntity{ID: v.ID, ScanType: v.Type, ScanName: v.Name, IsActive: v.Active, OrgID: string(r.Caller.Tenant), CreatedBy: v.By, Target: v.Target,
			TargetType: v.TargetType, Interval: v.Interval, ScannerAgent: scannerEntity{ID: v.Scanner, MachineID: v.Scanner}}
		return e
	}
}

func (a *API) listScans(w http.ResponseWriter, r *api.Request) error {
	all, err := a.service.Scans(r.Context(), r.Caller.Tenant)
	if err != nil {
		return err
	}
	return whole(w, r, "DeviceAuthenticatedScanDefinitions", all, a.scanOf(r))
}

// readScan changes v by what the body says. What a scan would sign on with is not kept:
// there is no scanner that could use it, and a secret that nobody needs only leaks.
func readScan(body *api.Object, v *vulnerability.Scan) error {
	for name, to := range map[string]*string{"scanType": &v.Type, "scanName": &v.Name, "target": &v.Target, "targetType": &v.TargetType} {
		if !body.Has(name) {
			continue
		}
		s, err := body.String(name)
		if err != nil {
			return err
		}
		*to = s
	}
	var err error
	if body.Has("isActive") {
		if v.Active, err = body.Bool("isActive"); err != nil {
			return err
		}
	}
	if body.Has("intervalInHours") {
		if v.Interval, err = body.Int("intervalInHours"); err != nil {
			return err
		}
	}
	if body.Has("scannerAgent") {
		agent, err := body.Object("scannerAgent")
		if err != nil {
			return err
		}
		if v.Scanner, err = agent.String("machineId"); err != nil {
			return err
		}
	}
	return nil
}

func (a *API) createScan(w http.ResponseWriter, r *api.Request) error {
	return a.putScan(w, r, &vulnerability.Scan{})
}

func (a *API) putScan(w http.ResponseWriter, r *api.Request, v *vulnerability.Scan) error {
	body, err := r.JSON()
	if err != nil {
		return err
	}
	if err := readScan(body, v); err != nil {
		return err
	}
	if v, err = a.service.PutScan(r.Context(), r.Caller, v); err != nil {
		return err
	}
	return odata.WriteEntity(w, r, http.StatusOK, kindOf("DeviceAuthenticatedScanDefinitions/$entity"), a.scanOf(r)(v))
}

func (a *API) changeScan(w http.ResponseWriter, r *api.Request) error {
	all, err := a.service.Scans(r.Context(), r.Caller.Tenant)
	if err != nil {
		return err
	}
	for _, v := range all {
		if v.ID == r.Var("id") {
			return a.putScan(w, r, v)
		}
	}
	return errs.New("tvm.scan", errs.NotFound, errs.ResourceNotFound, "Scan definition %.64s was not found", r.Var("id"))
}

func scanTexts(r *api.Request, name string) ([]string, error) {
	body, err := r.JSON()
	if err != nil {
		return nil, err
	}
	ids, err := body.Texts(name)
	if err != nil {
		return nil, err
	}
	if len(ids) == 0 || len(ids) > 1000 {
		return nil, errs.New("tvm.scan", errs.Invalid, errs.InvalidInput, "%s has %d members, not between 1 and 1000", name, len(ids))
	}
	return ids, nil
}

func (a *API) deleteScans(w http.ResponseWriter, r *api.Request) error {
	ids, err := scanTexts(r, "ScanDefinitionIds")
	if err != nil {
		return err
	}
	for _, id := range ids {
		if err := a.service.DeleteScan(r.Context(), r.Caller, id); err != nil {
			return err
		}
	}
	return api.WriteEmpty(w, http.StatusOK)
}

// scanHistory answers that no session has run: no scanner is part of this server yet.
func (a *API) scanHistory(member string) api.Handler {
	return func(w http.ResponseWriter, r *api.Request) error {
		if _, err := scanTexts(r, member); err != nil {
			return err
		}
		return whole(w, r, "Collection(microsoft.windowsDefenderATP.api.DeviceAuthenticatedScanHistory)", []latestScan{}, func(l latestScan) latestScan { return l })
	}
}
