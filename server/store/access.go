package store

import (
	"context"
	"encoding/json"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
)

var (
	tenantTable      = table{name: "tenant", what: "tenant"}
	applicationTable = table{name: "application", what: "application"}
	personTable      = table{name: "person", what: "person"}
)

// Access is the access.TenantStore, ApplicationStore, PersonStore and KeyStore of this
// database.
type Access struct{ s *Store }

var (
	_ access.TenantStore      = Access{}
	_ access.ApplicationStore = Access{}
	_ access.PersonStore      = Access{}
	_ access.KeyStore         = Access{}
)

// Access returns the store of tenants, applications, people and signing keys.
func (s *Store) Access() Access { return Access{s} }

// insert runs an INSERT; a key that is taken is errs.Conflict.
func (v Access) insert(ctx context.Context, op, what, statement string, doc any, args ...any) error {
	return v.s.update(ctx, op, func(ctx context.Context, q querier) error {
		text, err := encode(doc)
		if err != nil {
			return err
		}
		_, err = q.ExecContext(ctx, statement, append(args, text)...)
		if isDuplicate(err) {
			return &errs.E{Op: op, Kind: errs.Conflict, Detail: "this " + what + " exists", Err: err}
		}
		return err
	})
}

// CreateTenant implements access.TenantStore.
func (v Access) CreateTenant(ctx context.Context, t *access.Tenant) error {
	return v.insert(ctx, "store.CreateTenant", "tenant",
		`INSERT INTO tenant (id, created, doc) VALUES (?, ?, ?)`, t, string(t.ID), nanos(t.Created))
}

// Tenant implements access.TenantStore.
func (v Access) Tenant(ctx context.Context, id ident.TenantID) (*access.Tenant, error) {
	return fetch[access.Tenant](ctx, v.s, &tenantTable, "id = ?", string(id))
}

// Tenants implements access.TenantStore.
func (v Access) Tenants(ctx context.Context) ([]*access.Tenant, error) {
	return fetchAll[access.Tenant](ctx, v.s, &tenantTable, "ORDER BY created, id")
}

// CreateApplication implements access.ApplicationStore.
func (v Access) CreateApplication(ctx context.Context, a *access.Application) error {
	return v.insert(ctx, "store.CreateApplication", "application",
		`INSERT INTO application (id, tenant, created, doc) VALUES (?, ?, ?, ?)`, a, string(a.ID), string(a.Tenant), nanos(a.Created))
}

// Application implements access.ApplicationStore.
func (v Access) Application(ctx context.Context, id ident.AppID) (*access.Application, error) {
	return fetch[access.Application](ctx, v.s, &applicationTable, "id = ?", string(id))
}

// Applications implements access.ApplicationStore.
func (v Access) Applications(ctx context.Context, tenant ident.TenantID) ([]*access.Application, error) {
	return fetchAll[access.Application](ctx, v.s, &applicationTable, "WHERE tenant = ? ORDER BY created, id", string(tenant))
}

