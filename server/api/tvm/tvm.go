// Package tvm speaks the part of the published REST API that is called threat and
// vulnerability management: scores, software, vulnerabilities, recommendations, exports,
// antivirus health, remediation activities and authenticated scans; and, below
// /api/vedette, what the published API has no routes for: feeds, exceptions, remediation
// requests.
//
// It holds no rules and no state: package vulnerability does. The invariant: what nothing
// is known of is null, or an empty list, and no capability that is not there yet answers
// rows. Start at Routes; entity.go has the published shapes.
package tvm

import (
	"context"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/api"
	"github.com/vedette-edr/vedette/server/api/odata"
	"github.com/vedette-edr/vedette/server/device"
	"github.com/vedette-edr/vedette/server/device/group"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/filter"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/vulnerability"
)

// Devices is what this package needs of device.Service.
type Devices interface {
	Get(ctx context.Context, tenant ident.TenantID, id ident.DeviceID) (*device.Device, error)
	Find(ctx context.Context, tenant ident.TenantID, only device.Query, q filter.Query) (filter.Page[*device.Device], error)
	FindByName(ctx context.Context, tenant ident.TenantID, name string) ([]*device.Device, error)
}

// Groups names device groups.
type Groups interface {
	List(tenant ident.TenantID) []*group.Group
}

// Files keeps exports behind links.
type Files interface {
	Create(ctx context.Context, name string, life time.Duration, each func(emit func(any) error) error) ([]string, error)
	Open(base, signature string) (io.ReadCloser, int64, string, error)
}

// Config is what the API is made of.
type Config struct {
	Service *vulnerability.Service
	Devices Devices
	Groups  Groups
	Files   Files
	Now     func() time.Time // nil for time.Now
}

// API is the handlers over the services.
type API struct {
	service *vulnerability.Service
	devices Devices
	groups  Groups
	files   Files
	now     func() time.Time
}

// New returns the API.
func New(c Config) *API {
	a := &API{service: c.Service, devices: c.Devices, groups: c.Groups, files: c.Files, now: c.Now}
	if a.now == nil {
		a.now = time.Now
	}
	return a
}

// Routes returns the route table of the API.
func (a *API) Routes() []api.Route {
	return slices.Concat(a.scoreRoutes(), a.softwareRoutes(), a.vulnerabilityRoutes(), a.recommendationRoutes(), a.exportRoutes(),
		a.taskRoutes(), a.scanRoutes(), a.feedRoutes())
}

var (
	scoreRead          = []access.Permission{access.ScoreRead}
	softwareRead       = []access.Permission{access.SoftwareRead}
	vulnerabilityRead  = []access.Permission{access.VulnerabilityRead}
	recommendationRead = []access.Permission{access.RecommendationRead}
	machineRead        = []access.Permission{access.MachineRead, access.MachineReadWrite}
	machineWrite       = []access.Permission{access.MachineReadWrite}
	baselinesRead      = []access.Permission{access.BaselinesRead}
	tasksRead          = []access.Permission{access.RemediationTasksRead}
	configure          = []access.Permission{access.ServerAdmin, access.ConfigurationReadWrite}
)

// get is a route that answers an entity, or a slice of them for a collection.
func get(pattern, summary string, need []access.Permission, answer any, h api.Handler) api.Route {
	return api.Route{Method: http.MethodGet, Pattern: "/api" + pattern, Need: need, Handle: h, Doc: api.Doc{Summary: summary, Answer: answer}}
}

func change(method, pattern, summary string, need []access.Permission, body, answer any, h api.Handler) api.Route {
	return api.Route{Method: method, Pattern: "/api" + pattern, Need: need, Handle: h, Doc: api.Doc{Summary: summary, Body: body, Answer: answer}}
}

func limited(minute, hour int, r api.Route) api.Route {
	r.Limit = api.Limit{PerMinute: minute, PerHour: hour}
	return r
}

func kindOf(set string) string { return "/api/$metadata#" + set }

