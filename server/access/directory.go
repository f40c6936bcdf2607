package access

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"io"
	"strings"
	"time"

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
	Roles        RoleStore        // nil for none but the built-in ones
	Groups       UserGroupStore   // nil for none
	SignIns      SignInStore      // nil: neither codes nor refresh tokens are given
	Policies     PolicyStore      // nil: no second factor is required of anybody
	Sealer       Sealer           // nil: nobody can have a second factor
	Vouches      Vouches          // nil for no identity providers
	SecretKey    []byte           // keys the hash of client secrets: 32 random bytes, kept secret
	Clock        func() time.Time // nil for time.Now
	Rand         io.Reader        // nil for crypto/rand
}

// Directory knows tenants, applications and people, and checks their credentials.
type Directory struct {
	tenants  TenantStore
	apps     ApplicationStore
	people   PersonStore
	roles    RoleStore
	groups   UserGroupStore
	signIns  SignInStore
	policies PolicyStore
	sealer   Sealer
	vouches  Vouches
	key      []byte
	now      func() time.Time
	rand     io.Reader
	pass     *passwords

	assertions assertions
}

// NewDirectory returns a Directory.
func NewDirectory(c DirectoryConfig) *Directory {
	d := &Directory{tenants: c.Tenants, apps: c.Applications, people: c.People, roles: c.Roles, groups: c.Groups, signIns: c.SignIns,
		policies: c.Policies, sealer: c.Sealer, vouches: c.Vouches, key: c.SecretKey, now: c.Clock, rand: c.Rand}
	if d.roles == nil {
		d.roles = noRoles{}
	}
	if d.groups == nil {
		d.groups = noRoles{}
	}
	if d.policies == nil {
		d.policies = noPolicies{}
	}
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

func (d *Directory) hash(text string) []byte {
	m := hmac.New(sha256.New, d.key)
	m.Write([]byte(text))
	return m.Sum(nil)
}

func (d *Directory) guid() (string, error) {
	u, err := uuid.NewRandomFromReader(d.rand)
	return u.String(), err
}
