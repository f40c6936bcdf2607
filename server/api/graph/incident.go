package graph

import (
	"net/http"
	"strconv"

	"github.com/vedette-edr/vedette/server/alert"
	"github.com/vedette-edr/vedette/server/api"
	"github.com/vedette-edr/vedette/server/api/odata"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/filter"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/incident"
)

// maxIncidents is the published bound of a page of incidents.
const maxIncidents = 50

// expandAlerts is the navigation of incidents that is left out unless asked for.
const expandAlerts = "alerts"

// incidentEntity is Graph's security.incident.
type incidentEntity struct {
	Type               string          `json:"@odata.type"`
	ID                 string          `json:"id"`
	TenantID           string          `json:"tenantId"`
	Status             string          `json:"status"`
	IncidentWebURL     string          `json:"incidentWebUrl"`
	RedirectIncidentID *string         `json:"redirectIncidentId"`
	DisplayName        string          `json:"displayName"`
	CreatedDateTime    odata.DateTime  `json:"createdDateTime"`
	LastUpdateDateTime odata.DateTime  `json:"lastUpdateDateTime"`
	AssignedTo         *string         `json:"assignedTo"`
	Classification     string          `json:"classification"`
	Determination      string          `json:"determination"`
	Severity           string          `json:"severity"`
	CustomTags         []string        `json:"customTags"`
	SystemTags         []string        `json:"systemTags"`
	Description        *string         `json:"description"`
	LastModifiedBy     *string         `json:"lastModifiedBy"`
	ResolvingComment   *string         `json:"resolvingComment"`
	Summary            *string         `json:"summary"`
	Comments           []commentEntity `json:"comments"`
	Alerts             []alertEntity   `json:"alerts,omitempty"`
}

// incidentPatch is the body that updates an incident.
type incidentPatch struct {
	AssignedTo       string   `json:"assignedTo" doc:"max=256"`
	Classification   string   `json:"classification" doc:"enum=unknown|falsePositive|truePositive|informationalExpectedActivity"`
	CustomTags       []string `json:"customTags" doc:"max=50"`
	Determination    string   `json:"determination"`
	DisplayName      string   `json:"displayName" doc:"max=256"`
	ResolvingComment string   `json:"resolvingComment" doc:"max=4000"`
	Severity         string   `json:"severity" doc:"enum=informational|low|medium|high"`
	Status           string   `json:"status" doc:"enum=active|inProgress|resolved"`
	Summary          string   `json:"summary"`
}

var incidentWords = newVocabulary(incident.Fields,
	property{"id", "incidentId"}, property{"redirectIncidentId", "redirectIncidentId"}, property{"displayName", "incidentName"},
	property{"severity", "severity"}, property{"status", "status"}, property{"assignedTo", "assignedTo"}, property{"classification", "classification"},
	property{"determination", "determination"}, property{"customTags", "tags"}, property{"createdDateTime", "createdTime"},
	property{"lastUpdateDateTime", "lastUpdateTime"},
)

func (a *API) incidentQuery(r *api.Request) (odata.Options, filter.Query, error) {
	o, err := odata.Parse(r.Query, odata.Spec{Fields: incidentWords.fields, Entity: incidentEntity{}, Expand: []string{expandAlerts}, Top: maxIncidents, Page: maxIncidents})
	if err != nil {
		return o, filter.Query{}, err
	}
	q, err := incidentWords.query(o.Query)
	return o, q, err
}

func (a *API) listIncidents(w http.ResponseWriter, r *api.Request) error {
	o, q, err := a.incidentQuery(r)
	if err != nil {
		return err
	}
	page, err := a.Incidents.List(r.Context(), r.Caller.Tenant, q)
	if err != nil {
		return err
	}
	var alerts map[ident.IncidentID][]*alert.Alert
	if o.Expands(expandAlerts) {
		ids := make([]ident.IncidentID, len(page.Items))
		for n, i := range page.Items {
			ids[n] = i.ID
		}
		if alerts, err = a.Incidents.AlertsOf(r.Context(), r.Caller.Tenant, ids...); err != nil {
			return err
		}
	}
	devices := a.lookup(r)
	return odata.WriteCollection(w, r, contextOf(r, "incidents"), o, page, func(i *incident.Incident) incidentEntity {
		return incidentOf(r, i, alerts[i.ID], devices)
	})
}

func (a *API) countIncidents(w http.ResponseWriter, r *api.Request) error {
	_, q, err := a.incidentQuery(r)
	if err != nil {
		return err
	}
	page, err := a.Incidents.List(r.Context(), r.Caller.Tenant, filter.Query{Where: q.Where, Top: 1, Count: true})
	if err != nil {
		return err
	}
	return api.WriteText(w, http.StatusOK, strconv.FormatInt(page.Total, 10))
}

