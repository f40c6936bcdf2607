package mde

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/action"
	"github.com/vedette-edr/vedette/server/api"
	"github.com/vedette-edr/vedette/server/api/odata"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/filter"
	"github.com/vedette-edr/vedette/server/hunt"
	"github.com/vedette-edr/vedette/server/ident"
)

// Actions is what this package needs of action.Service.
type Actions interface {
	Get(ctx context.Context, tenant ident.TenantID, id ident.ActionID) (*action.Action, error)
	List(ctx context.Context, tenant ident.TenantID, q filter.Query) (filter.Page[*action.Action], error)
	Request(ctx context.Context, by *access.Principal, r action.Request) (*action.Action, error)
	Cancel(ctx context.Context, by *access.Principal, id ident.ActionID, comment string) (*action.Action, error)
	// Grant records who gets a link to what an action yielded.
	Grant(ctx context.Context, by *access.Principal, id ident.ActionID, index int) error
	// Redeem opens what a link leads to.
	Redeem(ctx context.Context, granted ident.Actor, id ident.ActionID, index int, goesOn bool) (action.Artifact, *os.File, error)
}

// publicAPI is the published createdBySource of what comes through this API.
const publicAPI = "PublicApi"

// ofDevices are the permissions to ask devices for something, each of which lets cancel it, as
// published.
var ofDevices = []access.Permission{
	access.MachineCollect, access.MachineIsolate, access.MachineRestrict, access.MachineScan,
	access.MachineOffboard, access.MachineQuarantine, access.MachineLive,
}

func (a *API) actionRoutes() []api.Route {
	cancel := append(ofDevices[:len(ofDevices):len(ofDevices)], access.ExpertAsk)
	routes := []api.Route{
		get("/machineactions", machineRead, a.getActions),
		get("/machineactions/$count", machineRead, a.countActions),
		get("/machineactions/{id}", machineRead, a.getAction),
		post("/machineactions/{id}/cancel", cancel, a.cancelAction),
		limited(api.Limit{PerMinute: 2, PerHour: 120}, delegated(access.MachineCollect, get("/machineactions/{id}/getPackageUri", machineRead, a.getPackageURI))),
		delegated(access.MachineLive, get("/machineactions/{id}/GetLiveResponseResultDownloadLink(index={index})", machineRead, a.getLiveLink)),
		{Method: http.MethodGet, Pattern: "/api/vedette/downloads/{ticket}", Open: "the link is its own permission: signed, for one file and a short time", Handle: a.download},
	}
	routes = append(routes, api.Route{Method: http.MethodPost, Pattern: "/api/vedette/machines/{id}/releaseCode", Need: []access.Permission{access.MachineIsolate}, Handle: a.releaseCode})
	for _, k := range ownRequests {
		routes = append(routes, api.Route{Method: http.MethodPost, Pattern: "/api/vedette/machines/{id}/" + k.path, Need: []access.Permission{k.need}, Handle: a.requestOf(k)})
	}
	for _, k := range requests {
		r := post("/machines/{id}/"+k.path, []access.Permission{k.need}, a.requestOf(k))
		if k.kind == action.LiveResponse {
			r = limited(api.Limit{PerMinute: 10}, r)
		}
		routes = append(routes, r)
	}
	return routes
}

// delegated says what people need for a route, where it is not what applications need.
func delegated(p access.Permission, r api.Route) api.Route {
	r.NeedDelegated = []access.Permission{p}
	return r
}

// request asks for an action on the machine that the path names and answers 201 with it.
func (a *API) request(w http.ResponseWriter, r *api.Request, body *api.Object, q action.Request) error {
	d, err := a.device(r.Context(), r.Caller.Tenant, r.Var("id"))
	if err != nil {
		return err
	}
	if q.Comment, err = body.RequireString("Comment"); err != nil {
		return err
	}
	if q.External, err = body.String("ExternalId"); err != nil {
		return err
	}
	q.Device, q.Source = d.ID, r.Source()
	if q.Kind == action.StopAndQuarantineFile {
		a.known(r, &q)
	}
	act, err := a.actions.Request(r.Context(), r.Caller, q)
	if err != nil {
		return err
	}
	return odata.WriteEntity(w, r, http.StatusCreated, kindOf("MachineActions/$entity"), actionOf(act))
}

// known tells the device where it saw the file before. That is a hint: without it the device
// searches longer.
func (a *API) known(r *api.Request, q *action.Request) {
	file := strings.ToLower(strings.TrimSpace(q.File))
	if !digest.MatchString(file) {
		return // which is refused below
	}
	seen, err := a.sightings.Sightings(r.Context(), r.Caller.Tenant, hunt.FileSHA1, file, a.now().Add(-lookBack*time.Hour))
	if err != nil {
		return
	}
	for _, s := range seen {
		if s.Device == q.Device {
			q.Paths = s.Paths
		}
		q.Size = max(q.Size, s.Size)
	}
}

