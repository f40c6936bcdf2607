package access

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
)

// The reasons for which somebody may not sign in. They are for the token endpoint, which
// words them as its callers expect.
const (
	UnknownApplication  errs.Code = "UnknownApplication"
	DisabledApplication errs.Code = "DisabledApplication"
	SecretMissing       errs.Code = "SecretMissing"
	SecretWrong         errs.Code = "SecretWrong"
	SecretExpired       errs.Code = "SecretExpired"
	PasswordWrong       errs.Code = "PasswordWrong" // or no such person: the two are not told apart
	UnknownTenant       errs.Code = "UnknownTenant"
)

// DirectoryConfig is what a Directory needs.
type DirectoryConfig struct {
	Tenants      TenantStore
	Applications ApplicationStore
	People       PersonStore
	SecretKey    []byte           // keys the hash of client secrets: 32 random bytes, kept secret
	Clock        func() time.Time // nil for time.Now
	Rand         io.Reader        // nil for crypto/rand
}

// Directory knows tenants, applications and people, and checks their credentials.
type Directory struct {
	tenants TenantStore
	apps    ApplicationStore
	people  PersonStore
	key     []byte
	now     func() time.Time
	rand    io.Reader
	pass    *passwords
}

// NewDirectory returns a Directory.
func NewDirectory(c DirectoryConfig) *Directory {
	d := &Directory{tenants: c.Tenants, apps: c.Applications, people: c.People, key: c.SecretKey, now: c.Clock, rand: c.Rand}
	if d.now == nil {
		d.now = time.Now
	}
	if d.rand == nil {
		d.rand = rand.Reader
	}
	d.pass = newPasswords(d.rand)
	return d
}

// NewTenant makes a tenant. Domains are names that stand for it in sign-in addresses.
func (d *Directory) NewTenant(ctx context.Context, name string, domains ...string) (*Tenant, error) {
	const op = "access.NewTenant"
	id, err := d.guid()
	if err != nil {
		return nil, errs.Wrap(op, err)
	}
	t := &Tenant{ID: ident.TenantID(id), Name: name, Created: d.now().UTC()}
	for _, dom := range domains {
		t.Domains = append(t.Domains, strings.ToLower(dom))
	}
	if err := d.tenants.CreateTenant(ctx, t); err != nil {
		return nil, errs.Wrap(op, err)
	}
	return t, nil
}

// FindTenant resolves what stands for a tenant in a sign-in address: its id, one of its
// domains, or "common", "organizations" and "consumers", which leave the tenant open: the
// result is then nil, and signing in decides by the application.
func (d *Directory) FindTenant(ctx context.Context, s string) (*Tenant, error) {
	const op = "access.FindTenant"
	switch s = strings.ToLower(s); s {
	case "common", "organizations", "consumers":
		return nil, nil
	}
	all, err := d.tenants.Tenants(ctx)
	if err != nil {
		return nil, errs.Wrap(op, err)
	}
	for _, t := range all {
		if string(t.ID) == s {
			return t, nil
		}
		for _, dom := range t.Domains {
			if dom == s {
				return t, nil
			}
		}
	}
	return nil, errs.New(op, errs.NotFound, UnknownTenant, "no such tenant")
}

// NewApplication registers an application with one secret, whose text is returned and not
// kept. An unknown role is errs.Invalid.
func (d *Directory) NewApplication(ctx context.Context, tenant ident.TenantID, name string, roles []Permission) (*Application, string, error) {
	const op = "access.NewApplication"
	if name = strings.TrimSpace(name); name == "" || len(name) > 256 || !utf8.ValidString(name) {
		return nil, "", errs.New(op, errs.Invalid, errs.InvalidInput, "the application's name is empty, longer than 256 bytes or not UTF-8")
	}
	id, err := d.guid()
	if err != nil {
		return nil, "", errs.Wrap(op, err)
	}
	a := &Application{ID: ident.AppID(id), Tenant: tenant, Name: name, Created: d.now().UTC()}
	for _, r := range roles {
		if !r.Known() {
			return nil, "", errs.New(op, errs.Invalid, errs.InvalidInput, "unknown permission %q", r)
		}
		a.Roles = append(a.Roles, string(r))
	}
	text, s, err := d.secret(0)
	if err != nil {
		return nil, "", errs.Wrap(op, err)
	}
	a.Secrets = []Secret{s}
	if err := d.apps.CreateApplication(ctx, a); err != nil {
		return nil, "", errs.Wrap(op, err)
	}
	return a, text, nil
}

// maxSecrets bounds the secrets of one application: enough to change one without a gap.
const maxSecrets = 8

