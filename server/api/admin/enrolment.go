package admin

import (
	"encoding/hex"
	"net/http"
	"strings"
	"time"

	"github.com/vedette-edr/vedette/server/api"
	"github.com/vedette-edr/vedette/server/device"
	"github.com/vedette-edr/vedette/server/errs"
)

func (a *API) enrolmentRoutes() []api.Route {
	return []api.Route{
		answering(administer(http.MethodGet, "/enrolment/tokens", "List enrolment tokens", a.listTokens), nil, []token{}, 0),
		answering(administer(http.MethodPost, "/enrolment/tokens", "Make an enrolment token", a.createToken), tokenBody{}, token{}, http.StatusCreated),
		answering(administer(http.MethodDelete, "/enrolment/tokens/{tokenId}", "Revoke an enrolment token", a.revokeToken), nil, nil, http.StatusNoContent),
	}
}

type tokenBody struct {
	Name  string   `json:"name" doc:"max=256"`
	Hours int      `json:"validHours"` // 0 for no end
	Limit int      `json:"maxDevices"` // 0 for no limit
	Tags  []string `json:"machineTags" doc:"max=20"`
}

// token is an enrolment token as it is answered.
type token struct {
	ID      string     `json:"id"`
	Name    string     `json:"name"`
	Created time.Time  `json:"createdDateTimeUtc"`
	Expires *time.Time `json:"expirationDateTimeUtc"`
	Uses    int        `json:"usedDevices"`
	Limit   int        `json:"maxDevices"` // 0 for no limit
	Tags    []string   `json:"machineTags"`
	State   string     `json:"state" doc:"enum=Active|Expired|Revoked|UsedUp"`
	Text    string     `json:"token,omitempty"` // once, when it is made
}

func (a *API) showToken(t *device.Token) token {
	out := token{ID: hex.EncodeToString(t.Hash[:]), Name: t.Name, Created: t.Created, Expires: moment(t.Expires), Uses: t.Uses, Limit: t.Limit,
		Tags: append([]string{}, t.Tags...), State: "Active"}
	switch {
	case t.Revoked:
		out.State = "Revoked"
	case !t.Expires.IsZero() && !a.now().Before(t.Expires):
		out.State = "Expired"
	case t.Limit > 0 && t.Uses >= t.Limit:
		out.State = "UsedUp"
	}
	return out
}

func (a *API) listTokens(w http.ResponseWriter, r *api.Request) error {
	all, err := a.devices.EnrolmentTokens(r.Context(), r.Caller.Tenant)
	if err != nil {
		return err
	}
	out := make([]token, len(all))
	for i, t := range all {
		out[i] = a.showToken(t)
	}
	return values(w, r, out)
}

// maxTokenHours is ten years.
const maxTokenHours = 10 * 366 * 24

func (a *API) createToken(w http.ResponseWriter, r *api.Request) error {
	const op = "admin.createToken"
	body, err := r.JSON()
	if err != nil {
		return err
	}
	var req device.TokenRequest
	if req.Name, err = body.RequireString("name"); err != nil {
		return err
	}
	if req.Name = strings.TrimSpace(req.Name); req.Name == "" || len([]rune(req.Name)) > 256 {
		return errs.New(op, errs.Invalid, errs.InvalidInput, "name: between 1 and 256 characters are needed")
	}
	hours, err := whole(body, "validHours", maxTokenHours)
	if err != nil {
		return err
	}
	limit, err := whole(body, "maxDevices", 1_000_000)
	if err != nil {
		return err
	}
	if req.Tags, err = body.Strings("machineTags"); err != nil {
		return err
	}
	req.Life, req.Limit = time.Duration(hours)*time.Hour, int(limit)
	text, t, err := a.devices.NewToken(r.Context(), r.Caller.Tenant, req)
	if err != nil {
		return err
	}
	out := a.showToken(t)
	if err := a.record(r, "enrolment.token.create", out.ID, req.Name); err != nil {
		return err
	}
	out.Text = text
	return write(w, r, http.StatusCreated, out)
}

// whole reads a number from 0 to most, 0 when it is not there.
func whole(body *api.Object, name string, most int64) (int64, error) {
	if !body.Has(name) || body.IsNull(name) {
		return 0, nil
	}
	n, err := body.Int(name)
	if err == nil && (n < 0 || n > most) {
		err = errs.New("admin.whole", errs.Invalid, errs.InvalidInput, "%s: a number between 0 and %d is needed", name, most)
	}
	return n, err
}

func (a *API) revokeToken(w http.ResponseWriter, r *api.Request) error {
	raw, err := hex.DecodeString(r.Var("tokenId"))
	if err != nil || len(raw) != 32 {
		return errs.New("admin.revokeToken", errs.NotFound, errs.ResourceNotFound, "there is no such enrolment token")
	}
	if err := a.devices.RevokeToken(r.Context(), r.Caller.Tenant, [32]byte(raw)); err != nil {
		return err
	}
	return a.done(w, r, "enrolment.token.revoke", strings.ToLower(r.Var("tokenId")), "")
}
