package mde

import (
	"encoding/json"
	"maps"

	"github.com/vedette-edr/vedette/server/action"
	"github.com/vedette-edr/vedette/server/alert"
	"github.com/vedette-edr/vedette/server/api"
	"github.com/vedette-edr/vedette/server/api/odata"
	"github.com/vedette-edr/vedette/server/api/rows"
	"github.com/vedette-edr/vedette/server/errs"
)

// docs is what routes say of themselves, by method and the path below /api.
type docs map[string]api.Doc

// document gives the routes that say nothing of themselves their Doc.
func (a *API) document(routes []api.Route) []api.Route {
	all := docs{}
	for _, part := range []docs{a.alertDocs(), a.machineDocs(), a.actionDocs(), a.indicatorDocs(), a.huntDocs(), a.sightingDocs(),
		a.libraryDocs(), a.investigationDocs(), a.legacyDocs()} {
		maps.Copy(all, part)
	}
	for i := range routes {
		r := &routes[i]
		if r.Doc.Summary == "" {
			r.Doc = all[r.Method+" "+r.Pattern[len("/api"):]]
		}
	}
	return routes
}

// listed documents a list: its query options and the entities it answers.
func listed(summary string, s odata.Spec, entities any) api.Doc {
	return api.Doc{Summary: summary, Params: odata.Params(s), Answer: entities, Errors: []errs.Code{errs.ODataError}}
}

// numbered documents a /$count.
func numbered(summary string, s odata.Spec) api.Doc {
	return api.Doc{Summary: summary, Params: odata.CountParams(s), Answer: "", Errors: []errs.Code{errs.ODataError}}
}

// made documents a list of entities that are made for the request.
func made[E any](a *API, summary string) api.Doc {
	var zero E
	return listed(summary, a.spec(odata.Fields(zero), zero), []E{})
}

// madeCount documents the /$count of entities that are made for the request.
func (a *API) madeCount(entity any, summary string) api.Doc {
	return numbered(summary, a.spec(odata.Fields(entity), nil))
}

func (a *API) alertSpec() odata.Spec { return a.spec(alert.Fields, alertEntity{}, expandEvidence) }

func (a *API) actionSpec() odata.Spec { return a.spec(action.Fields, actionEntity{}) }

func (a *API) indicatorSpec() odata.Spec { return a.spec(indicatorFields, indicatorEntity{}) }

type alertChangeBody struct {
	Status         *string `json:"status" doc:"enum=New|InProgress|Resolved"`
	AssignedTo     *string `json:"assignedTo" doc:"max=256"`
	Classification *string `json:"classification" doc:"enum=TruePositive|InformationalExpectedActivity|FalsePositive"`
	Determination  *string `json:"determination" doc:"enum=MultiStagedAttack|MaliciousUserActivity|CompromisedUser|Malware|Phishing|UnwantedSoftware|SecurityTesting|LineOfBusinessApplication|ConfirmedUserActivity|NotMalicious|InsufficientData|Other"`
	Comment        *string `json:"comment" doc:"max=4000"`
}

type alertBatchBody struct {
	AlertIDs []string `json:"alertIds" doc:"required,max=1000"`
	alertChangeBody
}

type alertReferenceBody struct {
	EventTime         string `json:"eventTime" doc:"required,format=date-time"`
	ReportID          string `json:"reportId" doc:"required"`
	MachineID         string `json:"machineId" doc:"required"`
	Severity          string `json:"severity" doc:"required,enum=Informational|Low|Medium|High"`
	Title             string `json:"title" doc:"required"`
	Description       string `json:"description" doc:"required"`
	RecommendedAction string `json:"recommendedAction" doc:"required"`
	Category          string `json:"category" doc:"required"`
}

