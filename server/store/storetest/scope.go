package storetest

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/action"
	"github.com/vedette-edr/vedette/server/alert"
	dev "github.com/vedette-edr/vedette/server/device"
	"github.com/vedette-edr/vedette/server/device/group"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/filter"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/indicator"
)

// ScopeStores is the stores whose rows belong to devices, over one database.
type ScopeStores struct {
	Devices    dev.Store
	Groups     group.Store
	Alerts     alert.Store
	Actions    action.Store
	Indicators indicator.IndicatorStore
}

// within returns a context of a person of tenantA who sees the groups alone.
func within(ctx context.Context, groups ...int64) context.Context {
	return access.WithPrincipal(ctx, &access.Principal{
		Actor: ident.Actor{Kind: ident.ActorUser, ID: "u", Name: "u", Tenant: tenantA}, Scope: access.Scope{Groups: groups},
	})
}

// Scope tests that stores keep callers within their device groups: each row is seen,
// counted and changed by exactly those who see its device. Device n is in group n%3.
func Scope(t *testing.T, open func(testing.TB) ScopeStores) {
	s, ctx := open(t), t.Context()
	const devices = 9
	for n := range devices {
		d := newDevice(tenantA, n)
		d.Group = int64(n % 3)
		check(t, s.Devices.Create(ctx, d))
		al := newAlert(tenantA, n)
		al.Device = device(n)
		_, err := s.Alerts.CreateAlerts(ctx, []*alert.Alert{al})
		check(t, err)
		check(t, s.Actions.CreateAction(ctx, &action.Action{ID: ident.ActionID(guid(n)), Tenant: tenantA, Device: device(n), Kind: action.Isolate, State: action.Approved, Created: base}))
	}
	orphan := newAlert(tenantA, 500)
	orphan.Device = device(500) // of a device that is gone
	_, err := s.Alerts.CreateAlerts(ctx, []*alert.Alert{orphan})
	check(t, err)
	for n, ids := range [][]string{nil, {"1"}, {"2", "1"}} {
		_, err := s.Indicators.PutIndicators(ctx, tenantA, indicator.Quota{Indicators: 10, Now: base}, []indicator.Key{{Value: fmt.Sprint(n)}},
			func(int, *indicator.Indicator) (*indicator.Indicator, error) {
				return &indicator.Indicator{Value: fmt.Sprint(n), Type: indicator.Domain, GroupIDs: ids, Groups: ids}, nil
			})
		check(t, err)
	}
	for _, groups := range [][]int64{{}, {0}, {1}, {2}, {0, 2}, {0, 1, 2}, {7}} {
		t.Run(fmt.Sprint(groups), func(t *testing.T) {
			as := within(ctx, groups...)
			want := 0
			for n := range devices {
				sees := slices.Contains(groups, int64(n%3))
				kind := errs.NotFound
				if sees {
					want++
				}
				al := newAlert(tenantA, n)
				for what, do := range map[string]func() error{
					"device": func() error { _, err := s.Devices.Get(as, tenantA, device(n)); return err },
					"change device": func() error {
						_, err := s.Devices.Update(as, tenantA, device(n), func(*dev.Device) error { return nil })
						return err
					},
					"locate": func() error { _, err := s.Devices.Locate(as, device(n)); return err },
					"alert":  func() error { _, err := s.Alerts.Alert(as, tenantA, al.ID); return err },
					"change alert": func() error {
						_, err := s.Alerts.UpdateAlert(as, tenantA, al.ID, func(*alert.Alert) error { return nil })
						return err
					},
					"action": func() error { _, err := s.Actions.Action(as, tenantA, ident.ActionID(guid(n))); return err },
					"change action": func() error {
						_, err := s.Actions.UpdateAction(as, tenantA, ident.ActionID(guid(n)), func(*action.Action) error { return nil })
						return err
					},
				} {
					if err := do(); sees != (err == nil) || !sees && !errs.Is(err, kind) {
						t.Errorf("%s of device %d: %v", what, n, err)
					}
				}
			}
			ds, err := s.Devices.List(as, tenantA, dev.Query{})
			check(t, err)
			traits, err := s.Groups.Traits(as, tenantA, "", 100)
			check(t, err)
			alerts, err := s.Alerts.Alerts(as, tenantA, filter.Query{Count: true})
			check(t, err)
			actions, err := s.Actions.Actions(as, tenantA, filter.Query{Count: true})
			check(t, err)
			for what, n := range map[string]int{"devices": len(ds), "traits": len(traits), "alerts": len(alerts.Items), "alerts counted": int(alerts.Total),
				"actions": len(actions.Items), "actions counted": int(actions.Total)} {
				if n != want {
					t.Errorf("%d %s, want %d", n, what, want)
				}
			}
			seen := 1 // the one for all devices
			if len(groups) == 0 {
				seen = 0
			}
			if slices.Contains(groups, 1) {
				seen += 2
			} else if slices.Contains(groups, 2) {
				seen++
			}
			is, err := s.Indicators.Indicators(as, tenantA, filter.Query{Count: true})
			check(t, err)
			if len(is.Items) != seen || is.Total != int64(seen) {
				t.Errorf("%d indicators, %d counted, want %d", len(is.Items), is.Total, seen)
			}
		})
	}
}

