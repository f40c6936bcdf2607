package access

import (
	"context"
	"encoding/base64"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
)

// NewPerson makes an account. The password is chosen when it is "" and returned.
func (d *Directory) NewPerson(ctx context.Context, tenant ident.TenantID, login, password string, roles []ident.RoleID) (*Person, string, error) {
	const op = "access.NewPerson"
	login, err := properName("the login", login)
	if err != nil {
		return nil, "", errs.Wrap(op, err)
	}
	if err := d.checkRoles(ctx, tenant, roles); err != nil {
		return nil, "", errs.Wrap(op, err)
	}
	if password == "" {
		raw := make([]byte, 18)
		if _, err := io.ReadFull(d.rand, raw); err != nil {
			return nil, "", errs.Wrap(op, err)
		}
		password = base64.RawURLEncoding.EncodeToString(raw)
	}
	form, err := d.newPassword(ctx, password)
	if err != nil {
		return nil, "", errs.Wrap(op, err)
	}
	id, err := d.guid()
	if err != nil {
		return nil, "", errs.Wrap(op, err)
	}
	p := &Person{ID: ident.UserID(id), Tenant: tenant, Login: login, Name: login, Password: form, Roles: roles, Created: d.now().UTC()}
	if err := d.people.CreatePerson(ctx, p); err != nil {
		return nil, "", errs.Wrap(op, err)
	}
	return p, password, nil
}

// SetPassword changes a person's password.
func (d *Directory) SetPassword(ctx context.Context, tenant ident.TenantID, id ident.UserID, password string) error {
	const op = "access.SetPassword"
	form, err := d.newPassword(ctx, password)
	if err != nil {
		return errs.Wrap(op, err)
	}
	_, err = d.people.UpdatePerson(ctx, tenant, id, func(p *Person) error {
		p.Password, p.Changed = form, d.now().UTC()
		return nil
	})
	if err != nil {
		return errs.Wrap(op, err)
	}
	return errs.Wrap(op, d.endSignIns(ctx, tenant, id))
}

func (d *Directory) newPassword(ctx context.Context, password string) (string, error) {
	if n := len(password); n < minPassword || n > maxPassword {
		return "", errs.New("access.newPassword", errs.Invalid, errs.InvalidInput, "a password has between %d and %d bytes", minPassword, maxPassword)
	}
	return d.pass.hash(ctx, password)
}

// SignIn checks a login and password, and says what else the person has to do. Whatever
// does not fit is the same errs.Unauthenticated.
func (d *Directory) SignIn(ctx context.Context, tenant ident.TenantID, login, password string) (*Admission, error) {
	const op = "access.SignIn"
	p, err := d.checkPassword(ctx, tenant, login, password)
	if err != nil {
		return nil, errs.Wrap(op, err)
	}
	a, err := d.Admit(ctx, p, "", true)
	return a, errs.Wrap(op, err)
}

func (d *Directory) checkPassword(ctx context.Context, tenant ident.TenantID, login, password string) (*Person, error) {
	const op = "access.checkPassword"
	wrong := errs.New(op, errs.Unauthenticated, PasswordWrong, "the user name or password is wrong")
	if len(password) > maxPassword || len(login) > 256 {
		return nil, wrong
	}
	p, err := d.people.PersonByLogin(ctx, tenant, login)
	form := ""
	switch {
	case errs.Is(err, errs.NotFound):
	case err != nil:
		return nil, err
	case p.Disabled.IsZero() && !p.NoPassword:
		form = p.Password
	}
	ok, err := d.pass.check(ctx, password, form)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, wrong
	}
	return p, nil
}

// CheckPassword reports whether the password is the person's own, for what is asked of
// somebody who is signed in already: errs.Unauthenticated when it is not.
func (d *Directory) CheckPassword(ctx context.Context, tenant ident.TenantID, login, password string) error {
	_, err := d.checkPassword(ctx, tenant, login, password)
	return errs.Wrap("access.CheckPassword", err)
}

// PersonChange is what is set on a person; nil members stay as they are.
type PersonChange struct {
	Name     *string
	Mail     *string
	Roles    *[]ident.RoleID
	Groups   *[]ident.UserGroupID
	Disabled *bool
	// NoPassword keeps the person from signing in with a password, or lets them.
	NoPassword *bool
}

