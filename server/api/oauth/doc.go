package oauth

import (
	"net/http"

	"github.com/vedette-edr/vedette/server/api"
)

// grantBody is the form of a token request by client credentials.
type grantBody struct {
	GrantType    string `json:"grant_type" doc:"required"`
	ClientID     string `json:"client_id" doc:"required"`
	ClientSecret string `json:"client_secret"`
	Resource     string `json:"resource"` // v1
	Scope        string `json:"scope"`    // v2
}

// Documented lists the endpoints as routes for the OpenAPI document; they are served by
// Handler, not by a router.
func Documented() []api.Route {
	said := map[string]api.Doc{
		"oauth2/token":                          {Summary: "Issue an access token, v1", Body: grantBody{}, Media: "application/x-www-form-urlencoded", Answer: tokenV1{}, Bare: true},
		"oauth2/v2.0/token":                     {Summary: "Issue an access token, v2", Body: grantBody{}, Media: "application/x-www-form-urlencoded", Answer: tokenV2{}, Bare: true},
		".well-known/openid-configuration":      {Summary: "OpenID configuration, v1", Answer: map[string]any{}, Bare: true},
		"v2.0/.well-known/openid-configuration": {Summary: "OpenID configuration, v2", Answer: map[string]any{}, Bare: true},
		"discovery/keys":                        {Summary: "Public keys that tokens are signed with", Answer: map[string]any{}, Bare: true},
		"discovery/v2.0/keys":                   {Summary: "Public keys that tokens are signed with, v2", Answer: map[string]any{}, Bare: true},
		"discovery/instance":                    {Summary: "The authority that clients ask about before they trust it", Answer: map[string]any{}, Bare: true},
	}
	var out []api.Route
	for _, r := range routes() {
		method := http.MethodGet
		if said[r.path].Body != nil {
			method = http.MethodPost
		}
		d := said[r.path]
		d.Params = []api.Param{{Name: "tenant", About: "The tenant's id or domain; common and organizations stand for the client's own."}}
		out = append(out, api.Route{Method: method, Pattern: "/{tenant}/" + r.path, Open: "it is where callers get their tokens", Doc: d})
	}
	return out
}
