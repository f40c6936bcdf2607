package store

import (
	"fmt"
	"math"
	"strings"
	"time"
	"unicode"

	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/filter"
	"github.com/vedette-edr/vedette/server/ident"
)

// The rules of comparison, the same for every noun and every database:
//
//   - Text compares without regard to case, as strings.EqualFold does, byte by byte after
//     folding. Filter columns hold folded text, so that plain indexes serve them; the
//     document beside them keeps the spelling. "" is stored as null.
//   - A predicate is true or false, never unknown: a null value is equal to null only,
//     differs from everything else, and no other comparison holds for it. Not turns
//     exactly that around.
//   - Times compare to the nanosecond. Null goes before every value in ascending order.

// maxParams keeps a statement below SQLite's 32,766 and PostgreSQL's 65,535 parameters.
const maxParams = 30000

// columns maps the fields of a noun's filter.Schema to the columns that hold them.
type columns map[string]string

// rows is a List field that has a table of its own, a row for each element, so that an
// index finds the owners of an element. The table has the column tenant.
type rows struct {
	table   string
	owner   string // its column that holds the owner's key
	columns columns
}

// compiler turns a predicate into SQL text with bound parameters.
type compiler struct {
	of      *table
	tenant  ident.TenantID
	columns columns // of.columns, or those of the elements inside an Any
	args    []any
}

func newCompiler(t *table, tenant ident.TenantID) *compiler {
	return &compiler{of: t, tenant: tenant, columns: t.columns, args: []any{string(tenant)}}
}

// where renders e; the empty predicate is "1 = 1".
func (c *compiler) where(e filter.Expr) (string, error) {
	s, err := c.expr(e, false)
	if err == nil && len(c.args) > maxParams {
		err = errs.New("store.filter", errs.Invalid, errs.ODataError, "the filter holds more than %d values", maxParams)
	}
	return s, err
}

// expr renders e, or its opposite: negation is pushed down to the comparisons, each of
// which knows what null does to it.
func (c *compiler) expr(e filter.Expr, not bool) (string, error) {
	switch e := e.(type) {
	case nil:
		return truth(!not), nil
	case filter.And:
		return c.join(e, not, " AND ", " OR ", true)
	case filter.Or:
		return c.join(e, not, " OR ", " AND ", false)
	case filter.Not:
		return c.expr(e.Term, !not)
	case filter.Compare:
		return c.compare(e, not)
	case filter.In:
		return c.in(e, not)
	case filter.Any:
		return c.any(e, not)
	}
	return "", fmt.Errorf("unknown predicate %T", e)
}

func truth(b bool) string {
	if b {
		return "1 = 1"
	}
	return "1 = 0"
}

func (c *compiler) join(terms []filter.Expr, not bool, plain, negated string, empty bool) (string, error) {
	if len(terms) == 0 {
		return truth(empty != not), nil
	}
	sep := plain
	if not {
		sep = negated
	}
	parts := make([]string, len(terms))
	for i, t := range terms {
		var err error
		if parts[i], err = c.expr(t, not); err != nil {
			return "", err
		}
	}
	return "(" + strings.Join(parts, sep) + ")", nil
}

func (c *compiler) column(f filter.Field) (string, error) {
	col, ok := c.columns[f.Name]
	if !ok {
		return "", fmt.Errorf("field %s has no column", f.Name)
	}
	return col, nil
}

// opposite gives the operator that holds for non-null values when the key does not.
var opposite = map[filter.Op]filter.Op{
	filter.Eq: filter.Ne, filter.Ne: filter.Eq,
	filter.Gt: filter.Le, filter.Le: filter.Gt,
	filter.Ge: filter.Lt, filter.Lt: filter.Ge,
}

var symbols = map[filter.Op]string{
	filter.Eq: "=", filter.Ne: "<>", filter.Gt: ">", filter.Ge: ">=", filter.Lt: "<", filter.Le: "<=",
}

func (c *compiler) compare(e filter.Compare, not bool) (string, error) {
	if e.Fn == filter.Count {
		return c.count(e, not)
	}
	col, err := c.column(e.Field)
	if err != nil {
		return "", err
	}
	if e.Value.Null {
		if (e.Op == filter.Eq) == not {
			return col + " IS NOT NULL", nil
		}
		return col + " IS NULL", nil
	}
	left := col
	if e.Fn != filter.Plain {
		left = c.function(e, col)
	}
	if e.Op == filter.StartsWith && !not && e.Value.S != "" {
		// The bounds say the same as the pattern, and an index serves them.
		first := fold(e.Value.S)
		c.args = append(c.args, first, first+string(unicode.MaxRune))
		return "(" + left + " >= ? AND " + left + " <= ? AND " + left + " " + c.relation(e.Op, e.Value, false) + ")", nil
	}
	rel := c.relation(e.Op, e.Value, not)
	// Null satisfies Ne, and the opposite of every other comparison. A function makes null
	// of null.
	if (e.Op == filter.Ne) != not {
		return "(" + left + " " + rel + " OR " + col + " IS NULL)", nil
	}
	return left + " " + rel, nil
}

