package store

import (
	"context"

	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/filter"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/indicator"
)

var indicatorTable = table{
	name: "indicator", what: "indicator", schema: indicator.Fields, key: "id", order: "id",
	scope: "(indicator.group_ids IS NULL OR " + someElement("indicator.group_ids", element+" IN "+groupTexts) + ")",
	columns: columns{
		"id": "id", "indicatorValue": "value", "indicatorType": "type", "action": "action", "application": "application",
		"title": "title", "severity": "severity", "expirationTime": "expires", "generateAlert": "generate_alert",
		"rbacGroupNames": "group_names", "rbacGroupIds": "group_ids", "createdBy": "created_by",
		"createdByDisplayName": "created_by_name", "creationTimeDateTimeUtc": "created", "lastUpdateTime": "modified",
		"externalId": "external",
	},
}

var indicators = threat{table: &indicatorTable, noun: indicator.AnIndicator, ids: "indicator_id", total: "indicators"}

const indicatorNames = "exact_value, value, type, action, application, title, severity, expires, generate_alert, " +
	"group_names, group_ids, external, created, created_by, created_by_name, modified, doc"

// indicatorColumns are the values of indicatorNames.
func indicatorColumns(i *indicator.Indicator) ([]any, error) {
	groups, err := list(i.Groups, fold)
	if err != nil {
		return nil, err
	}
	groupIDs, err := list(i.GroupIDs, fold)
	if err != nil {
		return nil, err
	}
	doc, err := encode(i)
	return []any{
		i.Value, text(i.Value), text(string(i.Type)), text(string(i.Action)), text(i.Application), text(i.Title),
		text(string(i.Severity)), stamp(i.Expires), flag(i.GenerateAlert), groups, groupIDs, text(i.ExternalID),
		stamp(i.Created), text(i.CreatedBy), text(i.CreatedByName), stamp(i.Modified), doc,
	}, err
}

// PutIndicators implements indicator.IndicatorStore. put runs once for each key and must
// not call the store.
func (v Threats) PutIndicators(ctx context.Context, tenant ident.TenantID, quota indicator.Quota, keys []indicator.Key, put func(n int, old *indicator.Indicator) (*indicator.Indicator, error)) (indicator.Revision, error) {
	const op = "store.PutIndicators"
	var rev indicator.Revision
	// What is out of the caller's reach is refused and not hidden: put decides.
	err := v.s.update(ctx, op, func(ctx context.Context, q querier) (err error) {
		ctx = unscoped(ctx)
		if rev, err = bump(ctx, q, tenant); err != nil {
			return err
		}
		var created int64
		written := false
		for n, k := range keys {
			old, err := findIndicator(ctx, q, tenant, k)
			if err != nil {
				return err
			}
			var before indicator.Indicator // put may change old
			if old != nil {
				before = *old
			}
			i, err := put(n, old)
			if err != nil {
				return callerError{err}
			}
			if i == nil {
				continue
			}
			written = true
			if old == nil {
				created++
			}
			if err := writeIndicator(ctx, q, tenant, rev, i, old != nil); isDuplicate(err) {
				return &errs.E{Op: op, Kind: errs.Conflict, Detail: "another indicator has the value " + i.Value, Err: err}
			} else if err != nil {
				return err
			}
			if i.Historical && (!before.Historical || before.Value != i.Value || before.Type != i.Type) {
				if err := askLookback(ctx, q, tenant, i.ID, v.s.now()); err != nil {
					return err
				}
			}
		}
		if !written {
			rev = 0
			_, err := q.ExecContext(ctx, `UPDATE ti_counter SET revision = revision - 1 WHERE tenant = ?`, string(tenant))
			return err
		}
		return indicators.count(ctx, q, tenant, "indicators", created, quota.Indicators, notExpired, quotaNow(quota, v.s.now))
	})
	if err != nil {
		return 0, err
	}
	return rev, nil
}

func findIndicator(ctx context.Context, q querier, tenant ident.TenantID, k indicator.Key) (*indicator.Indicator, error) {
	if k.ID != 0 {
		i, err := find[indicator.Indicator](ctx, q, &indicators, "tenant = ? AND id = ?", string(tenant), int64(k.ID))
		if i != nil || err != nil {
			return i, err
		}
	}
	return find[indicator.Indicator](ctx, q, &indicators, "tenant = ? AND exact_value = ?", string(tenant), k.Value)
}

func writeIndicator(ctx context.Context, q querier, tenant ident.TenantID, rev indicator.Revision, i *indicator.Indicator, there bool) error {
	if !there {
		id, err := indicators.take(ctx, q, tenant, 1)
		if err != nil {
			return err
		}
		i.ID = ident.IndicatorID(id)
	}
	cols, err := indicatorColumns(i)
	if err != nil {
		return err
	}
	if there {
		_, err = q.ExecContext(ctx, updateRow("indicator", indicatorNames), append(append([]any{rev}, cols...), string(tenant), int64(i.ID))...)
	} else {
		_, err = q.ExecContext(ctx, insertRow("indicator", indicatorNames), append([]any{string(tenant), int64(i.ID), rev}, cols...)...)
	}
	return err
}

// Indicator implements indicator.IndicatorStore.
func (v Threats) Indicator(ctx context.Context, tenant ident.TenantID, id ident.IndicatorID) (*indicator.Indicator, error) {
	return fetch[indicator.Indicator](ctx, v.s, &indicatorTable, "tenant = ? AND id = ?", string(tenant), int64(id))
}

// Indicators implements indicator.IndicatorStore.
func (v Threats) Indicators(ctx context.Context, tenant ident.TenantID, query filter.Query) (filter.Page[*indicator.Indicator], error) {
	return fetchPage[indicator.Indicator](ctx, v.s, &indicatorTable, tenant, query)
}

// DeleteIndicators implements indicator.IndicatorStore.
func (v Threats) DeleteIndicators(ctx context.Context, tenant ident.TenantID, w indicator.Which) (indicator.Revision, error) {
	const op = "store.DeleteIndicators"
	var rev indicator.Revision
	if w.Definition != 0 {
		return 0, errs.New(op, errs.Invalid, errs.InvalidInput, "indicators belong to no definition")
	}
	err := v.s.update(ctx, op, func(ctx context.Context, q querier) error {
		where, args, err := indicators.selected(ctx, q, tenant, w)
		if err != nil {
			return err
		}
		if there, err := indicators.any(ctx, q, where, args); err != nil || !there {
			return err
		}
		if rev, err = bump(ctx, q, tenant); err != nil {
			return err
		}
		return v.remove(ctx, q, &indicators, tenant, rev, where, args)
	})
	if err != nil {
		return 0, err
	}
	return rev, nil
}