func (a *API) alertDocs() docs {
	return docs{
		"GET /alerts":                         listed("List alerts, newest first", a.alertSpec(), []alertEntity{}),
		"GET /alerts/$count":                  numbered("Count alerts", a.alertSpec()),
		"GET /alerts/{id}":                    {Summary: "Get an alert with its evidence", Answer: alertEntity{}},
		"PATCH /alerts/{id}":                  {Summary: "Update an alert", Body: alertChangeBody{}, Answer: alertEntity{}, Errors: []errs.Code{errs.InvalidRequestBody, errs.InvalidInput}},
		"POST /alerts/batchUpdate":            {Summary: "Update several alerts alike, all or none", Body: alertBatchBody{}, Errors: []errs.Code{errs.InvalidRequestBody, errs.MissingRequiredParameter, errs.MaximumBatchSizeExceeded, errs.ResourceNotFound}},
		"POST /alerts/CreateAlertByReference": {Summary: "Raise an alert for an event of telemetry", Body: alertReferenceBody{}, Answer: alertEntity{}, Errors: []errs.Code{errs.InvalidRequestBody, errs.MissingRequiredParameter, errs.InvalidInput, errs.ResourceNotFound}},
		"GET /alerts/{id}/machine":            {Summary: "Get the machine of an alert", Answer: machineEntity{}},
		"GET /alerts/{id}/files":              made[fileEntity](a, "List the files of an alert"),
		"GET /alerts/{id}/ips":                made[ipReference](a, "List the addresses of an alert"),
		"GET /alerts/{id}/domains":            made[domainReference](a, "List the domains of an alert"),
		"GET /alerts/{id}/files/$count":       a.madeCount(fileEntity{}, "Count the files of an alert"),
		"GET /alerts/{id}/ips/$count":         a.madeCount(ipReference{}, "Count the addresses of an alert"),
		"GET /alerts/{id}/domains/$count":     a.madeCount(domainReference{}, "Count the domains of an alert"),
		"GET /alerts/{id}/user":               {Summary: "Get the user of an alert", Answer: userEntity{}},
	}
}

type machineBody struct {
	MachineTags []string `json:"machineTags" doc:"max=100"`
	DeviceValue string   `json:"deviceValue" doc:"enum=Normal|Low|High"`
}

type tagBody struct {
	Value  string `json:"Value" doc:"required,max=200"`
	Action string `json:"Action" doc:"required,enum=Add|Remove"`
}

type tagsBody struct {
	tagBody
	MachineIDs []string `json:"MachineIds" doc:"required,max=500"`
}

type deviceValueBody struct {
	DeviceValue string `json:"DeviceValue" doc:"required,enum=Normal|Low|High"`
}

func (a *API) machineDocs() docs {
	machine := api.Param{Name: "id", About: "The machine's id, its computer name, or its aadDeviceId."}
	body := []errs.Code{errs.InvalidRequestBody, errs.MissingRequiredParameter, errs.InvalidInput}
	with := func(d api.Doc) api.Doc { d.Params = append([]api.Param{machine}, d.Params...); return d }
	found := func(summary string, params ...api.Param) api.Doc {
		d := listed(summary, a.machineSpec(), []machineEntity{})
		d.Params, d.Errors = append(params, d.Params...), append(d.Errors, errs.InvalidInput)
		return d
	}
	return docs{
		"GET /machines":                      listed("List machines that were seen within the retention time", a.machineSpec(), []machineEntity{}),
		"GET /machines/$count":               numbered("Count machines", a.machineSpec()),
		"GET /machines/{id}":                 with(api.Doc{Summary: "Get a machine", Answer: machineEntity{}}),
		"PATCH /machines/{id}":               with(api.Doc{Summary: "Replace the tags of a machine or set its value", Body: machineBody{}, Answer: machineEntity{}, Errors: body}),
		"POST /machines/{id}/tags":           with(api.Doc{Summary: "Add a tag to a machine or remove one", Body: tagBody{}, Answer: machineEntity{}, Errors: body}),
		"POST /machines/{id}/setDeviceValue": with(api.Doc{Summary: "Set the value of a machine", Body: deviceValueBody{}, Answer: machineEntity{}, Errors: body}),
		"POST /machines/AddOrRemoveTagForMultipleMachines": {Summary: "Add a tag to several machines or remove one", Body: tagsBody{},
			Errors: append(body, errs.MaximumBatchSizeExceeded, errs.ResourceNotFound)},
		"GET /machines/findbyip(ip={ip},timestamp={timestamp})": found("Find machines by an address that they had",
			api.Param{Name: "ip", About: "An IPv4 or IPv6 address, in single quotes or not.", Example: "'192.0.2.10'"},
			api.Param{Name: "timestamp", Type: "date-time", About: "When they were seen, give or take 15 minutes; 30 days back at most."}),
		"GET /machines/findbytag": found("Find machines by a tag",
			api.Param{Name: "tag", Required: true, Example: "Executive"},
			api.Param{Name: "useStartsWithFilter", Type: "boolean", About: "Whether the tag's beginning suffices.", Example: "true"}),
		"GET /machines/{id}/alerts":                  with(listed("List the alerts of a machine", a.alertSpec(), []alertEntity{})),
		"GET /machines/{id}/alerts/$count":           with(numbered("Count the alerts of a machine", a.alertSpec())),
		"GET /machines/{id}/logonusers":              with(made[userEntity](a, "List the accounts that logged on to a machine")),
		"GET /machines/{id}/logonusers/$count":       with(numbered("Count the accounts that logged on to a machine", a.spec(odata.Fields(userEntity{}), nil))),
		"GET /machines/{id}/machineactions":          with(listed("List the actions on a machine", a.actionSpec(), []actionEntity{})),
		"GET /machines/{id}/machineactions/$count":   with(numbered("Count the actions on a machine", a.actionSpec())),
		"GET /machines/{id}/availableMachineActions": with(made[availabilityEntity](a, "List what can be done to a machine now")),
	}
}

