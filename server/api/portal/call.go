package portal

import (
	"net/http"
	"strings"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/api"
	"github.com/vedette-edr/vedette/server/errs"
)

// call is one operation below /portal/.
type call struct {
	method string
	path   string // a last segment {name} takes whatever is left
	open   bool   // it needs nobody who is signed in
	doc    api.Doc
	serve  func(w http.ResponseWriter, r *api.Request, name string) error
}

// fits reports whether a request is for the call, and what its last segment holds.
func (c *call) fits(method, path string) (name string, ok bool) {
	if method != c.method {
		return "", false
	}
	if before, _, variable := strings.Cut(c.path, "{"); variable {
		name, ok = strings.CutPrefix(path, before)
		return name, ok && name != ""
	}
	return "", path == c.path
}

// calls is every operation below /portal/.
func (p *Portal) calls() []call {
	const get, post, patch, put, del = http.MethodGet, http.MethodPost, http.MethodPatch, http.MethodPut, http.MethodDelete
	says := func(summary string, body, answer any) api.Doc {
		return api.Doc{Summary: summary, Body: body, Answer: answer, Bare: answer != nil}
	}
	nothing := func(summary string, body any) api.Doc {
		return api.Doc{Summary: summary, Body: body, Status: http.StatusNoContent}
	}
	listed := func(summary string, answer any) api.Doc { return api.Doc{Summary: summary, Answer: answer} }
	goes := func(summary string, params ...api.Param) api.Doc {
		return api.Doc{Summary: summary, Params: params, Status: http.StatusSeeOther}
	}
	weak := []errs.Code{access.PasswordWrong, access.FactorWrong, access.FactorLocked}
	step := []errs.Code{access.FactorWrong, access.FactorLocked, access.SignInStale}
	failing := func(d api.Doc, codes []errs.Code) api.Doc { d.Errors = codes; return d }
	return []call{
		{post, "report", true, api.Doc{}, p.report},
		{get, "session", true, says("Tell who is signed in, or what signing in asks for", nil, sessionEntity{}), p.whoami},
		{post, "session", true, failing(says("Sign in with a password", signInBody{}, sessionEntity{}), []errs.Code{access.PasswordWrong, errs.MissingRequiredParameter}), p.signIn},
		{post, "session/code", true, failing(says("Give a code of one's second factor", codeBody{}, sessionEntity{}), step), p.giveCode},
		{post, "session/enrolment", true, failing(says("Set up the second factor that is required to sign in", nil, enrolmentEntity{}), step[2:]), p.enrol},
		{post, "session/enrolment/confirm", true, failing(says("Confirm it with a code, and sign in", codeBody{}, sessionEntity{}), step), p.confirmEnrolment},
		{del, "session/step", true, nothing("Give up a sign-in that waits for its second step", nil), p.giveUp},
		{del, "session", false, says("Sign out", nil, ended{}), p.signOut},
		{get, "providers", true, api.Doc{Summary: "List the identity providers by which people of a tenant can sign in", Params: []api.Param{{Name: "tenant", About: "Its id, name or domain; needed where there are several."}}, Answer: []providerEntity{}}, p.providers},
		{get, "sso/start", true, goes("Go to an identity provider to sign in", api.Param{Name: "provider", Required: true}, api.Param{Name: "tenant"}, api.Param{Name: "to", About: "The page to come back to."}), p.leave},
		{get, "sso/callback", true, goes("Come back from an identity provider", api.Param{Name: "state", Required: true}, api.Param{Name: "code"}, api.Param{Name: "error"}), p.arrive},
		{get, "account", false, says("Get one's own account", nil, accountEntity{}), p.account},
		{patch, "account", false, says("Change one's own name", nameBody{}, accountEntity{}), p.rename},
		{post, "account/password", false, failing(says("Change one's own password; every other session and token ends", passwordBody{}, sessionEntity{}), weak[:1]), p.changePassword},
		{get, "account/sessions", false, listed("List one's own sessions", []ownSession{}), p.ownSessions},
		{del, "account/sessions", false, nothing("End all of one's own sessions but this one", nil), p.endOthers},
		{del, "account/sessions/{sessionId}", false, nothing("End one of one's own sessions", nil), p.endSession},
		{post, "account/factor", false, failing(says("Begin to set up a second factor", proofBody{}, enrolmentEntity{}), weak), p.beginFactor},
		{post, "account/factor/confirm", false, failing(says("Turn it on with a code", codeBody{}, recoveryEntity{}), append(weak[1:], access.FactorMissing)), p.confirmFactor},
		{post, "account/factor/recovery", false, failing(says("Replace one's recovery codes", proofBody{}, recoveryEntity{}), weak), p.newRecovery},
		{post, "account/factor/remove", false, failing(nothing("Turn off one's second factor", proofBody{}), weak), p.removeFactor},
		{get, "preferences", false, api.Doc{}, p.preferences},
		{put, "preferences/{name}", false, api.Doc{}, p.putPreference},
		{del, "preferences/{name}", false, api.Doc{}, p.deletePreference},
	}
}

// Documented lists the operations about signing in and one's own account as routes for the
// OpenAPI document; they are served by Portal, not by a router. Those for the portal's pages
// alone are not among them.
func Documented() []api.Route {
	var out []api.Route
	for _, c := range (&Portal{}).calls() {
		if c.doc.Summary == "" {
			continue
		}
		r := api.Route{Method: c.method, Pattern: "/portal/" + c.path, Doc: c.doc, Open: "it is how people sign in"}
		if !c.open {
			r.Open = "it takes the session of the person whom it is about"
		}
		out = append(out, r)
	}
	return out
}