func noIncident(err error, id string) error {
	if errs.Is(err, errs.NotFound) {
		return errs.New("graph.incident", errs.NotFound, errs.ResourceNotFound, "Incident %s was not found", id)
	}
	return err
}

func incidentID(r *api.Request) ident.IncidentID {
	id, _ := number(r.Var("id")) // 0 is the id of none
	return ident.IncidentID(id)
}

func (a *API) incident(r *api.Request) (*incident.Incident, error) {
	i, err := a.Incidents.Get(r.Context(), r.Caller.Tenant, incidentID(r))
	return i, noIncident(err, r.Var("id"))
}

func (a *API) getIncident(w http.ResponseWriter, r *api.Request) error {
	o, err := odata.Parse(r.Query, odata.Spec{Entity: incidentEntity{}, Expand: []string{expandAlerts}})
	if err != nil {
		return err
	}
	i, err := a.incident(r)
	if err != nil {
		return err
	}
	var alerts map[ident.IncidentID][]*alert.Alert
	if o.Expands(expandAlerts) {
		if alerts, err = a.Incidents.AlertsOf(r.Context(), r.Caller.Tenant, i.ID); err != nil {
			return err
		}
	}
	return odata.WriteSelected(w, r, http.StatusOK, contextOf(r, "incidents/$entity"), incidentOf(r, i, alerts[i.ID], a.lookup(r)), o.Select)
}

func (a *API) patchIncident(w http.ResponseWriter, r *api.Request) error {
	body, err := r.JSON()
	if err != nil {
		return err
	}
	var c incident.Change
	for name, to := range map[string]**string{
		"status": &c.Status, "assignedTo": &c.AssignedTo, "classification": &c.Classification, "determination": &c.Determination,
		"displayName": &c.Name, "severity": &c.Severity, "summary": &c.Summary,
	} {
		if *to, err = text(body, name); err != nil {
			return err
		}
	}
	if body.Has("customTags") {
		tags, err := body.Strings("customTags")
		if err != nil {
			return err
		}
		c.Tags = &tags
	}
	if c.Comment, err = body.String("resolvingComment"); err != nil {
		return err
	}
	i, err := a.Incidents.Update(r.Context(), r.Caller, incidentID(r), c)
	if err != nil {
		return noIncident(err, r.Var("id"))
	}
	return odata.WriteEntity(w, r, http.StatusOK, contextOf(r, "incidents/$entity"), incidentOf(r, i, nil, a.lookup(r)))
}

func (a *API) incidentAlerts(w http.ResponseWriter, r *api.Request) error {
	i, err := a.incident(r)
	if err != nil {
		return err
	}
	alerts, err := a.Incidents.AlertsOf(r.Context(), r.Caller.Tenant, i.ID)
	if err != nil {
		return err
	}
	out := []alertEntity{}
	devices := a.lookup(r)
	for _, al := range alerts[i.ID] {
		out = append(out, alertOf(r, al, devices))
	}
	return writeAll(w, r, "incidents('"+i.ID.String()+"')/alerts", out)
}

func (a *API) incidentComments(w http.ResponseWriter, r *api.Request) error {
	i, err := a.incident(r)
	if err != nil {
		return err
	}
	return writeAll(w, r, "incidents('"+i.ID.String()+"')/comments", comments(i.Comments))
}

func (a *API) commentIncident(w http.ResponseWriter, r *api.Request) error {
	c, err := commentOf(r)
	if err != nil {
		return err
	}
	i, err := a.Incidents.Update(r.Context(), r.Caller, incidentID(r), incident.Change{Comment: c})
	if err != nil {
		return noIncident(err, r.Var("id"))
	}
	return writeAll(w, r, "incidents('"+i.ID.String()+"')/comments", comments(i.Comments))
}

func incidentOf(r *api.Request, i *incident.Incident, alerts []*alert.Alert, devices lookup) incidentEntity {
	e := incidentEntity{
		Type: "#microsoft.graph.security.incident", ID: i.ID.String(), TenantID: string(i.Tenant), Status: lower(string(i.Status)),
		IncidentWebURL: r.BaseURL() + "/incidents/" + i.ID.String(), DisplayName: i.Name, CreatedDateTime: odata.DateTime(i.Created),
		LastUpdateDateTime: odata.DateTime(i.Updated), AssignedTo: optional(i.AssignedTo), Classification: lower(i.Classification),
		Determination: determination(i.Determination), Severity: severity(i.Severity), CustomTags: list(i.Tags), SystemTags: []string{},
		Summary: optional(i.Summary), Comments: comments(i.Comments),
	}
	if i.Redirect != 0 {
		to := i.Redirect.String()
		e.RedirectIncidentID = &to
	}
	for _, al := range alerts {
		e.Alerts = append(e.Alerts, alertOf(r, al, devices))
	}
	return e
}
