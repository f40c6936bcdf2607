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
	// predicate that the device of an installation i is one of the caller's, @groups for
	// the one that a row n of spread is of one of the caller's groups. @product, @version and
	// @software stand for what among narrows rows n, and the software s, by.
	from    string
	few     string // a query of the products that the list is about; "" for all
	fewArgs []any
	selects string
	scan    func(scan func(...any) error) (T, error)
}

// among returns the list of what concerns a few products, which products selects: only those
// are counted together then, where otherwise all of a fleet's are for the sake of one.
func (r *relation[T]) among(products string, args ...any) *relation[T] {
	out := *r
	out.few, out.fewArgs = products, args
	return &out
}

// source returns the text of from and its parameters.
func (r *relation[T]) source() (string, []any) {
	narrow := map[string]string{"@product": "", "@version": "", "@software": ""}
	if r.few != "" {
		narrow["@product"] = " AND n.id IN (" + r.few + ")"
		narrow["@version"] = " AND n.id IN (SELECT o.id FROM software o WHERE o.tenant = @tenant AND o.product IN (" + r.few + "))"
		narrow["@software"] = " AND s.product IN (" + r.few + ")"
	}
	text := r.from
	var args []any
	for mark, by := range narrow {
		for range strings.Count(text, mark) {
			args = append(args, r.fewArgs...) // the same for each
		}
		text = strings.ReplaceAll(text, mark, by)
	}
	return text, args
}

// installed is the scope of rows that come from an installation i.
const installed = "EXISTS (SELECT 1 FROM device WHERE device.id = i.device AND device.tenant = i.tenant AND device.grp IN " + groups + ")"

// scoped puts the caller's scope and the tenant into a text whose own parameters are args,
// and returns the parameters of all of it in their order.
func scoped(ctx context.Context, text string, tenant ident.TenantID, args ...any) (string, []any) {
	scope, seen := "", ""
	switch s := access.ScopeOf(ctx); {
	case s.All:
	case len(s.Groups) == 0:
		scope, seen = " AND "+truth(false), " AND "+truth(false)
	default:
		list := groupList(s, "")
		scope, seen = " AND "+strings.ReplaceAll(installed, groups, list), " AND n.grp IN "+list
	}
	text = strings.NewReplacer("@scope", scope, "@groups", seen).Replace(text)
	var all []any
	for rest := text; ; {
		at := strings.IndexAny(rest, "@?")
		switch {
		case at < 0:
			return strings.ReplaceAll(text, "@tenant", "?"), append(all, args...)
		case rest[at] == '@':
			all = append(all, string(tenant))
		case len(args) > 0:
			all, args = append(all, args[0]), args[1:]
		}
		rest = rest[at+1:]
	}
}

// page returns one page of the relation; where narrows it, its arguments following.
func (r *relation[T]) page(ctx context.Context, s *Store, tenant ident.TenantID, query filter.Query, where string, more ...any) (filter.Page[T], error) {
	out := filter.Page[T]{Total: -1}
	if err := checkQuery(&r.table, query); err != nil {
		return out, err
	}
	source, few := r.source()
	from, args := scoped(ctx, source, tenant, few...)
	narrow, narrowArgs := scoped(ctx, where, tenant, more...)
	c := compiler{columns: r.columns, args: append(args, narrowArgs...)}
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
		text, all := scoped(ctx, text, tenant, args...)
		rows, err := q.QueryContext(ctx, text, all...)
		if err != nil {
			return err
		}
		out, err = collect(rows, scan)
		return err
	})
	return out, err
}
