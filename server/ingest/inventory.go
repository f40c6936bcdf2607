package ingest

import (
	"context"
	"encoding/json"
	"time"

	"github.com/vedette-edr/vedette/schema/event"
	"github.com/vedette-edr/vedette/server/device"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/telemetry"
)

// Inventory writes what a device reported of itself as rows of DeviceInfo and
// DeviceNetworkInfo.
func (p *Pipeline) Inventory(ctx context.Context, d *device.Device) error {
	const op = "ingest.Inventory"
	now := p.cfg.Clock().UTC()
	if err := p.cfg.Appender.AppendRows(ctx, d.Tenant, "DeviceInfo", []telemetry.Row{p.info(d, now)}); err != nil {
		return errs.Wrap(op, err)
	}
	rows := interfaces(d, now)
	if len(rows) == 0 {
		return nil
	}
	return errs.Wrap(op, p.cfg.Appender.AppendRows(ctx, d.Tenant, "DeviceNetworkInfo", rows))
}

func common(d *device.Device, now time.Time) telemetry.Row {
	return telemetry.Row{
		"Timestamp": event.At(now), "IngestionTime": event.At(now), "DeviceId": event.Str(string(d.ID)),
		"DeviceName": event.Str(d.Name), "ReportId": event.Num(now.UnixMicro()),
	}
}

// states are the words of SensorHealthState.
var states = map[device.Health]string{
	device.Active: "Active", device.Inactive: "Inactive", device.Impaired: "Impaired communications",
	device.NoSensorData: "No sensor data", device.NoSensorDataImpaired: "Impaired communications",
}

func (p *Pipeline) info(d *device.Device, now time.Time) telemetry.Row {
	v := &d.Inventory
	type user struct{ UserName, DomainName, Sid string }
	users := []user{}
	for _, u := range v.Users {
		users = append(users, user{u.Name, u.Domain, u.SID})
	}
	r := common(d, now)
	for name, s := range map[string]string{
		"ClientVersion": d.AgentVersion, "PublicIP": d.ExternalIP, "OSArchitecture": v.Architecture, "OSPlatform": d.Platform,
		"OSVersion": v.Version, "OSVersionInfo": v.VersionInfo, "OSDistribution": v.Distribution, "Vendor": v.Vendor, "Model": v.Model,
		"LoggedOnUsers": text(users), "OnboardingStatus": "Onboarded", "DeviceCategory": "Endpoint",
		"SensorHealthState": states[d.Health(now)], "DeviceManualTags": text(d.Tags), "AssetValue": string(d.Value), "ExposureLevel": d.Exposure,
	} {
		r[name] = event.Str(s)
	}
	if p.cfg.Groups != nil {
		r["MachineGroup"] = event.Str(p.cfg.Groups.Label(d.Tenant, d.Group))
	}
	if v.Build != 0 {
		r["OSBuild"] = event.Num(v.Build)
	}
	r["IsAzureADJoined"] = event.Flag(false)
	return r
}

func interfaces(d *device.Device, now time.Time) []telemetry.Row {
	type address struct {
		IPAddress    string
		SubnetPrefix int
		AddressType  string
	}
	var rows []telemetry.Row
	for _, n := range d.Inventory.Interfaces {
		addresses := []address{}
		for _, p := range n.Prefixes() {
			addresses = append(addresses, address{p.Addr().String(), p.Bits(), event.IPType(p.Addr().String())})
		}
		r := common(d, now)
		for name, s := range map[string]string{
			"NetworkAdapterName": n.Name, "MacAddress": n.MAC, "NetworkAdapterType": n.Type, "NetworkAdapterStatus": n.Status,
			"IPAddresses": text(addresses), "DnsAddresses": text(d.Inventory.DNS), "DefaultGateways": text(n.Gateways),
		} {
			r[name] = event.Str(s)
		}
		rows = append(rows, r)
	}
	return rows
}

// text renders v as JSON; nothing that is passed here can fail to.
func text(v any) string {
	b, err := json.Marshal(v)
	if err != nil || string(b) == "null" {
		return "[]"
	}
	return string(b)
}
