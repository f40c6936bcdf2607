package server

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/alert"
	"github.com/vedette-edr/vedette/server/device"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/investigation"
)

// TestAlertsFollowTheirInvestigation starts an investigation for an alert, lets a second
// alert of the device join it and one of another device start its own, and ends the first
// by time.
func TestAlertsFollowTheirInvestigation(t *testing.T) {
	var ahead atomic.Int64
	s, err := New(t.Context(), Config{DataDir: t.TempDir(), Listen: freePort(t), RateLimit: -1,
		Clock: func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.close)
	ctx, c := t.Context(), s.control
	tenants, err := c.store.Access().Tenants(ctx)
	if err != nil {
		t.Fatal(err)
	}
	tenant := tenants[0].ID
	by := access.System(tenant, "test")
	raised := func(n int, on ident.DeviceID) ident.AlertID {
		t.Helper()
		id := ident.AlertID(fmt.Sprintf("da%018d_1", n))
		if _, err := c.alerts.Raise(ctx, []*alert.Alert{{ID: id, Tenant: tenant, Device: on, Title: fmt.Sprint("title ", n)}}); err != nil {
			t.Fatal(err)
		}
		return id
	}
	follows := func(id ident.AlertID, number int64, state investigation.State) {
		t.Helper()
		al, err := c.alerts.Get(ctx, tenant, id)
		if err != nil {
			t.Fatal(err)
		}
		if al.Investigation != number || al.InvestigationState != string(state) {
			t.Errorf("alert %s has investigation %d %q, want %d %q", id, al.Investigation, al.InvestigationState, number, state)
		}
	}
	one, two := ident.DeviceID(fmt.Sprintf("%040x", 1)), ident.DeviceID(fmt.Sprintf("%040x", 2))
	for _, d := range []ident.DeviceID{one, two} {
		if err := c.store.Devices().Create(ctx, &device.Device{ID: d, Tenant: tenant, Name: string(d[39:]), Incarnation: 1}); err != nil {
			t.Fatal(err)
		}
	}
	first, second, other, bystander := raised(1, one), raised(2, one), raised(3, two), raised(4, one)
	if i, err := c.investigations.StartFor(ctx, by, one, first, "c"); err != nil || i.ID != 1 {
		t.Fatalf("%v %v", i, err)
	}
	if i, err := c.investigations.StartFor(ctx, by, one, second, "c"); err != nil || i.ID != 1 {
		t.Errorf("a second alert of the device: %v %v, want the investigation that is open", i, err)
	}
	if i, err := c.investigations.StartFor(ctx, by, two, other, "c"); err != nil || i.ID != 2 {
		t.Errorf("an alert of another device: %v %v", i, err)
	}
	follows(first, 1, investigation.Queued)
	follows(second, 1, investigation.Queued)
	follows(other, 2, investigation.Queued)
	follows(bystander, 0, "")

	ahead.Store(int64(4 * 24 * time.Hour))
	if err := c.investigations.Sweep(ctx, tenant); err != nil {
		t.Fatal(err)
	}
	follows(first, 1, investigation.TerminatedBySystem)
	follows(second, 1, investigation.TerminatedBySystem)
	follows(bystander, 0, "")
	if i, err := c.investigations.StartFor(ctx, by, one, bystander, "c"); err != nil || i.ID != 3 {
		t.Errorf("after the first ended: %v %v, want a new one", i, err)
	}
	follows(bystander, 3, investigation.Queued)
	follows(first, 1, investigation.TerminatedBySystem)
}
