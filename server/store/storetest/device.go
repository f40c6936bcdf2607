package storetest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	dev "github.com/vedette-edr/vedette/server/device"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/filter"
	"github.com/vedette-edr/vedette/server/ident"
)

func newDevice(tenant ident.TenantID, n int) *dev.Device {
	return &dev.Device{
		ID: device(n), Tenant: tenant, Name: fmt.Sprintf("host%d.example", n), Incarnation: 1, Fingerprint: [32]byte{byte(n)},
		Certificates: []dev.Certificate{{Serial: "0a", Incarnation: 1, NotAfter: base}},
		FirstSeen:    base, LastSeen: base, LastIP: "192.0.2.1", ExternalIP: "198.51.100.1", Platform: "Linux",
		Inventory: dev.Inventory{Interfaces: []dev.Interface{{Name: "eth0", Addresses: []string{"192.0.2.1/24", "2001:db8::1/64"}}}},
		Tags:      []string{"Executive"}, Value: dev.Normal, Offset: time.Second, Risk: dev.NoRisk,
	}
}

// Devices tests a device.Store. open returns an empty one.
func Devices(t *testing.T, open func(testing.TB) dev.Store) {
	t.Run("round trip, tenants, update", func(t *testing.T) {
		s, ctx := open(t), t.Context()
		d := newDevice(tenantA, 1)
		check(t, s.Create(ctx, d))
		wantKind(t, "created twice", s.Create(ctx, newDevice(tenantB, 1)), errs.Conflict)
		got, err := s.Get(ctx, tenantA, d.ID)
		check(t, err)
		wantEqual(t, "kept", got, d)
		got, err = s.Locate(ctx, d.ID)
		check(t, err)
		wantEqual(t, "located", got, d)
		_, err = s.Get(ctx, tenantB, d.ID)
		wantKind(t, "read across tenants", err, errs.NotFound)
		_, err = s.Update(ctx, tenantB, d.ID, func(*dev.Device) error { return nil })
		wantKind(t, "write across tenants", err, errs.NotFound)
		_, err = s.Update(ctx, tenantA, d.ID, func(*dev.Device) error { return errChange })
		wantOwn(t, err)
		for _, err := range together(20, func(i int) error {
			_, err := s.Update(ctx, tenantA, d.ID, func(x *dev.Device) error { x.Incarnation++; return nil })
			return err
		}) {
			check(t, err)
		}
		got, err = s.Get(ctx, tenantA, d.ID)
		check(t, err)
		if got.Incarnation != 21 {
			t.Errorf("incarnation %d after 20 increments", got.Incarnation)
		}
	})
	t.Run("touch", func(t *testing.T) {
		s, ctx := open(t), t.Context()
		d := newDevice(tenantA, 1)
		check(t, s.Create(ctx, d))
		offset := -3 * time.Second
		check(t, s.Touch(ctx, []dev.Contact{
			{Tenant: tenantA, Device: d.ID, Seen: base.Add(time.Hour), Data: base, Offset: &offset, ExternalIP: "203.0.113.5"},
			{Tenant: tenantA, Device: d.ID, Seen: base.Add(time.Minute), Data: base.Add(-time.Hour)},
			{Tenant: tenantB, Device: d.ID, Seen: base.Add(9 * time.Hour)},
			{Tenant: tenantA, Device: device(9), Seen: base},
		}))
		d.LastSeen, d.LastData, d.Offset, d.ExternalIP = base.Add(time.Hour), base, offset, "203.0.113.5"
		got, err := s.Get(ctx, tenantA, d.ID)
		check(t, err)
		wantEqual(t, "touched", got, d)
	})
	t.Run("list", func(t *testing.T) { listDevices(t, open(t)) })
	t.Run("find", func(t *testing.T) { findDevices(t, open(t)) })
}

