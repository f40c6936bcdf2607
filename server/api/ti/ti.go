// Package ti speaks the custom threat-intelligence API as it was published: an OData V4
// service at /V1.0/ with the entity sets AlertDefinitions and IndicatorsOfCompromise.
//
// It only translates: the rules are indicator.Service's, transport and errors package
// api's. The invariant: what the published samples send is understood unchanged, and what
// they read of an answer has the published name, type and place.
//
// Where the documents are silent: enums are read in any case and written as the samples
// show them (SHA1); a bulk upload answers 200 with the created entities; a single entity
// is wrapped in "value" when the client asks for odata.metadata=none, as the sample shows;
// what is created without Enabled is enabled.
//
// Start at Routes.
package ti

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/api"
	"github.com/vedette-edr/vedette/server/api/odata"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/indicator"
)

// root is where the service lives. Paths are matched in any case.
const root = "/V1.0"

// maxBulk bounds the body of a bulk upload, in bytes: 5,000 definitions with long texts.
const maxBulk = 32 << 20

// Routes returns the routes of the API over s.
func Routes(s *indicator.Service) []api.Route {
	h := &handler{s}
	routes := []api.Route{
		{Method: http.MethodGet, Pattern: root, Handle: h.document},
		{Method: http.MethodGet, Pattern: root + "/$metadata", Handle: h.metadata},

		{Method: http.MethodGet, Pattern: root + "/AlertDefinitions", Handle: h.definitions},
		{Method: http.MethodGet, Pattern: root + "/AlertDefinitions({id})", Handle: h.definition},
		{Method: http.MethodPost, Pattern: root + "/AlertDefinitions({id})/Actions.DeleteIOCs", Handle: removes(s.DeleteIOCsOf)},

		{Method: http.MethodGet, Pattern: root + "/IndicatorsOfCompromise", Handle: h.iocs},
		{Method: http.MethodGet, Pattern: root + "/IndicatorsOfCompromise({id})", Handle: h.ioc},
		{Method: http.MethodGet, Pattern: root + "/IndicatorsOfCompromise({id})/Stats", Handle: h.iocStats},
		{Method: http.MethodGet, Pattern: root + "/IndicatorsOfCompromise({id})/AlertDefinition", Handle: h.definitionOf},
		{Method: http.MethodGet, Pattern: root + "/IndicatorsOfCompromise({id})/AlertDefinition/$ref", Handle: h.refOf},
		{Method: http.MethodPut, Pattern: root + "/IndicatorsOfCompromise({id})/AlertDefinition/$ref", Handle: h.rebind},
	}
	routes = append(routes, definitionsOf(s).routes()...)
	routes = append(routes, iocsOf(s).routes()...)
	said := docs()
	for i := range routes {
		routes[i].Doc = said[routes[i].Method+" "+routes[i].Pattern[len(root):]]
		routes[i].Need = []access.Permission{access.TIReadWrite, access.TIReadWriteOwn}
	}
	return routes
}

type handler struct{ s *indicator.Service }

// document is the OData service document.
func (h *handler) document(w http.ResponseWriter, r *api.Request) error {
	return odata.WriteService(w, r, root, odata.Model{Sets: []odata.Set{{Name: definitionSet}, {Name: iocSet}}})
}

// id reads the key of the path.
func id(r *api.Request) (int64, error) {
	n, err := strconv.ParseInt(r.Var("id"), 10, 64)
	if err != nil || n <= 0 {
		return 0, errs.New("ti.id", errs.Invalid, errs.InvalidInput, "the key %q is not a positive integer", r.Var("id"))
	}
	return n, nil
}

// single answers a request for one entity. The published sample for odata.metadata=none
// has it in an array called value.
func single[E any](w http.ResponseWriter, r *api.Request, set string, entity E, sel []string) error {
	if !r.NoMetadata() {
		return odata.WriteSelected(w, r, http.StatusOK, root+"/$metadata#"+set+"/$entity", entity, sel)
	}
	page := odata.Options{Select: sel}
	return odata.WriteCollection(w, r, "", page, pageOf(entity), func(e E) E { return e })
}

// texts reads string members into what they are called after, and leaves the value of a
// member that is absent as it is.
func texts(o *api.Object, into map[string]*string) error {
	for name, p := range into {
		if !o.Has(name) {
			continue
		}
		s, err := o.String(name)
		if err != nil {
			return err
		}
		*p = s
	}
	return nil
}

// body reads a body whose members are found in any case.
func body(r *api.Request) (*api.Object, error) {
	o, err := r.JSON()
	if err != nil {
		return nil, err
	}
	return o.Fold(), nil
}

// when renders a time as the samples do: without trailing zeros, at most seven digits.
type when time.Time

// MarshalJSON renders the zero time as null.
func (t when) MarshalJSON() ([]byte, error) {
	if time.Time(t).IsZero() {
		return []byte("null"), nil
	}
	return []byte(time.Time(t).UTC().Format(`"2006-01-02T15:04:05.9999999Z"`)), nil
}

// nullable renders "" as null.
func nullable(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// reference reads a link to a definition: AlertDefinitions(1), with or without a slash
// before it, or the absolute URL that any server gave it.
func reference(place, link string) (int64, error) {
	last := strings.TrimRight(strings.TrimSpace(link), "/")
	last = last[strings.LastIndexByte(last, '/')+1:]
	name, key, ok := strings.Cut(strings.TrimSuffix(last, ")"), "(")
	if eq := strings.IndexByte(key, '='); eq >= 0 && strings.EqualFold(key[:eq], "Id") {
		key = key[eq+1:]
	}
	n, err := strconv.ParseInt(key, 10, 64)
	if !ok || err != nil || n <= 0 || !strings.HasSuffix(last, ")") || !strings.EqualFold(name, "AlertDefinitions") {
		return 0, errs.New("ti.reference", errs.Invalid, errs.InvalidInput, "%s: %q is not of the form AlertDefinitions(1)", place, clip(link))
	}
	return n, nil
}

func clip(s string) string {
	const most = 100
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}
