package device

import (
	"context"
	"net/netip"
	"time"

	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/filter"
	"github.com/vedette-edr/vedette/server/ident"
)

// addressFields is what the addresses of a device may be filtered by.
var addressFields = filter.Schema{
	{Name: "ipAddress", Type: filter.String},
	{Name: "macAddress", Type: filter.String},
	{Name: "type", Type: filter.String},
	{Name: "operationalStatus", Type: filter.String},
}

// common is what callers and stores filter devices by alike.
var common = filter.Schema{
	{Name: "id", Type: filter.String},
	{Name: "computerDnsName", Type: filter.String},
	{Name: "version", Type: filter.String},
	{Name: "deviceValue", Type: filter.String},
	{Name: "aadDeviceId", Type: filter.String},
	{Name: "machineTags", Type: filter.List},
	{Name: "ipAddresses", Type: filter.List, Elem: &addressFields},
	{Name: "firstSeen", Type: filter.Time},
	{Name: "lastSeen", Type: filter.Time},
	{Name: "exposureLevel", Type: filter.String},
	{Name: "onboardingStatus", Type: filter.String},
	{Name: "lastIpAddress", Type: filter.String},
	{Name: "lastExternalIpAddress", Type: filter.String},
	{Name: "osPlatform", Type: filter.String},
	{Name: "osBuild", Type: filter.Int},
	{Name: "agentVersion", Type: filter.String},
	{Name: "riskScore", Type: filter.String},
	{Name: "rbacGroupId", Type: filter.Int},
}

var (
	healthField = filter.Field{Name: "healthStatus", Type: filter.String, Fluid: true}
	stateField  = filter.Field{Name: "state", Type: filter.String}
	firstField  = filter.Field{Name: "firstSeen", Type: filter.Time}
	seenField   = filter.Field{Name: "lastSeen", Type: filter.Time}
)

// Fields is what devices may be filtered and ordered by.
var Fields = append(common[:len(common):len(common)], healthField)

// Stored is what stores filter devices by: Fields with the state of Signs in the place of
// the health, which depends on the time too.
var Stored = append(common[:len(common):len(common)], stateField)

// The published onboardingStatus of devices that are enrolled, and of those that were
// offboarded and have not enrolled again.
const (
	Onboarded  = "Onboarded"
	OnceMember = "CanBeOnboarded"
)

// Left reports whether the device was offboarded and has not enrolled again.
func (d *Device) Left() bool { return d.Offboarded != 0 && d.Offboarded == d.Incarnation }

// Onboarding is the published onboardingStatus.
func (d *Device) Onboarding() string {
	if d.Left() {
		return OnceMember
	}
	return Onboarded
}

// Offboard notes that an incarnation of a device has taken its leave: it is not
// authenticated any more. One that enrolled again since stays.
func (s *Service) Offboard(ctx context.Context, tenant ident.TenantID, id ident.DeviceID, incarnation uint64) error {
	_, err := s.update(ctx, tenant, id, func(d *Device) error {
		if d.Incarnation == incarnation {
			d.Offboarded = incarnation
		}
		return nil
	})
	return errs.Wrap("device.Offboard", err)
}

// Find returns a page of those devices of base that match q, which uses Fields.
func (s *Service) Find(ctx context.Context, tenant ident.TenantID, base Query, q filter.Query) (filter.Page[*Device], error) {
	const op = "device.Find"
	if err := filter.Check(Fields, q.Where); err != nil {
		return filter.Page[*Device]{}, errs.Wrap(op, err)
	}
	q.Where = atTime(q.Where, s.now())
	page, err := s.store.Find(ctx, tenant, base, q)
	return page, errs.Wrap(op, err)
}

// findWindow is how far from the given time a device must have been seen to be found by
// address, as published for findbyip.
const findWindow = 15 * time.Minute

// FindByIP returns a page of the devices that had the address, were seen within 15 minutes
// of at, and match q.
func (s *Service) FindByIP(ctx context.Context, tenant ident.TenantID, ip string, at time.Time, q filter.Query) (filter.Page[*Device], error) {
	const op = "device.FindByIP"
	var none filter.Page[*Device]
	a, err := netip.ParseAddr(ip)
	if err != nil {
		return none, errs.New(op, errs.Invalid, errs.InvalidIPAddress, "%q is not an IP address", clip(ip))
	}
	if s.now().Sub(at) > 30*24*time.Hour {
		return none, errs.New(op, errs.Invalid, errs.InvalidInput, "the timestamp is older than 30 days")
	}
	base := Query{IP: a.Unmap().String(), SeenSince: at.Add(-findWindow)}
	there := filter.Compare{Field: firstField, Op: filter.Le, Value: filter.Value{Type: filter.Time, T: at.Add(findWindow)}}
	if q.Where == nil {
		q.Where = filter.Or{there} // not the caller's bound: it says nothing of the order
	} else {
		q.Where = filter.And{q.Where, filter.Or{there}}
	}
	return s.Find(ctx, tenant, base, q)
}

// atTime replaces what e says of the health by what it means at now.
func atTime(e filter.Expr, now time.Time) filter.Expr {
	if e == nil {
		return nil
	}
	values := []string{string(Active), string(Impaired), string(NoSensorData), string(NoSensorDataImpaired), string(Inactive), string(Unknown)}
	week := filter.Value{Type: filter.Time, T: now.Add(-inactiveAfter)}
	return filter.Rewrite(e, healthField.Name, values, func(holds []string) filter.Expr {
		var or filter.Or
		var states []filter.Value
		for _, h := range holds {
			switch Health(h) {
			case Unknown:
				or = append(or, filter.Compare{Field: seenField, Op: filter.Eq, Value: filter.Value{Null: true}})
			case Inactive:
				or = append(or, filter.Compare{Field: seenField, Op: filter.Lt, Value: week})
			default:
				states = append(states, filter.Value{Type: filter.String, S: h})
			}
		}
		if len(states) > 0 {
			var state filter.Expr = filter.In{Field: stateField, Values: states}
			if len(states) == 1 { // an index that gives the order too serves one value alone
				state = filter.Compare{Field: stateField, Op: filter.Eq, Value: states[0]}
			}
			or = append(or, filter.And{state, filter.Compare{Field: seenField, Op: filter.Ge, Value: week}})
		}
		if len(or) == 1 && len(states) == 0 {
			return or[0]
		}
		return or // also around one state, so that its bound on the time is not taken for the caller's
	})
}
