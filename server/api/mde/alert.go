package mde

import (
	"context"
	"net/http"
	"strings"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/alert"
	"github.com/vedette-edr/vedette/server/api"
	"github.com/vedette-edr/vedette/server/api/odata"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/filter"
	"github.com/vedette-edr/vedette/server/ident"
)

// Alerts is what this package needs of alert.Service.
type Alerts interface {
	Get(ctx context.Context, tenant ident.TenantID, id ident.AlertID) (*alert.Alert, error)
	List(ctx context.Context, tenant ident.TenantID, q filter.Query) (filter.Page[*alert.Alert], error)
	Update(ctx context.Context, by *access.Principal, id ident.AlertID, c alert.Change) (*alert.Alert, error)
	Report(ctx context.Context, by *access.Principal, r alert.Report) (*alert.Alert, error)
	UpdateMany(ctx context.Context, by *access.Principal, ids []ident.AlertID, c alert.Change) ([]*alert.Alert, error)
}

// expandEvidence is the one navigation of alerts that lists leave out unless asked.
const expandEvidence = "evidence"

func (a *API) alertRoutes() []api.Route {
	return []api.Route{
		get("/alerts", alertRead, a.getAlerts),
		get("/alerts/$count", alertRead, a.countAlerts),
		get("/alerts/{id}", alertRead, a.getAlert),
		patch("/alerts/{id}", alertWrite, a.patchAlert),
		limited(api.Limit{PerMinute: 10, PerHour: 500}, post("/alerts/batchUpdate", alertWrite, a.batchUpdateAlerts)),
		limited(api.Limit{PerMinute: 15}, post("/alerts/CreateAlertByReference", alertWrite, a.createAlert)),
		get("/alerts/{id}/machine", machineRead, a.getAlertMachine),
		get("/alerts/{id}/files", []access.Permission{access.FileRead}, a.getAlertFiles),
		get("/alerts/{id}/files/$count", []access.Permission{access.FileRead}, a.getAlertFiles),
		get("/alerts/{id}/ips/$count", []access.Permission{access.IPRead}, a.getAlertIPs),
		get("/alerts/{id}/domains/$count", []access.Permission{access.URLRead}, a.getAlertDomains),
		get("/alerts/{id}/ips", []access.Permission{access.IPRead}, a.getAlertIPs),
		get("/alerts/{id}/domains", []access.Permission{access.URLRead}, a.getAlertDomains),
		get("/alerts/{id}/user", []access.Permission{access.UserRead}, a.getAlertUser),
	}
}

func (a *API) getAlerts(w http.ResponseWriter, r *api.Request) error {
	return a.listAlerts(w, r, nil)
}

func (a *API) countAlerts(w http.ResponseWriter, r *api.Request) error {
	return a.numberOfAlerts(w, r, nil)
}

// listAlerts answers with the alerts that the request's options select; only narrows them
// when it is not nil.
func (a *API) listAlerts(w http.ResponseWriter, r *api.Request, only filter.Expr) error {
	o, err := odata.Parse(r.Query, a.alertSpec())
	if err != nil {
		return err
	}
	q := o.Query
	q.Where = narrow(only, q.Where)
	page, err := a.alerts.List(r.Context(), r.Caller.Tenant, q)
	if err != nil {
		return err
	}
	evidence := o.Expands(expandEvidence)
	groups, err := a.groupsOf(r.Context(), r.Caller.Tenant, page.Items...)
	if err != nil {
		return err
	}
	return odata.WriteCollection(w, r, kindOf("Alerts"), o, page, func(al *alert.Alert) alertEntity {
		e := alertOf(al, evidence)
		e.RBACGroupName = groups(al)
		return e
	})
}

// groupsOf returns what names the device group of each of the alerts.
func (a *API) groupsOf(ctx context.Context, tenant ident.TenantID, alerts ...*alert.Alert) (func(*alert.Alert) *string, error) {
	var ids []ident.DeviceID
	for _, al := range alerts {
		if al.Device != "" {
			ids = append(ids, al.Device)
		}
	}
	of, err := a.groups.Of(ctx, tenant, ids)
	return func(al *alert.Alert) *string {
		g, ok := of[al.Device]
		if !ok {
			return nil
		}
		return optional(a.groups.Label(tenant, g))
	}, err
}