// listDevices compares List with Query.Match.
func listDevices(t *testing.T, s dev.Store) {
	names := []string{"host", "HOST", "host.example", "Host.Example", "other.example", "hoſt", "example", ""}
	tags := []string{"a", "A", "ab", "Ab", "é", "%", "_b"}
	ips := []string{"192.0.2.1", "192.0.2.2", "2001:db8::1", "::ffff:192.0.2.1", "bad", ""}
	round := 0
	rapid.Check(t, func(r *rapid.T) {
		round++
		tenant := ident.TenantID(guid(round))
		var rows []*dev.Device
		for n := range rapid.IntRange(1, 10).Draw(r, "rows") {
			d := &dev.Device{
				ID: device(round*100 + n), Tenant: tenant, Name: rapid.SampledFrom(names).Draw(r, "name"),
				Fingerprint: [32]byte{byte(rapid.IntRange(0, 2).Draw(r, "print"))}, LastSeen: drawTime(r),
				LastIP: rapid.SampledFrom(ips).Draw(r, "ip"), ExternalIP: rapid.SampledFrom(ips).Draw(r, "external"),
				Tags: rapid.SliceOfN(rapid.SampledFrom(tags), 0, 3).Draw(r, "tags"),
			}
			if a := rapid.SampledFrom([]string{"", "192.0.2.2/24", "2001:db8::1/64", "bad/1"}).Draw(r, "address"); a != "" {
				d.Inventory.Interfaces = []dev.Interface{{Addresses: []string{a}}}
			}
			check(t, s.Create(t.Context(), d))
			rows = append(rows, d)
		}
		some := func(label string, from []string) string {
			return rapid.SampledFrom(append([]string{"", "", ""}, from...)).Draw(r, label)
		}
		for range 6 {
			q := dev.Query{
				Name: some("name", names), Tag: some("tag", tags), TagPrefix: some("prefix", tags), IP: some("ip", ips),
				SeenSince: drawTime(r), SeenBefore: drawTime(r), Limit: rapid.IntRange(0, 3).Draw(r, "limit"),
			}
			if rapid.Bool().Draw(r, "by fingerprint") {
				q.Fingerprint = &[32]byte{1}
			}
			if rapid.Bool().Draw(r, "paged") {
				q.After = rows[0].ID
			}
			got, err := s.List(t.Context(), tenant, q)
			check(t, err)
			var want []ident.DeviceID
			for _, d := range rows {
				if q.Match(d) && d.ID > q.After && (q.Limit == 0 || len(want) < q.Limit) {
					want = append(want, d.ID)
				}
			}
			if !slices.EqualFunc(got, want, func(d *dev.Device, id ident.DeviceID) bool { return d.ID == id }) {
				r.Fatalf("%+v: got %d devices, want %v", q, len(got), want)
			}
		}
	})
}

func deviceValue(d *dev.Device, field string) any {
	switch field {
	case "id":
		return string(d.ID)
	case "computerDnsName":
		return d.Name
	case "version":
		return d.Inventory.Version
	case "deviceValue":
		return string(d.Value)
	case "aadDeviceId":
		return d.Inventory.AadDeviceID
	case "machineTags":
		return d.Tags
	case "ipAddresses":
		var out []map[string]any
		for _, a := range d.Inventory.Addresses() {
			out = append(out, map[string]any{"ipAddress": a.IP.String(), "macAddress": a.MAC, "type": a.Type, "operationalStatus": a.Status})
		}
		return out
	case "firstSeen":
		return d.FirstSeen
	case "lastSeen":
		return d.LastSeen
	case "exposureLevel":
		return d.Exposure
	case "onboardingStatus":
		return d.Onboarding()
	case "lastIpAddress":
		return d.LastIP
	case "lastExternalIpAddress":
		return d.ExternalIP
	case "osPlatform":
		return d.Platform
	case "osBuild":
		return zeroIsNull(d.Inventory.Build)
	case "agentVersion":
		return d.AgentVersion
	case "riskScore":
		return string(dev.NoRisk)
	case "rbacGroupId":
		return d.Group
	case "state":
		return string(d.Signs().Health())
	}
	panic(field)
}

