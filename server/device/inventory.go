package device

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
)

// MaxInventory bounds the JSON text of an inventory report, in bytes.
const MaxInventory = 256 << 10

const (
	maxText  = 1024
	maxItems = 1024
)

// Inventory is what a device says of itself, validated. Its JSON form is the server's own;
// ParseInventory reads the agent's.
type Inventory struct {
	Hostname     string      `json:"hostname"`
	FQDN         string      `json:"fqdn,omitempty"`
	MachineID    string      `json:"machineId,omitempty"`
	BootID       string      `json:"bootId,omitempty"`
	Platform     string      `json:"osPlatform"`
	Distribution string      `json:"osDistribution,omitempty"`
	Version      string      `json:"osVersion,omitempty"`
	VersionInfo  string      `json:"osVersionInfo,omitempty"`
	Build        int64       `json:"osBuild,omitempty"`
	Architecture string      `json:"osArchitecture,omitempty"` // 64-bit, 32-bit
	Processor    string      `json:"osProcessor,omitempty"`    // x64, x86, arm64
	Kernel       string      `json:"kernel,omitempty"`
	Vendor       string      `json:"vendor,omitempty"`
	Model        string      `json:"model,omitempty"`
	Interfaces   []Interface `json:"interfaces,omitempty"`
	Users        []User      `json:"loggedOnUsers,omitempty"`
	DNS          []string    `json:"dnsServers,omitempty"`
	Gateways     []string    `json:"gateways,omitempty"`
	AadDeviceID  string      `json:"aadDeviceId,omitempty"` // GUID in the directory it joined, lower case; "" for none
}

// Interface is one network interface of a device.
type Interface struct {
	Name      string   `json:"name"`
	MAC       string   `json:"mac,omitempty"`
	Type      string   `json:"type,omitempty"`      // Ethernet, Loopback, …
	Status    string   `json:"status,omitempty"`    // Up, Down
	Addresses []string `json:"addresses,omitempty"` // with the length of the prefix: 192.0.2.7/24
	Gateways  []string `json:"gateways,omitempty"`  // of its default routes
}

// User is one person logged on to a device.
type User struct {
	Name   string `json:"name"`
	Domain string `json:"domain,omitempty"`
	SID    string `json:"sid,omitempty"`
}

var guid = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

func (v *Inventory) check() error {
	texts := []struct{ name, s string }{
		{"hostname", v.Hostname}, {"fqdn", v.FQDN}, {"fingerprint.machineId", v.MachineID}, {"bootId", v.BootID},
		{"os.platform", v.Platform}, {"os.distribution", v.Distribution}, {"os.version", v.Version},
		{"os.versionInfo", v.VersionInfo}, {"os.architecture", v.Architecture}, {"os.processor", v.Processor},
		{"os.kernel", v.Kernel}, {"hardware.vendor", v.Vendor}, {"hardware.model", v.Model},
	}
	for _, t := range texts {
		if len(t.s) > maxText {
			return fmt.Errorf("%s is %d bytes, more than %d", t.name, len(t.s), maxText)
		}
	}
	if len(v.Interfaces) > maxItems || len(v.Users) > maxItems || len(v.DNS) > maxItems || len(v.Gateways) > maxItems {
		return fmt.Errorf("a list has more than %d items", maxItems)
	}
	if v.AadDeviceID != "" && !guid.MatchString(v.AadDeviceID) {
		return fmt.Errorf("aadDeviceId is no GUID")
	}
	for i, n := range v.Interfaces {
		if len(n.Name) > maxText || len(n.MAC) > maxText || len(n.Type) > maxText || len(n.Status) > maxText {
			return fmt.Errorf("interfaces[%d] has a text of more than %d bytes", i, maxText)
		}
		if len(n.Addresses) > maxItems || len(n.Gateways) > maxItems {
			return fmt.Errorf("interfaces[%d] has a list of more than %d items", i, maxItems)
		}
		for j, g := range n.Gateways {
			if _, err := netip.ParseAddr(g); err != nil {
				return fmt.Errorf("interfaces[%d].gateways[%d] is not an address", i, j)
			}
		}
		for j, a := range n.Addresses {
			if _, err := netip.ParsePrefix(a); err != nil {
				return fmt.Errorf("interfaces[%d].addresses[%d] is not an address with a prefix length", i, j)
			}
		}
	}
	for i, u := range v.Users {
		if len(u.Name) > maxText || len(u.Domain) > maxText || len(u.SID) > maxText {
			return fmt.Errorf("loggedOn[%d] has a text of more than %d bytes", i, maxText)
		}
	}
	for i, a := range v.DNS {
		if _, err := netip.ParseAddr(a); err != nil {
			return fmt.Errorf("dns[%d] is not an address", i)
		}
	}
	for i, a := range v.Gateways {
		if _, err := netip.ParseAddr(a); err != nil {
			return fmt.Errorf("gateways[%d] is not an address", i)
		}
	}
	return nil
}

// Name is the name a device goes by: its fully qualified name where it has one.
func (v *Inventory) Name() string {
	if v.FQDN != "" {
		return strings.ToLower(v.FQDN)
	}
	return strings.ToLower(v.Hostname)
}

// mainIP is the first address of an interface that is up and not a loopback one; IPv4
// goes before IPv6 and link-local addresses come last.
func (v *Inventory) mainIP() string {
	best, rank := "", 99
	for _, n := range v.Interfaces {
		if n.Status != "" && n.Status != "Up" {
			continue
		}
		for _, p := range n.Addresses {
			q, err := netip.ParsePrefix(p)
			if err != nil || q.Addr().IsLoopback() {
				continue
			}
			r := 1
			switch {
			case q.Addr().IsLinkLocalUnicast():
				r = 2
			case q.Addr().Unmap().Is4():
				r = 0
			}
			if r < rank {
				best, rank = q.Addr().Unmap().String(), r
			}
		}
	}
	return best
}

func (v Inventory) copy() Inventory {
	v.Interfaces = slices.Clone(v.Interfaces)
	for i := range v.Interfaces {
		n := &v.Interfaces[i]
		n.Addresses, n.Gateways = slices.Clone(n.Addresses), slices.Clone(n.Gateways)
	}
	v.Users = slices.Clone(v.Users)
	v.DNS = slices.Clone(v.DNS)
	v.Gateways = slices.Clone(v.Gateways)
	return v
}

// Prefixes returns the interface's addresses parsed.
func (n *Interface) Prefixes() []netip.Prefix {
	var out []netip.Prefix
	for _, s := range n.Addresses {
		if p, err := netip.ParsePrefix(s); err == nil {
			out = append(out, p)
		}
	}
	return out
}

// Address is one address of an interface, as it is published.
type Address struct {
	IP     netip.Addr
	MAC    string // 12 upper-case hexadecimal digits; "" when it is not known
	Type   string
	Status string
}

var noSeparators = strings.NewReplacer(":", "", "-", "", ".", "")

// Addresses lists the addresses of every interface.
func (v *Inventory) Addresses() []Address {
	var out []Address
	for i := range v.Interfaces {
		n := &v.Interfaces[i]
		kind := n.Type
		if kind == "Loopback" {
			kind = "SoftwareLoopback"
		}
		for _, p := range n.Prefixes() {
			out = append(out, Address{IP: p.Addr().Unmap(), MAC: strings.ToUpper(noSeparators.Replace(n.MAC)), Type: kind, Status: n.Status})
		}
	}
	return out
}
