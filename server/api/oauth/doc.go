package oauth

import (
	"net/http"

	"github.com/vedette-edr/vedette/server/api"
)

// grantBody is the form of a token request.
type grantBody struct {
	GrantType    string `json:"grant_type" doc:"required,enum=client_credentials|password|authorization_code|refresh_token"`
	ClientID     string `json:"client_id" doc:"required"`
	ClientSecret string `json:"client_secret"`
	Assertion    string `json:"client_assertion"`
	Code         string `json:"code"`
	Verifier     string `json:"code_verifier"`
	RedirectURI  string `json:"redirect_uri"`
	RefreshToken string `json:"refresh_token"`
	Username     string `json:"username"`
	Password     string `json:"password"`
	Resource     string `json:"resource"` // v1
	Scope        string `json:"scope"`    // v2
}

// Documented lists the endpoints as routes for the OpenAPI document; they are served by
// Handler, not by a router.
func Documented() []api.Route {
	authorize := []api.Param{
		{Name: "client_id", Required: true}, {Name: "response_type", Required: true, Enum: []string{"code"}}, {Name: "redirect_uri", Required: true},
		{Name: "state"}, {Name: "code_challenge"}, {Name: "code_challenge_method", Enum: []string{"S256"}},
	}
	said := map[string]api.Doc{
		"oauth2/authorize":                      {Summary: "The page where people sign in, v1", Params: append(authorize, api.Param{Name: "resource"}), Answer: "", AnswerMedia: "text/html", Redirects: true},
		"oauth2/v2.0/authorize":                 {Summary: "The page where people sign in, v2", Params: append(authorize, api.Param{Name: "scope"}), Answer: "", AnswerMedia: "text/html", Redirects: true},
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
		d.Params = append([]api.Param{{Name: "tenant", About: "The tenant's id or domain; common and organizations stand for the client's own."}}, d.Params...)
		out = append(out, api.Route{Method: method, Pattern: "/{tenant}/" + r.path, Open: "it is where callers get their tokens", Doc: d})
	}
	return out
}
