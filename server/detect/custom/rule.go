// Package custom is custom detection rules: KQL that a tenant wrote, run every few hours
// over what came in, or continuously on every event, whose results raise alerts and may
// be answered by response actions.
//
// It holds the noun and its rules (Service), the scheduler (Runner) and what answers
// alerts (Responder). Continuous rules are compiled here and run by package behavior.
//
// The invariants: a scheduled run looks at what came in since the one before it and a
// published span further back, by ingestion time, so that what a device sends late is
// looked at as well; the id of an alert follows from rule and event, so that a run that is
// made again raises nothing again; the outcome of a run is the rule's last run, and a run
// that failed says why.
//
// Start at Rule and Service.Create.
package custom

import (
	"slices"
	"time"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/filter"
	"github.com/vedette-edr/vedette/server/ident"
)

// Period is how often a rule runs, in the published words.
type Period string

// The published periods.
const (
	Continuous Period = "0"
	Hourly     Period = "1H"
	Every3     Period = "3H"
	Every12    Period = "12H"
	Daily      Period = "24H"
)

// Interval is the time between two runs; 0 for Continuous and for what is no period.
func (p Period) Interval() time.Duration {
	switch p {
	case Hourly:
		return time.Hour
	case Every3:
		return 3 * time.Hour
	case Every12:
		return 12 * time.Hour
	case Daily:
		return 24 * time.Hour
	}
	return 0
}

// Lookback is the published span that a run of the period looks at.
func (p Period) Lookback() time.Duration {
	switch p {
	case Hourly:
		return 4 * time.Hour
	case Every3:
		return 12 * time.Hour
	case Every12:
		return 48 * time.Hour
	case Daily:
		return 30 * 24 * time.Hour
	}
	return 0
}

// FirstLookback is what the first run of a scheduled rule looks at.
const FirstLookback = 30 * 24 * time.Hour

// MaxAlerts is the published bound of the alerts that one run raises.
const MaxAlerts = 100

// Rule is one custom detection rule of a tenant.
type Rule struct {
	ID         int64 // counts up within the tenant
	Tenant     ident.TenantID
	DetectorID string // GUID, under which its alerts are filed
	Name       string // unique in the tenant, in any case
	Enabled    bool
	Query      string
	Queried    time.Time // when the query was changed last
	Period     Period
	Alert      Template
	Scope      string // organizationalScope as it was given, JSON; "" for none
	Responses  []Response
	Responding time.Time // since when: older alerts are not answered

	Created    time.Time
	CreatedBy  string // as the API shows it
	Modified   time.Time
	ModifiedBy string
	// Owner and Sees are who created it and the devices that they may see: runs act as them.
	Owner ident.Actor
	Sees  access.Scope

	Next  time.Time // when it runs next; zero for one that is not run
	Until time.Time // what came in before was looked at by a run that ended well; zero before the first
	Last  Run
}

// Template is what the alerts of a rule say. In title and description {{Column}} is the
// result's column.
type Template struct {
	Title       string
	Description string
	Severity    string // Informational, Low, Medium or High
	Category    string
	Recommended string
	Techniques  []string
	Impacted    []Asset
	Details     map[string]string // name → column
}

// Asset is what an alert is about: a kind and the column that names it.
type Asset struct {
	Kind   AssetKind
	Column string
}

// AssetKind is a published kind of impacted asset.
type AssetKind string

// The kinds.
const (
	Device  AssetKind = "device"
	User    AssetKind = "user"
	Mailbox AssetKind = "mailbox"
)

// Response is one action on what an alert is about.
type Response struct {
	Kind   ResponseKind
	Target string // the column that names what it is done to: DeviceId, SHA1, …
	Scope  string // for Isolate: full or selective
	Groups []string
}

func (r Response) equal(o Response) bool {
	return r.Kind == o.Kind && r.Target == o.Target && r.Scope == o.Scope && slices.Equal(r.Groups, o.Groups)
}

// ResponseKind is a published kind of response action.
type ResponseKind string

// The kinds: those on a device, on a file, on a user.
const (
	Isolate     ResponseKind = "isolateDevice"
	Package     ResponseKind = "collectInvestigationPackage"
	Scan        ResponseKind = "runAntivirusScan"
	Investigate ResponseKind = "initiateInvestigation"
	Restrict    ResponseKind = "restrictAppExecution"
	AllowFile   ResponseKind = "allowFile"
	BlockFile   ResponseKind = "blockFile"
	Quarantine  ResponseKind = "stopAndQuarantineFile"
	Compromised ResponseKind = "markUserAsCompromised"
	DisableUser ResponseKind = "disableUser"
	ResetUser   ResponseKind = "forceUserPasswordReset"
)

// RunStatus is how a run ended, in the published words.
type RunStatus string

// The statuses.
const (
	Running   RunStatus = "running"
	Completed RunStatus = "completed"
	Failed    RunStatus = "failed"
	Partial   RunStatus = "partiallyFailed"
)

// Run is a rule's last run; the zero Run is none.
type Run struct {
	At     time.Time // its slot: it looked at what came in before
	Ended  time.Time
	Status RunStatus
	Code   string // published error code; "" for none
	Reason string // why it failed, in words for people
	Rows   int    // of its result
	Alerts int    // new ones
}

// Fields is what rules may be filtered and ordered by.
var Fields = filter.Schema{
	{Name: "id", Type: filter.Int},
	{Name: "displayName", Type: filter.String},
	{Name: "isEnabled", Type: filter.Bool},
	{Name: "createdDateTime", Type: filter.Time},
	{Name: "lastModifiedDateTime", Type: filter.Time},
}
