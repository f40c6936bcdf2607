package indicator

import (
	"context"
	"errors"

	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/filter"
	"github.com/vedette-edr/vedette/server/ident"
)

// CreateIOCs validates, stamps and keeps all of iocs or none, and sets their IDs. The
// definitions they are bound to must be visible to the caller.
func (s *Service) CreateIOCs(ctx context.Context, iocs []*IOC) error {
	const op = "indicator.CreateIOCs"
	c, err := s.caller(ctx, op)
	if err != nil {
		return err
	}
	if err := count(op, "iocs", len(iocs), MaxBulk); err != nil {
		return err
	}
	stamps := c.created(s.now())
	seen := map[ident.DefinitionID]bool{}
	for n, i := range iocs {
		if err := i.Validate(); err != nil {
			return at(op, "iocs", n, len(iocs), err)
		}
		// Without a scope the store's own check is enough.
		if c.by != "" && !seen[i.Definition] {
			if _, err := s.definition(ctx, op, c, i.Definition); err != nil {
				return at(op, "iocs", n, len(iocs), unbound(err))
			}
			seen[i.Definition] = true
		}
		i.ID, i.Stamps = 0, stamps
	}
	rev, err := s.iocs.CreateIOCs(context.WithoutCancel(ctx), c.Tenant, s.quotaNow(), iocs)
	if err != nil {
		return errs.Wrap(op, unbound(err))
	}
	return s.carry(ctx, c.Tenant, rev)
}

// IOC returns one IOC that the caller sees.
func (s *Service) IOC(ctx context.Context, id IOCID) (*IOC, error) {
	const op = "indicator.IOC"
	c, err := s.caller(ctx, op)
	if err != nil {
		return nil, err
	}
	i, err := s.iocs.IOC(ctx, c.Tenant, id)
	if err != nil {
		return nil, errs.Wrap(op, err)
	}
	if !c.sees(&i.Stamps) {
		return nil, notFound(op, "IndicatorOfCompromise", id.String())
	}
	return i, nil
}

// IOCs lists those that the caller sees.
func (s *Service) IOCs(ctx context.Context, q filter.Query) (filter.Page[*IOC], error) {
	const op = "indicator.IOCs"
	c, err := s.caller(ctx, op)
	if err != nil {
		return filter.Page[*IOC]{}, err
	}
	page, err := s.iocs.IOCs(ctx, c.Tenant, c.scope(q, IOCFields, "createdById"))
	return page, errs.Wrap(op, err)
}

// UpdateIOC lets change alter one IOC, then validates and stamps it. ID and stamps are
// not change's to alter. Binding it to another definition is altering Definition.
func (s *Service) UpdateIOC(ctx context.Context, id IOCID, change func(*IOC) error) (*IOC, error) {
	const op = "indicator.UpdateIOC"
	c, err := s.caller(ctx, op)
	if err != nil {
		return nil, err
	}
	found := false
	update := func(i *IOC) error {
		if !c.sees(&i.Stamps) {
			return notFound(op, "IndicatorOfCompromise", id.String())
		}
		found = true
		stamps := i.Stamps
		if err := change(i); err != nil {
			return err
		}
		i.ID, i.Stamps = id, c.modified(stamps, s.now())
		return i.Validate()
	}
	if c.by != "" {
		// A rebind must not reach a definition out of sight. It is looked up before the
		// transaction, in which the store may not be called; a definition's creator never
		// changes.
		if err := s.checkRebind(ctx, op, c, id, update); err != nil {
			return nil, err
		}
	}
	i, rev, err := s.iocs.UpdateIOC(context.WithoutCancel(ctx), c.Tenant, s.quotaNow(), id, update)
	if err != nil && found {
		err = unbound(err)
	}
	if err != nil {
		return nil, errs.Wrap(op, err)
	}
	return i, s.carry(ctx, c.Tenant, rev)
}

// unbound makes a definition that is not there an error of the request that names it, not
// of the resource that was asked for.
func unbound(err error) error {
	if !errs.Is(err, errs.NotFound) {
		return err
	}
	return &errs.E{Op: "indicator.bind", Kind: errs.Invalid, Code: errs.InvalidInput, Detail: "AlertDefinition@odata.bind: the alert definition it names was not found", Err: err}
}

func (s *Service) checkRebind(ctx context.Context, op string, c caller, id IOCID, update func(*IOC) error) error {
	i, err := s.iocs.IOC(ctx, c.Tenant, id)
	if err != nil {
		return errs.Wrap(op, err)
	}
	bound := i.Definition
	if err := update(i); err != nil {
		return errs.Wrap(op, err)
	}
	if i.Definition == bound {
		return nil
	}
	_, err = s.definition(ctx, op, c, i.Definition)
	return unbound(err)
}

// DeleteIOC deletes one IOC.
func (s *Service) DeleteIOC(ctx context.Context, id IOCID) error {
	return s.deleteIOCs(ctx, "indicator.DeleteIOC", Which{IDs: []int64{int64(id)}})
}

// DeleteAllIOCs deletes every IOC that the caller sees.
func (s *Service) DeleteAllIOCs(ctx context.Context) error {
	return s.deleteIOCs(ctx, "indicator.DeleteAllIOCs", Which{})
}

// DeleteIOCsOf deletes the IOCs bound to a definition and keeps the definition.
func (s *Service) DeleteIOCsOf(ctx context.Context, id ident.DefinitionID) error {
	const op = "indicator.DeleteIOCsOf"
	if _, err := s.Definition(ctx, id); err != nil {
		return errs.Wrap(op, err)
	}
	return s.deleteIOCs(ctx, op, Which{Definition: id})
}

func (s *Service) deleteIOCs(ctx context.Context, op string, w Which) error {
	c, err := s.caller(ctx, op)
	if err != nil {
		return err
	}
	w.By = c.by
	rev, err := s.iocs.DeleteIOCs(context.WithoutCancel(ctx), c.Tenant, w)
	if err != nil {
		return errs.Wrap(op, err)
	}
	return s.carry(ctx, c.Tenant, rev)
}

func codeOf(err error) errs.Code {
	var e *errs.E
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

func detailOf(err error) string {
	var e *errs.E
	if errors.As(err, &e) && e.Kind != errs.Internal {
		return e.Detail
	}
	return "it could not be processed"
}
