package mde

import (
	"context"
	"net/http"
	"strconv"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/api"
	"github.com/vedette-edr/vedette/server/api/odata"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/filter"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/investigation"
)

// Investigations is what this package needs of investigation.Service.
type Investigations interface {
	Get(ctx context.Context, tenant ident.TenantID, id int64) (*investigation.Investigation, error)
	OfAlert(ctx context.Context, tenant ident.TenantID, id ident.AlertID) (*investigation.Investigation, error)
	List(ctx context.Context, tenant ident.TenantID, q filter.Query) (filter.Page[*investigation.Investigation], error)
	Start(ctx context.Context, by *access.Principal, id ident.DeviceID, alert ident.AlertID, comment string) (*investigation.Investigation, error)
	StartFor(ctx context.Context, by *access.Principal, id ident.DeviceID, alert ident.AlertID, comment string) (*investigation.Investigation, error)
}

// investigationEntity is the published investigation.
type investigationEntity struct {
	ID                string         `json:"id"`
	StartTime         odata.DateTime `json:"startTime"`
	EndTime           odata.DateTime `json:"endTime"`
	State             string         `json:"state" doc:"enum=Unknown|Terminated|SuccessfullyRemediated|Benign|Failed|PartiallyRemediated|Running|PendingApproval|PendingResource|PartiallyInvestigated|TerminatedByUser|TerminatedBySystem|Queued|InnerFailure|PreexistingAlert|UnsupportedOs|UnsupportedAlertType|SuppressedAlert"`
	CancelledBy       *string        `json:"cancelledBy"`
	StatusDetails     *string        `json:"statusDetails"`
	MachineID         string         `json:"machineId"`
	ComputerDNSName   *string        `json:"computerDnsName"`
	TriggeringAlertID *string        `json:"triggeringAlertId"`
}

type investigateBody struct {
	Comment string `json:"Comment" doc:"required"`
	AlertID string `json:"AlertId"` // an extension: what the investigation is about
}

// numberEntity is the answer of the older form: the id alone.
type numberEntity struct {
	Value int64 `json:"value"`
}

func (a *API) investigationRoutes() []api.Route {
	limit := api.Limit{PerHour: 50, Pool: "investigations"}
	return []api.Route{
		get("/investigations", alertRead, a.getInvestigations),
		get("/investigations/$count", alertRead, a.countInvestigations),
		get("/investigations/{id}", alertRead, a.getInvestigation),
		limited(limit, post("/machines/{id}/startInvestigation", alertWrite, a.startInvestigation)),
		limited(limit, post("/machines/{id}/InitiateInvestigation", alertWrite, a.initiateInvestigation)),
	}
}

func (a *API) investigationSpec() odata.Spec {
	return a.spec(investigation.Fields, investigationEntity{})
}

func (a *API) investigationDocs() docs {
	refused := []errs.Code{errs.InvalidRequestBody, errs.MissingRequiredParameter, errs.InvalidInput, errs.ActiveRequestAlreadyExists}
	return docs{
		"GET /investigations":                       listed("List automated investigations, newest first", a.investigationSpec(), []investigationEntity{}),
		"GET /investigations/$count":                numbered("Count automated investigations", a.investigationSpec()),
		"GET /investigations/{id}":                  {Summary: "Get an investigation by its id or by that of the alert that triggered it", Answer: investigationEntity{}},
		"POST /machines/{id}/startInvestigation":    {Summary: "Ask for an automated investigation of a machine", Body: investigateBody{}, Answer: investigationEntity{}, Status: 201, Errors: refused},
		"POST /machines/{id}/InitiateInvestigation": {Summary: "Ask for an automated investigation of a machine; of before 2019", Body: investigateBody{}, Answer: numberEntity{}, Errors: refused},
	}
}

func (a *API) getInvestigations(w http.ResponseWriter, r *api.Request) error {
	o, err := odata.Parse(r.Query, a.investigationSpec())
	if err != nil {
		return err
	}
	page, err := a.investigations.List(r.Context(), r.Caller.Tenant, o.Query)
	if err != nil {
		return err
	}
	return odata.WriteCollection(w, r, kindOf("Investigations"), o, page, investigationOf)
}

func (a *API) countInvestigations(w http.ResponseWriter, r *api.Request) error {
	o, err := odata.Parse(r.Query, a.investigationSpec())
	if err != nil {
		return err
	}
	page, err := a.investigations.List(r.Context(), r.Caller.Tenant, filter.Query{Where: o.Query.Where, Top: 1, Count: true})
	if err != nil {
		return err
	}
	return counted(w, page.Total)
}

// getInvestigation takes the id of the investigation, or of the alert that triggered it.
func (a *API) getInvestigation(w http.ResponseWriter, r *api.Request) error {
	var i *investigation.Investigation
	id, err := strconv.ParseInt(r.Var("id"), 10, 64)
	if err == nil {
		i, err = a.investigations.Get(r.Context(), r.Caller.Tenant, id)
	} else {
		i, err = a.investigations.OfAlert(r.Context(), r.Caller.Tenant, ident.AlertID(r.Var("id")))
	}
	if errs.Is(err, errs.NotFound) {
		return errs.New("mde.investigation", errs.NotFound, errs.ResourceNotFound, "Investigation %s was not found", r.Var("id"))
	}
	if err != nil {
		return err
	}
	return odata.WriteEntity(w, r, http.StatusOK, kindOf("Investigations/$entity"), investigationOf(i))
}

func (a *API) startInvestigation(w http.ResponseWriter, r *api.Request) error {
	i, err := a.investigate(r)
	if err != nil {
		return err
	}
	return odata.WriteEntity(w, r, http.StatusCreated, kindOf("Investigations/$entity"), investigationOf(i))
}

func (a *API) initiateInvestigation(w http.ResponseWriter, r *api.Request) error {
	i, err := a.investigate(r)
	if err != nil {
		return err
	}
	return odata.WriteEntity(w, r, http.StatusOK, kindOf("Edm.Int64"), numberEntity{i.ID})
}

func (a *API) investigate(r *api.Request) (*investigation.Investigation, error) {
	d, err := a.device(r.Context(), r.Caller.Tenant, r.Var("id"))
	if err != nil {
		return nil, err
	}
	body, err := r.JSON()
	if err != nil {
		return nil, err
	}
	comment, err := body.RequireString("Comment")
	if err != nil {
		return nil, err
	}
	about, err := body.String("AlertId")
	if err != nil {
		return nil, err
	}
	if about != "" {
		al, err := a.alerts.Get(r.Context(), r.Caller.Tenant, ident.AlertID(about))
		if err != nil {
			return nil, noAlert(err, about)
		}
		if al.Device != d.ID {
			return nil, errs.New("mde.investigate", errs.Invalid, errs.InvalidInput, "Invalid input: the alert %s is of another machine", about)
		}
		about = string(al.ID)
	}
	return a.investigations.Start(r.Context(), r.Caller, d.ID, ident.AlertID(about), comment)
}

func investigationOf(i *investigation.Investigation) investigationEntity {
	return investigationEntity{ID: strconv.FormatInt(i.ID, 10), StartTime: stamp(i.Start), EndTime: stamp(i.End), State: string(i.State),
		CancelledBy: optional(i.Cancelled), StatusDetails: optional(i.Details), MachineID: string(i.Device), ComputerDNSName: optional(i.DeviceName),
		TriggeringAlertID: optional(string(i.Alert))}
}
