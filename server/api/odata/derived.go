package odata

import (
	"reflect"
	"strings"
	"time"

	"github.com/vedette-edr/vedette/server/filter"
)

// Fields returns what entities may be filtered and ordered by that are made at the moment
// they are asked for: every property that is a text, a number, a time, a boolean, or a
// list of texts.
func Fields(entity any) filter.Schema {
	var out filter.Schema
	for _, f := range properties(reflect.TypeOf(entity)) {
		if t, ok := fieldType(f.field.Type); ok {
			out = append(out, filter.Field{Name: f.key, Type: t})
		}
	}
	return out
}

// RowOf gives the properties of an entity as filter.Match wants them.
func RowOf[E any](entity E) filter.Row {
	v := reflect.ValueOf(entity)
	return func(field string) any {
		for _, f := range properties(v.Type()) {
			if f.key == field {
				return cell(v.FieldByIndex(f.field.Index))
			}
		}
		return nil
	}
}

// Derived answers a query over entities that are kept in one piece.
func Derived[E any](items []E, o Options) filter.Page[E] {
	return filter.Select(items, o.Query, RowOf[E])
}

// property is one JSON key of a struct.
type property struct {
	key   string
	field reflect.StructField
}

// properties returns the JSON keys of a struct in their order.
func properties(t reflect.Type) []property {
	var out []property
	for _, f := range reflect.VisibleFields(t) {
		key, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.IsExported() && !f.Anonymous && key != "-" && key != "" {
			out = append(out, property{key, f})
		}
	}
	return out
}

var timeType = reflect.TypeFor[time.Time]()

// isTime reports whether values of t are points in time under whatever name.
func isTime(t reflect.Type) bool { return t.Kind() == reflect.Struct && t.ConvertibleTo(timeType) }

func fieldType(t reflect.Type) (filter.Type, bool) {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case isTime(t):
		return filter.Time, true
	case t.Kind() == reflect.String:
		return filter.String, true
	case t.Kind() == reflect.Bool:
		return filter.Bool, true
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.String:
		return filter.List, true
	}
	switch t.Kind() {
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return filter.Int, true
	case reflect.Float32, reflect.Float64:
		return filter.Float, true
	}
	return 0, false
}

func cell(v reflect.Value) any {
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return nil
		}
		v = v.Elem()
	}
	switch {
	case isTime(v.Type()):
		return v.Convert(timeType).Interface()
	case v.CanInt():
		return v.Int()
	case v.CanUint():
		return int64(v.Uint())
	case v.CanFloat():
		return v.Float()
	case v.Kind() == reflect.String:
		return v.String()
	case v.Kind() == reflect.Bool:
		return v.Bool()
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.String:
		out := make([]string, v.Len())
		for i := range out {
			out[i] = v.Index(i).String()
		}
		return out
	}
	return nil
}
