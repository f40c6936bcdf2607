package admin

import (
	"cmp"
	"net/http"
	"strings"
	"time"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/api"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
)

func (a *API) applicationRoutes() []api.Route {
	const root = "/applications"
	return []api.Route{
		answering(administer(http.MethodGet, root, "List API applications", a.listApplications), nil, []application{}, 0),
		answering(administer(http.MethodPost, root, "Register an API application", a.createApplication), applicationBody{}, application{}, http.StatusCreated),
		answering(administer(http.MethodGet, root+"/{applicationId}", "Get an API application", a.getApplication), nil, application{}, 0),
		answering(administer(http.MethodPut, root+"/{applicationId}", "Change an API application", a.changeApplication), applicationBody{}, application{}, 0),
		answering(administer(http.MethodDelete, root+"/{applicationId}", "Delete an API application", a.deleteApplication), nil, nil, http.StatusNoContent),
		answering(administer(http.MethodPost, root+"/{applicationId}/disable", "Keep an API application from signing in", a.disableApplication), nil, nil, http.StatusNoContent),
		answering(administer(http.MethodPost, root+"/{applicationId}/enable", "Let an API application sign in again", a.enableApplication), nil, nil, http.StatusNoContent),
		answering(administer(http.MethodPost, root+"/{applicationId}/secrets", "Add a client secret", a.addSecret), secretBody{}, secret{}, http.StatusCreated),
		answering(administer(http.MethodDelete, root+"/{applicationId}/secrets/{secretId}", "Remove a client secret", a.removeSecret), nil, nil, http.StatusNoContent),
		answering(administer(http.MethodPost, root+"/{applicationId}/certificates", "Add a certificate for client assertions", a.addCertificate), certificateBody{}, certificate{}, http.StatusCreated),
	}
}

// applicationBody is what an application is made of.
type applicationBody struct {
	Name       string   `json:"name" doc:"required,max=256"`
	Roles      []string `json:"roles"`
	Delegated  []string `json:"delegatedPermissions"`
	Public     bool     `json:"isPublicClient"`
	Redirects  []string `json:"redirectUris" doc:"max=20"`
	LifeInDays int      `json:"secretLifeInDays"`
}

type secretBody struct {
	Name       string `json:"displayName" doc:"max=256"`
	LifeInDays int    `json:"lifeInDays"`
}

type certificateBody struct {
	Name string `json:"displayName" doc:"max=256"`
	PEM  string `json:"certificate" doc:"required"`
}

// application is an API application as it is answered.
type application struct {
	ID           string        `json:"id"`
	Name         string        `json:"name"`
	Roles        []string      `json:"roles"`
	Delegated    []string      `json:"delegatedPermissions"` // as the scp claim names them
	Public       bool          `json:"isPublicClient"`
	Redirects    []string      `json:"redirectUris"`
	Secrets      []secret      `json:"secrets"`
	Certificates []certificate `json:"certificates"`
	Created      time.Time     `json:"createdDateTimeUtc"`
	Disabled     *time.Time    `json:"disabledDateTimeUtc"`
	LastUsed     *time.Time    `json:"lastUsedDateTimeUtc"`
	Secret       string        `json:"clientSecret,omitempty"` // when it is made, never again
}

// secret is a client secret without its text.
type secret struct {
	ID       string     `json:"id"`
	Name     string     `json:"displayName"`
	Hint     string     `json:"hint"`
	Created  time.Time  `json:"createdDateTimeUtc"`
	Expires  *time.Time `json:"expirationDateTimeUtc"`
	LastUsed *time.Time `json:"lastUsedDateTimeUtc"`
	Secret   string     `json:"clientSecret,omitempty"`
}

type certificate struct {
	ID      string     `json:"thumbprint"`
	Name    string     `json:"displayName"`
	Created time.Time  `json:"createdDateTimeUtc"`
	Expires *time.Time `json:"expirationDateTimeUtc"`
}

func showSecret(s access.Secret, text string) secret {
	return secret{ID: s.ID, Name: s.Name, Hint: s.Hint, Created: s.Created, Expires: moment(s.Expires), LastUsed: moment(s.Used), Secret: text}
}

func showCertificate(k access.ClientKey) certificate {
	return certificate{ID: k.ID, Name: k.Name, Created: k.Created, Expires: moment(k.Expires)}
}

func show(app *access.Application, text string) application {
	out := application{ID: string(app.ID), Name: app.Name, Roles: append([]string{}, app.Roles...), Delegated: append([]string{}, app.DelegatedNames()...),
		Public: app.Public, Redirects: append([]string{}, app.Redirects...), Secrets: []secret{}, Certificates: []certificate{},
		Created: app.Created, Disabled: moment(app.Disabled), LastUsed: moment(app.Used), Secret: text}
	for _, s := range app.Secrets {
		out.Secrets = append(out.Secrets, showSecret(s, ""))
	}
	for _, k := range app.Keys {
		out.Certificates = append(out.Certificates, showCertificate(k))
	}
	return out
}

func (a *API) listApplications(w http.ResponseWriter, r *api.Request) error {
	apps, err := a.directory.ListApplications(r.Context(), r.Caller.Tenant)
	if err != nil {
		return err
	}
	out := make([]application, len(apps))
	for i, app := range apps {
		out[i] = show(app, "")
	}
	return values(w, r, out)
}

