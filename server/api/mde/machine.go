package mde

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/vedette-edr/vedette/server/api"
	"github.com/vedette-edr/vedette/server/api/odata"
	"github.com/vedette-edr/vedette/server/device"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/filter"
	"github.com/vedette-edr/vedette/server/ident"
)

// machineSpec is the query options of a list of machines.
func (a *API) machineSpec() odata.Spec { return a.spec(device.Fields, machineEntity{}) }

// machineOf renders a device as it is at now.
func (a *API) machineOf(d *device.Device, now time.Time) machineEntity {
	v := &d.Inventory
	e := machineEntity{
		ID: string(d.ID), IsPotentialDuplication: d.Duplicate || d.Clone != nil, ComputerDNSName: optional(d.Name),
		FirstSeen: stamp(d.FirstSeen), LastSeen: stamp(d.LastSeen), OSPlatform: optional(d.Platform),
		OSVersion: optional(v.VersionInfo), OSProcessor: optional(v.Processor), Version: optional(v.Version),
		LastIPAddress: optional(d.LastIP), LastExternalIPAddress: optional(d.ExternalIP),
		AgentVersion: optional(d.AgentVersion), OSBuild: optional(v.Build), HealthStatus: string(d.Health(now)),
		DeviceValue: string(d.Value), RBACGroupID: d.Group, RBACGroupName: optional(a.groups.Label(d.Tenant, d.Group)), RiskScore: string(d.Risk), ExposureLevel: optional(d.Exposure),
		MachineTags: list(d.Tags), OnboardingStatus: d.Onboarding(), OSArchitecture: optional(v.Architecture), IPAddresses: []ipAddressEntity{},
	}
	if v.AadDeviceID != "" {
		joined := true
		e.IsAadJoined, e.AadDeviceID = &joined, &v.AadDeviceID
	}
	for _, n := range v.Addresses() {
		e.IPAddresses = append(e.IPAddresses, ipAddressEntity{IPAddress: n.IP.String(), MACAddress: optional(n.MAC),
			Type: optional(n.Type), OperationalStatus: optional(n.Status)})
	}
	return e
}

// recent selects the devices that lists show.
func (a *API) recent() device.Query { return device.Query{SeenSince: a.now().Add(-a.retention)} }

// writeMachines answers with a page of machines.
func (a *API) writeMachines(w http.ResponseWriter, r *api.Request, o odata.Options, page filter.Page[*device.Device]) error {
	now := a.now()
	return odata.WriteCollection(w, r, kindOf("Machines"), o, page, func(d *device.Device) machineEntity { return a.machineOf(d, now) })
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
	if _, err := uuid.Parse(name); err == nil {
		return a.joined(ctx, tenant, name)
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

// joined returns the device that a directory knows by the GUID.
func (a *API) joined(ctx context.Context, tenant ident.TenantID, guid string) (*device.Device, error) {
	f, _ := device.Fields.Find("aadDeviceId")
	where := filter.Compare{Field: f, Value: filter.Value{Type: filter.String, S: guid}}
	page, err := a.devices.Find(ctx, tenant, device.Query{}, filter.Query{Where: where, Top: 2})
	switch {
	case err != nil:
		return nil, err
	case len(page.Items) == 0:
		return nil, errs.New("mde.device", errs.NotFound, errs.ResourceNotFound, "Machine %s was not found", guid)
	case len(page.Items) > 1:
		return nil, errs.New("mde.device", errs.Invalid, errs.InvalidInput, "several machines have the aadDeviceId %s; name one by its id", guid)
	}
	return page.Items[0], nil
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
