package oauth

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	_ "embed" // the sign-in page
	"encoding/base64"
	"html/template"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/errs"
)

// signInPage is a plain form: no script, no image, nothing from elsewhere.
//
//go:embed signin.html
var signInPage string

var signInTemplate = template.Must(template.New("signin").Parse(signInPage))

// pageData is what the page shows.
type pageData struct {
	Nonce       string
	Title       string
	Application string
	Permissions []string
	Login       string
	Error       string
	Token       string // against forged posts
	Form        bool   // there is something to fill in
	Waiting     string // the sign-in whose second step the form is; "" for the first
	Portal      string // where a second factor can be set up or given; "" unless one has to be
	Note        string // what to do there
	Person      string // who is signed in to the portal with this browser; "" for nobody
	Proof       string // of that session
	Ways        []Way  // else to sign in
	Again       string // the page's own query, to be asked for from here; "" for no need
}

const (
	tokenField = "vedette_form"
	// A second step brings what Directory.Suspend made of the first, and the code.
	waitingField = "vedette_step"
	codeField    = "code"
	tokenCookie  = "vedette-signin"
)

// authorize serves the sign-in page of an application and takes what people fill in. What
// is wrong with the application or the address to go back to is told to the person and
// sent nowhere; everything else goes back to the application.
func (h *Handler) authorize(w http.ResponseWriter, r *http.Request, tenant string, v access.Version) {
	f, err := authorizeForm(r)
	if err != nil {
		h.page(w, r, http.StatusBadRequest, pageData{Title: "Sign in", Error: err.Error()}, "")
		return
	}
	app, redirect, err := h.application(r.Context(), f, tenant)
	if err != nil {
		h.pageFailure(w, r, err)
		return
	}
	to := back{redirect, h.authority.Issuer(app.Tenant, v)}
	s, err := h.request(f, app)
	if err != nil {
		h.sendBack(w, f, to, errorParams(failureOf(err)))
		return
	}
	if v == access.V1 {
		s.OpenID, s.Offline = true, true // v1 answers both without being asked
	}
	data := pageData{Title: "Sign in", Application: app.Name, Permissions: s.Scopes, Login: clip(f["login_hint"]), Form: true}
	if len(data.Permissions) == 0 {
		data.Permissions = app.DelegatedNames()
	}
	if r.Method != http.MethodPost && f["prompt"] == "none" {
		h.sendBack(w, f, to, errorParams(failure{err: "login_required", code: 50058, text: "Nobody is signed in here, and no page was to be shown."}))
		return
	}
	if h.browser.elsewhere(r) {
		h.page(w, r, http.StatusOK, pageData{Title: "Sign in", Again: "?" + r.URL.RawQuery}, "")
		return
	}
	if err := h.offer(r, f, app, &data); err != nil {
		h.pageFailure(w, r, err)
		return
	}
	if r.Method == http.MethodPost {
		h.submit(w, r, submission{form: f, app: app, signIn: s, back: to, page: data})
		return
	}
	data.Error = refusal(f)
	h.page(w, r, http.StatusOK, data, redirect)
}

// authorizeForm reads the parameters: those of the request in the address, which the page
// posts back to, and what was filled in from the body. Nothing of the body overrides the
// address.
func authorizeForm(r *http.Request) (form, error) {
	f := form{}
	if err := f.add(r.URL.RawQuery); err != nil {
		return nil, err
	}
	if r.Method != http.MethodPost {
		return f, nil
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxForm+1))
	if err != nil || len(body) > maxForm {
		return nil, malformed("The request body could not be read or is too large.")
	}
	posted := form{}
	if err := posted.add(string(body)); err != nil {
		return nil, err
	}
	for _, k := range []string{"username", "password", tokenField, waitingField, codeField, sessionField} {
		f[k] = posted[k]
	}
	return f, nil
}

// application finds the application and where its people go back to.
func (h *Handler) application(ctx context.Context, f form, tenant string) (*access.Application, string, error) {
	if len(tenant) > maxTenant {
		return nil, "", failUnknownTenant(tenant)
	}
	t, err := h.dir.FindTenant(ctx, tenant)
	if errs.Is(err, errs.NotFound) {
		return nil, "", failUnknownTenant(tenant)
	}
	if err != nil {
		return nil, "", err
	}
	if f["client_id"] == "" {
		return nil, "", failMissing("client_id")
	}
	app, err := h.dir.Client(ctx, t, f["client_id"])
	if err != nil {
		return nil, "", credentialFailure(err, f["client_id"])
	}
	redirect, ok := app.Redirect(f["redirect_uri"])
	if !ok {
		return nil, "", failure{status: http.StatusBadRequest, err: "invalid_request", code: 50011,
			text: "The redirect address of the request is not one that is registered for the application '" + clip(app.Name) + "'."}
	}
	return app, redirect, nil
}

