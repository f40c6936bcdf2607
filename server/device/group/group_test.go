package group_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/audit"
	"github.com/vedette-edr/vedette/server/bus"
	"github.com/vedette-edr/vedette/server/device"
	"github.com/vedette-edr/vedette/server/device/group"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/store"
)

const tenant ident.TenantID = "0a0a0a0a-0000-4000-8000-000000000001"

var admin = &access.Principal{Actor: ident.Actor{Kind: ident.ActorApp, ID: "a", Name: "a", Tenant: tenant}, Scope: access.Everything}

type fixture struct {
	*group.Service
	store   *store.Store
	devices *device.Service
	log     *audit.Chain
	moved   *bus.Subscription[device.Moved]
}

func setup(t testing.TB) *fixture {
	t.Helper()
	s, err := store.Open(t.Context(), store.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	topic := &bus.Topic[device.Moved]{}
	f := &fixture{store: s, log: audit.New(s.Audit(), make([]byte, 32), nil), moved: topic.Subscribe(10_000)}
	f.Service = group.New(group.Config{Store: s.Groups(), Audit: f.log, Moved: topic, Atomic: s.Atomic})
	f.devices = device.New(device.Config{Store: s.Devices(), Tokens: s.Tokens(), TokenKey: make([]byte, 32), Groups: f.Service, Moved: topic})
	if err := f.Load(t.Context(), []ident.TenantID{tenant}); err != nil {
		t.Fatal(err)
	}
	return f
}

func id(n int) ident.DeviceID { return ident.DeviceID(fmt.Sprintf("%040x", n)) }

func (f *fixture) add(t testing.TB, n int, name string, tags ...string) {
	t.Helper()
	d := &device.Device{ID: id(n), Tenant: tenant, Name: name, Platform: "Linux", Tags: tags, Inventory: device.Inventory{Distribution: "Debian"}}
	d.Group = f.GroupOf(d)
	if err := f.store.Devices().Create(t.Context(), d); err != nil {
		t.Fatal(err)
	}
}

func (f *fixture) in(t testing.TB, n int) int64 {
	t.Helper()
	d, err := f.devices.Get(t.Context(), tenant, id(n))
	if err != nil {
		t.Fatal(err)
	}
	return d.Group
}

func (f *fixture) make(t testing.TB, r group.Request) *group.Group {
	t.Helper()
	g, err := f.Create(t.Context(), admin, r)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func rule(p group.Property, o group.Operator, values ...string) []group.Condition {
	return []group.Condition{{Property: p, Operator: o, Values: values}}
}

func TestMatching(t *testing.T) {
	d := &device.Device{ID: id(1), Tenant: tenant, Name: "Web01.corp.example", Platform: "Linux", Tags: []string{"Executive", "EU"},
		Inventory: device.Inventory{Distribution: "Debian"}}
	for _, c := range []struct {
		rules []group.Condition
		want  bool
	}{
		{rule(group.Name, group.StartsWith, "WEB"), true},
		{rule(group.Name, group.Equals, "web01"), true},
		{rule(group.Name, group.Equals, "web01.corp.example"), true},
		{rule(group.Name, group.EndsWith, "01"), true},
		{rule(group.Name, group.Contains, "eb0"), true},
		{rule(group.Name, group.Equals, "web"), false},
		{rule(group.Name, group.In, "db01", "WEB01"), true},
		{rule(group.Domain, group.Equals, "corp.EXAMPLE"), true},
		{rule(group.Domain, group.StartsWith, "example"), false},
		{rule(group.Tag, group.Equals, "executive"), true},
		{rule(group.Tag, group.StartsWith, "x", "eu"), true},
		{rule(group.Tag, group.Equals, "US"), false},
		{rule(group.OS, group.In, "windows", "LINUX"), true},
		{rule(group.OS, group.Equals, "debian"), true},
		{rule(group.OS, group.Equals, "Windows"), false},
		{append(rule(group.OS, group.Equals, "Linux"), rule(group.Tag, group.Equals, "EU")...), true},
		{append(rule(group.OS, group.Equals, "Linux"), rule(group.Tag, group.Equals, "US")...), false},
		{nil, false},
	} {
		f := setup(t)
		g := f.make(t, group.Request{Name: "g", Rules: c.rules})
		if got := f.GroupOf(d) == g.ID; got != c.want {
			t.Errorf("%+v: %v, want %v", c.rules, got, c.want)
		}
	}
}

func TestDevicesAreInTheHighestGroupThatMatches(t *testing.T) {
	f := setup(t)
	ctx := t.Context()
	f.add(t, 1, "web01", "vip")
	f.add(t, 2, "web02")
	f.add(t, 3, "db01")
	web := f.make(t, group.Request{Name: "Web", Rules: rule(group.Name, group.StartsWith, "web")})
	vip := f.make(t, group.Request{Name: "VIP", Rules: rule(group.Tag, group.Equals, "VIP")})
	want := func(when string, groups ...int64) {
		t.Helper()
		if err := f.Sort(ctx, tenant); err != nil {
			t.Fatal(err)
		}
		for i, g := range groups {
			if got := f.in(t, i+1); got != g {
				t.Errorf("%s: device %d is in %d, want %d", when, i+1, got, g)
			}
		}
	}
	want("made", web.ID, web.ID, group.Default)
	if _, err := f.Change(ctx, admin, vip.ID, group.Request{Name: "VIP", Rules: vip.Rules, Rank: 1}); err != nil {
		t.Fatal(err)
	}
	want("ranked", vip.ID, web.ID, group.Default)
	// A change of the device takes effect at once.
	if _, err := f.devices.Tag(ctx, tenant, id(3), device.AddTag, "vip"); err != nil {
		t.Fatal(err)
	}
	if got := f.in(t, 3); got != vip.ID {
		t.Errorf("tagged: in %d", got)
	}
	if _, err := f.devices.Heartbeat(ctx, tenant, id(2), device.Report{Inventory: &device.Inventory{Hostname: "db02"}}); err != nil {
		t.Fatal(err)
	}
	if got := f.in(t, 2); got != group.Default {
		t.Errorf("renamed: in %d", got)
	}
	if err := f.Delete(ctx, admin, vip.ID); err != nil {
		t.Fatal(err)
	}
	want("deleted", web.ID, group.Default, group.Default)
	again := f.make(t, group.Request{Name: "VIP"})
	if again.ID == vip.ID {
		t.Error("an id is used twice")
	}
	for what, err := range map[string]error{
		"rank of the default group": second(f.Change(ctx, admin, group.Default, group.Request{Rank: 1})),
		"its deletion":              f.Delete(ctx, admin, group.Default),
		"its name":                  second(f.Change(ctx, admin, group.Default, group.Request{Name: "x"})),
	} {
		if !errs.Is(err, errs.Conflict) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := f.Change(ctx, admin, group.Default, group.Request{Automation: group.None}); err != nil {
		t.Error(err)
	}
	var names []string
	for _, g := range f.List(tenant) {
		names = append(names, g.Name)
	}
	if got := strings.Join(names, " "); got != "Web VIP UnassignedGroup" {
		t.Errorf("groups %s", got)
	}
	rs, err := f.log.Records(ctx, tenant, 0, 100)
	if err != nil || len(rs) != 6 || rs[0].Verb != "group.create" || rs[3].Verb != "group.delete" {
		t.Errorf("audit %+v, %v", rs, err)
	}
}

func second[T any](_ T, err error) error { return err }

func TestScope(t *testing.T) {
	f := setup(t)
	ctx := t.Context()
	open := f.make(t, group.Request{Name: "open"})
	team := f.make(t, group.Request{Name: "team", Access: group.Access{UserGroups: []ident.UserGroupID{"soc"}}})
	role := f.make(t, group.Request{Name: "role", Access: group.Access{Roles: []ident.RoleID{"r"}}})
	for _, c := range []struct {
		who  access.Standing
		want access.Scope
	}{
		{access.Standing{}, access.Scope{Groups: []int64{0, open.ID}}},
		{access.Standing{Groups: []ident.UserGroupID{"soc"}}, access.Scope{Groups: []int64{0, open.ID, team.ID}}},
		{access.Standing{Roles: []ident.RoleID{"r"}}, access.Scope{Groups: []int64{0, open.ID, role.ID}}},
		{access.Standing{Roles: []ident.RoleID{"r"}, Groups: []ident.UserGroupID{"soc"}}, access.Everything},
	} {
		got, err := f.ScopeOf(ctx, tenant, c.who)
		if err != nil || cmp.Diff(c.want, got) != "" {
			t.Errorf("%+v sees %+v, %v, want %+v", c.who, got, err, c.want)
		}
	}
	if _, err := f.Change(ctx, admin, group.Default, group.Request{Access: group.Access{UserGroups: []ident.UserGroupID{"x"}}}); err != nil {
		t.Fatal(err)
	}
	got, err := f.ScopeOf(ctx, tenant, access.Standing{})
	if err != nil || cmp.Diff(access.Scope{Groups: []int64{open.ID}}, got) != "" {
		t.Errorf("with a restricted default group: %+v, %v", got, err)
	}
	limited := access.WithPrincipal(ctx, &access.Principal{Actor: admin.Actor, Scope: access.Scope{Groups: []int64{open.ID}}})
	if _, err := f.Get(limited, tenant, team.ID); !errs.Is(err, errs.NotFound) {
		t.Errorf("a group out of scope: %v", err)
	}
	if _, _, err := f.Resolve(limited, tenant, []string{"team"}, nil); !errs.Is(err, errs.Invalid) {
		t.Errorf("naming a group out of scope: %v", err)
	}
	names, ids, err := f.Resolve(ctx, tenant, []string{"TEAM"}, []string{fmt.Sprint(open.ID), fmt.Sprint(team.ID)})
	if err != nil || cmp.Diff([]string{"team", "open"}, names) != "" || len(ids) != 2 {
		t.Errorf("resolved %v %v, %v", names, ids, err)
	}
}

func TestWhatCannotBeAGroup(t *testing.T) {
	f := setup(t)
	long := make([]string, 11)
	for i := range long {
		long[i] = fmt.Sprint(i)
	}
	f.make(t, group.Request{Name: "taken"})
	for place, r := range map[string]group.Request{
		"name":               {Name: " "},
		"UnassignedGroup":    {Name: "unassignedgroup"},
		"automationLevel":    {Name: "x", Automation: "most"},
		"rules[0].property":  {Name: "x", Rules: rule("Colour", group.Equals, "x")},
		"rules[0].operator":  {Name: "x", Rules: rule(group.Name, "Matches", "x")},
		"OS is compared":     {Name: "x", Rules: rule(group.OS, group.Contains, "x")},
		"rules[0].values:":   {Name: "x", Rules: rule(group.Tag, group.Equals, long...)},
		"rules[0].values[0]": {Name: "x", Rules: rule(group.Tag, group.Equals, "")},
		"rank":               {Name: "x", Rank: 9},
		"exists":             {Name: "TAKEN"},
	} {
		_, err := f.Create(t.Context(), admin, r)
		if err == nil || !strings.Contains(err.Error(), place) {
			t.Errorf("%+v: %v names no %s", r, err, place)
		}
	}
	if n := len(f.List(tenant)); n != 2 {
		t.Errorf("%d groups", n)
	}
}

// TestSortingAndChangesMeet changes devices and groups at once: in the end every device is
// where the last rules put it.
func TestSortingAndChangesMeet(t *testing.T) {
	f := setup(t)
	const devices = 40
	for n := range devices {
		f.add(t, n, fmt.Sprintf("host%d", n))
	}
	g := f.make(t, group.Request{Name: "g", Rules: rule(group.Tag, group.Equals, "a")})
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { _ = f.Run(ctx, func(err error) { t.Error(err) }) })
	var work sync.WaitGroup
	for w := range 4 {
		work.Go(func() {
			for n := range devices {
				change := []device.TagChange{device.AddTag, device.RemoveTag}[(n+w)%2]
				if _, err := f.devices.Tag(ctx, tenant, id(n), change, []string{"a", "b"}[w%2]); err != nil {
					t.Error(err)
				}
			}
		})
	}
	work.Go(func() {
		for n := range 11 {
			if _, err := f.Change(ctx, admin, g.ID, group.Request{Name: "g", Rules: rule(group.Tag, group.Equals, []string{"a", "b"}[n%2])}); err != nil {
				t.Error(err)
			}
		}
	})
	work.Wait()
	deadline := time.Now().Add(30 * time.Second)
	for {
		left, err := f.store.Groups().Unsorted(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if len(left) == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the devices are never sorted")
		}
		time.Sleep(time.Millisecond)
	}
	cancel()
	wg.Wait()
	ds, err := f.devices.List(t.Context(), tenant, device.Query{})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range ds {
		if want := f.GroupOf(d); d.Group != want {
			t.Errorf("%s with tags %v is in %d, want %d", d.Name, d.Tags, d.Group, want)
		}
	}
}

func TestPreview(t *testing.T) {
	f := setup(t)
	for n := range 15 {
		f.add(t, n, fmt.Sprintf("web%d", n))
	}
	f.add(t, 99, "db")
	p, err := f.Preview(t.Context(), admin, rule(group.Name, group.StartsWith, "web"))
	if err != nil || p.Total != 15 || len(p.Devices) != 10 {
		t.Errorf("%d of %d, %v", len(p.Devices), p.Total, err)
	}
	if _, err := f.Preview(t.Context(), admin, rule(group.Name, "x", "web")); !errs.Is(err, errs.Invalid) {
		t.Errorf("bad rules: %v", err)
	}
}
