package graph

import (
	"strings"

	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/filter"
)

// property is how a property of Graph's is filtered by: which of the noun's fields it is.
type property struct {
	name  string
	field string
}

// vocabulary translates Graph's predicates into those of a noun.
type vocabulary struct {
	fields filter.Schema // Graph's
	noun   filter.Schema
	names  map[string]string // Graph's name to the noun's
}

func newVocabulary(noun filter.Schema, properties ...property) *vocabulary {
	v := &vocabulary{noun: noun, names: map[string]string{}}
	for _, p := range properties {
		f, ok := noun.Find(p.field)
		if !ok {
			continue // vocabulary_test.go finds it
		}
		t := f.Type
		if p.name == "id" || strings.HasSuffix(p.name, "Id") {
			t = filter.String // Graph's ids are texts
		}
		v.fields = append(v.fields, filter.Field{Name: p.name, Type: t})
		v.names[p.name] = f.Name
	}
	return v
}

// query translates what odata.Parse read against v.fields.
func (v *vocabulary) query(q filter.Query) (filter.Query, error) {
	var err error
	if q.Where, err = v.expr(q.Where); err != nil {
		return q, err
	}
	order := make([]filter.Order, len(q.Order))
	for i, o := range q.Order {
		f, _ := v.noun.Find(v.names[o.Field.Name])
		order[i] = filter.Order{Field: f, Desc: o.Desc}
	}
	if len(order) > 0 {
		q.Order = order
	}
	return q, nil
}

func (v *vocabulary) expr(e filter.Expr) (filter.Expr, error) {
	switch e := e.(type) {
	case nil:
		return nil, nil
	case filter.And:
		out, err := v.all(e)
		return filter.And(out), err
	case filter.Or:
		out, err := v.all(e)
		return filter.Or(out), err
	case filter.Not:
		t, err := v.expr(e.Term)
		return filter.Not{Term: t}, err
	case filter.Compare:
		var err error
		e.Field, e.Value, err = v.value(e.Field, e.Value)
		return e, err
	case filter.In:
		out := e
		out.Values = nil
		for _, x := range e.Values {
			f, value, err := v.value(e.Field, x)
			if err != nil {
				return nil, err
			}
			out.Field, out.Values = f, append(out.Values, value)
		}
		return out, nil
	case filter.Any:
		e.Field, _ = v.noun.Find(v.names[e.Field.Name]) // elements have no vocabulary
		return e, nil
	}
	return nil, errs.New("graph.filter", errs.Invalid, errs.ODataError, "$filter: this predicate is not offered here")
}

func (v *vocabulary) all(es []filter.Expr) ([]filter.Expr, error) {
	out := make([]filter.Expr, len(es))
	for i, e := range es {
		var err error
		if out[i], err = v.expr(e); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// value translates one comparison: the field's name, and words of enumerations.
func (v *vocabulary) value(f filter.Field, x filter.Value) (filter.Field, filter.Value, error) {
	name := v.names[f.Name]
	to, _ := v.noun.Find(name)
	if x.Null || f.Type != filter.String {
		return to, x, nil
	}
	if to.Type == filter.Int {
		id, ok := number(x.S)
		if !ok {
			id = -1 // no id is that
		}
		return to, filter.Value{Type: filter.Int, N: id}, nil
	}
	s := ours(name, x.S)
	if s == "" {
		return to, filter.Value{Type: to.Type, Null: true}, nil
	}
	x.S = s
	return to, x, nil
}
