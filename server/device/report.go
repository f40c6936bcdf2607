package device

import (
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/vedette-edr/vedette/server/errs"
)

// report is the agent's inventory report as it is on the wire. Members that are not named
// here are passed over, so that newer agents may say more.
type report struct {
	Hostname string `json:"hostname"`
	FQDN     string `json:"fqdn"`
	BootID   string `json:"bootId"`
	OS       struct {
		Platform     string `json:"platform"`
		Distribution string `json:"distribution"`
		Version      string `json:"version"`
		VersionInfo  string `json:"versionInfo"`
		Build        int64  `json:"build"`
		Kernel       string `json:"kernel"`
		Architecture string `json:"architecture"`
		Processor    string `json:"processor"`
	} `json:"os"`
	Hardware struct {
		Vendor string `json:"vendor"`
		Model  string `json:"model"`
	} `json:"hardware"`
	LoggedOn []struct {
		Name   string `json:"userName"`
		Domain string `json:"domainName"`
		SID    string `json:"sid"`
	} `json:"loggedOn"`
	Interfaces []struct {
		Name      string `json:"name"`
		MAC       string `json:"mac"`
		Type      string `json:"type"`
		Status    string `json:"status"`
		Addresses []struct {
			IP     string `json:"ip"`
			Prefix int    `json:"prefix"`
		} `json:"addresses"`
		Gateways []string `json:"gateways"`
	} `json:"interfaces"`
	DNS         []string `json:"dns"`
	Fingerprint struct {
		MachineID string `json:"machineId"`
	} `json:"fingerprint"`
	AadDeviceID string `json:"aadDeviceId"`
}

// ParseInventory reads an agent's report. Everything in it is untrusted: an error is
// errs.Invalid and names the member that is wrong.
func ParseInventory(b []byte) (Inventory, error) {
	const op = "device.ParseInventory"
	if len(b) > MaxInventory {
		return Inventory{}, errs.New(op, errs.Invalid, errs.InvalidInput, "the inventory is %d bytes, more than %d", len(b), MaxInventory)
	}
	if !utf8.Valid(b) {
		return Inventory{}, errs.New(op, errs.Invalid, errs.InvalidInput, "the inventory is not UTF-8")
	}
	var r report
	if err := json.Unmarshal(b, &r); err != nil {
		place := "the inventory is not the JSON object it should be"
		var wrong *json.UnmarshalTypeError
		if errors.As(err, &wrong) && wrong.Field != "" {
			place = "inventory: " + wrong.Field + " is of the wrong type"
		}
		return Inventory{}, &errs.E{Op: op, Kind: errs.Invalid, Code: errs.InvalidInput, Detail: place, Err: err}
	}
	v := r.inventory()
	if err := v.check(); err != nil {
		return Inventory{}, &errs.E{Op: op, Kind: errs.Invalid, Code: errs.InvalidInput, Detail: "inventory: " + err.Error()}
	}
	return v, nil
}

func (r *report) inventory() Inventory {
	v := Inventory{
		Hostname: r.Hostname, FQDN: r.FQDN, MachineID: r.Fingerprint.MachineID, BootID: r.BootID,
		Platform: r.OS.Platform, Distribution: r.OS.Distribution, Version: r.OS.Version, VersionInfo: r.OS.VersionInfo,
		Build: r.OS.Build, Architecture: r.OS.Architecture, Processor: r.OS.Processor, Kernel: r.OS.Kernel,
		Vendor: r.Hardware.Vendor, Model: r.Hardware.Model, DNS: r.DNS,
		AadDeviceID: strings.ToLower(r.AadDeviceID),
	}
	for _, u := range r.LoggedOn {
		v.Users = append(v.Users, User{Name: u.Name, Domain: u.Domain, SID: u.SID})
	}
	for _, n := range r.Interfaces {
		i := Interface{Name: n.Name, MAC: n.MAC, Type: n.Type, Status: n.Status, Gateways: n.Gateways}
		for _, a := range n.Addresses {
			i.Addresses = append(i.Addresses, a.IP+"/"+strconv.Itoa(a.Prefix))
		}
		for _, g := range n.Gateways {
			if !slices.Contains(v.Gateways, g) {
				v.Gateways = append(v.Gateways, g)
			}
		}
		v.Interfaces = append(v.Interfaces, i)
	}
	return v
}
