package odata

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/vedette-edr/vedette/server/api"
)

// Model is what $metadata tells of a service: its types are read off the structs that the
// service renders, so that the two cannot disagree.
//
// Enumerations are described as Edm.String. A client that was given members would refuse a
// word that a later release adds, and both sides write them as plain texts.
type Model struct {
	Namespace string
	Container string
	Sets      []Set
	Complex   []Complex // types that are answered without being a set's
}

// Set is an entity set.
type Set struct {
	Name     string // as in the path and in @odata.context
	Type     string // of its entities, without the namespace
	Entity   any    // a value of the rendered struct
	Key      string // its JSON key that tells entities apart
	Hidden   bool   // entities are reached by navigation alone: the service document leaves it out
	Navigate []Navigation
}

// Navigation is what lies behind an entity's own path: Alerts('1')/machine.
type Navigation struct {
	Name string
	Set  string
	Many bool
}

// Complex is a type without an identity.
type Complex struct {
	Type  string
	Value any
}

// With returns the model with what other describes of the same service: its sets and types,
// and the navigations of sets that both name.
func (m Model) With(other Model) Model {
	m.Sets, m.Complex = slices.Clone(m.Sets), slices.Concat(m.Complex, other.Complex)
	for _, s := range other.Sets {
		i := slices.IndexFunc(m.Sets, func(o Set) bool { return o.Name == s.Name })
		if i < 0 {
			m.Sets = append(m.Sets, s)
			continue
		}
		m.Sets[i].Navigate = slices.Concat(m.Sets[i].Navigate, s.Navigate)
	}
	return m
}

// EDMX renders the model as CSDL XML 4.0. It refuses a struct that has no such form.
func (m Model) EDMX() ([]byte, error) {
	w := &edmWriter{model: m, names: map[reflect.Type]string{}}
	for _, s := range m.Sets {
		w.names[reflect.TypeOf(s.Entity)] = s.Type
	}
	for _, c := range m.Complex {
		w.names[reflect.TypeOf(c.Value)] = c.Type
	}
	for _, s := range m.Sets {
		if err := w.entity(s); err != nil {
			return nil, err
		}
	}
	for _, c := range m.Complex {
		w.queue = append(w.queue, reflect.TypeOf(c.Value))
	}
	if err := w.complex(); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	b.WriteString(xml.Header + `<edmx:Edmx Version="4.0" xmlns:edmx="http://docs.oasis-open.org/odata/ns/edmx">
<edmx:DataServices>
<Schema Namespace="` + m.Namespace + `" xmlns="http://docs.oasis-open.org/odata/ns/edm">
`)
	b.Write(w.Bytes())
	fmt.Fprintf(&b, "<EntityContainer Name=%q>\n", m.Container)
	for _, s := range m.Sets {
		fmt.Fprintf(&b, "<EntitySet Name=%q EntityType=%q", s.Name, m.Namespace+"."+s.Type)
		if s.Hidden {
			b.WriteString(` IncludeInServiceDocument="false"`)
		}
		b.WriteString(">\n")
		for _, n := range s.Navigate {
			fmt.Fprintf(&b, "<NavigationPropertyBinding Path=%q Target=%q/>\n", n.Name, n.Set)
		}
		b.WriteString("</EntitySet>\n")
	}
	b.WriteString("</EntityContainer>\n</Schema>\n</edmx:DataServices>\n</edmx:Edmx>\n")
	return b.Bytes(), nil
}

type edmWriter struct {
	bytes.Buffer
	model Model
	names map[reflect.Type]string
	queue []reflect.Type // complex types that were named and not written yet
}

func (w *edmWriter) entity(s Set) error {
	fmt.Fprintf(w, "<EntityType Name=%q>\n<Key><PropertyRef Name=%q/></Key>\n", s.Type, s.Key)
	if err := w.properties(reflect.TypeOf(s.Entity), s.Key); err != nil {
		return err
	}
	for _, n := range s.Navigate {
		for _, to := range w.model.Sets {
			if to.Name == n.Set {
				typ := w.model.Namespace + "." + to.Type
				if n.Many {
					typ = "Collection(" + typ + ")"
				}
				fmt.Fprintf(w, "<NavigationProperty Name=%q Type=%q/>\n", n.Name, typ)
			}
		}
	}
	w.WriteString("</EntityType>\n")
	return nil
}

