package mde_test

import (
	"encoding/json"
	"encoding/xml"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"
)

// edmx is as much of a CSDL document as the tests look at.
type edmx struct {
	Schemas []struct {
		Namespace string     `xml:"Namespace,attr"`
		Entities  []edmType  `xml:"EntityType"`
		Complex   []edmType  `xml:"ComplexType"`
		Sets      []edmSet   `xml:"EntityContainer>EntitySet"`
		Unknown   []xml.Name `xml:",any"`
	} `xml:"DataServices>Schema"`
}

type edmType struct {
	Name string `xml:"Name,attr"`
	Key  []struct {
		Name string `xml:"Name,attr"`
	} `xml:"Key>PropertyRef"`
	Properties []edmProperty `xml:"Property"`
	Navigation []edmProperty `xml:"NavigationProperty"`
}

type edmProperty struct {
	Name     string `xml:"Name,attr"`
	Type     string `xml:"Type,attr"`
	Nullable string `xml:"Nullable,attr"`
}

type edmSet struct {
	Name     string `xml:"Name,attr"`
	Type     string `xml:"EntityType,attr"`
	Bindings []struct {
		Path   string `xml:"Path,attr"`
		Target string `xml:"Target,attr"`
	} `xml:"NavigationPropertyBinding"`
}

// model is the document by names.
type model struct {
	types map[string]edmType // by full name
	sets  map[string]edmSet
}

