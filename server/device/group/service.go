package group

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/audit"
	"github.com/vedette-edr/vedette/server/bus"
	"github.com/vedette-edr/vedette/server/device"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
)

// Config is what a Service needs.
type Config struct {
	Store Store
	Audit audit.Log // nil for none
	// Moved is told of devices that sorting put into another group; nil for nobody.
	Moved *bus.Topic[device.Moved]
	Clock func() time.Time // nil for time.Now
	// Atomic runs do in one transaction of Store and Audit; nil runs it as it is.
	Atomic func(ctx context.Context, do func(context.Context) error) error
}

// Service holds the rules about device groups. Load must have been called before devices
// are sorted by it, and Run must run for changes to come into effect. It is an
// access.Scoper and a device.Grouper.
type Service struct {
	store  Store
	audit  audit.Log
	moved  *bus.Topic[device.Moved]
	now    func() time.Time
	atomic func(context.Context, func(context.Context) error) error
	wake   chan struct{}

	mu    sync.RWMutex
	rules map[ident.TenantID]*rules
}

// New returns a Service.
func New(c Config) *Service {
	s := &Service{store: c.Store, audit: c.Audit, moved: c.Moved, now: c.Clock, atomic: c.Atomic,
		wake: make(chan struct{}, 1), rules: map[ident.TenantID]*rules{}}
	if s.audit == nil {
		s.audit = audit.Discard
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.atomic == nil {
		s.atomic = func(ctx context.Context, do func(context.Context) error) error { return do(ctx) }
	}
	return s
}

// Load reads the groups of the tenants.
func (s *Service) Load(ctx context.Context, tenants []ident.TenantID) error {
	for _, t := range tenants {
		if err := s.reload(ctx, t); err != nil {
			return errs.Wrap("group.Load", err)
		}
	}
	return nil
}

func (s *Service) reload(ctx context.Context, tenant ident.TenantID) error {
	gs, generation, err := s.store.Groups(ctx, tenant)
	if err != nil {
		return err
	}
	r := compile(gs, generation)
	s.mu.Lock()
	defer s.mu.Unlock()
	// Two changes may be read in the other order than they were made.
	if have := s.rules[tenant]; have == nil || have.generation <= generation {
		s.rules[tenant] = r
	}
	return nil
}

// of returns the rules of a tenant; those of one without groups are empty.
func (s *Service) of(tenant ident.TenantID) *rules {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if r := s.rules[tenant]; r != nil {
		return r
	}
	return &rules{}
}

// GroupOf implements device.Grouper.
func (s *Service) GroupOf(d *device.Device) int64 { return s.of(d.Tenant).assign(traitsOf(d)) }

// defaultGroup is what the default one is until somebody changes it.
func defaultGroup(tenant ident.TenantID) *Group {
	return &Group{ID: Default, Tenant: tenant, Name: DefaultName, Automation: Full}
}

// List returns the groups of a tenant by rank, Default last.
func (s *Service) List(tenant ident.TenantID) []*Group {
	var out []*Group
	fallback := defaultGroup(tenant)
	for _, g := range s.of(tenant).groups {
		if g.ID == Default {
			fallback = g.Copy()
		} else {
			out = append(out, g.Copy())
		}
	}
	return append(out, fallback)
}

// Visible returns the groups of a tenant that the caller of ctx has in scope.
func (s *Service) Visible(ctx context.Context, tenant ident.TenantID) []*Group {
	scope := access.ScopeOf(ctx)
	return slices.DeleteFunc(s.List(tenant), func(g *Group) bool { return !scope.Holds(g.ID) })
}

// Get returns one group or errs.NotFound; one that is out of scope is not found.
func (s *Service) Get(ctx context.Context, tenant ident.TenantID, id int64) (*Group, error) {
	for _, g := range s.Visible(ctx, tenant) {
		if g.ID == id {
			return g, nil
		}
	}
	return nil, notFound(id)
}

func notFound(id int64) error {
	return errs.New("group.Get", errs.NotFound, errs.ResourceNotFound, "Device group %d was not found", id)
}

// Label is the published name of a group: DefaultName for Default and for one that is gone.
func (s *Service) Label(tenant ident.TenantID, id int64) string {
	for _, g := range s.of(tenant).groups {
		if g.ID == id {
			return g.Name
		}
	}
	return DefaultName
}

// Sizes returns how many devices each group has, whoever asks.
func (s *Service) Sizes(ctx context.Context, tenant ident.TenantID) (map[int64]int64, error) {
	n, err := s.store.Sizes(ctx, tenant)
	return n, errs.Wrap("group.Sizes", err)
}

// Of returns the groups of those of the devices that are there.
func (s *Service) Of(ctx context.Context, tenant ident.TenantID, ids []ident.DeviceID) (map[ident.DeviceID]int64, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	m, err := s.store.Of(ctx, tenant, ids)
	return m, errs.Wrap("group.Of", err)
}

// ScopeOf implements access.Scoper: somebody sees the groups that they were given access
// to, and those that nobody in particular was.
func (s *Service) ScopeOf(_ context.Context, tenant ident.TenantID, who access.Standing) (access.Scope, error) {
	all := s.List(tenant)
	scope := access.Scope{}
	for _, g := range all {
		sees := g.Access.Open() ||
			slices.ContainsFunc(g.Access.UserGroups, func(id ident.UserGroupID) bool { return slices.Contains(who.Groups, id) }) ||
			slices.ContainsFunc(g.Access.Roles, func(id ident.RoleID) bool { return slices.Contains(who.Roles, id) })
		if sees {
			scope.Groups = append(scope.Groups, g.ID)
		}
	}
	if len(scope.Groups) == len(all) {
		return access.Everything, nil
	}
	slices.Sort(scope.Groups)
	return scope, nil
}

// Request is a group to be made, or what it is to become.
type Request struct {
	Name        string
	Description string
	Automation  Automation // "" for Full
	Rules       []Condition
	Access      Access
	Rank        int // where it goes, 1 for the top; 0 for the end, or where it is
}

func (r *Request) apply(g *Group) error {
	g.Description, g.Automation, g.Access = r.Description, cmp.Or(r.Automation, Full), r.Access
	if g.ID != Default {
		g.Name, g.Rules = r.Name, r.Rules
	} else if len(r.Rules) > 0 || r.Rank != 0 || r.Name != "" && r.Name != DefaultName {
		return errs.New("group.Change", errs.Conflict, errs.DisallowedOperation, "the default group can be neither ranked nor renamed, and has no rules")
	}
	*g = *g.Copy()
	return g.check()
}

// Create makes a group. It comes into effect on devices within seconds.
func (s *Service) Create(ctx context.Context, by *access.Principal, r Request) (*Group, error) {
	const op = "group.Create"
	g := &Group{Tenant: by.Tenant, ID: -1, Created: s.now().UTC(), Updated: s.now().UTC()}
	if err := r.apply(g); err != nil {
		return nil, errs.Wrap(op, err)
	}
	err := s.update(ctx, by, "group.create", func(set *Set) (*Group, error) {
		if len(set.Groups) >= MaxGroups {
			return nil, errs.New(op, errs.Exhausted, errs.QuotaExceeded, "a tenant has at most %d device groups", MaxGroups)
		}
		set.LastID++
		g.ID = set.LastID
		set.Groups = append(set.Groups, g)
		return g, set.place(g, r.Rank)
	})
	return g, errs.Wrap(op, err)
}

// Change makes a group what r says.
func (s *Service) Change(ctx context.Context, by *access.Principal, id int64, r Request) (*Group, error) {
	var out *Group
	err := s.update(ctx, by, "group.change", func(set *Set) (*Group, error) {
		g := set.find(by.Tenant, id)
		if g == nil {
			return nil, notFound(id)
		}
		if err := r.apply(g); err != nil {
			return nil, err
		}
		g.Updated, out = s.now().UTC(), g
		if r.Rank == 0 {
			return g, nil
		}
		return g, set.place(g, r.Rank)
	})
	return out, errs.Wrap("group.Change", err)
}

// Delete forgets a group; its devices go where the other rules put them.
func (s *Service) Delete(ctx context.Context, by *access.Principal, id int64) error {
	const op = "group.Delete"
	if id == Default {
		return errs.New(op, errs.Conflict, errs.DisallowedOperation, "the default group cannot be deleted")
	}
	return errs.Wrap(op, s.update(ctx, by, "group.delete", func(set *Set) (*Group, error) {
		g := set.find(by.Tenant, id)
		if g == nil {
			return nil, notFound(id)
		}
		set.Groups = slices.DeleteFunc(set.Groups, func(o *Group) bool { return o.ID == id })
		return g, set.place(nil, 0)
	}))
}

// find returns a group of the set; Default comes into being when it is asked for.
func (s *Set) find(tenant ident.TenantID, id int64) *Group {
	for _, g := range s.Groups {
		if g.ID == id {
			return g
		}
	}
	if id != Default {
		return nil
	}
	g := defaultGroup(tenant)
	s.Groups = append(s.Groups, g)
	return g
}

// place puts g at a rank, 0 for the end, and numbers the others through.
func (s *Set) place(g *Group, rank int) error {
	if rank < 0 || rank > len(s.Groups) {
		return invalid("rank is %d, not between 1 and the number of groups", rank)
	}
	var ranked []*Group
	for _, o := range s.Groups {
		if o.ID != Default && o != g {
			ranked = append(ranked, o)
		}
	}
	slices.SortStableFunc(ranked, func(a, b *Group) int { return cmp.Compare(a.Rank, b.Rank) })
	if g != nil {
		at := len(ranked)
		if rank > 0 {
			at = min(rank-1, at)
		}
		ranked = slices.Insert(ranked, at, g)
	}
	for i, o := range ranked {
		o.Rank = i + 1
	}
	return nil
}

// update changes the set with the audit record of it, and has devices sorted.
func (s *Service) update(ctx context.Context, by *access.Principal, verb string, change func(*Set) (*Group, error)) error {
	err := s.atomic(ctx, func(ctx context.Context) error {
		var touched *Group
		err := s.store.UpdateGroups(ctx, by.Tenant, func(set *Set) (err error) {
			touched, err = change(set)
			return err
		})
		if err != nil {
			return err
		}
		return s.audit.Record(ctx, audit.Entry{Tenant: by.Tenant, Actor: by.Actor, Verb: verb,
			Object: strconv.FormatInt(touched.ID, 10), Detail: touched.Name, Outcome: audit.Done})
	})
	if err != nil {
		return err
	}
	// The change is kept whether or not its effect can be seen at once.
	if err := s.reload(context.WithoutCancel(ctx), by.Tenant); err != nil {
		return err
	}
	select {
	case s.wake <- struct{}{}:
	default:
	}
	return nil
}

// Preview is the devices that rules would match.
type Preview struct {
	Devices []Traits // the first few of them
	Total   int
}

// previewed is how many devices a preview shows, as published.
const previewed = 10

// Preview returns which devices of the caller's scope rules match, whatever group would
// take them for its higher rank.
func (s *Service) Preview(ctx context.Context, by *access.Principal, conditions []Condition) (Preview, error) {
	const op = "group.Preview"
	g := (&Group{ID: -1, Name: "preview", Automation: Full, Rules: conditions}).Copy()
	if err := g.check(); err != nil {
		return Preview{}, errs.Wrap(op, err)
	}
	m := compileOne(g)
	var out Preview
	err := s.each(ctx, by.Tenant, func(page []Traits) error {
		for _, t := range page {
			f := t.folded()
			if !m.match(&f) {
				continue
			}
			if out.Total++; len(out.Devices) < previewed {
				out.Devices = append(out.Devices, t)
			}
		}
		return nil
	})
	return out, errs.Wrap(op, err)
}

// Within implements hunt.Devices: the devices of a tenant in the scope of ctx.
func (s *Service) Within(ctx context.Context, tenant ident.TenantID) ([]ident.DeviceID, error) {
	out, err := s.store.Within(ctx, tenant)
	return out, errs.Wrap("group.Within", err)
}

// Resolve turns what somebody names groups by, names and ids, into both. What is not there,
// or out of the caller's scope, is errs.Invalid and named.
func (s *Service) Resolve(ctx context.Context, tenant ident.TenantID, names, ids []string) (outNames, outIDs []string, err error) {
	all := s.Visible(ctx, tenant)
	add := func(place, text string, is func(*Group) bool) error {
		i := slices.IndexFunc(all, is)
		if i < 0 {
			return errs.New("group.Resolve", errs.Invalid, errs.InvalidInput, "%s: there is no device group %q", place, clip(text))
		}
		id := strconv.FormatInt(all[i].ID, 10)
		if !slices.Contains(outIDs, id) {
			outNames, outIDs = append(outNames, all[i].Name), append(outIDs, id)
		}
		return nil
	}
	for _, n := range names {
		if err := add("rbacGroupNames", n, func(g *Group) bool { return strings.EqualFold(g.Name, strings.TrimSpace(n)) }); err != nil {
			return nil, nil, err
		}
	}
	for _, n := range ids {
		if err := add("rbacGroupIds", n, func(g *Group) bool { return strconv.FormatInt(g.ID, 10) == strings.TrimSpace(n) }); err != nil {
			return nil, nil, err
		}
	}
	return outNames, outIDs, nil
}
