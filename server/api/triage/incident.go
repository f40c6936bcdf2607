package triage

import (
	"net/http"

	"github.com/vedette-edr/vedette/server/api"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/history"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/incident"
)

// incidentBody is the body that names, rates or summarises an incident. An empty name or
// severity lets it follow from the alerts again.
type incidentBody struct {
	Name     string `json:"incidentName" doc:"max=256"`
	Severity string `json:"severity" doc:"enum=|Informational|Low|Medium|High"`
	Summary  string `json:"summary"`
	Comment  string `json:"comment" doc:"max=4000"`
}

// mergeBody is the body that merges an incident into another.
type mergeBody struct {
	Into int64 `json:"into" doc:"required"`
}

// moveBody is the body that moves alerts. Without incidentId they make a new incident.
type moveBody struct {
	AlertIDs   []string `json:"alertIds" doc:"required,max=1000"`
	IncidentID int64    `json:"incidentId"`
}

// incidentEntity is an incident as these routes answer it.
type incidentEntity struct {
	ID       int64  `json:"incidentId"`
	Name     string `json:"incidentName"`
	Severity string `json:"severity"`
	Status   string `json:"status"`
	Summary  string `json:"summary"`
	Alerts   int    `json:"alertCount"`
	Open     int    `json:"openAlertCount"`
}

func writeIncident(w http.ResponseWriter, r *api.Request, i *incident.Incident) error {
	return api.WriteJSON(w, r, http.StatusOK, incidentEntity{int64(i.ID), i.Name, string(i.Severity), string(i.Status), i.Summary, i.Alerts, i.Unresolved})
}

func (a *API) incidentHistory(w http.ResponseWriter, r *api.Request) error {
	return a.writeHistory(w, r, func(after int64, limit int) ([]history.Entry, error) {
		es, err := a.Incidents.History(r.Context(), r.Caller.Tenant, ident.IncidentID(id(r)), after, limit)
		return es, missing(err, "Incident", r.Var("id"))
	})
}

func (a *API) updateIncident(w http.ResponseWriter, r *api.Request) error {
	body, err := r.JSON()
	if err != nil {
		return err
	}
	var c incident.Change
	for name, to := range map[string]**string{"incidentName": &c.Name, "severity": &c.Severity, "summary": &c.Summary} {
		if body.Has(name) {
			s, err := body.String(name)
			if err != nil {
				return err
			}
			*to = &s
		}
	}
	if c.Comment, err = body.String("comment"); err != nil {
		return err
	}
	i, err := a.Incidents.Update(r.Context(), r.Caller, ident.IncidentID(id(r)), c)
	if err != nil {
		return missing(err, "Incident", r.Var("id"))
	}
	return writeIncident(w, r, i)
}

func (a *API) mergeIncident(w http.ResponseWriter, r *api.Request) error {
	body, err := r.JSON()
	if err != nil {
		return err
	}
	into, err := body.Int("into")
	if err != nil {
		return err
	}
	if into <= 0 {
		return errs.New("triage", errs.Invalid, errs.MissingRequiredParameter, "Required parameter into is missing")
	}
	i, err := a.Incidents.Merge(r.Context(), r.Caller, ident.IncidentID(id(r)), ident.IncidentID(into))
	if err != nil {
		return err
	}
	return writeIncident(w, r, i)
}

func (a *API) moveAlerts(w http.ResponseWriter, r *api.Request) error {
	body, err := r.JSON()
	if err != nil {
		return err
	}
	texts, err := body.Strings("alertIds")
	if err != nil {
		return err
	}
	to, err := body.Int("incidentId")
	if err != nil {
		return err
	}
	if to < 0 {
		return errs.New("triage", errs.Invalid, errs.InvalidInput, "incidentId: it is the number of an incident, or left out for a new one")
	}
	ids := make([]ident.AlertID, len(texts))
	for n, t := range texts {
		ids[n] = ident.AlertID(t)
	}
	i, err := a.Incidents.Move(r.Context(), r.Caller, ids, ident.IncidentID(to))
	if err != nil {
		return err
	}
	return writeIncident(w, r, i)
}
