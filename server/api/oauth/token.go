package oauth

import (
	"context"
	"net/http"
	"slices"
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
	tokenMore
}

// tokenV2 is the answer of the v2 endpoint: numbers are numbers.
type tokenV2 struct {
	TokenType    string `json:"token_type"`
	Scope        string `json:"scope,omitempty"`
	ExpiresIn    int64  `json:"expires_in"`
	ExtExpiresIn int64  `json:"ext_expires_in"`
	AccessToken  string `json:"access_token"`
	tokenMore
}

// tokenMore is what an answer holds when a person signed in.
type tokenMore struct {
	RefreshToken string `json:"refresh_token,omitempty"`
	IDToken      string `json:"id_token,omitempty"`
	ClientInfo   string `json:"client_info,omitempty"` // which account it is, for MSAL's cache
}

// request is one call of the token endpoint as far as it was understood.
type request struct {
	form   form
	from   string
	tenant *access.Tenant // nil while the address leaves it open
	app    *access.Application
	person *access.Person
	login  string
	proof  string         // how the application proved itself, as access.Grant says
	signIn *access.SignIn // what a person agreed to; nil when nobody signed in
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
	g := access.Grant{Application: q.app, Person: q.person, Resource: resource, Version: v, Proof: q.proof}
	if q.signIn != nil {
		g.Scopes = q.signIn.Scopes
	}
	t, err := h.authority.Issue(g)
	var more tokenMore
	if err == nil {
		more, err = h.more(r.Context(), q, g)
	}
	if err != nil {
		h.fail(w, r, failureOf(err))
		return
	}
	h.report(r.Context(), q, "")
	// When it was last used is worth a line, not a token.
	_ = h.dir.Used(context.WithoutCancel(r.Context()), q.app, q.form["client_secret"])
	seconds := int64(t.Expires.Sub(t.NotBefore) / time.Second)
	scope := strings.Join(t.Scopes, " ")
	if v == access.V2 {
		answer(w, http.StatusOK, noStore, tokenV2{"Bearer", scope, seconds, seconds, t.Text, more})
		return
	}
	n := strconv.FormatInt(seconds, 10)
	answer(w, http.StatusOK, noStore, tokenV1{
		TokenType: "Bearer", Scope: scope, ExpiresIn: n, ExtExpiresIn: n, Resource: access.TrimResource(resource), AccessToken: t.Text,
		ExpiresOn: strconv.FormatInt(t.Expires.Unix(), 10), NotBefore: strconv.FormatInt(t.NotBefore.Unix(), 10), tokenMore: more,
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
	give, wait := h.limit.Take(q.from)
	if give == nil {
		return "", failThrottled(wait)
	}
	// What one address gets wrong counts against it, what it gets right does not.
	resource, err := h.check(r.Context(), q, tenant, v)
	if err == nil {
		give()
	}
	return resource, err
}

func (h *Handler) check(ctx context.Context, q *request, tenant string, v access.Version) (string, error) {
	f := q.form
	grant := f["grant_type"]
	if grant == "" {
		return "", failMissing("grant_type")
	}
	if !slices.Contains(grantTypes, grant) {
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
	if err := h.checkClient(q, tenant, grant); err != nil {
		return "", err
	}
	switch grant {
	case "authorization_code":
		return h.redeem(ctx, q)
	case "refresh_token":
		return h.refresh(ctx, q)
	}
	resource, err := h.resource(f, grant != "client_credentials")
	if err != nil {
		return "", err
	}
	if grant == "password" {
		if err := h.signIn(ctx, q, noSecond); err != nil {
			return "", err
		}
		q.signIn = wish(f, q.app, q.person, resource)
		q.signIn.Offline = q.signIn.Offline || v == access.V1
	}
	return resource, nil
}

// grantTypes is what the token endpoint does.
var grantTypes = []string{"client_credentials", "password", "authorization_code", "refresh_token"}

// checkClient checks the application's own credentials. A public application, as the
// native ones of the published samples are, has none and acts for people alone.
func (h *Handler) checkClient(q *request, tenant, grant string) error {
	const jwtBearer = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
	f := q.form
	q.proof = "1"
	switch {
	case q.app.Public && grant == "client_credentials":
		return failure{status: http.StatusUnauthorized, err: "unauthorized_client", code: 7000218,
			text: "A public application gets no token for itself: a person has to sign in."}
	case q.app.Public:
		q.proof = "0"
		return nil
	case f["client_assertion"] != "" && f["client_secret"] == "":
		if f["client_assertion_type"] != jwtBearer {
			return failMissing("client_assertion_type=" + jwtBearer)
		}
		q.proof = "2"
		if err := h.dir.CheckAssertion(q.app, f["client_assertion"], h.audiences(tenant, q.app)); err != nil {
			return credentialFailure(err, f["client_id"])
		}
		return nil
	}
	if err := h.dir.CheckSecret(q.app, f["client_secret"]); err != nil {
		return credentialFailure(err, f["client_id"])
	}
	return nil
}

// signIn checks a person's password; second is told when that is not enough. Guesses are bounded for each account as well, since they may come from many
// addresses. Nobody is in q.person of whom something is missing.
func (h *Handler) signIn(ctx context.Context, q *request, second func(*access.Admission) error) error {
	for _, k := range []string{"username", "password"} {
		if q.form[k] == "" {
			return failMissing(k)
		}
	}
	q.login = q.form["username"]
	give, wait := h.limit.Take("person/" + string(q.app.Tenant) + "/" + strings.ToLower(q.login))
	if give == nil {
		return failThrottled(wait)
	}
	a, err := h.dir.SignIn(ctx, q.app.Tenant, q.login, q.form["password"])
	if err != nil {
		return credentialFailure(err, "")
	}
	give()
	if a.Step != access.Admitted {
		return second(a)
	}
	q.person = a.Person
	return nil
}

// noSecond is the second step of who cannot be asked for one: a program that sends a
// password.
func noSecond(a *access.Admission) error {
	if a.Step == access.SetUpCodes {
		return failure{status: http.StatusBadRequest, err: "invalid_grant", code: 50079,
			text: "The user is required to enroll in multi-factor authentication: sign in to the portal to set it up."}
	}
	return failure{status: http.StatusBadRequest, err: "invalid_grant", code: 50076,
		text: "The user must use multi-factor authentication: a password alone is not enough. Sign in with an authorization code."}
}

// openID are scopes that name no resource.
var openID = map[string]bool{"openid": true, "profile": true, "email": true, "offline_access": true}

// resource returns what the token is asked for. v1 says it as resource, v2 as scope;
// either is understood at both endpoints, and without one it is this server.
func (h *Handler) resource(f form, delegated bool) (string, error) {
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
		found, ok := h.scopeResource(s, delegated)
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
func (h *Handler) scopeResource(s string, delegated bool) (string, bool) {
	if i := strings.LastIndex(s, "/"); i >= 0 {
		name := s[i+1:]
		if (name == ".default" || delegated && name != "") && h.authority.Accepts(s[:i]) {
			return s[:i], true
		}
	}
	if _, known := access.PermissionDelegatedAs(s); known && delegated {
		return h.authority.URL(), true
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
