// Package notify tells people and systems of alerts and incidents: by mail, by web hook,
// and to those who subscribed through the API of the flow connector.
//
// What is to be sent is written to an outbox in the transaction that keeps the alert, so
// that a crash loses nothing; the Sender takes it from there and tries until it is taken or
// a day has passed, which is then told. A message that was sent as the server ended may be
// sent again: its key, which a receiver sees, is the same. The invariant: every alert that
// a rule matches is in a message or in the rule's digest, however many there are.
//
// It speaks no protocol: package connector/mail and connector/webhook do. Start at
// Service.Raised, then Sender.Run.
package notify

import (
	"context"
	"io"
	"os"
	"time"

	"github.com/vedette-edr/vedette/server/alert"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/incident"
)

// Subject is what a rule is about.
type Subject string

// The subjects of rules.
const (
	OfAlerts    Subject = "Alert"    // each new alert that is not suppressed
	OfIncidents Subject = "Incident" // each new incident
	OfApprovals Subject = "Approval" // each action that waits for somebody to agree
)

// Rule says of what, whom and how somebody wants to be told.
type Rule struct {
	ID      ident.NotificationID
	Tenant  ident.TenantID
	Name    string
	Enabled bool
	Subject Subject
	// What it is about: at least so severe, and one of each list that is not empty.
	Severity   alert.Severity
	Groups     []int64  // device groups, 0 for devices in none
	Sources    []string // detection sources
	Categories []string
	// Where to: mail addresses, a web hook, or both.
	Mail []string
	URL  string // of the web hook; "" for none
	// Secret signs what the web hook gets; sealed, "" for none.
	Secret string
	// Digest gathers what happens within it into one message; 0 sends each at once.
	Digest time.Duration
	// PerHour bounds the messages of an hour; what exceeds it goes into a digest.
	PerHour   int
	CreatedBy ident.Actor
	Created   time.Time
	UpdatedBy ident.Actor
	Updated   time.Time
}

// Subscription is a web hook that was asked for through /subscriptions: it gets the ids of
// each new alert and its device.
type Subscription struct {
	ID          ident.SubscriptionID
	Tenant      ident.TenantID
	URL         string
	ClientState string // the subscriber's own, given back as it is
	Resource    string // alerts
	ChangeType  string // created
	Secret      string // sealed; "" for none
	Expires     time.Time
	Owner       ident.Actor
	Created     time.Time
}

// Kind is how a message is sent.
type Kind string

// The kinds of message.
const (
	ByMail Kind = "mail"
	ByHook Kind = "webhook"
)

// State is what became of a message.
type State string

// The states of a message.
const (
	Waiting State = "Waiting"
	Sent    State = "Sent"
	Failed  State = "Failed" // given up
)

// Message is one message of the outbox.
type Message struct {
	// ID is derived from what it tells of and to whom, so that telling it again is
	// harmless; receivers see it as its key.
	ID        string
	Tenant    ident.TenantID
	Channel   string // "rule/7" or "subscription/<id>": what it is counted by
	Kind      Kind
	To        []string // addresses, or the one URL
	Subject   string   // of a mail
	Body      string
	Secret    string  // sealed; "" for none
	ReplyTo   string  // of a mail: whom to answer; "" for the sender
	File      *Parcel `json:",omitempty"` // what goes with it; nil for nothing
	Lane      Lane
	State     State
	Attempts  int
	LastError string
	Answer    string // what the receiver said as it took the message; "" where it was not kept
	Created   time.Time
	Due       time.Time // next attempt
	Until     time.Time `json:",omitzero"` // it is given up after this; zero for a day after Created
	Done      time.Time // when it was sent or given up
}

// Lane is what messages wait behind. A large file that goes out slowly must hold up no
// notification.
type Lane string

// The lanes of the outbox.
const (
	Notices Lane = ""       // short messages
	Parcels Lane = "parcel" // messages that belong to somebody who waits for what becomes of them
)

// Parcel is a file that goes with a message, by its content.
type Parcel struct {
	Name   string // for whoever saves it
	Type   string // media type
	SHA256 string
	Size   int64 // bytes
}

// Item is one thing that waits for a rule's digest.
type Item struct {
	ID     string // as Message.ID, of the single thing
	Tenant ident.TenantID
	Rule   ident.NotificationID
	Due    time.Time // of the digest
	At     time.Time
	News   News
}

// News is what happened, as messages tell it.
type News struct {
	Subject    Subject
	Alert      ident.AlertID    `json:",omitempty"`
	Incident   ident.IncidentID `json:",omitempty"`
	Action     ident.ActionID   `json:",omitempty"`
	Title      string
	Severity   alert.Severity
	Category   string
	Source     string
	Device     ident.DeviceID
	DeviceName string
	At         time.Time
	Text       string // description
}

