package access

import (
	"context"
	"slices"
	"time"

	"github.com/vedette-edr/vedette/server/ident"
)

// Tenant is one tenant of the installation.
type Tenant struct {
	ID      ident.TenantID
	Name    string
	Domains []string // names that stand for the tenant in sign-in addresses, lower case
	Created time.Time
}

// Application is an API client with its own rights.
type Application struct {
	ID     ident.AppID
	Tenant ident.TenantID
	Name   string
	Roles  []string // Permissions that it has itself
	// Delegated is the Permissions that people may delegate to it; nil for those of Roles.
	Delegated []string
	// Public is set for programs that cannot keep a secret, on people's machines: they act
	// for people alone, and prove themselves by PKCE.
	Public    bool
	Redirects []string // addresses that a person who signed in may be sent back to
	Secrets   []Secret
	Keys      []ClientKey // certificates that client assertions may be signed with
	Created   time.Time
	Disabled  time.Time // zero while it may sign in
	Used      time.Time // when it last got a token, to the minute; zero for never
}

// mayDelegate reports whether people may delegate p to the application.
func (a *Application) mayDelegate(p Permission) bool {
	if a.Delegated != nil {
		return slices.Contains(a.Delegated, string(p))
	}
	return slices.Contains(a.Roles, string(p))
}

// DelegatedNames returns what people may delegate to the application, as the scp claim
// names it.
func (a *Application) DelegatedNames() []string { return scopes(a, nil) }

// Secret is one client secret of an application, of which only a keyed hash is kept.
type Secret struct {
	ID      string // names it among the application's; "" for those made by early versions
	Name    string
	Hash    []byte // HMAC-SHA256 of the text
	Hint    string // the first characters of the text, by which people tell secrets apart
	Created time.Time
	Expires time.Time // zero for never
	Used    time.Time // to the minute; zero for never
}

// ClientKey is a certificate by whose key an application proves who it is.
type ClientKey struct {
	ID          string // the SHA-1 thumbprint of the certificate, lower-case hexadecimal
	Name        string
	Certificate []byte // DER
	Created     time.Time
	Expires     time.Time // the certificate's own end
}

// Person is somebody with an account of this server's own.
type Person struct {
	ID       ident.UserID // a lower-case GUID
	Tenant   ident.TenantID
	Login    string // found without regard to case
	Name     string
	Mail     string
	Password string // argon2id in PHC form; "" for none, with which nobody signs in
	Roles    []ident.RoleID
	Groups   []ident.UserGroupID
	Created  time.Time
	Changed  time.Time // of the password; sign-ins before it are over
	Disabled time.Time // zero while the person may sign in
	Factor   Factor    // the second factor; the zero value is none
	// NoPassword is set while the person cannot sign in with a password, whether they have
	// one or not: an identity provider has to vouch for them.
	NoPassword bool `json:",omitempty"`
	// Provider and Subject are who vouches for the person, and as whom; "" for nobody.
	Provider ident.ProviderID `json:",omitempty"`
	Subject  string           `json:",omitempty"`
}

// SigningKey signs access tokens.
type SigningKey struct {
	ID      string // the tokens' kid
	Private []byte // PKCS #8
	Created time.Time
}

// TenantStore keeps tenants.
type TenantStore interface {
	// CreateTenant keeps a new tenant; an id that exists is errs.Conflict.
	CreateTenant(ctx context.Context, t *Tenant) error
	// Tenant returns one tenant or errs.NotFound.
	Tenant(ctx context.Context, id ident.TenantID) (*Tenant, error)
	// Tenants returns all tenants, oldest first.
	Tenants(ctx context.Context) ([]*Tenant, error)
}

// ApplicationStore keeps applications.
type ApplicationStore interface {
	// CreateApplication keeps a new application; an id that exists is errs.Conflict.
	CreateApplication(ctx context.Context, a *Application) error
	// Application returns one application whatever its tenant, or errs.NotFound: signing
	// in is where the tenant becomes known.
	Application(ctx context.Context, id ident.AppID) (*Application, error)
	// Applications returns those of a tenant, oldest first.
	Applications(ctx context.Context, tenant ident.TenantID) ([]*Application, error)
	// UpdateApplication reads, changes and writes one application in a transaction; an
	// error of change leaves it as it was and is returned.
	UpdateApplication(ctx context.Context, tenant ident.TenantID, id ident.AppID, change func(*Application) error) (*Application, error)
	// DeleteApplication forgets one application of a tenant or is errs.NotFound.
	DeleteApplication(ctx context.Context, tenant ident.TenantID, id ident.AppID) error
}

// PersonStore keeps people.
type PersonStore interface {
	// CreatePerson keeps a new person; an id or login that exists in the tenant is
	// errs.Conflict.
	CreatePerson(ctx context.Context, p *Person) error
	// People returns the people of a tenant by login.
	People(ctx context.Context, tenant ident.TenantID) ([]*Person, error)
	// Person returns one person or errs.NotFound.
	Person(ctx context.Context, tenant ident.TenantID, id ident.UserID) (*Person, error)
	// PersonByLogin finds a person by login, without regard to case.
	PersonByLogin(ctx context.Context, tenant ident.TenantID, login string) (*Person, error)
	// PersonBySubject finds the person for whom a provider vouches as subject.
	PersonBySubject(ctx context.Context, tenant ident.TenantID, provider ident.ProviderID, subject string) (*Person, error)
	// UpdatePerson reads, changes and writes one person in a transaction; an error of
	// change leaves it as it was and is returned.
	UpdatePerson(ctx context.Context, tenant ident.TenantID, id ident.UserID, change func(*Person) error) (*Person, error)
}

// KeyStore keeps the keys that sign tokens, sealed at rest.
type KeyStore interface {
	// AddSigningKey keeps a new key.
	AddSigningKey(ctx context.Context, k *SigningKey) error
	// SigningKeys returns all keys, newest first.
	SigningKeys(ctx context.Context) ([]*SigningKey, error)
	// RemoveSigningKey forgets a key; one that is not there is no error.
	RemoveSigningKey(ctx context.Context, id string) error
}
