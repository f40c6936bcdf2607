package portal

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/api"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
)

// pendingPurpose keeps a sign-in that waits here from being gone on with elsewhere.
const pendingPurpose = "portal"

// signInBody is a login and password. Tenant is needed where there are several and the
// login does not tell.
type signInBody struct {
	Tenant   string `json:"tenant"`
	Login    string `json:"login" doc:"required,max=256"`
	Password string `json:"password" doc:"required"`
}

// codeBody is a code of a second factor, or a recovery code.
type codeBody struct {
	Code string `json:"code" doc:"required,max=64"`
}

// enrolmentEntity is a second factor that is to be confirmed.
type enrolmentEntity struct {
	Secret  string `json:"secret"`  // base32
	Address string `json:"address"` // otpauth://…, what a QR code shows
}

// signIn checks a password. It opens a session when nothing else is asked of the person,
// and otherwise says what is; the browser keeps how far they came.
func (p *Portal) signIn(w http.ResponseWriter, r *api.Request, _ string) error {
	if err := p.fromHere(r.Request); err != nil {
		return err
	}
	var body signInBody
	if err := read(r, &body); err != nil {
		return err
	}
	tenant, err := p.Directory.HomeOf(r.Context(), body.Tenant, body.Login)
	if err != nil {
		return err
	}
	attempt := Attempt{Tenant: tenant.ID, Verb: "session.open", From: remoteIP(r.Request),
		Actor: ident.Actor{Kind: ident.ActorUser, Name: body.Login, Tenant: tenant.ID}}
	var a *access.Admission
	err = p.throttled(r.Request, accountKey(tenant.ID, body.Login), func() error {
		a, err = p.Directory.SignIn(r.Context(), tenant.ID, body.Login, body.Password)
		return err
	})
	if err != nil {
		return p.refused(r, attempt, err)
	}
	if a.Step != access.Admitted {
		if err := p.suspend(w, r.Request, a); err != nil {
			return err
		}
		return p.answer(w, r, sessionEntity{Step: a.Step})
	}
	return p.enter(w, r, a, nil)
}

// fromHere refuses what another site may have made the browser send before there is a
// session whose proof could be asked for.
func (p *Portal) fromHere(r *http.Request) error {
	if err := p.origin.Check(r); err != nil {
		return errs.New("portal.fromHere", errs.Denied, errs.Forbidden, "the request comes from another site")
	}
	return nil
}

func accountKey(tenant ident.TenantID, login string) string {
	return "person/" + string(tenant) + "/" + strings.ToLower(login)
}

// refused records an attempt that failed and returns why.
func (p *Portal) refused(r *api.Request, a Attempt, err error) error {
	switch {
	case errs.Is(err, errs.Limited):
		a.Error = "too many attempts"
	case errs.Is(err, errs.Unauthenticated) && a.Error == "":
		a.Error = "refused"
	case a.Error == "":
		a.Error = errs.KindOf(err).String()
	}
	p.Attempted(r.Context(), a)
	return err
}

// suspend has the browser keep a sign-in that waits for its second step.
func (p *Portal) suspend(w http.ResponseWriter, r *http.Request, a *access.Admission) error {
	text, err := p.Directory.Suspend(a, pendingPurpose)
	if err != nil {
		return err
	}
	setCookie(w, r, pendingCookie, text, access.PendingLife, http.SameSiteStrictMode)
	return nil
}

// enter opens a session for somebody who was admitted. One that the browser had ends.
func (p *Portal) enter(w http.ResponseWriter, r *api.Request, a *access.Admission, recovery []string) error {
	text, s, who, err := p.open(w, r, a)
	if err != nil {
		return err
	}
	return p.describe(w, r, s, who, text, recovery)
}