func (a *API) getActions(w http.ResponseWriter, r *api.Request) error {
	return a.listActions(w, r, nil)
}

func (a *API) countActions(w http.ResponseWriter, r *api.Request) error {
	return a.numberOfActions(w, r, nil)
}

// listActions answers with the actions that the request's options select; only narrows
// them when it is not nil.
func (a *API) listActions(w http.ResponseWriter, r *api.Request, only filter.Expr) error {
	o, err := odata.Parse(r.Query, a.actionSpec())
	if err != nil {
		return err
	}
	q := o.Query
	q.Where = narrow(only, q.Where)
	page, err := a.actions.List(r.Context(), r.Caller.Tenant, q)
	if err != nil {
		return err
	}
	return odata.WriteCollection(w, r, kindOf("MachineActions"), o, page, actionOf)
}

func (a *API) numberOfActions(w http.ResponseWriter, r *api.Request, only filter.Expr) error {
	o, err := odata.Parse(r.Query, a.actionSpec())
	if err != nil {
		return err
	}
	page, err := a.actions.List(r.Context(), r.Caller.Tenant, filter.Query{Where: narrow(only, o.Query.Where), Top: 1, Count: true})
	if err != nil {
		return err
	}
	return counted(w, page.Total)
}

// actionID reads the id of a path. What is no id names no action.
func actionID(r *api.Request) (ident.ActionID, error) {
	id, ok := ident.ParseActionID(r.Var("id"))
	if !ok {
		return "", noAction(errs.New("", errs.NotFound, "", ""), r.Var("id"))
	}
	return id, nil
}

func noAction(err error, id string) error {
	if errs.Is(err, errs.NotFound) {
		return errs.New("mde.action", errs.NotFound, errs.ResourceNotFound, "Machine action %s was not found", id)
	}
	return err
}

func (a *API) getAction(w http.ResponseWriter, r *api.Request) error {
	id, err := actionID(r)
	if err != nil {
		return err
	}
	act, err := a.actions.Get(r.Context(), r.Caller.Tenant, id)
	if err != nil {
		return noAction(err, string(id))
	}
	return odata.WriteEntity(w, r, http.StatusOK, kindOf("MachineActions/$entity"), actionOf(act))
}

func (a *API) cancelAction(w http.ResponseWriter, r *api.Request) error {
	id, err := actionID(r)
	if err != nil {
		return err
	}
	body, err := r.JSON()
	if err != nil {
		return err
	}
	comment, err := body.RequireString("Comment")
	if err != nil {
		return err
	}
	act, err := a.actions.Get(r.Context(), r.Caller.Tenant, id)
	if err != nil {
		return noAction(err, string(id))
	}
	// Asking experts is no right over what was asked of devices, nor the other way round.
	of := ofDevices
	if act.Kind.ByServer() {
		of = []access.Permission{act.Kind.Need()}
	}
	if err := r.Caller.Require("mde.cancel", of...); err != nil {
		return err
	}
	act, err = a.actions.Cancel(r.Context(), r.Caller, id, comment)
	if err != nil {
		return noAction(err, string(id))
	}
	return odata.WriteEntity(w, r, http.StatusOK, kindOf("MachineActions/$entity"), actionOf(act))
}

func actionOf(act *action.Action) actionEntity {
	requestor := act.Requestor.Name
	if requestor == "" {
		requestor = act.Requestor.ID
	}
	return actionEntity{
		ID: string(act.ID), Type: string(act.Kind), Requestor: requestor, RequestorComment: act.Comment,
		Status: string(act.State.Status()), MachineID: string(act.Device), ComputerDNSName: optional(act.DeviceName),
		CreationDateTimeUTC: stamp(act.Created), LastUpdateDateTimeUTC: stamp(act.Updated),
		CancellationRequestor: optional(act.Cancel.By), CancellationComment: optional(act.Cancel.Comment),
		CancellationDateTimeUTC: stamp(act.Cancel.At), Error: optional(act.Error), Scope: optional(act.Scope),
		ExternalID: optional(act.External), RequestSource: optional(act.Source), FileInstances: []fileInstance{}, Commands: commandsOf(act),
		RelatedFileInfo:  relatedTo(act),
		TroubleshootInfo: optional(truth(act)),
	}
}

// truth says where the action stands in finer words than the published status: the state,
// and what was seen last.
func truth(act *action.Action) string {
	var parts []string
	if act.State != "" {
		parts = append(parts, string(act.State))
	}
	if p := act.Progress; p != nil && p.Percent >= 0 && act.State.Open() {
		parts[len(parts)-1] += fmt.Sprintf(" (%d%%)", p.Percent)
	}
	if n := len(act.Steps); n > 0 && act.Steps[n-1].Detail != "" {
		parts = append(parts, act.Steps[n-1].Detail)
	}
	return strings.Join(parts, ": ")
}
