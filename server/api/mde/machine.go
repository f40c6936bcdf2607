package mde

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/vedette-edr/vedette/server/alert"
	"github.com/vedette-edr/vedette/server/api"
	"github.com/vedette-edr/vedette/server/api/odata"
	"github.com/vedette-edr/vedette/server/device"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/filter"
	"github.com/vedette-edr/vedette/server/ident"
)

// machineFields is what machines may be filtered and ordered by.
var machineFields = filter.Schema{
	{Name: "id", Type: filter.String},
	{Name: "computerDnsName", Type: filter.String},
	{Name: "version", Type: filter.String},
	{Name: "deviceValue", Type: filter.String},
	{Name: "aadDeviceId", Type: filter.String},
	{Name: "machineTags", Type: filter.List},
	{Name: "firstSeen", Type: filter.Time},
	{Name: "lastSeen", Type: filter.Time},
	{Name: "exposureLevel", Type: filter.String},
	{Name: "onboardingStatus", Type: filter.String},
	{Name: "lastIpAddress", Type: filter.String},
	{Name: "lastExternalIpAddress", Type: filter.String},
	{Name: "healthStatus", Type: filter.String},
	{Name: "osPlatform", Type: filter.String},
	{Name: "osBuild", Type: filter.Int},
	{Name: "agentVersion", Type: filter.String},
	{Name: "riskScore", Type: filter.String},
	{Name: "rbacGroupId", Type: filter.Int},
}

// machine is a device with what is derived for it at the time of the request.
type machine struct {
	*device.Device
	health device.Health
	risk   string
	level  string // exposureLevel; "" when the device was not assessed
}

// noRisk is the published riskScore of a device without unresolved alerts.
const noRisk = "None"

// onboarded is the published status of every enrolled device.
const onboarded = "Onboarded"

func (m machine) cell(field string) any {
	v := &m.Inventory
	switch field {
	case "id":
		return string(m.ID)
	case "computerDnsName":
		return m.Name
	case "version":
		return v.Version
	case "deviceValue":
		return string(m.Value)
	case "machineTags":
		return m.Tags
	case "firstSeen":
		return m.FirstSeen
	case "lastSeen":
		return m.LastSeen
	case "exposureLevel":
		if m.level != "" {
			return m.level
		}
	case "onboardingStatus":
		return onboarded
	case "lastIpAddress":
		return m.LastIP
	case "lastExternalIpAddress":
		return m.ExternalIP
	case "healthStatus":
		return string(m.health)
	case "osPlatform":
		return m.Platform
	case "osBuild":
		if v.Build != 0 {
			return v.Build
		}
	case "agentVersion":
		return m.AgentVersion
	case "riskScore":
		return m.risk
	case "rbacGroupId":
		return m.Group
	}
	return nil
}

func (m machine) entity() machineEntity {
	v := &m.Inventory
	return machineEntity{
		ID: string(m.ID), IsPotentialDuplication: m.Duplicate || m.Clone != nil, ComputerDNSName: optional(m.Name),
		FirstSeen: stamp(m.FirstSeen), LastSeen: stamp(m.LastSeen), OSPlatform: optional(m.Platform),
		OSVersion: optional(v.VersionInfo), OSProcessor: optional(v.Processor), Version: optional(v.Version),
		LastIPAddress: optional(m.LastIP), LastExternalIPAddress: optional(m.ExternalIP),
		AgentVersion: optional(m.AgentVersion), OSBuild: optional(v.Build), HealthStatus: string(m.health),
		DeviceValue: string(m.Value), RBACGroupID: m.Group, RiskScore: m.risk, MachineTags: list(m.Tags),
		ExposureLevel:    optional(m.level),
		OnboardingStatus: onboarded, OSArchitecture: optional(v.Architecture), IPAddresses: addresses(v.Interfaces),
	}
}

var noSeparators = strings.NewReplacer(":", "", "-", "", ".", "")

func addresses(interfaces []device.Interface) []ipEntity {
	out := []ipEntity{}
	for _, n := range interfaces {
		kind := n.Type
		if kind == "Loopback" {
			kind = "SoftwareLoopback"
		}
		for _, a := range n.Addresses {
			p, err := netip.ParsePrefix(a)
			if err != nil {
				continue
			}
			out = append(out, ipEntity{
				IPAddress: p.Addr().String(), MACAddress: optional(strings.ToUpper(noSeparators.Replace(n.MAC))),
				Type: optional(kind), OperationalStatus: optional(n.Status),
			})
		}
	}
	return out
}

// derive returns the devices with what is derived for them; their risk, which costs
// queries, only when risk is set.
func (a *API) derive(ctx context.Context, tenant ident.TenantID, ds []*device.Device, risk bool) ([]machine, error) {
	now := a.now()
	var levels map[ident.DeviceID]string
	if a.exposure != nil {
		var err error
		if levels, err = a.exposure.Levels(ctx, tenant); err != nil {
			return nil, err
		}
	}
	out := make([]machine, len(ds))
	for i, d := range ds {
		out[i] = machine{Device: d, health: d.Health(now), risk: noRisk, level: levels[d.ID]}
	}
	if risk {
		return out, a.assess(ctx, tenant, out)
	}
	return out, nil
}

