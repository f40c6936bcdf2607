package sso

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/outbound"
)

// Accounts is what this package needs of access.Directory.
type Accounts interface {
	Vouch(ctx context.Context, tenant ident.TenantID, v access.Vouched) (*access.Person, bool, error)
	Admit(ctx context.Context, p *access.Person, provider ident.ProviderID, factor bool) (*access.Admission, error)
	Roles(ctx context.Context, tenant ident.TenantID) ([]access.Role, error)
}

// Config is what the service is made of.
type Config struct {
	Store    Store
	Accounts Accounts
	Sealer   access.Sealer
	Guard    outbound.Guard   // which networks providers may be in
	TLS      *tls.Config      // whose certificates they may have; nil for the system's authorities
	Clock    func() time.Time // nil for time.Now
	Rand     io.Reader        // nil for crypto/rand
}

// Service keeps identity providers and takes people in by them. It is safe for concurrent
// use.
type Service struct {
	store    Store
	accounts Accounts
	sealer   access.Sealer
	client   *http.Client
	now      func() time.Time
	rand     io.Reader

	mu    sync.Mutex
	known map[ident.ProviderID]*known
}

// New returns the service. The caller closes it.
func New(c Config) *Service {
	s := &Service{store: c.Store, accounts: c.Accounts, sealer: c.Sealer, now: c.Clock, rand: c.Rand, known: map[ident.ProviderID]*known{},
		client: outbound.NewClient(outbound.ClientConfig{Guard: c.Guard, TLS: c.TLS})}
	if s.now == nil {
		s.now = time.Now
	}
	if s.rand == nil {
		s.rand = rand.Reader
	}
	return s
}

// Close closes idle connections.
func (s *Service) Close() { s.client.CloseIdleConnections() }

func secretPurpose(tenant ident.TenantID, id ident.ProviderID) string {
	return "identity-provider/" + string(tenant) + "/" + string(id)
}

// Create makes a provider.
func (s *Service) Create(ctx context.Context, tenant ident.TenantID, r Request) (*Provider, error) {
	const op = "sso.Create"
	all, err := s.store.Providers(ctx, tenant)
	if err != nil {
		return nil, errs.Wrap(op, err)
	}
	if len(all) >= maxProviders {
		return nil, errs.New(op, errs.Exhausted, errs.QuotaExceeded, "there are %d identity providers, and no more are kept", maxProviders)
	}
	id, err := uuid.NewRandomFromReader(s.rand)
	if err != nil {
		return nil, errs.Wrap(op, err)
	}
	now := s.now().UTC()
	p := &Provider{ID: ident.ProviderID(id.String()), Tenant: tenant, Created: now, Changed: now}
	if err := s.set(ctx, p, r); err != nil {
		return nil, errs.Wrap(op, err)
	}
	return p, errs.Wrap(op, s.store.CreateProvider(ctx, p))
}

// set makes p what r says.
func (s *Service) set(ctx context.Context, p *Provider, r Request) error {
	const op = "sso.Provider"
	if err := r.apply(p); err != nil {
		return err
	}
	roles, err := s.accounts.Roles(ctx, p.Tenant)
	if err != nil {
		return err
	}
	there := func(id ident.RoleID) bool {
		return slices.ContainsFunc(roles, func(x access.Role) bool { return x.ID == id })
	}
	for i, id := range p.Roles {
		if !there(id) {
			return errs.New(op, errs.Invalid, errs.InvalidInput, "roles[%d]: there is no such role", i)
		}
	}
	for i, m := range p.Mappings {
		if !there(m.Role) {
			return errs.New(op, errs.Invalid, errs.InvalidInput, "groupRoles[%d].role: there is no such role", i)
		}
	}
	switch {
	case r.Secret == nil:
	case *r.Secret == "":
		p.Secret = ""
	case len(*r.Secret) > maxText || !proper(*r.Secret):
		return errs.New(op, errs.Invalid, errs.InvalidInput, "clientSecret is longer than %d bytes or holds control characters", maxText)
	default:
		if p.Secret, err = s.sealer.Seal(secretPurpose(p.Tenant, p.ID), []byte(*r.Secret)); err != nil {
			return err
		}
	}
	return nil
}

// Change makes a provider what r says. Sessions that it led to go on.
func (s *Service) Change(ctx context.Context, tenant ident.TenantID, id ident.ProviderID, r Request) (*Provider, error) {
	const op = "sso.Change"
	old, err := s.store.Provider(ctx, tenant, id)
	if err != nil {
		return nil, errs.Wrap(op, err)
	}
	if old.Issuer != r.Issuer && r.Secret == nil && old.Secret != "" {
		// Whoever may change the address must not have the secret sent there.
		return nil, errs.New(op, errs.Invalid, errs.MissingRequiredParameter, "clientSecret is needed when issuer changes: the one there is belongs to %s", old.Issuer)
	}
	next := *old
	if err := s.set(ctx, &next, r); err != nil {
		return nil, errs.Wrap(op, err)
	}
	p, err := s.store.UpdateProvider(ctx, tenant, id, func(p *Provider) error {
		if !p.Changed.Equal(old.Changed) {
			return errs.New(op, errs.Conflict, "", "somebody else changed this provider just now: look at it again")
		}
		created := p.Created
		*p = next
		p.Created, p.Changed = created, s.now().UTC()
		return nil
	})
	return p, errs.Wrap(op, err)
}

// Delete forgets a provider. Who came by it cannot sign in until somebody else vouches for
// them or they have a password.
func (s *Service) Delete(ctx context.Context, tenant ident.TenantID, id ident.ProviderID) error {
	s.mu.Lock()
	delete(s.known, id)
	s.mu.Unlock()
	return errs.Wrap("sso.Delete", s.store.DeleteProvider(ctx, tenant, id))
}

// Provider returns one or errs.NotFound.
func (s *Service) Provider(ctx context.Context, tenant ident.TenantID, id ident.ProviderID) (*Provider, error) {
	p, err := s.store.Provider(ctx, tenant, id)
	return p, errs.Wrap("sso.Provider", err)
}

// Providers returns those of a tenant by name.
func (s *Service) Providers(ctx context.Context, tenant ident.TenantID) ([]*Provider, error) {
	all, err := s.store.Providers(ctx, tenant)
	return all, errs.Wrap("sso.Providers", err)
}

// Vouches reports whether a provider is there and not disabled.
func (s *Service) Vouches(ctx context.Context, tenant ident.TenantID, id ident.ProviderID) (bool, error) {
	p, err := s.store.Provider(ctx, tenant, id)
	if errs.Is(err, errs.NotFound) {
		return false, nil
	}
	return err == nil && !p.Disabled, errs.Wrap("sso.Vouches", err)
}

// Offered returns those by which people of the tenant can sign in now.
func (s *Service) Offered(ctx context.Context, tenant ident.TenantID) ([]*Provider, error) {
	all, err := s.Providers(ctx, tenant)
	return slices.DeleteFunc(all, func(p *Provider) bool { return p.Disabled }), err
}
