package triage

import (
	"net/http"
	"time"

	"github.com/vedette-edr/vedette/server/alert"
	"github.com/vedette-edr/vedette/server/api"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
)

// conditionEntity is one condition of a suppression rule.
type conditionEntity struct {
	Field  string   `json:"field" doc:"required"`
	Op     string   `json:"op" doc:"required,enum=equals|startsWith|endsWith|contains|matches"`
	Values []string `json:"values" doc:"required,max=256"`
}

// suppressionBody is the body that creates or changes a rule; a change leaves out what
// stays.
type suppressionBody struct {
	Name       string            `json:"name" doc:"max=256"`
	Comment    string            `json:"comment" doc:"max=4000"`
	Enabled    bool              `json:"enabled"`
	Action     string            `json:"action" doc:"enum=Hide|Resolve"`
	MachineIDs []string          `json:"machineIds"`
	Groups     []int64           `json:"rbacGroupIds"`
	Conditions []conditionEntity `json:"conditions"`
}

// suppressionEntity is a rule as it is answered.
type suppressionEntity struct {
	ID          int64             `json:"id"`
	Name        string            `json:"name"`
	Comment     string            `json:"comment"`
	Enabled     bool              `json:"enabled"`
	Action      string            `json:"action"`
	MachineIDs  []string          `json:"machineIds"`
	Groups      []int64           `json:"rbacGroupIds"`
	Conditions  []conditionEntity `json:"conditions"`
	CreatedBy   string            `json:"createdBy"`
	Created     time.Time         `json:"createdTime"`
	UpdatedBy   string            `json:"lastUpdatedBy"`
	Updated     time.Time         `json:"lastUpdateTime"`
	Matched     int64             `json:"matchedAlerts"`
	LastMatched *time.Time        `json:"lastMatchTime"`
}

func showSuppression(r *alert.Suppression) suppressionEntity {
	out := suppressionEntity{ID: int64(r.ID), Name: r.Name, Comment: r.Comment, Enabled: r.Enabled, Action: string(r.Action), MachineIDs: []string{},
		Groups: append([]int64{}, r.Groups...), Conditions: []conditionEntity{}, CreatedBy: r.CreatedBy.Name, Created: r.Created.UTC(),
		UpdatedBy: r.UpdatedBy.Name, Updated: r.Updated.UTC(), Matched: r.Matched}
	for _, d := range r.Devices {
		out.MachineIDs = append(out.MachineIDs, string(d))
	}
	for _, c := range r.Conditions {
		out.Conditions = append(out.Conditions, conditionEntity(c))
	}
	if !r.LastMatched.IsZero() {
		at := r.LastMatched.UTC()
		out.LastMatched = &at
	}
	return out
}

func (a *API) listSuppressions(w http.ResponseWriter, r *api.Request) error {
	rules, err := a.Suppressions.Suppressions(r.Context(), r.Caller.Tenant)
	if err != nil {
		return err
	}
	var out []suppressionEntity
	for _, x := range rules {
		out = append(out, showSuppression(x))
	}
	return writeValues(w, r, out)
}

func (a *API) getSuppression(w http.ResponseWriter, r *api.Request) error {
	rules, err := a.Suppressions.Suppressions(r.Context(), r.Caller.Tenant)
	if err != nil {
		return err
	}
	for _, x := range rules {
		if int64(x.ID) == id(r) {
			return api.WriteJSON(w, r, http.StatusOK, showSuppression(x))
		}
	}
	return errs.New("triage", errs.NotFound, errs.ResourceNotFound, "Suppression rule %s was not found", r.Var("id"))
}

// readSuppression sets on a rule what the body holds.
func readSuppression(body *api.Object, x *alert.Suppression) error {
	var err error
	for name, to := range map[string]*string{"name": &x.Name, "comment": &x.Comment, "action": (*string)(&x.Action)} {
		if body.Has(name) {
			if *to, err = body.String(name); err != nil {
				return err
			}
		}
	}
	if body.Has("enabled") {
		if x.Enabled, err = body.Bool("enabled"); err != nil {
			return err
		}
	}
	if body.Has("machineIds") {
		ids, err := body.Strings("machineIds")
		if err != nil {
			return err
		}
		x.Devices = nil
		for _, d := range ids {
			x.Devices = append(x.Devices, ident.DeviceID(d))
		}
	}
	if body.Has("rbacGroupIds") {
		if x.Groups, err = ints(body, "rbacGroupIds"); err != nil {
			return err
		}
	}
	if !body.Has("conditions") {
		return nil
	}
	list, err := body.Objects("conditions")
	if err != nil {
		return err
	}
	x.Conditions = nil
	for _, o := range list {
		var c alert.Condition
		if c.Field, err = o.RequireString("field"); err != nil {
			return err
		}
		if c.Op, err = o.RequireString("op"); err != nil {
			return err
		}
		if c.Values, err = o.Strings("values"); err != nil {
			return err
		}
		x.Conditions = append(x.Conditions, c)
	}
	return nil
}

func (a *API) createSuppression(w http.ResponseWriter, r *api.Request) error {
	body, err := r.JSON()
	if err != nil {
		return err
	}
	x := alert.Suppression{Enabled: true}
	if err := readSuppression(body, &x); err != nil {
		return err
	}
	out, err := a.Suppressions.CreateSuppression(r.Context(), r.Caller, x)
	if err != nil {
		return err
	}
	return api.WriteJSON(w, r, http.StatusCreated, showSuppression(out))
}

func (a *API) updateSuppression(w http.ResponseWriter, r *api.Request) error {
	body, err := r.JSON()
	if err != nil {
		return err
	}
	out, err := a.Suppressions.UpdateSuppression(r.Context(), r.Caller, ident.SuppressionID(id(r)), func(x *alert.Suppression) error { return readSuppression(body, x) })
	if err != nil {
		return missing(err, "Suppression rule", r.Var("id"))
	}
	return api.WriteJSON(w, r, http.StatusOK, showSuppression(out))
}

func (a *API) deleteSuppression(w http.ResponseWriter, r *api.Request) error {
	if err := a.Suppressions.DeleteSuppression(r.Context(), r.Caller, ident.SuppressionID(id(r))); err != nil {
		return missing(err, "Suppression rule", r.Var("id"))
	}
	return api.WriteEmpty(w, http.StatusNoContent)
}
