// Package graph speaks the security part of Microsoft Graph: alerts_v2, incidents and
// runHuntingQuery, at /v1.0/security and /beta/security alike.
//
// It holds no rules and no state: it turns requests into calls of the domains' services and
// their nouns into Graph's entities. The invariants: words are Graph's (inProgress, not
// InProgress; names of its enumerations), every property of an entity is there, null where
// the server does not know; nothing is answered that is not some service's state.
//
// Start at Routes; word.go translates the vocabulary, predicate.go $filter.
package graph

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/alert"
	"github.com/vedette-edr/vedette/server/api"
	"github.com/vedette-edr/vedette/server/device"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/filter"
	"github.com/vedette-edr/vedette/server/hunt"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/incident"
)

// Alerts is what this package needs of alert.Service.
type Alerts interface {
	Get(ctx context.Context, tenant ident.TenantID, id ident.AlertID) (*alert.Alert, error)
	List(ctx context.Context, tenant ident.TenantID, q filter.Query) (filter.Page[*alert.Alert], error)
	Update(ctx context.Context, by *access.Principal, id ident.AlertID, c alert.Change) (*alert.Alert, error)
}

// Incidents is what this package needs of incident.Service.
type Incidents interface {
	Get(ctx context.Context, tenant ident.TenantID, id ident.IncidentID) (*incident.Incident, error)
	List(ctx context.Context, tenant ident.TenantID, q filter.Query) (filter.Page[*incident.Incident], error)
	AlertsOf(ctx context.Context, tenant ident.TenantID, ids ...ident.IncidentID) (map[ident.IncidentID][]*alert.Alert, error)
	Update(ctx context.Context, by *access.Principal, id ident.IncidentID, c incident.Change) (*incident.Incident, error)
}

// Devices is what this package needs of device.Service.
type Devices interface {
	Get(ctx context.Context, tenant ident.TenantID, id ident.DeviceID) (*device.Device, error)
}

// Groups names the device groups.
type Groups interface {
	// Label is the published name of a group; 0 is the devices in none.
	Label(tenant ident.TenantID, id int64) string
}

// noGroups is the Groups of a server without device groups.
type noGroups struct{}

func (noGroups) Label(ident.TenantID, int64) string { return "UnassignedGroup" }

// Hunter runs queries for the principal of the context.
type Hunter interface {
	Run(ctx context.Context, r hunt.Request) (*hunt.Result, error)
}

// Config is what the API is made of.
type Config struct {
	Alerts    Alerts
	Incidents Incidents
	Devices   Devices
	Hunter    Hunter
	Groups    Groups           // nil: every device is in the default group
	Now       func() time.Time // nil for time.Now
}

// API is the handlers over the services.
type API struct {
	Config
}

// New returns the API.
func New(c Config) *API {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Groups == nil {
		c.Groups = noGroups{}
	}
	return &API{c}
}

// versions are the roots under which everything is served.
var versions = []string{"/v1.0", "/beta"}

// limit is that of Graph's security API: its own page says 150 calls a minute and application.
var limit = api.Limit{PerMinute: 150, PerHour: 9000}

