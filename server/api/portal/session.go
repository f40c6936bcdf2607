package portal

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/api"
	"github.com/vedette-edr/vedette/server/errs"
)

// What a page sends with its requests.
const (
	cookie = "vedette-session"
	// pendingCookie holds a sign-in that waits for its second step, flowCookie one that is
	// on its way to an identity provider and back.
	pendingCookie = "vedette-sign-in"
	flowCookie    = "vedette-sso"
	// proofHeader carries access.Sessions.Proof on every request that may change something.
	proofHeader = "Vedette-Proof"
	// presenceHeader is "idle" on requests that nobody asked for, which keep no session alive.
	presenceHeader = "Vedette-Presence"
)

// cookieName binds the cookie to this host where the browser can promise that.
func cookieName(r *http.Request, name string) string {
	if r.TLS != nil {
		return "__Host-" + name
	}
	return name
}

func cookieText(r *http.Request, name string) string {
	c, err := r.Cookie(cookieName(r, name))
	if err != nil {
		return ""
	}
	return c.Value
}

func sessionText(r *http.Request) string { return cookieText(r, cookie) }

// setCookie keeps a text in the browser, out of reach of scripts; a negative age forgets it.
func setCookie(w http.ResponseWriter, r *http.Request, name, text string, age time.Duration, site http.SameSite) {
	http.SetCookie(w, &http.Cookie{Name: cookieName(r, name), Value: text, Path: "/", MaxAge: int(age.Seconds()),
		Secure: r.TLS != nil, HttpOnly: true, SameSite: site})
}

func reads(method string) bool { return method == http.MethodGet || method == http.MethodHead }

// Resume implements api.Sessions.
func (p *Portal) Resume(r *http.Request) (*access.Principal, error) {
	text := sessionText(r)
	if text == "" {
		return nil, nil
	}
	_, who, err := p.Sessions.Resume(r.Context(), text, presence(r))
	if err != nil {
		return nil, err
	}
	if err := p.own(r, text); err != nil {
		return nil, err
	}
	return who, nil
}

// Visitor returns the session of the browser of r, with its person and the proof that pages
// of it hold; nil where nobody is signed in. unfinished says that somebody signed in as far
// as to a second factor.
func (p *Portal) Visitor(r *http.Request) (s *access.Session, who *access.Person, proof string, unfinished bool, err error) {
	text := sessionText(r)
	s, _, err = p.Sessions.Resume(r.Context(), text, access.Active)
	if errs.Is(err, errs.Unauthenticated) {
		_, err = p.Directory.Continue(r.Context(), cookieText(r, pendingCookie), pendingPurpose)
		if errs.Is(err, errs.Unauthenticated) {
			return nil, nil, "", false, nil
		}
		return nil, nil, "", err == nil, err
	}
	if err != nil {
		return nil, nil, "", false, err
	}
	who, err = p.Directory.Person(r.Context(), s.Tenant, s.Person)
	return s, who, p.Sessions.Proof(text), false, err
}

// own refuses a request that another site may have made the browser send. Reading needs no
// proof: another site cannot see the answer, and a browser that says where a request comes
// from is believed there too.
func (p *Portal) own(r *http.Request, text string) error {
	const op = "portal.own"
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" && site != "none" {
		return errs.New(op, errs.Denied, errs.Forbidden, "the request comes from another site")
	}
	if reads(r.Method) {
		return nil
	}
	if err := p.origin.Check(r); err != nil {
		return errs.New(op, errs.Denied, errs.Forbidden, "the request comes from another site")
	}
	if !p.Sessions.Proves(text, r.Header.Get(proofHeader)) {
		return errs.New(op, errs.Denied, errs.Forbidden, "the request lacks the proof that a page of this session sent it")
	}
	return nil
}

func presence(r *http.Request) access.Presence {
	if r.Header.Get(presenceHeader) == string(access.Idle) {
		return access.Idle
	}
	return access.Active
}

