package admin

import (
	"net/http"
	"strings"
	"time"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/api"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
)

func (a *API) personRoutes() []api.Route {
	const root = "/users"
	return []api.Route{
		answering(administer(http.MethodGet, root, "List the people with an account", a.listPeople), nil, []person{}, 0),
		answering(administer(http.MethodPost, root, "Make an account", a.createPerson), personBody{}, person{}, http.StatusCreated),
		answering(administer(http.MethodGet, root+"/{userId}", "Get an account", a.getPerson), nil, person{}, 0),
		answering(administer(http.MethodPatch, root+"/{userId}", "Change an account", a.changePerson), personPatch{}, person{}, 0),
		answering(administer(http.MethodPost, root+"/{userId}/password", "Set somebody's password", a.setPassword), passwordBody{}, nil, http.StatusNoContent),
	}
}

type personBody struct {
	Login    string   `json:"login" doc:"required,max=256"`
	Password string   `json:"password"`
	Roles    []string `json:"roles"`
	Groups   []string `json:"userGroups"`
}

type personPatch struct {
	Name     string   `json:"displayName" doc:"max=256"`
	Mail     string   `json:"mail" doc:"max=256"`
	Roles    []string `json:"roles"`
	Groups   []string `json:"userGroups"`
	Disabled bool     `json:"disabled"`
	// PasswordSignIn is false for who may sign in by an identity provider alone.
	PasswordSignIn bool `json:"passwordSignIn"`
}

type passwordBody struct {
	Password string `json:"password" doc:"required"`
}

// person is somebody's account as it is answered.
type person struct {
	ID       string     `json:"id"`
	Login    string     `json:"login"`
	Name     string     `json:"displayName"`
	Mail     string     `json:"mail"`
	Roles    []string   `json:"roles"`
	Groups   []string   `json:"userGroups"`
	Created  time.Time  `json:"createdDateTimeUtc"`
	Disabled *time.Time `json:"disabledDateTimeUtc"`
	// PasswordSignIn says that they can sign in with a password.
	PasswordSignIn bool `json:"passwordSignIn"`
	SecondFactor   bool `json:"secondFactor"`
	// Provider is the id of the identity provider that vouches for them; null for none.
	Provider *string `json:"identityProviderId"`
	Password string  `json:"password,omitempty"` // one that was chosen for them, once
}

func showPerson(p *access.Person) person {
	var provider *string
	if p.Provider != "" {
		id := string(p.Provider)
		provider = &id
	}
	return person{PasswordSignIn: p.Password != "" && !p.NoPassword, SecondFactor: p.Factor.On(), Provider: provider, ID: string(p.ID), Login: p.Login, Name: p.Name, Mail: p.Mail, Roles: texts(p.Roles), Groups: texts(p.Groups),
		Created: p.Created, Disabled: moment(p.Disabled)}
}

func (a *API) listPeople(w http.ResponseWriter, r *api.Request) error {
	people, err := a.directory.People(r.Context(), r.Caller.Tenant)
	if err != nil {
		return err
	}
	out := make([]person, len(people))
	for i, p := range people {
		out[i] = showPerson(p)
	}
	return values(w, r, out)
}

func (a *API) createPerson(w http.ResponseWriter, r *api.Request) error {
	body, err := r.JSON()
	if err != nil {
		return err
	}
	login, err := body.RequireString("login")
	if err != nil {
		return err
	}
	password, err := body.String("password")
	if err != nil {
		return err
	}
	roles, err := ids[ident.RoleID](body, "roles")
	if err != nil {
		return err
	}
	groups, err := ids[ident.UserGroupID](body, "userGroups")
	if err != nil {
		return err
	}
	p, chosen, err := a.directory.NewPerson(r.Context(), r.Caller.Tenant, login, password, roles)
	if err != nil {
		return err
	}
	if err := a.record(r, "user.create", string(p.ID), p.Login+": "+strings.Join(texts(roles), " ")); err != nil {
		return err
	}
	if len(groups) > 0 {
		if p, err = a.directory.ChangePerson(r.Context(), r.Caller.Tenant, p.ID, access.PersonChange{Groups: &groups}); err != nil {
			return err
		}
	}
	out := showPerson(p)
	if password == "" {
		out.Password = chosen
	}
	return write(w, r, http.StatusCreated, out)
}

func userID(r *api.Request) ident.UserID { return ident.UserID(strings.ToLower(r.Var("userId"))) }

func (a *API) getPerson(w http.ResponseWriter, r *api.Request) error {
	p, err := a.directory.Person(r.Context(), r.Caller.Tenant, userID(r))
	if err != nil {
		return err
	}
	return write(w, r, http.StatusOK, showPerson(p))
}

func (a *API) changePerson(w http.ResponseWriter, r *api.Request) error {
	body, err := r.JSON()
	if err != nil {
		return err
	}
	var c access.PersonChange
	for name, to := range map[string]**string{"displayName": &c.Name, "mail": &c.Mail} {
		if !body.Has(name) {
			continue
		}
		s, err := body.String(name)
		if err != nil {
			return err
		}
		*to = &s
	}
	if body.Has("roles") {
		roles, err := ids[ident.RoleID](body, "roles")
		if err != nil {
			return err
		}
		c.Roles = &roles
	}
	if body.Has("userGroups") {
		groups, err := ids[ident.UserGroupID](body, "userGroups")
		if err != nil {
			return err
		}
		c.Groups = &groups
	}
	if body.Has("disabled") {
		b, err := body.Bool("disabled")
		if err != nil {
			return err
		}
		c.Disabled = &b
	}
	if body.Has("passwordSignIn") {
		b, err := body.Bool("passwordSignIn")
		if err != nil {
			return err
		}
		no := !b
		c.NoPassword = &no
	}
	if c == (access.PersonChange{}) {
		return errs.New("admin.changePerson", errs.Invalid, errs.MissingRequiredParameter, "nothing is to be changed: give displayName, mail, roles, userGroups, disabled or passwordSignIn")
	}
	p, err := a.directory.ChangePerson(r.Context(), r.Caller.Tenant, userID(r), c)
	if err != nil {
		return err
	}
	detail := p.Login + ": roles " + strings.Join(texts(p.Roles), " ") + ", groups " + strings.Join(texts(p.Groups), " ")
	if !p.Disabled.IsZero() {
		detail += ", disabled"
	}
	if p.NoPassword {
		detail += ", without a password"
	}
	if err := a.record(r, "user.change", string(p.ID), detail); err != nil {
		return err
	}
	return write(w, r, http.StatusOK, showPerson(p))
}

func (a *API) setPassword(w http.ResponseWriter, r *api.Request) error {
	body, err := r.JSON()
	if err != nil {
		return err
	}
	password, err := body.RequireString("password")
	if err != nil {
		return err
	}
	if err := a.directory.SetPassword(r.Context(), r.Caller.Tenant, userID(r), password); err != nil {
		return err
	}
	return a.done(w, r, "user.password", string(userID(r)), "")
}
