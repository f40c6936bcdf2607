package main

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/vedette-edr/vedette/client"
)

type suppressionCommand struct {
	List    suppressionList   `cmd:"" help:"List suppression rules with what they suppressed."`
	Create  suppressionCreate `cmd:"" help:"Create a rule: alerts that meet all of its conditions are kept as resolved."`
	Enable  suppressionSwitch `cmd:"" help:"Put a rule in force."`
	Disable suppressionOff    `cmd:"" help:"Take a rule out of force."`
	Delete  suppressionDelete `cmd:"" help:"Delete a rule; what it suppressed stays resolved."`
}

const suppressions = "/api/vedette/suppressions"

type suppressionList struct{}

func (*suppressionList) Run(s *session) error {
	return list(s, suppressions, client.List{}, []string{"ID", "NAME", "ENABLED", "ACTION", "MATCHED", "LAST", "CONDITIONS"}, func(x client.Suppression) []string {
		return []string{fmt.Sprint(x.ID), x.Name, fmt.Sprint(x.Enabled), x.Action, fmt.Sprint(x.Matched), when(x.LastMatched), conditions(x.Conditions)}
	})
}

func conditions(cs []client.Condition) string {
	var out []string
	for _, c := range cs {
		out = append(out, c.Field+" "+c.Op+" "+strings.Join(c.Values, "|"))
	}
	return strings.Join(out, " and ")
}

type suppressionCreate struct {
	Name    string   `arg:"" help:"Name of the rule."`
	When    []string `required:"" sep:"none" help:"Condition FIELD OP VALUE[|VALUE…], such as 'title equals Odd' or 'filePath matches /opt/*'; may be given several times, all must hold."`
	Action  string   `help:"Hide keeps matching alerts out of incidents and notifications, Resolve files them as done." default:"Resolve"`
	Machine []string `help:"Device id that it is limited to; may be given several times."`
	Group   []int64  `help:"Device group that it is limited to; may be given several times."`
	Comment string   `help:"Why."`
}

func (x *suppressionCreate) Run(s *session) error {
	body := map[string]any{"name": x.Name, "action": x.Action, "comment": x.Comment, "machineIds": x.Machine, "rbacGroupIds": x.Group}
	var cs []client.Condition
	for _, w := range x.When {
		c, err := condition(w)
		if err != nil {
			return err
		}
		cs = append(cs, c)
	}
	body["conditions"] = cs
	c, err := s.client()
	if err != nil {
		return err
	}
	var out client.Suppression
	if err := c.Do(s.ctx, http.MethodPost, suppressions, body, &out); err != nil {
		return err
	}
	return printSuppression(s, &out)
}

// condition reads "FIELD OP VALUE|VALUE".
func condition(text string) (client.Condition, error) {
	field, rest, ok := strings.Cut(strings.TrimSpace(text), " ")
	op, value, ok2 := strings.Cut(strings.TrimSpace(rest), " ")
	if !ok || !ok2 {
		return client.Condition{}, fmt.Errorf("--when %q: a condition is FIELD OP VALUE, such as 'title equals Odd'", text)
	}
	return client.Condition{Field: field, Op: op, Values: strings.Split(strings.TrimSpace(value), "|")}, nil
}

func printSuppression(s *session, x *client.Suppression) error {
	return s.out.one(x, [][2]string{{"Id", fmt.Sprint(x.ID)}, {"Name", x.Name}, {"Enabled", fmt.Sprint(x.Enabled)}, {"Action", x.Action},
		{"Devices", strings.Join(x.MachineIDs, ", ")}, {"Conditions", conditions(x.Conditions)}, {"Matched", fmt.Sprint(x.Matched)},
		{"Last match", when(x.LastMatched)}, {"Created by", x.CreatedBy}, {"Comment", x.Comment}})
}

type suppressionSwitch struct {
	ID int64 `arg:"" help:"Rule id."`
}

func (x *suppressionSwitch) Run(s *session) error { return enable(s, suppressions, x.ID, true) }

type suppressionOff struct {
	ID int64 `arg:"" help:"Rule id."`
}

func (x *suppressionOff) Run(s *session) error { return enable(s, suppressions, x.ID, false) }

// enable puts a rule in force or out of it.
func enable(s *session, root string, id int64, on bool) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	return c.Do(s.ctx, http.MethodPatch, fmt.Sprintf("%s/%d", root, id), map[string]any{"enabled": on}, nil)
}

type suppressionDelete struct {
	ID int64 `arg:"" help:"Rule id."`
}

func (x *suppressionDelete) Run(s *session) error { return drop(s, suppressions, fmt.Sprint(x.ID)) }

func drop(s *session, root, id string) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	return c.Do(s.ctx, http.MethodDelete, root+"/"+id, nil, nil)
}