// writeAlert answers with one alert.
func (a *API) writeAlert(w http.ResponseWriter, r *api.Request, al *alert.Alert) error {
	group, err := a.groupsOf(r.Context(), r.Caller.Tenant, al)
	if err != nil {
		return err
	}
	e := alertOf(al, true)
	e.RBACGroupName = group(al)
	return odata.WriteEntity(w, r, http.StatusOK, kindOf("Alerts/$entity"), e)
}

func (a *API) numberOfAlerts(w http.ResponseWriter, r *api.Request, only filter.Expr) error {
	o, err := odata.Parse(r.Query, a.alertSpec())
	if err != nil {
		return err
	}
	page, err := a.alerts.List(r.Context(), r.Caller.Tenant, filter.Query{Where: narrow(only, o.Query.Where), Top: 1, Count: true})
	if err != nil {
		return err
	}
	return counted(w, page.Total)
}

// narrow joins two predicates, either of which may be nil.
func narrow(only, where filter.Expr) filter.Expr {
	switch {
	case only == nil:
		return where
	case where == nil:
		return only
	}
	return filter.And{only, where}
}

func (a *API) getMachineAlerts(w http.ResponseWriter, r *api.Request) error {
	only, err := a.alertsOf(r)
	if err != nil {
		return err
	}
	return a.listAlerts(w, r, only)
}

func (a *API) countMachineAlerts(w http.ResponseWriter, r *api.Request) error {
	only, err := a.alertsOf(r)
	if err != nil {
		return err
	}
	return a.numberOfAlerts(w, r, only)
}

// alertsOf is the predicate of the alerts of the machine that the path names.
func (a *API) alertsOf(r *api.Request) (filter.Expr, error) {
	d, err := a.device(r.Context(), r.Caller.Tenant, r.Var("id"))
	if err != nil {
		return nil, err
	}
	f, _ := alert.Fields.Find("machineId")
	return filter.Compare{Field: f, Op: filter.Eq, Value: filter.Value{Type: filter.String, S: string(d.ID)}}, nil
}

// alert returns the alert that the path names.
func (a *API) alert(r *api.Request) (*alert.Alert, error) {
	al, err := a.alerts.Get(r.Context(), r.Caller.Tenant, ident.AlertID(r.Var("id")))
	return al, noAlert(err, r.Var("id"))
}

func noAlert(err error, id string) error {
	if errs.Is(err, errs.NotFound) {
		return errs.New("mde.alert", errs.NotFound, errs.ResourceNotFound, "Alert %s was not found", id)
	}
	return err
}

func (a *API) getAlert(w http.ResponseWriter, r *api.Request) error {
	al, err := a.alert(r)
	if err != nil {
		return err
	}
	return a.writeAlert(w, r, al)
}

// alertChange reads what a PATCH or a batch sets.
func alertChange(body *api.Object) (alert.Change, error) {
	var c alert.Change
	for name, to := range map[string]**string{
		"status": &c.Status, "assignedTo": &c.AssignedTo, "classification": &c.Classification, "determination": &c.Determination,
	} {
		if !body.Has(name) {
			continue
		}
		s, err := body.String(name)
		if err != nil {
			return c, err
		}
		// Clients that mean no change of status send null; the others are taken back by it.
		if name == "status" && s == "" {
			continue
		}
		*to = &s
	}
	drill(&c)
	var err error
	c.Comment, err = body.String("comment")
	return c, err
}

// drill makes the pair of before 2022 for a drill the one that took its place. The flow
// connector, which knows no classification of expected activity, can say it no other way.
func drill(c *alert.Change) {
	if c.Classification == nil || c.Determination == nil ||
		!strings.EqualFold(*c.Classification, alert.TruePositive) || !strings.EqualFold(*c.Determination, "SecurityTesting") {
		return
	}
	now := alert.Expected
	c.Classification = &now
}

