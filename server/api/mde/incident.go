package mde

import (
	"context"
	"net/http"
	"strconv"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/alert"
	"github.com/vedette-edr/vedette/server/api"
	"github.com/vedette-edr/vedette/server/api/odata"
	"github.com/vedette-edr/vedette/server/device"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/filter"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/incident"
)

// Incidents is what this package needs of incident.Service.
type Incidents interface {
	Get(ctx context.Context, tenant ident.TenantID, id ident.IncidentID) (*incident.Incident, error)
	List(ctx context.Context, tenant ident.TenantID, q filter.Query) (filter.Page[*incident.Incident], error)
	AlertsOf(ctx context.Context, tenant ident.TenantID, ids ...ident.IncidentID) (map[ident.IncidentID][]*alert.Alert, error)
	Update(ctx context.Context, by *access.Principal, id ident.IncidentID, c incident.Change) (*incident.Incident, error)
}

// maxIncidents is the published bound of $top and of a page.
const maxIncidents = 100

func (a *API) incidentRoutes() []api.Route {
	read := []access.Permission{access.IncidentRead, access.IncidentReadWrite}
	routes := []api.Route{
		get("/incidents", read, a.getIncidents),
		get("/incidents/$count", read, a.countIncidents),
		get("/incidents/{id}", read, a.getIncident),
		patch("/incidents/{id}", []access.Permission{access.IncidentReadWrite}, a.patchIncident),
	}
	docs := []api.Doc{
		{Summary: "List incidents with their alerts", Params: []api.Param{{Name: "$filter"}, {Name: "$orderby"}, {Name: "$top", Type: "integer", About: "at most 100"},
			{Name: "$skip", Type: "integer"}, {Name: "$count", Type: "boolean"}, {Name: "$select"}}, Answer: []incidentEntity{}, Errors: []errs.Code{errs.ODataError}},
		{Summary: "Count incidents", Params: []api.Param{{Name: "$filter"}}, Answer: "", Errors: []errs.Code{errs.ODataError}},
		{Summary: "Get an incident", Answer: incidentEntity{}, Errors: []errs.Code{errs.ResourceNotFound}},
		{Summary: "Update an incident", Body: incidentPatch{}, Answer: incidentEntity{}, Errors: []errs.Code{errs.ResourceNotFound, errs.InvalidInput, errs.InvalidRequestBody}},
	}
	for i := range routes {
		routes[i].Limit, routes[i].Doc = api.Limit{PerMinute: 50, PerHour: 1500}, docs[i]
	}
	return append(routes, a.queueRoute(read))
}

// incidentPatch is the body that updates an incident.
type incidentPatch struct {
	Status         string   `json:"status" doc:"enum=Active|InProgress|Resolved"`
	AssignedTo     string   `json:"assignedTo" doc:"max=256"`
	Classification string   `json:"classification"`
	Determination  string   `json:"determination"`
	Tags           []string `json:"tags" doc:"max=50"`
	Comment        string   `json:"comment" doc:"max=4000"`
}

// incidentEntity is the published incident.
type incidentEntity struct {
	IncidentID         int64                 `json:"incidentId"`
	RedirectIncidentID *int64                `json:"redirectIncidentId"`
	IncidentName       string                `json:"incidentName"`
	CreatedTime        odata.DateTime        `json:"createdTime"`
	LastUpdateTime     odata.DateTime        `json:"lastUpdateTime"`
	AssignedTo         *string               `json:"assignedTo"`
	Classification     string                `json:"classification"`
	Determination      string                `json:"determination"`
	DetectionSource    *string               `json:"detectionSource"`
	Status             string                `json:"status"`
	Severity           string                `json:"severity"`
	Tags               []string              `json:"tags"`
	Comments           []commentEntity       `json:"comments"`
	Alerts             []incidentAlertEntity `json:"alerts"`
}

