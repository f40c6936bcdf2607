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

// Created is what AlertRows follows: a subscription of alerts that were raised.
type Created interface {
	Events() <-chan alert.Created
	// Dropped is how many events had no room so far.
	Dropped() uint64
}

// Run writes the rows of every alert of created until ctx ends. While the store takes
// nothing it tries again; what the subscription drops meanwhile is the affair of missed,
// which is called, once everything that was not dropped is written, with an instant that
// no dropped alert is older than. What a crash cuts off has to be written with Write by
// whoever compares alerts with rows.
func (w *AlertRows) Run(ctx context.Context, created Created, missed func(ctx context.Context, since time.Time)) error {
	var known uint64
	var since time.Time
	for {
		if n := created.Dropped(); n != known && len(created.Events()) == 0 {
			known = n
			missed(ctx, since)
		}
		select {
		case <-ctx.Done():
			return nil
		case c, ok := <-created.Events():
			if !ok {
				return nil
			}
			if created.Dropped() == known {
				since = c.Alert.Created
			}
			w.insist(ctx, c.Alert)
		}
	}
}

func (w *AlertRows) insist(ctx context.Context, a *alert.Alert) {
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 10*time.Second) {
		err := w.Write(ctx, a)
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
	now := w.now().UTC()
	source := a.DetectionSource
	if s, ok := huntingSource[source]; ok {
		source = s
	}
	base := func(categories string) telemetry.Row {
		return telemetry.Row{
			"Timestamp": event.At(a.Created), "IngestionTime": event.At(now), "AlertId": event.Str(string(a.ID)),
			"Title": event.Str(a.Title), categories: event.Str(a.Category), "Severity": event.Str(string(a.Severity)),
			"ServiceSource": event.Str(serviceSource), "DetectionSource": event.Str(source),
			"AttackTechniques": event.Str(list(a.Techniques)),
		}
	}
	rows := []telemetry.Row{}
	add := func(entity, role string, cells telemetry.Row) {
		r := base("Category")
		r["Categories"] = event.Str(list([]string{a.Category}))
		r["EntityType"], r["EvidenceRole"] = event.Str(entity), event.Str(role)
		r["DeviceId"], r["DeviceName"] = event.Str(string(a.Device)), event.Str(a.DeviceName)
		r["ReportId"] = event.Num(a.Source.ReportID)
		for k, v := range cells {
			r[k] = v
		}
		rows = append(rows, r)
	}
	add("Machine", "Impacted", nil)
	for i := range a.Evidence {
		e := &a.Evidence[i]
		add(e.Type, "Related", telemetry.Row{
			"FileName": event.Str(e.FileName), "FolderPath": event.Str(e.FilePath), "SHA1": event.Str(e.SHA1), "SHA256": event.Str(e.SHA256),
			"ProcessCommandLine": event.Str(e.CommandLine), "RemoteIP": event.Str(e.IP), "RemoteUrl": event.Str(e.URL),
			"AccountName": event.Str(e.Account), "AccountDomain": event.Str(e.Domain), "AccountSid": event.Str(e.UserID),
		})
	}
	if err := w.appender.AppendRows(ctx, a.Tenant, "AlertEvidence", rows); err != nil {
		return errs.Wrap(op, err)
	}
	return errs.Wrap(op, w.appender.AppendRows(ctx, a.Tenant, "AlertInfo", []telemetry.Row{base("Category")}))
}

// list renders a JSON array of strings, "" for none.
func list(s []string) string {
	if len(s) == 0 {
		return ""
	}
	raw, _ := json.Marshal(s) // of strings: cannot fail
	return string(raw)
}
