package main

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/vedette-edr/vedette/client"
)

type incidentCommand struct {
	List    incidentList    `cmd:"" help:"List incidents, newest first."`
	Show    incidentShow    `cmd:"" aliases:"get" help:"Show one incident with its alerts."`
	Update  incidentUpdate  `cmd:"" help:"Change status, assignment, classification, tags, name; add a comment. Resolving it resolves its alerts."`
	Merge   incidentMerge   `cmd:"" help:"Merge an incident into another, to which it redirects from then on."`
	Move    incidentMove    `cmd:"" help:"Move alerts to another incident, or to a new one."`
	History incidentHistory `cmd:"" help:"Who changed what on an incident, and when."`
}

type incidentList struct{ listFlags }

func (i *incidentList) Run(s *session) error {
	l := i.list()
	return list(s, "/api/incidents", l, []string{"ID", "CREATED", "SEVERITY", "STATUS", "ALERTS", "NAME", "ASSIGNED TO"}, func(x client.Incident) []string {
		return []string{fmt.Sprint(x.ID), when(x.Created), x.Severity, x.Status, fmt.Sprint(len(x.Alerts)), x.Name, text(x.AssignedTo)}
	})
}

type incidentShow struct {
	ID int64 `arg:"" help:"Incident id."`
}

func (i *incidentShow) Run(s *session) error { return showIncident(s, i.ID) }

func showIncident(s *session, id int64) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	var x client.Incident
	if err := c.Do(s.ctx, http.MethodGet, fmt.Sprintf("/api/incidents/%d", id), nil, &x); err != nil {
		return err
	}
	return printIncident(s, &x)
}

func printIncident(s *session, x *client.Incident) error {
	fields := [][2]string{
		{"Id", fmt.Sprint(x.ID)}, {"Name", x.Name}, {"Severity", x.Severity}, {"Status", x.Status}, {"Redirects to", numberText(x.Redirect)},
		{"Created", when(x.Created)}, {"Updated", when(x.Updated)}, {"Assigned to", text(x.AssignedTo)},
		{"Classification", x.Classification}, {"Determination", x.Determination}, {"Tags", strings.Join(x.Tags, ", ")},
	}
	for _, c := range x.Comments {
		fields = append(fields, [2]string{"Comment", when(c.Created) + " " + c.By + ": " + oneLine(c.Text)})
	}
	for _, a := range x.Alerts {
		device := ""
		if len(a.Devices) > 0 {
			device = text(a.Devices[0].Name)
		}
		fields = append(fields, [2]string{"Alert", strings.Join([]string{a.ID, when(a.Created), a.Severity, a.Status, device, oneLine(a.Title)}, "  ")})
	}
	return s.out.one(x, fields)
}

type incidentUpdate struct {
	ID             int64    `arg:"" help:"Incident id."`
	Status         string   `help:"Active, InProgress or Resolved."`
	AssignedTo     string   `help:"Who works on it."`
	Classification string   `help:"TruePositive, InformationalExpectedActivity or FalsePositive."`
	Determination  string   `help:"What it was, such as Malware or SecurityTesting."`
	Tag            []string `help:"Tags that replace those it has; may be given several times."`
	Comment        string   `help:"A comment to add."`
	Name           string   `help:"A name of its own."`
	Severity       string   `help:"Informational, Low, Medium or High."`
	Summary        string   `help:"What happened, in words."`
}

func (i *incidentUpdate) Run(s *session) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	published := given(map[string]string{"status": i.Status, "assignedTo": i.AssignedTo, "classification": i.Classification,
		"determination": i.Determination, "comment": i.Comment})
	if i.Tag != nil {
		published["tags"] = i.Tag
	}
	own := given(map[string]string{"incidentName": i.Name, "severity": i.Severity, "summary": i.Summary})
	if len(own) > 0 {
		if err := c.Do(s.ctx, http.MethodPatch, fmt.Sprintf("/api/vedette/incidents/%d", i.ID), own, nil); err != nil {
			return err
		}
	}
	if len(published) > 0 || len(own) == 0 {
		if err := c.Do(s.ctx, http.MethodPatch, fmt.Sprintf("/api/incidents/%d", i.ID), published, nil); err != nil {
			return err
		}
	}
	return showIncident(s, i.ID)
}

type incidentMerge struct {
	ID   int64 `arg:"" help:"Incident that is merged."`
	Into int64 `required:"" help:"Incident that takes its alerts."`
}

func (i *incidentMerge) Run(s *session) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	if err := c.Do(s.ctx, http.MethodPost, fmt.Sprintf("/api/vedette/incidents/%d/merge", i.ID), map[string]any{"into": i.Into}, nil); err != nil {
		return err
	}
	return showIncident(s, i.Into)
}

type incidentMove struct {
	Alert []string `arg:"" help:"Alert ids."`
	To    int64    `help:"Incident that takes them; without it they make a new one."`
}

func (i *incidentMove) Run(s *session) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	body := map[string]any{"alertIds": i.Alert}
	if i.To != 0 {
		body["incidentId"] = i.To
	}
	var x client.Incident
	if err := c.Do(s.ctx, http.MethodPost, "/api/vedette/incidents/move", body, &x); err != nil {
		return err
	}
	return showIncident(s, x.ID)
}

type incidentHistory struct {
	ID int64 `arg:"" help:"Incident id."`
}

func (i *incidentHistory) Run(s *session) error {
	return printHistory(s, fmt.Sprintf("/api/vedette/incidents/%d/history", i.ID))
}
