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

// SignIn returns the person of that login and password. Whatever does not fit is the
// same errs.Unauthenticated.
func (d *Directory) SignIn(ctx context.Context, tenant ident.TenantID, login, password string) (*Person, error) {
	const op = "access.SignIn"
	wrong := errs.New(op, errs.Unauthenticated, PasswordWrong, "the user name or password is wrong")
	if len(password) > maxPassword || len(login) > 256 {
		return nil, wrong
	}
	p, err := d.people.PersonByLogin(ctx, tenant, login)
	form := ""
	switch {
	case errs.Is(err, errs.NotFound):
	case err != nil:
		return nil, errs.Wrap(op, err)
	case p.Disabled.IsZero():
		form = p.Password
	}
	ok, err := d.pass.check(ctx, password, form)
	if err != nil {
		return nil, errs.Wrap(op, err)
	}
	if !ok {
		return nil, wrong
	}
	return p, nil
}

// PersonChange is what is set on a person; nil members stay as they are.
type PersonChange struct {
	Name     *string
	Mail     *string
	Roles    *[]ident.RoleID
	Groups   *[]ident.UserGroupID
	Disabled *bool
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

// keepAdministrator refuses a change after which nobody administers the tenant.
func (d *Directory) keepAdministrator(ctx context.Context, tenant ident.TenantID, id ident.UserID, c PersonChange) error {
	stays := (c.Roles == nil || slices.Contains(*c.Roles, Admin)) && (c.Disabled == nil || !*c.Disabled)
	if stays {
		return nil
	}
	all, err := d.people.People(ctx, tenant)
	if err != nil {
		return err
	}
	was := false
	for _, p := range all {
		if !slices.Contains(p.Roles, Admin) || !p.Disabled.IsZero() {
			continue
		}
		if p.ID != id {
			return nil
		}
		was = true
	}
	if !was {
		return nil
	}
	return errs.New("access.ChangePerson", errs.Conflict, errs.DisallowedOperation, "this is the last person who is global administrator: make somebody else one first")
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
	p, err := d.SignIn(ctx, tenant, login, old)
	if err != nil {
		return errs.Wrap(op, err)
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
