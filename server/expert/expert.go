// Package expert hands a case to somebody outside: an analyst asks a question about an alert,
// an incident or a device, and the server puts what it knows of it into a bundle and gives
// that to a receiver whom an administrator set up.
//
// Asking is a response action of the kind AskExpert, which the server carries out itself:
// approval, cancellation and the action center are package action's, delivery with its
// retries is package notify's. Here is what lies between: what a case is about, the bundle,
// and where it goes. The state of the action says what is proven: delivered, the case is
// being put together; applied, the bundle is made and waits to be taken; verified, the
// receiver took it, with its own words as evidence.
//
// The invariants: a case goes to receivers of the tenant alone, and holds nothing that its
// asker may not see; what a bundle lacks it says itself; a crash loses no case and hands none
// over under two names. Start at Service.Ask, then worker.go.
package expert

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"time"

	"github.com/vedette-edr/vedette/schema/event"
	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/action"
	"github.com/vedette-edr/vedette/server/alert"
	"github.com/vedette-edr/vedette/server/audit"
	"github.com/vedette-edr/vedette/server/device"
	"github.com/vedette-edr/vedette/server/filter"
	"github.com/vedette-edr/vedette/server/hunt"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/incident"
	"github.com/vedette-edr/vedette/server/notify"
)

// Hand is how a receiver gets a bundle.
type Hand string

// The ways to hand a bundle over.
const (
	ByLink     Hand = "Link"       // a message with a link that ends
	ByAttached Hand = "Attachment" // the bundle itself
)

// Receiver is somebody whom cases can be handed to.
type Receiver struct {
	ID      ident.ReceiverID
	Tenant  ident.TenantID
	Name    string
	About   string // who they are, and what they are asked for
	Enabled bool
	// Where to: mail addresses or a web hook, not both: what became of a hand-over is one
	// answer.
	Mail []string
	URL  string
	// Secret signs what the web hook gets; sealed, "" for none.
	Secret string
	Hand   Hand
	// Keys are public keys of age or ssh that bundles are encrypted to; none leaves them as
	// they are.
	Keys []string
	// Plain says that somebody decided that bundles may go by mail without encryption.
	Plain    bool
	MaxBytes int64         // of a bundle
	Life     time.Duration // of a link
	Base     string        // https://HOST that the receiver reaches this server at; "" for the server's own
	Groups   []int64       // device groups whose cases may go there; empty for all
	// Who made it and who changed it last.
	CreatedBy ident.Actor
	Created   time.Time
	UpdatedBy ident.Actor
	Updated   time.Time
}

// About is what a case is about: one of them.
type About struct {
	Alert    ident.AlertID    `json:",omitempty"`
	Incident ident.IncidentID `json:",omitempty"`
	Device   ident.DeviceID   `json:",omitempty"`
}

// Package says what a case does about investigation packages.
type Package string

// What a case may do about investigation packages.
const (
	NoPackage Package = "None"
	Latest    Package = "Latest"  // the last one that was collected, if there is one
	Collect   Package = "Collect" // one is collected for the case, and waited for
)

// Subject is a device of a case.
type Subject struct {
	Device ident.DeviceID
	Name   string
	// Package is the action that yields its investigation package; "" for none.
	Package ident.ActionID `json:",omitempty"`
}

// Case is one question to an expert. Its state is its action's.
type Case struct {
	ID       ident.ActionID // of its action
	Tenant   ident.TenantID
	About    About
	Title    string
	Question string
	Contact  string // how the expert answers
	By       ident.Actor
	Receiver ident.ReceiverID
	Name     string // of the receiver, as it was then
	Alerts   []ident.AlertID
	More     int // alerts that were too many
	Subjects []Subject
	Others   int       // devices that were too many
	From, To time.Time // of the timelines
	Near     time.Time // what of them matters most
	Package  Package
	Patience time.Time // packages are waited for until then
	Created  time.Time

	// What became of it. Open is false once its action has ended.
	Open     bool
	Tries    int         // attempts to make the bundle
	Due      time.Time   // of the next step
	Bundle   *Bundle     `json:",omitempty"`
	Message  string      // id of the message that hands it over
	Revoked  *Revocation `json:",omitempty"`
	Fetched  int         // times that the link was followed
	Fetches  []Fetch
	Taken    time.Time `json:",omitzero"` // when the receiver took it
	Answer   string    // what the receiver said then
	Attempts int       // to hand it over
	Waiting  string    // why it was not taken yet
	Finished time.Time `json:",omitzero"`
}

// Bundle is what was put together for a case.
type Bundle struct {
	Name      string
	SHA256    string // of what is handed over
	Size      int64  // bytes
	Encrypted bool
	Linked    bool // a link leads to it; otherwise it goes with the message
	Made      time.Time
	Until     time.Time // the link to it ends
	Contents  []Content
	Omitted   []Omission
}

// Content is one file of a bundle.
type Content struct {
	Path   string
	SHA256 string
	Size   int64 // bytes
}

// Omission is something that a bundle lacks, and why.
type Omission struct{ What, Why string }

// Fetch is one time that the link of a case was followed.
type Fetch struct {
	At   time.Time
	From string // address
}

// Revocation ends the link of a case.
type Revocation struct {
	By string
	At time.Time
}

