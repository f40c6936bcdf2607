// Package action is the machine behind response actions: what was asked of a device, by
// whom, and what has truly become of it.
//
// The row of the store is the truth; a nudge to the device is only a hint to look. State
// moves requested → approved → delivered → applied → verified, or ends in failed,
// expired, cancelled or unknown; each step is kept with its time, actor and evidence, and
// the published status is derived from the state, never set. An action belongs to the
// incarnation of the device it was asked of: a device that enrolled again never runs it.
package action

import (
	"encoding/json"
	"time"

	"github.com/vedette-edr/vedette/server/filter"
	"github.com/vedette-edr/vedette/server/ident"
)

// State is where an action stands.
type State string

// The states. Requested, Approved, Delivered and Applied are open, the rest are ends.
const (
	Requested State = "requested"
	Approved  State = "approved"
	Delivered State = "delivered"
	Applied   State = "applied"  // the device did it; not proven yet
	Verified  State = "verified" // a probe on the device proved it
	Reverted  State = "reverted" // it was verified, and undone since
	Failed    State = "failed"
	Expired   State = "expired" // its lifetime ended before the device took it
	Cancelled State = "cancelled"
	Unknown   State = "unknown" // delivered, and the device never said what became of it
)

// Open reports whether an action in state s can still change by itself.
func (s State) Open() bool {
	switch s {
	case Requested, Approved, Delivered, Applied:
		return true
	}
	return false
}

// Status is the published status of a machine action.
type Status string

// The published statuses.
const (
	Pending    Status = "Pending"
	InProgress Status = "InProgress"
	Succeeded  Status = "Succeeded"
	StFailed   Status = "Failed"
	TimeOut    Status = "TimeOut"
	StCancel   Status = "Cancelled"
)

// Status derives the published status. Only a verified (or since reverted) action has
// succeeded; one whose effect the device could not prove is still in progress.
func (s State) Status() Status {
	switch s {
	case Requested, Approved:
		return Pending
	case Delivered, Applied:
		return InProgress
	case Verified, Reverted:
		return Succeeded
	case Expired, Unknown:
		return TimeOut
	case Cancelled:
		return StCancel
	}
	return StFailed
}

// Step is one movement of an action, kept for ever.
type Step struct {
	State    State
	At       time.Time
	Actor    string          // who or what moved it
	Detail   string          // why, or what was seen
	Evidence json.RawMessage `json:",omitempty"` // what the device's probe returned; nil for none
}

// Action is one response action on one device.
type Action struct {
	ID          ident.ActionID
	Tenant      ident.TenantID
	Device      ident.DeviceID
	DeviceName  string
	Incarnation uint64 // of the device, when it was asked
	Kind        Kind
	Scope       string          // Full, Selective, Quick, …; "" for none
	File        string          `json:",omitempty"` // SHA-1 of the file it is about; "" for none
	Commands    []LiveCommand   `json:",omitempty"` // of a live response, in their order
	Artifacts   []Artifact      `json:",omitempty"` // what it yielded
	Params      json.RawMessage `json:",omitempty"` // what the responder gets; nil for none
	// Pins are the library's files that it names, by name, with the SHA-256 that they had when
	// it was asked for: what others agree to is their content and not a name.
	Pins       map[string]string `json:",omitempty"`
	Comment    string
	Requestor  ident.Actor
	Source     string // PublicApi, Portal, Rule, …
	External   string // the caller's own id
	State      State
	Steps      []Step
	Error      string // why it failed, in words for people
	Created    time.Time
	Updated    time.Time
	Expires    time.Time      // the end of its command; it is not delivered after this
	Life       time.Duration  // how long an absent device is waited for once it is approved
	Deadline   time.Time      `json:",omitzero"`  // of an action that waited for approval: it is not delivered after this
	Approval   *Approval      `json:",omitempty"` // nil where nobody had to agree
	Body       []byte         `json:",omitempty"` // of its command as approvers may sign it; nil where nobody had to agree
	Signatures []Signature    `json:",omitempty"` // of approvers over Body
	Undoes     ident.ActionID `json:",omitempty"` // it was asked for to undo this action; "" for none
	Cancel     Cancellation
	Progress   *Progress `json:",omitempty"` // what the device said of it last; nil for nothing
}

// Progress is how far a device is with an action.
type Progress struct {
	Percent int             // 0 to 100, -1 where it is not known
	Detail  string          // for people
	Numbers json.RawMessage `json:",omitempty"` // a JSON object of the kind's own; nil for none
	At      time.Time       // when the server heard it
}

// LiveKind is what one command of a live response does.
type LiveKind string

// The published commands.
const (
	PutFile   LiveKind = "PutFile"
	RunScript LiveKind = "RunScript"
	GetFile   LiveKind = "GetFile"
)

// LiveCommand is one command of a live response. The zero times are not reached yet.
type LiveCommand struct {
	Kind   LiveKind
	Params []Param
	Status string // Created, Executing, Completed, Failed
	Start  time.Time
	End    time.Time
	Errors []string `json:",omitempty"`
}

// Param is one parameter of a LiveCommand.
type Param struct{ Key, Value string }

// Cancellation says who cancelled an action, when, and why. While the action is open it is a
// wish: the device has been asked to stop, and says itself what came of it.
type Cancellation struct {
	By      string
	Comment string
	At      time.Time
}

// Undoable reports whether the device may have done what is to be undone.
func (a *Action) Undoable() bool {
	switch a.State {
	case Verified, Applied, Unknown, Delivered:
		return true
	}
	return false
}

// Due is when the action is given up if no device took it.
func (a *Action) Due() time.Time {
	if !a.Deadline.IsZero() && a.Deadline.Before(a.Expires) {
		return a.Deadline
	}
	return a.Expires
}

// Fields is what actions may be filtered and ordered by.
var Fields = filter.Schema{
	{Name: "id", Type: filter.String},
	{Name: "status", Type: filter.String},
	{Name: "machineId", Type: filter.String},
	{Name: "type", Type: filter.String},
	{Name: "requestor", Type: filter.String},
	{Name: "creationDateTimeUtc", Type: filter.Time},
	{Name: "lastUpdateDateTimeUtc", Type: filter.Time},
}

// CenterFields is Fields and what else the action center filters by: where an action came
// from, and whether it waits for somebody to agree.
var CenterFields = append(Fields[:len(Fields):len(Fields)],
	filter.Field{Name: "requestSource", Type: filter.String},
	filter.Field{Name: "awaitsApproval", Type: filter.Bool},
	filter.Field{Name: "isOpen", Type: filter.Bool},
)