// applicationRequest reads a body. Delegated permissions are named in either spelling.
func applicationRequest(r *api.Request) (access.ApplicationRequest, error) {
	var out access.ApplicationRequest
	body, err := r.JSON()
	if err != nil {
		return out, err
	}
	if out.Name, err = body.RequireString("name"); err != nil {
		return out, err
	}
	if out.Roles, err = ids[access.Permission](body, "roles"); err != nil {
		return out, err
	}
	if body.Has("delegatedPermissions") && !body.IsNull("delegatedPermissions") {
		names, err := body.Texts("delegatedPermissions")
		if err != nil {
			return out, err
		}
		out.Delegated = []access.Permission{}
		for _, n := range names {
			p, ok := access.PermissionDelegatedAs(n)
			if !ok {
				p = access.Permission(n)
			}
			out.Delegated = append(out.Delegated, p)
		}
	}
	if out.Public, err = body.Bool("isPublicClient"); err != nil {
		return out, err
	}
	if out.Redirects, err = body.Texts("redirectUris"); err != nil {
		return out, err
	}
	out.Life, err = life(body, "secretLifeInDays")
	return out, err
}

func (a *API) createApplication(w http.ResponseWriter, r *api.Request) error {
	req, err := applicationRequest(r)
	if err != nil {
		return err
	}
	app, text, err := a.directory.RegisterApplication(r.Context(), r.Caller.Tenant, req)
	if err != nil {
		return err
	}
	if err := a.record(r, "application.create", string(app.ID), app.Name+": "+strings.Join(app.Roles, " ")); err != nil {
		return err
	}
	return write(w, r, http.StatusCreated, show(app, text))
}

func applicationID(r *api.Request) ident.AppID {
	return ident.AppID(strings.ToLower(r.Var("applicationId")))
}

func (a *API) getApplication(w http.ResponseWriter, r *api.Request) error {
	app, err := a.directory.Application(r.Context(), r.Caller.Tenant, applicationID(r))
	if err != nil {
		return err
	}
	return write(w, r, http.StatusOK, show(app, ""))
}

func (a *API) changeApplication(w http.ResponseWriter, r *api.Request) error {
	req, err := applicationRequest(r)
	if err != nil {
		return err
	}
	app, err := a.directory.ChangeApplication(r.Context(), r.Caller.Tenant, applicationID(r), req)
	if err != nil {
		return err
	}
	if err := a.record(r, "application.change", string(app.ID), app.Name+": "+strings.Join(app.Roles, " ")); err != nil {
		return err
	}
	return write(w, r, http.StatusOK, show(app, ""))
}

func (a *API) deleteApplication(w http.ResponseWriter, r *api.Request) error {
	if string(applicationID(r)) == r.Caller.ID {
		return errs.New("admin.delete", errs.Conflict, errs.DisallowedOperation, "an application cannot delete itself")
	}
	if err := a.directory.DeleteApplication(r.Context(), r.Caller.Tenant, applicationID(r)); err != nil {
		return err
	}
	return a.done(w, r, "application.delete", string(applicationID(r)), "")
}

func (a *API) disableApplication(w http.ResponseWriter, r *api.Request) error {
	if err := a.directory.Disable(r.Context(), r.Caller.Tenant, applicationID(r)); err != nil {
		return err
	}
	return a.done(w, r, "application.disable", string(applicationID(r)), "")
}

func (a *API) enableApplication(w http.ResponseWriter, r *api.Request) error {
	if err := a.directory.Enable(r.Context(), r.Caller.Tenant, applicationID(r)); err != nil {
		return err
	}
	return a.done(w, r, "application.enable", string(applicationID(r)), "")
}

func (a *API) addSecret(w http.ResponseWriter, r *api.Request) error {
	body, err := r.JSON()
	if err != nil {
		return err
	}
	name, err := body.String("displayName")
	if err != nil {
		return err
	}
	d, err := life(body, "lifeInDays")
	if err != nil {
		return err
	}
	text, s, err := a.directory.AddSecret(r.Context(), r.Caller.Tenant, applicationID(r), name, d)
	if err != nil {
		return err
	}
	if err := a.record(r, "application.secret.add", string(applicationID(r)), cmp.Or(name, s.ID)); err != nil {
		return err
	}
	return write(w, r, http.StatusCreated, showSecret(s, text))
}

func (a *API) removeSecret(w http.ResponseWriter, r *api.Request) error {
	if err := a.directory.RemoveSecret(r.Context(), r.Caller.Tenant, applicationID(r), r.Var("secretId")); err != nil {
		return err
	}
	return a.done(w, r, "application.secret.remove", string(applicationID(r)), r.Var("secretId"))
}

func (a *API) addCertificate(w http.ResponseWriter, r *api.Request) error {
	body, err := r.JSON()
	if err != nil {
		return err
	}
	name, err := body.String("displayName")
	if err != nil {
		return err
	}
	pem, err := body.RequireString("certificate")
	if err != nil {
		return err
	}
	k, err := a.directory.AddCertificate(r.Context(), r.Caller.Tenant, applicationID(r), name, []byte(pem))
	if err != nil {
		return err
	}
	if err := a.record(r, "application.certificate.add", string(applicationID(r)), k.ID); err != nil {
		return err
	}
	return write(w, r, http.StatusCreated, showCertificate(k))
}
