package store

import (
	"context"

	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/filter"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/indicator"
)

var iocTable = table{
	name: "ioc", what: "indicator of compromise", schema: indicator.IOCFields, key: "id", order: "id",
	columns: columns{
		"id": "id", "type": "type", "value": "value", "detectionFunction": "detection", "enabled": "enabled",
		"expiresAt": "expires", "alertDefinitionId": "definition", "createdAt": "created", "createdBy": "created_by_name",
		"createdById": "created_by", "lastModifiedAt": "modified", "lastModifiedBy": "modified_by",
	},
}

var iocs = threat{table: &iocTable, noun: indicator.AnIOC, ids: "ioc_id", total: "iocs"}

const iocNames = "definition, type, value, detection, pattern, enabled, expires, " +
	"created, created_by, created_by_name, modified, modified_by, doc"

// iocColumns are the values of iocNames.
func iocColumns(i *indicator.IOC) ([]any, error) {
	doc, err := encode(i)
	out := []any{
		int64(i.Definition), text(string(i.Type)), text(i.Value), text(string(i.Function)), patterns(i), flag(i.Enabled), stamp(i.Expires),
	}
	return append(append(out, stampColumns(i.Stamps)...), doc), err
}

// patterns is 1 for an IOC that counts as a pattern.
func patterns(i *indicator.IOC) int64 { return flag(i.Function != indicator.Equals) }

// CreateIOCs implements indicator.IOCStore.
func (v Threats) CreateIOCs(ctx context.Context, tenant ident.TenantID, quota indicator.Quota, is []*indicator.IOC) (indicator.Revision, error) {
	var rev indicator.Revision
	if len(is) == 0 {
		return 0, nil
	}
	err := v.s.update(ctx, "store.CreateIOCs", func(ctx context.Context, q querier) (err error) {
		if rev, err = bump(ctx, q, tenant); err != nil {
			return err
		}
		id, err := iocs.take(ctx, q, tenant, len(is))
		if err != nil {
			return err
		}
		known := map[ident.DefinitionID]bool{}
		var pattern int64
		for n, i := range is {
			if err := checkDefinition(ctx, q, tenant, i.Definition, known); err != nil {
				return err
			}
			i.ID = indicator.IOCID(id + int64(n))
			pattern += patterns(i)
			cols, err := iocColumns(i)
			if err != nil {
				return err
			}
			if _, err := q.ExecContext(ctx, insertRow("ioc", iocNames), append([]any{string(tenant), int64(i.ID), rev}, cols...)...); err != nil {
				return err
			}
		}
		return v.countIOCs(ctx, q, tenant, quota, int64(len(is)), pattern)
	})
	if err != nil {
		return 0, err
	}
	return rev, nil
}

func (v Threats) countIOCs(ctx context.Context, q querier, tenant ident.TenantID, quota indicator.Quota, n, pattern int64) error {
	now := quotaNow(quota, v.s.now)
	if err := iocs.count(ctx, q, tenant, "iocs", n, quota.IOCs, notExpired, now); err != nil {
		return err
	}
	return iocs.count(ctx, q, tenant, "patterns", pattern, quota.Patterns, "pattern = 1 AND "+notExpired, now)
}

// checkDefinition verifies that a definition exists, once for each in known.
func checkDefinition(ctx context.Context, q querier, tenant ident.TenantID, id ident.DefinitionID, known map[ident.DefinitionID]bool) error {
	if known[id] {
		return nil
	}
	there, err := definitions.any(ctx, q, "tenant = ? AND id = ?", []any{string(tenant), int64(id)})
	if err != nil {
		return err
	}
	if !there {
		return errs.New("store.ioc", errs.NotFound, errs.ResourceNotFound, "AlertDefinitions(%d) was not found", id)
	}
	known[id] = true
	return nil
}

// IOC implements indicator.IOCStore.
func (v Threats) IOC(ctx context.Context, tenant ident.TenantID, id indicator.IOCID) (*indicator.IOC, error) {
	return fetch[indicator.IOC](ctx, v.s, &iocTable, "tenant = ? AND id = ?", string(tenant), int64(id))
}

// IOCs implements indicator.IOCStore.
func (v Threats) IOCs(ctx context.Context, tenant ident.TenantID, query filter.Query) (filter.Page[*indicator.IOC], error) {
	return fetchPage[indicator.IOC](ctx, v.s, &iocTable, tenant, query)
}

// UpdateIOC implements indicator.IOCStore. change must not call the store.
func (v Threats) UpdateIOC(ctx context.Context, tenant ident.TenantID, quota indicator.Quota, id indicator.IOCID, change func(*indicator.IOC) error) (*indicator.IOC, indicator.Revision, error) {
	var out *indicator.IOC
	var rev indicator.Revision
	err := v.s.update(ctx, "store.UpdateIOC", func(ctx context.Context, q querier) error {
		i, err := one[indicator.IOC](ctx, q, &iocTable, "tenant = ? AND id = ?", string(tenant), int64(id))
		if err != nil {
			return err
		}
		was := patterns(i)
		if err := change(i); err != nil {
			return callerError{err}
		}
		i.ID = id
		if err := checkDefinition(ctx, q, tenant, i.Definition, map[ident.DefinitionID]bool{}); err != nil {
			return err
		}
		if rev, err = bump(ctx, q, tenant); err != nil {
			return err
		}
		cols, err := iocColumns(i)
		if err != nil {
			return err
		}
		if _, err = q.ExecContext(ctx, updateRow("ioc", iocNames), append(append([]any{rev}, cols...), string(tenant), int64(id))...); err != nil {
			return err
		}
		out = i
		return v.countIOCs(ctx, q, tenant, quota, 0, patterns(i)-was)
	})
	if err != nil {
		return nil, 0, err
	}
	return out, rev, nil
}

// DeleteIOCs implements indicator.IOCStore.
func (v Threats) DeleteIOCs(ctx context.Context, tenant ident.TenantID, w indicator.Which) (indicator.Revision, error) {
	var rev indicator.Revision
	err := v.s.update(ctx, "store.DeleteIOCs", func(ctx context.Context, q querier) error {
		where, args, err := iocs.selected(ctx, q, tenant, w)
		if err != nil {
			return err
		}
		if there, err := iocs.any(ctx, q, where, args); err != nil || !there {
			return err
		}
		if rev, err = bump(ctx, q, tenant); err != nil {
			return err
		}
		return v.removeIOCs(ctx, q, tenant, rev, where, args)
	})
	if err != nil {
		return 0, err
	}
	return rev, nil
}

// removeIOCs deletes IOCs and takes those that are patterns off their total too.
func (v Threats) removeIOCs(ctx context.Context, q querier, tenant ident.TenantID, rev indicator.Revision, where string, args []any) error {
	var pattern int64
	if err := q.QueryRowContext(ctx, "SELECT coalesce(sum(pattern), 0) FROM ioc WHERE "+where, args...).Scan(&pattern); err != nil {
		return err
	}
	if err := uncount(ctx, q, tenant, "patterns", pattern); err != nil {
		return err
	}
	return v.remove(ctx, q, &iocs, tenant, rev, where, args)
}
