package access

import (
	"context"
	"slices"
	"time"

	"github.com/vedette-edr/vedette/server/ident"
)

// Role is a set of rights that people are given, directly or through their user groups.
type Role struct {
	ID          ident.RoleID
	Tenant      ident.TenantID // "" for a built-in role, which every tenant has
	Name        string
	Description string
	Rights      []Right // never ManagePortal unless built in
	Created     time.Time
}

// The built-in roles.
const (
	Admin            ident.RoleID = "admin" // global administrator: everything
	SecurityAdmin    ident.RoleID = "security-admin"
	SecurityOperator ident.RoleID = "security-operator"
	SecurityReader   ident.RoleID = "security-reader"
	GlobalReader     ident.RoleID = "global-reader"
)

// BuiltInRoles returns the roles that are always there. The two kinds of administrator
// see every device; the others see the device groups that they have access to.
func BuiltInRoles() []Role {
	view := []Right{ViewOperations, ViewVulnerabilities}
	return []Role{
		{ID: Admin, Name: "Global Administrator", Description: "Everything, applications, people, roles and device groups included.", Rights: Rights()},
		{ID: SecurityAdmin, Name: "Security Administrator", Description: "Everything but applications, people, roles and device groups.",
			Rights: slices.DeleteFunc(Rights(), func(r Right) bool { return r == ManagePortal })},
		{ID: SecurityOperator, Name: "Security Operator", Description: "Sees everything of the device groups it has access to, works on alerts and responds.",
			Rights: append(slices.Clone(view), Remediate, InvestigateAlerts, LiveResponseBasic)},
		{ID: SecurityReader, Name: "Security Reader", Description: "Sees everything of the device groups it has access to.", Rights: view},
		{ID: GlobalReader, Name: "Global Reader", Description: "Sees everything of the device groups it has access to.", Rights: view},
	}
}

// BuiltIn returns a built-in role.
func BuiltIn(id ident.RoleID) (Role, bool) {
	for _, r := range BuiltInRoles() {
		if r.ID == id {
			return r, true
		}
	}
	return Role{}, false
}

// UserGroup is a group of people, who have its roles and its access to device groups.
type UserGroup struct {
	ID          ident.UserGroupID
	Tenant      ident.TenantID
	Name        string
	Description string
	Roles       []ident.RoleID
	Created     time.Time
}

// RoleStore keeps the roles that tenants make.
type RoleStore interface {
	// CreateRole keeps a new role; a name that exists in the tenant, without regard to
	// case, is errs.Conflict.
	CreateRole(ctx context.Context, r *Role) error
	// Roles returns the roles of a tenant by name.
	Roles(ctx context.Context, tenant ident.TenantID) ([]*Role, error)
	// UpdateRole reads, changes and writes one role in a transaction; an error of change
	// leaves it as it was and is returned.
	UpdateRole(ctx context.Context, tenant ident.TenantID, id ident.RoleID, change func(*Role) error) (*Role, error)
	// DeleteRole forgets one role or is errs.NotFound. Who was given it has it no more.
	DeleteRole(ctx context.Context, tenant ident.TenantID, id ident.RoleID) error
}

// UserGroupStore keeps groups of people.
type UserGroupStore interface {
	// CreateUserGroup keeps a new group; a name that exists in the tenant is errs.Conflict.
	CreateUserGroup(ctx context.Context, g *UserGroup) error
	// UserGroups returns the groups of a tenant by name.
	UserGroups(ctx context.Context, tenant ident.TenantID) ([]*UserGroup, error)
	// UpdateUserGroup reads, changes and writes one group in a transaction.
	UpdateUserGroup(ctx context.Context, tenant ident.TenantID, id ident.UserGroupID, change func(*UserGroup) error) (*UserGroup, error)
	// DeleteUserGroup forgets one group or is errs.NotFound. Its members are in it no more.
	DeleteUserGroup(ctx context.Context, tenant ident.TenantID, id ident.UserGroupID) error
}

// Standing is what a person is within a tenant at the moment of a request: the roles and
// user groups they are in, and the rights that follow.
type Standing struct {
	Roles  []ident.RoleID
	Groups []ident.UserGroupID
	Rights []Right
}

// Administers reports whether the person sees every device whatever groups there are.
func (s Standing) Administers() bool {
	return slices.Contains(s.Roles, Admin) || slices.Contains(s.Roles, SecurityAdmin)
}

// standing works out what a person may do. Roles and groups that are gone count nothing.
func standing(ctx context.Context, roles RoleStore, groups UserGroupStore, p *Person) (Standing, error) {
	s := Standing{}
	assigned := slices.Clone(p.Roles)
	if len(p.Groups) > 0 {
		all, err := groups.UserGroups(ctx, p.Tenant)
		if err != nil {
			return s, err
		}
		for _, g := range all {
			if slices.Contains(p.Groups, g.ID) {
				s.Groups = append(s.Groups, g.ID)
				assigned = append(assigned, g.Roles...)
			}
		}
	}
	add := func(r Role) {
		if slices.Contains(s.Roles, r.ID) {
			return
		}
		s.Roles = append(s.Roles, r.ID)
		for _, right := range r.Rights {
			if !slices.Contains(s.Rights, right) {
				s.Rights = append(s.Rights, right)
			}
		}
	}
	custom := false
	for _, id := range assigned {
		if r, ok := BuiltIn(id); ok {
			add(r)
		} else {
			custom = true
		}
	}
	if !custom {
		return s, nil
	}
	all, err := roles.Roles(ctx, p.Tenant)
	if err != nil {
		return s, err
	}
	for _, r := range all {
		if slices.Contains(assigned, r.ID) {
			add(*r)
		}
	}
	return s, nil
}

// Scoper works out which devices a person sees.
type Scoper interface {
	// ScopeOf returns the scope of somebody of the tenant with this standing.
	ScopeOf(ctx context.Context, tenant ident.TenantID, s Standing) (Scope, error)
}

// NoGroups is the Scoper of an installation without device groups: everybody sees every
// device.
type NoGroups struct{}

// ScopeOf implements Scoper.
func (NoGroups) ScopeOf(context.Context, ident.TenantID, Standing) (Scope, error) {
	return Everything, nil
}

// scopes returns the delegated permissions of a token: those that the application may
// have people delegate, or of these the requested ones when any is requested.
func scopes(a *Application, requested []string) []string {
	var out []string
	for _, u := range Usages() {
		if len(u.Delegated) == 0 || !a.mayDelegate(u.Permission) {
			continue
		}
		if len(requested) == 0 || slices.ContainsFunc(u.Delegated, func(n string) bool { return slices.Contains(requested, n) }) {
			out = append(out, u.Delegated[0])
		}
	}
	return out
}
