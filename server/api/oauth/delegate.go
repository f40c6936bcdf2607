package oauth

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/vedette-edr/vedette/server/access"
)

// wish reads what a program asks of a sign-in.
func wish(f form, app *access.Application, p *access.Person, resource string) *access.SignIn {
	s := &access.SignIn{Tenant: app.Tenant, Application: app.ID, Resource: resource, Nonce: f["nonce"]}
	if p != nil {
		s.Person = p.ID
	}
	for scope := range strings.FieldsSeq(f["scope"]) {
		switch strings.ToLower(scope) {
		case "openid", "profile", "email":
			s.OpenID = true
			continue
		case "offline_access":
			s.Offline = true
			continue
		}
		name := scope[strings.LastIndex(scope, "/")+1:]
		if _, ok := access.PermissionDelegatedAs(name); ok && !slices.Contains(s.Scopes, name) {
			s.Scopes = append(s.Scopes, name)
		}
	}
	return s
}

// redeem exchanges an authorization code.
func (h *Handler) redeem(ctx context.Context, q *request) (string, error) {
	if q.form["code"] == "" {
		return "", failMissing("code")
	}
	s, p, err := h.dir.RedeemCode(ctx, q.app, q.form["code"], q.form["redirect_uri"], q.form["code_verifier"])
	if err != nil {
		return "", credentialFailure(err, "")
	}
	q.signIn, q.person = s, p
	return s.Resource, nil
}

// refresh exchanges a refresh token. It may ask for less than the sign-in was for, and for
// another name of this server.
func (h *Handler) refresh(ctx context.Context, q *request) (string, error) {
	if q.form["refresh_token"] == "" {
		return "", failMissing("refresh_token")
	}
	resource := ""
	if q.form["resource"] != "" || q.form["scope"] != "" {
		var err error
		if resource, err = h.resource(q.form, true); err != nil {
			return "", err
		}
	}
	s, p, err := h.dir.Refresh(ctx, q.app, q.form["refresh_token"])
	if err != nil {
		return "", credentialFailure(err, "")
	}
	if resource == "" {
		resource = s.Resource
	}
	// What was not agreed to cannot be had by refreshing.
	asked := wish(q.form, q.app, p, resource)
	if len(s.Scopes) > 0 {
		asked.Scopes = slices.DeleteFunc(asked.Scopes, func(n string) bool { return !slices.Contains(s.Scopes, n) })
		if len(asked.Scopes) == 0 {
			asked.Scopes = s.Scopes
		}
	}
	granted := *s
	granted.Scopes, granted.Offline = asked.Scopes, true
	q.signIn, q.person = &granted, p
	return resource, nil
}

// more makes what an answer holds beside the access token when a person signed in.
func (h *Handler) more(ctx context.Context, q *request, g access.Grant) (tokenMore, error) {
	var out tokenMore
	s := q.signIn
	if s == nil || q.person == nil {
		return out, nil
	}
	var err error
	if s.OpenID {
		if out.IDToken, err = h.authority.IssueID(g, s.Nonce); err != nil {
			return out, err
		}
	}
	if q.form["client_info"] == "1" {
		raw, err := json.Marshal(map[string]string{"uid": string(q.person.ID), "utid": string(q.person.Tenant)})
		if err != nil {
			return out, err
		}
		out.ClientInfo = base64.RawURLEncoding.EncodeToString(raw)
	}
	if s.Offline && h.dir.KeepsSignIns() {
		next := *s
		next.Kind, next.Person, next.Redirect, next.Challenge = access.RefreshToken, q.person.ID, "", ""
		out.RefreshToken, err = h.dir.Begin(ctx, next)
	}
	return out, err
}

// audiences is what a client assertion may be made for: this endpoint by any name of its
// tenant, or the issuer.
func (h *Handler) audiences(tenant string, app *access.Application) []string {
	var out []string
	for _, t := range []string{tenant, string(app.Tenant)} {
		base := h.authority.URL() + "/" + t
		out = append(out, base+"/oauth2/token", base+"/oauth2/v2.0/token", base+"/v2.0", base)
	}
	return out
}

// proofed reports whether an authorization request proves who will redeem the code: a
// public application must, as nothing else tells it from who stole the code.
func proofed(f form, app *access.Application) error {
	switch {
	case f["code_challenge"] == "" && !app.Public:
		return nil
	case f["code_challenge"] == "":
		return failure{status: http.StatusBadRequest, err: "invalid_request", code: 9002325, text: "Proof Key for Code Exchange is required: give code_challenge."}
	case f["code_challenge_method"] != "S256":
		return failure{status: http.StatusBadRequest, err: "invalid_request", code: 501491, text: "code_challenge_method is not S256."}
	}
	if raw, err := base64.RawURLEncoding.DecodeString(f["code_challenge"]); err != nil || len(raw) != 32 {
		return failure{status: http.StatusBadRequest, err: "invalid_request", code: 501491, text: "code_challenge is not a SHA-256 in base64url."}
	}
	return nil
}
