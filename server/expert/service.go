package expert

import (
	"context"
	"time"

	"github.com/vedette-edr/vedette/server/audit"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/filter"
	"github.com/vedette-edr/vedette/server/ident"
)

// Service takes questions to experts and hands cases over. Permission to the route is decided
// by the caller, before; what of a case the asker may see is decided here. It is safe for
// concurrent use.
type Service struct {
	cfg  Config
	busy busy
}

// New returns the service. Run carries its cases out.
func New(c Config) *Service {
	if c.Audit == nil {
		c.Audit = audit.Discard
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Atomic == nil {
		c.Atomic = func(ctx context.Context, do func(context.Context) error) error { return do(ctx) }
	}
	if c.Failed == nil {
		c.Failed = func(*Case, error) {}
	}
	return &Service{cfg: c, busy: busy{ids: map[string]bool{}}}
}

// Case returns one case.
func (s *Service) Case(ctx context.Context, tenant ident.TenantID, id ident.ActionID) (*Case, error) {
	c, err := s.cfg.Cases.Case(ctx, tenant, id)
	if errs.Is(err, errs.NotFound) {
		return nil, errs.New("expert.Case", errs.NotFound, errs.ResourceNotFound, "Expert case %s was not found", id)
	}
	return c, errs.Wrap("expert.Case", err)
}

// Cases lists cases, newest first unless q orders otherwise.
func (s *Service) Cases(ctx context.Context, tenant ident.TenantID, q filter.Query) (filter.Page[*Case], error) {
	p, err := s.cfg.Cases.Cases(ctx, tenant, q)
	return p, errs.Wrap("expert.Cases", err)
}

// Sums calls each with the hash of every bundle of a tenant that is still needed: of cases
// that are open, and of those that ended since a time. The others forget theirs.
func (s *Service) Sums(ctx context.Context, tenant ident.TenantID, since time.Time, each func(sum string)) error {
	const op, part = "expert.Sums", 500
	q := filter.Query{Top: part}
	for ; ; q.Skip += part {
		page, err := s.cfg.Cases.Cases(ctx, tenant, q)
		if err != nil {
			return errs.Wrap(op, err)
		}
		for _, c := range page.Items {
			if c.Bundle == nil || c.Bundle.SHA256 == "" {
				continue
			}
			if c.Open || !c.Finished.Before(since) || c.Bundle.Until.After(s.cfg.Clock()) {
				each(c.Bundle.SHA256)
				continue
			}
			if _, err := s.cfg.Cases.UpdateCase(ctx, tenant, c.ID, func(c *Case) error {
				c.Bundle.SHA256 = ""
				return nil
			}); err != nil {
				return errs.Wrap(op, err)
			}
		}
		if len(page.Items) < part {
			return nil
		}
	}
}
