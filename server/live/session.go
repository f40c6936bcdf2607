package live

import (
	"context"
	"slices"
	"time"

	"github.com/vedette-edr/vedette/server/filter"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/wire"
)

// State is where a session stands.
type State string

// The states.
const (
	Waiting State = "Waiting" // for the device, or for the console
	Active  State = "Active"
	Ended   State = "Ended"
)

// Session is one session with a device.
type Session struct {
	ID          ident.ActionID // also of the command that opens it
	Tenant      ident.TenantID
	Device      ident.DeviceID
	DeviceName  string
	Incarnation uint64
	Level       wire.LiveLevel
	By          ident.Actor
	Comment     string
	State       State
	Created     time.Time
	Started     time.Time // when both sides were there; zero before
	Ended       time.Time // zero before
	Reason      string    // why it ended
	Outcome     string    // what the device said of its end: verified when nothing of it is left there
	Commands    int
	Files       []File
	Transcript  string // SHA-256 of the asciicast; "" until it ended
}

// File is one file that a session brought from the device.
type File struct {
	Index  int
	Name   string
	SHA256 string
	Size   int64
	At     time.Time
}

// Command is one command of a session.
type Command struct {
	Run    int // 1, 2, 3, …
	Line   string
	Begun  time.Time
	Ended  time.Time // zero while it runs
	Status string    // running, completed, failed, cancelled, timeout, background, denied, lost
	Exit   int
	Error  string
	Output int64 // bytes
	Files  []int // indices of Session.Files
}

// Fields is what sessions may be filtered and ordered by.
var Fields = filter.Schema{
	{Name: "id", Type: filter.String},
	{Name: "machineId", Type: filter.String},
	{Name: "state", Type: filter.String},
	{Name: "startedBy", Type: filter.String},
	{Name: "creationDateTimeUtc", Type: filter.Time},
}

// Store keeps sessions and their commands. A session of another tenant, or of a device
// outside of access.ScopeOf the context, is errs.NotFound.
type Store interface {
	// CreateSession keeps a new session. While another of the device has not ended it is
	// errs.Conflict with code ActiveRequestAlreadyExists.
	CreateSession(ctx context.Context, s *Session) error
	Session(ctx context.Context, tenant ident.TenantID, id ident.ActionID) (*Session, error)
	// Sessions lists sessions, the newest first unless q orders otherwise.
	Sessions(ctx context.Context, tenant ident.TenantID, q filter.Query) (filter.Page[*Session], error)
	// UpdateSession reads, changes and writes one session in a transaction.
	UpdateSession(ctx context.Context, tenant ident.TenantID, id ident.ActionID, change func(*Session) error) (*Session, error)
	// OpenSessions returns the sessions that have not ended, of every tenant. It is for the
	// server itself and knows no scope.
	OpenSessions(ctx context.Context) ([]*Session, error)
	// PutCommand keeps a command in place of the one with its run.
	PutCommand(ctx context.Context, tenant ident.TenantID, id ident.ActionID, c *Command) error
	// Commands returns the commands of a session in their order.
	Commands(ctx context.Context, tenant ident.TenantID, id ident.ActionID) ([]*Command, error)
}

// file returns the file of an index.
func (s *Session) file(index int) (File, bool) {
	i := slices.IndexFunc(s.Files, func(f File) bool { return f.Index == index })
	if i < 0 {
		return File{}, false
	}
	return s.Files[i], true
}
