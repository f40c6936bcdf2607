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
)

// maxAlerts is the largest page of alerts.
const maxAlerts = 2000

// alertEntity is Graph's security.alert.
type alertEntity struct {
	Type               string            `json:"@odata.type"`
	ID                 string            `json:"id"`
	ProviderAlertID    string            `json:"providerAlertId"`
	IncidentID         *string           `json:"incidentId"`
	Status             string            `json:"status"`
	Severity           string            `json:"severity"`
	Classification     string            `json:"classification"`
	Determination      string            `json:"determination"`
	ServiceSource      string            `json:"serviceSource"`
	DetectionSource    string            `json:"detectionSource"`
	ProductName        string            `json:"productName"`
	DetectorID         *string           `json:"detectorId"`
	TenantID           string            `json:"tenantId"`
	Title              string            `json:"title"`
	Description        *string           `json:"description"`
	RecommendedActions *string           `json:"recommendedActions"`
	Category           *string           `json:"category"`
	AssignedTo         *string           `json:"assignedTo"`
	AlertWebURL        string            `json:"alertWebUrl"`
	IncidentWebURL     *string           `json:"incidentWebUrl"`
	ActorDisplayName   *string           `json:"actorDisplayName"`
	ThreatDisplayName  *string           `json:"threatDisplayName"`
	ThreatFamilyName   *string           `json:"threatFamilyName"`
	MitreTechniques    []string          `json:"mitreTechniques"`
	CreatedDateTime    odata.DateTime    `json:"createdDateTime"`
	LastUpdateDateTime odata.DateTime    `json:"lastUpdateDateTime"`
	ResolvedDateTime   odata.DateTime    `json:"resolvedDateTime"`
	FirstActivity      odata.DateTime    `json:"firstActivityDateTime"`
	LastActivity       odata.DateTime    `json:"lastActivityDateTime"`
	AlertPolicyID      *string           `json:"alertPolicyId"`
	InvestigationState *string           `json:"investigationState"`
	SystemTags         []string          `json:"systemTags"`
	AdditionalData     *struct{}         `json:"additionalData"`
	Comments           []commentEntity   `json:"comments"`
	Evidence           []evidenceEntity  `json:"evidence"`
	CustomDetails      map[string]string `json:"customDetails" doc:"nullable"` // of a custom detection rule
}

// commentEntity is Graph's security.alertComment.
type commentEntity struct {
	Type      string         `json:"@odata.type"`
	Comment   string         `json:"comment"`
	CreatedBy string         `json:"createdByDisplayName"`
	Created   odata.DateTime `json:"createdDateTime"`
}

// alertPatch is the body that updates an alert.
type alertPatch struct {
	AssignedTo     string `json:"assignedTo" doc:"max=256"`
	Classification string `json:"classification" doc:"enum=unknown|falsePositive|truePositive|informationalExpectedActivity"`
	Determination  string `json:"determination"`
	Status         string `json:"status" doc:"enum=new|inProgress|resolved"`
}

// commentBody is the body that adds a comment.
type commentBody struct {
	Comment string `json:"comment" doc:"required,max=4000"`
}

var alertWords = newVocabulary(alert.Fields,
	property{"id", "id"}, property{"incidentId", "incidentId"}, property{"assignedTo", "assignedTo"}, property{"severity", "severity"},
	property{"status", "status"}, property{"category", "category"}, property{"title", "title"}, property{"classification", "classification"},
	property{"determination", "determination"}, property{"detectionSource", "detectionSource"}, property{"createdDateTime", "alertCreationTime"},
	property{"lastUpdateDateTime", "lastUpdateTime"}, property{"firstActivityDateTime", "firstEventTime"}, property{"lastActivityDateTime", "lastEventTime"},
)

func (a *API) alertQuery(r *api.Request) (odata.Options, filter.Query, error) {
	o, err := odata.Parse(r.Query, odata.Spec{Fields: alertWords.fields, Entity: alertEntity{}, Top: maxAlerts, Page: maxAlerts})
	if err != nil {
		return o, filter.Query{}, err
	}
	q, err := alertWords.query(o.Query)
	return o, q, err
}

func (a *API) listAlerts(w http.ResponseWriter, r *api.Request) error {
	o, q, err := a.alertQuery(r)
	if err != nil {
		return err
	}
	page, err := a.Alerts.List(r.Context(), r.Caller.Tenant, q)
	if err != nil {
		return err
	}
	devices := a.lookup(r)
	return odata.WriteCollection(w, r, contextOf(r, "alerts_v2"), o, page, func(al *alert.Alert) alertEntity { return alertOf(r, al, devices) })
}

func (a *API) countAlerts(w http.ResponseWriter, r *api.Request) error {
	_, q, err := a.alertQuery(r)
	if err != nil {
		return err
	}
	page, err := a.Alerts.List(r.Context(), r.Caller.Tenant, filter.Query{Where: q.Where, Top: 1, Count: true})
	if err != nil {
		return err
	}
	return api.WriteText(w, http.StatusOK, strconv.FormatInt(page.Total, 10))
}

func noAlert(err error, id string) error {
	if errs.Is(err, errs.NotFound) {
		return errs.New("graph.alert", errs.NotFound, errs.ResourceNotFound, "Alert %s was not found", id)
	}
	return err
}

