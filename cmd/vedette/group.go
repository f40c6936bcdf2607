package main

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/vedette-edr/vedette/client"
)

const groupPath = "/api/vedette/devicegroups"

type groupCommand struct {
	List    groupList    `cmd:"" help:"List device groups by rank."`
	Create  groupCreate  `cmd:"" help:"Make a device group."`
	Update  groupUpdate  `cmd:"" help:"Replace what a device group is."`
	Delete  groupDelete  `cmd:"" help:"Delete a device group; its devices go where the other rules put them."`
	Preview groupPreview `cmd:"" help:"Show which devices rules match."`
}

type groupList struct{}

func (*groupList) Run(s *session) error {
	return all(s, groupPath, []string{"RANK", "NAME", "ID", "DEVICES", "AUTOMATION", "RULES", "ACCESS"}, func(g client.DeviceGroup) []string {
		rank := "last"
		if g.Rank != nil {
			rank = strconv.Itoa(*g.Rank)
		}
		return []string{rank, g.Name, strconv.FormatInt(g.ID, 10), strconv.FormatInt(g.Devices, 10), g.Automation, ruleText(g.Rules),
			strings.Join(append(g.UserGroups, g.Roles...), ",")}
	})
}

func ruleText(rules []client.GroupRule) string {
	parts := make([]string, len(rules))
	for i, r := range rules {
		parts[i] = r.Property + ":" + r.Operator + ":" + strings.Join(r.Values, "|")
	}
	return strings.Join(parts, " ")
}

// groupRules is how rules are given: each must hold.
type groupRules struct {
	Rule []string `help:"Condition as PROPERTY:OPERATOR:VALUE|VALUE, such as 'Tag:Equals:vip' or 'Name:StartsWith:web|db'; may be given several times, and all must hold. Properties: Name, Domain, Tag, OS; operators: StartsWith, EndsWith, Contains, Equals, In." sep:"none"`
}

func (g *groupRules) parse() ([]client.GroupRule, error) {
	rules := []client.GroupRule{}
	for _, text := range g.Rule {
		parts := strings.SplitN(text, ":", 3)
		if len(parts) != 3 {
			return nil, fmt.Errorf("rule %q: it is PROPERTY:OPERATOR:VALUE|VALUE", text)
		}
		rules = append(rules, client.GroupRule{Property: parts[0], Operator: parts[1], Values: strings.Split(parts[2], "|")})
	}
	return rules, nil
}

type groupFlags struct {
	groupRules
	Description string   `help:"What it is for."`
	Automation  string   `help:"How far automated remediation goes without approval: Full, SemiAllFolders, SemiCoreFolders, SemiNonTempFolders, None." default:"Full"`
	Rank        int      `help:"Where it goes: 1 for the top; without it the end, or where it is."`
	UserGroup   []string `help:"Id of a user group whose members see its devices; without any, everybody does."`
	Role        []string `help:"Id of a role whose holders see its devices."`
}

func (f *groupFlags) body(name string) (map[string]any, error) {
	rules, err := f.parse()
	return map[string]any{"name": name, "description": f.Description, "automationLevel": f.Automation, "rank": f.Rank, "rules": rules,
		"userGroups": f.UserGroup, "roles": f.Role}, err
}

func showGroup(g client.DeviceGroup) [][2]string {
	return [][2]string{{"Name", g.Name}, {"Id", strconv.FormatInt(g.ID, 10)}, {"Description", g.Description}, {"Automation", g.Automation},
		{"Rules", ruleText(g.Rules)}, {"User groups", strings.Join(g.UserGroups, ", ")}, {"Roles", strings.Join(g.Roles, ", ")}}
}

type groupCreate struct {
	Name string `arg:"" help:"Name of the group."`
	groupFlags
}

func (g *groupCreate) Run(s *session) error {
	b, err := g.body(g.Name)
	if err != nil {
		return err
	}
	return send(s, http.MethodPost, groupPath, b, showGroup)
}

type groupUpdate struct {
	ID   int64  `arg:"" help:"Id of the group; 0 for the default one."`
	Name string `arg:"" help:"Name of the group." optional:""`
	groupFlags
}

func (g *groupUpdate) Run(s *session) error {
	b, err := g.body(g.Name)
	if err != nil {
		return err
	}
	return send(s, http.MethodPut, fmt.Sprintf("%s/%d", groupPath, g.ID), b, showGroup)
}

type groupDelete struct {
	ID int64 `arg:"" help:"Id of the group."`
}

func (g *groupDelete) Run(s *session) error {
	return s.do(http.MethodDelete, fmt.Sprintf("%s/%d", groupPath, g.ID), nil)
}

type groupPreview struct{ groupRules }

func (g *groupPreview) Run(s *session) error {
	rules, err := g.parse()
	if err != nil {
		return err
	}
	c, err := s.client()
	if err != nil {
		return err
	}
	var out struct {
		Total    int              `json:"total"`
		Machines []client.Machine `json:"machines"`
	}
	if err := c.Do(s.ctx, http.MethodPost, groupPath+"/preview", map[string]any{"rules": rules}, &out); err != nil {
		return err
	}
	cells := make([][]string, len(out.Machines))
	for i, m := range out.Machines {
		cells[i] = []string{m.Name, m.ID}
	}
	if err := s.out.rows(out, []string{"NAME", "ID"}, cells); err != nil {
		return err
	}
	if out.Total > len(out.Machines) {
		fmt.Fprintf(s.errs, "%d devices match; the first %d are shown\n", out.Total, len(out.Machines))
	}
	return nil
}