// UpdateApplication implements access.ApplicationStore. change must not call the store.
func (v Access) UpdateApplication(ctx context.Context, tenant ident.TenantID, id ident.AppID, change func(*access.Application) error) (*access.Application, error) {
	var out *access.Application
	err := v.s.update(ctx, "store.UpdateApplication", func(ctx context.Context, q querier) error {
		a, err := one[access.Application](ctx, q, &applicationTable, "tenant = ? AND id = ?", string(tenant), string(id))
		if err != nil {
			return err
		}
		if err := change(a); err != nil {
			return callerError{err}
		}
		a.Tenant, a.ID = tenant, id
		doc, err := encode(a)
		if err != nil {
			return err
		}
		_, err = q.ExecContext(ctx, `UPDATE application SET doc = ? WHERE tenant = ? AND id = ?`, doc, string(tenant), string(id))
		out = a
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// DeleteApplication implements access.ApplicationStore.
func (v Access) DeleteApplication(ctx context.Context, tenant ident.TenantID, id ident.AppID) error {
	const op = "store.DeleteApplication"
	return v.s.update(ctx, op, func(ctx context.Context, q querier) error {
		r, err := q.ExecContext(ctx, `DELETE FROM application WHERE tenant = ? AND id = ?`, string(tenant), string(id))
		if err != nil {
			return err
		}
		if n, err := r.RowsAffected(); err != nil || n > 0 {
			return err
		}
		return notFound(op, "the application")
	})
}

// CreatePerson implements access.PersonStore.
func (v Access) CreatePerson(ctx context.Context, p *access.Person) error {
	return v.insert(ctx, "store.CreatePerson", "person",
		`INSERT INTO person (tenant, id, login, provider, subject, doc) VALUES (?, ?, ?, ?, ?, ?)`, p, string(p.Tenant), string(p.ID), fold(p.Login),
		orNull(string(p.Provider)), orNull(p.Subject))
}

// Person implements access.PersonStore.
func (v Access) Person(ctx context.Context, tenant ident.TenantID, id ident.UserID) (*access.Person, error) {
	return fetch[access.Person](ctx, v.s, &personTable, "tenant = ? AND id = ?", string(tenant), string(id))
}

// People implements access.PersonStore.
func (v Access) People(ctx context.Context, tenant ident.TenantID) ([]*access.Person, error) {
	return fetchAll[access.Person](ctx, v.s, &personTable, "WHERE tenant = ? ORDER BY login", string(tenant))
}

// PersonByLogin implements access.PersonStore.
func (v Access) PersonByLogin(ctx context.Context, tenant ident.TenantID, login string) (*access.Person, error) {
	return fetch[access.Person](ctx, v.s, &personTable, "tenant = ? AND login = ?", string(tenant), fold(login))
}

// PersonBySubject implements access.PersonStore.
func (v Access) PersonBySubject(ctx context.Context, tenant ident.TenantID, provider ident.ProviderID, subject string) (*access.Person, error) {
	return fetch[access.Person](ctx, v.s, &personTable, "tenant = ? AND provider = ? AND subject = ?", string(tenant), string(provider), subject)
}

// UpdatePerson implements access.PersonStore. change must not call the store.
func (v Access) UpdatePerson(ctx context.Context, tenant ident.TenantID, id ident.UserID, change func(*access.Person) error) (*access.Person, error) {
	const op = "store.UpdatePerson"
	var out *access.Person
	err := v.s.update(ctx, op, func(ctx context.Context, q querier) error {
		p, err := one[access.Person](ctx, q, &personTable, "tenant = ? AND id = ?", string(tenant), string(id))
		if err != nil {
			return err
		}
		if err := change(p); err != nil {
			return callerError{err}
		}
		p.Tenant, p.ID = tenant, id
		doc, err := encode(p)
		if err != nil {
			return err
		}
		_, err = q.ExecContext(ctx, `UPDATE person SET login = ?, provider = ?, subject = ?, doc = ? WHERE tenant = ? AND id = ?`,
			fold(p.Login), orNull(string(p.Provider)), orNull(p.Subject), doc, string(tenant), string(id))
		if isDuplicate(err) {
			return &errs.E{Op: op, Kind: errs.Conflict, Detail: "this login, or this identity of a provider, is another account's", Err: err}
		}
		out = p
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// sealPurpose binds a sealed signing key to its id, so that rows cannot be exchanged.
func sealPurpose(id string) string { return "signing-key/" + id }

// AddSigningKey implements access.KeyStore.
func (v Access) AddSigningKey(ctx context.Context, k *access.SigningKey) error {
	const op = "store.AddSigningKey"
	b, err := json.Marshal(k)
	if err != nil {
		return errs.Wrap(op, err)
	}
	sealed, err := v.s.key.Seal(sealPurpose(k.ID), b)
	if err != nil {
		return errs.Wrap(op, err)
	}
	return v.s.update(ctx, op, func(ctx context.Context, q querier) error {
		_, err := q.ExecContext(ctx, `INSERT INTO signing_key (id, created, sealed) VALUES (?, ?, ?)`, k.ID, nanos(k.Created), sealed)
		return err
	})
}

// SigningKeys implements access.KeyStore.
func (v Access) SigningKeys(ctx context.Context) ([]*access.SigningKey, error) {
	var out []*access.SigningKey
	err := v.s.view(ctx, "store.SigningKeys", func(ctx context.Context, q querier) error {
		rows, err := q.QueryContext(ctx, `SELECT id, sealed FROM signing_key ORDER BY created DESC, id`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var id, sealed string
			if err := rows.Scan(&id, &sealed); err != nil {
				return err
			}
			b, err := v.s.key.Unseal(sealPurpose(id), sealed)
			if err != nil {
				return err
			}
			k, err := decode[access.SigningKey](string(b))
			if err != nil {
				return err
			}
			out = append(out, k)
		}
		return rows.Err()
	})
	return out, err
}

// RemoveSigningKey implements access.KeyStore.
func (v Access) RemoveSigningKey(ctx context.Context, id string) error {
	return v.s.update(ctx, "store.RemoveSigningKey", func(ctx context.Context, q querier) error {
		_, err := q.ExecContext(ctx, `DELETE FROM signing_key WHERE id = ?`, id)
		return err
	})
}
