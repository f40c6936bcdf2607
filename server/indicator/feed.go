package indicator

import (
	"context"
	"fmt"
	"sync"

	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
)

// pageSize is how many changes are asked of the Feed at a time.
const pageSize = 10_000

// follower carries one tenant's changes from the Feed to the Sink. Writers commit
// concurrently; whoever holds mu carries everything committed so far, so a burst of
// writes costs few rounds and the Sink sees revisions in order.
type follower struct {
	mu      sync.Mutex
	applied Revision
}

func (s *Service) follower(tenant ident.TenantID) *follower {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.followers[tenant]
	if f == nil {
		f = &follower{}
		s.followers[tenant] = f
	}
	return f
}

// carry returns when the Sink shows revision upTo. The change is already stored, so the
// caller's cancellation no longer matters: dropping out here would only leave the Sink
// behind until the tenant's next change.
func (s *Service) carry(ctx context.Context, tenant ident.TenantID, upTo Revision) error {
	ctx = context.WithoutCancel(ctx)
	f := s.follower(tenant)
	f.mu.Lock()
	defer f.mu.Unlock()
	for f.applied < upTo {
		p, err := s.feed.Changes(ctx, tenant, f.applied, pageSize)
		if err == nil && p.Revision <= f.applied {
			err = fmt.Errorf("the feed ends at revision %d, %d was committed", p.Revision, upTo)
		}
		if err == nil {
			err = s.sink.Apply(ctx, tenant, p)
		}
		if err != nil {
			return &errs.E{
				Op: "indicator.carry", Kind: errs.Unavailable, Code: errs.ServiceDegraded, Err: err,
				Detail: "the change is stored but not yet in effect; it takes effect with the next one, or when the server loads its indicators again",
			}
		}
		f.applied = p.Revision
	}
	return nil
}

// Load brings the Sink up to everything stored, for all tenants. It is called before the
// first batch is matched, and may be called again at any time: changes that another
// process made become visible.
func (s *Service) Load(ctx context.Context) error {
	const op = "indicator.Load"
	tenants, err := s.feed.Tenants(ctx)
	if err != nil {
		return errs.Wrap(op, err)
	}
	for _, t := range tenants {
		if err := s.catchUp(ctx, t); err != nil {
			return errs.Wrap(op, err)
		}
	}
	return nil
}

func (s *Service) catchUp(ctx context.Context, tenant ident.TenantID) error {
	f := s.follower(tenant)
	f.mu.Lock()
	defer f.mu.Unlock()
	for more := true; more; {
		p, err := s.feed.Changes(ctx, tenant, f.applied, pageSize)
		if err != nil {
			return err
		}
		if len(p.Changes) > 0 || p.Reset {
			if err := s.sink.Apply(ctx, tenant, p); err != nil {
				return err
			}
		}
		f.applied, more = p.Revision, p.More
	}
	return nil
}

// Revision returns the revision that the Sink shows of a tenant.
func (s *Service) Revision(tenant ident.TenantID) Revision {
	f := s.follower(tenant)
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.applied
}

// Entry is one enforcing indicator as devices get it.
type Entry struct {
	ID        ident.IndicatorID
	Indicator *Indicator // nil: no longer enforced, forget ID
}

// Enforcement is what changed for devices after a revision.
type Enforcement struct {
	Entries  []Entry
	Revision Revision // what a device that applied Entries is at
	Full     bool     // Entries are all there is: the device forgets what it had
}

// Enforcing returns what devices of a tenant enforce, as the difference to since; 0 asks
// for everything. Only indicators of the current API whose action devices carry out are
// in it: IOCs of the custom TI API raise alerts on the server and never leave it. An
// Entry may revoke an ID that the device never had. Expiry is in the entry and the
// device's affair; what has expired already is revoked.
func (s *Service) Enforcing(ctx context.Context, tenant ident.TenantID, since Revision) (*Enforcement, error) {
	out := &Enforcement{Revision: since, Full: since == 0}
	now := s.now()
	for more := true; more; {
		p, err := s.feed.Changes(ctx, tenant, out.Revision, pageSize)
		if err != nil {
			return nil, errs.Wrap("indicator.Enforcing", err)
		}
		if p.Reset {
			out.Full, out.Entries = true, nil
		}
		for n := range p.Changes {
			c := &p.Changes[n]
			if c.Noun != AnIndicator {
				continue
			}
			e := Entry{ID: ident.IndicatorID(c.ID)}
			if i := c.Indicator; i != nil && i.enforceable() && (i.Expires.IsZero() || i.Expires.After(now)) {
				e.Indicator = i
			}
			if e.Indicator != nil || !out.Full {
				out.Entries = append(out.Entries, e)
			}
		}
		out.Revision, more = p.Revision, p.More
	}
	return out, nil
}
