package access

import (
	"context"

	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
)

// noRoles is the RoleStore and UserGroupStore of who has none.
type noRoles struct{}

// Roles implements RoleStore.
func (noRoles) Roles(context.Context, ident.TenantID) ([]*Role, error) { return nil, nil }

// CreateUserGroup implements UserGroupStore.
func (noRoles) CreateUserGroup(context.Context, *UserGroup) error { return errNoRoles() }

// UserGroups implements UserGroupStore.
func (noRoles) UserGroups(context.Context, ident.TenantID) ([]*UserGroup, error) { return nil, nil }

// UpdateUserGroup implements UserGroupStore.
func (noRoles) UpdateUserGroup(context.Context, ident.TenantID, ident.UserGroupID, func(*UserGroup) error) (*UserGroup, error) {
	return nil, errNoRoles()
}

// DeleteUserGroup implements UserGroupStore.
func (noRoles) DeleteUserGroup(context.Context, ident.TenantID, ident.UserGroupID) error {
	return errNoRoles()
}

// CreateRole implements RoleStore.
func (noRoles) CreateRole(context.Context, *Role) error { return errNoRoles() }

// UpdateRole implements RoleStore.
func (noRoles) UpdateRole(context.Context, ident.TenantID, ident.RoleID, func(*Role) error) (*Role, error) {
	return nil, errNoRoles()
}

// DeleteRole implements RoleStore.
func (noRoles) DeleteRole(context.Context, ident.TenantID, ident.RoleID) error { return errNoRoles() }

func errNoRoles() error {
	return errs.New("access", errs.NotFound, errs.ResourceNotFound, "no roles or groups are kept here")
}
