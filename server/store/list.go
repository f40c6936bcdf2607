package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"strings"

	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/filter"
	"github.com/vedette-edr/vedette/server/ident"
)

// Bounds of a page: what a query that names no size gets, and the most it may ask for,
// which is the published API's.
const (
	defaultPage = 1000
	maxPage     = 10000
)

// table is what a list needs to know of a noun's table. Every such table has the columns
// tenant, doc and the key.
type table struct {
	name    string
	what    string // the noun, in errors
	schema  filter.Schema
	columns columns
	key     string // unique in the tenant; makes every order a total one
	order   string // the noun's own order, the key included
	// scope is the predicate of rows that a caller of some device groups sees, with the
	// groups as @groups; "" for nouns that belong to no device. See scope.go.
	scope string
}

// page lists a page of T, which the documents hold.
func page[T any](ctx context.Context, q querier, t *table, tenant ident.TenantID, query filter.Query) (filter.Page[*T], error) {
	out := filter.Page[*T]{Total: -1}
	if err := checkQuery(t, query); err != nil {
		return out, err
	}
	c := compiler{columns: t.columns, args: []any{string(tenant)}}
	where, err := c.where(query.Where)
	if err != nil {
		return out, err
	}
	where = "tenant = ? AND " + where + t.visible(ctx)
	order, err := c.orderBy(t, query.Order)
	if err != nil {
		return out, err
	}
	if query.Count {
		if err := q.QueryRowContext(ctx, "SELECT count(*) FROM "+t.name+" WHERE "+where, c.args...).Scan(&out.Total); err != nil {
			return out, err
		}
	}
	top := query.Top
	if top == 0 {
		top = defaultPage
	}
	rows, err := q.QueryContext(ctx, "SELECT doc FROM "+t.name+" WHERE "+where+order+" LIMIT ? OFFSET ?",
		append(c.args, top+1, query.Skip)...)
	if err != nil {
		return out, err
	}
	if out.Items, err = documents[T](rows); err != nil {
		return out, err
	}
	if len(out.Items) > top {
		out.Items, out.More = out.Items[:top], true
	}
	return out, nil
}

func checkQuery(t *table, q filter.Query) error {
	const op = "store.list"
	if q.Top < 0 || q.Top > maxPage {
		return errs.New(op, errs.Invalid, errs.ODataError, "$top is %d, not between 1 and %d", q.Top, maxPage)
	}
	if q.Skip < 0 {
		return errs.New(op, errs.Invalid, errs.ODataError, "$skip is negative")
	}
	for _, o := range q.Order {
		if f, ok := t.schema.Find(o.Field.Name); !ok || f != o.Field || f.Type == filter.List {
			return errs.New(op, errs.Invalid, errs.ODataError, "cannot order by %q", o.Field.Name)
		}
	}
	return filter.Check(t.schema, q.Where)
}

func (c *compiler) orderBy(t *table, keys []filter.Order) (string, error) {
	if len(keys) == 0 {
		return " ORDER BY " + t.order, nil
	}
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
	return " ORDER BY " + strings.Join(parts, ", ") + ", " + t.key, nil
}

// documents decodes and closes rows of one doc column.
func documents[T any](rows *sql.Rows) ([]*T, error) {
	defer rows.Close()
	var out []*T
	for rows.Next() {
		var doc string
		if err := rows.Scan(&doc); err != nil {
			return nil, err
		}
		v, err := decode[T](doc)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, rows.Err()
}

// one returns the document of the row that where selects, or errs.NotFound.
func one[T any](ctx context.Context, q querier, t *table, where string, args ...any) (*T, error) {
	var doc string
	err := q.QueryRowContext(ctx, "SELECT doc FROM "+t.name+" WHERE "+where+t.visible(ctx), args...).Scan(&doc)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, notFound("store."+t.name, "the "+t.what)
	}
	if err != nil {
		return nil, err
	}
	return decode[T](doc)
}

func decode[T any](doc string) (*T, error) {
	v := new(T)
	if err := json.Unmarshal([]byte(doc), v); err != nil {
		return nil, err
	}
	return v, nil
}

func encode(v any) (string, error) {
	b, err := json.Marshal(v)
	return string(b), err
}

// list encodes the texts as a JSON array for a List column, each mapped by how; null when
// there are none.
func list(texts []string, how func(string) string) (any, error) {
	if len(texts) == 0 {
		return nil, nil
	}
	mapped := make([]string, len(texts))
	for i, s := range texts {
		mapped[i] = how(s)
	}
	return encode(mapped)
}

// fetch returns the one document that where selects.
func fetch[T any](ctx context.Context, s *Store, t *table, where string, args ...any) (*T, error) {
	var out *T
	err := s.view(ctx, "store."+t.name, func(ctx context.Context, q querier) (err error) {
		out, err = one[T](ctx, q, t, where, args...)
		return err
	})
	return out, err
}

// fetchAll returns the documents that rest selects and orders.
func fetchAll[T any](ctx context.Context, s *Store, t *table, rest string, args ...any) ([]*T, error) {
	var out []*T
	err := s.view(ctx, "store."+t.name, func(ctx context.Context, q querier) error {
		rows, err := q.QueryContext(ctx, "SELECT doc FROM "+t.name+" "+rest, args...)
		if err != nil {
			return err
		}
		out, err = documents[T](rows)
		return err
	})
	return out, err
}

// fetchPage returns one page of a list.
func fetchPage[T any](ctx context.Context, s *Store, t *table, tenant ident.TenantID, query filter.Query) (filter.Page[*T], error) {
	var out filter.Page[*T]
	err := s.view(ctx, "store."+t.name, func(ctx context.Context, q querier) (err error) {
		out, err = page[T](ctx, q, t, tenant, query)
		return err
	})
	return out, err
}
