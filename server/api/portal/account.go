package portal

import (
	"net/http"
	"time"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/api"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
)

// accountEntity is somebody's own account.
type accountEntity struct {
	userEntity
	RoleNames []string     `json:"roleNames"`
	Password  bool         `json:"passwordSignIn"`   // they can sign in with a password
	Provider  string       `json:"identityProvider"` // who vouches for them; "" for nobody
	Created   time.Time    `json:"createdDateTimeUtc"`
	Changed   *time.Time   `json:"passwordChangedDateTimeUtc"` // null while it is the first one
	Factor    factorEntity `json:"secondFactor"`
}

type factorEntity struct {
	On       bool       `json:"enabled"`
	Since    *time.Time `json:"enabledDateTimeUtc"`
	Recovery int        `json:"recoveryCodes"` // that were not used
	Required bool       `json:"required"`
}

// ownSession is a session as its person sees it.
type ownSession struct {
	ID       string    `json:"id"`
	Current  bool      `json:"current"`
	From     string    `json:"from"`
	Browser  string    `json:"browser"`
	Created  time.Time `json:"createdDateTimeUtc"`
	Seen     time.Time `json:"lastSeenDateTimeUtc"`
	Expires  time.Time `json:"expirationDateTimeUtc"`
	Provider string    `json:"identityProvider"`
}

type nameBody struct {
	Name string `json:"displayName" doc:"required,max=256"`
}

type passwordBody struct {
	Old string `json:"old" doc:"required"` // the present one
	New string `json:"new" doc:"required"`
}

// proofBody is what somebody proves with that it is them who change how they sign in.
type proofBody struct {
	Password string `json:"password"`
	Code     string `json:"code" doc:"max=64"`
}

type recoveryEntity struct {
	Codes []string `json:"recoveryCodes"`
}

// self returns who is signed in, and their session.
func (p *Portal) self(r *api.Request) (*access.Person, *access.Session, error) {
	s, _, err := p.Sessions.Resume(r.Context(), sessionText(r.Request), access.Idle)
	if err != nil {
		return nil, nil, err
	}
	person, err := p.Directory.Person(r.Context(), s.Tenant, s.Person)
	return person, s, err
}

// did records what somebody did to their own account.
func (p *Portal) did(r *api.Request, verb, detail string) {
	p.Attempted(r.Context(), Attempt{Tenant: r.Caller.Tenant, Actor: r.Caller.Actor, Verb: verb, From: remoteIP(r.Request), Detail: detail})
}

func (p *Portal) account(w http.ResponseWriter, r *api.Request, _ string) error {
	person, _, err := p.self(r)
	if err != nil {
		return err
	}
	return p.showAccount(w, r, person)
}

func (p *Portal) showAccount(w http.ResponseWriter, r *api.Request, person *access.Person) error {
	e := accountEntity{userEntity: *showUser(person), RoleNames: []string{}, Password: person.Password != "" && !person.NoPassword, Created: person.Created,
		Factor: factorEntity{On: person.Factor.On(), Recovery: len(person.Factor.Recovery)}}
	roles, err := p.Directory.Roles(r.Context(), person.Tenant)
	if err != nil {
		return err
	}
	for _, role := range roles {
		for _, id := range r.Caller.In { // those of user groups included
			if id == role.ID {
				e.RoleNames = append(e.RoleNames, role.Name)
			}
		}
	}
	if !person.Changed.IsZero() {
		e.Changed = &person.Changed
	}
	if e.Factor.On {
		e.Factor.Since = &person.Factor.Since
	}
	if e.Factor.Required, err = p.Directory.FactorRequired(r.Context(), person); err != nil {
		return err
	}
	if e.Provider, err = p.providerName(r, person.Tenant, person.Provider); err != nil {
		return err
	}
	return api.WriteJSON(w, r, http.StatusOK, e)
}

func (p *Portal) providerName(r *api.Request, tenant ident.TenantID, id ident.ProviderID) (string, error) {
	if id == "" {
		return "", nil
	}
	all, err := p.SSO.Offered(r.Context(), tenant)
	for _, x := range all {
		if x.ID == id {
			return x.Name, nil
		}
	}
	return string(id), err
}