// findDevices compares Find with an evaluation of the predicate over devices that were
// created, changed and touched.
func findDevices(t *testing.T, s dev.Store) {
	round := 0
	rapid.Check(t, func(r *rapid.T) {
		round++
		tenant := ident.TenantID(guid(round))
		var rows []*dev.Device
		for n := range rapid.IntRange(1, 8).Draw(r, "rows") {
			d := &dev.Device{
				ID: device(round*100 + n), Tenant: tenant, Name: drawText(r), FirstSeen: drawTime(r), LastSeen: drawTime(r),
				LastReport: drawTime(r), LastData: drawTime(r), Platform: drawText(r), AgentVersion: drawText(r), Exposure: drawText(r),
				LastIP: drawText(r), ExternalIP: rapid.SampledFrom([]string{"", "a", "b"}).Draw(r, "external"), Group: drawInt(r),
				Value: dev.Value(drawText(r)), Spool: dev.Spool{Oldest: drawTime(r)},
			}
			d.Inventory.Version, d.Inventory.Build, d.Inventory.AadDeviceID = drawText(r), drawInt(r), drawText(r)
			check(t, s.Create(t.Context(), d))
			d, err := s.Update(t.Context(), tenant, d.ID, func(d *dev.Device) error {
				tags := slices.DeleteFunc(rapid.SliceOfN(rapid.Custom(drawText), 0, 3).Draw(r, "tags"), func(s string) bool { return s == "" })
				slices.Sort(tags)
				d.Tags = slices.Compact(tags)
				for range rapid.IntRange(0, 2).Draw(r, "interfaces") {
					d.Inventory.Interfaces = append(d.Inventory.Interfaces, dev.Interface{
						MAC: drawText(r), Type: drawText(r), Status: drawText(r), Addresses: []string{"192.0.2.1/24", "::ffff:192.0.2.2/120"}})
				}
				return nil
			})
			check(t, err)
			check(t, s.Touch(t.Context(), []dev.Contact{{Tenant: tenant, Device: d.ID, Data: drawTime(r)}}))
			d, err = s.Get(t.Context(), tenant, d.ID)
			check(t, err)
			rows = append(rows, d)
		}
		for range 8 {
			q, since := drawQuery(r, dev.Stored), drawTime(r)
			seen := slices.DeleteFunc(slices.Clone(rows), func(d *dev.Device) bool { return !since.IsZero() && d.LastSeen.Before(since) })
			list := func(q filter.Query) (filter.Page[*dev.Device], error) {
				return s.Find(t.Context(), tenant, dev.Query{SeenSince: since}, q)
			}
			page, err := list(q)
			if err != nil {
				t.Fatalf("%s: %v", show(q), err)
			}
			compare(r, q, page, seen, deviceValue, func(d *dev.Device) string { return string(d.ID) })
			walk(r, q, list, func(d *dev.Device) string { return string(d.ID) })
		}
	})
}

// Tokens tests a device.TokenStore. open returns an empty one.
func Tokens(t *testing.T, open func(testing.TB) dev.TokenStore) {
	s, ctx := open(t), t.Context()
	tok := &dev.Token{Hash: [32]byte{1}, Tenant: tenantA, Name: "lab", Created: base, Expires: base.Add(time.Hour), Limit: 5, Tags: []string{"Lab"}}
	check(t, s.AddToken(ctx, tok))
	wantKind(t, "added twice", s.AddToken(ctx, tok), errs.Conflict)
	got := together(20, func(int) error { _, err := s.UseToken(ctx, tok.Hash, base); return err })
	if n := winners(t, got, errs.Unauthenticated); n != 5 {
		t.Errorf("a token good for 5 was used %d times", n)
	}
	all, err := s.Tokens(ctx, tenantA)
	check(t, err)
	tok.Uses = 5
	wantEqual(t, "tokens", all, []*dev.Token{tok})
	other, err := s.Tokens(ctx, tenantB)
	check(t, err)
	if len(other) != 0 {
		t.Errorf("tokens of another tenant: %v", other)
	}
	free := &dev.Token{Hash: [32]byte{2}, Tenant: tenantA, Created: base.Add(1), Expires: base.Add(time.Hour)}
	check(t, s.AddToken(ctx, free))
	_, err = s.UseToken(ctx, free.Hash, base.Add(time.Hour))
	wantKind(t, "expired", err, errs.Unauthenticated)
	_, err = s.UseToken(ctx, [32]byte{3}, base)
	wantKind(t, "unknown", err, errs.Unauthenticated)
	wantKind(t, "revoked across tenants", s.RevokeToken(ctx, tenantB, free.Hash), errs.NotFound)
	used, err := s.UseToken(ctx, free.Hash, base)
	check(t, err)
	if used.Uses != 1 {
		t.Errorf("uses %d, want 1", used.Uses)
	}
	check(t, s.RevokeToken(ctx, tenantA, free.Hash))
	_, err = s.UseToken(ctx, free.Hash, base)
	wantKind(t, "revoked", err, errs.Unauthenticated)
}
