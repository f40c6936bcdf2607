package store

import (
	"context"

	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/filter"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/indicator"
)

var definitionTable = table{
	name: "definition", what: "alert definition", schema: indicator.DefinitionFields, key: "id", order: "id",
	columns: columns{
		"id": "id", "name": "name", "severity": "severity", "internalDescription": "internal", "title": "title",
		"uxDescription": "description", "recommendedAction": "recommended", "category": "category", "enabled": "enabled",
		"createdAt": "created", "createdBy": "created_by_name", "createdById": "created_by",
		"lastModifiedAt": "modified", "lastModifiedBy": "modified_by",
	},
}

var definitions = threat{table: &definitionTable, noun: indicator.ADefinition, ids: "definition_id", total: "definitions"}

const definitionNames = "name, severity, internal, title, description, recommended, category, enabled, " +
	"created, created_by, created_by_name, modified, modified_by, doc"

// definitionColumns are the values of definitionNames.
func definitionColumns(d *indicator.Definition) ([]any, error) {
	doc, err := encode(d)
	out := []any{
		text(d.Name), text(string(d.Severity)), text(d.InternalDescription), text(d.Title), text(d.Description),
		text(d.RecommendedAction), text(d.Category), flag(d.Enabled),
	}
	return append(append(out, stampColumns(d.Stamps)...), doc), err
}

// CreateDefinitions implements indicator.DefinitionStore.
func (v Threats) CreateDefinitions(ctx context.Context, tenant ident.TenantID, quota indicator.Quota, ds []*indicator.Definition) (indicator.Revision, error) {
	var rev indicator.Revision
	if len(ds) == 0 {
		return 0, nil
	}
	err := v.s.update(ctx, "store.CreateDefinitions", func(ctx context.Context, q querier) (err error) {
		if rev, err = bump(ctx, q, tenant); err != nil {
			return err
		}
		id, err := definitions.take(ctx, q, tenant, len(ds))
		if err != nil {
			return err
		}
		for n, d := range ds {
			d.ID = ident.DefinitionID(id + int64(n))
			cols, err := definitionColumns(d)
			if err != nil {
				return err
			}
			if _, err := q.ExecContext(ctx, insertRow("definition", definitionNames), append([]any{string(tenant), int64(d.ID), rev}, cols...)...); err != nil {
				return err
			}
		}
		return definitions.count(ctx, q, tenant, "definitions", int64(len(ds)), quota.Definitions, "1 = 1")
	})
	if err != nil {
		return 0, err
	}
	return rev, nil
}

// Definition implements indicator.DefinitionStore.
func (v Threats) Definition(ctx context.Context, tenant ident.TenantID, id ident.DefinitionID) (*indicator.Definition, error) {
	return fetch[indicator.Definition](ctx, v.s, &definitionTable, "tenant = ? AND id = ?", string(tenant), int64(id))
}

// Definitions implements indicator.DefinitionStore.
func (v Threats) Definitions(ctx context.Context, tenant ident.TenantID, query filter.Query) (filter.Page[*indicator.Definition], error) {
	return fetchPage[indicator.Definition](ctx, v.s, &definitionTable, tenant, query)
}

// UpdateDefinition implements indicator.DefinitionStore. change must not call the store.
func (v Threats) UpdateDefinition(ctx context.Context, tenant ident.TenantID, id ident.DefinitionID, change func(*indicator.Definition) error) (*indicator.Definition, indicator.Revision, error) {
	var out *indicator.Definition
	var rev indicator.Revision
	err := v.s.update(ctx, "store.UpdateDefinition", func(ctx context.Context, q querier) error {
		d, err := one[indicator.Definition](ctx, q, &definitionTable, "tenant = ? AND id = ?", string(tenant), int64(id))
		if err != nil {
			return err
		}
		if err := change(d); err != nil {
			return callerError{err}
		}
		d.ID = id
		if rev, err = bump(ctx, q, tenant); err != nil {
			return err
		}
		cols, err := definitionColumns(d)
		if err != nil {
			return err
		}
		out = d
		_, err = q.ExecContext(ctx, updateRow("definition", definitionNames), append(append([]any{rev}, cols...), string(tenant), int64(id))...)
		return err
	})
	if err != nil {
		return nil, 0, err
	}
	return out, rev, nil
}

// DeleteDefinitions implements indicator.DefinitionStore.
func (v Threats) DeleteDefinitions(ctx context.Context, tenant ident.TenantID, w indicator.Which) (indicator.Revision, error) {
	const op = "store.DeleteDefinitions"
	var rev indicator.Revision
	if w.Definition != 0 {
		return 0, errs.New(op, errs.Invalid, errs.InvalidInput, "definitions are selected by id, not by definition")
	}
	err := v.s.update(ctx, op, func(ctx context.Context, q querier) error {
		where, args, err := definitions.selected(ctx, q, tenant, w)
		if err != nil {
			return err
		}
		if there, err := definitions.any(ctx, q, where, args); err != nil || !there {
			return err
		}
		if rev, err = bump(ctx, q, tenant); err != nil {
			return err
		}
		bound := "tenant = ? AND definition IN (SELECT id FROM definition WHERE " + where + ")"
		if err := v.removeIOCs(ctx, q, tenant, rev, bound, append([]any{string(tenant)}, args...)); err != nil {
			return err
		}
		return v.remove(ctx, q, &definitions, tenant, rev, where, args)
	})
	if err != nil {
		return 0, err
	}
	return rev, nil
}
