// Package filter is the predicate, order and page that every list of the server takes:
// a small typed tree over declared fields.
//
// Front ends build it (api/odata parses $filter into it), stores compile it into SQL; no
// text of a caller ever reaches a store. A tree that Check accepted refers only to
// fields of its Schema, with operators and values of the field's type.
package filter

import (
	"strings"
	"time"

	"github.com/vedette-edr/vedette/server/errs"
)

// Type is the type of a field.
type Type uint8

// The types of field. A List is a list of strings or of objects, reached with Any.
const (
	String Type = iota
	Int
	Time
	Bool
	List
	Float
)

// Field is one property that may be filtered or ordered by.
type Field struct {
	Name string // as the noun's store knows it, camelCase; a member of an object is object/member
	Type Type
	Elem *Schema // the fields of the objects that a List holds; nil for a list of strings
	// Fluid is a property that is made at the time of the request: it can be filtered by
	// and not ordered by.
	Fluid bool
}

// Element is what the predicate of an Any calls the elements of a list of strings.
var Element = Field{Name: "$it", Type: String}

// Elements returns the fields that the predicate of an Any over f may name.
func (f Field) Elements() Schema {
	if f.Elem != nil {
		return *f.Elem
	}
	return Schema{Element}
}

// Schema is the fields of one noun. Names are found without regard to case, as the
// published API does.
type Schema []Field

// Find returns the field called name.
func (s Schema) Find(name string) (Field, bool) {
	for _, f := range s {
		if strings.EqualFold(f.Name, name) {
			return f, true
		}
	}
	return Field{}, false
}

// Op is a comparison.
type Op uint8

// The comparisons. StartsWith, EndsWith and Contains take strings only.
const (
	Eq Op = iota
	Ne
	Gt
	Ge
	Lt
	Le
	StartsWith
	EndsWith
	Contains
)

// Value is a literal of one of the field types; Null stands for null whatever the type.
type Value struct {
	Type Type
	Null bool
	S    string
	N    int64
	T    time.Time
	B    bool
	F    float64
}

// Fn is what a comparison does to the field first.
type Fn uint8

// The functions. Length takes a String, Count a List, IndexOf a String and a text; the
// others take a Time, in UTC. All of them give an Int, and null for null but for Count,
// which is 0 then.
const (
	Plain Fn = iota
	Length
	IndexOf // of the first occurrence, without regard to case, in characters from 0; -1 for none
	Count
	Year
	Month
	Day
	Hour
	Minute
	Second
)

// takes returns the type that the function is applied to.
func (f Fn) takes() Type {
	switch f {
	case Length, IndexOf:
		return String
	case Count:
		return List
	}
	return Time
}

// Expr is a predicate: And, Or, Not, Compare, In or Any.
type Expr interface{ expr() }

// And holds when all of its terms hold; an empty And holds.
type And []Expr

// Or holds when one of its terms holds; an empty Or does not.
type Or []Expr

// Not holds when Term does not.
type Not struct{ Term Expr }

// Compare relates a field, or what a function makes of it, to a literal. Against null only
// Eq and Ne are meaningful.
type Compare struct {
	Field Field
	Fn    Fn
	Arg   string // of IndexOf
	Op    Op
	Value Value
}

// In holds when the field equals one of the values.
type In struct {
	Field  Field
	Values []Value
}

// Any holds when Where holds for some element of a List field; a nil Where holds for every
// element. Where names the fields of Field.Elements.
type Any struct {
	Field Field
	Where Expr
}

// All holds when Where holds for every element of a List field, as it does when there is
// none.
func All(f Field, where Expr) Expr { return Not{Any{Field: f, Where: Not{where}}} }

func (And) expr()     {}
func (Or) expr()      {}
func (Not) expr()     {}
func (Compare) expr() {}
func (In) expr()      {}
func (Any) expr()     {}

// Order is one key of a sort.
type Order struct {
	Field Field
	Desc  bool
}

// Query is what a list is asked for. The zero Query asks for the first page of everything
// in the noun's own order.
type Query struct {
	Where Expr // nil for everything
	Order []Order
	Top   int  // rows at most; 0 for the noun's page size
	Skip  int  // rows passed over
	Count bool // Page.Total is wanted
	// After is the Next of the page before, asked for with the same Where and Order: the
	// list goes on behind it, whatever was added meanwhile. Skip does not count then.
	After string
}

