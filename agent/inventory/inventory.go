// Package inventory says what a device is: its system, names, users, network and the marks
// by which it is known again.
//
// It reads files and the kernel's interface list only. It asks no name server, no metadata
// service and no package manager, writes nothing and never waits for the network. What it
// cannot read it leaves empty and names in Report.Incomplete.
//
// Every list and text is bounded, because parts of them are chosen by users of the device.
// A Report compares with an earlier one by Digest. Start at Collector.Collect.
package inventory

import (
	"crypto/sha256"
	"encoding/json"
	"strings"
	"time"
)

// Bounds of a Report.
const (
	MaxUsers      = 4096
	MaxLoggedOn   = 256
	MaxInterfaces = 256
	MaxAddresses  = 64 // per interface
	MaxServers    = 16 // name servers; gateways
	MaxText       = 256
)

// Report is what is known of a device at one moment.
type Report struct {
	Time     time.Time `json:"time"`
	Hostname string    `json:"hostname"` // as the kernel has it
	FQDN     string    `json:"fqdn"`     // the host name when no domain is known
	OS       OS        `json:"os"`
	Hardware Hardware  `json:"hardware"`
	BootID   string    `json:"bootId,omitempty"`
	BootTime time.Time `json:"bootTime,omitzero"`

	Users      []User      `json:"users,omitempty"`    // local accounts
	LoggedOn   []User      `json:"loggedOn,omitempty"` // with a live process of a login session
	Interfaces []Interface `json:"interfaces,omitempty"`
	DNS        []string    `json:"dns,omitempty"` // name servers in order

	Fingerprint Fingerprint `json:"fingerprint"`
	// Incomplete names what could not be read, and why, or was cut to its bound.
	Incomplete []string `json:"incomplete,omitempty"`
}

// OS is the operating system, in the words of the DeviceInfo table.
type OS struct {
	Platform     string `json:"platform"`              // OSPlatform: Linux
	Distribution string `json:"distribution"`          // OSDistribution: Debian, Ubuntu, RedHatEnterpriseLinux, …
	Version      string `json:"version"`               // OSVersion: 12, 22.04, 9.4
	VersionInfo  string `json:"versionInfo"`           // OSVersionInfo: the distribution's own full name
	Build        int64  `json:"build,omitempty"`       // OSBuild; 0 for systems that have none
	Kernel       string `json:"kernel"`                // release: 6.1.0-28-amd64
	KernelBuild  string `json:"kernelBuild,omitempty"` // version line of the kernel
	Architecture string `json:"architecture"`          // OSArchitecture: 64-bit, 32-bit
	Processor    string `json:"processor"`             // x64, arm64, x86, or the kernel's word
}

// Hardware is the machine, as its firmware names it.
type Hardware struct {
	Vendor  string `json:"vendor,omitempty"`
	Model   string `json:"model,omitempty"`
	Chassis int    `json:"chassis,omitempty"` // SMBIOS chassis type; 0 when unknown
}

// User is an account.
type User struct {
	Name   string `json:"userName"`
	Domain string `json:"domainName"` // the host name for a local account
	SID    string `json:"sid"`        // the numeric uid on Linux
	Admin  bool   `json:"admin,omitempty"`
}

// Interface is one network adapter. Type is a .NET NetworkInterfaceType name and Status an
// OperationalStatus name, as the published API has them.
type Interface struct {
	Name      string    `json:"name"`
	MAC       string    `json:"mac,omitempty"` // aa:bb:cc:dd:ee:ff
	Type      string    `json:"type"`
	Status    string    `json:"status"`
	Addresses []Address `json:"addresses,omitempty"`
	Gateways  []string  `json:"gateways,omitempty"` // of default routes
}

// Address is one address of an interface.
type Address struct {
	IP     string `json:"ip"`
	Prefix int    `json:"prefix"`         // length of the subnet's prefix
	Kind   string `json:"type,omitempty"` // Public, Private, Loopback, LinkLocal
}

// Fingerprint is what a device is known by after a new installation of the agent. A clone
// shares some of it: no part alone is an identity.
type Fingerprint struct {
	MachineID string `json:"machineId,omitempty"`
	MAC       string `json:"mac,omitempty"`     // of the first physical adapter
	DMIUUID   string `json:"dmiUuid,omitempty"` // lower case
}

// Digest is equal for two reports that differ at most in their time.
func (r Report) Digest() [sha256.Size]byte {
	r.Time = time.Time{}
	b, _ := json.Marshal(r) // of strings, numbers, bools and times: cannot fail
	return sha256.Sum256(b)
}

// clean makes s valid UTF-8 on one line, at most MaxText bytes long.
func clean(s string) string {
	s = strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s))
	if len(s) > MaxText {
		s = s[:MaxText]
	}
	return strings.ToValidUTF8(s, "")
}