type isolateBody struct {
	Comment       string `json:"Comment" doc:"required"`
	IsolationType string `json:"IsolationType" doc:"enum=Full|Selective|UnManagedDevice"`
	ExternalID    string `json:"ExternalId"`
	ForceSelf     bool   `json:"ForceSelf"`
	// Allow is this server's own.
	Allow *struct {
		Addresses []string `json:"Addresses" doc:"max=256"`
		Programs  []string `json:"Programs" doc:"max=64"`
		Cgroups   []string `json:"Cgroups" doc:"max=16"`
	} `json:"Allow"`
}

type actionBody struct {
	Comment    string `json:"Comment" doc:"required"`
	ExternalID string `json:"ExternalId"`
}

type commentBody struct {
	Comment string `json:"Comment" doc:"required"`
}

func (a *API) actionDocs() docs {
	refused := []errs.Code{errs.InvalidRequestBody, errs.MissingRequiredParameter, errs.InvalidInput, errs.ActiveRequestAlreadyExists,
		errs.OSPlatformNotSupported, errs.ClientVersionNotSupported, errs.ForceSelfMissing, errs.InvalidHashValue}
	out := docs{
		"GET /machineactions":                    listed("List machine actions, newest first", a.actionSpec(), []actionEntity{}),
		"GET /machineactions/$count":             numbered("Count machine actions", a.actionSpec()),
		"GET /machineactions/{id}":               {Summary: "Get a machine action", Answer: actionEntity{}},
		"POST /machineactions/{id}/cancel":       {Summary: "Cancel a machine action", Body: commentBody{}, Answer: actionEntity{}, Errors: []errs.Code{errs.InvalidRequestBody, errs.MissingRequiredParameter}},
		"GET /machineactions/{id}/getPackageUri": {Summary: "Get the address of an investigation package, which is good for 15 minutes", Answer: valueEntity{}, Errors: []errs.Code{errs.ResourceNotFound}},
		"GET /machineactions/{id}/GetLiveResponseResultDownloadLink(index={index})": {Summary: "Get the address of what a command of a live response yielded, which is good for 30 minutes",
			Params: []api.Param{{Name: "index", Type: "integer", About: "Of the command, from 0.", Example: "0"}}, Answer: valueEntity{}, Errors: []errs.Code{errs.InvalidInput, errs.ResourceNotFound}},
		"GET /vedette/downloads/{ticket}": {Summary: "Download what an action yielded", Answer: "", AnswerMedia: "application/octet-stream", Errors: []errs.Code{errs.ResourceNotFound}},
	}
	out["POST /vedette/machines/{id}/releaseCode"] = api.Doc{Summary: "Get a code that ends the isolation of a machine where it stands, for one that cannot reach the server",
		Body: releaseBody{}, Answer: releaseEntity{}, Errors: []errs.Code{errs.InvalidRequestBody, errs.MissingRequiredParameter, errs.InvalidInput, errs.ResourceNotFound}}
	for _, k := range ownRequests {
		out["POST /vedette/machines/{id}/"+k.path] = api.Doc{Summary: k.summary, Body: k.body, Answer: actionEntity{}, Status: 201, Errors: refused}
	}
	for _, k := range requests {
		out["POST /machines/{id}/"+k.path] = api.Doc{Summary: k.summary, Body: k.body, Answer: actionEntity{}, Status: 201, Errors: refused}
	}
	return out
}