// Page is one page of a list.
type Page[T any] struct {
	Items []T
	Total int64 // rows that match in all; -1 unless Query.Count was set
	More  bool  // rows follow after these
	// Next is for Query.After; "" when nothing follows, or when the list is one that is
	// gone on with by Skip.
	Next string
}

// Bounds on what a caller may ask of a store.
const (
	MaxDepth  = 32
	MaxTerms  = 512
	MaxValues = 2000
)

// Check verifies that e stays within the bounds and uses only s, with operators and
// values that fit the fields. It returns an errs.Invalid with code ODataError that names
// the field.
func Check(s Schema, e Expr) error {
	terms := 0
	return check(s, e, 0, &terms)
}

func check(s Schema, e Expr, depth int, terms *int) error {
	const op = "filter.Check"
	*terms++
	if depth > MaxDepth || *terms > MaxTerms {
		return errs.New(op, errs.Invalid, errs.ODataError, "the filter is too complex: at most %d terms, nested %d deep", MaxTerms, MaxDepth)
	}
	switch e := e.(type) {
	case nil:
		return nil
	case And:
		return checkAll(s, e, depth, terms)
	case Or:
		return checkAll(s, e, depth, terms)
	case Not:
		return check(s, e.Term, depth+1, terms)
	case Compare:
		return checkCompare(s, e)
	case Any:
		if err := find(s, e.Field); err != nil {
			return err
		}
		if e.Field.Type != List {
			return errs.New(op, errs.Invalid, errs.ODataError, "%s: any and all take a collection", e.Field.Name)
		}
		if e.Where == nil {
			return nil
		}
		return check(e.Field.Elements(), e.Where, depth+1, terms)
	case In:
		if len(e.Values) > MaxValues {
			return errs.New(op, errs.Invalid, errs.ODataError, "%s: %d values in a list, at most %d", e.Field.Name, len(e.Values), MaxValues)
		}
		for _, v := range e.Values {
			if err := checkCompare(s, Compare{Field: e.Field, Value: v}); err != nil {
				return err
			}
		}
		return nil
	}
	return errs.New(op, errs.Invalid, errs.ODataError, "unknown predicate")
}

func checkAll(s Schema, es []Expr, depth int, terms *int) error {
	for _, e := range es {
		if err := check(s, e, depth+1, terms); err != nil {
			return err
		}
	}
	return nil
}

func find(s Schema, f Field) error {
	if got, ok := s.Find(f.Name); !ok || got != f {
		return errs.New("filter.Check", errs.Invalid, errs.ODataError, "cannot filter by %q", f.Name)
	}
	return nil
}

func checkCompare(s Schema, e Compare) error {
	const op = "filter.Check"
	f, o, v := e.Field, e.Op, e.Value
	if err := find(s, f); err != nil {
		return err
	}
	want := f.Type
	if e.Fn != Plain {
		if e.Fn > Second || e.Fn.takes() != f.Type {
			return errs.New(op, errs.Invalid, errs.ODataError, "%s: the function does not apply to a property of this type", f.Name)
		}
		want = Int
	} else if f.Type == List {
		return errs.New(op, errs.Invalid, errs.ODataError, "%s: a collection is filtered with any() or all(), a single value without", f.Name)
	}
	if v.Null {
		if o != Eq && o != Ne {
			return errs.New(op, errs.Invalid, errs.ODataError, "%s: null can only be compared with eq or ne", f.Name)
		}
		return nil
	}
	if v.Type != want {
		return errs.New(op, errs.Invalid, errs.ODataError, "%s: the value is of another type than the property", f.Name)
	}
	if o >= StartsWith && want != String {
		return errs.New(op, errs.Invalid, errs.ODataError, "%s: text functions apply to strings only", f.Name)
	}
	if want == Bool && o != Eq && o != Ne {
		return errs.New(op, errs.Invalid, errs.ODataError, "%s: a boolean can only be compared with eq or ne", f.Name)
	}
	return nil
}
