package oauth

import (
	"net/http"
	"strings"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
)

// configuration is the OpenID discovery document, as far as this server does what it says.
type configuration struct {
	Issuer        string   `json:"issuer"`
	Token         string   `json:"token_endpoint"`
	Authorization string   `json:"authorization_endpoint"`
	Keys          string   `json:"jwks_uri"`
	Auth          []string `json:"token_endpoint_auth_methods_supported"`
	Grants        []string `json:"grant_types_supported"`
	ResponseTypes []string `json:"response_types_supported"`
	ResponseModes []string `json:"response_modes_supported"`
	Challenges    []string `json:"code_challenge_methods_supported"`
	IssuerParam   bool     `json:"authorization_response_iss_parameter_supported"`
	SubjectTypes  []string `json:"subject_types_supported"`
	Algorithms    []string `json:"id_token_signing_alg_values_supported"`
	Scopes        []string `json:"scopes_supported"`
	Claims        []string `json:"claims_supported"`
}

func (h *Handler) discovery(w http.ResponseWriter, r *http.Request, tenant string, v access.Version) {
	t, err := h.dir.FindTenant(r.Context(), tenant)
	if errs.Is(err, errs.NotFound) {
		h.fail(w, r, failUnknownTenant(tenant))
		return
	}
	if err != nil {
		h.fail(w, r, failureOf(err))
		return
	}
	// Where the address leaves the tenant open, so does the issuer, in Entra's notation.
	id := ident.TenantID("{tenantid}")
	if t != nil {
		id = t.ID
	}
	base := h.authority.URL() + "/" + strings.ToLower(tenant)
	path := "/oauth2"
	keys := "/discovery/keys"
	if v == access.V2 {
		path, keys = "/oauth2/v2.0", "/discovery/v2.0/keys"
	}
	answer(w, http.StatusOK, fiveMin, configuration{
		Issuer: h.authority.Issuer(id, v), Token: base + path + "/token", Authorization: base + path + "/authorize", Keys: base + keys,
		Auth:          []string{"client_secret_post", "client_secret_basic", "private_key_jwt"},
		Grants:        grantTypes,
		ResponseTypes: []string{"code"}, ResponseModes: []string{"query", "fragment"}, Challenges: []string{"S256"},
		SubjectTypes: []string{"public"}, Algorithms: []string{"RS256"},
		Scopes: []string{"openid", "profile", "email", "offline_access"}, IssuerParam: true,
		Claims: []string{"aud", "iss", "iat", "nbf", "exp", "sub", "oid", "tid", "appid", "idtyp", "roles", "scp", "ver", "upn", "name"},
	})
}

// keys answers the public signing keys; they are the same for every tenant.
func (h *Handler) keys(w http.ResponseWriter, _ *http.Request, _ string) {
	answer(w, http.StatusOK, fiveMin, h.authority.JWKS())
}

// instance answers a library that asks whether this host is one that may sign people in.
func (h *Handler) instance(w http.ResponseWriter, r *http.Request, tenant string) {
	host := strings.TrimPrefix(strings.TrimPrefix(h.authority.URL(), "https://"), "http://")
	type alias struct {
		Network string   `json:"preferred_network"`
		Cache   string   `json:"preferred_cache"`
		Aliases []string `json:"aliases"`
	}
	answer(w, http.StatusOK, fiveMin, struct {
		Endpoint string  `json:"tenant_discovery_endpoint"`
		Version  string  `json:"api-version"`
		Metadata []alias `json:"metadata"`
	}{h.authority.URL() + "/" + strings.ToLower(clip(tenant)) + "/v2.0/.well-known/openid-configuration", "1.1", []alias{{host, host, []string{host}}}})
}
