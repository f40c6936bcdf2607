package indicator

import (
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/filter"
	"github.com/vedette-edr/vedette/server/ident"
)

// Bounds on one call, as published.
const (
	MaxBulk   = 5000 // definitions or IOCs in one upload
	MaxImport = 500  // indicators in one import or batch deletion
)

// Config is what a Service is made of. Quota's zero fields take DefaultQuota's.
type Config struct {
	Definitions DefinitionStore
	IOCs        IOCStore
	Indicators  IndicatorStore
	Tallies     TallyStore
	Expiry      ExpiryStore
	Feed        Feed
	Sink        Sink
	Groups      Groups // nil: groups are kept as they are named
	Now         func() time.Time
	Quota       Quota
}

// Groups is what this package asks of the device groups.
type Groups interface {
	// Resolve turns the names and ids by which somebody names device groups into both, in
	// the same order. One that is not there, or out of the caller's scope, is errs.Invalid.
	Resolve(ctx context.Context, tenant ident.TenantID, names, ids []string) (outNames, outIDs []string, err error)
}

// Service is the rules: what is valid, who may see and change what, how many there may
// be. It acts for the access.Principal of its context. A caller whose only permission is
// Ti.ReadWrite sees what it created itself and nothing else; to it the rest is
// errs.NotFound. When a method that changes something returns nil, the change is stored
// and the Sink shows it. When the Sink fails after it was stored, the error is
// errs.Unavailable and says so.
type Service struct {
	definitions DefinitionStore
	iocs        IOCStore
	indicators  IndicatorStore
	tallies     TallyStore
	expiry      ExpiryStore
	feed        Feed
	sink        Sink
	groups      Groups
	now         func() time.Time
	quota       Quota

	mu        sync.Mutex
	followers map[ident.TenantID]*follower
}

// New returns a Service. Load must be called before the Sink is relied on.
func New(c Config) *Service {
	s := &Service{
		definitions: c.Definitions, iocs: c.IOCs, indicators: c.Indicators, tallies: c.Tallies, expiry: c.Expiry,
		feed: c.Feed, sink: c.Sink, groups: c.Groups, now: c.Now, quota: c.Quota,
		followers: map[ident.TenantID]*follower{},
	}
	for _, f := range []struct {
		have *int
		want int
	}{
		{&s.quota.Definitions, DefaultQuota.Definitions},
		{&s.quota.IOCs, DefaultQuota.IOCs},
		{&s.quota.Patterns, DefaultQuota.Patterns},
		{&s.quota.Indicators, DefaultQuota.Indicators},
	} {
		if *f.have == 0 {
			*f.have = f.want
		}
	}
	return s
}

func (s *Service) quotaNow() Quota {
	q := s.quota
	q.Now = s.now()
	return q
}

// caller is who acts and how much of the tenant they see.
type caller struct {
	ident.Actor
	by      string       // the only creator whose rows are visible; "" for all
	devices access.Scope // the device groups that indicators may be for
}

// caller checks the permission in one place for every method.
func (s *Service) caller(ctx context.Context, op string) (caller, error) {
	p, err := access.FromContext(ctx)
	if err != nil {
		return caller{}, err
	}
	c := caller{Actor: p.Actor, devices: p.Scope}
	switch {
	case p.Kind == ident.ActorSystem, p.Can(access.TIReadWrite):
		return c, nil
	case p.Can(access.TIReadWriteOwn):
		// An application keeps to its own; people share the tenant's, within their groups.
		if p.Kind != ident.ActorUser {
			c.by = p.ID
		}
		return c, nil
	}
	return caller{}, p.Require(op, access.TIReadWrite, access.TIReadWriteOwn)
}

// reaches reports whether the caller may change an indicator: every device that it is for
// is in the caller's scope. One for all devices is for those who see all devices.
func (c caller) reaches(i *Indicator) bool {
	if c.devices.All {
		return true
	}
	if len(i.Groups)+len(i.GroupIDs) == 0 {
		return false
	}
	for _, text := range i.GroupIDs {
		id, err := strconv.ParseInt(text, 10, 64)
		if err != nil || !c.devices.Holds(id) {
			return false
		}
	}
	return len(i.GroupIDs) > 0
}

func outOfReach(op string) error {
	return errs.New(op, errs.Denied, errs.Forbidden, "the indicator is for device groups that the caller has no access to; "+
		"name only groups in rbacGroupNames that are within reach")
}

func (c caller) sees(st *Stamps) bool { return c.by == "" || st.CreatedBy == c.by }

// scope narrows a predicate to what the caller sees; creator is the field that holds
// Stamps.CreatedBy.
func (c caller) scope(q filter.Query, schema filter.Schema, creator string) filter.Query {
	if c.by == "" {
		return q
	}
	f, _ := schema.Find(creator)
	own := filter.Compare{Field: f, Op: filter.Eq, Value: filter.Value{Type: filter.String, S: c.by}}
	if q.Where == nil {
		q.Where = own
	} else {
		q.Where = filter.And{own, q.Where}
	}
	return q
}

func (c caller) displayName() string {
	if c.Name != "" {
		return c.Name
	}
	return c.ID
}

func (c caller) created(now time.Time) Stamps {
	return Stamps{Created: now.UTC(), CreatedBy: c.ID, CreatedByName: c.displayName()}
}

// modified returns old with the change stamped; what a change function put into the
// stamps is thrown away.
func (c caller) modified(old Stamps, now time.Time) Stamps {
	old.Modified, old.ModifiedBy = now.UTC(), c.displayName()
	return old
}

func notFound(op, what, id string) error {
	return errs.New(op, errs.NotFound, errs.ResourceNotFound, "%s %s was not found", what, id)
}

// count checks the number of entities in one call.
func count(op, what string, n, most int) error {
	if n == 0 {
		return errs.New(op, errs.Invalid, errs.InvalidInput, "%s is empty", what)
	}
	if n > most {
		return errs.New(op, errs.Invalid, errs.MaximumBatchSizeExceeded, "%s: received %d, allowed %d", what, n, most)
	}
	return nil
}
