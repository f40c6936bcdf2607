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
	return []api.Route{
		answering(administer(http.MethodGet, "/roles", "List roles", a.listRoles), nil, []role{}, 0),
		answering(administer(http.MethodPost, "/roles", "Make a role", a.createRole), roleBody{}, role{}, http.StatusCreated),
		answering(administer(http.MethodPut, "/roles/{roleId}", "Change a role", a.changeRole), roleBody{}, role{}, 0),
		answering(administer(http.MethodDelete, "/roles/{roleId}", "Delete a role", a.deleteRole), nil, nil, http.StatusNoContent),
		answering(administer(http.MethodGet, "/usergroups", "List user groups", a.listUserGroups), nil, []userGroup{}, 0),
		answering(administer(http.MethodPost, "/usergroups", "Make a user group", a.createUserGroup), userGroupBody{}, userGroup{}, http.StatusCreated),
		answering(administer(http.MethodPut, "/usergroups/{userGroupId}", "Change a user group", a.changeUserGroup), userGroupBody{}, userGroup{}, 0),
		answering(administer(http.MethodDelete, "/usergroups/{userGroupId}", "Delete a user group", a.deleteUserGroup), nil, nil, http.StatusNoContent),
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

func (a *API) createRole(w http.ResponseWriter, r *api.Request) error {
	req, err := roleRequest(r)
	if err != nil {
		return err
	}
	o, err := a.directory.NewRole(r.Context(), r.Caller.Tenant, req)
	if err != nil {
		return err
	}
	if err := a.record(r, "role.create", string(o.ID), o.Name+": "+strings.Join(texts(o.Rights), " ")); err != nil {
		return err
	}
	return write(w, r, http.StatusCreated, showRole(o))
}

func (a *API) changeRole(w http.ResponseWriter, r *api.Request) error {
	req, err := roleRequest(r)
	if err != nil {
		return err
	}
	o, err := a.directory.ChangeRole(r.Context(), r.Caller.Tenant, ident.RoleID(strings.ToLower(r.Var("roleId"))), req)
	if err != nil {
		return err
	}
	if err := a.record(r, "role.change", string(o.ID), o.Name+": "+strings.Join(texts(o.Rights), " ")); err != nil {
		return err
	}
	return write(w, r, http.StatusOK, showRole(o))
}

func (a *API) deleteRole(w http.ResponseWriter, r *api.Request) error {
	id := ident.RoleID(strings.ToLower(r.Var("roleId")))
	if err := a.directory.DeleteRole(r.Context(), r.Caller.Tenant, id); err != nil {
		return err
	}
	return a.done(w, r, "role.delete", string(id), "")
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

func (a *API) createUserGroup(w http.ResponseWriter, r *api.Request) error {
	req, err := userGroupRequest(r)
	if err != nil {
		return err
	}
	g, err := a.directory.NewUserGroup(r.Context(), r.Caller.Tenant, req)
	if err != nil {
		return err
	}
	if err := a.record(r, "usergroup.create", string(g.ID), g.Name+": "+strings.Join(texts(g.Roles), " ")); err != nil {
		return err
	}
	return write(w, r, http.StatusCreated, showUserGroup(g))
}

func (a *API) changeUserGroup(w http.ResponseWriter, r *api.Request) error {
	req, err := userGroupRequest(r)
	if err != nil {
		return err
	}
	g, err := a.directory.ChangeUserGroup(r.Context(), r.Caller.Tenant, ident.UserGroupID(strings.ToLower(r.Var("userGroupId"))), req)
	if err != nil {
		return err
	}
	if err := a.record(r, "usergroup.change", string(g.ID), g.Name+": "+strings.Join(texts(g.Roles), " ")); err != nil {
		return err
	}
	return write(w, r, http.StatusOK, showUserGroup(g))
}

func (a *API) deleteUserGroup(w http.ResponseWriter, r *api.Request) error {
	id := ident.UserGroupID(strings.ToLower(r.Var("userGroupId")))
	if err := a.directory.DeleteUserGroup(r.Context(), r.Caller.Tenant, id); err != nil {
		return err
	}
	return a.done(w, r, "usergroup.delete", string(id), "")
}
