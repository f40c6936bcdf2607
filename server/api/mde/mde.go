// Package mde speaks the published REST API of Microsoft Defender for Endpoint: alerts,
// machines, machine actions, indicators and advanced hunting, with the entities and
// quirks that its clients know.
//
// It holds no rules and no state. It turns requests into calls of the domains' services
// and their nouns into published entities, and it is the only place that knows the
// published names (a machine is a device everywhere else). The invariants: every key of
// an entity is always there, null where the server does not know; nothing is answered
// that is not some service's state.
//
// Start at Routes. Each noun has a file of routes; entity.go has the published shapes.
package mde

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/api"
	"github.com/vedette-edr/vedette/server/api/odata"
	"github.com/vedette-edr/vedette/server/device"
	"github.com/vedette-edr/vedette/server/filter"
	"github.com/vedette-edr/vedette/server/hunt"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/indicator"
)

// Devices is what this package needs of device.Service.
type Devices interface {
	Get(ctx context.Context, tenant ident.TenantID, id ident.DeviceID) (*device.Device, error)
	List(ctx context.Context, tenant ident.TenantID, q device.Query) ([]*device.Device, error)
	FindByName(ctx context.Context, tenant ident.TenantID, name string) ([]*device.Device, error)
	Find(ctx context.Context, tenant ident.TenantID, base device.Query, q filter.Query) (filter.Page[*device.Device], error)
	FindByIP(ctx context.Context, tenant ident.TenantID, ip string, at time.Time, q filter.Query) (filter.Page[*device.Device], error)
	Tag(ctx context.Context, tenant ident.TenantID, id ident.DeviceID, change device.TagChange, tag string) (*device.Device, error)
	TagMany(ctx context.Context, tenant ident.TenantID, ids []ident.DeviceID, change device.TagChange, tag string) ([]*device.Device, error)
	Change(ctx context.Context, tenant ident.TenantID, id ident.DeviceID, c device.Change) (*device.Device, error)
}

// Indicators is what this package needs of indicator.Service, which acts for the
// principal of the context.
type Indicators interface {
	Indicators(ctx context.Context, q filter.Query) (filter.Page[*indicator.Indicator], error)
	Indicator(ctx context.Context, id ident.IndicatorID) (*indicator.Indicator, error)
	Put(ctx context.Context, i *indicator.Indicator) (*indicator.Indicator, error)
	Import(ctx context.Context, is []*indicator.Indicator) ([]indicator.Imported, error)
	DeleteIndicators(ctx context.Context, ids []ident.IndicatorID) error
	Expired(ctx context.Context, q filter.Query) (filter.Page[*indicator.Indicator], error)
	Stats(ctx context.Context, id ident.IndicatorID) (*indicator.Stats, error)
	// Revision is the one that the tenant's devices are to have in force.
	Revision(tenant ident.TenantID) indicator.Revision
}

// Groups names the device groups.
type Groups interface {
	// Label is the published name of a device group.
	Label(tenant ident.TenantID, id int64) string
	// Of returns the groups of those of the devices that are there.
	Of(ctx context.Context, tenant ident.TenantID, ids []ident.DeviceID) (map[ident.DeviceID]int64, error)
}

// noGroups is the Groups of a server without device groups.
type noGroups struct{}

func (noGroups) Label(ident.TenantID, int64) string { return "UnassignedGroup" }

func (noGroups) Of(context.Context, ident.TenantID, []ident.DeviceID) (map[ident.DeviceID]int64, error) {
	return nil, nil
}

// Hunter runs queries for the principal of the context.
type Hunter interface {
	Run(ctx context.Context, r hunt.Request) (*hunt.Result, error)
}

// Telemetry answers what routes ask of events: hunting, and lookups on behalf of callers
// whose permission was decided before.
type Telemetry interface {
	Hunter
	Events
	Logons
	Sightings
}