func (a *API) patchAlert(w http.ResponseWriter, r *api.Request) error {
	body, err := r.JSON()
	if err != nil {
		return err
	}
	c, err := alertChange(body.Fold())
	if err != nil {
		return err
	}
	al, err := a.alerts.Update(r.Context(), r.Caller, ident.AlertID(r.Var("id")), c)
	if err != nil {
		return noAlert(err, r.Var("id"))
	}
	return a.writeAlert(w, r, al)
}

func (a *API) batchUpdateAlerts(w http.ResponseWriter, r *api.Request) error {
	body, err := r.JSON()
	if err != nil {
		return err
	}
	texts, err := body.Strings("alertIds")
	if err != nil {
		return err
	}
	if len(texts) == 0 {
		return errs.New("mde.batchUpdate", errs.Invalid, errs.MissingRequiredParameter, "Required parameter alertIds is missing")
	}
	c, err := alertChange(body)
	if err != nil {
		return err
	}
	ids := make([]ident.AlertID, len(texts))
	for i, s := range texts {
		ids[i] = ident.AlertID(s)
	}
	if _, err := a.alerts.UpdateMany(r.Context(), r.Caller, ids, c); err != nil {
		return err
	}
	return api.WriteEmpty(w, http.StatusOK)
}

func alertOf(al *alert.Alert, evidence bool) alertEntity {
	e := alertEntity{
		ID: string(al.ID), IncidentID: optional(int64(al.Incident)), InvestigationID: optional(al.Investigation),
		InvestigationState: optional(al.InvestigationState), AssignedTo: optional(al.AssignedTo),
		Severity: string(al.Severity), Status: string(al.Status), Classification: optional(al.Classification),
		Determination: optional(al.Determination), DetectionSource: optional(al.DetectionSource),
		DetectorID: optional(al.DetectorID), Category: optional(al.Category), Title: al.Title,
		Description: optional(al.Description), RecommendedAction: optional(al.Recommended),
		AlertCreationTime: stamp(al.Created), FirstEventTime: stamp(al.FirstEvent), LastEventTime: stamp(al.LastEvent),
		LastUpdateTime: stamp(al.Updated), ResolvedTime: stamp(al.Resolved), MachineID: optional(string(al.Device)),
		ComputerDNSName: optional(al.DeviceName), AadTenantID: optional(string(al.Tenant)),
		MITRETechniques: list(al.Techniques), LoggedOnUsers: []loggedOnUser{},
		Comments: []commentEntity{}, Evidence: []evidenceEntity{},
	}
	if al.User.Name != "" {
		e.RelatedUser = &relatedUser{UserName: optional(al.User.Name), DomainName: optional(al.User.Domain)}
	}
	for _, u := range al.LoggedOn {
		e.LoggedOnUsers = append(e.LoggedOnUsers, loggedOnUser{AccountName: u.Name, DomainName: optional(u.Domain)})
	}
	for _, c := range al.Comments {
		e.Comments = append(e.Comments, commentEntity{Comment: c.Text, CreatedBy: c.By, CreatedTime: stamp(c.Created)})
	}
	if evidence {
		for i := range al.Evidence {
			e.Evidence = append(e.Evidence, evidenceOf(&al.Evidence[i]))
		}
	}
	return e
}

func evidenceOf(v *alert.Evidence) evidenceEntity {
	return evidenceEntity{
		EntityType: v.Type, EvidenceCreationTime: stamp(v.Created), SHA1: optional(v.SHA1), SHA256: optional(v.SHA256),
		FileName: optional(v.FileName), FilePath: optional(v.FilePath), ProcessID: optional(v.ProcessID),
		ProcessCommandLine: optional(v.CommandLine), ProcessCreationTime: stamp(v.ProcessCreated),
		ParentProcessID: optional(v.ParentID), ParentProcessCreationTime: stamp(v.ParentCreated),
		ParentProcessFileName: optional(v.ParentName), ParentProcessFilePath: optional(v.ParentPath),
		IPAddress: optional(v.IP), URL: optional(v.URL), AccountName: optional(v.Account), DomainName: optional(v.Domain),
		UserSID: optional(v.UserID), DetectionStatus: optional(v.Detection),
	}
}
