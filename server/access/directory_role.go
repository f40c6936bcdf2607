package access

import (
	"context"
	"slices"
	"unicode/utf8"

	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
)

// maxDescription bounds the description of a role or group, in bytes.
const maxDescription = 2000

// maxAssigned bounds the roles and groups of one person, and the roles of one group.
const maxAssigned = 100

// RoleRequest is a role to be made, or what it is to become.
type RoleRequest struct {
	Name        string
	Description string
	Rights      []Right
}

func (r *RoleRequest) apply(o *Role) error {
	const op = "access.Role"
	var err error
	if o.Name, err = properName("name", r.Name); err != nil {
		return err
	}
	if o.Description, err = properDescription(r.Description); err != nil {
		return err
	}
	o.Rights = nil
	for i, x := range r.Rights {
		switch {
		case !x.Known():
			return errs.New(op, errs.Invalid, errs.InvalidInput, "rights[%d]: %q is not a right", i, clip(string(x)))
		case x == ManagePortal:
			return errs.New(op, errs.Invalid, errs.InvalidInput, "rights[%d]: %s belongs to the built-in role %q alone", i, x, Admin)
		case !slices.Contains(o.Rights, x):
			o.Rights = append(o.Rights, x)
		}
	}
	if len(o.Rights) == 0 {
		return errs.New(op, errs.Invalid, errs.MissingRequiredParameter, "rights is empty: a role gives at least one")
	}
	return nil
}

func properDescription(s string) (string, error) {
	if len(s) > maxDescription || !utf8.ValidString(s) {
		return "", errs.New("access.properDescription", errs.Invalid, errs.InvalidInput, "description is longer than %d bytes or not UTF-8", maxDescription)
	}
	return s, nil
}

// NewRole makes a role.
func (d *Directory) NewRole(ctx context.Context, tenant ident.TenantID, r RoleRequest) (*Role, error) {
	const op = "access.NewRole"
	id, err := d.guid()
	if err != nil {
		return nil, errs.Wrap(op, err)
	}
	o := &Role{ID: ident.RoleID(id), Tenant: tenant, Created: d.now().UTC()}
	if err := r.apply(o); err != nil {
		return nil, errs.Wrap(op, err)
	}
	return o, errs.Wrap(op, d.roles.CreateRole(ctx, o))
}

// Roles returns the built-in roles and those of the tenant.
func (d *Directory) Roles(ctx context.Context, tenant ident.TenantID) ([]Role, error) {
	out := BuiltInRoles()
	own, err := d.roles.Roles(ctx, tenant)
	for _, r := range own {
		out = append(out, *r)
	}
	return out, errs.Wrap("access.Roles", err)
}

// ChangeRole makes a role what r says. A built-in one is errs.Conflict.
func (d *Directory) ChangeRole(ctx context.Context, tenant ident.TenantID, id ident.RoleID, r RoleRequest) (*Role, error) {
	const op = "access.ChangeRole"
	if _, ok := BuiltIn(id); ok {
		return nil, fixedRole(op)
	}
	o, err := d.roles.UpdateRole(ctx, tenant, id, r.apply)
	return o, errs.Wrap(op, err)
}

// DeleteRole forgets a role; who was given it has it no more.
func (d *Directory) DeleteRole(ctx context.Context, tenant ident.TenantID, id ident.RoleID) error {
	const op = "access.DeleteRole"
	if _, ok := BuiltIn(id); ok {
		return fixedRole(op)
	}
	return errs.Wrap(op, d.roles.DeleteRole(ctx, tenant, id))
}

func fixedRole(op string) error {
	return errs.New(op, errs.Conflict, errs.DisallowedOperation, "a built-in role can be neither changed nor deleted")
}

// UserGroupRequest is a group of people to be made, or what it is to become.
type UserGroupRequest struct {
	Name        string
	Description string
	Roles       []ident.RoleID
}

func (r *UserGroupRequest) apply(g *UserGroup) error {
	var err error
	if g.Name, err = properName("name", r.Name); err != nil {
		return err
	}
	if g.Description, err = properDescription(r.Description); err != nil {
		return err
	}
	g.Roles = slices.Clone(r.Roles)
	return nil
}

// NewUserGroup makes a group of people.
func (d *Directory) NewUserGroup(ctx context.Context, tenant ident.TenantID, r UserGroupRequest) (*UserGroup, error) {
	const op = "access.NewUserGroup"
	if err := d.checkRoles(ctx, tenant, r.Roles); err != nil {
		return nil, errs.Wrap(op, err)
	}
	id, err := d.guid()
	if err != nil {
		return nil, errs.Wrap(op, err)
	}
	g := &UserGroup{ID: ident.UserGroupID(id), Tenant: tenant, Created: d.now().UTC()}
	if err := r.apply(g); err != nil {
		return nil, errs.Wrap(op, err)
	}
	return g, errs.Wrap(op, d.groups.CreateUserGroup(ctx, g))
}

// UserGroups returns the groups of people by name.
func (d *Directory) UserGroups(ctx context.Context, tenant ident.TenantID) ([]*UserGroup, error) {
	gs, err := d.groups.UserGroups(ctx, tenant)
	return gs, errs.Wrap("access.UserGroups", err)
}

// ChangeUserGroup makes a group what r says.
func (d *Directory) ChangeUserGroup(ctx context.Context, tenant ident.TenantID, id ident.UserGroupID, r UserGroupRequest) (*UserGroup, error) {
	const op = "access.ChangeUserGroup"
	if err := d.checkRoles(ctx, tenant, r.Roles); err != nil {
		return nil, errs.Wrap(op, err)
	}
	g, err := d.groups.UpdateUserGroup(ctx, tenant, id, r.apply)
	return g, errs.Wrap(op, err)
}

// DeleteUserGroup forgets a group.
func (d *Directory) DeleteUserGroup(ctx context.Context, tenant ident.TenantID, id ident.UserGroupID) error {
	return errs.Wrap("access.DeleteUserGroup", d.groups.DeleteUserGroup(ctx, tenant, id))
}

// checkRoles refuses roles that are not there.
func (d *Directory) checkRoles(ctx context.Context, tenant ident.TenantID, ids []ident.RoleID) error {
	const op = "access.checkRoles"
	if len(ids) > maxAssigned {
		return errs.New(op, errs.Invalid, errs.InvalidInput, "roles: %d of them, at most %d", len(ids), maxAssigned)
	}
	all, err := d.Roles(ctx, tenant)
	if err != nil {
		return err
	}
	for i, id := range ids {
		if !slices.ContainsFunc(all, func(r Role) bool { return r.ID == id }) {
			return errs.New(op, errs.Invalid, errs.InvalidInput, "roles[%d]: unknown role %q", i, clip(string(id)))
		}
	}
	return nil
}

// checkGroups refuses groups that are not there.
func (d *Directory) checkGroups(ctx context.Context, tenant ident.TenantID, ids []ident.UserGroupID) error {
	const op = "access.checkGroups"
	if len(ids) > maxAssigned {
		return errs.New(op, errs.Invalid, errs.InvalidInput, "groups: %d of them, at most %d", len(ids), maxAssigned)
	}
	all, err := d.groups.UserGroups(ctx, tenant)
	if err != nil {
		return err
	}
	for i, id := range ids {
		if !slices.ContainsFunc(all, func(g *UserGroup) bool { return g.ID == id }) {
			return errs.New(op, errs.Invalid, errs.InvalidInput, "groups[%d]: unknown group %q", i, clip(string(id)))
		}
	}
	return nil
}
