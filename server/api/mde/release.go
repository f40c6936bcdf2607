package mde

import (
	"context"
	"net/http"
	"time"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/action"
	"github.com/vedette-edr/vedette/server/api"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
)

// Releases is what this package needs of action.Service for release codes.
type Releases interface {
	ReleaseCode(ctx context.Context, by *access.Principal, device ident.DeviceID, comment string, life time.Duration) (*action.ReleaseCode, error)
}

type releaseBody struct {
	Comment string `json:"Comment" doc:"required"`
	Minutes int64  `json:"Minutes"` // 0 for a day, 10080 at most
}

type releaseEntity struct {
	Code      string    `json:"code"`
	MachineID string    `json:"machineId"`
	Name      string    `json:"computerDnsName"`
	Expires   time.Time `json:"expirationDateTime"`
	Command   string    `json:"command"` // to be run on the machine, as root
}

// releaseCode answers POST /api/vedette/machines/{id}/releaseCode.
func (a *API) releaseCode(w http.ResponseWriter, r *api.Request) error {
	const op = "mde.releaseCode"
	if a.releases == nil {
		return errs.New(op, errs.Unsupported, errs.InvalidInput, "this server gives no release codes")
	}
	d, err := a.device(r.Context(), r.Caller.Tenant, r.Var("id"))
	if err != nil {
		return err
	}
	body, err := r.JSON()
	if err != nil {
		return err
	}
	comment, err := body.RequireString("Comment")
	if err != nil {
		return err
	}
	minutes, err := body.Int("Minutes")
	if err != nil {
		return err
	}
	const most = 1 << 20
	if minutes < 0 || minutes > most {
		return errs.New(op, errs.Invalid, errs.InvalidInput, "Minutes is not between 1 and 10080")
	}
	c, err := a.releases.ReleaseCode(r.Context(), r.Caller, d.ID, comment, time.Duration(minutes)*time.Minute)
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	return api.WriteJSON(w, r, http.StatusOK, releaseEntity{Code: c.Code, MachineID: string(c.Device), Name: c.Name, Expires: c.Expires,
		Command: "vedette-agent release --code " + c.Code})
}