type indicatorBody struct {
	ID                  *string  `json:"id"`
	IndicatorValue      string   `json:"indicatorValue" doc:"required"`
	IndicatorType       string   `json:"indicatorType" doc:"required,enum=FileSha1|FileSha256|FileMd5|CertificateThumbprint|IpAddress|DomainName|Url"`
	Action              string   `json:"action" doc:"required,enum=Warn|Block|Audit|Alert|AlertAndBlock|BlockAndRemediate|Allowed"`
	Title               string   `json:"title" doc:"required,max=1000"`
	Description         string   `json:"description" doc:"required,max=4000"`
	Application         *string  `json:"application" doc:"max=1000"`
	ExpirationTime      *string  `json:"expirationTime" doc:"format=date-time"`
	Severity            *string  `json:"severity" doc:"enum=Informational|Low|Medium|High"`
	RecommendedActions  *string  `json:"recommendedActions" doc:"max=4000"`
	EducateURL          *string  `json:"educateUrl" doc:"max=2048"`
	ExternalID          *string  `json:"externalId" doc:"max=500"`
	GenerateAlert       bool     `json:"generateAlert"`
	HistoricalDetection bool     `json:"historicalDetection"`
	RBACGroupNames      []string `json:"rbacGroupNames" doc:"max=100"`
	RBACGroupIDs        []string `json:"rbacGroupIds" doc:"max=100"`
	MITRETechniques     []string `json:"mitreTechniques" doc:"max=100"`
}

type importBody struct {
	Indicators []indicatorBody `json:"Indicators" doc:"required,max=500"`
}

type indicatorIDsBody struct {
	IndicatorIDs []string `json:"IndicatorIds" doc:"required,max=500"`
}

func (a *API) indicatorDocs() docs {
	body := []errs.Code{errs.InvalidRequestBody, errs.MissingRequiredParameter, errs.InvalidInput, errs.QuotaExceeded}
	return docs{
		"GET /indicators":                  listed("List indicators", a.indicatorSpec(), []indicatorEntity{}),
		"GET /indicators/$count":           numbered("Count indicators", a.indicatorSpec()),
		"GET /indicators/{id}":             {Summary: "Get an indicator", Answer: indicatorEntity{}},
		"GET /indicators/{id}/stats":       {Summary: "What was seen of an indicator", Answer: indicatorStats{}},
		"GET /vedette/indicators/expired":  listed("List indicators that have expired, within 180 days", a.indicatorSpec(), []indicatorEntity{}),
		"GET /vedette/indicators/coverage": {Summary: "How many devices have the newest indicators in force", Answer: coverageEntity{}},
		"POST /indicators":                 {Summary: "Create an indicator, or change the one of the same value", Body: indicatorBody{}, Answer: indicatorEntity{}, Errors: body},
		"POST /indicators/import":          {Summary: "Create or change up to 500 indicators, each for itself", Body: importBody{}, Answer: []importEntity{}, Errors: append(body, errs.MaximumBatchSizeExceeded)},
		"POST /indicators/BatchDelete":     {Summary: "Delete several indicators, all or none", Body: indicatorIDsBody{}, Status: 204, Errors: []errs.Code{errs.InvalidRequestBody, errs.MissingRequiredParameter, errs.MaximumBatchSizeExceeded, errs.InvalidInput, errs.ResourceNotFound}},
		"DELETE /indicators/{id}":          {Summary: "Delete an indicator", Status: 204},
	}
}

type queryBody struct {
	Query string `json:"Query" doc:"required"`
}

// huntAnswer is the shape that writeHunt streams.
type huntAnswer struct {
	Stats        huntStats                    `json:"Stats"`
	Schema       []rows.Column                `json:"Schema"`
	Results      []map[string]json.RawMessage `json:"Results"`
	Completeness completeness                 `json:"completeness"`
}

func (a *API) huntDocs() docs {
	run := api.Doc{Summary: "Run a hunting query", Body: queryBody{}, Answer: huntAnswer{}, Bare: true,
		Errors: []errs.Code{errs.InvalidRequestBody, errs.MissingRequiredParameter}}
	key := api.Doc{Summary: "Run a hunting query that stands in the address", Answer: huntAnswer{}, Bare: true,
		Params: []api.Param{{Name: "key", Required: true, About: "The query, in KQL.", Example: "DeviceInfo | take 1"}},
		Errors: []errs.Code{errs.MissingRequiredParameter}}
	xdr := run
	xdr.Summary = "Run a hunting query (XDR)"
	return docs{
		"POST /advancedqueries/run": run, "GET /advancedqueries/run": key, "GET /advancedqueries": key, "POST /advancedhunting/run": xdr,
	}
}
