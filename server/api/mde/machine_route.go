package mde

import (
	"net/http"
	"strings"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/api"
	"github.com/vedette-edr/vedette/server/api/odata"
	"github.com/vedette-edr/vedette/server/device"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/filter"
	"github.com/vedette-edr/vedette/server/ident"
)

func (a *API) machineRoutes() []api.Route {
	return []api.Route{
		get("/machines", machineRead, a.getMachines),
		get("/machines/$count", machineRead, a.countMachines),
		get("/machines/{id}", machineRead, a.getMachine),
		patch("/machines/{id}", machineWrite, a.patchMachine),
		post("/machines/{id}/tags", machineWrite, a.tagMachine),
		post("/machines/{id}/setDeviceValue", machineWrite, a.setDeviceValue),
		post("/machines/AddOrRemoveTagForMultipleMachines", machineWrite, a.tagMachines),
		get("/machines/findbyip(ip={ip},timestamp={timestamp})", machineRead, a.findByIP),
		get("/machines/findbytag", machineRead, a.findByTag),
		get("/machines/{id}/alerts", alertRead, a.getMachineAlerts),
		get("/machines/{id}/alerts/$count", alertRead, a.countMachineAlerts),
		get("/machines/{id}/logonusers", []access.Permission{access.UserRead}, a.getLogonUsers),
		get("/machines/{id}/logonusers/$count", []access.Permission{access.UserRead}, a.countLogonUsers),
		get("/machines/{id}/machineactions", machineRead, a.getMachineActions),
		get("/machines/{id}/machineactions/$count", machineRead, a.countMachineActions),
		get("/machines/{id}/availableMachineActions", machineRead, a.getAvailableActions),
	}
}

func (a *API) getMachines(w http.ResponseWriter, r *api.Request) error {
	o, err := odata.Parse(r.Query, a.machineSpec())
	if err != nil {
		return err
	}
	page, err := a.devices.Find(r.Context(), r.Caller.Tenant, a.recent(), o.Query)
	if err != nil {
		return err
	}
	if len(page.Items) == 0 && o.Query.Where == nil && o.Query.Skip == 0 && o.Query.After == "" {
		return errs.New("mde.machines", errs.NotFound, errs.ResourceNotFound, "No machine was seen within the retention time")
	}
	return a.writeMachines(w, r, o, page)
}

func (a *API) countMachines(w http.ResponseWriter, r *api.Request) error {
	o, err := odata.Parse(r.Query, a.machineSpec())
	if err != nil {
		return err
	}
	page, err := a.devices.Find(r.Context(), r.Caller.Tenant, a.recent(), filter.Query{Where: o.Query.Where, Top: 1, Count: true})
	if err != nil {
		return err
	}
	return counted(w, page.Total)
}

func (a *API) getMachine(w http.ResponseWriter, r *api.Request) error {
	d, err := a.device(r.Context(), r.Caller.Tenant, r.Var("id"))
	if err != nil {
		return err
	}
	return a.writeMachine(w, r, d)
}

func (a *API) writeMachine(w http.ResponseWriter, r *api.Request, d *device.Device) error {
	return odata.WriteEntity(w, r, http.StatusOK, kindOf("Machines/$entity"), a.machineOf(d, a.now()))
}

func (a *API) patchMachine(w http.ResponseWriter, r *api.Request) error {
	d, err := a.device(r.Context(), r.Caller.Tenant, r.Var("id"))
	if err != nil {
		return err
	}
	body, err := r.JSON()
	if err != nil {
		return err
	}
	body.Fold()
	var c device.Change
	if body.Has("machineTags") {
		tags, err := body.Strings("machineTags")
		if err != nil {
			return err
		}
		c.Tags = &tags
	}
	if body.Has("deviceValue") {
		text, err := body.RequireString("deviceValue")
		if err != nil {
			return err
		}
		v := deviceValue(text)
		c.Value = &v
	}
	if c == (device.Change{}) {
		return errs.New("mde.patchMachine", errs.Invalid, errs.MissingRequiredParameter, "Required parameter machineTags or deviceValue is missing")
	}
	return a.changeMachine(w, r, d, c)
}

func (a *API) changeMachine(w http.ResponseWriter, r *api.Request, d *device.Device, c device.Change) error {
	d, err := a.devices.Change(r.Context(), r.Caller.Tenant, d.ID, c)
	if err != nil {
		return err
	}
	return a.writeMachine(w, r, d)
}

// deviceValue brings a published value into its spelling; the service refuses others.
func deviceValue(s string) device.Value {
	for _, v := range []device.Value{device.Normal, device.Low, device.High} {
		if strings.EqualFold(s, string(v)) {
			return v
		}
	}
	return device.Value(s)
}