func (p *Portal) rename(w http.ResponseWriter, r *api.Request, _ string) error {
	var body nameBody
	if err := read(r, &body); err != nil {
		return err
	}
	if body.Name == "" {
		return errs.New("portal.rename", errs.Invalid, errs.MissingRequiredParameter, "displayName is empty")
	}
	person, err := p.Directory.ChangePerson(r.Context(), r.Caller.Tenant, ident.UserID(r.Caller.ID), access.PersonChange{Name: &body.Name})
	if err != nil {
		return err
	}
	p.did(r, "person.name", "")
	return p.showAccount(w, r, person)
}

func (p *Portal) ownSessions(w http.ResponseWriter, r *api.Request, _ string) error {
	person, current, err := p.self(r)
	if err != nil {
		return err
	}
	all, err := p.Sessions.Of(r.Context(), person)
	if err != nil {
		return err
	}
	out := make([]ownSession, 0, len(all))
	for _, s := range all {
		name, err := p.providerName(r, s.Tenant, s.Provider)
		if err != nil {
			return err
		}
		out = append(out, ownSession{ID: s.ID(), Current: s.Hash == current.Hash, From: s.From, Browser: s.Browser, Created: s.Created, Seen: s.Seen, Expires: s.Expires, Provider: name})
	}
	return api.WriteJSON(w, r, http.StatusOK, map[string]any{"value": out})
}

func (p *Portal) endSession(w http.ResponseWriter, r *api.Request, id string) error {
	if err := p.Sessions.EndOne(r.Context(), r.Caller.Tenant, ident.UserID(r.Caller.ID), id); err != nil {
		return err
	}
	p.did(r, "session.end", "another of their own")
	return api.WriteEmpty(w, http.StatusNoContent)
}

func (p *Portal) endOthers(w http.ResponseWriter, r *api.Request, _ string) error {
	_, current, err := p.self(r)
	if err != nil {
		return err
	}
	if err := p.Sessions.EndOf(r.Context(), current.Tenant, current.Person, current); err != nil {
		return err
	}
	p.did(r, "session.end", "all others of their own")
	return api.WriteEmpty(w, http.StatusNoContent)
}

// changePassword changes the person's own password; every session and token of the person
// is over then, and this browser goes on in a new one.
func (p *Portal) changePassword(w http.ResponseWriter, r *api.Request, _ string) error {
	const op = "portal.changePassword"
	var body passwordBody
	if err := read(r, &body); err != nil {
		return err
	}
	person, current, err := p.self(r)
	if err != nil {
		return err
	}
	if person.NoPassword || person.Password == "" {
		return errs.New(op, errs.Conflict, errs.DisallowedOperation, "this account has no password: an identity provider vouches for it")
	}
	err = p.throttled(r.Request, accountKey(r.Caller.Tenant, person.Login), func() error {
		return p.Directory.ChangePassword(r.Context(), person.Tenant, person.Login, body.Old, body.New)
	})
	if errs.Is(err, errs.Unauthenticated) {
		return p.refused(r, Attempt{Tenant: person.Tenant, Actor: r.Caller.Actor, Verb: "person.password", From: remoteIP(r.Request), Error: "wrong password"}, wrongPassword())
	}
	if err != nil {
		return err
	}
	p.did(r, "person.password", "")
	if err := p.Sessions.EndOf(r.Context(), person.Tenant, person.ID, nil); err != nil {
		return err
	}
	// Whoever is here has shown all that signing in asks for, this session's second factor included.
	return p.enter(w, r, &access.Admission{Person: person, Provider: current.Provider, Token: current.Token}, nil)
}

// wrongPassword is not 401: the session is well, the present password is not.
func wrongPassword() error {
	return errs.New("portal.prove", errs.Invalid, access.PasswordWrong, "the present password is wrong")
}

// prove has somebody who is signed in show that it is them, before how they sign in is
// changed: whoever found an open browser shall not be able to.
func (p *Portal) prove(r *api.Request, person *access.Person, verb string, body proofBody) error {
	refuse := func(err error, why string) error {
		return p.refused(r, Attempt{Tenant: person.Tenant, Actor: r.Caller.Actor, Verb: verb, From: remoteIP(r.Request), Error: why}, err)
	}
	if person.Password != "" && !person.NoPassword {
		err := p.throttled(r.Request, accountKey(person.Tenant, person.Login), func() error {
			return p.Directory.CheckPassword(r.Context(), person.Tenant, person.Login, body.Password)
		})
		if errs.Is(err, errs.Unauthenticated) {
			return refuse(wrongPassword(), "wrong password")
		}
		if err != nil {
			return err
		}
	}
	if !person.Factor.On() {
		return nil
	}
	return p.ownCode(r, person, verb, func() error {
		return p.Directory.CheckFactor(r.Context(), person.Tenant, person.ID, body.Code)
	})
}

