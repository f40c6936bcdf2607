package mde

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/vedette-edr/vedette/schema/event"
	"github.com/vedette-edr/vedette/server/alert"
	"github.com/vedette-edr/vedette/server/api"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/hunt"
	"github.com/vedette-edr/vedette/server/ident"
)

// Events finds the event that a caller names by what its hunting row shows.
type Events interface {
	// Find returns errs.NotFound when the device has no such event.
	Find(ctx context.Context, tenant ident.TenantID, device ident.DeviceID, at time.Time, report int64) (*hunt.Event, error)
}

// reference is what CreateAlertByReference names an event by.
type reference struct {
	machine string
	at      time.Time
	report  int64
}

// createAlert raises an alert for an event. The caller needs no permission to hunt: what
// it learns is the event that it names.
func (a *API) createAlert(w http.ResponseWriter, r *api.Request) error {
	body, err := r.JSON()
	if err != nil {
		return err
	}
	report, ref, err := alertReport(body)
	if err != nil {
		return err
	}
	// Before the search, so that a wrong word is told whether or not the event is there.
	if err := report.Check(); err != nil {
		return err
	}
	d, err := a.device(r.Context(), r.Caller.Tenant, ref.machine)
	if err != nil {
		return err
	}
	e, err := a.events.Find(r.Context(), r.Caller.Tenant, d.ID, ref.at, ref.report)
	if err != nil {
		return err
	}
	report.Device, report.DeviceName = d.ID, d.Name
	report.At, report.ReportID = e.Time, e.ReportID
	report.Evidence, report.User = evidenceFrom(e), userFrom(e)
	al, err := a.alerts.Report(r.Context(), r.Caller, report)
	if err != nil {
		return err
	}
	// As published, the new alert starts an investigation. An alert that the report went
	// into has had its own, unless the server stopped in between.
	if al.Investigation == 0 {
		if _, err := a.investigations.StartFor(r.Context(), r.Caller, d.ID, al.ID, "Started by the alert "+al.Title); err != nil {
			return err
		}
		if al, err = a.alerts.Get(r.Context(), r.Caller.Tenant, al.ID); err != nil {
			return err
		}
	}
	return a.writeAlert(w, r, al)
}

// alertReport reads the body, all of whose members are required.
func alertReport(body *api.Object) (alert.Report, reference, error) {
	var report alert.Report
	var ref reference
	var severity, at string
	for _, m := range []struct {
		name string
		to   *string
	}{
		{"machineId", &ref.machine}, {"severity", &severity}, {"title", &report.Title}, {"description", &report.Description},
		{"recommendedAction", &report.Recommended}, {"category", &report.Category}, {"eventTime", &at},
	} {
		s, err := body.RequireString(m.name)
		if err != nil {
			return report, ref, err
		}
		*m.to = s
	}
	report.Severity = alert.Severity(severity)
	var err error
	if ref.at, err = body.Time("eventTime"); err != nil {
		return report, ref, err
	}
	ref.report, err = reportID(body)
	return report, ref, err
}

// reportID reads the member that is a string by the documentation and a number in the
// hunting rows it is copied from.
func reportID(body *api.Object) (int64, error) {
	const name = "reportId"
	if n, err := body.Int(name); err == nil && body.Has(name) && !body.IsNull(name) {
		return n, nil
	}
	s, err := body.RequireString(name)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(strings.TrimSpace(s), 10, 64)
	if err != nil {
		return 0, errs.New("mde.createAlert", errs.Invalid, errs.InvalidInput, "Invalid input: reportId %q is not the ReportId of an event, which is a number", s)
	}
	return n, nil
}

// evidenceFrom lists what an event tells of: the process it is about, whose doing it was,
// the file, the address, the name, and the accounts.
func evidenceFrom(e *hunt.Event) []alert.Evidence {
	status := "Detected"
	if strings.HasSuffix(e.Action, "Blocked") {
		status = "Blocked"
	}
	var out []alert.Evidence
	add := func(v alert.Evidence) {
		v.Created, v.Detection = e.Time, status
		out = append(out, v)
	}
	for _, p := range []*event.Process{e.Process, e.Initiating} {
		if p != nil {
			add(alert.Evidence{
				Type: "Process", SHA1: p.Image.SHA1, SHA256: p.Image.SHA256, FileName: p.Image.Name, FilePath: folder(&p.Image),
				ProcessID: int64(p.PID), CommandLine: p.CommandLine, ProcessCreated: p.Start,
				ParentID: int64(p.Parent.PID), ParentCreated: p.Parent.Start, ParentName: p.Parent.FileName,
				Account: p.Account.Name, Domain: p.Account.Domain, UserID: p.Account.SID,
			})
		}
	}
	if f := e.File; f != nil {
		add(alert.Evidence{Type: "File", SHA1: f.SHA1, SHA256: f.SHA256, FileName: f.Name, FilePath: folder(f)})
	}
	ip, name := "", ""
	switch {
	case e.Network != nil:
		ip, name = e.Network.RemoteIP, e.Network.RemoteURL
	case e.Logon != nil:
		ip = e.Logon.RemoteIP
	}
	if ip != "" {
		add(alert.Evidence{Type: "Ip", IP: ip})
	}
	if name != "" {
		add(alert.Evidence{Type: "Url", URL: name})
	}
	seen := map[event.Account]bool{{}: true}
	for _, a := range accounts(e) {
		if a.Name != "" && !seen[a] {
			seen[a] = true
			add(alert.Evidence{Type: "User", Account: a.Name, Domain: a.Domain, UserID: a.SID})
		}
	}
	return out
}

// accounts are those an event names, the one most related to it first.
func accounts(e *hunt.Event) []event.Account {
	var out []event.Account
	if e.Account != nil {
		out = append(out, *e.Account)
	}
	for _, p := range []*event.Process{e.Process, e.Initiating} {
		if p != nil {
			out = append(out, p.Account)
		}
	}
	return out
}

func userFrom(e *hunt.Event) alert.User {
	for _, a := range accounts(e) {
		if a.Name != "" {
			return alert.User{Name: a.Name, Domain: a.Domain}
		}
	}
	return alert.User{}
}

// folder returns where a file lies: alerts name the folder apart from the file.
func folder(f *event.File) string {
	dir, ok := strings.CutSuffix(f.Path, f.Name)
	if !ok || f.Name == "" {
		return f.Path
	}
	if len(dir) > 1 {
		dir = strings.TrimRight(dir, `/\`)
	}
	if dir == "" && strings.HasPrefix(f.Path, "/") {
		return "/"
	}
	return dir
}