func (a *API) setDeviceValue(w http.ResponseWriter, r *api.Request) error {
	d, err := a.device(r.Context(), r.Caller.Tenant, r.Var("id"))
	if err != nil {
		return err
	}
	body, err := r.JSON()
	if err != nil {
		return err
	}
	text, err := body.RequireString("DeviceValue")
	if err != nil {
		return err
	}
	v := deviceValue(text)
	return a.changeMachine(w, r, d, device.Change{Value: &v})
}

// tagChange reads the Value and Action of the tag routes.
func tagChange(body *api.Object) (device.TagChange, string, error) {
	tag, err := body.RequireString("Value")
	if err != nil {
		return 0, "", err
	}
	verb, err := body.RequireString("Action")
	if err != nil {
		return 0, "", err
	}
	switch {
	case strings.EqualFold(verb, "Add"):
		return device.AddTag, tag, nil
	case strings.EqualFold(verb, "Remove"):
		return device.RemoveTag, tag, nil
	}
	return 0, "", errs.New("mde.tagChange", errs.Invalid, errs.InvalidInput, "Invalid input: Action is %q, not Add or Remove", verb)
}

func (a *API) tagMachine(w http.ResponseWriter, r *api.Request) error {
	d, err := a.device(r.Context(), r.Caller.Tenant, r.Var("id"))
	if err != nil {
		return err
	}
	body, err := r.JSON()
	if err != nil {
		return err
	}
	change, tag, err := tagChange(body)
	if err != nil {
		return err
	}
	if d, err = a.devices.Tag(r.Context(), r.Caller.Tenant, d.ID, change, tag); err != nil {
		return err
	}
	return a.writeMachine(w, r, d)
}

// tagMachines changes one tag on many machines. All of them are looked up first, so that
// one wrong id changes nothing.
func (a *API) tagMachines(w http.ResponseWriter, r *api.Request) error {
	const op = "mde.tagMachines"
	body, err := r.JSON()
	if err != nil {
		return err
	}
	change, tag, err := tagChange(body)
	if err != nil {
		return err
	}
	names, err := body.Strings("MachineIds")
	if err != nil {
		return err
	}
	switch {
	case len(names) == 0:
		return errs.New(op, errs.Invalid, errs.MissingRequiredParameter, "Required parameter MachineIds is missing")
	case len(names) > device.MaxTagBatch:
		return errs.New(op, errs.Invalid, errs.MaximumBatchSizeExceeded, "MachineIds: received %d, allowed %d", len(names), device.MaxTagBatch)
	}
	ids := make([]ident.DeviceID, len(names))
	for i, name := range names {
		d, err := a.device(r.Context(), r.Caller.Tenant, name)
		if err != nil {
			return err
		}
		ids[i] = d.ID
	}
	if _, err := a.devices.TagMany(r.Context(), r.Caller.Tenant, ids, change, tag); err != nil {
		return err
	}
	return api.WriteEmpty(w, http.StatusOK)
}

func (a *API) findByIP(w http.ResponseWriter, r *api.Request) error {
	at, err := a.instant("timestamp", r.Var("timestamp"))
	if err != nil {
		return err
	}
	o, err := odata.Parse(r.Query, a.machineSpec())
	if err != nil {
		return err
	}
	page, err := a.devices.FindByIP(r.Context(), r.Caller.Tenant, r.Var("ip"), at, o.Query)
	if err != nil {
		return err
	}
	return a.writeMachines(w, r, o, page)
}

func (a *API) findByTag(w http.ResponseWriter, r *api.Request) error {
	tag := r.Query.Get("tag")
	if tag == "" {
		return errs.New("mde.findByTag", errs.Invalid, errs.MissingRequiredParameter, "Required parameter tag is missing")
	}
	q := a.recent()
	q.Tag = tag
	switch prefix := r.Query.Get("useStartsWithFilter"); {
	case strings.EqualFold(prefix, "true"):
		q.Tag, q.TagPrefix = "", tag
	case prefix != "" && !strings.EqualFold(prefix, "false"):
		return errs.New("mde.findByTag", errs.Invalid, errs.InvalidInput, "Invalid input: useStartsWithFilter is %q, not true or false", prefix)
	}
	o, err := odata.Parse(r.Query, a.machineSpec())
	if err != nil {
		return err
	}
	page, err := a.devices.Find(r.Context(), r.Caller.Tenant, q, o.Query)
	if err != nil {
		return err
	}
	return a.writeMachines(w, r, o, page)
}
