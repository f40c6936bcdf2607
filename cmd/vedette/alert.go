package main

import (
	"fmt"
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
	List    alertList    `cmd:"" help:"List alerts, newest first."`
	Get     alertGet     `cmd:"" aliases:"show" help:"Show one alert with its evidence."`
	Update  alertUpdate  `cmd:"" help:"Change status, assignment, classification; add a comment. Of several alerts: all or none."`
	History alertHistory `cmd:"" help:"Who changed what on an alert, and when."`
	Tree    alertTree    `cmd:"" help:"The processes around an alert."`
	Create  alertCreate  `cmd:"" help:"Raise an alert for an event found by hunting."`
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
		{"Incident", numberText(a.IncidentID)}, {"Assigned to", a.AssignedTo}, {"Classification", text(a.Classification)}, {"Determination", text(a.Determination)},
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
	ID             []string `arg:"" help:"Alert ids."`
	Status         string   `help:"New, InProgress or Resolved."`
	AssignedTo     string   `help:"Who works on it."`
	Classification string   `help:"TruePositive, InformationalExpectedActivity or FalsePositive."`
	Determination  string   `help:"What it was, such as Malware or SecurityTesting."`
	Comment        string   `help:"A comment to add."`
}

func (a *alertUpdate) Run(s *session) error {
	body := given(map[string]string{"status": a.Status, "assignedTo": a.AssignedTo,
		"classification": a.Classification, "determination": a.Determination, "comment": a.Comment})
	c, err := s.client()
	if err != nil {
		return err
	}
	if len(a.ID) > 1 {
		body["alertIds"] = a.ID
		if err := c.Do(s.ctx, http.MethodPost, "/api/alerts/batchUpdate", body, nil); err != nil {
			return err
		}
		return s.out.one(a.ID, [][2]string{{"Changed", fmt.Sprint(len(a.ID), " alerts")}})
	}
	var al client.Alert
	if err := c.Do(s.ctx, http.MethodPatch, "/api/alerts/"+url.PathEscape(a.ID[0]), body, &al); err != nil {
		return err
	}
	return printAlert(s, &al)
}

// given keeps what was given.
func given(fields map[string]string) map[string]any {
	out := map[string]any{}
	for k, v := range fields {
		if v != "" {
			out[k] = v
		}
	}
	return out
}

func numberText(n *int64) string {
	if n == nil || *n == 0 {
		return ""
	}
	return fmt.Sprint(*n)
}

type alertHistory struct {
	ID string `arg:"" help:"Alert id."`
}

func (a *alertHistory) Run(s *session) error {
	return printHistory(s, "/api/vedette/alerts/"+url.PathEscape(a.ID)+"/history")
}

func printHistory(s *session, path string) error {
	return list(s, path, client.List{}, []string{"TIME", "BY", "FIELD", "FROM", "TO"}, func(h client.Change) []string {
		return []string{when(&h.Time), h.By, h.Field, h.Old, h.New}
	})
}

type alertTree struct {
	ID string `arg:"" help:"Alert id."`
}

func (a *alertTree) Run(s *session) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	var t client.ProcessTree
	if err := c.Do(s.ctx, http.MethodGet, "/api/vedette/alerts/"+url.PathEscape(a.ID)+"/tree", nil, &t); err != nil {
		return err
	}
	cells := make([][]string, len(t.Processes))
	depth := make([]int, len(t.Processes))
	for i, p := range t.Processes {
		if p.Parent >= 0 && p.Parent < i {
			depth[i] = depth[p.Parent] + 1
		}
		mark := ""
		if p.InAlert {
			mark = "*"
		}
		name := p.CommandLine
		if name == "" {
			name = p.FileName
		}
		cells[i] = []string{mark, fmt.Sprint(p.ProcessID), when(p.Created), p.Account, strings.Repeat("  ", depth[i]) + name}
	}
	return s.out.rows(t, []string{"", "PID", "STARTED", "ACCOUNT", "PROCESS"}, cells)
}

type alertCreate struct {
	Machine     string `required:"" help:"Device id or name of the event."`
	Time        string `required:"" help:"Timestamp of the event, exactly."`
	ReportID    string `required:"" help:"ReportId of the event."`
	Title       string `required:"" help:"Title of the alert."`
	Description string `required:"" help:"What happened."`
	Recommended string `required:"" help:"What to do about it."`
	Severity    string `help:"Low, Medium or High." default:"Medium"`
	Category    string `help:"Such as Execution or Persistence." default:"SuspiciousActivity"`
}

func (a *alertCreate) Run(s *session) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	m, err := c.Machine(s.ctx, a.Machine)
	if err != nil {
		return err
	}
	var al client.Alert
	if err := c.Do(s.ctx, http.MethodPost, "/api/alerts/CreateAlertByReference", map[string]string{
		"machineId": m.ID, "eventTime": a.Time, "reportId": a.ReportID, "title": a.Title, "description": a.Description,
		"recommendedAction": a.Recommended, "severity": a.Severity, "category": a.Category}, &al); err != nil {
		return err
	}
	return printAlert(s, &al)
}
