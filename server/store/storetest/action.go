package storetest

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/vedette-edr/vedette/server/action"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/filter"
	"github.com/vedette-edr/vedette/server/ident"
)

func newAction(tenant ident.TenantID, n int, kind action.Kind, dev ident.DeviceID) *action.Action {
	at := base.Add(time.Duration(n) * time.Second)
	return &action.Action{
		ID: ident.ActionID(guid(n)), Tenant: tenant, Device: dev, DeviceName: "host", Incarnation: 3, Kind: kind, Scope: "Full",
		Params: json.RawMessage(`{"a":1}`), Comment: "why", Requestor: ident.Actor{Kind: ident.ActorApp, ID: "x", Name: "Script", Tenant: tenant},
		State: action.Approved, Steps: []action.Step{{State: action.Requested, At: at, Actor: "Script"}},
		Created: at, Updated: at, Expires: at.Add(time.Hour),
	}
}

// Actions tests an action.Store. open returns an empty one.
func Actions(t *testing.T, open func(testing.TB) action.Store) {
	t.Run("one open action of a kind", func(t *testing.T) {
		s, ctx := open(t), t.Context()
		got := together(20, func(i int) error { return s.CreateAction(ctx, newAction(tenantA, i, action.Isolate, device(1))) })
		if n := winners(t, got, errs.Conflict); n != 1 {
			t.Fatalf("%d of 20 were created, want 1", n)
		}
		err := s.CreateAction(ctx, newAction(tenantA, 50, action.Isolate, device(1)))
		var e *errs.E
		if !errors.As(err, &e) || e.Code != errs.ActiveRequestAlreadyExists || e.Detail != "Action is already in progress" {
			t.Errorf("duplicate: %v", err)
		}
		check(t, s.CreateAction(ctx, newAction(tenantA, 51, action.Isolate, device(2))))
		check(t, s.CreateAction(ctx, newAction(tenantA, 52, action.Unisolate, device(1))))
		check(t, s.CreateAction(ctx, newAction(tenantB, 53, action.Isolate, device(1))))
		open, err := s.OpenActions(ctx, tenantA, device(1))
		check(t, err)
		if len(open) != 2 || open[0].Kind != action.Isolate || open[1].Kind != action.Unisolate {
			t.Fatalf("open actions %v", open)
		}
		_, err = s.UpdateAction(ctx, tenantA, open[0].ID, func(a *action.Action) error { a.State = action.Failed; return nil })
		check(t, err)
		check(t, s.CreateAction(ctx, newAction(tenantA, 54, action.Isolate, device(1))))
		all, err := s.OpenActions(ctx, tenantA, "")
		check(t, err)
		if len(all) != 3 {
			t.Errorf("%d open actions of the tenant, want 3", len(all))
		}
	})
	t.Run("order", func(t *testing.T) {
		s, ctx := open(t), t.Context()
		scan := newAction(tenantA, 1, "RunAntiVirusScan", device(1)) // older, and no containment
		for _, a := range []*action.Action{newAction(tenantA, 3, action.Unisolate, device(1)), scan, newAction(tenantA, 2, action.Isolate, device(1))} {
			check(t, s.CreateAction(ctx, a))
		}
		open, err := s.OpenActions(ctx, tenantA, device(1))
		check(t, err)
		var kinds []action.Kind
		for _, a := range open {
			kinds = append(kinds, a.Kind)
		}
		wantEqual(t, "order", kinds, []action.Kind{action.Isolate, action.Unisolate, "RunAntiVirusScan"})
	})
	t.Run("round trip, tenants, update", func(t *testing.T) {
		s, ctx := open(t), t.Context()
		a := newAction(tenantA, 1, action.Isolate, device(1))
		check(t, s.CreateAction(ctx, a))
		got, err := s.Action(ctx, tenantA, a.ID)
		check(t, err)
		wantEqual(t, "kept", got, a)
		if got.Steps[0].Evidence != nil {
			t.Errorf("no evidence came back as %q", got.Steps[0].Evidence)
		}
		_, err = s.Action(ctx, tenantB, a.ID)
		wantKind(t, "read across tenants", err, errs.NotFound)
		_, err = s.UpdateAction(ctx, tenantB, a.ID, func(*action.Action) error { return nil })
		wantKind(t, "write across tenants", err, errs.NotFound)
		_, err = s.UpdateAction(ctx, tenantA, a.ID, func(*action.Action) error { return errChange })
		wantOwn(t, err)
		field, _ := action.Fields.Find("status")
		q := filter.Query{Where: filter.Compare{Field: field, Op: filter.Eq, Value: filter.Value{Type: filter.String, S: "pending"}}}
		page, err := s.Actions(ctx, tenantA, q)
		check(t, err)
		if len(page.Items) != 1 {
			t.Errorf("%d pending actions, want 1", len(page.Items))
		}
	})
}
