package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"slices"

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
	lists   map[string]rows // List fields that have a table of their own
	key     string          // unique in the tenant; makes every order a total one
	order   string          // the noun's own order, the key included
	// scope is the predicate of rows that a caller of some device groups sees, with the
	// groups as @groups; "" for nouns that belong to no device. See scope.go.
	scope string
	// device is the column with a row's device, where an index of (tenant, device) serves
	// lists of few devices; "" for none.
	device string
	// clocks are the times by which clients follow the list. A query that bounds one of
	// them and names no order gets the newest of it first, so that the index which serves
	// the bound serves the order too.
	clocks []string
	// solid are the columns that are never null.
	solid []string
	cells string // what reading a row takes; "" for doc
	// always is a condition on every row, with its arguments; "" for none.
	always     string
	alwaysArgs []any
}

// reader makes a T of a row of table.cells.
type reader[T any] func(scan func(...any) error) (*T, error)

// document reads a row of one doc column.
func document[T any](scan func(...any) error) (*T, error) {
	var doc string
	if err := scan(&doc); err != nil {
		return nil, err
	}
	return decode[T](doc)
}

// page lists a page of T. The rows are picked by their hot columns alone, which indexes
// cover, before their documents are read.
func page[T any](ctx context.Context, q querier, t *table, tenant ident.TenantID, query filter.Query, read reader[T]) (filter.Page[*T], error) {
	out := filter.Page[*T]{Total: -1}
	if err := checkQuery(t, query); err != nil {
		return out, err
	}
	c := newCompiler(t, tenant)
	where, err := c.where(query.Where)
	if err != nil {
		return out, err
	}
	if t.always != "" {
		where, c.args = where+" AND "+t.always, append(c.args, t.alwaysArgs...)
	}
	visible, seen, err := t.listed(ctx, q, tenant)
	if err != nil {
		return out, err
	}
	where, c.args = "tenant = ? AND "+where+visible, append(c.args, seen...)
	if query.Count {
		if err := q.QueryRowContext(ctx, "SELECT count(*) FROM "+t.name+" WHERE "+where, c.args...).Scan(&out.Total); err != nil {
			return out, err
		}
	}
	keys, err := c.sortKeys(query)
	if err != nil {
		return out, err
	}
	if query.After != "" {
		after, args, err := t.after(keys, query.After)
		if err != nil {
			return out, err
		}
		where, c.args, query.Skip = where+" AND "+after, append(c.args, args...), 0
	}
	top := query.Top
	if top == 0 {
		top = defaultPage
	}
	cells := t.cells
	if cells == "" {
		cells = "doc"
	}
	sorted, names := keys.orderBy(), keys.names()
	picked := sorted
	if query.Skip == 0 && query.After == "" && keyed(query.Where, top) {
		// A few rows named by their ids need no order to be picked by: without one, no
		// database is tempted to walk the whole list in that order.
		picked = ""
	}
	pick := "SELECT " + t.key + " AS picked FROM " + t.name + " WHERE " + where + picked
	if element := c.led(query, keys, visible); element != "" {
		pick = element
	}
	values := make([]any, len(keys))
	at := make([]any, len(keys))
	for i := range at {
		at[i] = &values[i]
	}
	// CROSS JOIN keeps the order of the two: the other way round, every row of the tenant
	// would be compared with the page.
	err = eachRow(ctx, q, "SELECT "+cells+", "+names+" FROM ("+pick+
		" LIMIT ? OFFSET ?) AS page CROSS JOIN "+t.name+" WHERE tenant = ? AND "+t.key+" = picked"+sorted,
		append(slices.Clip(c.args), top+1, query.Skip, string(tenant)), func(scan func(...any) error) error {
			if len(out.Items) == top {
				out.More = true // what follows is not scanned: the values stay the last item's
				return nil
			}
			v, err := read(func(dest ...any) error { return scan(append(dest, at...)...) })
			out.Items = append(out.Items, v)
			return err
		})
	if err != nil {
		return out, err
	}
	if out.More {
		out.Next, err = keys.mark(values)
	}
	return out, err
}

// led picks the rows of a list that is asked for by one element of a List field alone, in
// the order of the key: the index over the elements has the owners in that order, so that
// a page of an element which most rows have is read from its beginning. It sets the
// arguments; "" says that the list is none of these.
func (c *compiler) led(q filter.Query, keys sortKeys, visible string) string {
	where := q.Where
	if all, ok := where.(filter.And); ok && len(all) == 1 {
		where = all[0]
	}
	some, ok := where.(filter.Any)
	if !ok || visible != "" || q.After != "" || len(keys) != 1 || keys[0] != (sortKey{c.of.key, false}) {
		return ""
	}
	r, ok := c.of.lists[some.Field.Name]
	is, plain := some.Where.(filter.Compare)
	if !ok || !plain || is.Op != filter.Eq || is.Fn != filter.Plain || is.Value.Null || r.columns[is.Field.Name] == "" {
		return ""
	}
	always := ""
	if c.of.always != "" {
		always = " AND " + c.of.always // of the inner table alone: its names are found there first
	}
	c.args = append([]any{string(c.tenant), bind(is.Value), string(c.tenant)}, c.of.alwaysArgs...)
	return "SELECT " + r.owner + " AS picked FROM " + r.table + " AS e WHERE e.tenant = ? AND e." + r.columns[is.Field.Name] + " = ? AND EXISTS (SELECT 1 FROM " + c.of.name +
		" WHERE " + c.of.name + ".tenant = ? AND " + c.of.name + "." + c.of.key + " = e." + r.owner + always + ") GROUP BY e." + r.owner + " ORDER BY e." + r.owner
}

// eachRow calls f with the scan of each row of a query, until it fails.
func eachRow(ctx context.Context, q querier, text string, args []any, f func(scan func(...any) error) error) error {
	rows, err := q.QueryContext(ctx, text, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := f(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}

// keyed reports whether e lets at most top rows through because it names their ids.
func keyed(e filter.Expr, top int) bool {
	switch e := e.(type) {
	case filter.And:
		return slices.ContainsFunc(e, func(t filter.Expr) bool { return keyed(t, top) })
	case filter.Compare:
		return e.Field.Name == "id" && e.Fn == filter.Plain && e.Op == filter.Eq
	case filter.In:
		return e.Field.Name == "id" && len(e.Values) <= top
	}
	return false
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
		if f, ok := t.schema.Find(o.Field.Name); !ok || f != o.Field || f.Type == filter.List || f.Fluid {
			return errs.New(op, errs.Invalid, errs.ODataError, "cannot order by %q", o.Field.Name)
		}
	}
	return filter.Check(t.schema, q.Where)
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

// fetchPage returns one page of a list of documents.
func fetchPage[T any](ctx context.Context, s *Store, t *table, tenant ident.TenantID, query filter.Query) (filter.Page[*T], error) {
	return fetchPageBy(ctx, s, t, tenant, query, document[T])
}

// fetchPageBy returns one page of a list whose rows are read by read.
func fetchPageBy[T any](ctx context.Context, s *Store, t *table, tenant ident.TenantID, query filter.Query, read reader[T]) (filter.Page[*T], error) {
	var out filter.Page[*T]
	err := s.view(ctx, "store."+t.name, func(ctx context.Context, q querier) (err error) {
		out, err = page(ctx, q, t, tenant, query, read)
		return err
	})
	return out, err
}