// incidentAlertEntity is an alert as an incident holds it.
type incidentAlertEntity struct {
	AlertID            string           `json:"alertId"`
	ProviderAlertID    string           `json:"providerAlertId"`
	IncidentID         int64            `json:"incidentId"`
	ServiceSource      string           `json:"serviceSource"`
	CreationTime       odata.DateTime   `json:"creationTime"`
	LastUpdatedTime    odata.DateTime   `json:"lastUpdatedTime"`
	ResolvedTime       odata.DateTime   `json:"resolvedTime"`
	FirstActivity      odata.DateTime   `json:"firstActivity"`
	LastActivity       odata.DateTime   `json:"lastActivity"`
	Title              string           `json:"title"`
	Description        *string          `json:"description"`
	Category           *string          `json:"category"`
	Status             string           `json:"status"`
	Severity           string           `json:"severity"`
	InvestigationID    *int64           `json:"investigationId"`
	InvestigationState *string          `json:"investigationState"`
	Classification     *string          `json:"classification"`
	Determination      *string          `json:"determination"`
	DetectionSource    *string          `json:"detectionSource"`
	DetectorID         *string          `json:"detectorId"`
	AssignedTo         *string          `json:"assignedTo"`
	ActorName          *string          `json:"actorName"`
	ThreatFamilyName   *string          `json:"threatFamilyName"`
	MITRETechniques    []string         `json:"mitreTechniques"`
	Devices            []incidentDevice `json:"devices"`
	Entities           []incidentThing  `json:"entities"`
}

type incidentDevice struct {
	MDATPDeviceID string         `json:"mdatpDeviceId"`
	AADDeviceID   *string        `json:"aadDeviceId"`
	DeviceDNSName *string        `json:"deviceDnsName"`
	OSPlatform    *string        `json:"osPlatform"`
	Version       *string        `json:"version"`
	OSProcessor   *string        `json:"osProcessor"`
	OSBuild       *int64         `json:"osBuild"`
	HealthStatus  *string        `json:"healthStatus"`
	RiskScore     *string        `json:"riskScore"`
	RBACGroupName *string        `json:"rbacGroupName"`
	RBACGroupID   *int64         `json:"rbacGroupId"`
	FirstSeen     odata.DateTime `json:"firstSeen"`
}

type incidentThing struct {
	EntityType                string         `json:"entityType"`
	EvidenceCreationTime      odata.DateTime `json:"evidenceCreationTime"`
	SHA1                      *string        `json:"sha1"`
	SHA256                    *string        `json:"sha256"`
	FileName                  *string        `json:"fileName"`
	FilePath                  *string        `json:"filePath"`
	ProcessID                 *int64         `json:"processId"`
	ProcessCommandLine        *string        `json:"processCommandLine"`
	ProcessCreationTime       odata.DateTime `json:"processCreationTime"`
	ParentProcessID           *int64         `json:"parentProcessId"`
	ParentProcessCreationTime odata.DateTime `json:"parentProcessCreationTime"`
	IPAddress                 *string        `json:"ipAddress"`
	URL                       *string        `json:"url"`
	AccountName               *string        `json:"accountName"`
	DomainName                *string        `json:"domainName"`
	UserSID                   *string        `json:"userSid"`
	AADUserID                 *string        `json:"aadUserId"`
	UserPrincipalName         *string        `json:"userPrincipalName"`
	MailboxDisplayName        *string        `json:"mailboxDisplayName"`
	MailboxAddress            *string        `json:"mailboxAddress"`
	ClusterBy                 *string        `json:"clusterBy"`
	Sender                    *string        `json:"sender"`
	Recipient                 *string        `json:"recipient"`
	Subject                   *string        `json:"subject"`
	DeliveryAction            *string        `json:"deliveryAction"`
	SecurityGroupID           *string        `json:"securityGroupId"`
	SecurityGroupName         *string        `json:"securityGroupName"`
	RegistryHive              *string        `json:"registryHive"`
	RegistryKey               *string        `json:"registryKey"`
	RegistryValueType         *string        `json:"registryValueType"`
	RegistryValue             *string        `json:"registryValue"`
	DeviceID                  *string        `json:"deviceId"`
}

func incidentSpec() odata.Spec {
	return odata.Spec{Fields: incident.Fields, Entity: incidentEntity{}, Top: maxIncidents, Page: maxIncidents}
}

