// Package event holds the telemetry event as Go structs: what a sensor on a device
// produces, what the wire carries, what detection reads and what the telemetry store
// turns into rows of the hunting tables.
//
// An Event names the hunting table it belongs to and is a set of optional parts; parts
// that a table does not have are nil. Parts are shared: many events point to the same
// Process, so nobody may change an Event or a part after it was emitted.
//
// The package imports nothing of ours, because the agent, whose closure is its attack
// surface, imports it. Columns are read through Column, the one place that knows which
// part fills which hunting column; start reading there.
package event

import "time"

// Table is the hunting table that an event becomes a row of.
type Table uint8

// The tables a device's events go to. Values are on the wire: never renumber.
const (
	TableUnknown Table = iota
	ProcessEvents
	NetworkEvents
	FileEvents
	LogonEvents
	ImageLoadEvents
	RegistryEvents
	DeviceEvents
	tableEnd
)

var tableNames = [...]string{
	"", "DeviceProcessEvents", "DeviceNetworkEvents", "DeviceFileEvents",
	"DeviceLogonEvents", "DeviceImageLoadEvents", "DeviceRegistryEvents", "DeviceEvents",
}

// String returns the hunting table's name, "" for an unknown value.
func (t Table) String() string {
	if t >= tableEnd {
		return ""
	}
	return tableNames[t]
}

// Valid reports whether t names a table.
func (t Table) Valid() bool { return t > TableUnknown && t < tableEnd }

// Event is one observation on a device.
type Event struct {
	Table  Table
	Action string    // ActionType, from the published list where one fits
	Time   time.Time // the device's wall clock at the observation
	Boot   int64     // nanoseconds since boot (CLOCK_BOOTTIME); 0 when unknown

	Initiating *Process // who did it; nil when unknown
	Process    *Process // the process it was done to, or that was created
	File       *File    // the file it was done to
	Previous   *File    // the file's name and path before a rename
	Network    *Network
	Logon      *Logon
	Account    *Account // the account it was done to: logged on, created, changed

	// Additional is a JSON object, "" for none: the AdditionalFields column.
	Additional string
}

// Process is one process, or the image that a process ran before it exec'ed again.
type Process struct {
	Key         uint64 // unique on the device for one (boot, pid, start, exec): ProcessUniqueId
	PID         uint32
	Start       time.Time
	Image       File
	CommandLine string // arguments joined as a shell would quote them
	WorkingDir  string
	Account     Account
	Session     uint32 // audit session id; 0 when unset
	Elevation   string // TokenElevationTypeDefault, TokenElevationTypeFull or ""
	Integrity   string // System for root, High with capabilities, Medium else, or ""
	Parent      Parent
}

// Parent says as much of a process's parent as a row shows.
type Parent struct {
	PID      uint32
	FileName string
	Start    time.Time
}

// File is a file by name, with what is known of its content. Hashes are lower-case
// hexadecimal, "" when the file was not read.
type File struct {
	Name   string // last path element
	Path   string // absolute path with the name; FolderPath
	SHA1   string
	SHA256 string
	MD5    string
	Size   int64 // bytes; -1 when unknown
}

// Account is a user of the device. Name "" means unknown.
type Account struct {
	Name   string
	Domain string // the device's host name for a local account
	SID    string // the numeric uid on Linux
}

// Network is one end-to-end conversation, as seen from the device.
type Network struct {
	RemoteIP   string // canonical text; IPv4-mapped IPv6 addresses as IPv4
	RemotePort uint16
	RemoteURL  string // host name, when it is known which name led to the address
	LocalIP    string
	LocalPort  uint16
	Protocol   string // Tcp, Udp, Icmp
}

// Logon is one session's beginning, end, or failed beginning.
type Logon struct {
	Type         string // Interactive, RemoteInteractive, Network, Batch, Service, …
	ID           uint64 // audit session id; 0 when unset
	Protocol     string // ssh, su, sudo, login, …
	Failure      string // FailureReason
	LocalAdmin   bool   // uid 0 or member of sudo, wheel or admin
	RemoteDevice string
	RemoteIP     string
	RemotePort   uint16
}

// Gap is telemetry that is known to be missing: a row of the loss ledger.
type Gap struct {
	Source string    // where it was lost: kernel:exec, spool, link, ingest, …
	Reason string    // why, in words for people
	Count  uint64    // events lost; 0 when the number is unknown
	From   time.Time // first instant that may be incomplete
	To     time.Time // last instant that may be incomplete
}
