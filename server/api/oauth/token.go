package oauth

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
)

// tokenV1 is the answer of the v1 endpoint: every value a string.
type tokenV1 struct {
	TokenType    string `json:"token_type"`
	Scope        string `json:"scope,omitempty"`
	ExpiresIn    string `json:"expires_in"`
	ExtExpiresIn string `json:"ext_expires_in"`
	ExpiresOn    string `json:"expires_on"`
	NotBefore    string `json:"not_before"`
	Resource     string `json:"resource"`
	AccessToken  string `json:"access_token"`
}

// tokenV2 is the answer of the v2 endpoint: numbers are numbers.
type tokenV2 struct {
	TokenType    string `json:"token_type"`
	Scope        string `json:"scope,omitempty"`
	ExpiresIn    int64  `json:"expires_in"`
	ExtExpiresIn int64  `json:"ext_expires_in"`
	AccessToken  string `json:"access_token"`
}

// request is one call of the token endpoint as far as it was understood.
type request struct {
	form   form
	from   string
	tenant *access.Tenant // nil while the address leaves it open
	app    *access.Application
	person *access.Person
	login  string
}

func (h *Handler) token(w http.ResponseWriter, r *http.Request, tenant string, v access.Version) {
	q := &request{from: h.clientIP(r)}
	resource, err := h.grant(r, q, tenant, v)
	if err != nil {
		f := failureOf(err)
		h.report(r.Context(), q, f.label())
		h.fail(w, r, f)
		return
	}
	t, err := h.authority.Issue(access.Grant{Application: q.app, Person: q.person, Resource: resource, Version: v})
	if err != nil {
		h.fail(w, r, failureOf(err))
		return
	}
	h.report(r.Context(), q, "")
	seconds := int64(t.Expires.Sub(t.NotBefore) / time.Second)
	scope := strings.Join(t.Scopes, " ")
	if v == access.V2 {
		answer(w, http.StatusOK, noStore, tokenV2{"Bearer", scope, seconds, seconds, t.Text})
		return
	}
	n := strconv.FormatInt(seconds, 10)
	answer(w, http.StatusOK, noStore, tokenV1{
		TokenType: "Bearer", Scope: scope, ExpiresIn: n, ExtExpiresIn: n, Resource: access.TrimResource(resource), AccessToken: t.Text,
		ExpiresOn: strconv.FormatInt(t.Expires.Unix(), 10), NotBefore: strconv.FormatInt(t.NotBefore.Unix(), 10),
	})
}

// grant checks everything about a call and returns the resource that is to be granted.
func (h *Handler) grant(r *http.Request, q *request, tenant string, v access.Version) (string, error) {
	var err error
	if q.form, err = readForm(r); err == nil {
		err = q.form.basic(r)
	}
	if err != nil {
		return "", failure{status: http.StatusBadRequest, err: "invalid_request", code: 9002313, text: "Invalid request. " + err.Error()}
	}
	if len(tenant) > maxTenant {
		return "", failUnknownTenant(tenant)
	}
	if q.tenant, err = h.dir.FindTenant(r.Context(), tenant); errs.Is(err, errs.NotFound) {
		return "", failUnknownTenant(tenant)
	} else if err != nil {
		return "", err
	}
	give, wait := h.limit.take(q.from)
	if give == nil {
		return "", failThrottled(wait)
	}
	// What one address gets wrong counts against it, what it gets right does not.
	resource, err := h.check(r.Context(), q, v)
	if err == nil {
		give()
	}
	return resource, err
}

func (h *Handler) check(ctx context.Context, q *request, v access.Version) (string, error) {
	f := q.form
	grant := f["grant_type"]
	if grant == "" {
		return "", failMissing("grant_type")
	}
	if grant != "client_credentials" && grant != "password" {
		return "", failure{status: http.StatusBadRequest, err: "unsupported_grant_type", code: 70003,
			text: "The app requested an unsupported grant type '" + clip(grant) + "'."}
	}
	if f["client_id"] == "" {
		return "", failMissing("client_id")
	}
	var err error
	if q.app, err = h.dir.Client(ctx, q.tenant, f["client_id"]); err != nil {
		return "", credentialFailure(err, f["client_id"])
	}
	if err := h.checkClient(q, grant); err != nil {
		return "", err
	}
	resource, err := h.resource(f, grant, v)
	if err != nil {
		return "", err
	}
	if grant == "password" {
		if err := h.signIn(ctx, q); err != nil {
			return "", err
		}
	}
	return resource, nil
}

