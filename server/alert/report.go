package alert

import (
	"context"
	"strings"
	"time"

	"github.com/vedette-edr/vedette/schema/vocabulary"
	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/audit"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
)

// Bounds of the texts of a report, in characters.
const (
	maxTitle = 1000
	maxText  = 10_000
)

// RuleReport is the Source.Rule of alerts that somebody made of an event.
const RuleReport = "report"

// Report is an alert that somebody makes of one event.
type Report struct {
	Title       string
	Description string
	Recommended string
	Category    string   // a published category, in any case
	Severity    Severity // Low, Medium or High, in any case
	Device      ident.DeviceID
	DeviceName  string
	At          time.Time // of the event
	ReportID    int64     // of the event
	Evidence    []Evidence
	User        User
}

// Check refuses texts that are missing or too long and words that the published
// vocabulary does not have, and brings the words into their spelling. It looks at nothing
// that comes from the event, so it can be asked before the event is looked for.
func (r *Report) Check() error {
	const op = "alert.Report"
	for _, t := range []struct {
		place, text string
		most        int
	}{{"title", r.Title, maxTitle}, {"description", r.Description, maxText}, {"recommendedAction", r.Recommended, maxText}} {
		if strings.TrimSpace(t.text) == "" {
			return errs.New(op, errs.Invalid, errs.MissingRequiredParameter, "Required parameter %s is missing", t.place)
		}
		if err := within(t.place, t.text, t.most); err != nil {
			return err
		}
	}
	severity, err := word("severity", string(r.Severity), []string{string(Low), string(Medium), string(High)})
	if err != nil {
		return err
	}
	categories := vocabulary.AlertCategories()
	category, err := word("category", r.Category, categories)
	if err != nil {
		return err
	}
	if severity == "" || category == "" {
		return errs.New(op, errs.Invalid, errs.InvalidInput, "severity is one of Low, Medium and High; category one of %s", strings.Join(categories, ", "))
	}
	r.Severity, r.Category = Severity(severity), category
	return nil
}

// Report raises an alert of the caller's tenant for an event, with the audit record of
// it. While an alert with the same title is open on the same device, the event joins that
// one, which keeps its texts and whatever analysts did with it. The result is the alert
// that tells of the event.
func (s *Service) Report(ctx context.Context, by *access.Principal, r Report) (*Alert, error) {
	const op = "alert.Report"
	if err := r.Check(); err != nil {
		return nil, err
	}
	if r.Device == "" || r.At.IsZero() {
		return nil, errs.New(op, errs.Invalid, errs.InvalidInput, "the report names no event of a device")
	}
	now := s.now().UTC()
	var done placed
	var out *Alert
	err := s.atomic(ctx, func(ctx context.Context) error {
		done = placed{}
		a, err := s.reported(ctx, by.Tenant, &r, now)
		if err != nil {
			return err
		}
		if out, err = s.place(ctx, a, 0, by.Actor, now, &done); err != nil {
			return err
		}
		verb := "alert.create"
		if out != a {
			verb = "alert.merge"
		}
		return s.audit.Record(ctx, audit.Entry{
			At: now, Tenant: by.Tenant, Actor: by.Actor, Verb: verb, Object: string(out.ID),
			Detail: "of an event of device " + string(r.Device) + ": " + clip(r.Title), Outcome: audit.Done,
		})
	})
	if err != nil {
		return nil, errs.Wrap(op, err)
	}
	s.announce(&done)
	return out, nil
}

// reportSource is the DetectionSource of reports. The published page of the call names
// none; of the published words it is the one for what a customer's own logic found in
// events, as a custom detection rule does.
const reportSource = "CustomDetection"

// reported makes an alert of a report. The same event may be reported again after its
// alert was resolved, so the id tells the time of the report as well.
func (s *Service) reported(ctx context.Context, tenant ident.TenantID, r *Report, now time.Time) (*Alert, error) {
	a := &Alert{
		Tenant: tenant, Device: r.Device, DeviceName: r.DeviceName, Title: r.Title, Description: r.Description, Recommended: r.Recommended,
		Category: r.Category, Severity: r.Severity, Status: New, DetectionSource: reportSource,
		Source:  Source{Rule: RuleReport, ReportID: r.ReportID},
		Created: now, Updated: now, FirstEvent: r.At, LastEvent: r.At, Evidence: r.Evidence, User: r.User, Count: 1,
	}
	for n := 0; ; n++ {
		a.ID = NewID(RuleReport+"/"+r.Title, r.Device, uint64(r.ReportID), uint64(now.UnixNano()), n)
		known, err := s.store.Known(ctx, tenant, a.ID)
		if err != nil || known == "" {
			return a, err
		}
	}
}