func (a *API) alert(r *api.Request) (*alert.Alert, error) {
	al, err := a.Alerts.Get(r.Context(), r.Caller.Tenant, ident.AlertID(r.Var("id")))
	return al, noAlert(err, r.Var("id"))
}

func (a *API) getAlert(w http.ResponseWriter, r *api.Request) error {
	al, err := a.alert(r)
	if err != nil {
		return err
	}
	return odata.WriteEntity(w, r, http.StatusOK, contextOf(r, "alerts_v2/$entity"), alertOf(r, al, a.lookup(r)))
}

func (a *API) patchAlert(w http.ResponseWriter, r *api.Request) error {
	body, err := r.JSON()
	if err != nil {
		return err
	}
	var c alert.Change
	for name, to := range map[string]**string{
		"status": &c.Status, "assignedTo": &c.AssignedTo, "classification": &c.Classification, "determination": &c.Determination,
	} {
		if *to, err = text(body, name); err != nil {
			return err
		}
	}
	al, err := a.Alerts.Update(r.Context(), r.Caller, ident.AlertID(r.Var("id")), c)
	if err != nil {
		return noAlert(err, r.Var("id"))
	}
	return odata.WriteEntity(w, r, http.StatusOK, contextOf(r, "alerts_v2/$entity"), alertOf(r, al, a.lookup(r)))
}

// text reads a property that a PATCH may set, in our words; nil when it is not there.
func text(body *api.Object, name string) (*string, error) {
	if !body.Has(name) {
		return nil, nil
	}
	s, err := body.String(name)
	if err != nil {
		return nil, err
	}
	switch name {
	case "status", "severity":
		if s == "" {
			return nil, nil
		}
	case "classification", "determination":
		s = ours(name, s)
	}
	return &s, nil
}

func (a *API) alertComments(w http.ResponseWriter, r *api.Request) error {
	al, err := a.alert(r)
	if err != nil {
		return err
	}
	return writeAll(w, r, "alerts_v2('"+string(al.ID)+"')/comments", comments(al.Comments))
}

// writeAll answers with a collection that is in one piece.
func writeAll[E any](w http.ResponseWriter, r *api.Request, set string, items []E) error {
	return odata.WriteCollection(w, r, contextOf(r, set), odata.Options{}, filter.Page[E]{Items: items}, func(e E) E { return e })
}

func (a *API) commentAlert(w http.ResponseWriter, r *api.Request) error {
	c, err := commentOf(r)
	if err != nil {
		return err
	}
	al, err := a.Alerts.Update(r.Context(), r.Caller, ident.AlertID(r.Var("id")), alert.Change{Comment: c})
	if err != nil {
		return noAlert(err, r.Var("id"))
	}
	return writeAll(w, r, "alerts_v2('"+string(al.ID)+"')/comments", comments(al.Comments))
}

func commentOf(r *api.Request) (string, error) {
	body, err := r.JSON()
	if err != nil {
		return "", err
	}
	return body.RequireString("comment")
}

func comments(cs []alert.Comment) []commentEntity {
	out := []commentEntity{}
	for _, c := range cs {
		out = append(out, commentEntity{Type: "#microsoft.graph.security.alertComment", Comment: c.Text, CreatedBy: c.By, Created: odata.DateTime(c.Created)})
	}
	return out
}

func alertOf(r *api.Request, al *alert.Alert, devices lookup) alertEntity {
	e := alertEntity{
		Type: "#microsoft.graph.security.alert", ID: string(al.ID), ProviderAlertID: string(al.ID),
		Status: lower(string(al.Status)), Severity: severity(al.Severity), Classification: lower(al.Classification),
		Determination: determination(al.Determination), ServiceSource: serviceSource, DetectionSource: detectionSource(al.DetectionSource),
		ProductName: productName, DetectorID: optional(al.DetectorID), TenantID: string(al.Tenant), Title: al.Title,
		Description: optional(al.Description), RecommendedActions: optional(al.Recommended), Category: optional(al.Category),
		AssignedTo: optional(al.AssignedTo), AlertWebURL: r.BaseURL() + "/alerts/" + string(al.ID), MitreTechniques: list(al.Techniques),
		CreatedDateTime: odata.DateTime(al.Created), LastUpdateDateTime: odata.DateTime(al.Updated), ResolvedDateTime: odata.DateTime(al.Resolved),
		FirstActivity: odata.DateTime(al.FirstEvent), LastActivity: odata.DateTime(al.LastEvent), SystemTags: []string{},
		Comments: comments(al.Comments), Evidence: evidenceOf(al, devices),
		CustomDetails: al.Details,
	}
	if al.Incident != 0 {
		id := al.Incident.String()
		url := r.BaseURL() + "/incidents/" + id
		e.IncidentID, e.IncidentWebURL = &id, &url
	}
	if al.InvestigationState != "" {
		s := lower(al.InvestigationState)
		e.InvestigationState = &s
	}
	return e
}

// optional renders the zero value of T as null.
func optional[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}

// list renders a nil slice as [].
func list[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

func number(s string) (int64, bool) {
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil && n > 0
}
