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
	"reflect"
	"slices"
	"strconv"
	"strings"
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
	Protections(ctx context.Context, tenant ident.TenantID, q filter.Query) (filter.Page[*device.Protection], error)
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

// Model is what this package serves of the published service, as $metadata tells it.
func Model() odata.Model {
	devices := odata.Navigation{Name: "machineReferences", Set: "MachineReferences", Many: true}
	weaknesses := odata.Navigation{Name: "vulnerabilities", Set: "Vulnerabilities", Many: true}
	return odata.Model{
		Sets: []odata.Set{
			{Name: "Machines", Navigate: []odata.Navigation{{Name: "software", Set: "Software", Many: true}, weaknesses,
				{Name: "recommendations", Set: "Recommendations", Many: true}}},
			{Name: "Software", Type: "Software", Entity: softwareEntity{}, Key: "id", Navigate: []odata.Navigation{devices, weaknesses}},
			{Name: "Vulnerabilities", Type: "Vulnerability", Entity: vulnerabilityEntity{}, Key: "id", Navigate: []odata.Navigation{devices}},
			{Name: "Recommendations", Type: "Recommendation", Entity: recommendationEntity{}, Key: "id",
				Navigate: []odata.Navigation{{Name: "software", Set: "Software"}, devices, weaknesses}},
			{Name: "RemediationTasks", Type: "RemediationTask", Entity: taskEntity{}, Key: "id", Navigate: []odata.Navigation{devices}},
			{Name: "DeviceAvInfo", Type: "DeviceAvInfo", Entity: deviceAVEntity{}, Key: "id"},
			{Name: "MachineReferences", Type: "MachineReference", Entity: machineReference{}, Key: "id", Hidden: true},
		},
		Complex: []odata.Complex{
			{Type: "Score", Value: scoreEntity{}}, {Type: "Distribution", Value: distributionEntity{}}, {Type: "PublicProductFixDto", Value: fixEntity{}},
			{Type: "PublicAssetVulnerabilityDto", Value: assetEntity{}}, {Type: "ExportFilesResponse", Value: exportFiles{}},
			{Type: "AssetSoftware", Value: assetSoftware{}}, {Type: "AssetVulnerability", Value: assetVulnerability{}},
			{Type: "DeltaAssetVulnerability", Value: deltaVulnerability{}}, {Type: "AssetConfiguration", Value: assetConfiguration{}},
			{Type: "AssetHardwareFirmware", Value: assetHardware{}}, {Type: "AssetBrowserExtension", Value: assetExtension{}},
		},
	}
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
	return slices.Concat(counted(slices.Concat(a.scoreRoutes(), a.softwareRoutes(), a.vulnerabilityRoutes(), a.recommendationRoutes(),
		a.baselineRoutes(), a.taskRoutes(), a.scanRoutes(), a.feedRoutes())), a.exportRoutes())
}

// counted adds to the routes of collections those of their /$count, which have the same
// handlers: listing and whole tell the two apart.
func counted(routes []api.Route) []api.Route {
	for _, r := range routes {
		s, ok := specOf(r.Doc.Answer)
		if !ok || r.Method != http.MethodGet {
			continue
		}
		r.Pattern += api.CountSegment
		r.Doc = api.Doc{Summary: "Count " + strings.TrimPrefix(r.Doc.Summary, "List "), Params: odata.CountParams(s), Answer: "", Errors: r.Doc.Errors}
		routes = append(routes, r)
	}
	return routes
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
	doc := api.Doc{Summary: summary, Answer: answer}
	if s, ok := specOf(answer); ok {
		doc.Params, doc.Errors = odata.Params(s), []errs.Code{errs.ODataError}
	}
	return api.Route{Method: http.MethodGet, Pattern: "/api" + pattern, Need: need, Handle: h, Doc: doc}
}

// delegated says what people need for a route, where it is not what applications need.
func delegated(p access.Permission, r api.Route) api.Route {
	r.NeedDelegated = []access.Permission{p}
	return r
}

func change(method, pattern, summary string, need []access.Permission, body, answer any, h api.Handler) api.Route {
	return api.Route{Method: method, Pattern: "/api" + pattern, Need: need, Handle: h, Doc: api.Doc{Summary: summary, Body: body, Answer: answer}}
}

func limited(minute, hour int, r api.Route) api.Route {
	r.Limit = api.Limit{PerMinute: minute, PerHour: hour}
	return r
}

func kindOf(set string) string { return "/api/$metadata#" + set }

// specOf returns the query options of a collection by the slice of entities that it
// answers; false for what is no collection.
func specOf(answer any) (odata.Spec, bool) {
	t := reflect.TypeOf(answer)
	if t == nil || t.Kind() != reflect.Slice {
		return odata.Spec{}, false
	}
	s := odata.Spec{Entity: reflect.Zero(t.Elem()).Interface()}
	switch answer.(type) {
	case []softwareEntity:
		s.Fields = vulnerability.ProductFields
	case []vulnerabilityEntity:
		s.Fields = vulnerability.VulnerabilityFields
	case []assetEntity:
		s.Fields = vulnerability.AssetFields
	case []recommendationEntity:
		s.Fields = vulnerability.RecommendationFields
	case []taskEntity:
		s.Fields = vulnerability.TaskFields
	case []deviceAVEntity:
		s.Fields, s.Page = device.ProtectionFields, 20 // published
	}
	return s, true
}

// numbered answers a /$count.
func numbered(w http.ResponseWriter, n int64) error {
	return api.WriteText(w, http.StatusOK, strconv.FormatInt(n, 10))
}

// listing answers a collection that a service pages through, or the number of its members.
func listing[T, E any](w http.ResponseWriter, r *api.Request, set string, render func(T) E,
	ask func(ctx context.Context, q filter.Query) (filter.Page[T], error)) error {
	s, _ := specOf([]E{})
	o, err := odata.Parse(r.Query, s)
	if err != nil {
		return err
	}
	if r.Counting() {
		page, err := ask(r.Context(), filter.Query{Where: o.Query.Where, Top: 1, Count: true})
		if err != nil {
			return err
		}
		return numbered(w, page.Total)
	}
	page, err := ask(r.Context(), o.Query)
	if err != nil {
		return err
	}
	return odata.WriteCollection(w, r, kindOf(set), o, page, render)
}

// whole answers a collection that is there in one piece.
func whole[T, E any](w http.ResponseWriter, r *api.Request, set string, items []T, render func(T) E) error {
	s, _ := specOf([]E{})
	s.Fields = nil // there is nothing that could filter or order them
	o, err := odata.Parse(r.Query, s)
	if err != nil {
		return err
	}
	if r.Counting() {
		return numbered(w, int64(len(items)))
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