// listing answers a collection that a service pages through.
func listing[T, E any](w http.ResponseWriter, r *api.Request, set string, fields filter.Schema, render func(T) E,
	ask func(ctx context.Context, q filter.Query) (filter.Page[T], error)) error {
	var entity E
	o, err := odata.Parse(r.Query, odata.Spec{Fields: fields, Entity: entity})
	if err != nil {
		return err
	}
	page, err := ask(r.Context(), o.Query)
	if err != nil {
		return err
	}
	return odata.WriteCollection(w, r, kindOf(set), o, page, render)
}

// whole answers a collection that is there in one piece.
func whole[T, E any](w http.ResponseWriter, r *api.Request, set string, items []T, render func(T) E) error {
	var entity E
	o, err := odata.Parse(r.Query, odata.Spec{Entity: entity})
	if err != nil {
		return err
	}
	p := filter.Page[T]{Items: items, Total: int64(len(items))}
	p.Items = p.Items[min(o.Query.Skip, len(p.Items)):]
	if len(p.Items) > o.Query.Top {
		p.Items, p.More = p.Items[:o.Query.Top], true
	}
	return odata.WriteCollection(w, r, kindOf(set), o, p, render)
}

// device returns the device that a path names, by id or by its one name.
func (a *API) device(r *api.Request) (*device.Device, error) {
	name := r.Var("id")
	missing := errs.New("tvm.device", errs.NotFound, errs.ResourceNotFound, "Machine %s was not found", name)
	if id, ok := ident.ParseDeviceID(name); ok {
		d, err := a.devices.Get(r.Context(), r.Caller.Tenant, id)
		if errs.Is(err, errs.NotFound) {
			return nil, missing
		}
		return d, err
	}
	ds, err := a.devices.FindByName(r.Context(), r.Caller.Tenant, name)
	if err != nil {
		return nil, err
	}
	if len(ds) != 1 {
		return nil, missing
	}
	return ds[0], nil
}

// fleet reads devices once for one request, and names their groups.
type fleet struct {
	api    *API
	tenant ident.TenantID
	ctx    context.Context //nolint:containedctx // of the request that the fleet is for
	known  map[ident.DeviceID]*device.Device
	groups map[int64]string
}

func (a *API) fleet(r *api.Request) *fleet {
	f := &fleet{api: a, tenant: r.Caller.Tenant, ctx: r.Context(), known: map[ident.DeviceID]*device.Device{}, groups: map[int64]string{}}
	for _, g := range a.groups.List(f.tenant) {
		f.groups[g.ID] = g.Name
	}
	return f
}

// device returns a device, one without a name when it has gone meanwhile.
func (f *fleet) device(id ident.DeviceID) (*device.Device, error) {
	if d, ok := f.known[id]; ok {
		return d, nil
	}
	d, err := f.api.devices.Get(f.ctx, f.tenant, id)
	if errs.Is(err, errs.NotFound) {
		d, err = &device.Device{ID: id}, nil
	}
	if err != nil {
		return nil, err
	}
	f.known[id] = d
	return d, nil
}

// group is the name of a device's group in exports: "Unassigned" for devices in none, and
// "None" when the tenant has no groups.
func (f *fleet) group(d *device.Device) string {
	switch {
	case len(f.groups) <= 1:
		return "None"
	case d.Group == group.Default:
		return "Unassigned"
	}
	return f.groups[d.Group]
}

// references answers a list of devices.
func (a *API) references(w http.ResponseWriter, r *api.Request, n vulnerability.Narrow) error {
	ids, err := a.service.Lists.Devices(r.Context(), r.Caller.Tenant, n)
	if err != nil {
		return err
	}
	f := a.fleet(r)
	var failed error
	err = whole(w, r, "MachineReferences", ids, func(id ident.DeviceID) machineReference {
		d, err := f.device(id)
		if err != nil {
			failed = err
			d = &device.Device{ID: id}
		}
		return machineReference{ID: string(id), ComputerDNSName: optional(d.Name), OSPlatform: optional(d.Platform),
			RBACGroupName: optional(f.groups[d.Group]), RBACGroupID: d.Group}
	})
	if failed != nil && err == nil {
		return failed
	}
	return err
}
