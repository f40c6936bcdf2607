package store

import (
	"context"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/sso"
)

var (
	providerTable     = table{name: "identity_provider", what: "identity provider"}
	signInPolicyTable = table{name: "sign_in_policy", what: "sign-in policy"}
)

var (
	_ sso.Store          = Access{}
	_ access.PolicyStore = Access{}
)

var providers = named[sso.Provider]{&providerTable, func(p *sso.Provider) (ident.TenantID, string, string) {
	return p.Tenant, string(p.ID), p.Name
}}

// CreateProvider implements sso.Store.
func (v Access) CreateProvider(ctx context.Context, p *sso.Provider) error {
	return providers.create(ctx, v.s, p)
}

// Providers implements sso.Store.
func (v Access) Providers(ctx context.Context, tenant ident.TenantID) ([]*sso.Provider, error) {
	return providers.all(ctx, v.s, tenant)
}

// Provider implements sso.Store.
func (v Access) Provider(ctx context.Context, tenant ident.TenantID, id ident.ProviderID) (*sso.Provider, error) {
	return fetch[sso.Provider](ctx, v.s, &providerTable, "tenant = ? AND id = ?", string(tenant), string(id))
}

// UpdateProvider implements sso.Store. change must not call the store.
func (v Access) UpdateProvider(ctx context.Context, tenant ident.TenantID, id ident.ProviderID, change func(*sso.Provider) error) (*sso.Provider, error) {
	return providers.change(ctx, v.s, tenant, string(id), func(p *sso.Provider) error {
		if err := change(p); err != nil {
			return err
		}
		p.Tenant, p.ID = tenant, id
		return nil
	})
}

// DeleteProvider implements sso.Store.
func (v Access) DeleteProvider(ctx context.Context, tenant ident.TenantID, id ident.ProviderID) error {
	return providers.remove(ctx, v.s, tenant, string(id))
}

// SignInPolicy implements access.PolicyStore.
func (v Access) SignInPolicy(ctx context.Context, tenant ident.TenantID) (*access.SignInPolicy, error) {
	p, err := fetch[access.SignInPolicy](ctx, v.s, &signInPolicyTable, "tenant = ?", string(tenant))
	if errs.Is(err, errs.NotFound) {
		return &access.SignInPolicy{Tenant: tenant}, nil
	}
	return p, err
}

// PutSignInPolicy implements access.PolicyStore.
func (v Access) PutSignInPolicy(ctx context.Context, p *access.SignInPolicy) error {
	return v.s.update(ctx, "store.PutSignInPolicy", func(ctx context.Context, q querier) error {
		doc, err := encode(p)
		if err != nil {
			return err
		}
		_, err = q.ExecContext(ctx, `INSERT INTO sign_in_policy (tenant, doc) VALUES (?, ?) ON CONFLICT (tenant) DO UPDATE SET doc = excluded.doc`, string(p.Tenant), doc)
		return err
	})
}

// orNull is what a column holds of a text that may be missing: unique indexes leave null out.
func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}
