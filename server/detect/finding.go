package detect

import (
	"time"

	"github.com/vedette-edr/vedette/detection"
	"github.com/vedette-edr/vedette/server/alert"
	"github.com/vedette-edr/vedette/server/ident"
)

// The published words for who detected something.
const (
	SourceProduct = "WindowsDefenderAtp" // rules that are shipped or were imported
	SourceCustom  = "CustomDetection"    // custom detection rules
)

// Evidence turns what a finding is about into an alert's evidence, found at the time at.
func Evidence(list []detection.Entity, at time.Time) []alert.Evidence {
	var out []alert.Evidence
	for _, e := range list {
		out = append(out, alert.Evidence{
			Type: e.Kind, Created: at, SHA1: e.SHA1, SHA256: e.SHA256, FileName: e.FileName, FilePath: e.Folder,
			ProcessID: e.ProcessID, CommandLine: e.CommandLine, ProcessCreated: e.ProcessCreated,
			ParentID: e.ParentID, ParentCreated: e.ParentCreated, ParentName: e.ParentName,
			IP: e.IP, URL: e.URL, Account: e.Account, Domain: e.Domain, UserID: e.UserID, Detection: "Detected",
		})
	}
	return out
}

// User is the account most related: the first that the evidence names.
func User(list []detection.Entity) alert.User {
	for _, kind := range []string{"User", "Process"} {
		for _, e := range list {
			if e.Kind == kind && e.Account != "" {
				return alert.User{Name: e.Account, Domain: e.Domain}
			}
		}
	}
	return alert.User{}
}

// Alert is the alert of a finding of a rule, whose texts f has. key names the rule among
// all others; the id follows from it, the device, what was found and when by the device's clock,
// all of which a stored row of an event tells as well.
func Alert(tenant ident.TenantID, f *detection.Finding, key string, now time.Time) *alert.Alert {
	r := f.Rule
	device := ident.DeviceID(f.Device)
	return &alert.Alert{
		ID:     alert.NewID("rule/"+key+"/"+f.Key, device, 0, f.Window, 0),
		Tenant: tenant, Device: device, DeviceName: f.DeviceName, Title: f.Title, Description: f.Description,
		Recommended: r.Recommended, Category: r.Category, Severity: alert.Severity(r.Severity), Status: alert.New,
		DetectionSource: SourceProduct, DetectorID: r.ID, Source: alert.Source{Rule: r.Name, ReportID: f.Report},
		Techniques: append([]string(nil), r.Techniques...), Created: now.UTC(), Updated: now.UTC(),
		FirstEvent: f.First.UTC(), LastEvent: f.Last.UTC(), Evidence: Evidence(f.Entities, f.Last.UTC()), User: User(f.Entities),
	}
}
