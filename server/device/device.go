// Package device is the noun device: an enrolled computer, what it said of itself, how it
// is reached and how healthy it is, and the tokens that let a computer enrol.
//
// It is not the agent link: certificates are issued by package ca and messages arrive at
// package gateway; both speak to the Service here. The invariant: an id belongs to one
// tenant for ever, and one incarnation of it is valid at a time, so that a copy of a
// device's key is told apart from the device as soon as either of them enrols again.
//
// Start at Service.Enrol, then Service.Authenticate.
package device

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/vedette-edr/vedette/server/ident"
)

// Device is one enrolled computer. A Device that a Store returned belongs to the caller.
type Device struct {
	ID           ident.DeviceID
	Tenant       ident.TenantID
	Name         string // fully qualified where known, lower case
	Incarnation  uint64 // 1 at first enrolment; counts up with each further one
	Fingerprint  [32]byte
	Duplicate    bool // another device enrolled with the same fingerprint
	Certificates []Certificate
	FirstSeen    time.Time
	LastSeen     time.Time // last contact of any kind
	LastReport   time.Time // last heartbeat
	LastData     time.Time // last telemetry taken in
	LastIP       string    // an address of its own, from its inventory
	ExternalIP   string    // the address the server saw
	AgentVersion string
	Protocol     int // wire.Version of its agent
	Platform     string
	Inventory    Inventory
	Facilities   []Facility
	Spool        Spool
	Offset       time.Duration // server clock minus device clock, smoothed
	Clone        *Clone        // nil unless copies of this device were seen
	Offboarded   uint64        // the incarnation that took its leave of this server; 0 for none. A new enrolment has another
	Indicators   uint64        // revision of enforcing indicators that the device applied
	Tags         []string      // sorted, each once; Service.Tag changes them
	Value        Value
	Group        int64  // device group; 0 for none. Config.Groups decides it
	Regrouped    uint64 // counts the changes of Group that changed which indicators it needs
	Exposure     string // the published exposureLevel: None, Low, Medium, High; "" when it was not assessed
	Risk         Risk   `json:"-"` // kept by the store as alerts change; a change of it here is not kept
}

// Risk is the published riskScore: the highest severity of the device's unresolved alerts.
type Risk string

// NoRisk is the risk of a device without unresolved alerts.
const NoRisk Risk = "None"

// Certificate is one certificate that was issued to a device.
type Certificate struct {
	Serial      string // lower-case hexadecimal
	Incarnation uint64
	NotAfter    time.Time
}

// Facility is one thing the agent needs of the device and how well it works there.
type Facility struct {
	Name   string `json:"name"`
	State  string `json:"state"` // working, degraded, missing
	Detail string `json:"detail,omitempty"`
	Remedy string `json:"remedy,omitempty"`
}

// sees reports whether the device is watched by means of f. Isolation and blocking act on it:
// that they work does not make a device seen.
func (f Facility) sees() bool {
	return f.Name != "nftables" && f.Name != "enforce" && !strings.HasPrefix(f.Name, "enforce:") && !strings.HasPrefix(f.Name, respond)
}

// Spool is how much the device holds that the server has not acknowledged.
type Spool struct {
	Bytes   int64
	Limit   int64
	Batches int64
	Oldest  time.Time // when the oldest unacknowledged batch was made; zero for none
	Dropped uint64    // events dropped by the spool since the agent started
}

// Clone records that two copies spoke with one identity.
type Clone struct {
	At          time.Time
	Incarnation uint64 // the incarnation that was copied
	Left        int    // how many copies may still enrol again on the strength of its key
}

// Value is how much a device matters, as the published API's deviceValue.
type Value string

// The values of a device.
const (
	Normal Value = "Normal"
	Low    Value = "Low"
	High   Value = "High"
)

// Health is the published healthStatus.
type Health string

// The states of health.
const (
	Active               Health = "Active"
	Inactive             Health = "Inactive"
	Impaired             Health = "ImpairedCommunication"
	NoSensorData         Health = "NoSensorData"
	NoSensorDataImpaired Health = "NoSensorDataImpairedCommunication"
	Unknown              Health = "Unknown"
)

// Thresholds of Health. The agent reports every minute, so that quietAfter is ten missed
// reports; inactiveAfter is the published seven days.
const (
	inactiveAfter = 7 * 24 * time.Hour
	quietAfter    = 10 * time.Minute
	noDataAfter   = 24 * time.Hour
)

// Health derives the device's state at now. A device that is merely switched off stays
// as it was for a week, as in the published service.
func (d *Device) Health(now time.Time) Health {
	switch {
	case d.LastSeen.IsZero():
		return Unknown
	case now.Sub(d.LastSeen) > inactiveAfter:
		return Inactive
	}
	return d.Signs().Health()
}

// Signs is what the health of a device that is seen is derived from. It does not depend on
// the time, so that stores can keep what Health makes of it.
type Signs struct {
	First  time.Time // enrolment
	Report time.Time // last heartbeat
	Data   time.Time // last telemetry
	Oldest time.Time // of what the spool holds
	Blind  bool      // no sensor works
}

// Signs returns the device's.
func (d *Device) Signs() Signs {
	blind := len(d.Facilities) > 0 && !slices.ContainsFunc(d.Facilities, func(f Facility) bool { return f.sees() && f.State != "missing" })
	return Signs{First: d.FirstSeen, Report: d.LastReport, Data: d.LastData, Oldest: d.Spool.Oldest, Blind: blind}
}

// Health is one of Active, Impaired, NoSensorData and NoSensorDataImpaired. Impaired is a
// device whose telemetry and reports do not both arrive: one of them works and the other
// is overdue, or what it spooled is older than it should be.
func (s Signs) Health() Health {
	impaired := s.Data.Sub(s.Report) > quietAfter || !s.Oldest.IsZero() && s.Report.Sub(s.Oldest) > quietAfter
	since := s.Data
	if since.IsZero() {
		since = s.First
	}
	blind := s.Report.Sub(since) > noDataAfter || s.Blind
	switch {
	case blind && impaired:
		return NoSensorDataImpaired
	case blind:
		return NoSensorData
	case impaired:
		return Impaired
	}
	return Active
}

// HasIP reports whether a is one of the addresses the device has or was seen from.
func (d *Device) HasIP(a netip.Addr) bool {
	a = a.Unmap()
	for _, n := range d.Inventory.Interfaces {
		for _, p := range n.Addresses {
			if q, err := netip.ParsePrefix(p); err == nil && q.Addr().Unmap() == a {
				return true
			}
		}
	}
	for _, s := range []string{d.LastIP, d.ExternalIP} {
		if q, err := netip.ParseAddr(s); err == nil && q.Unmap() == a {
			return true
		}
	}
	return false
}

// HasTag reports whether the device carries the tag, spelled exactly so.
func (d *Device) HasTag(tag string) bool { return slices.Contains(d.Tags, tag) }

// Copy returns a copy whose slices the caller may change.
func (d *Device) Copy() *Device {
	c := *d
	c.Certificates = slices.Clone(d.Certificates)
	c.Facilities = slices.Clone(d.Facilities)
	c.Tags = slices.Clone(d.Tags)
	c.Inventory = d.Inventory.copy()
	if d.Clone != nil {
		k := *d.Clone
		c.Clone = &k
	}
	return &c
}
