package ioc

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/vedette-edr/vedette/schema/event"
	"github.com/vedette-edr/vedette/server/alert"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/indicator"
	"github.com/vedette-edr/vedette/server/telemetry"
)

// DetectorID is the GUID under which this matcher's alerts are filed.
const DetectorID = "3f1c6a52-8d0e-4b8f-9a57-6c1d2e4b7f90"

// The rules that Source.Rule names: an IOC of the custom TI API, an indicator of the
// current one. Source.Indicator is its id.
const (
	RuleIOC       = "ioc"
	RuleIndicator = "indicator"
)

// What all alerts of this package have in common, and the category of those of the current
// API's indicators, which have none of their own.
const (
	Source   = "CustomerTI"
	Category = "SuspiciousActivity"
)

// skew is the clock difference up to which a device's time is taken as it is.
const skew = 2 * time.Second

// alert builds the alert of a hit, nil when it turns out that none is due.
func (m *Matcher) alert(ctx context.Context, b *telemetry.Batch, h hit, now time.Time) (*alert.Alert, error) {
	e := b.Events[h.index]
	at := e.Time.UTC()
	if b.Offset > skew || b.Offset < -skew {
		at = at.Add(b.Offset)
	}
	a := &alert.Alert{
		Tenant: b.Tenant, Device: b.Device, DeviceName: b.DeviceName,
		Status: alert.New, DetectionSource: Source, DetectorID: DetectorID,
		Created: now.UTC(), Updated: now.UTC(), FirstEvent: at, LastEvent: at,
	}
	w := h.value.ref.row()
	a.Source = alert.Source{Rule: RuleIOC, Indicator: fmt.Sprint(w.id()), ReportID: b.FirstReport + int64(h.index)}
	if w.indicator() {
		a.Source.Rule = RuleIndicator
		due, err := m.describe(ctx, a, ident.IndicatorID(w.id()))
		if err != nil || !due {
			return nil, err
		}
	} else {
		d := h.definition
		a.Title, a.Description, a.Recommended = d.Title, d.Description, d.RecommendedAction
		a.Category, a.Severity = d.Category, alert.Severity(d.Severity)
		if a.Title == "" {
			a.Title = d.Name
		}
	}
	if h.flood {
		a.Description = strings.TrimSpace(a.Description + "\n\n" + floodNote)
	}
	rule := fmt.Sprintf("%s/%d/%d", a.Source.Rule, w.id(), h.key)
	a.ID = alert.NewID(rule, b.Device, b.Incarnation, m.recent.windowOf(e.Time.UnixNano()), 0)
	a.Evidence = evidence(h, e, at)
	if h.process != nil {
		a.User = alert.User{Name: h.process.Account.Name, Domain: h.process.Account.Domain}
	}
	return a, nil
}

// describe fills a with an indicator's texts and reports whether it is due an alert. An
// indicator that is gone or was changed since it was hit decides by what it is now.
func (m *Matcher) describe(ctx context.Context, a *alert.Alert, id ident.IndicatorID) (bool, error) {
	i, err := m.indicators.Indicator(ctx, a.Tenant, id)
	if errs.Is(err, errs.NotFound) {
		return false, nil
	}
	if err != nil || !i.Alerts() {
		return false, err
	}
	a.Title, a.Description, a.Recommended = i.Title, i.Description, i.Recommended
	a.Severity, a.Category = alert.Severity(i.Severity), Category
	a.Techniques = slices.Clone(i.Techniques)
	return true, nil
}

// floodNote is in the alert that stands for all processes that were too many.
const floodNote = "More processes of this device did the same within minutes than there are alerts for: this alert stands for all further ones. Hunt for the rest."

func processKey(p *event.Process) uint64 {
	if p == nil {
		return 0
	}
	return p.Key
}

// evidence lists what was hit, whose doing it was, and under which account.
func evidence(h hit, e *event.Event, at time.Time) []alert.Evidence {
	status := statusOf(e)
	var out []alert.Evidence
	add := func(ev alert.Evidence) {
		ev.Created, ev.Detection = at, status
		out = append(out, ev)
	}
	switch h.kind {
	case indicator.KindIP:
		add(alert.Evidence{Type: "Ip", IP: h.text})
	case indicator.KindURL, indicator.KindDomain:
		add(alert.Evidence{Type: "Url", URL: h.text})
		if e.Network != nil && e.Network.RemoteIP != "" {
			add(alert.Evidence{Type: "Ip", IP: e.Network.RemoteIP})
		}
	}
	if f := h.file; f != nil {
		add(alert.Evidence{Type: "File", SHA1: f.SHA1, SHA256: f.SHA256, FileName: f.Name, FilePath: folder(f)})
	}
	p := h.process
	if p == nil {
		return out
	}
	add(alert.Evidence{
		Type: "Process", SHA1: p.Image.SHA1, SHA256: p.Image.SHA256,
		FileName: p.Image.Name, FilePath: folder(&p.Image),
		ProcessID: int64(p.PID), CommandLine: p.CommandLine, ProcessCreated: p.Start,
		ParentID: int64(p.Parent.PID), ParentCreated: p.Parent.Start, ParentName: p.Parent.FileName,
		Account: p.Account.Name, Domain: p.Account.Domain, UserID: p.Account.SID,
	})
	if p.Account.Name != "" {
		add(alert.Evidence{Type: "User", Account: p.Account.Name, Domain: p.Account.Domain, UserID: p.Account.SID})
	}
	return out
}

// statusOf is the published word for what became of what was seen.
func statusOf(e *event.Event) string {
	switch b := enforcementOf(e); {
	case b.remediated:
		return "Remediated"
	case b.blocked:
		return "Blocked"
	}
	return "Detected"
}

// enforcement is what a device says it did about an indicator.
type enforcement struct {
	blocked, remediated bool
	indicator           int64 // whose it was; 0 when the device does not say
	repeated            int64 // the same attempts that it left out before
}

// maxRepeated bounds what a device can claim in one event.
const maxRepeated = 1 << 20

// enforcementOf reads the events with which devices report that an indicator was enforced.
func enforcementOf(e *event.Event) enforcement {
	var out enforcement
	network := strings.HasSuffix(e.Action, "Blocked")
	if !network && e.Action != "AntivirusDetection" {
		return out
	}
	var more struct {
		Action      string
		IndicatorID int64 `json:"IndicatorId"`
		Repeated    uint64
	}
	// What cannot be read says nothing; the action's name still does.
	_ = json.Unmarshal([]byte(e.Additional), &more)
	switch {
	case network, more.Action == "Blocked", more.Action == "Killed":
		out.blocked = true
	case more.Action == "Quarantined":
		out.blocked, out.remediated = true, true
	}
	out.indicator, out.repeated = more.IndicatorID, int64(min(more.Repeated, maxRepeated))
	return out
}

// folder returns where a file lies: alerts name the folder apart from the file.
func folder(f *event.File) string {
	dir := strings.TrimSuffix(f.Path, f.Name)
	if len(dir) > 1 {
		dir = strings.TrimRight(dir, `/\`)
	}
	if dir == "" && strings.HasPrefix(f.Path, "/") {
		return "/"
	}
	return dir
}
