// Package preview speaks what the published API had before 2019, on the host of Graph, and
// has no successor of the same shape: actions on files and on files of machines, actors,
// updates and what they mend, machine groups and the security states of machines. The
// forms that do have a successor are package mde's, which also reads the root
// /testwdatppreview as /api.
//
// It holds no state: everything is read from what took the place of these. The invariant:
// what this server knows nothing of, actors and updates of Windows among them, is an
// empty list or not found, never made up. Start at Routes.
package preview

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/action"
	"github.com/vedette-edr/vedette/server/alert"
	"github.com/vedette-edr/vedette/server/api"
	"github.com/vedette-edr/vedette/server/api/odata"
	"github.com/vedette-edr/vedette/server/device"
	"github.com/vedette-edr/vedette/server/device/group"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/filter"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/indicator"
)

// Devices is what this package needs of device.Service.
type Devices interface {
	Protections(ctx context.Context, tenant ident.TenantID, q filter.Query) (filter.Page[*device.Protection], error)
}

// Groups is what this package needs of group.Service.
type Groups interface {
	Visible(ctx context.Context, tenant ident.TenantID) []*group.Group
}

// Actions is what this package needs of action.Service.
type Actions interface {
	Get(ctx context.Context, tenant ident.TenantID, id ident.ActionID) (*action.Action, error)
	List(ctx context.Context, tenant ident.TenantID, q filter.Query) (filter.Page[*action.Action], error)
}

// Indicators is what this package needs of indicator.Service, which acts for the principal
// of the context.
type Indicators interface {
	Indicators(ctx context.Context, q filter.Query) (filter.Page[*indicator.Indicator], error)
}

// Alerts is what this package needs of alert.Service.
type Alerts interface {
	Get(ctx context.Context, tenant ident.TenantID, id ident.AlertID) (*alert.Alert, error)
}

// Config is what the API is made of.
type Config struct {
	Devices    Devices
	Groups     Groups
	Actions    Actions
	Indicators Indicators
	Alerts     Alerts
	Now        func() time.Time // nil for time.Now
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

var (
	machines = []access.Permission{access.MachineRead, access.MachineReadWrite}
	alerts   = []access.Permission{access.AlertRead, access.AlertReadWrite}
	threats  = []access.Permission{access.TIReadWriteOwn, access.TIReadWrite}
	updates  = []access.Permission{access.VulnerabilityRead}
)

// Routes returns the route table of the API.
func (a *API) Routes() []api.Route {
	return slices.Concat(
		collection("/fileactions", "List the files that are blocked", threats, FileAction{}, a.fileActions),
		collection("/filemachineactions", "List the actions on files of machines, newest first", machines, fileMachineAction{}, a.fileMachineActions),
		collection("/cvekbmap", "List which updates of Windows mend which vulnerabilities", updates, cveUpdate{}, nothing[cveUpdate]("CveKbMap")),
		collection("/kbinfo", "List updates of Windows", updates, update{}, nothing[update]("KbInfo")),
		collection("/machinegroups", "List machine groups", machines, machineGroup{}, a.machineGroups),
		collection("/machinesecuritystates", "List what of machines requires attention", machines, securityState{}, a.securityStates),
		[]api.Route{
			{Method: http.MethodGet, Pattern: "/api/filemachineactions/{id}", Need: machines, Handle: a.fileMachineAction,
				Doc: api.Doc{Summary: "Get an action on a file of a machine; of before 2019", Answer: fileMachineAction{}, Errors: []errs.Code{errs.ResourceNotFound}}},
			{Method: http.MethodGet, Pattern: "/api/actors/{id}", Need: alerts, Handle: a.actor,
				Doc: api.Doc{Summary: "Get an actor; of before 2019", Answer: actor{}, Errors: []errs.Code{errs.ResourceNotFound}}},
			{Method: http.MethodGet, Pattern: "/api/alerts/{id}/actor", Need: alerts, Handle: a.actorOf,
				Doc: api.Doc{Summary: "Get the actor of an alert; of before 2019", Answer: actor{}, Errors: []errs.Code{errs.ResourceNotFound}}},
		})
}

// collection is the two routes of a collection: the list and its /$count.
func collection[E any](pattern, summary string, need []access.Permission, entity E, h api.Handler) []api.Route {
	list := api.Route{Method: http.MethodGet, Pattern: "/api" + pattern, Need: need, Handle: h,
		Doc: api.Doc{Summary: summary + "; of before 2019", Params: odata.Params(odata.Spec{Entity: entity}), Answer: []E{}, Errors: []errs.Code{errs.ODataError}}}
	count := list
	count.Pattern += api.CountSegment
	count.Doc = api.Doc{Summary: "Count for: " + list.Doc.Summary, Answer: "", Errors: []errs.Code{errs.ODataError}}
	return []api.Route{list, count}
}

func kindOf(set string) string { return "/api/$metadata#" + set }

// page answers one page of a collection that a service lists, or the number of its members.
func page[T, E any](w http.ResponseWriter, r *api.Request, set string, render func(T) E, ask func(q filter.Query) (filter.Page[T], error)) error {
	var entity E
	o, err := odata.Parse(r.Query, odata.Spec{Entity: entity})
	if err != nil {
		return err
	}
	if r.Counting() {
		p, err := ask(filter.Query{Top: 1, Count: true})
		if err != nil {
			return err
		}
		return api.WriteText(w, http.StatusOK, strconv.FormatInt(p.Total, 10))
	}
	p, err := ask(o.Query)
	if err != nil {
		return err
	}
	return odata.WriteCollection(w, r, kindOf(set), o, p, render)
}

// whole answers a collection that is there in one piece.
func whole[E any](w http.ResponseWriter, r *api.Request, set string, items []E) error {
	return page(w, r, set, func(e E) E { return e }, func(q filter.Query) (filter.Page[E], error) {
		return filter.Select(items, q, odata.RowOf[E]), nil
	})
}

// nothing answers the list of a noun that this server has none of.
func nothing[E any](set string) api.Handler {
	return func(w http.ResponseWriter, r *api.Request) error { return whole(w, r, set, []E{}) }
}

func stamp(t time.Time) odata.DateTime { return odata.DateTime(t) }

func optional[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}

// is is the predicate that a field has one of the values.
func is(s filter.Schema, field string, values ...string) filter.Expr {
	f, _ := s.Find(field)
	in := filter.In{Field: f}
	for _, v := range values {
		in.Values = append(in.Values, filter.Value{Type: filter.String, S: v})
	}
	return in
}
