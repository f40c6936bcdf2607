// Package admin is what this server's API has beyond the published one, below
// /api/vedette: API applications with their secrets and permissions, people and how they sign in, roles, user
// groups, device groups, enrolment tokens, the audit record, how the server is configured,
// and what a device says of its own health.
//
// It holds no rules and no state; package access knows applications and people, package
// sso identity providers, group device groups, package device devices. The invariants: a client secret or password
// is answered once, when it is made, and each change is in the audit record before it is
// answered. Start at Routes.
package admin

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/api"
	"github.com/vedette-edr/vedette/server/audit"
	"github.com/vedette-edr/vedette/server/device"
	"github.com/vedette-edr/vedette/server/device/group"
	"github.com/vedette-edr/vedette/server/health"
	"github.com/vedette-edr/vedette/server/ident"
)

// Devices is what this package needs of device.Service.
type Devices interface {
	Get(ctx context.Context, tenant ident.TenantID, id ident.DeviceID) (*device.Device, error)
	FindByName(ctx context.Context, tenant ident.TenantID, name string) ([]*device.Device, error)
	EnrolmentTokens(ctx context.Context, tenant ident.TenantID) ([]*device.Token, error)
	NewToken(ctx context.Context, tenant ident.TenantID, r device.TokenRequest) (string, *device.Token, error)
	RevokeToken(ctx context.Context, tenant ident.TenantID, hash [32]byte) error
}

// History is what this package reads of the audit record; audit.Chain does.
type History interface {
	Latest(ctx context.Context, tenant ident.TenantID, before int64, limit int) ([]audit.Record, error)
	Verify(ctx context.Context, tenant ident.TenantID, noted audit.Head) (audit.Head, error)
}

// Config is what the API is made of.
type Config struct {
	Directory *access.Directory
	Groups    *group.Service
	Devices   Devices
	Audit     audit.Log
	History   History
	Settings  Settings
	Health    *health.Registry
	Providers Providers
	Sessions  Sessions
	Callback  string           // the path to which identity providers send people back
	Now       func() time.Time // nil for time.Now
}

// API is the handlers over the services.
type API struct {
	directory *access.Directory
	groups    *group.Service
	devices   Devices
	audit     audit.Log
	history   History
	settings  Settings
	state     *health.Registry
	providers Providers
	sessions  Sessions
	callback  string
	now       func() time.Time
}

// New returns the API.
func New(c Config) *API {
	a := &API{directory: c.Directory, groups: c.Groups, devices: c.Devices, audit: c.Audit, history: c.History, settings: c.Settings, state: c.Health,
		providers: c.Providers, sessions: c.Sessions, callback: c.Callback, now: c.Now}
	if a.now == nil {
		a.now = time.Now
	}
	return a
}

// Routes returns the route table of the API.
func (a *API) Routes() []api.Route {
	examine := []access.Permission{access.MachineRead, access.MachineReadWrite, access.ServerHealthDetail}
	watched := api.Route{Method: http.MethodGet, Pattern: "/api/vedette/machines/{id}/health", Need: examine, Handle: a.health,
		Doc: api.Doc{Summary: "Tell how well a device is watched", Answer: deviceHealth{}}}
	return slices.Concat(a.applicationRoutes(), a.personRoutes(), a.signInRoutes(), a.roleRoutes(), a.groupRoutes(), a.enrolmentRoutes(), a.recordRoutes(), []api.Route{watched})
}

// administer is a route of administrators.
func administer(method, pattern, summary string, h api.Handler) api.Route {
	return api.Route{Method: method, Pattern: "/api/vedette" + pattern, Need: []access.Permission{access.ServerAdmin}, Handle: h,
		MaxBody: 64 << 10, Doc: api.Doc{Summary: summary}}
}

func answering(r api.Route, body, answer any, status int) api.Route {
	r.Doc.Body, r.Doc.Answer, r.Doc.Status = body, answer, status
	return r
}

// write answers something that was made or changed; what is in it is nobody's to cache.
func write(w http.ResponseWriter, r *api.Request, status int, v any) error {
	w.Header().Set("Cache-Control", "no-store")
	return api.WriteJSON(w, r, status, v)
}

// values answers a whole list.
func values[T any](w http.ResponseWriter, r *api.Request, list []T) error {
	return api.WriteJSON(w, r, http.StatusOK, map[string]any{"value": append([]T{}, list...)})
}

func (a *API) record(r *api.Request, verb, object, detail string) error {
	return a.audit.Record(r.Context(), audit.Entry{Tenant: r.Caller.Tenant, Actor: r.Caller.Actor, Verb: verb,
		Object: object, Detail: detail, Outcome: audit.Done})
}

// done records a change and answers that there is nothing more to say.
func (a *API) done(w http.ResponseWriter, r *api.Request, verb, object, detail string) error {
	if err := a.record(r, verb, object, detail); err != nil {
		return err
	}
	return api.WriteEmpty(w, http.StatusNoContent)
}

// ids reads a list of texts as ids.
func ids[T ~string](body *api.Object, name string) ([]T, error) {
	texts, err := body.Texts(name)
	out := make([]T, len(texts))
	for i, s := range texts {
		out[i] = T(s)
	}
	return out, err
}

// texts renders ids.
func texts[T ~string](list []T) []string {
	out := make([]string, len(list))
	for i, v := range list {
		out[i] = string(v)
	}
	return out
}

// life reads a duration in days, 0 for ever.
func life(body *api.Object, name string) (time.Duration, error) {
	const most = 3650
	n, err := body.Int(name)
	if err != nil {
		return 0, err
	}
	if n < 0 || n > most {
		return 0, invalid("%s is %d, not between 0 and %d days", name, n, most)
	}
	return time.Duration(n) * 24 * time.Hour, nil
}
