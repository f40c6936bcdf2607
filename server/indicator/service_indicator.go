package indicator

import (
	"context"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/filter"
	"github.com/vedette-edr/vedette/server/ident"
)

// Put creates i, or updates the indicator with i's ID or else the one with i's value, and
// returns what is kept. Application, creator and creation time of an existing one stay.
func (s *Service) Put(ctx context.Context, i *Indicator) (*Indicator, error) {
	rs, err := s.put(ctx, "indicator.Put", []*Indicator{i})
	if err != nil {
		return nil, err
	}
	if rs[0].Err != nil {
		return nil, rs[0].Err
	}
	return rs[0].Indicator, nil
}

// Imported is what became of one indicator of an import: Err is nil or why it failed.
type Imported struct {
	Indicator *Indicator // as kept; as given when it failed
	Err       error
}

// Import puts up to MaxImport indicators. Those that are invalid or not the caller's
// fail by themselves; the others are kept together or, when a quota would be exceeded,
// not at all. The results are in the order of is.
func (s *Service) Import(ctx context.Context, is []*Indicator) ([]Imported, error) {
	const op = "indicator.Import"
	if err := count(op, "Indicators", len(is), MaxImport); err != nil {
		return nil, err
	}
	return s.put(ctx, op, is)
}

func (s *Service) put(ctx context.Context, op string, is []*Indicator) ([]Imported, error) {
	c, err := s.caller(ctx, op)
	if err != nil {
		return nil, err
	}
	out := make([]Imported, len(is))
	var keys []Key
	var index []int
	for n, i := range is {
		out[n].Indicator = i
		if out[n].Err = errs.Wrap(op, s.prepare(ctx, c, i)); out[n].Err != nil {
			continue
		}
		keys = append(keys, Key{ID: i.ID, Value: i.Value})
		index = append(index, n)
	}
	if len(keys) == 0 {
		return out, nil
	}
	now := s.now()
	rev, err := s.indicators.PutIndicators(context.WithoutCancel(ctx), c.Tenant, s.quotaNow(), keys, func(n int, old *Indicator) (*Indicator, error) {
		r := &out[index[n]]
		// The store may run the transaction again: start from what was given each time.
		r.Err, r.Indicator = nil, is[index[n]].clone()
		switch {
		case old == nil:
			r.Indicator.ID, r.Indicator.Stamps = 0, c.created(now)
		case !c.sees(&old.Stamps):
			r.Err = errs.New(op, errs.Denied, errs.Forbidden, "another application created the indicator %s; Ti.ReadWrite.All is needed to change it", old.Value)
			return nil, nil
		case !c.reaches(old):
			r.Err = outOfReach(op)
			return nil, nil
		default:
			r.Indicator.ID = old.ID
			r.Indicator.Application, r.Indicator.CreatedBySource = old.Application, old.CreatedBySource
			r.Indicator.Stamps = c.modified(old.Stamps, now)
		}
		return r.Indicator, nil
	})
	if err != nil {
		return nil, errs.Wrap(op, err)
	}
	return out, s.carry(ctx, c.Tenant, rev)
}

// prepare validates what a caller sent, and fills in both names and ids of its groups.
func (s *Service) prepare(ctx context.Context, c caller, i *Indicator) error {
	if err := i.Validate(); err != nil {
		return err
	}
	if len(i.Groups)+len(i.GroupIDs) > 0 && s.groups != nil {
		var err error
		if i.Groups, i.GroupIDs, err = s.groups.Resolve(ctx, c.Tenant, i.Groups, i.GroupIDs); err != nil {
			return err
		}
	}
	if !c.reaches(i) {
		return outOfReach("indicator.Put")
	}
	return nil
}

// Indicator returns one indicator that the caller sees.
func (s *Service) Indicator(ctx context.Context, id ident.IndicatorID) (*Indicator, error) {
	const op = "indicator.Indicator"
	c, err := s.caller(ctx, op)
	if err != nil {
		return nil, err
	}
	i, err := s.indicators.Indicator(ctx, c.Tenant, id)
	if err != nil {
		return nil, errs.Wrap(op, err)
	}
	if !c.sees(&i.Stamps) || i.expired(s.now()) {
		return nil, notFound(op, "Indicator", id.String())
	}
	return i, nil
}

// Indicators lists those that the caller sees and that have not expired.
func (s *Service) Indicators(ctx context.Context, q filter.Query) (filter.Page[*Indicator], error) {
	const op = "indicator.Indicators"
	c, err := s.caller(ctx, op)
	if err != nil {
		return filter.Page[*Indicator]{}, err
	}
	page, err := s.indicators.Indicators(ctx, c.Tenant, inForce(c.scope(q, Fields, "createdBy"), s.now()))
	return page, errs.Wrap(op, err)
}

// DeleteIndicators deletes up to MaxImport indicators, all or, when one is not there or
// not the caller's, none.
func (s *Service) DeleteIndicators(ctx context.Context, ids []ident.IndicatorID) error {
	const op = "indicator.DeleteIndicators"
	c, err := s.caller(ctx, op)
	if err != nil {
		return err
	}
	if err := count(op, "IndicatorIds", len(ids), MaxImport); err != nil {
		return err
	}
	if !c.devices.All {
		if err := s.reachAll(ctx, op, c, ids); err != nil {
			return err
		}
	}
	w := Which{IDs: make([]int64, len(ids)), By: c.by}
	for n, id := range ids {
		w.IDs[n] = int64(id)
	}
	rev, err := s.indicators.DeleteIndicators(context.WithoutCancel(ctx), c.Tenant, w)
	if err != nil {
		return errs.Wrap(op, err)
	}
	return s.carry(ctx, c.Tenant, rev)
}

// reachAll refuses to delete indicators that are out of the caller's reach, as published.
// The indicators are read as the server reads them: one that is not there is not found,
// whatever the scope.
func (s *Service) reachAll(ctx context.Context, op string, c caller, ids []ident.IndicatorID) error {
	ctx = access.WithPrincipal(ctx, access.System(c.Tenant, "indicator"))
	for _, id := range ids {
		i, err := s.indicators.Indicator(ctx, c.Tenant, id)
		if err != nil {
			return errs.Wrap(op, err)
		}
		if !c.reaches(i) {
			return outOfReach(op)
		}
	}
	return nil
}
