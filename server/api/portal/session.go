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
	"github.com/vedette-edr/vedette/server/ident"
)

// What a page sends with its requests.
const (
	cookie = "vedette-session"
	// proofHeader carries access.Sessions.Proof on every request that may change something.
	proofHeader = "Vedette-Proof"
	// presenceHeader is "idle" on requests that nobody asked for, which keep no session alive.
	presenceHeader = "Vedette-Presence"
)

// cookieName binds the cookie to this host where the browser can promise that.
func cookieName(r *http.Request) string {
	if r.TLS != nil {
		return "__Host-" + cookie
	}
	return cookie
}

func sessionText(r *http.Request) string {
	c, err := r.Cookie(cookieName(r))
	if err != nil {
		return ""
	}
	return c.Value
}

func setCookie(w http.ResponseWriter, r *http.Request, text string, age time.Duration) {
	http.SetCookie(w, &http.Cookie{Name: cookieName(r), Value: text, Path: "/", MaxAge: int(age.Seconds()),
		Secure: r.TLS != nil, HttpOnly: true, SameSite: http.SameSiteStrictMode})
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
func (p *Portal) whoami(w http.ResponseWriter, r *api.Request) error {
	text := sessionText(r.Request)
	s, who, err := p.Sessions.Resume(r.Context(), text, presence(r.Request))
	if errs.Is(err, errs.Unauthenticated) {
		return api.WriteJSON(w, r, http.StatusOK, p.complete(sessionEntity{Permissions: []access.Permission{}}))
	}
	if err != nil {
		return err
	}
	if err := p.own(r.Request, text); err != nil {
		return err
	}
	return p.describe(w, r, s, who, text)
}

// described is a session as a page gets it.
func (p *Portal) described(ctx context.Context, s *access.Session, who *access.Principal, text string) (sessionEntity, error) {
	person, err := p.Directory.Person(ctx, s.Tenant, s.Person)
	if err != nil {
		return sessionEntity{}, err
	}
	roles := make([]string, 0, len(person.Roles))
	for _, id := range person.Roles {
		roles = append(roles, string(id))
	}
	return p.complete(sessionEntity{SignedIn: true, Proof: p.Sessions.Proof(text), Expires: &s.Expires,
		User:        &userEntity{ID: string(person.ID), Login: person.Login, Name: person.Name, Mail: person.Mail, Tenant: string(person.Tenant), Roles: roles},
		Permissions: who.Granted(), AllDevices: who.Scope.All}), nil
}

func (p *Portal) describe(w http.ResponseWriter, r *api.Request, s *access.Session, who *access.Principal, text string) error {
	e, err := p.described(r.Context(), s, who, text)
	if err != nil {
		return err
	}
	return api.WriteJSON(w, r, http.StatusOK, e)
}

// complete adds what every session says of the server.
func (p *Portal) complete(e sessionEntity) sessionEntity {
	e.Version, e.Time, e.Idle = p.Version, p.Clock().UTC(), int(access.SessionIdle.Seconds())
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

// signIn checks a password and opens a session. One that the browser had ends.
func (p *Portal) signIn(w http.ResponseWriter, r *api.Request) error {
	const op = "portal.signIn"
	if err := p.origin.Check(r.Request); err != nil {
		return errs.New(op, errs.Denied, errs.Forbidden, "the request comes from another site")
	}
	var body struct{ Tenant, Login, Password string }
	if err := read(r, &body); err != nil {
		return err
	}
	tenant, err := p.Directory.HomeOf(r.Context(), body.Tenant, body.Login)
	if err != nil {
		return err
	}
	attempt := Attempt{Tenant: tenant.ID, Verb: "session.open", From: remoteIP(r.Request),
		Actor: ident.Actor{Kind: ident.ActorUser, Name: body.Login, Tenant: tenant.ID}}
	var person *access.Person
	err = p.throttled(r.Request, "person/"+string(tenant.ID)+"/"+strings.ToLower(body.Login), func() error {
		person, err = p.Directory.SignIn(r.Context(), tenant.ID, body.Login, body.Password)
		return err
	})
	if err != nil {
		attempt.Error = "refused"
		if errs.Is(err, errs.Limited) {
			attempt.Error = "too many attempts"
		}
		p.Attempted(r.Context(), attempt)
		return err
	}
	if err := p.Sessions.End(r.Context(), sessionText(r.Request)); err != nil {
		return err
	}
	text, s, err := p.Sessions.Open(r.Context(), person, attempt.From, r.UserAgent())
	if err != nil {
		return err
	}
	_, who, err := p.Sessions.Resume(r.Context(), text, access.Active)
	if err != nil {
		return err
	}
	attempt.Actor = who.Actor
	p.Attempted(r.Context(), attempt)
	setCookie(w, r.Request, text, access.SessionLife)
	return p.describe(w, r, s, who, text)
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

func (p *Portal) signOut(w http.ResponseWriter, r *api.Request) error {
	if err := p.Sessions.End(r.Context(), sessionText(r.Request)); err != nil {
		return err
	}
	p.Attempted(r.Context(), Attempt{Tenant: r.Caller.Tenant, Actor: r.Caller.Actor, Verb: "session.end", From: remoteIP(r.Request)})
	setCookie(w, r.Request, "", -time.Second)
	// What the browser kept of the person's pages goes with the session.
	w.Header().Set("Clear-Site-Data", `"storage"`)
	return api.WriteEmpty(w, http.StatusNoContent)
}

// changePassword changes the person's own password; every session and token of the person
// is over then, this one too.
func (p *Portal) changePassword(w http.ResponseWriter, r *api.Request) error {
	var body struct{ Old, New string }
	if err := read(r, &body); err != nil {
		return err
	}
	err := p.throttled(r.Request, "person/"+string(r.Caller.Tenant)+"/"+strings.ToLower(r.Caller.Name), func() error {
		return p.Directory.ChangePassword(r.Context(), r.Caller.Tenant, r.Caller.Name, body.Old, body.New)
	})
	if errs.Is(err, errs.Unauthenticated) {
		// Not 401: the session is well, the present password is not.
		return errs.New("portal.changePassword", errs.Invalid, errs.InvalidInput, "the present password is wrong")
	}
	if err != nil {
		return err
	}
	p.Attempted(r.Context(), Attempt{Tenant: r.Caller.Tenant, Actor: r.Caller.Actor, Verb: "person.password", From: remoteIP(r.Request)})
	setCookie(w, r.Request, "", -time.Second)
	return api.WriteEmpty(w, http.StatusNoContent)
}

func (p *Portal) preferences(w http.ResponseWriter, r *api.Request) error {
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
