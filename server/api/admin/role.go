package admin

import (
	"net/http"
	"strings"
	"time"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/api"
	"github.com/vedette-edr/vedette/server/ident"
)

func (a *API) roleRoutes() []api.Route {
	roles, groups := a.roles(), a.userGroups()
	return []api.Route{
		answering(administer(http.MethodGet, "/roles", "List roles", a.listRoles), nil, []role{}, 0),
		answering(administer(http.MethodPost, "/roles", "Make a role", roles.post), roleBody{}, role{}, http.StatusCreated),
		answering(administer(http.MethodPut, "/roles/{roleId}", "Change a role", roles.put), roleBody{}, role{}, 0),
		answering(administer(http.MethodDelete, "/roles/{roleId}", "Delete a role", roles.delete), nil, nil, http.StatusNoContent),
		answering(administer(http.MethodGet, "/usergroups", "List user groups", a.listUserGroups), nil, []userGroup{}, 0),
		answering(administer(http.MethodPost, "/usergroups", "Make a user group", groups.post), userGroupBody{}, userGroup{}, http.StatusCreated),
		answering(administer(http.MethodPut, "/usergroups/{userGroupId}", "Change a user group", groups.put), userGroupBody{}, userGroup{}, 0),
		answering(administer(http.MethodDelete, "/usergroups/{userGroupId}", "Delete a user group", groups.delete), nil, nil, http.StatusNoContent),
	}
}

type roleBody struct {
	Name        string   `json:"name" doc:"required,max=256"`
	Description string   `json:"description" doc:"max=2000"`
	Rights      []string `json:"permissions" doc:"required"`
}

// role is a role as it is answered.
type role struct {
	ID          string     `json:"id"`
	Name        string     `json:"name"`
	Description string     `json:"description"`
	Rights      []string   `json:"permissions"`
	BuiltIn     bool       `json:"isBuiltIn"`
	Created     *time.Time `json:"createdDateTimeUtc"`
}

func showRole(r *access.Role) role {
	return role{ID: string(r.ID), Name: r.Name, Description: r.Description, Rights: texts(r.Rights), BuiltIn: r.Tenant == "", Created: moment(r.Created)}
}

func (a *API) roles() *kept[access.RoleRequest, access.Role, ident.RoleID, role] {
	d := a.directory
	return &kept[access.RoleRequest, access.Role, ident.RoleID, role]{API: a, noun: "role", variable: "roleId",
		read: roleRequest, create: d.NewRole, change: d.ChangeRole, remove: d.DeleteRole, show: showRole,
		describe: func(o *access.Role) (ident.RoleID, string) {
			return o.ID, o.Name + ": " + strings.Join(texts(o.Rights), " ")
		}}
}

func (a *API) listRoles(w http.ResponseWriter, r *api.Request) error {
	all, err := a.directory.Roles(r.Context(), r.Caller.Tenant)
	if err != nil {
		return err
	}
	out := make([]role, len(all))
	for i := range all {
		out[i] = showRole(&all[i])
	}
	return values(w, r, out)
}

func roleRequest(r *api.Request) (access.RoleRequest, error) {
	var out access.RoleRequest
	body, err := r.JSON()
	if err != nil {
		return out, err
	}
	if out.Name, err = body.RequireString("name"); err != nil {
		return out, err
	}
	if out.Description, err = body.String("description"); err != nil {
		return out, err
	}
	out.Rights, err = ids[access.Right](body, "permissions")
	return out, err
}

type userGroupBody struct {
	Name        string   `json:"name" doc:"required,max=256"`
	Description string   `json:"description" doc:"max=2000"`
	Roles       []string `json:"roles"`
}

// userGroup is a group of people as it is answered.
type userGroup struct {
	ID          string    `json:"id"`
	Name        string    `json:"name"`
	Description string    `json:"description"`
	Roles       []string  `json:"roles"`
	Created     time.Time `json:"createdDateTimeUtc"`
}

func showUserGroup(g *access.UserGroup) userGroup {
	return userGroup{ID: string(g.ID), Name: g.Name, Description: g.Description, Roles: texts(g.Roles), Created: g.Created}
}

func (a *API) userGroups() *kept[access.UserGroupRequest, access.UserGroup, ident.UserGroupID, userGroup] {
	d := a.directory
	return &kept[access.UserGroupRequest, access.UserGroup, ident.UserGroupID, userGroup]{API: a, noun: "usergroup", variable: "userGroupId",
		read: userGroupRequest, create: d.NewUserGroup, change: d.ChangeUserGroup, remove: d.DeleteUserGroup, show: showUserGroup,
		describe: func(g *access.UserGroup) (ident.UserGroupID, string) {
			return g.ID, g.Name + ": " + strings.Join(texts(g.Roles), " ")
		}}
}

func (a *API) listUserGroups(w http.ResponseWriter, r *api.Request) error {
	all, err := a.directory.UserGroups(r.Context(), r.Caller.Tenant)
	if err != nil {
		return err
	}
	out := make([]userGroup, len(all))
	for i, g := range all {
		out[i] = showUserGroup(g)
	}
	return values(w, r, out)
}

func userGroupRequest(r *api.Request) (access.UserGroupRequest, error) {
	var out access.UserGroupRequest
	body, err := r.JSON()
	if err != nil {
		return out, err
	}
	if out.Name, err = body.RequireString("name"); err != nil {
		return out, err
	}
	if out.Description, err = body.String("description"); err != nil {
		return out, err
	}
	out.Roles, err = ids[ident.RoleID](body, "roles")
	return out, err
}
