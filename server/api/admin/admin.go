// Package admin is what this server's API has beyond the published one, below
// /api/vedette: API applications and their permissions, and what a device says of its own
// health.
//
// It holds no rules and no state; package access knows applications, package device knows
// devices. The invariants: a client secret is answered once, when it is made, and each
// change is in the audit record before it is answered. Start at Routes.
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
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
)

// Applications is what this package needs of access.Directory.
type Applications interface {
	NewApplication(ctx context.Context, tenant ident.TenantID, name string, roles []access.Permission) (*access.Application, string, error)
	ListApplications(ctx context.Context, tenant ident.TenantID) ([]*access.Application, error)
	Disable(ctx context.Context, tenant ident.TenantID, id ident.AppID) error
}

// Devices is what this package needs of device.Service.
type Devices interface {
	Get(ctx context.Context, tenant ident.TenantID, id ident.DeviceID) (*device.Device, error)
	FindByName(ctx context.Context, tenant ident.TenantID, name string) ([]*device.Device, error)
}

// Config is what the API is made of.
type Config struct {
	Applications Applications
	Devices      Devices
	Audit        audit.Log
	Now          func() time.Time // nil for time.Now
}

// API is the handlers over the services.
type API struct {
	apps    Applications
	devices Devices
	audit   audit.Log
	now     func() time.Time
}

// New returns the API.
func New(c Config) *API {
	a := &API{apps: c.Applications, devices: c.Devices, audit: c.Audit, now: c.Now}
	if a.now == nil {
		a.now = time.Now
	}
	return a
}

// Routes returns the route table of the API.
func (a *API) Routes() []api.Route {
	administer := []access.Permission{access.ServerAdmin}
	examine := []access.Permission{access.MachineRead, access.MachineReadWrite, access.ServerHealthDetail}
	return []api.Route{
		{Method: http.MethodGet, Pattern: "/api/vedette/applications", Need: administer, Handle: a.list,
			Doc: api.Doc{Summary: "List API applications", Answer: applications{}, Bare: true}},
		{Method: http.MethodPost, Pattern: "/api/vedette/applications", Need: administer, Handle: a.create, MaxBody: 64 << 10,
			Doc: api.Doc{Summary: "Create an API application; its secret is answered once", Body: applicationBody{}, Answer: application{}, Bare: true,
				Status: http.StatusCreated, Errors: []errs.Code{errs.InvalidRequestBody, errs.MissingRequiredParameter, errs.InvalidInput}}},
		{Method: http.MethodPost, Pattern: "/api/vedette/applications/{id}/disable", Need: administer, Handle: a.disable, MaxBody: 64 << 10,
			Doc: api.Doc{Summary: "Disable an API application", Status: http.StatusNoContent}},
		{Method: http.MethodGet, Pattern: "/api/vedette/machines/{id}/health", Need: examine, Handle: a.health,
			Doc: api.Doc{Summary: "How well a machine is watched", Answer: health{}, Bare: true}},
	}
}

type applicationBody struct {
	Name  string   `json:"name" doc:"required"`
	Roles []string `json:"roles"`
}

type applications struct {
	Value []application `json:"value"`
}

// application is an API application as it is answered.
type application struct {
	ID       string     `json:"id"`
	Name     string     `json:"name"`
	Roles    []string   `json:"roles"`
	Created  time.Time  `json:"createdDateTimeUtc"`
	Disabled *time.Time `json:"disabledDateTimeUtc"`
	Secret   string     `json:"clientSecret,omitempty"` // when it is made, never again
}

func show(app *access.Application, secret string) application {
	out := application{ID: string(app.ID), Name: app.Name, Roles: slices.Concat([]string{}, app.Roles), Created: app.Created, Secret: secret}
	if !app.Disabled.IsZero() {
		out.Disabled = &app.Disabled
	}
	return out
}

func (a *API) list(w http.ResponseWriter, r *api.Request) error {
	apps, err := a.apps.ListApplications(r.Context(), r.Caller.Tenant)
	if err != nil {
		return err
	}
	out := make([]application, len(apps))
	for i, app := range apps {
		out[i] = show(app, "")
	}
	return api.WriteJSON(w, r, http.StatusOK, applications{out})
}

func (a *API) create(w http.ResponseWriter, r *api.Request) error {
	body, err := r.JSON()
	if err != nil {
		return err
	}
	name, err := body.RequireString("name")
	if err != nil {
		return err
	}
	names, err := body.Texts("roles")
	if err != nil {
		return err
	}
	roles := make([]access.Permission, len(names))
	for i, n := range names {
		roles[i] = access.Permission(n)
	}
	app, secret, err := a.apps.NewApplication(r.Context(), r.Caller.Tenant, name, roles)
	if err != nil {
		return err
	}
	if err := a.record(r, "application.create", string(app.ID), app.Name); err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	return api.WriteJSON(w, r, http.StatusCreated, show(app, secret))
}

func (a *API) disable(w http.ResponseWriter, r *api.Request) error {
	id := ident.AppID(r.Var("id"))
	if err := a.apps.Disable(r.Context(), r.Caller.Tenant, id); err != nil {
		return err
	}
	if err := a.record(r, "application.disable", string(id), ""); err != nil {
		return err
	}
	return api.WriteEmpty(w, http.StatusNoContent)
}

func (a *API) record(r *api.Request, verb, object, detail string) error {
	return a.audit.Record(r.Context(), audit.Entry{Tenant: r.Caller.Tenant, Actor: r.Caller.Actor, Verb: verb,
		Object: object, Detail: detail, Outcome: audit.Done})
}