// Routes returns the route table of the API.
func (a *API) Routes() []api.Route {
	alertRead := []access.Permission{access.SecurityAlertRead, access.SecurityAlertReadWrite}
	alertWrite := []access.Permission{access.SecurityAlertReadWrite}
	incidentRead := []access.Permission{access.SecurityIncidentRead, access.SecurityIncidentReadWrite}
	incidentWrite := []access.Permission{access.SecurityIncidentReadWrite}
	query := []access.Permission{access.ThreatHuntingRead}
	one := []errs.Code{errs.ResourceNotFound}
	change := []errs.Code{errs.ResourceNotFound, errs.InvalidInput, errs.InvalidRequestBody}
	list := []errs.Code{errs.ODataError}

	get, post, patch := http.MethodGet, http.MethodPost, http.MethodPatch
	routes := []api.Route{
		{Method: get, Pattern: "/security/alerts_v2", Need: alertRead, Handle: a.listAlerts,
			Doc: api.Doc{Summary: "List alerts", Params: listParams("evidence is always there"), Answer: []alertEntity{}, Errors: list}},
		{Method: get, Pattern: "/security/alerts_v2/$count", Need: alertRead, Handle: a.countAlerts,
			Doc: api.Doc{Summary: "Count alerts", Params: []api.Param{{Name: "$filter"}}, Answer: "", Errors: list}},
		{Method: get, Pattern: "/security/alerts_v2/{id}", Need: alertRead, Handle: a.getAlert,
			Doc: api.Doc{Summary: "Get an alert", Answer: alertEntity{}, Errors: one}},
		{Method: patch, Pattern: "/security/alerts_v2/{id}", Need: alertWrite, Handle: a.patchAlert,
			Doc: api.Doc{Summary: "Update an alert", Body: alertPatch{}, Answer: alertEntity{}, Errors: change}},
		{Method: get, Pattern: "/security/alerts_v2/{id}/comments", Need: alertRead, Handle: a.alertComments,
			Doc: api.Doc{Summary: "List the comments of an alert", Answer: []commentEntity{}, Errors: one}},
		{Method: post, Pattern: "/security/alerts_v2/{id}/comments", Need: alertWrite, Handle: a.commentAlert,
			Doc: api.Doc{Summary: "Comment on an alert", Body: commentBody{}, Answer: []commentEntity{}, Errors: change}},
		{Method: get, Pattern: "/security/incidents", Need: incidentRead, Handle: a.listIncidents,
			Doc: api.Doc{Summary: "List incidents", Params: append(listParams("at most 50"), api.Param{Name: "$expand", Enum: []string{"alerts"}}), Answer: []incidentEntity{}, Errors: list}},
		{Method: get, Pattern: "/security/incidents/$count", Need: incidentRead, Handle: a.countIncidents,
			Doc: api.Doc{Summary: "Count incidents", Params: []api.Param{{Name: "$filter"}}, Answer: "", Errors: list}},
		{Method: get, Pattern: "/security/incidents/{id}", Need: incidentRead, Handle: a.getIncident,
			Doc: api.Doc{Summary: "Get an incident", Params: []api.Param{{Name: "$expand", Enum: []string{"alerts"}}}, Answer: incidentEntity{}, Errors: one}},
		{Method: patch, Pattern: "/security/incidents/{id}", Need: incidentWrite, Handle: a.patchIncident,
			Doc: api.Doc{Summary: "Update an incident", Body: incidentPatch{}, Answer: incidentEntity{}, Errors: change}},
		{Method: get, Pattern: "/security/incidents/{id}/alerts", Need: incidentRead, Handle: a.incidentAlerts,
			Doc: api.Doc{Summary: "List the alerts of an incident", Answer: []alertEntity{}, Errors: one}},
		{Method: get, Pattern: "/security/incidents/{id}/comments", Need: incidentRead, Handle: a.incidentComments,
			Doc: api.Doc{Summary: "List the comments of an incident", Answer: []commentEntity{}, Errors: one}},
		{Method: post, Pattern: "/security/incidents/{id}/comments", Need: incidentWrite, Handle: a.commentIncident,
			Doc: api.Doc{Summary: "Comment on an incident", Body: commentBody{}, Answer: []commentEntity{}, Errors: change}},
	}
	hunts := api.Doc{Summary: "Run a hunting query", Body: huntBody{}, Answer: huntAnswer{}, Errors: []errs.Code{errs.BadRequest, errs.MissingRequiredParameter}}
	for _, name := range []string{"runHuntingQuery", "microsoft.graph.security.runHuntingQuery"} {
		routes = append(routes, api.Route{Method: post, Pattern: "/security/" + name, Need: query, Handle: a.runQuery,
			Limit: api.Limit{PerMinute: 45, PerHour: 1500, Tenant: true}, Doc: hunts})
	}
	var out []api.Route
	for _, v := range versions {
		for _, r := range routes {
			r.Pattern = v + r.Pattern
			if r.Limit == (api.Limit{}) {
				r.Limit = limit
			}
			out = append(out, r)
		}
	}
	return out
}

func listParams(about string) []api.Param {
	return []api.Param{{Name: "$filter"}, {Name: "$orderby"}, {Name: "$top", Type: "integer", About: about}, {Name: "$skip", Type: "integer"},
		{Name: "$count", Type: "boolean"}, {Name: "$select"}}
}

// Owns reports whether a path is of this API: below its versions' security part, in any
// case.
func Owns(path string) bool {
	segments := strings.Split(strings.ToLower(strings.Trim(path, "/")), "/")
	return len(segments) >= 2 && slices.Contains(versions, "/"+segments[0]) && segments[1] == "security"
}

// contextOf is what follows the address of the service in an @odata.context, under the
// version that the request came to.
func contextOf(r *api.Request, set string) string {
	v := "/v1.0"
	if strings.HasPrefix(strings.ToLower(strings.TrimLeft(r.URL.Path, "/")), "beta") {
		v = "/beta"
	}
	return v + "/$metadata#security/" + set
}
