package mde

import (
	"cmp"
	"net/http"
	"slices"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/alert"
	"github.com/vedette-edr/vedette/server/api"
	"github.com/vedette-edr/vedette/server/api/odata"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/incident"
)

// maxNamed is how many devices, users and categories a queue names of one incident.
const maxNamed = 5

// queuedIncident is an incident as a queue shows it: what the published list answers,
// counted instead of listed. An incident of a hundred devices is as long as one of five.
type queuedIncident struct {
	IncidentID         int64          `json:"incidentId"`
	RedirectIncidentID *int64         `json:"redirectIncidentId"`
	IncidentName       string         `json:"incidentName"`
	CreatedTime        odata.DateTime `json:"createdTime"`
	LastUpdateTime     odata.DateTime `json:"lastUpdateTime"`
	AssignedTo         *string        `json:"assignedTo"`
	Classification     string         `json:"classification"`
	Determination      string         `json:"determination"`
	Status             string         `json:"status"`
	Severity           string         `json:"severity"`
	Tags               []string       `json:"tags"`
	AlertCount         int            `json:"alertCount"`     // that the caller sees
	OpenAlertCount     int            `json:"openAlertCount"` // of them
	Categories         []string       `json:"categories"`     // those of most alerts first, at most 5
	Devices            []queuedDevice `json:"devices"`        // those of most alerts first, at most 5
	DeviceCount        int            `json:"deviceCount"`
	Users              []string       `json:"users"` // as domain\name; those of most alerts first, at most 5
	UserCount          int            `json:"userCount"`
}

type queuedDevice struct {
	ID   string `json:"mdatpDeviceId"`
	Name string `json:"deviceDnsName"` // its id where it has none
}

func (a *API) queueRoute(read []access.Permission) api.Route {
	return api.Route{Method: http.MethodGet, Pattern: "/api/vedette/incidents", Need: read, Handle: a.getQueue, Doc: api.Doc{
		Summary: "List incidents with what their alerts are about, counted", Params: []api.Param{{Name: "$filter"}, {Name: "$orderby"}, {Name: "$top", Type: "integer", About: "at most 100"},
			{Name: "$skip", Type: "integer"}, {Name: "$count", Type: "boolean"}, {Name: "$select"}}, Answer: []queuedIncident{}, Errors: []errs.Code{errs.ODataError}}}
}

func (a *API) getQueue(w http.ResponseWriter, r *api.Request) error {
	spec := incidentSpec()
	spec.Entity = queuedIncident{}
	return writeIncidents(a, w, r, spec, func(i *incident.Incident, alerts []*alert.Alert) queuedIncident { return a.queued(r, i, alerts) })
}

func (a *API) queued(r *api.Request, i *incident.Incident, alerts []*alert.Alert) queuedIncident {
	whole := a.incidentOf(r, i, nil, nil)
	e := queuedIncident{
		IncidentID: whole.IncidentID, RedirectIncidentID: whole.RedirectIncidentID, IncidentName: whole.IncidentName, CreatedTime: whole.CreatedTime,
		LastUpdateTime: whole.LastUpdateTime, AssignedTo: whole.AssignedTo, Classification: whole.Classification, Determination: whole.Determination,
		Status: whole.Status, Severity: whole.Severity, Tags: whole.Tags, AlertCount: len(alerts), Devices: []queuedDevice{},
	}
	categories, devices, users := tally{}, tally{}, tally{}
	names := map[string]string{}
	for _, al := range alerts {
		if al.Open() {
			e.OpenAlertCount++
		}
		categories.add(al.Category)
		devices.add(string(al.Device))
		names[string(al.Device)] = cmp.Or(al.DeviceName, string(al.Device))
		for n := range al.Evidence {
			v := &al.Evidence[n]
			switch {
			case v.Type != "User" || v.Account == "":
			case v.Domain == "":
				users.add(v.Account)
			default:
				users.add(v.Domain + `\` + v.Account)
			}
		}
	}
	e.Categories, e.Users, e.DeviceCount, e.UserCount = categories.most(), users.most(), len(devices), len(users)
	for _, id := range devices.most() {
		e.Devices = append(e.Devices, queuedDevice{id, names[id]})
	}
	return e
}

// tally counts names.
type tally map[string]int

func (t tally) add(name string) {
	if name != "" {
		t[name]++
	}
}

// most is the names that were counted most, at most maxNamed.
func (t tally) most() []string {
	out := make([]string, 0, len(t))
	for name := range t {
		out = append(out, name)
	}
	slices.SortFunc(out, func(a, b string) int { return cmp.Or(cmp.Compare(t[b], t[a]), cmp.Compare(a, b)) })
	return out[:min(len(out), maxNamed)]
}
