package admin

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/api"
	"github.com/vedette-edr/vedette/server/device/group"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
)

func (a *API) groupRoutes() []api.Route {
	const root = "/devicegroups"
	// Who sees devices sees the groups they are in, as far as they are the caller's.
	reading := func(r api.Route) api.Route {
		r.Need = []access.Permission{access.MachineRead, access.ServerAdmin}
		return r
	}
	return []api.Route{
		reading(answering(administer(http.MethodGet, root, "List device groups by rank", a.listGroups), nil, []deviceGroup{}, 0)),
		reading(answering(administer(http.MethodGet, root+"/{deviceGroupId}", "Get a device group", a.getGroup), nil, deviceGroup{}, 0)),
		answering(administer(http.MethodPost, root, "Make a device group", a.createGroup), groupBody{}, deviceGroup{}, http.StatusCreated),
		answering(administer(http.MethodPut, root+"/{deviceGroupId}", "Change a device group", a.changeGroup), groupBody{}, deviceGroup{}, 0),
		answering(administer(http.MethodDelete, root+"/{deviceGroupId}", "Delete a device group", a.deleteGroup), nil, nil, http.StatusNoContent),
		answering(administer(http.MethodPost, root+"/preview", "Show which devices rules match", a.previewGroup), previewBody{}, preview{}, 0),
	}
}

type condition struct {
	Property string   `json:"property" doc:"required,enum=Name|Domain|Tag|OS"`
	Operator string   `json:"operator" doc:"required,enum=StartsWith|EndsWith|Contains|Equals|In"`
	Values   []string `json:"values" doc:"required"`
}

type groupBody struct {
	Name        string      `json:"name" doc:"required,max=256"`
	Description string      `json:"description" doc:"max=2000"`
	Automation  string      `json:"automationLevel" doc:"enum=Full|SemiAllFolders|SemiCoreFolders|SemiNonTempFolders|None"`
	Rules       []condition `json:"rules" doc:"max=20"`
	Rank        int         `json:"rank"`
	UserGroups  []string    `json:"userGroups"`
	Roles       []string    `json:"roles"`
}

type previewBody struct {
	Rules []condition `json:"rules" doc:"required"`
}

// deviceGroup is a device group as it is answered; the published API has none.
type deviceGroup struct {
	ID          int64       `json:"rbacGroupId"`
	Name        string      `json:"rbacGroupName"`
	Description string      `json:"description"`
	Automation  string      `json:"automationLevel"`
	Rules       []condition `json:"rules"`
	Rank        *int        `json:"rank"` // null for the default group
	UserGroups  []string    `json:"userGroups"`
	Roles       []string    `json:"roles"`
	Devices     int64       `json:"deviceCount"`
	Created     *time.Time  `json:"createdDateTimeUtc"`
	Updated     *time.Time  `json:"lastUpdateDateTimeUtc"`
}

// preview is the devices that rules match.
type preview struct {
	Total   int             `json:"total"`
	Devices []previewDevice `json:"machines"`
}

type previewDevice struct {
	ID   string `json:"id"`
	Name string `json:"computerDnsName"`
}

func showGroup(g *group.Group, devices int64) deviceGroup {
	out := deviceGroup{ID: g.ID, Name: g.Name, Description: g.Description, Automation: string(g.Automation), Rules: []condition{},
		UserGroups: texts(g.Access.UserGroups), Roles: texts(g.Access.Roles), Devices: devices, Created: moment(g.Created), Updated: moment(g.Updated)}
	if g.ID != group.Default {
		rank := g.Rank
		out.Rank = &rank
	}
	for _, c := range g.Rules {
		out.Rules = append(out.Rules, condition{string(c.Property), string(c.Operator), c.Values})
	}
	return out
}

func (a *API) writeGroup(w http.ResponseWriter, r *api.Request, status int, g *group.Group) error {
	sizes, err := a.groups.Sizes(r.Context(), r.Caller.Tenant)
	if err != nil {
		return err
	}
	return write(w, r, status, showGroup(g, sizes[g.ID]))
}