func (a *API) getIncidents(w http.ResponseWriter, r *api.Request) error {
	devices := map[ident.DeviceID]*device.Device{}
	return writeIncidents(a, w, r, incidentSpec(), func(i *incident.Incident, alerts []*alert.Alert) incidentEntity {
		return a.incidentOf(r, i, alerts, devices)
	})
}

// writeIncidents answers a page of incidents, each as show makes it of the incident and those
// of its alerts that the caller sees.
func writeIncidents[E any](a *API, w http.ResponseWriter, r *api.Request, spec odata.Spec, show func(*incident.Incident, []*alert.Alert) E) error {
	o, err := odata.Parse(r.Query, spec)
	if err != nil {
		return err
	}
	page, err := a.incidents.List(r.Context(), r.Caller.Tenant, o.Query)
	if err != nil {
		return err
	}
	ids := make([]ident.IncidentID, len(page.Items))
	for n, i := range page.Items {
		ids[n] = i.ID
	}
	alerts, err := a.incidents.AlertsOf(r.Context(), r.Caller.Tenant, ids...)
	if err != nil {
		return err
	}
	return odata.WriteCollection(w, r, kindOf("Incidents"), o, page, func(i *incident.Incident) E { return show(i, alerts[i.ID]) })
}

func (a *API) countIncidents(w http.ResponseWriter, r *api.Request) error {
	o, err := odata.Parse(r.Query, incidentSpec())
	if err != nil {
		return err
	}
	page, err := a.incidents.List(r.Context(), r.Caller.Tenant, filter.Query{Where: o.Query.Where, Top: 1, Count: true})
	if err != nil {
		return err
	}
	return counted(w, page.Total)
}

func noIncident(err error, id string) error {
	if errs.Is(err, errs.NotFound) {
		return errs.New("mde.incident", errs.NotFound, errs.ResourceNotFound, "Incident %s was not found", id)
	}
	return err
}

// incidentID reads the id of the path; what is none is the id of nothing.
func incidentID(r *api.Request) ident.IncidentID {
	n, err := strconv.ParseInt(r.Var("id"), 10, 64)
	if err != nil || n < 0 {
		return 0
	}
	return ident.IncidentID(n)
}

func (a *API) getIncident(w http.ResponseWriter, r *api.Request) error {
	i, err := a.incidents.Get(r.Context(), r.Caller.Tenant, incidentID(r))
	if err != nil {
		return noIncident(err, r.Var("id"))
	}
	return a.writeIncident(w, r, i)
}

func (a *API) writeIncident(w http.ResponseWriter, r *api.Request, i *incident.Incident) error {
	alerts, err := a.incidents.AlertsOf(r.Context(), r.Caller.Tenant, i.ID)
	if err != nil {
		return err
	}
	return odata.WriteEntity(w, r, http.StatusOK, kindOf("Incidents/$entity"), a.incidentOf(r, i, alerts[i.ID], map[ident.DeviceID]*device.Device{}))
}

func (a *API) patchIncident(w http.ResponseWriter, r *api.Request) error {
	body, err := r.JSON()
	if err != nil {
		return err
	}
	change, err := alertChange(body.Fold())
	if err != nil {
		return err
	}
	c := incident.Change{Status: change.Status, AssignedTo: change.AssignedTo, Classification: change.Classification,
		Determination: change.Determination, Comment: change.Comment}
	if body.Has("tags") {
		tags, err := body.Strings("tags")
		if err != nil {
			return err
		}
		c.Tags = &tags
	}
	i, err := a.incidents.Update(r.Context(), r.Caller, incidentID(r), c)
	if err != nil {
		return noIncident(err, r.Var("id"))
	}
	return a.writeIncident(w, r, i)
}

