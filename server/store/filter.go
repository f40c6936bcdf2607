package store

import (
	"fmt"
	"math"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/filter"
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

// compiler turns a predicate into SQL text with bound parameters.
type compiler struct {
	columns columns
	args    []any
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
	rel := c.relation(e.Op, e.Value, not)
	// Null satisfies Ne, and the opposite of every other comparison.
	if (e.Op == filter.Ne) != not {
		return "(" + col + " " + rel + " OR " + col + " IS NULL)", nil
	}
	return col + " " + rel, nil
}

// relation renders what stands after the column, for a value that is not null.
func (c *compiler) relation(op filter.Op, v filter.Value, not bool) string {
	if op >= filter.StartsWith {
		p := escapeLike(fold(v.S))
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

// any renders "some element relates so". Elements are never null.
func (c *compiler) any(e filter.Any, not bool) (string, error) {
	col, err := c.column(e.Field)
	if err != nil {
		return "", err
	}
	rel := "IS NULL"
	switch {
	case e.Value.Null && e.Op == filter.Ne:
		rel = "IS NOT NULL"
	case !e.Value.Null:
		rel = c.relation(e.Op, e.Value, false)
	}
	if not {
		return "NOT " + anyElement(col, rel), nil
	}
	return anyElement(col, rel), nil
}

// bind renders a literal as the columns hold its like.
func bind(v filter.Value) any {
	switch v.Type {
	case filter.Int:
		return v.N
	case filter.Float:
		return v.F
	case filter.Time:
		return nanos(v.T)
	case filter.Bool:
		return flag(v.B)
	}
	return fold(v.S)
}

var likeEscaper = strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`)

func escapeLike(s string) string { return likeEscaper.Replace(s) }

// fold maps texts that strings.EqualFold holds equal to one text, and what a database
// cannot hold (NUL, malformed UTF-8) to the replacement character.
func fold(s string) string {
	plain := true
	for i := 0; i < len(s) && plain; i++ {
		plain = s[i] != 0 && s[i] < utf8.RuneSelf && (s[i] < 'A' || s[i] > 'Z')
	}
	if plain {
		return s
	}
	return strings.Map(foldRune, s)
}

// foldRune returns the least of the runes that differ from r in case alone, but a–z for A–Z.
func foldRune(r rune) rune {
	if r == 0 {
		return utf8.RuneError
	}
	least := r
	for next := unicode.SimpleFold(r); next != r; next = unicode.SimpleFold(next) {
		least = min(least, next)
	}
	if 'A' <= least && least <= 'Z' {
		return least + 'a' - 'A'
	}
	return least
}

// text is a folded text column's value: null for "".
func text(s string) any {
	if s == "" {
		return nil
	}
	return fold(s)
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