func readModel(t *testing.T, s *site) model {
	t.Helper()
	w := s.call("", http.MethodGet, "/api/$metadata", "")
	if ct := w.Header().Get("Content-Type"); w.Code != 200 || !strings.HasPrefix(ct, "application/xml") {
		t.Fatalf("%d %s", w.Code, ct)
	}
	var doc edmx
	if err := xml.Unmarshal(w.Body.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	m := model{map[string]edmType{}, map[string]edmSet{}}
	for _, schema := range doc.Schemas {
		for _, e := range append(schema.Entities, schema.Complex...) {
			full := schema.Namespace + "." + e.Name
			if _, twice := m.types[full]; twice {
				t.Errorf("two types are called %s", full)
			}
			m.types[full] = e
		}
		for _, set := range schema.Sets {
			m.sets[set.Name] = set
		}
	}
	return m
}

var collection = regexp.MustCompile(`^Collection\((.*)\)$`)

// TestMetadataRefersToWhatItDeclares holds the document against the rules of CSDL that a
// reader of it needs: every type, key, set and binding named is there.
func TestMetadataRefersToWhatItDeclares(t *testing.T) {
	m := readModel(t, newSite(t, 0))
	primitive := map[string]bool{"Edm.String": true, "Edm.Boolean": true, "Edm.Int32": true, "Edm.Int64": true, "Edm.Double": true, "Edm.DateTimeOffset": true}
	for name, typ := range m.types {
		own := map[string]edmProperty{}
		for _, p := range append(typ.Properties, typ.Navigation...) {
			if _, twice := own[p.Name]; twice {
				t.Errorf("%s has %s twice", name, p.Name)
			}
			own[p.Name] = p
			of := p.Type
			if in := collection.FindStringSubmatch(of); in != nil {
				of = in[1]
			}
			if _, ok := m.types[of]; !ok && !primitive[of] {
				t.Errorf("%s.%s is a %s, which is not declared", name, p.Name, of)
			}
		}
		for _, k := range typ.Key {
			if p, ok := own[k.Name]; !ok || p.Nullable != "false" {
				t.Errorf("%s: the key %s is not there or can be null", name, k.Name)
			}
		}
	}
	for name, set := range m.sets {
		typ, ok := m.types[set.Type]
		if !ok || len(typ.Key) == 0 {
			t.Errorf("set %s: %s is not declared or has no key", name, set.Type)
		}
		if len(set.Bindings) != len(typ.Navigation) {
			t.Errorf("set %s binds %d of %d navigations", name, len(set.Bindings), len(typ.Navigation))
		}
		for _, b := range set.Bindings {
			if _, ok := m.sets[b.Target]; !ok {
				t.Errorf("set %s: %s is bound to %s, which is not declared", name, b.Path, b.Target)
			}
		}
	}
}

// TestAnswersAreOfTheTypesOfMetadata asks every list that the model has and compares each
// value with the type that the model gives it, as a strict client such as Power BI does.
func TestAnswersAreOfTheTypesOfMetadata(t *testing.T) {
	s := newSite(t, 0)
	m := readModel(t, s)
	s.call("all", "POST", "/api/indicators", `{"indicatorValue":"203.0.113.7","indicatorType":"IpAddress","action":"Block","title":"t","description":"d"}`)
	s.call("all", "POST", "/api/machines/web.example/isolate", `{"Comment":"c"}`)
	s.call("all", "POST", "/api/machines/web.example/startInvestigation", `{"Comment":"c"}`)
	s.upload("probe.sh", "echo")
	w := s.call("", http.MethodGet, "/api", "")
	var service struct{ Value []struct{ Name, URL string } }
	if err := json.Unmarshal(w.Body.Bytes(), &service); err != nil || len(service.Value) < 4 {
		t.Fatalf("%v: %s", err, w.Body)
	}
	paths := map[string]string{}
	for _, set := range service.Value {
		paths["/api/"+set.URL] = set.Name
	}
	for set, id := range map[string]string{"Alerts": s.vars["alert_one"], "Machines": s.vars["web"]} {
		for _, n := range m.types[m.sets[set].Type].Navigation {
			of := strings.TrimSuffix(strings.TrimPrefix(n.Type, "Collection("), ")")
			for name, target := range m.sets {
				if target.Type == of {
					paths["/api/"+set+"/"+id+"/"+n.Name] = name
				}
			}
		}
	}
	for path, set := range paths {
		w := s.call("all", http.MethodGet, path, "")
		answer, _ := decode(t, w.Body.Bytes()).(map[string]any)
		if w.Code != 200 {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
			continue
		}
		_, fragment, _ := strings.Cut(answer["@odata.context"].(string), "#")
		if strings.TrimSuffix(fragment, "/$entity") != set {
			t.Errorf("%s: context %s, want %s", path, fragment, set)
		}
		entities, ok := answer["value"].([]any)
		if !ok {
			delete(answer, "@odata.context")
			entities = []any{answer}
		}
		if len(entities) == 0 {
			t.Errorf("%s is empty: nothing is compared", path)
		}
		for _, e := range entities {
			m.compare(t, path, m.sets[set].Type, e)
		}
	}
}

func (m model) compare(t *testing.T, place, typ string, v any) {
	t.Helper()
	if in := collection.FindStringSubmatch(typ); in != nil {
		list, ok := v.([]any)
		if !ok {
			t.Errorf("%s is no list", place)
		}
		for _, e := range list {
			m.compare(t, place+"[]", in[1], e)
		}
		return
	}
	ok := true
	switch typ {
	case "Edm.String":
		_, ok = v.(string)
	case "Edm.Boolean":
		_, ok = v.(bool)
	case "Edm.Int32", "Edm.Int64":
		_, err := v.(json.Number).Int64()
		ok = err == nil
	case "Edm.Double":
		_, ok = v.(json.Number)
	case "Edm.DateTimeOffset":
		_, err := time.Parse(time.RFC3339Nano, v.(string))
		ok = err == nil
	default:
		m.object(t, place, typ, v)
	}
	if !ok {
		t.Errorf("%s is %v, which is no %s", place, v, typ)
	}
}

func (m model) object(t *testing.T, place, typ string, v any) {
	t.Helper()
	o, ok := v.(map[string]any)
	if !ok {
		t.Errorf("%s is no object", place)
		return
	}
	declared := m.types[typ].Properties
	if len(o) != len(declared) {
		t.Errorf("%s has %d properties, %s declares %d", place, len(o), typ, len(declared))
	}
	for _, p := range declared {
		value, there := o[p.Name]
		if !there || value == nil && p.Nullable == "false" {
			t.Errorf("%s/%s is not there, or null and must not be", place, p.Name)
		} else if value != nil {
			m.compare(t, place+"/"+p.Name, p.Type, value)
		}
	}
}
