// Package respond is what this server's API has beyond the published one about response
// actions, below /api/vedette: the action center, approvals and their policies, undo, and one
// request for many devices.
//
// It holds no rules and no state; package action does. Start at Routes.
package respond

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/action"
	"github.com/vedette-edr/vedette/server/api"
	"github.com/vedette-edr/vedette/server/api/odata"
	"github.com/vedette-edr/vedette/server/device"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/filter"
	"github.com/vedette-edr/vedette/server/ident"
)

// Actions is what this package needs of action.Service to show and move actions.
type Actions interface {
	Get(ctx context.Context, tenant ident.TenantID, id ident.ActionID) (*action.Action, error)
	List(ctx context.Context, tenant ident.TenantID, q filter.Query) (filter.Page[*action.Action], error)
	Approve(ctx context.Context, by *access.Principal, id ident.ActionID, comment string, s ...action.Signature) (*action.Action, error)
	Reject(ctx context.Context, by *access.Principal, id ident.ActionID, comment string) (*action.Action, error)
	Inverse(ctx context.Context, tenant ident.TenantID, id ident.ActionID) (*action.Action, action.Kind, error)
	Undo(ctx context.Context, by *access.Principal, id ident.ActionID, comment, source string) (*action.Action, error)
}

// Many is what this package needs of action.Service to ask many devices.
type Many interface {
	Count(ctx context.Context, by *access.Principal, devices []ident.DeviceID, r action.Request) ([]action.Outcome, error)
	RequestMany(ctx context.Context, by *access.Principal, devices []ident.DeviceID, r action.Request) ([]action.Outcome, error)
}

// Policies is what this package needs of action.Service about approval policies.
type Policies interface {
	Policies(ctx context.Context, tenant ident.TenantID) ([]*action.Policy, error)
	CreatePolicy(ctx context.Context, by *access.Principal, p action.Policy) (*action.Policy, error)
	UpdatePolicy(ctx context.Context, by *access.Principal, id ident.ApprovalID, change func(*action.Policy) error) (*action.Policy, error)
	DeletePolicy(ctx context.Context, by *access.Principal, id ident.ApprovalID) error
}

// Devices finds the devices that a request is about.
type Devices interface {
	Find(ctx context.Context, tenant ident.TenantID, base device.Query, q filter.Query) (filter.Page[*device.Device], error)
	FindByName(ctx context.Context, tenant ident.TenantID, name string) ([]*device.Device, error)
}

// Config is what the API is made of.
type Config struct {
	Actions  Actions
	Many     Many
	Policies Policies
	Devices  Devices
	// Sightings is needed by the routes about files.
	Sightings Sightings
	Now       func() time.Time // nil for time.Now
}

// API is the handlers over the services.
type API struct{ Config }

// New returns the API.
func New(c Config) *API {
	if c.Now == nil {
		c.Now = time.Now
	}
	return &API{c}
}

// root is where the routes live.
const root = "/api/vedette"

