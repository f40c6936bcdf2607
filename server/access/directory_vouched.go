package access

import (
	"context"
	"slices"
	"unicode/utf8"

	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
)

// The reasons for which somebody is not let in for whom a provider vouches.
const (
	AccountUnknown  errs.Code = "AccountUnknown"  // there is no account, and none is made
	AccountTaken    errs.Code = "AccountTaken"    // the name is another account's
	AccountDisabled errs.Code = "AccountDisabled" // the account is disabled
)

// maxSubject bounds what a provider calls somebody, in bytes (OpenID Connect Core §2).
const maxSubject = 255

// Vouched is somebody for whom an identity provider vouches.
type Vouched struct {
	Provider ident.ProviderID
	Subject  string // who they are there: for ever the same
	Login    string // what they are called here when their account is made or found
	Name     string // "" leaves it
	Mail     string // "" leaves it
	Roles    []ident.RoleID
	// Manages says that the person's roles are those of Roles from now on; otherwise they
	// are given once, with the account.
	Manages bool
	Create  bool // make an account when there is none
	Link    bool // take an account of that login over when nobody vouches for it yet
}

// Vouch returns the account of somebody for whom a provider vouches, as it is now. made
// says that it was made for them, or that it was found by its login.
func (d *Directory) Vouch(ctx context.Context, tenant ident.TenantID, v Vouched) (p *Person, made bool, err error) {
	const op = "access.Vouch"
	if v.Provider == "" || v.Subject == "" || len(v.Subject) > maxSubject || !utf8.ValidString(v.Subject) {
		return nil, false, errs.New(op, errs.Invalid, errs.InvalidInput, "the provider names nobody (sub)")
	}
	p, err = d.people.PersonBySubject(ctx, tenant, v.Provider, v.Subject)
	if errs.Is(err, errs.NotFound) {
		if p, err = d.admitNew(ctx, tenant, v); err != nil {
			return nil, false, errs.Wrap(op, err)
		}
		made = true
	}
	if err != nil {
		return nil, false, errs.Wrap(op, err)
	}
	if !p.Disabled.IsZero() {
		return nil, false, errs.New(op, errs.Denied, AccountDisabled, "the account %s is disabled", p.Login)
	}
	p, err = d.refresh(ctx, p, v)
	return p, made, errs.Wrap(op, err)
}

// admitNew finds or makes the account of somebody who comes for the first time.
func (d *Directory) admitNew(ctx context.Context, tenant ident.TenantID, v Vouched) (*Person, error) {
	const op = "access.admitNew"
	login, err := properName("the login", v.Login)
	if err != nil {
		return nil, err
	}
	found, err := d.people.PersonByLogin(ctx, tenant, login)
	switch {
	case err == nil && v.Link && found.Provider == "" && found.Disabled.IsZero():
		return d.people.UpdatePerson(ctx, tenant, found.ID, func(p *Person) error {
			if p.Provider != "" || !p.Disabled.IsZero() {
				return taken(op, login)
			}
			p.Provider, p.Subject = v.Provider, v.Subject
			return nil
		})
	case err == nil:
		return nil, taken(op, login)
	case !errs.Is(err, errs.NotFound):
		return nil, err
	case !v.Create:
		return nil, errs.New(op, errs.Denied, AccountUnknown, "there is no account %s, and none is made at the first sign-in", clip(login))
	}
	if err := d.checkRoles(ctx, tenant, v.Roles); err != nil {
		return nil, err
	}
	id, err := d.guid()
	if err != nil {
		return nil, err
	}
	p := &Person{ID: ident.UserID(id), Tenant: tenant, Login: login, Name: login, Roles: slices.Clone(v.Roles), Created: d.now().UTC(),
		NoPassword: true, Provider: v.Provider, Subject: v.Subject}
	if err := d.people.CreatePerson(ctx, p); errs.Is(err, errs.Conflict) {
		return nil, taken(op, login) // by somebody who was quicker
	} else if err != nil {
		return nil, err
	}
	return p, nil
}

func taken(op, login string) error {
	return errs.New(op, errs.Denied, AccountTaken, "the account %s exists and this provider does not vouch for it", clip(login))
}

// refresh takes over what the provider says of the person.
func (d *Directory) refresh(ctx context.Context, p *Person, v Vouched) (*Person, error) {
	var c PersonChange
	if name := short(v.Name); name != "" && name != p.Name && utf8.ValidString(name) {
		c.Name = &name
	}
	if mail := v.Mail; mail != "" && mail != p.Mail && len(mail) <= maxName && utf8.ValidString(mail) {
		c.Mail = &mail
	}
	if v.Manages && !slices.Equal(sorted(p.Roles), sorted(v.Roles)) {
		roles := slices.Clone(v.Roles)
		c.Roles = &roles
	}
	if c == (PersonChange{}) {
		return p, nil
	}
	out, err := d.ChangePerson(ctx, p.Tenant, p.ID, c)
	if errs.Is(err, errs.Conflict) && c.Roles != nil {
		// The last administrator stays one whatever the provider says: nobody else could
		// mend what the provider, or whoever set it up, got wrong.
		*c.Roles = append(*c.Roles, Admin)
		return d.ChangePerson(ctx, p.Tenant, p.ID, c)
	}
	return out, err
}

func sorted[T ~string](list []T) []T { return slices.Sorted(slices.Values(list)) }

// Unlink says that nobody vouches for the person any more, and lets them sign in with a
// password again, if they have one.
func (d *Directory) Unlink(ctx context.Context, tenant ident.TenantID, id ident.UserID) (*Person, error) {
	const op = "access.Unlink"
	p, err := d.people.UpdatePerson(ctx, tenant, id, func(p *Person) error {
		if p.Provider == "" {
			return errs.New(op, errs.Conflict, errs.DisallowedOperation, "no identity provider vouches for this account")
		}
		p.Provider, p.Subject, p.NoPassword = "", "", p.Password == ""
		return nil
	})
	if err != nil {
		return nil, errs.Wrap(op, err)
	}
	return p, errs.Wrap(op, d.endSignIns(ctx, tenant, id))
}

// Vouches reports whether people may still be signed in by an identity provider: what it
// opened lasts no longer. nil is for no providers at all.
type Vouches func(ctx context.Context, tenant ident.TenantID, id ident.ProviderID) (bool, error)

// last reports whether what a provider opened goes on; "" is none, which needs nobody's word.
func (v Vouches) last(ctx context.Context, tenant ident.TenantID, id ident.ProviderID) (bool, error) {
	if id == "" || v == nil {
		return id == "", nil
	}
	return v(ctx, tenant, id)
}
