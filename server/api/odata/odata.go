// Package odata speaks the part of OData 4.0 that the published APIs use: it reads the
// query options of a list into a filter.Query and renders collections and entities with
// their annotations.
//
// It knows no noun: what may be filtered is a filter.Schema, what may be selected is the
// JSON keys of a struct. The invariant: an Options that Parse returned passes filter.Check,
// and everything it refuses is errs.Invalid with the code ODataError, naming the option,
// the column and the token.
//
// It is as lenient as clients of the published APIs need: property names in any case,
// lists in parentheses or square brackets, dates quoted or not. Start at Parse, ParseFilter
// and WriteCollection.
package odata

import (
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/vedette-edr/vedette/server/api"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/filter"
)

// MaxTop is the largest $top, and the page size, of the published API's lists.
const MaxTop = 10_000

// maxToken bounds $skiptoken, in bytes: a row's values of the keys of $orderby.
const maxToken = 64 << 10

// maxOrder bounds the keys of $orderby.
const maxOrder = 8

// Spec says which query options a list takes.
type Spec struct {
	Fields filter.Schema // what $filter and $orderby may name
	Entity any           // a value of the rendered struct; its JSON keys are what $select may name
	Expand []string      // what $expand may name
	Top    int           // largest $top; 0 for MaxTop
	Page   int           // rows of one page; 0 for Top
}

// Options is the query options of one request.
type Options struct {
	Query  filter.Query // its Top is the rows wanted of this page, never 0
	Select []string     // JSON keys in the entity's order; nil for all
	Expand []string     // names as Spec spells them

	none  bool // $top=0: the caller wants no rows
	given bool // $top was given: the list ends there
	left  int  // of $top, rows that follow this page's
}

// Expands reports whether name, as Spec spells it, is to be expanded.
func (o Options) Expands(name string) bool { return slices.Contains(o.Expand, name) }

// Parse reads the query options. Unknown options that begin with $ are refused, others
// are not its affair.
func Parse(q api.Query, s Spec) (Options, error) {
	var o Options
	for _, name := range slices.Sorted(maps.Keys(q)) {
		if err := o.option(s, name, q[name]); err != nil {
			return Options{}, err
		}
	}
	page := s.page()
	switch {
	case o.none:
		o.Query.Top = 1
	case !o.given || o.Query.Top > page:
		o.left = max(o.Query.Top-page, 0)
		o.Query.Top = page
	}
	return o, nil
}

func (s Spec) top() int {
	if s.Top > 0 {
		return s.Top
	}
	return MaxTop
}

func (s Spec) page() int {
	if s.Page > 0 {
		return s.Page
	}
	return s.top()
}

func (o *Options) option(s Spec, name, value string) (err error) {
	switch name {
	case "$filter":
		if strings.TrimSpace(value) != "" {
			o.Query.Where, err = ParseFilter(value, s.Fields)
		}
	case "$orderby":
		o.Query.Order, err = ParseOrder(value, s.Fields)
	case "$top":
		o.given = true
		o.Query.Top, err = number(name, value, s.top())
		o.none = o.Query.Top == 0
	case "$skiptoken":
		o.Query.After = strings.TrimSpace(value)
		if len(o.Query.After) > maxToken {
			err = bad("$skiptoken: %d bytes, more than %d", len(value), maxToken)
		}
	case "$skip":
		o.Query.Skip, err = number(name, value, math.MaxInt32)
	case "$count":
		if o.Query.Count, err = strconv.ParseBool(strings.ToLower(value)); err != nil {
			err = bad("$count: %q is neither true nor false", clip(value))
		}
	case "$select":
		o.Select, err = names(name, value, keys(s.Entity))
	case "$expand":
		o.Expand, err = names(name, value, s.Expand)
	case "$format":
		if !strings.EqualFold(value, "json") && !strings.HasPrefix(strings.ToLower(value), "application/json") {
			err = bad("$format: %q is not offered, only json", clip(value))
		}
	default:
		if strings.HasPrefix(name, "$") {
			// $search, $apply and $compute among them.
			err = bad("the query option %s is not supported here", clip(name))
		}
	}
	return err
}

func number(name, value string, most int) (int, error) {
	n, err := strconv.Atoi(strings.TrimSpace(value))
	if err != nil || n < 0 {
		return 0, bad("%s: %q is not a number of rows", name, clip(value))
	}
	if n > most {
		return 0, bad("%s: %d is more than the limit of %d", name, n, most)
	}
	return n, nil
}

// names reads a comma-separated list against the names that are known, in their order.
// nil stands for all of them.
func names(option, value string, known []string) ([]string, error) {
	wanted := map[string]bool{}
	for part := range strings.SplitSeq(value, ",") {
		part = strings.TrimSpace(part)
		if part == "*" && option == "$select" {
			return nil, nil
		}
		if part == "*" {
			return known, nil
		}
		if name, _, nested := strings.Cut(part, "("); nested {
			return nil, bad("%s: options in parentheses behind %s are not supported", option, clip(name))
		}
		if part == "" {
			continue
		}
		i := slices.IndexFunc(known, func(k string) bool { return strings.EqualFold(k, part) })
		if i < 0 {
			return nil, bad("%s: there is no property %q", option, clip(part))
		}
		wanted[known[i]] = true
	}
	var out []string
	for _, k := range known {
		if wanted[k] {
			out = append(out, k)
		}
	}
	return out, nil
}

// keys returns the JSON keys of a struct in their order.
func keys(entity any) []string {
	if entity == nil {
		return nil
	}
	var out []string
	for _, p := range properties(reflect.TypeOf(entity)) {
		out = append(out, p.key)
	}
	return out
}

// ParseOrder reads $orderby: property names, each with asc or desc behind it or nothing.
func ParseOrder(value string, fields filter.Schema) ([]filter.Order, error) {
	var out []filter.Order
	for part := range strings.SplitSeq(value, ",") {
		words := strings.Fields(part)
		if len(words) == 0 {
			continue
		}
		f, ok := fields.Find(words[0])
		if !ok {
			return nil, bad("$orderby: cannot order by %q", clip(words[0]))
		}
		if f.Type == filter.List {
			return nil, bad("$orderby: %s is a collection", f.Name)
		}
		if f.Fluid {
			return nil, bad("$orderby: %s depends on the time of the request and cannot be ordered by", f.Name)
		}
		order := filter.Order{Field: f}
		switch {
		case len(words) > 2:
			return nil, bad("$orderby: unexpected %q after %s", clip(words[2]), f.Name)
		case len(words) == 2 && strings.EqualFold(words[1], "desc"):
			order.Desc = true
		case len(words) == 2 && !strings.EqualFold(words[1], "asc"):
			return nil, bad("$orderby: %q is neither asc nor desc", clip(words[1]))
		}
		if len(out) == maxOrder {
			return nil, bad("$orderby: more than %d keys", maxOrder)
		}
		out = append(out, order)
	}
	return out, nil
}

func bad(format string, args ...any) error {
	return errs.New("odata.Parse", errs.Invalid, errs.ODataError, "%s", fmt.Sprintf(format, args...))
}

// clip shortens a caller's text for an error.
func clip(s string) string {
	if len(s) > 64 {
		return strings.ToValidUTF8(s[:64], "") + "…"
	}
	return s
}