// Config is what the API is made of.
type Config struct {
	Alerts     Alerts
	Incidents  Incidents
	Devices    Devices
	Actions    Actions
	Releases   Releases // nil: no release codes
	Indicators Indicators
	Hunter     Telemetry
	// Library and Investigations are needed by their routes alone.
	Library        Library
	Investigations Investigations
	LinkKey        []byte           // signs download links; nil for none, and then every link is refused
	Groups         Groups           // nil: every device is in the default group
	Now            func() time.Time // nil for time.Now
	// Page is the rows of one page of a list; 0 for the published 10,000.
	Page int
	// Retention is how long a device that is not seen any more stays in lists; 0 for the
	// published 180 days.
	Retention time.Duration
	// Model describes what other packages serve below /api.
	Model odata.Model
}

// API is the handlers over the services.
type API struct {
	alerts         Alerts
	incidents      Incidents
	devices        Devices
	actions        Actions
	releases       Releases
	indicators     Indicators
	hunter         Hunter
	events         Events
	logons         Logons
	sightings      Sightings
	library        Library
	investigations Investigations
	linkKey        []byte
	groups         Groups
	now            func() time.Time
	page           int
	retention      time.Duration
	more           odata.Model
}

// New returns the API.
func New(c Config) *API {
	a := &API{
		alerts: c.Alerts, incidents: c.Incidents, devices: c.Devices, actions: c.Actions, releases: c.Releases, indicators: c.Indicators,
		hunter: c.Hunter, events: c.Hunter, logons: c.Hunter, sightings: c.Hunter,
		library: c.Library, investigations: c.Investigations, linkKey: c.LinkKey,
		now: c.Now, page: c.Page, retention: c.Retention, more: c.Model,
	}
	if a.groups = c.Groups; a.groups == nil {
		a.groups = noGroups{}
	}
	if a.now == nil {
		a.now = time.Now
	}
	if a.retention == 0 {
		a.retention = 180 * 24 * time.Hour
	}
	return a
}

// Routes returns the route table of the API.
func (a *API) Routes() []api.Route {
	return a.document(slices.Concat(a.serviceRoutes(), a.alertRoutes(), a.incidentRoutes(), a.machineRoutes(), a.actionRoutes(), a.indicatorRoutes(), a.huntRoutes(), a.sightingRoutes(),
		a.libraryRoutes(), a.investigationRoutes(), a.legacyRoutes()))
}

var (
	alertRead    = []access.Permission{access.AlertRead, access.AlertReadWrite}
	alertWrite   = []access.Permission{access.AlertReadWrite}
	machineRead  = []access.Permission{access.MachineRead, access.MachineReadWrite}
	machineWrite = []access.Permission{access.MachineReadWrite}
)

// limited sets how often a route may be called, as published.
func limited(l api.Limit, r api.Route) api.Route {
	r.Limit = l
	return r
}

func get(pattern string, need []access.Permission, h api.Handler) api.Route {
	return api.Route{Method: http.MethodGet, Pattern: "/api" + pattern, Need: need, Handle: h}
}

func post(pattern string, need []access.Permission, h api.Handler) api.Route {
	return api.Route{Method: http.MethodPost, Pattern: "/api" + pattern, Need: need, Handle: h}
}

func patch(pattern string, need []access.Permission, h api.Handler) api.Route {
	return api.Route{Method: http.MethodPatch, Pattern: "/api" + pattern, Need: need, Handle: h}
}

// kindOf is the context of an answer: what follows the address of the service.
func kindOf(set string) string { return "/api/$metadata#" + set }

// spec completes the query options of a list.
func (a *API) spec(fields filter.Schema, entity any, expand ...string) odata.Spec {
	return odata.Spec{Fields: fields, Entity: entity, Expand: expand, Page: a.page}
}

// derived answers with entities that were made for this request, as its options select.
func derived[E any](a *API, w http.ResponseWriter, r *api.Request, set string, items []E) error {
	var zero E
	o, err := odata.Parse(r.Query, a.spec(odata.Fields(zero), zero))
	if err != nil {
		return err
	}
	if r.Counting() {
		return counted(w, odata.Derived(items, odata.Options{Query: filter.Query{Where: o.Query.Where}}).Total)
	}
	return odata.WriteCollection(w, r, kindOf(set), o, odata.Derived(items, o), func(e E) E { return e })
}

// counted answers a /$count: the bare number of rows that match $filter.
func counted(w http.ResponseWriter, total int64) error {
	return api.WriteText(w, http.StatusOK, decimal(total))
}

func decimal(n int64) string { return strconv.FormatInt(n, 10) }
