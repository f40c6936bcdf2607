package openapi

import (
	"encoding/json"
	"fmt"
	"path"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// use says what a shape is for: every property of an answer is there, a body's only when
// it must be.
type use uint8

const (
	answer use = iota
	body
)

// schemas collects the shapes that the document names.
type schemas struct {
	named map[shape]string
	taken map[string]bool
	defs  *object
}

type shape struct {
	t   reflect.Type
	use use
}

func newSchemas() *schemas {
	s := &schemas{named: map[shape]string{}, taken: map[string]bool{"Error": true}, defs: &object{}}
	text := func(about string) *object { return obj("type", "string", "description", about) }
	s.defs.set("Error", obj("type", "object", "required", []string{"error"}, "properties", obj(
		"error", obj("type", "object", "required", []string{"code", "message", "target"}, "properties", obj(
			"code", text("a stable word for programs"),
			"message", text("what is wrong and where, for people"),
			"target", text("the request's correlation id, which is in the server's log"),
		)),
	)))
	return s
}

func (s *schemas) all() *object { return s.defs }

// of returns the schema of a value's type.
func (s *schemas) of(v any, u use) (*object, error) {
	if v == nil {
		return &object{}, nil
	}
	return s.schema(reflect.TypeOf(v), u)
}

var (
	timeType = reflect.TypeFor[time.Time]()
	rawType  = reflect.TypeFor[json.RawMessage]()
	bytes8   = reflect.TypeFor[[]byte]()
)

func (s *schemas) schema(t reflect.Type, u use) (*object, error) {
	switch {
	case t == rawType || t.Kind() == reflect.Interface:
		return &object{}, nil
	case t == timeType:
		return obj("type", "string", "format", "date-time"), nil
	case t.Kind() == reflect.Struct && t.ConvertibleTo(timeType):
		// Rendered by package odata or ti: the zero time is null.
		return obj("type", []string{"string", "null"}, "format", "date-time"), nil
	case t == bytes8:
		return obj("type", "string", "contentMediaType", "application/octet-stream"), nil
	}
	switch t.Kind() {
	case reflect.String:
		return obj("type", "string"), nil
	case reflect.Bool:
		return obj("type", "boolean"), nil
	case reflect.Int, reflect.Int64, reflect.Uint64, reflect.Uint:
		return obj("type", "integer", "format", "int64"), nil
	case reflect.Int32, reflect.Int16, reflect.Int8, reflect.Uint8, reflect.Uint16, reflect.Uint32:
		return obj("type", "integer", "format", "int32"), nil
	case reflect.Float32, reflect.Float64:
		return obj("type", "number", "format", "double"), nil
	case reflect.Pointer:
		return s.nullable(t.Elem(), u)
	case reflect.Slice, reflect.Array:
		items, err := s.schema(t.Elem(), u)
		return obj("type", "array", "items", items), err
	case reflect.Map:
		values, err := s.schema(t.Elem(), u)
		return obj("type", "object", "additionalProperties", values), err
	case reflect.Struct:
		return s.structure(t, u)
	}
	return nil, fmt.Errorf("%s has no JSON shape", t)
}

func (s *schemas) nullable(t reflect.Type, u use) (*object, error) {
	inner, err := s.schema(t, u)
	if err != nil {
		return nil, err
	}
	if name, ok := inner.get("type").(string); ok {
		inner.set("type", []string{name, "null"})
		return inner, nil
	}
	if inner.get("$ref") != nil {
		return obj("anyOf", []any{inner, obj("type", "null")}), nil
	}
	return inner, nil
}

// structure names the shape and returns a reference to it; a shape without a name stays
// where it is.
func (s *schemas) structure(t reflect.Type, u use) (*object, error) {
	if t.Name() == "" {
		return s.properties(t, u)
	}
	key := shape{t, u}
	if name, ok := s.named[key]; ok {
		return ref(name), nil
	}
	name := s.name(t, u)
	s.named[key] = name
	s.defs.set(name, nil) // holds the place, also for a shape that holds itself
	def, err := s.properties(t, u)
	if err != nil {
		return nil, err
	}
	s.defs.set(name, def)
	return ref(name), nil
}

func (s *schemas) name(t reflect.Type, u use) string {
	name := strings.TrimSuffix(t.Name(), "Entity")
	if i := strings.IndexByte(name, '['); i >= 0 { // of type parameters
		name = name[:i]
	}
	if name == "" {
		name = t.Name()
	}
	for _, candidate := range []string{name, path.Base(t.PkgPath()) + "." + name} {
		if !s.taken[candidate] {
			s.taken[candidate] = true
			return candidate
		}
	}
	for n := 2; ; n++ {
		if candidate := name + strconv.Itoa(n); !s.taken[candidate] {
			s.taken[candidate] = true
			return candidate
		}
	}
}

func (s *schemas) properties(t reflect.Type, u use) (*object, error) {
	props, required := &object{}, []string{}
	for _, f := range reflect.VisibleFields(t) {
		tag := f.Tag.Get("json")
		key, options, _ := strings.Cut(tag, ",")
		if !f.IsExported() || f.Anonymous || key == "-" {
			continue
		}
		if key == "" {
			key = f.Name
		}
		p, err := s.schema(f.Type, u)
		if err != nil {
			return nil, fmt.Errorf("%s.%s: %w", t.Name(), f.Name, err)
		}
		must, err := constrain(p, f.Tag.Get("doc"))
		if err != nil {
			return nil, fmt.Errorf("%s.%s: %w", t.Name(), f.Name, err)
		}
		optional := strings.Contains(options, "omitempty") || strings.Contains(options, "omitzero")
		if must || u == answer && !optional {
			required = append(required, key)
		}
		props.set(key, p)
	}
	out := obj("type", "object")
	if len(required) > 0 {
		out.set("required", required)
	}
	out.set("properties", props)
	return out, nil
}

// constrain adds what a doc tag says to p and reports whether the property is required.
func constrain(p *object, tag string) (required bool, err error) {
	if tag == "" {
		return false, nil
	}
	for part := range strings.SplitSeq(tag, ",") {
		name, value, _ := strings.Cut(part, "=")
		switch name {
		case "required":
			required = true
		case "nullable":
			word, ok := p.get("type").(string)
			if !ok {
				return false, fmt.Errorf("doc tag: what has no single type cannot be nullable")
			}
			p.set("type", []string{word, "null"})
		case "enum":
			words := []any{}
			for w := range strings.SplitSeq(value, "|") {
				words = append(words, w)
			}
			target := p
			if items, ok := p.get("items").(*object); ok {
				target = items
			}
			if types, ok := target.get("type").([]string); ok && len(types) == 2 {
				words = append(words, nil)
			}
			target.set("enum", words)
		case "min", "max":
			n, err := strconv.Atoi(value)
			if err != nil {
				return false, fmt.Errorf("doc tag: %s=%s is no number", name, value)
			}
			switch word, _ := p.get("type").(string); {
			case p.get("items") != nil:
				p.set(name+"Items", n)
			case word == "integer" || word == "number":
				p.set(name+"imum", n)
			default:
				p.set(name+"Length", n)
			}
		case "format":
			p.set("format", value)
		default:
			return false, fmt.Errorf("doc tag: unknown word %q", name)
		}
	}
	return required, nil
}
