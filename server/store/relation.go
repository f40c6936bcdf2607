package store

import (
	"context"
	"database/sql"
	"strings"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/filter"
	"github.com/vedette-edr/vedette/server/ident"
)

// relation is a list that is a query over several tables and not the documents of one. Its
// rows are made for the asking, so that counts are those that the caller may see.
type relation[T any] struct {
	table
	// from is a subquery with the columns; @tenant stands for the tenant, @scope for the
	// predicate that the device of an installation i is one of the caller's.
	from    string
	selects string
	scan    func(scan func(...any) error) (T, error)
}

// installed is the scope of rows that come from an installation i.
const installed = "EXISTS (SELECT 1 FROM device WHERE device.id = i.device AND device.tenant = i.tenant AND device.grp IN " + groups + ")"

// scoped puts the caller's scope and the tenant into a text, and returns its arguments.
func scoped(ctx context.Context, text string, tenant ident.TenantID) (string, []any) {
	scope := ""
	switch s := access.ScopeOf(ctx); {
	case s.All:
	case len(s.Groups) == 0:
		scope = " AND " + truth(false)
	default:
		scope = " AND " + strings.ReplaceAll(installed, groups, groupList(s, ""))
	}
	text = strings.ReplaceAll(text, "@scope", scope)
	var args []any
	for range strings.Count(text, "@tenant") {
		args = append(args, string(tenant))
	}
	return strings.ReplaceAll(text, "@tenant", "?"), args
}

// page returns one page of the relation; where narrows it, its arguments following.
func (r *relation[T]) page(ctx context.Context, s *Store, tenant ident.TenantID, query filter.Query, where string, more ...any) (filter.Page[T], error) {
	out := filter.Page[T]{Total: -1}
	if err := checkQuery(&r.table, query); err != nil {
		return out, err
	}
	from, args := scoped(ctx, r.from, tenant)
	narrow, narrowArgs := scoped(ctx, where, tenant)
	c := compiler{columns: r.columns, args: append(args, append(narrowArgs, more...)...)}
	cond, err := c.where(query.Where)
	if err != nil {
		return out, err
	}
	order, err := r.orderBy(query.Order)
	if err != nil {
		return out, err
	}
	tail := " FROM (" + from + ") AS x WHERE " + truth(true)
	if narrow != "" {
		tail += " AND " + narrow
	}
	tail += " AND " + cond
	top := query.Top
	if top == 0 {
		top = defaultPage
	}
	err = s.view(ctx, "store."+r.name, func(ctx context.Context, q querier) error {
		if query.Count {
			if err := q.QueryRowContext(ctx, "SELECT count(*)"+tail, c.args...).Scan(&out.Total); err != nil {
				return err
			}
		}
		rows, err := q.QueryContext(ctx, "SELECT "+r.selects+tail+order+" LIMIT ? OFFSET ?", append(append([]any{}, c.args...), top+1, query.Skip)...)
		if err != nil {
			return err
		}
		out.Items, err = collect(rows, r.scan)
		return err
	})
	if len(out.Items) > top {
		out.Items, out.More = out.Items[:top], true
	}
	return out, err
}

func (r *relation[T]) orderBy(keys []filter.Order) (string, error) {
	if len(keys) == 0 {
		return " ORDER BY " + r.order, nil
	}
	c := compiler{columns: r.columns}
	var parts []string
	for _, k := range keys {
		col, err := c.column(k.Field)
		if err != nil {
			return "", err
		}
		if k.Desc {
			parts = append(parts, col+" DESC NULLS LAST")
		} else {
			parts = append(parts, col+" ASC NULLS FIRST")
		}
	}
	return " ORDER BY " + strings.Join(parts, ", ") + ", " + r.key, nil
}

// collect scans and closes rows.
func collect[T any](rows *sql.Rows, scan func(func(...any) error) (T, error)) ([]T, error) {
	defer rows.Close()
	var out []T
	for rows.Next() {
		v, err := scan(rows.Scan)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, rows.Err()
}

// selectAll runs a query with @tenant and @scope in it.
func selectAll[T any](ctx context.Context, s *Store, op, text string, tenant ident.TenantID, scan func(func(...any) error) (T, error), args ...any) ([]T, error) {
	var out []T
	err := s.view(ctx, op, func(ctx context.Context, q querier) error {
		text, first := scoped(ctx, text, tenant)
		rows, err := q.QueryContext(ctx, text, append(first, args...)...)
		if err != nil {
			return err
		}
		out, err = collect(rows, scan)
		return err
	})
	return out, err
}
