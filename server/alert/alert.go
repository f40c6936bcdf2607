// Package alert is the noun that detection raises and analysts work on: what was seen,
// where, how bad it is, and what became of it.
//
// An alert's id is derived from what raised it (see NewID), so raising it again is
// harmless: the store keeps the first. Vocabulary (statuses, classifications,
// determinations, severities) is the published API's; package api/mde only renders it.
package alert

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/vedette-edr/vedette/server/filter"
	"github.com/vedette-edr/vedette/server/ident"
)

// Severity is how bad it is: Informational, Low, Medium or High.
type Severity string

// Status is New, InProgress or Resolved.
type Status string

// The published severities and statuses.
const (
	Informational Severity = "Informational"
	Low           Severity = "Low"
	Medium        Severity = "Medium"
	High          Severity = "High"

	New        Status = "New"
	InProgress Status = "InProgress"
	Resolved   Status = "Resolved"
)

// Alert is one alert of a tenant.
type Alert struct {
	ID              ident.AlertID
	Tenant          ident.TenantID
	Device          ident.DeviceID
	DeviceName      string
	Title           string
	Description     string
	Recommended     string // recommended action
	Category        string
	Severity        Severity
	Status          Status
	Classification  string // TruePositive, InformationalExpectedActivity, FalsePositive or ""
	Determination   string
	DetectionSource string // CustomerTI, CustomDetection, WindowsDefenderAtp, …
	DetectorID      string // GUID of the rule or of the indicator matcher
	Source          Source // what raised it
	AssignedTo      string
	Incident        ident.IncidentID // 0 when none
	Investigation   int64            // id of the automated investigation it started; 0 for none
	// InvestigationState is the published state of that investigation, "" for none.
	InvestigationState string
	Techniques         []string
	Created            time.Time
	FirstEvent         time.Time
	LastEvent          time.Time
	Updated            time.Time
	Resolved           time.Time // zero unless Status is Resolved
	Comments           []Comment
	Evidence           []Evidence
	User               User // the account most related; zero when unknown
	// LoggedOn are the people who were logged on to the device when the alert was raised, as
	// the device had told last.
	LoggedOn []User `json:",omitempty"`
	// Details are what a custom detection rule adds: names and the values of columns.
	Details map[string]string `json:",omitempty"`
	// Targets are the columns that the rule's response actions are done to, with their values.
	Targets map[string]string `json:",omitempty"`
	// Count is how many detections it tells of: 1, and one more for each that was merged
	// into it. Alerts of before it was counted have 0, which means the same as 1.
	Count int64
	// Suppression is the rule that resolved it as it was raised, 0 for none; Hidden says
	// that the rule's action was Hide.
	Suppression ident.SuppressionID
	Hidden      bool
}

// Open reports whether somebody still has to look at it.
func (a *Alert) Open() bool { return a.Status != Resolved }

// Clone returns a copy whose lists may be added to.
func (a *Alert) Clone() *Alert {
	c := *a
	c.Techniques = slices.Clip(a.Techniques)
	c.Comments = slices.Clip(a.Comments)
	c.Evidence = slices.Clip(a.Evidence)
	return &c
}

// Source is what raised an alert, kept so that it can be traced and counted.
type Source struct {
	Rule      string // "ioc", or the rule's name
	Indicator string // the indicator or IOC id, "" for a rule
	ReportID  int64  // of the event that raised it
}

// User is an account named by an alert.
type User struct{ Name, Domain string }

// Comment is one remark on an alert; comments are only ever added.
type Comment struct {
	Text    string
	By      string
	Created time.Time
}

// Evidence is one entity that an alert is about. Fields that its Type does not have are
// zero.
type Evidence struct {
	Type                    string // Process, File, Ip, Url, User, …
	Created                 time.Time
	SHA1, SHA256            string
	FileName, FilePath      string
	ProcessID               int64
	CommandLine             string
	ProcessCreated          time.Time
	ParentID                int64
	ParentCreated           time.Time
	ParentName, ParentPath  string
	IP                      string
	URL                     string
	Account, Domain, UserID string
	Detection               string // Detected, Blocked, …
}

// Fields is what alerts may be filtered and ordered by.
var Fields = filter.Schema{
	{Name: "id", Type: filter.String},
	{Name: "incidentId", Type: filter.Int},
	{Name: "investigationId", Type: filter.Int},
	{Name: "assignedTo", Type: filter.String},
	{Name: "severity", Type: filter.String},
	{Name: "status", Type: filter.String},
	{Name: "category", Type: filter.String},
	{Name: "detectionSource", Type: filter.String},
	{Name: "machineId", Type: filter.String},
	{Name: "title", Type: filter.String},
	{Name: "alertCreationTime", Type: filter.Time},
	{Name: "firstEventTime", Type: filter.Time},
	{Name: "lastEventTime", Type: filter.Time},
	{Name: "lastUpdateTime", Type: filter.Time},
	{Name: "classification", Type: filter.String},
	{Name: "determination", Type: filter.String},
	{Name: "suppressed", Type: filter.Bool},
}

// NewID derives an alert's id from what raised it: the rule (with its indicator), the
// device in its incarnation, and the event by batch sequence and index. The same event
// sent again gives the same id. Its form is the published one, da<digits>_<signed 32 bit>.
func NewID(rule string, device ident.DeviceID, incarnation, sequence uint64, index int) ident.AlertID {
	h := sha256.New()
	fmt.Fprintf(h, "%d:%s%d:%s%d/%d/%d", len(rule), rule, len(device), device, incarnation, sequence, index)
	sum := h.Sum(nil)
	return ident.AlertID(fmt.Sprintf("da%018d_%d", binary.BigEndian.Uint64(sum)%1e18, int32(binary.BigEndian.Uint32(sum[8:]))))
}

// NewCustomID is NewID for the alert of a custom detection rule, whose published form is
// ca<digits>_<signed 32 bit>.
func NewCustomID(rule string, device ident.DeviceID, event string) ident.AlertID {
	return "ca" + NewID("custom/"+rule+"/"+event, device, 0, 0, 0)[2:]
}