// request reads what the application asks of the sign-in.
func (h *Handler) request(f form, app *access.Application) (*access.SignIn, error) {
	if f["response_type"] != "code" {
		return nil, failure{status: http.StatusBadRequest, err: "unsupported_response_type", code: 700054, text: "response_type is not 'code'."}
	}
	if m := f["response_mode"]; m != "" && m != "query" && m != "fragment" {
		return nil, failure{status: http.StatusBadRequest, err: "invalid_request", code: 9000411, text: "response_mode is neither query nor fragment."}
	}
	if len(f["nonce"]) > 512 || len(f["state"]) > 8192 {
		return nil, failure{status: http.StatusBadRequest, err: "invalid_request", code: 9002313, text: "nonce or state is too long."}
	}
	if err := proofed(f, app); err != nil {
		return nil, err
	}
	resource, err := h.resource(f, true)
	if err != nil {
		return nil, err
	}
	s := wish(f, app, nil, resource)
	s.Kind, s.Redirect, s.Challenge = access.AuthorizationCode, f["redirect_uri"], f["code_challenge"]
	return s, nil
}

// submission is a form that was filled in.
type submission struct {
	form   form
	app    *access.Application
	signIn *access.SignIn
	back
	page pageData
}

// submit checks the password and sends the person back with a code.
func (h *Handler) submit(w http.ResponseWriter, r *http.Request, s submission) {
	c, err := r.Cookie(cookieName(r))
	if err != nil || c.Value == "" || subtle.ConstantTimeCompare([]byte(c.Value), []byte(s.form[tokenField])) != 1 {
		s.page.Error = "The form has expired. Please sign in again."
		h.page(w, r, http.StatusForbidden, s.page, s.redirect)
		return
	}
	q := &request{form: s.form, from: h.clientIP(r), app: s.app}
	var waiting *access.Admission
	err = h.throttled(q, func() error {
		switch {
		case s.form[sessionField] != "":
			return h.goOn(r, &s, q)
		case s.form[waitingField] != "":
			return h.secondStep(r.Context(), q)
		}
		return h.signIn(r.Context(), q, func(a *access.Admission) error { waiting = a; return nil })
	})
	if err == nil && waiting != nil {
		h.askForMore(w, r, s, waiting)
		return
	}
	if err != nil {
		f := failureOf(err)
		h.report(r.Context(), q, f.label())
		s.page.Login, s.page.Error = clip(s.form["username"]), f.text
		switch f.code {
		case 50126:
			s.page.Error = "The user name or password is wrong."
		case wrongCode:
			s.page.Waiting = s.form[waitingField]
		}
		h.page(w, r, max(f.status, http.StatusBadRequest), s.page, s.redirect)
		return
	}
	s.signIn.Person = q.person.ID
	code, err := h.dir.Begin(r.Context(), *s.signIn)
	if err != nil {
		h.pageFailure(w, r, err)
		return
	}
	h.report(r.Context(), q, "")
	http.SetCookie(w, &http.Cookie{Name: cookieName(r), Path: "/", MaxAge: -1, Secure: r.TLS != nil, HttpOnly: true, SameSite: http.SameSiteLaxMode})
	h.sendBack(w, s.form, s.back, url.Values{"code": {code}})
}

// purpose binds a sign-in that waits for its second step to the application that it is for.
func purpose(app *access.Application) string { return "authorize/" + string(app.ID) }

// askForMore shows what else is asked of a person whose password was right.
func (h *Handler) askForMore(w http.ResponseWriter, r *http.Request, s submission, a *access.Admission) {
	if a.Step == access.SetUpCodes {
		s.page.Form, s.page.Person, s.page.Ways, s.page.Portal = false, "", nil, h.authority.URL()+"/"
		s.page.Error = "A second factor is required of you, and you have set up none yet. Sign in to the portal to set it up, then try again here."
		h.page(w, r, http.StatusForbidden, s.page, s.redirect)
		return
	}
	text, err := h.dir.Suspend(a, purpose(s.app))
	if err != nil {
		h.pageFailure(w, r, err)
		return
	}
	s.page.Waiting = text
	h.page(w, r, http.StatusOK, s.page, s.redirect)
}

// wrongCode is the AADSTS number of a second factor that does not fit.
const wrongCode = 500121