// ownCode checks a code of somebody who is signed in.
func (p *Portal) ownCode(r *api.Request, person *access.Person, verb string, check func() error) error {
	err := p.throttled(r.Request, accountKey(person.Tenant, person.Login), check)
	if errs.Is(err, errs.Unauthenticated) {
		return p.refused(r, Attempt{Tenant: person.Tenant, Actor: r.Caller.Actor, Verb: verb, From: remoteIP(r.Request), Error: "wrong code of the second factor"},
			errs.New("portal.ownCode", errs.Invalid, access.FactorWrong, "the code is wrong or was used before"))
	}
	return err
}

// proven returns who is signed in, once the body has shown that it is them.
func (p *Portal) proven(r *api.Request, verb string) (*access.Person, error) {
	var body proofBody
	if err := read(r, &body); err != nil {
		return nil, err
	}
	person, _, err := p.self(r)
	if err != nil {
		return nil, err
	}
	return person, p.prove(r, person, verb, body)
}

// beginFactor makes a second factor that is to be confirmed, in place of one that is on.
func (p *Portal) beginFactor(w http.ResponseWriter, r *api.Request, _ string) error {
	person, err := p.proven(r, "person.factor.on")
	if err != nil {
		return err
	}
	e, err := p.Directory.BeginFactor(r.Context(), person.Tenant, person.ID)
	if err != nil {
		return err
	}
	return api.WriteJSON(w, r, http.StatusOK, enrolmentEntity{e.Secret, e.Address})
}

func (p *Portal) confirmFactor(w http.ResponseWriter, r *api.Request, _ string) error {
	var body codeBody
	if err := read(r, &body); err != nil {
		return err
	}
	person, current, err := p.self(r)
	if err != nil {
		return err
	}
	var codes []string
	err = p.ownCode(r, person, "person.factor.on", func() (err error) {
		codes, err = p.Directory.ConfirmFactor(r.Context(), person.Tenant, person.ID, body.Code)
		return err
	})
	if err != nil {
		return err
	}
	// Sessions that were opened without it are over.
	if err := p.Sessions.EndOf(r.Context(), person.Tenant, person.ID, current); err != nil {
		return err
	}
	p.did(r, "person.factor.on", "")
	return api.WriteJSON(w, r, http.StatusOK, recoveryEntity{codes})
}

func (p *Portal) newRecovery(w http.ResponseWriter, r *api.Request, _ string) error {
	person, err := p.proven(r, "person.factor.codes")
	if err != nil {
		return err
	}
	codes, err := p.Directory.NewRecoveryCodes(r.Context(), person.Tenant, person.ID)
	if err != nil {
		return err
	}
	p.did(r, "person.factor.codes", "")
	return api.WriteJSON(w, r, http.StatusOK, recoveryEntity{codes})
}

func (p *Portal) removeFactor(w http.ResponseWriter, r *api.Request, _ string) error {
	const op = "portal.removeFactor"
	var body proofBody
	if err := read(r, &body); err != nil {
		return err
	}
	person, current, err := p.self(r)
	if err != nil {
		return err
	}
	if !person.Factor.On() {
		return errs.New(op, errs.Conflict, access.FactorMissing, "there is no second factor")
	}
	required, err := p.Directory.FactorRequired(r.Context(), person)
	if err != nil {
		return err
	}
	if required {
		return errs.New(op, errs.Conflict, errs.DisallowedOperation, "a second factor is required of you: set up another in its place")
	}
	if err := p.prove(r, person, "person.factor.off", body); err != nil {
		return err
	}
	if _, err := p.Directory.RemoveFactor(r.Context(), person.Tenant, person.ID); err != nil {
		return err
	}
	if err := p.Sessions.EndOf(r.Context(), person.Tenant, person.ID, current); err != nil {
		return err
	}
	p.did(r, "person.factor.off", "")
	return api.WriteEmpty(w, http.StatusNoContent)
}
