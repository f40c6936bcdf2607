package main

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/vedette-edr/vedette/client"
)

// listFlags are the flags of every list.
type listFlags struct {
	Filter string `help:"OData filter, for example: severity eq 'High'."`
	Top    int    `help:"Items at most." default:"50"`
}

func (l listFlags) list() client.List { return client.List{Filter: l.Filter, Top: l.Top} }

// list prints the list at path, one row of cells for each item.
func list[T any](s *session, path string, l client.List, header []string, row func(T) []string) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	items, err := client.All[T](s.ctx, c, path, l)
	// The published API answers 404 where there is no device yet; to a person that is an empty list.
	if err != nil && !notFound(err) {
		return err
	}
	cells := make([][]string, len(items))
	for i, item := range items {
		cells[i] = row(item)
	}
	return s.out.rows(items, header, cells)
}

type alertCommand struct {
	List   alertList   `cmd:"" help:"List alerts, newest first."`
	Get    alertGet    `cmd:"" help:"Show one alert with its evidence."`
	Update alertUpdate `cmd:"" help:"Change status, assignment, classification; add a comment."`
}

type alertList struct{ listFlags }

func (a *alertList) Run(s *session) error {
	l := a.list()
	l.Expand = "evidence"
	return list(s, "/api/alerts", l, []string{"CREATED", "SEVERITY", "STATUS", "TITLE", "DEVICE", "PROCESS", "ID"}, func(a client.Alert) []string {
		return []string{when(a.Created), a.Severity, a.Status, a.Title, a.MachineName, process(a), a.ID}
	})
}

// process names the first process of an alert's evidence.
func process(a client.Alert) string {
	for _, e := range a.Evidence {
		if e.Type == "Process" {
			if t := text(e.CommandLine); t != "" {
				return t
			}
			return text(e.FileName)
		}
	}
	return ""
}

type alertGet struct {
	ID string `arg:"" help:"Alert id."`
}

func (a *alertGet) Run(s *session) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	var al client.Alert
	if err := c.Do(s.ctx, http.MethodGet, "/api/alerts/"+url.PathEscape(a.ID), nil, &al); err != nil {
		return err
	}
	return printAlert(s, &al)
}

func printAlert(s *session, a *client.Alert) error {
	fields := [][2]string{
		{"Id", a.ID}, {"Title", a.Title}, {"Severity", a.Severity}, {"Status", a.Status},
		{"Category", a.Category}, {"Source", a.DetectionSource}, {"Device", a.MachineName + " (" + a.MachineID + ")"},
		{"Created", when(a.Created)}, {"First event", when(a.FirstEvent)}, {"Last event", when(a.LastEvent)},
		{"Assigned to", a.AssignedTo}, {"Classification", text(a.Classification)}, {"Determination", text(a.Determination)},
		{"Description", a.Description}, {"Recommended", a.Recommended},
	}
	for _, e := range a.Evidence {
		var parts []string
		for _, p := range []string{text(e.FilePath), text(e.CommandLine), text(e.IP), text(e.URL), text(e.Account), text(e.SHA256)} {
			if p != "" {
				parts = append(parts, p)
			}
		}
		fields = append(fields, [2]string{"Evidence", e.Type + ": " + strings.Join(parts, "  ")})
	}
	return s.out.one(a, fields)
}

type alertUpdate struct {
	ID             string `arg:"" help:"Alert id."`
	Status         string `help:"New, InProgress or Resolved."`
	AssignedTo     string `help:"Who works on it."`
	Classification string `help:"TruePositive, InformationalExpectedActivity or FalsePositive."`
	Determination  string `help:"What it was, such as Malware or SecurityTesting."`
	Comment        string `help:"A comment to add."`
}

func (a *alertUpdate) Run(s *session) error {
	body := map[string]string{}
	for k, v := range map[string]string{"status": a.Status, "assignedTo": a.AssignedTo,
		"classification": a.Classification, "determination": a.Determination, "comment": a.Comment} {
		if v != "" {
			body[k] = v
		}
	}
	c, err := s.client()
	if err != nil {
		return err
	}
	var al client.Alert
	if err := c.Do(s.ctx, http.MethodPatch, "/api/alerts/"+url.PathEscape(a.ID), body, &al); err != nil {
		return err
	}
	return printAlert(s, &al)
}