// checkClient checks the application's own credentials. With a person's password they may
// be missing, as for the native applications of the published samples: such a token's
// rights are the person's, within the application's.
func (h *Handler) checkClient(q *request, grant string) error {
	f := q.form
	if f["client_assertion"] != "" && f["client_secret"] == "" {
		return failure{status: http.StatusUnauthorized, err: "invalid_client", code: 700027,
			text: "Client assertions are not accepted by this server: use a client secret."}
	}
	if grant == "password" && f["client_secret"] == "" {
		return nil
	}
	if err := h.dir.CheckSecret(q.app, f["client_secret"]); err != nil {
		return credentialFailure(err, f["client_id"])
	}
	return nil
}

// signIn checks a person's password. Guesses are bounded for each account as well, since
// they may come from many addresses.
func (h *Handler) signIn(ctx context.Context, q *request) error {
	for _, k := range []string{"username", "password"} {
		if q.form[k] == "" {
			return failMissing(k)
		}
	}
	q.login = q.form["username"]
	give, wait := h.limit.take("person/" + string(q.app.Tenant) + "/" + strings.ToLower(q.login))
	if give == nil {
		return failThrottled(wait)
	}
	p, err := h.dir.SignIn(ctx, q.app.Tenant, q.login, q.form["password"])
	if err != nil {
		return credentialFailure(err, "")
	}
	give()
	q.person = p
	return nil
}

// openID are scopes that name no resource.
var openID = map[string]bool{"openid": true, "profile": true, "email": true, "offline_access": true}

// resource returns what the token is asked for. v1 says it as resource, v2 as scope;
// either is understood at both endpoints, and without one it is this server.
func (h *Handler) resource(f form, grant string, v access.Version) (string, error) {
	if f["resource"] != "" {
		if !h.authority.Accepts(f["resource"]) {
			return "", failure{status: http.StatusBadRequest, err: "invalid_resource", code: 500011,
				text: "The resource principal named " + clip(f["resource"]) + " was not found in the tenant."}
		}
		return f["resource"], nil
	}
	resource := ""
	for s := range strings.FieldsSeq(f["scope"]) {
		if openID[strings.ToLower(s)] {
			continue
		}
		found, ok := h.scopeResource(s, grant)
		if !ok || resource != "" && !strings.EqualFold(access.TrimResource(resource), access.TrimResource(found)) {
			return "", failure{status: http.StatusBadRequest, err: "invalid_scope", code: 70011,
				text: "The provided value for the input parameter 'scope' is not valid: " + clip(s) + "."}
		}
		resource = found
	}
	if resource == "" {
		resource = h.authority.URL()
	}
	return resource, nil
}

// scopeResource splits a scope such as https://host/.default into its resource and the
// permission; an application asks for .default only. A v1 client's bare resource counts.
func (h *Handler) scopeResource(s, grant string) (string, bool) {
	if i := strings.LastIndex(s, "/"); i >= 0 {
		name := s[i+1:]
		if (name == ".default" || grant == "password" && name != "") && h.authority.Accepts(s[:i]) {
			return s[:i], true
		}
	}
	return s, h.authority.Accepts(s)
}

// report tells Attempted about a try of somebody who is known by name.
func (h *Handler) report(ctx context.Context, q *request, label string) {
	if q.app == nil {
		return
	}
	a := Attempt{Tenant: q.app.Tenant, Client: string(q.app.ID), From: q.from, Error: label,
		Actor: ident.Actor{Kind: ident.ActorApp, ID: string(q.app.ID), Name: q.app.Name, Tenant: q.app.Tenant}}
	if q.login != "" {
		a.Actor = ident.Actor{Kind: ident.ActorUser, ID: clip(q.login), Name: clip(q.login), Tenant: q.app.Tenant}
	}
	if q.person != nil {
		a.Actor.ID, a.Actor.Name = string(q.person.ID), q.person.Login
	}
	// A client that hangs up must not keep its attempt off the record.
	h.attempted(context.WithoutCancel(ctx), a)
}