// ChangePerson applies c. The last person who administers the tenant can neither be
// disabled nor lose the role: nobody could give it back.
func (d *Directory) ChangePerson(ctx context.Context, tenant ident.TenantID, id ident.UserID, c PersonChange) (*Person, error) {
	const op = "access.ChangePerson"
	if c.Roles != nil {
		if err := d.checkRoles(ctx, tenant, *c.Roles); err != nil {
			return nil, errs.Wrap(op, err)
		}
	}
	if c.Groups != nil {
		if err := d.checkGroups(ctx, tenant, *c.Groups); err != nil {
			return nil, errs.Wrap(op, err)
		}
	}
	for place, s := range map[string]*string{"name": c.Name, "mail": c.Mail} {
		if s != nil && (len(*s) > maxName || !utf8.ValidString(*s)) {
			return nil, errs.New(op, errs.Invalid, errs.InvalidInput, "%s is longer than %d bytes or not UTF-8", place, maxName)
		}
	}
	if err := d.keepAdministrator(ctx, tenant, id, c); err != nil {
		return nil, errs.Wrap(op, err)
	}
	p, err := d.people.UpdatePerson(ctx, tenant, id, func(p *Person) error {
		if c.Name != nil {
			p.Name = *c.Name
		}
		if c.Mail != nil {
			p.Mail = *c.Mail
		}
		if c.Roles != nil {
			p.Roles = slices.Clone(*c.Roles)
		}
		if c.Groups != nil {
			p.Groups = slices.Clone(*c.Groups)
		}
		if c.NoPassword != nil {
			if !*c.NoPassword && p.Password == "" {
				return errs.New(op, errs.Conflict, errs.DisallowedOperation, "this account has no password: set one first")
			}
			p.NoPassword = *c.NoPassword
		}
		switch {
		case c.Disabled == nil:
		case !*c.Disabled:
			p.Disabled = time.Time{}
		case p.Disabled.IsZero():
			p.Disabled = d.now().UTC()
		}
		return nil
	})
	if err == nil && !p.Disabled.IsZero() {
		err = d.endSignIns(ctx, tenant, id)
	}
	return p, errs.Wrap(op, err)
}

// keepAdministrator refuses a change after which nobody administers the tenant, or nobody
// who can without an identity provider: one that fails would lock everybody out.
func (d *Directory) keepAdministrator(ctx context.Context, tenant ident.TenantID, id ident.UserID, c PersonChange) error {
	if (c.Roles == nil || slices.Contains(*c.Roles, Admin)) && (c.Disabled == nil || !*c.Disabled) && (c.NoPassword == nil || !*c.NoPassword) {
		return nil
	}
	all, err := d.people.People(ctx, tenant)
	if err != nil {
		return err
	}
	administers := func(p *Person) bool { return slices.Contains(p.Roles, Admin) && p.Disabled.IsZero() }
	alone := func(p *Person) bool { return administers(p) && !p.NoPassword && p.Password != "" }
	for _, x := range []struct {
		is    func(*Person) bool
		stays bool // whatever else c changes
		why   string
	}{
		{administers, c.Roles == nil && c.Disabled == nil, "this is the last person who is global administrator: make somebody else one first"},
		{alone, false, "this is the last global administrator with a password, who can mend what an identity provider gets wrong: let somebody else have one first"},
	} {
		if x.stays {
			continue
		}
		was, others := false, false
		for _, p := range all {
			if x.is(p) {
				was, others = was || p.ID == id, others || p.ID != id
			}
		}
		if was && !others {
			return errs.New("access.ChangePerson", errs.Conflict, errs.DisallowedOperation, "%s", x.why)
		}
	}
	return nil
}

// People returns the people of a tenant by login.
func (d *Directory) People(ctx context.Context, tenant ident.TenantID) ([]*Person, error) {
	ps, err := d.people.People(ctx, tenant)
	return ps, errs.Wrap("access.People", err)
}

// Person returns one person or errs.NotFound.
func (d *Directory) Person(ctx context.Context, tenant ident.TenantID, id ident.UserID) (*Person, error) {
	p, err := d.people.Person(ctx, tenant, id)
	return p, errs.Wrap("access.Person", err)
}

// ChangePassword changes a person's own password, who knows the present one.
func (d *Directory) ChangePassword(ctx context.Context, tenant ident.TenantID, login, old, password string) error {
	const op = "access.ChangePassword"
	p, err := d.checkPassword(ctx, tenant, login, old)
	if err != nil {
		return errs.Wrap(op, err)
	}
	if old == password {
		return errs.New(op, errs.Invalid, errs.InvalidInput, "the new password is the present one")
	}
	return errs.Wrap(op, d.SetPassword(ctx, tenant, p.ID, password))
}

// HomeOf returns the tenant that a person signs in to: the named one, that of the domain
// in a login such as ada@example.org, or the only one there is. When several are left it
// is errs.Invalid; a name that stands for none is errs.NotFound with code UnknownTenant.
func (d *Directory) HomeOf(ctx context.Context, name, login string) (*Tenant, error) {
	const op = "access.HomeOf"
	if len(name) > maxName {
		return nil, errs.New(op, errs.NotFound, UnknownTenant, "no such tenant")
	}
	if name != "" {
		t, err := d.FindTenant(ctx, name)
		if err != nil || t != nil {
			return t, errs.Wrap(op, err)
		}
	}
	all, err := d.tenants.Tenants(ctx)
	if err != nil {
		return nil, errs.Wrap(op, err)
	}
	if len(all) == 1 {
		return all[0], nil
	}
	if _, domain, ok := strings.Cut(login, "@"); ok {
		for _, t := range all {
			if slices.Contains(t.Domains, strings.ToLower(domain)) {
				return t, nil
			}
		}
	}
	return nil, errs.New(op, errs.Invalid, errs.MissingRequiredParameter, "there are several tenants: name yours")
}