// AddSecret gives an application one more secret and returns its text, which is not kept.
// life is how long it is good for, 0 for ever.
func (d *Directory) AddSecret(ctx context.Context, tenant ident.TenantID, id ident.AppID, life time.Duration) (string, error) {
	const op = "access.AddSecret"
	text, s, err := d.secret(life)
	if err != nil {
		return "", errs.Wrap(op, err)
	}
	_, err = d.apps.UpdateApplication(ctx, tenant, id, func(a *Application) error {
		if len(a.Secrets) >= maxSecrets {
			return errs.New(op, errs.Conflict, "", "an application has at most %d secrets", maxSecrets)
		}
		a.Secrets = append(a.Secrets, s)
		return nil
	})
	if err != nil {
		return "", errs.Wrap(op, err)
	}
	return text, nil
}

// ListApplications returns the applications of a tenant, oldest first.
func (d *Directory) ListApplications(ctx context.Context, tenant ident.TenantID) ([]*Application, error) {
	as, err := d.apps.Applications(ctx, tenant)
	return as, errs.Wrap("access.ListApplications", err)
}

// Disable keeps an application from signing in and makes its tokens invalid.
func (d *Directory) Disable(ctx context.Context, tenant ident.TenantID, id ident.AppID) error {
	_, err := d.apps.UpdateApplication(ctx, tenant, id, func(a *Application) error {
		if a.Disabled.IsZero() {
			a.Disabled = d.now().UTC()
		}
		return nil
	})
	return errs.Wrap("access.Disable", err)
}

// Client returns the application of that id when it may sign in to the tenant; nil leaves
// the tenant open. It checks no secret.
func (d *Directory) Client(ctx context.Context, tenant *Tenant, id string) (*Application, error) {
	const op = "access.Client"
	a, err := d.apps.Application(ctx, ident.AppID(strings.ToLower(id)))
	if errs.Is(err, errs.NotFound) || err == nil && tenant != nil && a.Tenant != tenant.ID {
		return nil, errs.New(op, errs.Unauthenticated, UnknownApplication, "no application of this id is registered in the tenant")
	}
	if err != nil {
		return nil, errs.Wrap(op, err)
	}
	if !a.Disabled.IsZero() {
		return nil, errs.New(op, errs.Unauthenticated, DisabledApplication, "the application is disabled")
	}
	return a, nil
}

// CheckSecret reports whether text is a secret of the application, as an error that says
// why not.
func (d *Directory) CheckSecret(a *Application, text string) error {
	const op = "access.CheckSecret"
	if text == "" {
		return errs.New(op, errs.Unauthenticated, SecretMissing, "no client secret was given")
	}
	got := d.hash(text)
	why := SecretWrong
	for _, s := range a.Secrets {
		if subtle.ConstantTimeCompare(got, s.Hash) != 1 {
			continue
		}
		if s.Expires.IsZero() || d.now().Before(s.Expires) {
			return nil
		}
		why = SecretExpired
	}
	return errs.New(op, errs.Unauthenticated, why, "the client secret is wrong or expired")
}

// NewPerson makes an account. The password is chosen when it is "" and returned.
func (d *Directory) NewPerson(ctx context.Context, tenant ident.TenantID, login, password string, roles []Role) (*Person, string, error) {
	const op = "access.NewPerson"
	if login = strings.TrimSpace(login); login == "" || len(login) > 256 || !utf8.ValidString(login) {
		return nil, "", errs.New(op, errs.Invalid, errs.InvalidInput, "the login is empty, longer than 256 bytes or not UTF-8")
	}
	for _, r := range roles {
		if r.Permissions() == nil {
			return nil, "", errs.New(op, errs.Invalid, errs.InvalidInput, "unknown role %q", r)
		}
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
		p.Password = form
		return nil
	})
	return errs.Wrap(op, err)
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

func (d *Directory) secret(life time.Duration) (string, Secret, error) {
	raw := make([]byte, 32)
	if _, err := io.ReadFull(d.rand, raw); err != nil {
		return "", Secret{}, err
	}
	text := base64.RawURLEncoding.EncodeToString(raw)
	s := Secret{Hash: d.hash(text), Created: d.now().UTC()}
	if life > 0 {
		s.Expires = s.Created.Add(life)
	}
	return text, s, nil
}

func (d *Directory) hash(text string) []byte {
	m := hmac.New(sha256.New, d.key)
	m.Write([]byte(text))
	return m.Sum(nil)
}

func (d *Directory) guid() (string, error) {
	u, err := uuid.NewRandomFromReader(d.rand)
	return u.String(), err
}
