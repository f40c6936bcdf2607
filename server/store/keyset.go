package store

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"hash/crc32"
	"slices"
	"strings"

	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/filter"
)

// sortKey is one column of an order.
type sortKey struct {
	column string
	desc   bool
}

// sortKeys is an order that is total: its last column is the table's key.
type sortKeys []sortKey

// sortKeys returns the order of a query: what it asks for, or else the newest first of the
// clock that it bounds, or else the noun's own.
func (c *compiler) sortKeys(q filter.Query) (sortKeys, error) {
	var out sortKeys
	for _, k := range q.Order {
		col, err := c.column(k.Field)
		if err != nil {
			return nil, err
		}
		// A second key of the same column orders nothing.
		if !slices.ContainsFunc(out, func(k sortKey) bool { return k.column == col }) {
			out = append(out, sortKey{col, k.Desc})
		}
	}
	if len(out) == 0 {
		own := parseOrder(c.of.order)
		clock := c.of.clock(q.Where)
		if clock == "" {
			return own, nil
		}
		return sortKeys{{c.columns[clock], true}, {c.of.key, true}}, nil
	}
	if !slices.ContainsFunc(out, func(k sortKey) bool { return k.column == c.of.key }) {
		out = append(out, sortKey{column: c.of.key})
	}
	return out, nil
}

// parseOrder reads table.order.
func parseOrder(order string) sortKeys {
	var out sortKeys
	for part := range strings.SplitSeq(order, ",") {
		words := strings.Fields(part)
		out = append(out, sortKey{words[0], len(words) > 1 && words[1] == "DESC"})
	}
	return out
}

// clock returns the one of the table's clocks that every row of e is bounded by.
func (t *table) clock(e filter.Expr) string {
	switch e := e.(type) {
	case filter.And:
		for _, term := range e {
			if name := t.clock(term); name != "" {
				return name
			}
		}
	case filter.Compare:
		if e.Fn == filter.Plain && e.Op >= filter.Gt && e.Op <= filter.Le && slices.Contains(t.clocks, e.Field.Name) {
			return e.Field.Name
		}
	}
	return ""
}

// orderBy renders the order. Null goes before every value in ascending order.
func (ks sortKeys) orderBy() string {
	parts := make([]string, len(ks))
	for i, k := range ks {
		if k.desc {
			parts[i] = k.column + " DESC NULLS LAST"
		} else {
			parts[i] = k.column + " ASC NULLS FIRST"
		}
	}
	return " ORDER BY " + strings.Join(parts, ", ")
}

func (ks sortKeys) names() string {
	parts := make([]string, len(ks))
	for i, k := range ks {
		parts[i] = k.column
	}
	return strings.Join(parts, ", ")
}

// sum tells orders apart, so that a mark is used with the order it was made by.
func (ks sortKeys) sum() uint32 { return crc32.ChecksumIEEE([]byte(ks.orderBy())) }

// mark is where a page ended: the last row's values of the sort keys.
type mark struct {
	Order  uint32 `json:"o"`
	Values []any  `json:"v"` // text, integer or null
}

// mark renders the place behind a row as text for a URL.
func (ks sortKeys) mark(values []any) (string, error) {
	for i, v := range values {
		if b, ok := v.([]byte); ok {
			values[i] = string(b)
		}
	}
	raw, err := json.Marshal(mark{ks.sum(), values})
	return base64.RawURLEncoding.EncodeToString(raw), err
}

// after renders "the row comes after the mark". The mark comes from a client: its values
// are bound, never text of the statement, and its columns are the query's own.
func (t *table) after(ks sortKeys, text string) (string, []any, error) {
	wrong := errs.New("store.list", errs.Invalid, errs.ODataError, "$skiptoken: the text is not one that this list gave for this order")
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return "", nil, wrong
	}
	var m mark
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	if err := dec.Decode(&m); err != nil || m.Order != ks.sum() || len(m.Values) != len(ks) {
		return "", nil, wrong
	}
	for i, v := range m.Values {
		switch v := v.(type) {
		case nil, string:
		case json.Number:
			n, err := v.Int64()
			if err != nil {
				return "", nil, wrong
			}
			m.Values[i] = n
		default:
			return "", nil, wrong
		}
	}
	// (a, b) comes after (x, y): a after x, or a = x and b after y. The first column's own
	// bound stands alone in front where it can, because an index needs it there.
	var args []any
	var or []string
	for i, k := range ks {
		var and []string
		var own []any
		for j := range i {
			and, own = t.equal(and, own, ks[j], m.Values[j])
		}
		later, a, ok := t.later(k, m.Values[i])
		if !ok {
			continue
		}
		or = append(or, "("+strings.Join(append(and, later), " AND ")+")")
		args = append(append(args, own...), a...)
	}
	if len(or) == 0 {
		return truth(false), nil, nil
	}
	where := "(" + strings.Join(or, " OR ") + ")"
	if first := m.Values[0]; first != nil && (slices.Contains(t.solid, ks[0].column) || !ks[0].desc) {
		sign := " >= ?"
		if ks[0].desc {
			sign = " <= ?"
		}
		where, args = ks[0].column+sign+" AND "+where, append([]any{first}, args...)
	}
	return where, args, nil
}

func (t *table) equal(and []string, args []any, k sortKey, v any) ([]string, []any) {
	if v == nil {
		return append(and, k.column+" IS NULL"), args
	}
	return append(and, k.column+" = ?"), append(args, v)
}

// later renders "the column comes after v"; ok is false when nothing does.
func (t *table) later(k sortKey, v any) (where string, args []any, ok bool) {
	switch {
	case v == nil && k.desc: // null is the last
		return "", nil, false
	case v == nil:
		return k.column + " IS NOT NULL", nil, true
	case k.desc && slices.Contains(t.solid, k.column):
		return k.column + " < ?", []any{v}, true
	case k.desc:
		return "(" + k.column + " < ? OR " + k.column + " IS NULL)", []any{v}, true
	}
	return k.column + " > ?", []any{v}, true
}