func (a *API) incidentOf(r *api.Request, i *incident.Incident, alerts []*alert.Alert, devices map[ident.DeviceID]*device.Device) incidentEntity {
	e := incidentEntity{
		IncidentID: int64(i.ID), RedirectIncidentID: optional(int64(i.Redirect)), IncidentName: i.Name, CreatedTime: stamp(i.Created),
		LastUpdateTime: stamp(i.Updated), AssignedTo: optional(i.AssignedTo), Classification: i.Classification, Determination: i.Determination,
		Status: string(i.Status), Severity: string(i.Severity), Tags: list(i.Tags), Comments: []commentEntity{}, Alerts: []incidentAlertEntity{},
	}
	// The published words for what nobody decided.
	if e.Classification == "" {
		e.Classification = "Unknown"
	}
	if e.Determination == "" {
		e.Determination = "NotAvailable"
	}
	if len(i.Sources) > 0 {
		e.DetectionSource = &i.Sources[0]
	}
	for _, c := range i.Comments {
		e.Comments = append(e.Comments, commentEntity{Comment: c.Text, CreatedBy: c.By, CreatedTime: stamp(c.Created)})
	}
	for _, al := range alerts {
		e.Alerts = append(e.Alerts, a.incidentAlert(r, al, devices))
	}
	return e
}

func (a *API) incidentAlert(r *api.Request, al *alert.Alert, devices map[ident.DeviceID]*device.Device) incidentAlertEntity {
	e := incidentAlertEntity{
		AlertID: string(al.ID), ProviderAlertID: string(al.ID), IncidentID: int64(al.Incident), ServiceSource: "MicrosoftDefenderForEndpoint",
		CreationTime: stamp(al.Created), LastUpdatedTime: stamp(al.Updated), ResolvedTime: stamp(al.Resolved), FirstActivity: stamp(al.FirstEvent),
		LastActivity: stamp(al.LastEvent), Title: al.Title, Description: optional(al.Description), Category: optional(al.Category),
		Status: string(al.Status), Severity: string(al.Severity), InvestigationID: optional(al.Investigation), InvestigationState: optional(al.InvestigationState),
		Classification: optional(al.Classification), Determination: optional(al.Determination), DetectionSource: optional(al.DetectionSource),
		DetectorID: optional(al.DetectorID), AssignedTo: optional(al.AssignedTo), MITRETechniques: list(al.Techniques),
		Devices: []incidentDevice{}, Entities: []incidentThing{},
	}
	if al.Device != "" {
		e.Devices = append(e.Devices, a.incidentDevice(r, al, devices))
	}
	for i := range al.Evidence {
		v := &al.Evidence[i]
		e.Entities = append(e.Entities, incidentThing{
			EntityType: v.Type, EvidenceCreationTime: stamp(v.Created), SHA1: optional(v.SHA1), SHA256: optional(v.SHA256), FileName: optional(v.FileName),
			FilePath: optional(v.FilePath), ProcessID: optional(v.ProcessID), ProcessCommandLine: optional(v.CommandLine),
			ProcessCreationTime: stamp(v.ProcessCreated), ParentProcessID: optional(v.ParentID), ParentProcessCreationTime: stamp(v.ParentCreated),
			IPAddress: optional(v.IP), URL: optional(v.URL), AccountName: optional(v.Account), DomainName: optional(v.Domain), UserSID: optional(v.UserID),
			DeviceID: optional(string(al.Device)),
		})
	}
	return e
}

func (a *API) incidentDevice(r *api.Request, al *alert.Alert, devices map[ident.DeviceID]*device.Device) incidentDevice {
	e := incidentDevice{MDATPDeviceID: string(al.Device), DeviceDNSName: optional(al.DeviceName)}
	d, ok := devices[al.Device]
	if !ok {
		// A device that is gone leaves its alerts behind: they are answered without it.
		d, _ = a.devices.Get(r.Context(), r.Caller.Tenant, al.Device)
		devices[al.Device] = d
	}
	if d == nil {
		return e
	}
	health, group := string(d.Health(a.now())), a.groups.Label(d.Tenant, d.Group)
	e.OSPlatform, e.Version, e.OSProcessor = optional(d.Platform), optional(d.Inventory.Version), optional(d.Inventory.Processor)
	e.HealthStatus, e.RBACGroupID, e.RBACGroupName, e.RiskScore, e.FirstSeen = &health, &d.Group, &group, optional(string(d.Risk)), stamp(d.FirstSeen)
	return e
}
