// Package incident joins alerts that tell of one attack, so that a team works on the attack
// and not on each of its traces.
//
// An alert joins the open incident that it shares most with: its device, an account, a
// file, an address or a name, each of which links for a while and weighs something
// (correlate.go, docs/design/0006). What everybody shares links nobody, and an incident has
// bounds, so that none grows over the whole estate. The invariants: an alert that is not
// hidden is in exactly one incident, from the transaction that keeps the alert; severity,
// times, counts and the name that nobody chose follow from the alerts; an incident whose
// alerts are all resolved is resolved, and resolving it resolves them.
//
// It knows nothing of how incidents are answered (packages api/mde and api/graph). Start
// at Service.Raised.
package incident

import (
	"time"

	"github.com/vedette-edr/vedette/server/alert"
	"github.com/vedette-edr/vedette/server/filter"
	"github.com/vedette-edr/vedette/server/ident"
)

// Status is how far the work on an incident is.
type Status string

// The published statuses. Redirected is an incident that was merged into another.
const (
	Active     Status = "Active"
	InProgress Status = "InProgress"
	Resolved   Status = "Resolved"
	Redirected Status = "Redirected"
)

// Incident is alerts that belong together. An Incident that a Store returned belongs to
// the caller.
type Incident struct {
	ID     ident.IncidentID
	Tenant ident.TenantID
	Name   string
	Named  bool // somebody chose the name: it no longer follows from the alerts
	// Summary is what analysts wrote about it, "" for nothing.
	Summary        string
	Severity       alert.Severity
	Rated          bool // somebody chose the severity: likewise
	Status         Status
	AssignedTo     string
	Classification string
	Determination  string
	Tags           []string
	Comments       []alert.Comment
	Created        time.Time
	Updated        time.Time
	Resolved       time.Time // zero unless Status is Resolved
	// Redirect is the incident that it was merged into, 0 unless Status is Redirected.
	Redirect ident.IncidentID
	Account
}

// Account is what an incident tells of its alerts without them. Lists are in the order of
// first appearance and bounded; the alerts themselves have everything.
type Account struct {
	Alerts     int // in it
	Unresolved int // of them
	FirstEvent time.Time
	LastEvent  time.Time
	Titles     []string
	Devices    []Device
	Users      []string
	Categories []string
	Sources    []string // detection sources
	Techniques []string
}

// Device is a device that an incident's alerts are on.
type Device struct {
	ID   ident.DeviceID
	Name string
}

// Open reports whether the incident takes further alerts.
func (i *Incident) Open() bool { return i.Status == Active || i.Status == InProgress }

// Fields is what incidents may be filtered and ordered by. Names are those of the
// published API.
var Fields = filter.Schema{
	{Name: "incidentId", Type: filter.Int},
	{Name: "redirectIncidentId", Type: filter.Int},
	{Name: "incidentName", Type: filter.String},
	{Name: "severity", Type: filter.String},
	{Name: "status", Type: filter.String},
	{Name: "assignedTo", Type: filter.String},
	{Name: "classification", Type: filter.String},
	{Name: "determination", Type: filter.String},
	{Name: "tags", Type: filter.List},
	{Name: "createdTime", Type: filter.Time},
	{Name: "lastUpdateTime", Type: filter.Time},
}

// clone returns a copy whose lists may be added to.
func (i *Incident) clone() *Incident {
	c := *i
	return &c
}