func (a *API) listGroups(w http.ResponseWriter, r *api.Request) error {
	sizes, err := a.groups.Sizes(r.Context(), r.Caller.Tenant)
	if err != nil {
		return err
	}
	var out []deviceGroup
	for _, g := range a.groups.Visible(r.Context(), r.Caller.Tenant) {
		out = append(out, showGroup(g, sizes[g.ID]))
	}
	return values(w, r, out)
}

// groupID reads an id. What is no number names no group.
func groupID(r *api.Request) (int64, error) {
	n, err := strconv.ParseInt(r.Var("deviceGroupId"), 10, 64)
	if err != nil {
		return 0, errs.New("admin.group", errs.NotFound, errs.ResourceNotFound, "Device group %s was not found", r.Var("deviceGroupId"))
	}
	return n, nil
}

func (a *API) getGroup(w http.ResponseWriter, r *api.Request) error {
	id, err := groupID(r)
	if err != nil {
		return err
	}
	g, err := a.groups.Get(r.Context(), r.Caller.Tenant, id)
	if err != nil {
		return err
	}
	return a.writeGroup(w, r, http.StatusOK, g)
}

func conditions(body *api.Object) ([]group.Condition, error) {
	lines, err := body.Objects("rules")
	if err != nil {
		return nil, err
	}
	var out []group.Condition
	for _, line := range lines {
		property, err := line.RequireString("property")
		if err != nil {
			return nil, err
		}
		operator, err := line.RequireString("operator")
		if err != nil {
			return nil, err
		}
		values, err := line.Texts("values")
		if err != nil {
			return nil, err
		}
		out = append(out, group.Condition{Property: group.Property(property), Operator: group.Operator(operator), Values: values})
	}
	return out, nil
}

func groupRequest(r *api.Request) (group.Request, error) {
	var out group.Request
	body, err := r.JSON()
	if err != nil {
		return out, err
	}
	var automation string
	for name, to := range map[string]*string{"name": &out.Name, "description": &out.Description, "automationLevel": &automation} {
		if *to, err = body.String(name); err != nil {
			return out, err
		}
	}
	out.Automation = group.Automation(automation)
	if out.Rules, err = conditions(body); err != nil {
		return out, err
	}
	rank, err := body.Int("rank")
	if err != nil {
		return out, err
	}
	if out.Rank = int(rank); int64(out.Rank) != rank {
		return out, invalid("rank is out of bounds")
	}
	if out.Access.UserGroups, err = ids[ident.UserGroupID](body, "userGroups"); err != nil {
		return out, err
	}
	out.Access.Roles, err = ids[ident.RoleID](body, "roles")
	return out, err
}

func (a *API) createGroup(w http.ResponseWriter, r *api.Request) error {
	req, err := groupRequest(r)
	if err != nil {
		return err
	}
	g, err := a.groups.Create(r.Context(), r.Caller, req)
	if err != nil {
		return err
	}
	return a.writeGroup(w, r, http.StatusCreated, g)
}

func (a *API) changeGroup(w http.ResponseWriter, r *api.Request) error {
	id, err := groupID(r)
	if err != nil {
		return err
	}
	req, err := groupRequest(r)
	if err != nil {
		return err
	}
	g, err := a.groups.Change(r.Context(), r.Caller, id, req)
	if err != nil {
		return err
	}
	return a.writeGroup(w, r, http.StatusOK, g)
}

func (a *API) deleteGroup(w http.ResponseWriter, r *api.Request) error {
	id, err := groupID(r)
	if err != nil {
		return err
	}
	if err := a.groups.Delete(r.Context(), r.Caller, id); err != nil {
		return err
	}
	return api.WriteEmpty(w, http.StatusNoContent)
}

func (a *API) previewGroup(w http.ResponseWriter, r *api.Request) error {
	body, err := r.JSON()
	if err != nil {
		return err
	}
	rules, err := conditions(body)
	if err != nil {
		return err
	}
	p, err := a.groups.Preview(r.Context(), r.Caller, rules)
	if err != nil {
		return err
	}
	out := preview{Total: p.Total, Devices: []previewDevice{}}
	for _, t := range p.Devices {
		out.Devices = append(out.Devices, previewDevice{string(t.ID), t.Name})
	}
	return write(w, r, http.StatusOK, out)
}

func invalid(format string, args ...any) error {
	return errs.New("admin", errs.Invalid, errs.InvalidInput, "%s", fmt.Sprintf(format, args...))
}
