package preview

import (
	"net/http"
	"strconv"
	"time"

	"github.com/vedette-edr/vedette/server/api"
	"github.com/vedette-edr/vedette/server/api/odata"
	"github.com/vedette-edr/vedette/server/device"
	"github.com/vedette-edr/vedette/server/device/group"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/filter"
	"github.com/vedette-edr/vedette/server/ident"
)

type actor struct {
	ID           string `json:"id"`
	LinkToReport string `json:"linkToReport"`
}

// actor answers that an actor is not known: nothing here attributes what it sees.
func (a *API) actor(_ http.ResponseWriter, r *api.Request) error {
	return errs.New("preview.actor", errs.NotFound, errs.ResourceNotFound, "Actor %.64s was not found", r.Var("id"))
}

func (a *API) actorOf(_ http.ResponseWriter, r *api.Request) error {
	const op = "preview.actorOf"
	_, err := a.Alerts.Get(r.Context(), r.Caller.Tenant, ident.AlertID(r.Var("id")))
	if errs.Is(err, errs.NotFound) {
		return errs.New(op, errs.NotFound, errs.ResourceNotFound, "Alert %.128s was not found", r.Var("id"))
	}
	if err != nil {
		return err
	}
	return errs.New(op, errs.NotFound, errs.ResourceNotFound, "No actor is known of the alert")
}

type cveUpdate struct {
	CVEKBID  string `json:"cveKbId"`
	CVEID    string `json:"cveId"`
	KBID     string `json:"kbId"`
	Title    string `json:"title"`
	Severity string `json:"severity"`
}

type update struct {
	ID             string         `json:"id"`
	Release        string         `json:"release"`
	PublishingDate odata.DateTime `json:"publishingDate"`
	Version        string         `json:"version"`
	Architecture   string         `json:"architecture"`
}

type machineGroup struct {
	ID          string  `json:"id"`
	Name        string  `json:"name"`
	Description *string `json:"description"`
	Ungrouped   bool    `json:"ungrouped"`
}

func (a *API) machineGroups(w http.ResponseWriter, r *api.Request) error {
	out := []machineGroup{}
	for _, g := range a.Groups.Visible(r.Context(), r.Caller.Tenant) {
		out = append(out, machineGroup{ID: strconv.FormatInt(g.ID, 10), Name: g.Name, Description: optional(g.Description), Ungrouped: g.ID == group.Default})
	}
	return whole(w, r, "MachineGroups", out)
}

type securityState struct {
	ID           string   `json:"id"`
	Build        *int64   `json:"build"`
	Revision     *int64   `json:"revision"` // of Windows alone
	Architecture *string  `json:"architecture"`
	OSVersion    *string  `json:"osVersion"`
	Attention    []string `json:"propertiesRequireAttention"`
}

// The two published examples of what requires attention, in the page "Get Machines security
// states collection".
const (
	antivirusSilent = "AntivirusNotReporting"
	edrImpaired     = "EdrImpairedCommunications"
)

// architectures has the words of the page by those of machines.
var architectures = map[string]string{"x64": "Amd64", "x86": "Intel", "arm64": "Arm64"}

func stateOf(p *device.Protection, now time.Time) securityState {
	d, v := p.Device, &p.Device.Inventory
	s := securityState{ID: string(d.ID), Build: optional(v.Build), Architecture: optional(architectures[v.Processor]), OSVersion: optional(v.VersionInfo), Attention: []string{}}
	if p.Antivirus.Engine == "" {
		s.Attention = append(s.Attention, antivirusSilent)
	}
	switch d.Health(now) {
	case device.Impaired, device.NoSensorDataImpaired, device.Inactive:
		s.Attention = append(s.Attention, edrImpaired)
	}
	return s
}

func (a *API) securityStates(w http.ResponseWriter, r *api.Request) error {
	now := a.Now()
	render := func(p *device.Protection) securityState { return stateOf(p, now) }
	return page(w, r, "MachineSecurityStates", render, func(q filter.Query) (filter.Page[*device.Protection], error) {
		return a.Devices.Protections(r.Context(), r.Caller.Tenant, q)
	})
}