// sessionEntity is what a page knows of whom it works for.
type sessionEntity struct {
	SignedIn bool        `json:"signedIn"`
	Version  string      `json:"version"`
	Time     time.Time   `json:"time"` // the server's
	User     *userEntity `json:"user"`
	Proof    string      `json:"proof"`
	Expires  *time.Time  `json:"expires"`
	Idle     int         `json:"idleSeconds"`
	// Permissions is what the person may do, as the published API names it.
	Permissions []access.Permission `json:"permissions"`
	// AllDevices says that no device group restricts what the person sees.
	AllDevices bool `json:"allDevices"`
	// Step is what somebody has to do whose password was right: "code", give a code of
	// their second factor; "enrol", set one up; "" for nothing.
	Step access.Step `json:"step"`
	// Providers is who else people can sign in by. With several tenants it is empty, and
	// SeveralTenants set: GET /portal/providers tells those of one.
	Providers      []providerEntity `json:"providers"`
	SeveralTenants bool             `json:"severalTenants"`
	// RecoveryCodes is there in the answer alone that turned on a second factor.
	RecoveryCodes []string `json:"recoveryCodes,omitempty"`
}

// providerEntity is an identity provider on the sign-in page.
type providerEntity struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

type userEntity struct {
	ID     string   `json:"id"`
	Login  string   `json:"login"`
	Name   string   `json:"name"`
	Mail   string   `json:"mail"`
	Tenant string   `json:"tenantId"`
	Roles  []string `json:"roles"`
}

// whoami answers who is signed in; that nobody is, is no error.
func (p *Portal) whoami(w http.ResponseWriter, r *api.Request, _ string) error {
	text := sessionText(r.Request)
	s, who, err := p.Sessions.Resume(r.Context(), text, presence(r.Request))
	if errs.Is(err, errs.Unauthenticated) {
		return p.outside(w, r)
	}
	if err != nil {
		return err
	}
	if err := p.own(r.Request, text); err != nil {
		return err
	}
	return p.describe(w, r, s, who, text, nil)
}

// outside answers what somebody can do who is not signed in.
func (p *Portal) outside(w http.ResponseWriter, r *api.Request) error {
	e := sessionEntity{}
	a, err := p.Directory.Continue(r.Context(), cookieText(r.Request, pendingCookie), pendingPurpose)
	if err == nil {
		e.Step = a.Step
	} else if !errs.Is(err, errs.Unauthenticated) {
		return err
	}
	tenant, err := p.Directory.HomeOf(r.Context(), "", "")
	switch {
	case err == nil:
		if e.Providers, err = p.offered(r.Context(), tenant.ID); err != nil {
			return err
		}
	case errs.Is(err, errs.Invalid):
		e.SeveralTenants = true
	default:
		return err
	}
	return p.answer(w, r, e)
}

// described is a session as a page gets it.
func (p *Portal) described(ctx context.Context, s *access.Session, who *access.Principal, text string) (sessionEntity, error) {
	person, err := p.Directory.Person(ctx, s.Tenant, s.Person)
	if err != nil {
		return sessionEntity{}, err
	}
	return p.complete(sessionEntity{SignedIn: true, Proof: p.Sessions.Proof(text), Expires: &s.Expires, User: showUser(person),
		Permissions: who.Granted(), AllDevices: who.Scope.All}), nil
}

func showUser(person *access.Person) *userEntity {
	roles := make([]string, 0, len(person.Roles))
	for _, id := range person.Roles {
		roles = append(roles, string(id))
	}
	return &userEntity{ID: string(person.ID), Login: person.Login, Name: person.Name, Mail: person.Mail, Tenant: string(person.Tenant), Roles: roles}
}

// describe answers a session; recovery is the recovery codes that it began with, if any.
func (p *Portal) describe(w http.ResponseWriter, r *api.Request, s *access.Session, who *access.Principal, text string, recovery []string) error {
	e, err := p.described(r.Context(), s, who, text)
	if err != nil {
		return err
	}
	e.RecoveryCodes = recovery
	return api.WriteJSON(w, r, http.StatusOK, e)
}

func (p *Portal) answer(w http.ResponseWriter, r *api.Request, e sessionEntity) error {
	return api.WriteJSON(w, r, http.StatusOK, p.complete(e))
}

// complete adds what every session says of the server.
func (p *Portal) complete(e sessionEntity) sessionEntity {
	e.Version, e.Time, e.Idle = p.Version, p.Clock().UTC(), int(access.SessionIdle.Seconds())
	e.Permissions, e.Providers = append([]access.Permission{}, e.Permissions...), append([]providerEntity{}, e.Providers...)
	return e
}