// function renders what a function makes of a column.
func (c *compiler) function(e filter.Compare, col string) string {
	switch e.Fn {
	case filter.Length:
		return "length(" + col + ")"
	case filter.IndexOf:
		c.args = append(c.args, filter.Fold(e.Arg))
		return position(col)
	}
	return timePart(e.Fn, col)
}

// count renders a comparison of the number of elements, which is never null.
func (c *compiler) count(e filter.Compare, not bool) (string, error) {
	if e.Value.Null {
		return truth((e.Op == filter.Ne) != not), nil
	}
	if r, ok := c.of.lists[e.Field.Name]; ok {
		return fmt.Sprintf("(SELECT count(*) FROM %s WHERE %s.tenant = %s.tenant AND %s.%s = %s.%s) ", r.table, r.table, c.of.name,
			r.table, r.owner, c.of.name, c.of.key) + c.relation(e.Op, e.Value, not), nil
	}
	col, err := c.column(e.Field)
	if err != nil {
		return "", err
	}
	return arrayLength(col) + " " + c.relation(e.Op, e.Value, not), nil
}

// relation renders what stands after the column, for a value that is not null.
func (c *compiler) relation(op filter.Op, v filter.Value, not bool) string {
	if op >= filter.StartsWith {
		p := escapeLike(filter.Fold(v.S))
		switch op {
		case filter.StartsWith:
			p += "%"
		case filter.EndsWith:
			p = "%" + p
		default:
			p = "%" + p + "%"
		}
		c.args = append(c.args, p)
		if not {
			return `NOT LIKE ? ESCAPE '\'`
		}
		return `LIKE ? ESCAPE '\'`
	}
	if not {
		op = opposite[op]
	}
	c.args = append(c.args, bind(v))
	return symbols[op] + " ?"
}

func (c *compiler) in(e filter.In, not bool) (string, error) {
	col, err := c.column(e.Field)
	if err != nil {
		return "", err
	}
	null, n := false, 0
	for _, v := range e.Values {
		if v.Null {
			null = true
			continue
		}
		c.args = append(c.args, bind(v))
		n++
	}
	list := col + " IN (" + strings.TrimSuffix(strings.Repeat("?, ", n), ", ") + ")"
	switch {
	case n == 0 && !null:
		return truth(not), nil
	case n == 0:
		return c.compare(filter.Compare{Field: e.Field, Op: filter.Eq, Value: filter.Value{Null: true}}, not)
	case not && null:
		return "(" + col + " IS NOT NULL AND NOT " + list + ")", nil
	case not:
		return "(" + col + " IS NULL OR NOT " + list + ")", nil
	case null:
		return "(" + col + " IS NULL OR " + list + ")", nil
	}
	return list, nil
}

// any renders "some element is so". Elements are never null.
func (c *compiler) any(e filter.Any, not bool) (string, error) {
	word := ""
	if not {
		word = "NOT "
	}
	outer := c.columns
	defer func() { c.columns = outer }()
	if r, ok := c.of.lists[e.Field.Name]; ok {
		// Not a correlated subquery: the index over the elements gives the owners.
		c.args = append(c.args, string(c.tenant))
		c.columns = r.columns
		where, err := c.expr(e.Where, false)
		return c.of.key + " " + word + "IN (SELECT " + r.owner + " FROM " + r.table + " WHERE tenant = ? AND " + where + ")", err
	}
	col, err := c.column(e.Field)
	if err != nil {
		return "", err
	}
	c.columns = columns{filter.Element.Name: element}
	where, err := c.expr(e.Where, false)
	return word + someElement(col, where), err
}

// bind renders a literal as the columns hold its like.
func bind(v filter.Value) any {
	switch v.Type {
	case filter.Int:
		return v.N
	case filter.Time:
		return nanos(v.T)
	case filter.Bool:
		return flag(v.B)
	case filter.Float:
		return v.F
	}
	return filter.Fold(v.S)
}

var likeEscaper = strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`)

func escapeLike(s string) string { return likeEscaper.Replace(s) }

// fold makes of a text what the columns that are filtered by hold.
func fold(s string) string { return filter.Fold(s) }

// text is a folded text column's value: null for "".
func text(s string) any {
	if s == "" {
		return nil
	}
	return filter.Fold(s)
}

// number is an integer column's value: null for 0, where 0 means none.
func number(n int64) any {
	if n == 0 {
		return nil
	}
	return n
}

// stamp is a time column's value: nanoseconds since 1970, null for the zero time.
func stamp(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return nanos(t)
}

// nanos is t in nanoseconds since 1970, held to what 64 bits reach: 1677 to 2262.
func nanos(t time.Time) int64 {
	switch s := t.Unix(); {
	case s <= math.MinInt64/int64(time.Second):
		return math.MinInt64
	case s >= math.MaxInt64/int64(time.Second):
		return math.MaxInt64
	}
	return t.UnixNano()
}

// instant is the time that a column holds: zero for null.
func instant(n *int64) time.Time {
	if n == nil {
		return time.Time{}
	}
	return time.Unix(0, *n).UTC()
}

func flag(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