// secondStep takes the code of a person whose password was right.
func (h *Handler) secondStep(ctx context.Context, q *request) error {
	a, err := h.dir.Continue(ctx, q.form[waitingField], purpose(q.app))
	if errs.Is(err, errs.Unauthenticated) || err == nil && a.Step != access.EnterCode {
		return failure{status: http.StatusForbidden, err: "invalid_grant", code: 50089, text: "This took too long. Please sign in again."}
	}
	if err != nil {
		return err
	}
	q.login = a.Person.Login
	give, wait := h.limit.Take("person/" + string(q.app.Tenant) + "/" + strings.ToLower(q.login))
	if give == nil {
		return failThrottled(wait)
	}
	err = h.dir.CompleteByCode(ctx, a, q.form[codeField])
	switch {
	case errs.Is(err, errs.Unauthenticated):
		return failure{status: http.StatusForbidden, err: "invalid_grant", code: wrongCode, text: "The code is wrong or was used before."}
	case errs.Is(err, errs.Limited):
		return failure{status: http.StatusTooManyRequests, err: "temporarily_unavailable", code: wrongCode, text: "There were too many wrong codes. Wait before you try again."}
	case err != nil:
		return err
	}
	give()
	q.person = a.Person
	return nil
}

// throttled runs an attempt, which counts against its address when it fails.
func (h *Handler) throttled(q *request, attempt func() error) error {
	give, wait := h.limit.Take(q.from)
	if give == nil {
		return failThrottled(wait)
	}
	err := attempt()
	if err == nil {
		give()
	}
	return err
}

func errorParams(f failure) url.Values {
	return url.Values{"error": {f.err}, "error_description": {"AADSTS" + strconv.Itoa(f.code) + ": " + f.text}}
}

// back is where a person is sent when all is said, and by whom.
type back struct{ redirect, issuer string }

// sendBack redirects to the application.
func (h *Handler) sendBack(w http.ResponseWriter, f form, b back, v url.Values) {
	if f["state"] != "" {
		v.Set("state", f["state"])
	}
	v.Set("iss", b.issuer) // RFC 9207: against answers of another server
	to := b.redirect
	switch {
	case f["response_mode"] == "fragment":
		to += "#" + v.Encode()
	case strings.Contains(b.redirect, "?"):
		to += "&" + v.Encode()
	default:
		to += "?" + v.Encode()
	}
	secure(w.Header(), "", "")
	w.Header().Set("Location", to)
	w.WriteHeader(http.StatusSeeOther)
}

func (h *Handler) pageFailure(w http.ResponseWriter, r *http.Request, err error) {
	f := failureOf(err)
	h.page(w, r, f.status, pageData{Title: "Sign in", Error: "AADSTS" + strconv.Itoa(f.code) + ": " + f.text}, "")
}

// page writes the page with a fresh token against forged posts.
func (h *Handler) page(w http.ResponseWriter, r *http.Request, status int, d pageData, redirect string) {
	var raw [32]byte
	if _, err := io.ReadFull(h.rand, raw[:]); err != nil {
		if _, err := io.ReadFull(rand.Reader, raw[:]); err != nil {
			http.Error(w, "", http.StatusInternalServerError)
			return
		}
	}
	d.Nonce, d.Token = base64.RawURLEncoding.EncodeToString(raw[:16]), base64.RawURLEncoding.EncodeToString(raw[16:])
	if d.Form {
		http.SetCookie(w, &http.Cookie{Name: cookieName(r), Value: d.Token, Path: "/", MaxAge: 3600, Secure: r.TLS != nil, HttpOnly: true, SameSite: http.SameSiteLaxMode})
	}
	secure(w.Header(), d.Nonce, redirect)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_ = signInTemplate.Execute(w, d) // the client is gone: nobody to tell
}

// cookieName binds the cookie to this host where the browser can promise that.
func cookieName(r *http.Request) string {
	if r.TLS != nil {
		return "__Host-" + tokenCookie
	}
	return tokenCookie
}

// secure sets what keeps the page from being framed, scripted, cached or leaked. Browsers
// apply form-action to where a post is redirected as well, so that has to be named.
func secure(hd http.Header, nonce, redirect string) {
	action := "'self'"
	if u, err := url.Parse(redirect); err == nil && u.Scheme != "" {
		if slices.Contains([]string{"http", "https"}, u.Scheme) {
			action += " " + u.Scheme + "://" + u.Host
		} else {
			action += " " + u.Scheme + ":"
		}
	}
	style := "'none'"
	if nonce != "" {
		style = "'nonce-" + nonce + "'"
	}
	hd.Set("Content-Security-Policy", "default-src 'none'; style-src "+style+"; form-action "+action+"; base-uri 'none'; frame-ancestors 'none'")
	hd.Set("X-Frame-Options", "DENY")
	hd.Set("X-Content-Type-Options", "nosniff")
	hd.Set("Referrer-Policy", "no-referrer")
	hd.Set("Cache-Control", noStore)
	hd.Set("Cross-Origin-Opener-Policy", "same-origin")
}
