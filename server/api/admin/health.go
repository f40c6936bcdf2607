package admin

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/vedette-edr/vedette/server/api"
	"github.com/vedette-edr/vedette/server/device"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
)

// deviceHealth is what a device and the server say of the device's health.
type deviceHealth struct {
	ID           string            `json:"id"`
	Name         string            `json:"computerDnsName"`
	HealthStatus string            `json:"healthStatus"`
	Incarnation  uint64            `json:"incarnation"`
	LastReport   *time.Time        `json:"lastReport"`
	LastData     *time.Time        `json:"lastTelemetry"`
	ClockOffset  float64           `json:"clockOffsetSeconds"` // server clock minus device clock
	ClockWrong   bool              `json:"clockWrong"`
	Cloned       *time.Time        `json:"cloned"` // when copies were noticed
	Spool        spool             `json:"spool"`
	Facilities   []device.Facility `json:"facilities"`
	Problems     []string          `json:"problems"` // in words for people
}

// spool is what the device holds that the server has not acknowledged.
type spool struct {
	Bytes   int64      `json:"bytes"`
	Limit   int64      `json:"limit"`
	Batches int64      `json:"batches"`
	Oldest  *time.Time `json:"oldest"`
	Dropped uint64     `json:"dropped"` // events since the agent started
}

func (a *API) health(w http.ResponseWriter, r *api.Request) error {
	d, err := a.find(r, r.Var("id"))
	if err != nil {
		return err
	}
	out := deviceHealth{
		ID: string(d.ID), Name: d.Name, HealthStatus: string(d.Health(a.now())), Incarnation: d.Incarnation,
		LastReport: moment(d.LastReport), LastData: moment(d.LastData),
		ClockOffset: d.Offset.Seconds(), ClockWrong: d.ClockWrong(),
		Spool: spool{Bytes: d.Spool.Bytes, Limit: d.Spool.Limit, Batches: d.Spool.Batches,
			Oldest: moment(d.Spool.Oldest), Dropped: d.Spool.Dropped},
		Facilities: append([]device.Facility{}, d.Facilities...), Problems: d.Problems(),
	}
	if d.Clone != nil {
		out.Cloned = moment(d.Clone.At)
	}
	return api.WriteJSON(w, r, http.StatusOK, out)
}

// find returns the device of an id or of a name that no other device has.
func (a *API) find(r *api.Request, name string) (*device.Device, error) {
	const op = "admin.find"
	if id, ok := ident.ParseDeviceID(name); ok {
		return a.devices.Get(r.Context(), r.Caller.Tenant, id)
	}
	ds, err := a.devices.FindByName(r.Context(), r.Caller.Tenant, name)
	switch {
	case err != nil:
		return nil, err
	case len(ds) == 0:
		return nil, errs.New(op, errs.NotFound, errs.ResourceNotFound, "Machine %s was not found", name)
	case len(ds) == 1:
		return ds[0], nil
	}
	ids := make([]string, 0, 5)
	for _, d := range ds[:min(len(ds), 5)] {
		ids = append(ids, string(d.ID))
	}
	return nil, &errs.E{Op: op, Kind: errs.Invalid, Code: errs.InvalidInput,
		Detail: fmt.Sprintf("%d machines are called %s; name one by its id: %s", len(ds), name, strings.Join(ids, ", "))}
}

func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}