// inlined is what a page has to know before it can show anything, as JSON that may stand
// within HTML: who is signed in and what they chose. It is nil where nobody is, as far as
// this request shows: a browser that comes from another site does not bring the cookie
// along, so that the page asks for itself then. The proof is in it as it is in the answer
// to GET /portal/session, and is as far out of reach of other sites: the page cannot be
// framed, read across origins, kept, or compressed.
func (p *Portal) inlined(r *http.Request) []byte {
	text := sessionText(r)
	if text == "" {
		return nil
	}
	s, who, err := p.Sessions.Resume(r.Context(), text, presence(r))
	if err != nil || p.own(r, text) != nil {
		return nil // the page learns by asking what is wrong
	}
	e, err := p.described(r.Context(), s, who, text)
	if err != nil {
		return nil
	}
	kept, err := p.Preferences.All(r.Context(), who.Actor)
	if err != nil {
		return nil
	}
	// Marshal writes < > and & as escapes.
	out, err := json.Marshal(map[string]any{"session": e, "preferences": kept})
	if err != nil {
		return nil
	}
	return out
}

// read decodes a JSON body into v. Another site's form cannot send that content type.
func read(r *api.Request, v any) error {
	const op = "portal.read"
	if kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";"); !strings.EqualFold(strings.TrimSpace(kind), "application/json") {
		return errs.New(op, errs.Invalid, errs.InvalidRequestBody, "the body has to be application/json")
	}
	dec := json.NewDecoder(r.Body)
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return &errs.E{Op: op, Kind: errs.Invalid, Code: errs.InvalidRequestBody, Detail: "the body is not the JSON that is expected here", Err: err}
	}
	return nil
}

// throttled runs an attempt, which counts against its address and account when it fails.
func (p *Portal) throttled(r *http.Request, account string, attempt func() error) error {
	const op = "portal.throttled"
	var back []func()
	for _, key := range []string{remoteIP(r), account} {
		give, wait := p.attempts.Take(key)
		if give == nil {
			for _, g := range back {
				g()
			}
			return &errs.E{Op: op, Kind: errs.Limited, Code: errs.TooManyRequests, Retry: wait,
				Detail: "there were too many attempts to sign in: wait a moment and try again"}
		}
		back = append(back, give)
	}
	err := attempt()
	if !errs.Is(err, errs.Unauthenticated) {
		for _, g := range back {
			g()
		}
	}
	return err
}

// ended is the answer of signing out where an identity provider has a session as well.
type ended struct {
	// Address is where a browser is to go, so that the provider ends its session too and
	// sends it back; "" for nowhere.
	Address string `json:"endSessionAddress"`
}

func (p *Portal) signOut(w http.ResponseWriter, r *api.Request, _ string) error {
	text := sessionText(r.Request)
	s, _, err := p.Sessions.Resume(r.Context(), text, access.Active)
	if err != nil {
		return err
	}
	if err := p.Sessions.End(r.Context(), text); err != nil {
		return err
	}
	p.Attempted(r.Context(), Attempt{Tenant: r.Caller.Tenant, Actor: r.Caller.Actor, Verb: "session.end", From: remoteIP(r.Request)})
	setCookie(w, r.Request, cookie, "", -time.Second, http.SameSiteStrictMode)
	// What the browser kept of the person's pages goes with the session.
	w.Header().Set("Clear-Site-Data", `"storage"`)
	return api.WriteJSON(w, r, http.StatusOK, ended{p.SSO.EndAddress(r.Context(), s, p.Origin(r.Request)+"/")})
}

func (p *Portal) preferences(w http.ResponseWriter, r *api.Request, _ string) error {
	all, err := p.Preferences.All(r.Context(), r.Caller.Actor)
	if err != nil {
		return err
	}
	return api.WriteJSON(w, r, http.StatusOK, map[string]any{"value": all})
}

func (p *Portal) putPreference(w http.ResponseWriter, r *api.Request, name string) error {
	var value json.RawMessage
	if err := read(r, &value); err != nil {
		return err
	}
	if err := p.Preferences.Put(r.Context(), r.Caller.Actor, name, value); err != nil {
		return err
	}
	return api.WriteEmpty(w, http.StatusNoContent)
}

func (p *Portal) deletePreference(w http.ResponseWriter, r *api.Request, name string) error {
	if err := p.Preferences.Delete(r.Context(), r.Caller.Actor, name); err != nil {
		return err
	}
	return api.WriteEmpty(w, http.StatusNoContent)
}