// respond is every permission to ask for actions; a handler asks for that of the kind.
func respond() []access.Permission {
	var out []access.Permission
	for _, k := range action.Kinds() {
		if p := k.Need(); !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	return out
}

// Routes returns the route table of the API.
func (a *API) Routes() []api.Route {
	read := []access.Permission{access.MachineRead, access.MachineReadWrite}
	approve := []access.Permission{access.ActionApprove}
	administer := []access.Permission{access.ServerAdmin}
	one := []errs.Code{errs.ResourceNotFound}
	move := []errs.Code{errs.ResourceNotFound, errs.BadRequest, errs.InvalidInput, errs.MissingRequiredParameter}
	ask := slices.Concat(move, []errs.Code{errs.ActiveRequestAlreadyExists, errs.DisallowedOperation, errs.MaximumBatchSizeExceeded})
	list := slices.Concat(odata.Params(a.spec()), []api.Param{
		{Name: "view", Enum: []string{viewPending, viewHistory, viewApproval}, About: "what is open, what has ended, or what waits for somebody to agree; all without it"},
		{Name: "format", Enum: []string{"csv"}, About: "csv answers the same rows as text/csv"}})
	route := func(method, pattern string, need []access.Permission, h api.Handler, d api.Doc) api.Route {
		return api.Route{Method: method, Pattern: root + pattern, Need: need, Handle: h, Doc: d, MaxBody: 1 << 20}
	}
	get, post, patch, del := http.MethodGet, http.MethodPost, http.MethodPatch, http.MethodDelete
	routes := []api.Route{
		route(get, "/machineactions", read, a.list, api.Doc{Summary: "The action center: actions, pending and past", Params: list, Answer: []actionEntity{}, AlsoMedia: "text/csv", Errors: []errs.Code{errs.ODataError, errs.InvalidInput}}),
		route(get, "/machineactions/{id}", read, a.get, api.Doc{Summary: "One action with every step it took", Answer: actionEntity{}, Errors: one}),
		route(get, "/machineactions/{id}/envelope", approve, a.envelope, api.Doc{Summary: "The command of an action, for approvers who sign it", Answer: envelopeEntity{}, Errors: append(one, errs.DisallowedOperation)}),
		route(post, "/machineactions/{id}/approve", approve, a.approve, api.Doc{Summary: "Agree to an action", Body: approveBody{}, Answer: actionEntity{}, Errors: move}),
		route(post, "/machineactions/{id}/reject", approve, a.reject, api.Doc{Summary: "Refuse an action", Body: reasonBody{}, Answer: actionEntity{}, Errors: move}),
		route(post, "/machineactions/{id}/undo", respond(), a.undo, api.Doc{Summary: "Undo an action by its inverse", Body: reasonBody{}, Answer: actionEntity{}, Status: http.StatusCreated, Errors: ask}),

		route(post, "/files/{id}/quarantine", []access.Permission{action.StopAndQuarantineFile.Need()}, a.file(action.StopAndQuarantineFile),
			api.Doc{Summary: "Stop a file and put it into quarantine on machines, or on every machine that saw it; or count them", Body: fileBody{}, Answer: fileEntity{}, Errors: append(ask, errs.InvalidHashValue)}),
		route(post, "/files/{id}/restore", []access.Permission{action.RestoreFile.Need()}, a.file(action.RestoreFile),
			api.Doc{Summary: "Give a file back that was put into quarantine", Body: fileBody{}, Answer: fileEntity{}, Errors: append(ask, errs.InvalidHashValue)}),

		route(get, "/approvalpolicies", administer, a.listPolicies, api.Doc{Summary: "List approval policies", Answer: []policyEntity{}}),
		route(post, "/approvalpolicies", administer, a.createPolicy, api.Doc{Summary: "Create an approval policy", Body: policyBody{}, Answer: policyEntity{}, Status: http.StatusCreated, Errors: append(move, errs.QuotaExceeded)}),
		route(get, "/approvalpolicies/{id}", administer, a.getPolicy, api.Doc{Summary: "Get an approval policy", Answer: policyEntity{}, Errors: one}),
		route(patch, "/approvalpolicies/{id}", administer, a.updatePolicy, api.Doc{Summary: "Change an approval policy", Body: policyBody{}, Answer: policyEntity{}, Errors: move}),
		route(del, "/approvalpolicies/{id}", administer, a.deletePolicy, api.Doc{Summary: "Delete an approval policy", Status: http.StatusNoContent, Errors: one}),
	}
	for _, k := range action.Kinds() {
		// What is said is said to one device, and a case has routes of its own.
		if k != action.LiveResponse && k != action.NotifyUser && !k.ByServer() {
			routes = append(routes, route(post, "/machineactions/bulk/"+string(k), []access.Permission{k.Need()}, a.bulk(k),
				api.Doc{Summary: "Ask many devices for " + string(k) + ", or count what would become of it", Body: bulkBody{}, Answer: bulkEntity{}, Errors: ask}))
		}
	}
	return routes
}

// actionID reads the id of a path. What is no id names no action.
func actionID(r *api.Request) (ident.ActionID, error) {
	id, ok := ident.ParseActionID(r.Var("id"))
	if !ok {
		return "", missing(r.Var("id"))
	}
	return id, nil
}

func missing(id string) error {
	return errs.New("respond", errs.NotFound, errs.ResourceNotFound, "Machine action %s was not found", id)
}

// named says which action was not found, when that is what err says.
func named(err error, id ident.ActionID) error {
	if errs.Is(err, errs.NotFound) {
		return missing(string(id))
	}
	return err
}

// number reads a numeric id of the path; what is none is the id of nothing.
func number(r *api.Request) int64 {
	n, err := strconv.ParseInt(r.Var("id"), 10, 64)
	if err != nil || n < 0 {
		return 0
	}
	return n
}