// Groups tests a group.Store and what a device.Store keeps of groups.
func Groups(t *testing.T, open func(testing.TB) ScopeStores) {
	t.Run("sets", func(t *testing.T) {
		s, ctx := open(t).Groups, t.Context()
		put := func(gs ...*group.Group) error {
			return s.UpdateGroups(ctx, tenantA, func(set *group.Set) error { set.Groups, set.LastID = gs, set.LastID+int64(len(gs)); return nil })
		}
		servers := &group.Group{ID: 1, Name: "Servers", Rank: 2, Automation: group.Full, Created: base,
			Rules: []group.Condition{{Property: group.Tag, Operator: group.In, Values: []string{"a", "B"}}}}
		other := &group.Group{ID: 2, Name: "Ünits", Rank: 1, Access: group.Access{UserGroups: []ident.UserGroupID{"x"}}}
		check(t, put(servers, other, &group.Group{ID: 0, Name: group.DefaultName}))
		got, generation, err := s.Groups(ctx, tenantA)
		check(t, err)
		servers.Tenant, other.Tenant = tenantA, tenantA
		wantEqual(t, "groups by rank, the default one last", got, []*group.Group{other, servers, {ID: 0, Tenant: tenantA, Name: group.DefaultName}})
		if generation != 1 {
			t.Errorf("generation %d, want 1", generation)
		}
		wantKind(t, "one name twice", put(servers, &group.Group{ID: 3, Name: "SERVERS"}), errs.Conflict)
		wantOwn(t, s.UpdateGroups(ctx, tenantA, func(set *group.Set) error { set.Groups = nil; return errChange }))
		if got, generation, err = s.Groups(ctx, tenantA); err != nil || len(got) != 3 || generation != 1 {
			t.Errorf("after changes that failed: %d groups of generation %d, %v", len(got), generation, err)
		}
		if none, _, err := s.Groups(ctx, tenantB); err != nil || len(none) != 0 {
			t.Errorf("groups of another tenant: %v, %v", none, err)
		}
		unsorted, err := s.Unsorted(ctx)
		check(t, err)
		wantEqual(t, "unsorted", unsorted, []ident.TenantID{tenantA})
		check(t, s.Sorted(ctx, tenantA, 1))
		check(t, put())
		check(t, s.Sorted(ctx, tenantA, 1)) // of an older generation
		if unsorted, err = s.Unsorted(ctx); err != nil || len(unsorted) != 1 {
			t.Errorf("unsorted %v, %v", unsorted, err)
		}
		check(t, s.Sorted(ctx, tenantA, 2))
		if unsorted, err = s.Unsorted(ctx); err != nil || len(unsorted) != 0 {
			t.Errorf("unsorted %v, %v", unsorted, err)
		}
	})
	t.Run("moves", func(t *testing.T) {
		s, ctx := open(t), t.Context()
		for n := range 3 {
			check(t, s.Devices.Create(ctx, newDevice(tenantA, n)))
		}
		check(t, s.Devices.Create(ctx, newDevice(tenantB, 3)))
		move := func(to int64) []ident.DeviceID {
			t.Helper()
			moved, err := s.Groups.Move(ctx, tenantA, []ident.DeviceID{device(1), device(3), device(9)}, func(tr group.Traits) int64 {
				if tr.Name != "host1.example" || len(tr.Tags) != 1 || tr.Platform == "" {
					t.Errorf("traits %+v", tr)
				}
				return to
			})
			check(t, err)
			return moved
		}
		wantEqual(t, "moved", move(5), []ident.DeviceID{device(1)})
		wantEqual(t, "moved again", move(5), []ident.DeviceID(nil))
		d, err := s.Devices.Get(ctx, tenantA, device(1))
		check(t, err)
		if d.Group != 5 || d.Regrouped != 0 {
			t.Errorf("group %d, regrouped %d: there are no indicators of groups", d.Group, d.Regrouped)
		}
		_, err = s.Indicators.PutIndicators(ctx, tenantA, indicator.Quota{Indicators: 10, Now: base}, []indicator.Key{{Value: "x"}},
			func(int, *indicator.Indicator) (*indicator.Indicator, error) {
				return &indicator.Indicator{Value: "x", Type: indicator.Domain, GroupIDs: []string{"5"}}, nil
			})
		check(t, err)
		move(6)
		d, err = s.Devices.Update(ctx, tenantA, device(1), func(d *dev.Device) error { d.Group, d.Regrouped = 7, 99; return nil })
		check(t, err)
		if d.Group != 7 || d.Regrouped != 2 {
			t.Errorf("group %d, regrouped %d, want 7 after two moves", d.Group, d.Regrouped)
		}
		if d, err = s.Devices.Get(ctx, tenantA, device(1)); err != nil || d.Group != 7 || d.Regrouped != 2 {
			t.Errorf("kept: group %d, regrouped %d, %v", d.Group, d.Regrouped, err)
		}
		of, err := s.Groups.Of(ctx, tenantA, []ident.DeviceID{device(1), device(2), device(3), device(1)})
		check(t, err)
		wantEqual(t, "groups of devices", of, map[ident.DeviceID]int64{device(1): 7, device(2): 0})
		sizes, err := s.Groups.Sizes(ctx, tenantA)
		check(t, err)
		wantEqual(t, "sizes", sizes, map[int64]int64{0: 2, 7: 1})
		seven := int64(7)
		ds, err := s.Devices.List(ctx, tenantA, dev.Query{Group: &seven})
		check(t, err)
		if len(ds) != 1 || ds[0].ID != device(1) {
			t.Errorf("devices of the group: %v", ds)
		}
	})
}
