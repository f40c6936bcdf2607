package storetest

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/filter"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/live"
)

func newSession(tenant ident.TenantID, n int, dev ident.DeviceID) *live.Session {
	return &live.Session{ID: ident.ActionID(guid(n)), Tenant: tenant, Device: dev, DeviceName: "host", Incarnation: 2, Level: "advanced",
		By: ident.Actor{Kind: ident.ActorUser, ID: "u", Name: "ana", Tenant: tenant}, Comment: "why", State: live.Waiting,
		Created: base.Add(time.Duration(n) * time.Second)}
}

// Live tests a live.Store. open returns an empty one.
func Live(t *testing.T, open func(testing.TB) live.Store) {
	t.Run("a device has one session at a time", func(t *testing.T) {
		s, ctx := open(t), t.Context()
		got := together(20, func(i int) error { return s.CreateSession(ctx, newSession(tenantA, i, device(1))) })
		if n := winners(t, got, errs.Conflict); n != 1 {
			t.Fatalf("%d of 20 were created, want 1", n)
		}
		check(t, s.CreateSession(ctx, newSession(tenantA, 30, device(2))))
		check(t, s.CreateSession(ctx, newSession(tenantB, 31, device(1))))
		all, err := s.OpenSessions(ctx)
		check(t, err)
		if len(all) != 3 {
			t.Fatalf("%d are open, want 3", len(all))
		}
		_, err = s.UpdateSession(ctx, tenantB, ident.ActionID(guid(31)), func(n *live.Session) error {
			n.State, n.Ended, n.Reason = live.Ended, base, "closed"
			return nil
		})
		check(t, err)
		check(t, s.CreateSession(ctx, newSession(tenantB, 32, device(1))))
	})
	t.Run("what is kept comes back", func(t *testing.T) {
		s, ctx := open(t), t.Context()
		want := newSession(tenantA, 1, device(1))
		check(t, s.CreateSession(ctx, want))
		got, err := s.UpdateSession(ctx, tenantA, want.ID, func(n *live.Session) error {
			n.Files = append(n.Files, live.File{Index: 3, Name: "a", SHA256: "b", Size: 4, At: base})
			return nil
		})
		check(t, err)
		again, err := s.Session(ctx, tenantA, want.ID)
		check(t, err)
		want.Files = []live.File{{Index: 3, Name: "a", SHA256: "b", Size: 4, At: base}}
		if diff := cmp.Diff(want, got) + cmp.Diff(want, again); diff != "" {
			t.Error(diff)
		}
		if _, err := s.UpdateSession(ctx, tenantA, want.ID, func(*live.Session) error { return errChange }); err != errChange { //nolint:errorlint // it must be the very one
			t.Errorf("the caller's error came back as %v", err)
		}
		if _, err := s.Session(ctx, tenantB, want.ID); !errs.Is(err, errs.NotFound) {
			t.Errorf("of another tenant: %v", err)
		}
	})
	t.Run("lists are the newest first", func(t *testing.T) {
		s, ctx := open(t), t.Context()
		for i := 1; i <= 3; i++ {
			check(t, s.CreateSession(ctx, newSession(tenantA, i, device(i))))
		}
		f, _ := live.Fields.Find("machineId")
		page, err := s.Sessions(ctx, tenantA, filter.Query{Top: 10})
		check(t, err)
		if len(page.Items) != 3 || page.Items[0].ID != ident.ActionID(guid(3)) {
			t.Errorf("%d sessions, the first is %v", len(page.Items), page.Items[0].ID)
		}
		page, err = s.Sessions(ctx, tenantA, filter.Query{Top: 10, Where: filter.Compare{Field: f, Op: filter.Eq, Value: filter.Value{Type: filter.String, S: string(device(2))}}})
		check(t, err)
		if len(page.Items) != 1 || page.Items[0].Device != device(2) {
			t.Errorf("%d sessions of one device", len(page.Items))
		}
	})
	t.Run("commands are in order and replaced by run", func(t *testing.T) {
		s, ctx := open(t), t.Context()
		n := newSession(tenantA, 1, device(1))
		check(t, s.CreateSession(ctx, n))
		for _, run := range []int{2, 10, 1} {
			check(t, s.PutCommand(ctx, tenantA, n.ID, &live.Command{Run: run, Line: "dir", Begun: base, Status: "running"}))
		}
		check(t, s.PutCommand(ctx, tenantA, n.ID, &live.Command{Run: 2, Line: "dir", Begun: base, Ended: base, Status: "completed", Files: []int{1}}))
		got, err := s.Commands(ctx, tenantA, n.ID)
		check(t, err)
		want := []*live.Command{{Run: 1, Line: "dir", Begun: base, Status: "running"},
			{Run: 2, Line: "dir", Begun: base, Ended: base, Status: "completed", Files: []int{1}}, {Run: 10, Line: "dir", Begun: base, Status: "running"}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		if other, err := s.Commands(ctx, tenantB, n.ID); err != nil || len(other) != 0 {
			t.Errorf("of another tenant: %v, %v", other, err)
		}
	})
}
