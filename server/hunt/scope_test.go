package hunt_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vedette-edr/vedette/schema/event"
	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/hunt"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/telemetry"
)

// oneDevice says that device 1 is the only one of group 5 that ever sent something; so many
// others are in it too.
type oneDevice struct{ others int }

func (o oneDevice) Within(ctx context.Context, tenant ident.TenantID) ([]ident.DeviceID, error) {
	if tenant != tenantA || !access.ScopeOf(ctx).Holds(5) {
		return nil, nil
	}
	out := []ident.DeviceID{device(1)}
	for n := range o.others {
		out = append(out, ident.DeviceID(fmt.Sprintf("c%039x", n)))
	}
	return out, nil
}

// TestAHuntStaysWithinTheCallersDevices asks in every way that a query can reach a table,
// with devices that stand in the plan, and with so many that they do not.
func TestAHuntStaysWithinTheCallersDevices(t *testing.T) {
	for _, others := range []int{0, 63, 64, 3000} {
		t.Run(fmt.Sprint(others+1), func(t *testing.T) { aHuntStaysWithin(t, oneDevice{others}) })
	}
}

func aHuntStaysWithin(t *testing.T, devices oneDevice) {
	f := setup(t)
	svc := hunt.New(hunt.Config{Store: f.rows, Audit: f.log, Devices: devices, Clock: func() time.Time { return noon.Add(time.Hour) }})
	for n := range 3 {
		f.rows.Add(tenantA, origin(n), &event.Event{Table: event.ProcessEvents, Action: "ProcessCreated", Time: noon,
			Process: &event.Process{PID: uint32(n + 1), Image: event.File{Name: fmt.Sprintf("p%d", n), Size: -1}}})
		alert := event.Str(fmt.Sprintf("a%d", n))
		f.rows.AddRow(tenantA, "AlertInfo", telemetry.Row{"Timestamp": event.At(noon), "AlertId": alert, "Title": event.Str("t")})
		f.rows.AddRow(tenantA, "AlertEvidence", telemetry.Row{"Timestamp": event.At(noon), "AlertId": alert, "DeviceId": event.Str(string(device(n)))})
		f.rows.AddRow(tenantA, "VedetteTelemetryGaps", telemetry.Row{"Timestamp": event.At(noon), "DeviceId": event.Str(string(device(n))),
			"GapStart": event.At(noon), "GapEnd": event.At(noon), "Source": event.Str("spool")})
	}
	as := func(scope access.Scope) context.Context {
		return access.WithPrincipal(t.Context(), &access.Principal{
			Actor:  ident.Actor{Kind: ident.ActorUser, ID: "u", Name: "u", Tenant: tenantA},
			Scopes: []string{"AdvancedQuery.Read"}, Rights: []access.Right{access.ViewOperations}, Scope: scope})
	}
	one := string(device(1))
	for text, want := range map[string][]string{
		"DeviceProcessEvents | distinct DeviceId":                                                                                      {one},
		"let P = DeviceProcessEvents; union P, (P | where true) | distinct DeviceId":                                                   {one},
		"DeviceProcessEvents | join kind=inner (DeviceProcessEvents) on $left.Timestamp == $right.Timestamp | distinct DeviceId1":      {one},
		"print x = toscalar(DeviceProcessEvents | summarize make_set(DeviceId)) | mv-expand x | project tostring(x)":                   {one},
		"DeviceProcessEvents | where FileName in ((DeviceProcessEvents | project FileName)) | distinct FileName":                       {"p1"},
		"search in (DeviceProcessEvents) 'p2' | distinct DeviceId":                                                                     {},
		"ProcessCreationEvents | distinct MachineId":                                                                                   {one},
		"AlertInfo | distinct AlertId":                                                                                                 {"a1"},
		"AlertEvidence | distinct AlertId":                                                                                             {"a1"},
		"let F = (T:(DeviceId:string)) { T | project DeviceId }; F(DeviceProcessEvents) | distinct DeviceId":                           {one},
		"VedetteTelemetryGaps | distinct DeviceId":                                                                                     {one},
		"DeviceProcessEvents | extend B = bag_pack(FileName, 1) | project B | evaluate bag_unpack(B) | getschema | project ColumnName": {"p1"},
	} {
		r, err := svc.Run(as(access.Scope{Groups: []int64{5}}), hunt.Request{Query: text})
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		got := []string{}
		for row, err := range r.Rows.All() {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, row[0].S)
		}
		slices.Sort(got)
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", text, d)
		}
		for _, g := range r.Completeness.Gaps {
			if g.Device != one {
				t.Errorf("%s: a gap of %s", text, g.Device)
			}
		}
		if strings.Contains(text, "print") || strings.Contains(text, "getschema") {
			continue
		}
		if r.Completeness.Complete {
			t.Errorf("%s: the gap of the caller's device is not told", text)
		}
		r, err = svc.Run(as(access.Scope{Groups: []int64{7}}), hunt.Request{Query: text})
		if err != nil || r.Rows.Len() != 0 {
			t.Errorf("%s in a group without devices: %v, %v", text, r, err)
		}
		r, err = svc.Run(as(access.Everything), hunt.Request{Query: text})
		if err != nil || r.Rows.Len() < 1 {
			t.Errorf("%s by who sees all: %v, %v", text, r, err)
		}
	}
}
