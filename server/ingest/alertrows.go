package ingest

import (
	"context"
	"encoding/json"
	"log/slog"
	"time"

	"github.com/vedette-edr/vedette/schema/event"
	"github.com/vedette-edr/vedette/server/alert"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/telemetry"
)

// serviceSource is what existing queries compare ServiceSource with.
const serviceSource = "Microsoft Defender for Endpoint"

// huntingSource maps the detection sources of the REST API, which kept its words, to
// those that hunting has used since January 2021 (Microsoft's page on schema changes).
var huntingSource = map[string]string{
	"CustomerTI": "Custom TI", "CustomDetection": "Custom detection", "WindowsDefenderAtp": "EDR",
	"WindowsDefenderAv": "Antivirus", "AutomatedInvestigation": "Automated investigation",
}

// AlertRows writes alerts as rows of AlertInfo and AlertEvidence. The alert itself lives
// in the control store; the rows make it huntable.
type AlertRows struct {
	appender telemetry.Appender
	now      func() time.Time
	log      *slog.Logger
}

// NewAlertRows returns a writer of alert rows.
func NewAlertRows(a telemetry.Appender, now func() time.Time, log *slog.Logger) *AlertRows {
	return &AlertRows{appender: a, now: now, log: log}
}

// Follow is a subscription of what happens to alerts.
type Follow[E any] interface {
	Events() <-chan E
	// Dropped is how many events had no room so far.
	Dropped() uint64
}

// Run writes the rows of every alert of created, and of the evidence that updated says was
// added, until ctx ends. While the store takes nothing it tries again; what a subscription
// drops meanwhile is the affair of missed, which is called, once everything that was not
// dropped is written, with an instant that no dropped alert was last changed before. What a
// crash cuts off has to be written by whoever compares alerts with rows.
func (w *AlertRows) Run(ctx context.Context, created Follow[alert.Created], updated Follow[alert.Updated], missed func(ctx context.Context, since time.Time)) error {
	var known uint64
	var since time.Time
	dropped := func() uint64 { return created.Dropped() + updated.Dropped() }
	for {
		if n := dropped(); n != known && len(created.Events()) == 0 && len(updated.Events()) == 0 {
			known = n
			missed(ctx, since)
		}
		var a *alert.Alert
		write := w.Write
		select {
		case <-ctx.Done():
			return nil
		case c, ok := <-created.Events():
			if !ok {
				return nil
			}
			a = c.Alert
		case u, ok := <-updated.Events():
			if !ok {
				return nil
			}
			a = u.Alert
			from := len(a.Evidence) - u.Added
			write = func(ctx context.Context, a *alert.Alert) error { return w.WriteEvidence(ctx, a, from) }
		}
		if dropped() == known {
			since = a.Updated
		}
		w.insist(ctx, a, write)
	}
}

func (w *AlertRows) insist(ctx context.Context, a *alert.Alert, write func(context.Context, *alert.Alert) error) {
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 10*time.Second) {
		err := write(ctx, a)
		if err == nil || ctx.Err() != nil {
			return
		}
		w.log.Warn("alert is not huntable yet", "alert", a.ID, "err", err)
		if !errs.Is(err, errs.Unavailable) && !errs.Is(err, errs.Internal) {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// Write appends the rows of one alert. AlertInfo goes last: an alert that has its row
// there has all of them.
func (w *AlertRows) Write(ctx context.Context, a *alert.Alert) error {
	const op = "ingest.AlertRows"
	rows := append([]telemetry.Row{w.evidence(a, a.Created, "Machine", "Impacted", nil)}, w.pieces(a, 0, a.Created)...)
	if err := w.appender.AppendRows(ctx, a.Tenant, "AlertEvidence", rows); err != nil {
		return errs.Wrap(op, err)
	}
	return errs.Wrap(op, w.appender.AppendRows(ctx, a.Tenant, "AlertInfo", []telemetry.Row{w.base(a, a.Created, "Category")}))
}

// WriteEvidence appends the rows of the evidence from one piece on, which was added to an
// alert that has its rows.
func (w *AlertRows) WriteEvidence(ctx context.Context, a *alert.Alert, from int) error {
	rows := w.pieces(a, max(from, 0), a.Updated)
	if len(rows) == 0 {
		return nil
	}
	return errs.Wrap("ingest.AlertRows", w.appender.AppendRows(ctx, a.Tenant, "AlertEvidence", rows))
}

// base is the cells that every row of an alert has.
func (w *AlertRows) base(a *alert.Alert, at time.Time, categories string) telemetry.Row {
	source := a.DetectionSource
	if s, ok := huntingSource[source]; ok {
		source = s
	}
	return telemetry.Row{
		"Timestamp": event.At(at), "IngestionTime": event.At(w.now().UTC()), "AlertId": event.Str(string(a.ID)),
		"Title": event.Str(a.Title), categories: event.Str(a.Category), "Severity": event.Str(string(a.Severity)),
		"ServiceSource": event.Str(serviceSource), "DetectionSource": event.Str(source),
		"AttackTechniques": event.Str(list(a.Techniques)),
	}
}

func (w *AlertRows) evidence(a *alert.Alert, at time.Time, entity, role string, cells telemetry.Row) telemetry.Row {
	r := w.base(a, at, "Category")
	r["Categories"] = event.Str(list([]string{a.Category}))
	r["EntityType"], r["EvidenceRole"] = event.Str(entity), event.Str(role)
	r["DeviceId"], r["DeviceName"] = event.Str(string(a.Device)), event.Str(a.DeviceName)
	r["ReportId"] = event.Num(a.Source.ReportID)
	for k, v := range cells {
		r[k] = v
	}
	return r
}

// pieces are the rows of the alert's evidence from one piece on.
func (w *AlertRows) pieces(a *alert.Alert, from int, at time.Time) []telemetry.Row {
	var rows []telemetry.Row
	for i := from; i < len(a.Evidence); i++ {
		e := &a.Evidence[i]
		rows = append(rows, w.evidence(a, at, e.Type, "Related", telemetry.Row{
			"FileName": event.Str(e.FileName), "FolderPath": event.Str(e.FilePath), "SHA1": event.Str(e.SHA1), "SHA256": event.Str(e.SHA256),
			"ProcessCommandLine": event.Str(e.CommandLine), "RemoteIP": event.Str(e.IP), "RemoteUrl": event.Str(e.URL),
			"AccountName": event.Str(e.Account), "AccountDomain": event.Str(e.Domain), "AccountSid": event.Str(e.UserID),
		}))
	}
	return rows
}

// list renders a JSON array of strings, "" for none.
func list(s []string) string {
	if len(s) == 0 {
		return ""
	}
	raw, _ := json.Marshal(s) // of strings: cannot fail
	return string(raw)
}