// RuleStore keeps rules and subscriptions. Every method is safe for concurrent use and
// sees only the tenant it is given.
type RuleStore interface {
	// CreateRule keeps a new rule and gives it its ID.
	CreateRule(ctx context.Context, r *Rule) error
	// Rules returns the tenant's rules by id.
	Rules(ctx context.Context, tenant ident.TenantID) ([]*Rule, error)
	// UpdateRule reads, changes and writes one rule in a transaction.
	UpdateRule(ctx context.Context, tenant ident.TenantID, id ident.NotificationID, change func(*Rule) error) (*Rule, error)
	// DeleteRule forgets a rule and what waits for its digest.
	DeleteRule(ctx context.Context, tenant ident.TenantID, id ident.NotificationID) error
}

// SubscriptionStore keeps subscriptions.
type SubscriptionStore interface {
	// CreateSubscription keeps a new subscription.
	CreateSubscription(ctx context.Context, s *Subscription) error
	// Subscriptions returns the tenant's subscriptions by creation, expired ones included.
	Subscriptions(ctx context.Context, tenant ident.TenantID) ([]*Subscription, error)
	// UpdateSubscription reads, changes and writes one in a transaction.
	UpdateSubscription(ctx context.Context, tenant ident.TenantID, id ident.SubscriptionID, change func(*Subscription) error) (*Subscription, error)
	// DeleteSubscription forgets one.
	DeleteSubscription(ctx context.Context, tenant ident.TenantID, id ident.SubscriptionID) error
	// ExpireSubscriptions forgets those of all tenants that ended before a time.
	ExpireSubscriptions(ctx context.Context, before time.Time) error
}

// Outbox keeps what is to be sent.
type Outbox interface {
	// Enqueue keeps messages; one whose id is there already is passed over.
	Enqueue(ctx context.Context, ms ...*Message) error
	// Gather keeps items for digests; one whose id is there already is passed over.
	Gather(ctx context.Context, items ...*Item) error
	// Due returns up to limit waiting messages of a lane, of all tenants, whose time has
	// come, the longest due first.
	Due(ctx context.Context, lane Lane, now time.Time, limit int) ([]*Message, error)
	// UpdateMessage reads, changes and writes one message.
	UpdateMessage(ctx context.Context, tenant ident.TenantID, id string, change func(*Message) error) error
	// TakeDigest takes the items of one rule whose digest is due, up to limit of them,
	// out of the outbox; none when no digest is due.
	TakeDigest(ctx context.Context, now time.Time, limit int) ([]*Item, error)
	// DigestDue reports whether a digest is due; TakeDigest needs a transaction, which most
	// of the time would find nothing.
	DigestDue(ctx context.Context, now time.Time) (bool, error)
	// Messages returns up to limit messages of a channel, newest first; of all channels
	// when it is "".
	Messages(ctx context.Context, tenant ident.TenantID, channel string, limit int) ([]*Message, error)
}

// Ledger looks over what was sent.
type Ledger interface {
	// Tidy forgets messages that were sent or given up before a time.
	Tidy(ctx context.Context, before time.Time) error
	// CountMessages returns how many messages of the channel were made since a time.
	CountMessages(ctx context.Context, tenant ident.TenantID, channel string, since time.Time) (int, error)
}

// File is a file that is sent. Open may be called several times; its caller closes what it
// gets.
type File struct {
	Name, Type string
	Size       int64 // bytes
	Open       func() (io.ReadSeekCloser, error)
}

// Mail is a mail to be sent.
type Mail struct {
	To            []string
	Subject, Text string
	Key           string // becomes part of its Message-ID
	ReplyTo       string // "" for the sender
	File          *File  // nil for none
}

// Hook is a request to a web hook. With a file it is multipart/form-data of two parts: case,
// which is Body, and bundle.
type Hook struct {
	URL    string
	Body   []byte // JSON
	Key    string // the same for each attempt
	Secret []byte // signs the body; nil for none
	File   *File  // nil for none
	Answer int    // how many bytes of what is answered are kept; 0 for its status alone
}

// Mailer sends mail, and returns what the mail server said as it took it. An error of kind
// errs.Invalid or errs.Denied is final: trying again would change nothing.
type Mailer interface {
	Mail(ctx context.Context, m Mail) (answer string, err error)
}

// Poster calls web hooks, and returns what was answered. Errors as Mailer; errs.NotFound says
// that the receiver wants no more.
type Poster interface {
	Post(ctx context.Context, h Hook) (answer string, err error)
}

// Files has the contents of parcels.
type Files interface {
	// Open returns a content by its SHA-256 in hexadecimal; the caller closes it.
	Open(sum string) (*os.File, error)
}

// Sealer keeps secrets unreadable in the store.
type Sealer interface {
	Seal(purpose string, b []byte) (string, error)
	Unseal(purpose, text string) ([]byte, error)
}

var (
	_ alert.Observer    = (*Service)(nil)
	_ incident.Observer = (*Service)(nil)
)