// ReceiverStore keeps receivers. Every method is safe for concurrent use; one of another
// tenant is errs.NotFound.
type ReceiverStore interface {
	// CreateReceiver keeps a new receiver and gives it its ID.
	CreateReceiver(ctx context.Context, r *Receiver) error
	// Receivers returns the tenant's receivers by id.
	Receivers(ctx context.Context, tenant ident.TenantID) ([]*Receiver, error)
	// UpdateReceiver reads, changes and writes one in a transaction.
	UpdateReceiver(ctx context.Context, tenant ident.TenantID, id ident.ReceiverID, change func(*Receiver) error) (*Receiver, error)
	// DeleteReceiver forgets one.
	DeleteReceiver(ctx context.Context, tenant ident.TenantID, id ident.ReceiverID) error
}

// CaseStore keeps cases. Every method is safe for concurrent use. A case of another tenant is
// errs.NotFound, and so is one of which a device is outside of access.ScopeOf the context.
type CaseStore interface {
	// CreateCase keeps a new case.
	CreateCase(ctx context.Context, c *Case) error
	// Case returns one case.
	Case(ctx context.Context, tenant ident.TenantID, id ident.ActionID) (*Case, error)
	// Cases lists cases, newest first unless q orders otherwise.
	Cases(ctx context.Context, tenant ident.TenantID, q filter.Query) (filter.Page[*Case], error)
	// UpdateCase reads, changes and writes one case in a transaction.
	UpdateCase(ctx context.Context, tenant ident.TenantID, id ident.ActionID, change func(*Case) error) (*Case, error)
	// DueCases returns up to limit open cases of all tenants whose next step is due, the
	// longest due first.
	DueCases(ctx context.Context, now time.Time, limit int) ([]*Case, error)
}

// Fields is what cases may be filtered and ordered by.
var Fields = filter.Schema{
	{Name: "id", Type: filter.String},
	{Name: "alertId", Type: filter.String},
	{Name: "incidentId", Type: filter.Int},
	{Name: "machineId", Type: filter.String},
	{Name: "isOpen", Type: filter.Bool},
	{Name: "creationTime", Type: filter.Time},
}

// Alerts is what the service asks about alerts.
type Alerts interface {
	Get(ctx context.Context, tenant ident.TenantID, id ident.AlertID) (*alert.Alert, error)
	List(ctx context.Context, tenant ident.TenantID, q filter.Query) (filter.Page[*alert.Alert], error)
}

// Incidents is what the service asks about incidents.
type Incidents interface {
	Get(ctx context.Context, tenant ident.TenantID, id ident.IncidentID) (*incident.Incident, error)
	AlertsOf(ctx context.Context, tenant ident.TenantID, ids ...ident.IncidentID) (map[ident.IncidentID][]*alert.Alert, error)
}

// Devices is what the service asks about devices.
type Devices interface {
	Get(ctx context.Context, tenant ident.TenantID, id ident.DeviceID) (*device.Device, error)
}

// Actions is what the service asks of action.Service.
type Actions interface {
	Get(ctx context.Context, tenant ident.TenantID, id ident.ActionID) (*action.Action, error)
	List(ctx context.Context, tenant ident.TenantID, q filter.Query) (filter.Page[*action.Action], error)
	RequestTogether(ctx context.Context, by *access.Principal, rs []action.Request, also func(context.Context, []*action.Action) error) ([]*action.Action, error)
}

// Executor moves the actions that the server carries out.
type Executor interface {
	Carry(ctx context.Context, tenant ident.TenantID, id ident.ActionID, to action.State, part, detail string, evidence json.RawMessage) (*action.Action, error)
	Tell(ctx context.Context, tenant ident.TenantID, id ident.ActionID, detail string) error
}

// Telemetry is what the service asks of hunting.
type Telemetry interface {
	Timeline(ctx context.Context, tenant ident.TenantID, device ident.DeviceID, at hunt.Stretch) (*hunt.Timeline, error)
	ProcessTree(ctx context.Context, tenant ident.TenantID, device ident.DeviceID, of event.Process) (*hunt.Tree, error)
}

// Outbox takes messages, and says what became of them.
type Outbox interface {
	Submit(ctx context.Context, ms ...*notify.Message) error
	Channel(ctx context.Context, tenant ident.TenantID, channel string, limit int) ([]*notify.Message, error)
	Seal(place, secret string) (string, error)
}

// Sender sends at once, and takes back what nobody took yet.
type Sender interface {
	Try(ctx context.Context, m *notify.Message) (answer string, err error)
	Withdraw(ctx context.Context, tenant ident.TenantID, id, why string) error
}

// Blobs keeps contents by their hash.
type Blobs interface {
	Put(r io.Reader, most int64) (sum string, size int64, err error)
	Open(sum string) (*os.File, error)
}

// Config is what a Service is made of.
type Config struct {
	Receivers ReceiverStore
	Cases     CaseStore
	Alerts    Alerts
	Incidents Incidents
	Devices   Devices
	Actions   Actions
	Executor  Executor
	Telemetry Telemetry
	Outbox    Outbox
	Sender    Sender
	Blobs     Blobs
	Audit     audit.Log // nil for none
	LinkKey   []byte    // signs links
	URL       string    // of this server, for links
	Version   string    // of this server, told in bundles
	Clock     func() time.Time
	// Atomic runs do in one transaction of the stores, Executor, Outbox and Audit; nil runs
	// it as it is.
	Atomic func(ctx context.Context, do func(context.Context) error) error
	// Failed is told what went wrong with a case; nil for nobody.
	Failed func(c *Case, err error)
}