func (p *Portal) open(w http.ResponseWriter, r *api.Request, a *access.Admission) (string, *access.Session, *access.Principal, error) {
	if err := p.Sessions.End(r.Context(), sessionText(r.Request)); err != nil {
		return "", nil, nil, err
	}
	text, s, err := p.Sessions.Open(r.Context(), a, remoteIP(r.Request), r.UserAgent())
	if err != nil {
		return "", nil, nil, err
	}
	_, who, err := p.Sessions.Resume(r.Context(), text, access.Active)
	if err != nil {
		return "", nil, nil, err
	}
	attempt := Attempt{Tenant: s.Tenant, Actor: who.Actor, Verb: "session.open", From: remoteIP(r.Request)}
	if a.Provider != "" {
		attempt.Detail = "by the identity provider " + string(a.Provider)
	}
	p.Attempted(r.Context(), attempt)
	setCookie(w, r.Request, cookie, text, access.SessionLife, http.SameSiteStrictMode)
	setCookie(w, r.Request, pendingCookie, "", -time.Second, http.SameSiteStrictMode)
	return text, s, who, nil
}

// waiting returns the sign-in that the browser's second step is of.
func (p *Portal) waiting(r *api.Request, step access.Step) (*access.Admission, error) {
	if err := p.fromHere(r.Request); err != nil {
		return nil, err
	}
	a, err := p.Directory.Continue(r.Context(), cookieText(r.Request, pendingCookie), pendingPurpose)
	if err != nil {
		return nil, err
	}
	if a.Step != step {
		return nil, errs.New("portal.waiting", errs.Unauthenticated, access.SignInStale, "something else is asked for now: sign in again")
	}
	return a, nil
}

// secondStep runs what a code is checked by, throttled and recorded as signing in is.
func (p *Portal) secondStep(r *api.Request, a *access.Admission, check func(ctx context.Context, code string) error) error {
	var body codeBody
	if err := read(r, &body); err != nil {
		return err
	}
	err := p.throttled(r.Request, accountKey(a.Person.Tenant, a.Person.Login), func() error { return check(r.Context(), body.Code) })
	if err != nil {
		return p.refused(r, Attempt{Tenant: a.Person.Tenant, Verb: "session.open", From: remoteIP(r.Request), Error: "wrong code of the second factor",
			Actor: ident.Actor{Kind: ident.ActorUser, ID: string(a.Person.ID), Name: a.Person.Login, Tenant: a.Person.Tenant}}, err)
	}
	return nil
}

// giveCode is the second step of somebody who has a second factor.
func (p *Portal) giveCode(w http.ResponseWriter, r *api.Request, _ string) error {
	a, err := p.waiting(r, access.EnterCode)
	if err != nil {
		return err
	}
	err = p.secondStep(r, a, func(ctx context.Context, code string) error { return p.Directory.CompleteByCode(ctx, a, code) })
	if err != nil {
		return err
	}
	return p.enter(w, r, a, nil)
}

// enrol is the second step of somebody who has to set up a second factor: what their
// program is to hold.
func (p *Portal) enrol(w http.ResponseWriter, r *api.Request, _ string) error {
	a, err := p.waiting(r, access.SetUpCodes)
	if err != nil {
		return err
	}
	e, err := p.Directory.BeginFactor(r.Context(), a.Person.Tenant, a.Person.ID)
	if err != nil {
		return err
	}
	return api.WriteJSON(w, r, http.StatusOK, enrolmentEntity{e.Secret, e.Address})
}

// confirmEnrolment turns the second factor on and lets them in.
func (p *Portal) confirmEnrolment(w http.ResponseWriter, r *api.Request, _ string) error {
	a, err := p.waiting(r, access.SetUpCodes)
	if err != nil {
		return err
	}
	var codes []string
	err = p.secondStep(r, a, func(ctx context.Context, code string) error {
		codes, err = p.Directory.CompleteByEnrolment(ctx, a, code)
		return err
	})
	if err != nil {
		return err
	}
	p.Attempted(r.Context(), Attempt{Tenant: a.Person.Tenant, Verb: "person.factor.on", From: remoteIP(r.Request),
		Actor: ident.Actor{Kind: ident.ActorUser, ID: string(a.Person.ID), Name: a.Person.Login, Tenant: a.Person.Tenant}})
	return p.enter(w, r, a, codes)
}

// giveUp forgets a sign-in that waits, for somebody else at the same browser.
func (p *Portal) giveUp(w http.ResponseWriter, r *api.Request, _ string) error {
	if err := p.fromHere(r.Request); err != nil {
		return err
	}
	setCookie(w, r.Request, pendingCookie, "", -time.Second, http.SameSiteStrictMode)
	return api.WriteEmpty(w, http.StatusNoContent)
}
