package indicator

import (
	"context"
	"fmt"

	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/filter"
	"github.com/vedette-edr/vedette/server/ident"
)

// CreateDefinitions validates, stamps and keeps all of ds or none, and sets their IDs. An
// error of one among several names its index.
func (s *Service) CreateDefinitions(ctx context.Context, ds []*Definition) error {
	const op = "indicator.CreateDefinitions"
	c, err := s.caller(ctx, op)
	if err != nil {
		return err
	}
	if err := count(op, "alertDefinitions", len(ds), MaxBulk); err != nil {
		return err
	}
	stamps := c.created(s.now())
	for n, d := range ds {
		if err := d.Validate(); err != nil {
			return at(op, "alertDefinitions", n, len(ds), err)
		}
		d.ID, d.Stamps = 0, stamps
	}
	rev, err := s.definitions.CreateDefinitions(context.WithoutCancel(ctx), c.Tenant, s.quotaNow(), ds)
	if err != nil {
		return errs.Wrap(op, err)
	}
	return s.carry(ctx, c.Tenant, rev)
}

// at says which of several entities an error is about.
func at(op, list string, n, of int, err error) error {
	if of == 1 {
		return errs.Wrap(op, err)
	}
	return &errs.E{Op: op, Kind: errs.KindOf(err), Code: codeOf(err), Detail: fmt.Sprintf("%s[%d]: %s", list, n, detailOf(err)), Err: err}
}

// Definition returns one definition that the caller sees.
func (s *Service) Definition(ctx context.Context, id ident.DefinitionID) (*Definition, error) {
	const op = "indicator.Definition"
	c, err := s.caller(ctx, op)
	if err != nil {
		return nil, err
	}
	return s.definition(ctx, op, c, id)
}

func (s *Service) definition(ctx context.Context, op string, c caller, id ident.DefinitionID) (*Definition, error) {
	d, err := s.definitions.Definition(ctx, c.Tenant, id)
	if err != nil {
		return nil, errs.Wrap(op, err)
	}
	if !c.sees(&d.Stamps) {
		return nil, notFound(op, "AlertDefinition", id.String())
	}
	return d, nil
}

// Definitions lists those that the caller sees.
func (s *Service) Definitions(ctx context.Context, q filter.Query) (filter.Page[*Definition], error) {
	const op = "indicator.Definitions"
	c, err := s.caller(ctx, op)
	if err != nil {
		return filter.Page[*Definition]{}, err
	}
	page, err := s.definitions.Definitions(ctx, c.Tenant, c.scope(q, DefinitionFields, "createdById"))
	return page, errs.Wrap(op, err)
}

// UpdateDefinition lets change alter one definition, then validates and stamps it. ID and
// stamps are not change's to alter.
func (s *Service) UpdateDefinition(ctx context.Context, id ident.DefinitionID, change func(*Definition) error) (*Definition, error) {
	const op = "indicator.UpdateDefinition"
	c, err := s.caller(ctx, op)
	if err != nil {
		return nil, err
	}
	d, rev, err := s.definitions.UpdateDefinition(context.WithoutCancel(ctx), c.Tenant, id, func(d *Definition) error {
		if !c.sees(&d.Stamps) {
			return notFound(op, "AlertDefinition", id.String())
		}
		stamps := d.Stamps
		if err := change(d); err != nil {
			return err
		}
		d.ID, d.Stamps = id, c.modified(stamps, s.now())
		return d.Validate()
	})
	if err != nil {
		return nil, errs.Wrap(op, err)
	}
	return d, s.carry(ctx, c.Tenant, rev)
}

// DeleteDefinition deletes one definition and its IOCs.
func (s *Service) DeleteDefinition(ctx context.Context, id ident.DefinitionID) error {
	const op = "indicator.DeleteDefinition"
	c, err := s.caller(ctx, op)
	if err != nil {
		return err
	}
	return s.deleteDefinitions(ctx, op, c, Which{IDs: []int64{int64(id)}, By: c.by})
}

// DeleteAllDefinitions deletes every definition that the caller sees, with its IOCs.
func (s *Service) DeleteAllDefinitions(ctx context.Context) error {
	const op = "indicator.DeleteAllDefinitions"
	c, err := s.caller(ctx, op)
	if err != nil {
		return err
	}
	return s.deleteDefinitions(ctx, op, c, Which{By: c.by})
}

func (s *Service) deleteDefinitions(ctx context.Context, op string, c caller, w Which) error {
	rev, err := s.definitions.DeleteDefinitions(context.WithoutCancel(ctx), c.Tenant, w)
	if err != nil {
		return errs.Wrap(op, err)
	}
	return s.carry(ctx, c.Tenant, rev)
}