// riskBatch is how many devices one query for their alerts names.
const riskBatch = 500

// assess sets the risk of machines: the highest severity of their unresolved alerts. It
// asks for one severity at a time, the highest first, and asks again for those devices
// alone that had no alert in the answer; each round settles a device, so it ends.
func (a *API) assess(ctx context.Context, tenant ident.TenantID, ms []machine) error {
	for batch := range slices.Chunk(ms, riskBatch) {
		open := map[string]*machine{}
		for i := range batch {
			open[string(batch[i].ID)] = &batch[i]
		}
		for _, severity := range []alert.Severity{alert.High, alert.Medium, alert.Low, alert.Informational} {
			for len(open) > 0 {
				page, err := a.alerts.List(ctx, tenant, filter.Query{Where: unresolved(severe(severity), of(open)), Top: riskBatch})
				if err != nil {
					return err
				}
				before := len(open)
				for _, al := range page.Items {
					if m := open[string(al.Device)]; m != nil {
						m.risk = string(severity)
						delete(open, string(al.Device))
					}
				}
				if !page.More || len(open) == before {
					break
				}
			}
		}
	}
	return nil
}

func severe(s alert.Severity) filter.Expr {
	f, _ := alert.Fields.Find("severity")
	return filter.Compare{Field: f, Op: filter.Eq, Value: filter.Value{Type: filter.String, S: string(s)}}
}

func of(open map[string]*machine) filter.Expr {
	f, _ := alert.Fields.Find("machineId")
	in := filter.In{Field: f}
	for id := range open {
		in.Values = append(in.Values, filter.Value{Type: filter.String, S: id})
	}
	return in
}

// listMachines returns the page of a tenant's machines that match the options. Devices are
// filtered here and not in their store, because half of what clients filter by is derived.
func (a *API) listMachines(ctx context.Context, tenant ident.TenantID, o odata.Options) (filter.Page[machine], error) {
	var none filter.Page[machine]
	q := device.Query{Name: required(o.Query.Where, "computerDnsName"), SeenSince: a.now().Add(-a.retention)}
	ds, err := a.devices.List(ctx, tenant, q)
	if err != nil {
		return none, err
	}
	if len(ds) == 0 && o.Query.Where == nil {
		return none, errs.New("mde.machines", errs.NotFound, errs.ResourceNotFound, "No machine was seen within the retention time")
	}
	early := mentions(o.Query, "riskScore")
	ms, err := a.derive(ctx, tenant, ds, early)
	if err != nil {
		return none, err
	}
	page := pick(ms, o)
	if !early {
		err = a.assess(ctx, tenant, page.Items)
	}
	return page, err
}

// pick filters, orders and cuts machines.
func pick(ms []machine, o odata.Options) filter.Page[machine] {
	ms = slices.DeleteFunc(ms, func(m machine) bool { return !matches(o.Query.Where, m.cell) })
	if len(o.Query.Order) > 0 {
		slices.SortStableFunc(ms, func(x, y machine) int { return order(o.Query.Order, x.cell, y.cell) })
	}
	return all(ms, o)
}

// device returns the device that a path names: by id, or by its computer name when no
// other device shares it.
func (a *API) device(ctx context.Context, tenant ident.TenantID, name string) (*device.Device, error) {
	const op = "mde.device"
	if id, ok := ident.ParseDeviceID(name); ok {
		d, err := a.devices.Get(ctx, tenant, id)
		if errs.Is(err, errs.NotFound) {
			return nil, errs.New(op, errs.NotFound, errs.ResourceNotFound, "Machine %s was not found", id)
		}
		return d, err
	}
	ds, err := a.devices.FindByName(ctx, tenant, name)
	if err != nil {
		return nil, err
	}
	// A full name goes before the first label of a longer one.
	if exact := slices.DeleteFunc(slices.Clone(ds), func(d *device.Device) bool { return !strings.EqualFold(d.Name, name) }); len(exact) > 0 {
		ds = exact
	}
	switch len(ds) {
	case 0:
		return nil, errs.New(op, errs.NotFound, errs.ResourceNotFound, "Machine %s was not found", name)
	case 1:
		return ds[0], nil
	}
	ids := make([]string, 0, 5)
	for _, d := range ds[:min(len(ds), 5)] {
		ids = append(ids, string(d.ID))
	}
	return nil, errs.New(op, errs.Invalid, errs.InvalidInput, "%d machines are called %s; name one by its id: %s", len(ds), name, strings.Join(ids, ", "))
}

// one derives a single machine and renders it.
func (a *API) one(r *api.Request, d *device.Device) (machineEntity, error) {
	ms, err := a.derive(r.Context(), r.Caller.Tenant, []*device.Device{d}, true)
	if err != nil {
		return machineEntity{}, err
	}
	return ms[0].entity(), nil
}

// instant reads a time of a path or query; "" is now.
func (a *API) instant(name, s string) (time.Time, error) {
	if s == "" {
		return a.now(), nil
	}
	t, ok := api.ParseTime(s)
	if !ok {
		return t, errs.New("mde.instant", errs.Invalid, errs.InvalidInput, "%s: %q is not a time such as 2020-12-12T00:00:00Z", name, s)
	}
	return t, nil
}