func (w *edmWriter) complex() error {
	done := map[reflect.Type]bool{}
	for len(w.queue) > 0 {
		t := w.queue[0]
		w.queue = w.queue[1:]
		if done[t] {
			continue
		}
		done[t] = true
		fmt.Fprintf(w, "<ComplexType Name=%q>\n", w.names[t])
		if err := w.properties(t, ""); err != nil {
			return err
		}
		w.WriteString("</ComplexType>\n")
	}
	return nil
}

func (w *edmWriter) properties(t reflect.Type, key string) error {
	for _, p := range properties(t) {
		typ, nullable, err := w.typeOf(p.field.Type)
		if err != nil {
			return fmt.Errorf("%s.%s: %w", t, p.key, err)
		}
		fmt.Fprintf(w, "<Property Name=%q Type=%q Nullable=%q", p.key, typ, strconv.FormatBool(nullable && p.key != key))
		if typ == "Edm.DateTimeOffset" {
			w.WriteString(` Precision="7"`)
		}
		w.WriteString("/>\n")
	}
	return nil
}

func (w *edmWriter) typeOf(t reflect.Type) (name string, nullable bool, err error) {
	switch {
	case t.Kind() == reflect.Pointer:
		name, _, err = w.typeOf(t.Elem())
		return name, true, err
	case isTime(t):
		return "Edm.DateTimeOffset", t != timeType, nil
	case t.Kind() == reflect.Slice:
		name, _, err = w.typeOf(t.Elem())
		return "Collection(" + name + ")", false, err
	}
	switch t.Kind() {
	case reflect.String:
		return "Edm.String", false, nil
	case reflect.Bool:
		return "Edm.Boolean", false, nil
	case reflect.Int64, reflect.Uint64, reflect.Uint32:
		return "Edm.Int64", false, nil
	case reflect.Int, reflect.Int32, reflect.Int16, reflect.Uint16, reflect.Uint8:
		return "Edm.Int32", false, nil
	case reflect.Float64, reflect.Float32:
		return "Edm.Double", false, nil
	case reflect.Struct:
		if w.names[t] == "" {
			name := []rune(strings.TrimSuffix(t.Name(), "Entity"))
			if len(name) == 0 {
				return "", false, fmt.Errorf("a struct without a name")
			}
			name[0] = unicode.ToUpper(name[0])
			for _, taken := range w.names {
				if taken == string(name) {
					return "", false, fmt.Errorf("two types are called %s", taken)
				}
			}
			w.names[t] = string(name)
		}
		w.queue = append(w.queue, t)
		return w.model.Namespace + "." + w.names[t], false, nil
	}
	return "", false, fmt.Errorf("%s has no EDM type", t)
}

// WriteMetadata answers with an EDMX document.
func WriteMetadata(w http.ResponseWriter, doc []byte) error {
	w.Header().Set("Content-Type", "application/xml; charset=utf-8")
	w.Header().Set("OData-Version", "4.0")
	w.Header().Set("Content-Length", strconv.Itoa(len(doc)))
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(doc) // a write fails only when the client is gone
	return nil
}

// ServiceSet is one entity set of a service document.
type ServiceSet struct {
	Name string `json:"name"`
	Kind string `json:"kind"` // EntitySet
	URL  string `json:"url"`  // relative to the service
}

// WriteService answers with the service document of a model whose root is at path.
func WriteService(w http.ResponseWriter, r *api.Request, path string, m Model) error {
	body := struct {
		Context string       `json:"@odata.context,omitempty"`
		Value   []ServiceSet `json:"value"`
	}{Value: []ServiceSet{}}
	for _, s := range m.Sets {
		if !s.Hidden {
			body.Value = append(body.Value, ServiceSet{Name: s.Name, Kind: "EntitySet", URL: s.Name})
		}
	}
	if !r.NoMetadata() {
		body.Context = r.BaseURL() + path + "/$metadata"
	}
	return api.WriteJSON(w, r, http.StatusOK, body)
}
