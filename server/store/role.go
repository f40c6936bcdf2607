package store

import (
	"context"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
)

var (
	roleTable      = table{name: "role", what: "role"}
	userGroupTable = table{name: "user_group", what: "user group"}
)

var (
	_ access.RoleStore      = Access{}
	_ access.UserGroupStore = Access{}
)

// named is what the statements on tables of (tenant, id, name, doc) have in common.
type named[T any] struct {
	table *table
	key   func(*T) (ident.TenantID, string, string) // tenant, id, name
}

var (
	roles = named[access.Role]{&roleTable, func(r *access.Role) (ident.TenantID, string, string) { return r.Tenant, string(r.ID), r.Name }}
	teams = named[access.UserGroup]{&userGroupTable, func(g *access.UserGroup) (ident.TenantID, string, string) {
		return g.Tenant, string(g.ID), g.Name
	}}
)

func (n named[T]) create(ctx context.Context, s *Store, v *T) error {
	op := "store.create." + n.table.name
	return s.update(ctx, op, func(ctx context.Context, q querier) error {
		doc, err := encode(v)
		if err != nil {
			return err
		}
		tenant, id, name := n.key(v)
		_, err = q.ExecContext(ctx, "INSERT INTO "+n.table.name+" (tenant, id, name, doc) VALUES (?, ?, ?, ?)", string(tenant), id, fold(name), doc)
		return n.taken(op, err)
	})
}

func (n named[T]) taken(op string, err error) error {
	if isDuplicate(err) {
		return &errs.E{Op: op, Kind: errs.Conflict, Code: errs.BadRequest, Detail: "a " + n.table.what + " of this name exists", Err: err}
	}
	return err
}

func (n named[T]) all(ctx context.Context, s *Store, tenant ident.TenantID) ([]*T, error) {
	return fetchAll[T](ctx, s, n.table, "WHERE tenant = ? ORDER BY name, id", string(tenant))
}

// change runs f once; it must not call the store and cannot change tenant or id.
func (n named[T]) change(ctx context.Context, s *Store, tenant ident.TenantID, id string, f func(*T) error) (*T, error) {
	op := "store.update." + n.table.name
	var out *T
	err := s.update(ctx, op, func(ctx context.Context, q querier) error {
		v, err := one[T](ctx, q, n.table, "tenant = ? AND id = ?", string(tenant), id)
		if err != nil {
			return err
		}
		if err := f(v); err != nil {
			return callerError{err}
		}
		doc, err := encode(v)
		if err != nil {
			return err
		}
		_, _, name := n.key(v)
		_, err = q.ExecContext(ctx, "UPDATE "+n.table.name+" SET name = ?, doc = ? WHERE tenant = ? AND id = ?", fold(name), doc, string(tenant), id)
		out = v
		return n.taken(op, err)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func (n named[T]) remove(ctx context.Context, s *Store, tenant ident.TenantID, id string) error {
	op := "store.delete." + n.table.name
	return s.update(ctx, op, func(ctx context.Context, q querier) error {
		r, err := q.ExecContext(ctx, "DELETE FROM "+n.table.name+" WHERE tenant = ? AND id = ?", string(tenant), id)
		if err != nil {
			return err
		}
		if k, err := r.RowsAffected(); err != nil || k > 0 {
			return err
		}
		return notFound(op, "the "+n.table.what)
	})
}

// CreateRole implements access.RoleStore.
func (v Access) CreateRole(ctx context.Context, r *access.Role) error {
	return roles.create(ctx, v.s, r)
}

// Roles implements access.RoleStore.
func (v Access) Roles(ctx context.Context, tenant ident.TenantID) ([]*access.Role, error) {
	return roles.all(ctx, v.s, tenant)
}

// UpdateRole implements access.RoleStore. change must not call the store.
func (v Access) UpdateRole(ctx context.Context, tenant ident.TenantID, id ident.RoleID, change func(*access.Role) error) (*access.Role, error) {
	return roles.change(ctx, v.s, tenant, string(id), change)
}

// DeleteRole implements access.RoleStore.
func (v Access) DeleteRole(ctx context.Context, tenant ident.TenantID, id ident.RoleID) error {
	return roles.remove(ctx, v.s, tenant, string(id))
}

// CreateUserGroup implements access.UserGroupStore.
func (v Access) CreateUserGroup(ctx context.Context, g *access.UserGroup) error {
	return teams.create(ctx, v.s, g)
}

// UserGroups implements access.UserGroupStore.
func (v Access) UserGroups(ctx context.Context, tenant ident.TenantID) ([]*access.UserGroup, error) {
	return teams.all(ctx, v.s, tenant)
}

// UpdateUserGroup implements access.UserGroupStore. change must not call the store.
func (v Access) UpdateUserGroup(ctx context.Context, tenant ident.TenantID, id ident.UserGroupID, change func(*access.UserGroup) error) (*access.UserGroup, error) {
	return teams.change(ctx, v.s, tenant, string(id), change)
}

// DeleteUserGroup implements access.UserGroupStore.
func (v Access) DeleteUserGroup(ctx context.Context, tenant ident.TenantID, id ident.UserGroupID) error {
	return teams.remove(ctx, v.s, tenant, string(id))
}
