package mde

import (
	"net/http"

	"github.com/vedette-edr/vedette/server/api"
	"github.com/vedette-edr/vedette/server/api/odata"
	"github.com/vedette-edr/vedette/server/device"
	"github.com/vedette-edr/vedette/server/indicator"
)

// coverageEntity says how far the tenant's enforcing indicators have got. It is no
// published entity: there, nobody says which devices block already.
type coverageEntity struct {
	Revision          int64          `json:"revision"`          // in force on the server
	Devices           int            `json:"devices"`           // active or reachable
	UpToDate          int            `json:"upToDate"`          // of these, those that have this revision in force
	EnforcingByType   map[string]int `json:"enforcingByType"`   // of these, by indicatorType, those that can enforce it
	OutdatedTruncated bool           `json:"outdatedTruncated"` // there are more than are listed
	Outdated          []outdated     `json:"outdated"`          // ordered by id, at most maxOutdated
}

type outdated struct {
	MachineID       string         `json:"machineId"`
	ComputerDNSName *string        `json:"computerDnsName"`
	Revision        int64          `json:"revision"` // the one it acknowledged last; 0 for none
	LastSeen        odata.DateTime `json:"lastSeen"`
}

// maxOutdated bounds the answer, not the counts.
const maxOutdated = 100

// enforcer is the facility that a device enforces a type of indicator with.
var enforcer = map[indicator.Type]string{
	indicator.IPAddress: "enforce:address", indicator.Domain: "enforce:domain", indicator.URL: "enforce:url",
	indicator.FileSHA1: "enforce:file", indicator.FileSHA256: "enforce:file", indicator.FileMD5: "enforce:file",
}

// getCoverage answers GET /api/vedette/indicators/coverage.
func (a *API) getCoverage(w http.ResponseWriter, r *api.Request) error {
	tenant, now := r.Caller.Tenant, a.now()
	ds, err := a.devices.List(r.Context(), tenant, device.Query{SeenSince: now.Add(-a.retention)})
	if err != nil {
		return err
	}
	// Read after the devices: one that applied the newest revision is never ahead of it.
	e := coverageEntity{Revision: int64(a.indicators.Revision(tenant)), EnforcingByType: map[string]int{}, Outdated: []outdated{}}
	for t := range enforcer {
		e.EnforcingByType[string(t)] = 0
	}
	for _, d := range ds {
		if h := d.Health(now); h == device.Inactive || h == device.Unknown {
			continue
		}
		e.Devices++
		if int64(d.Indicators) != e.Revision {
			if len(e.Outdated) == maxOutdated {
				e.OutdatedTruncated = true
				continue
			}
			e.Outdated = append(e.Outdated, outdated{MachineID: string(d.ID), ComputerDNSName: optional(d.Name),
				Revision: int64(d.Indicators), LastSeen: stamp(d.LastSeen)})
			continue
		}
		e.UpToDate++
		for t, name := range enforcer {
			if works(d, name) {
				e.EnforcingByType[string(t)]++
			}
		}
	}
	return odata.WriteEntity(w, r, http.StatusOK, kindOf("vedette.indicatorCoverage"), e)
}

// works reports whether a device has a facility, and it is not missing.
func works(d *device.Device, facility string) bool {
	for i := range d.Facilities {
		if f := &d.Facilities[i]; f.Name == facility {
			return f.State != "missing"
		}
	}
	return false
}
