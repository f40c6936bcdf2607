// Package openapi makes the OpenAPI 3.1 document of the server from its route table, so
// that what is documented is what is served.
//
// It knows no noun: everything comes from api.Route and the shapes in its Doc. The
// invariant: the document depends on the table alone, so that the same table gives the
// same bytes. Start at Document; Route serves the document.
package openapi

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/api"
	"github.com/vedette-edr/vedette/server/errs"
)

// Path is where Route serves the document.
const Path = "/api/openapi.json"

// Version is the version of the API that the document tells, the only one published.
const Version = "1.0"

// Route returns the route that serves the document of routes and of itself. Anyone may
// read it: it says nothing that the published API's documentation does not.
func Route(routes []api.Route) (api.Route, error) {
	self := api.Route{
		Method: http.MethodGet, Pattern: Path, Open: "it is public documentation",
		Doc: api.Doc{Summary: "This document", Answer: json.RawMessage(nil), Bare: true},
	}
	doc, err := Document(append(slices.Clip(routes), self))
	if err != nil {
		return self, err
	}
	self.Handle = func(w http.ResponseWriter, _ *api.Request) error {
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		w.Header().Set("Content-Length", strconv.Itoa(len(doc)))
		w.WriteHeader(http.StatusOK)
		_, _ = w.Write(doc) // a write fails only when the client is gone
		return nil
	}
	return self, nil
}

// Document renders the table, in whatever order, as indented JSON that ends with a line
// feed. It refuses a route that says too little of itself.
func Document(routes []api.Route) ([]byte, error) {
	routes = slices.SortedFunc(slices.Values(routes), func(a, b api.Route) int {
		return cmp.Or(strings.Compare(a.Pattern, b.Pattern), strings.Compare(a.Method, b.Method))
	})
	d := document{schemas: newSchemas(), paths: map[string]*object{}}
	for _, r := range routes {
		if err := d.add(r); err != nil {
			return nil, fmt.Errorf("openapi: %s %s: %w", r.Method, r.Pattern, err)
		}
	}
	raw, err := json.Marshal(d.whole())
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := json.Indent(&b, raw, "", " "); err != nil {
		return nil, err
	}
	b.WriteByte('\n')
	return b.Bytes(), nil
}

type document struct {
	schemas *schemas
	paths   map[string]*object
	order   []string
	ids     []string
	tags    []string
	scopes  []string
}

func (d *document) whole() *object {
	paths := &object{}
	for _, p := range d.order {
		paths.set(p, d.paths[p])
	}
	tags := []any{}
	for _, t := range d.tags {
		tags = append(tags, obj("name", t))
	}
	scopes := &object{}
	slices.Sort(d.scopes)
	for _, s := range d.scopes {
		scopes.set(s, "")
	}
	flow := obj("clientCredentials", obj("tokenUrl", "/{tenant}/oauth2/v2.0/token", "scopes", scopes))
	return obj(
		"openapi", "3.1.0",
		"info", obj("title", "Vedette API", "version", Version,
			"summary", "The REST API that Microsoft Defender for Endpoint publishes, served by Vedette.",
			"license", obj("name", "Apache-2.0", "identifier", "Apache-2.0")),
		"servers", []any{obj("url", "/")},
		"tags", tags,
		"paths", paths,
		"components", obj(
			"schemas", d.schemas.all(),
			"responses", obj("Error", errorResponse("The request was not carried out; code says why.")),
			"securitySchemes", obj("oauth2", obj("type", "oauth2",
				"description", "Client credentials of an API application, or delegated. A delegated permission is spelled without .All.",
				"flows", flow)),
		),
	)
}

func errorResponse(description string) *object {
	return obj("description", description,
		"content", obj("application/json", obj("schema", ref("Error"))))
}

var variables = regexp.MustCompile(`\{([^}]+)\}`)

func (d *document) add(r api.Route) error {
	if r.Doc.Summary == "" {
		return fmt.Errorf("Doc.Summary is empty")
	}
	op, err := d.operation(r)
	if err != nil {
		return err
	}
	item := d.paths[r.Pattern]
	if item == nil {
		item = &object{}
		d.paths[r.Pattern] = item
		d.order = append(d.order, r.Pattern)
	}
	item.set(strings.ToLower(r.Method), op)
	return nil
}

func (d *document) operation(r api.Route) (*object, error) {
	id := operationID(r)
	if slices.Contains(d.ids, id) {
		return nil, fmt.Errorf("the operation id %s is taken", id)
	}
	d.ids = append(d.ids, id)
	tag := tagOf(r.Pattern)
	if !slices.Contains(d.tags, tag) {
		d.tags = append(d.tags, tag)
	}
	op := obj("operationId", id, "tags", []any{tag}, "summary", r.Doc.Summary)
	if params := d.params(r); len(params) > 0 {
		op.set("parameters", params)
	}
	if r.Doc.Body != nil {
		body, err := d.body(r.Doc)
		if err != nil {
			return nil, err
		}
		op.set("requestBody", body)
	}
	responses, err := d.responses(r)
	if err != nil {
		return nil, err
	}
	op.set("responses", responses)
	op.set("security", d.security(r))
	limit := r.Limit
	if limit.PerMinute == 0 {
		limit.PerMinute = api.DefaultLimit.PerMinute
	}
	if limit.PerHour == 0 {
		limit.PerHour = api.DefaultLimit.PerHour
	}
	if r.Open == "" {
		op.set("x-rate-limit", obj("perMinute", limit.PerMinute, "perHour", limit.PerHour, "perTenant", limit.Tenant))
	}
	return op, nil
}

// params lists the variables of the path, then the query options.
func (d *document) params(r api.Route) []any {
	var out []any
	said := map[string]api.Param{}
	for _, p := range r.Doc.Params {
		said[p.Name] = p
	}
	inPath := map[string]bool{}
	for _, m := range variables.FindAllStringSubmatch(r.Pattern, -1) {
		p := said[m[1]]
		p.Name, p.Required = m[1], true
		inPath[p.Name] = true
		out = append(out, param(p, "path"))
	}
	for _, p := range r.Doc.Params {
		if !inPath[p.Name] {
			out = append(out, param(p, "query"))
		}
	}
	return out
}

func param(p api.Param, in string) *object {
	s := &object{}
	switch p.Type {
	case "date-time":
		s.set("type", "string")
		s.set("format", "date-time")
	case "":
		s.set("type", "string")
	default:
		s.set("type", p.Type)
	}
	if len(p.Enum) > 0 {
		s.set("enum", p.Enum)
	}
	if p.Min != 0 || p.Max != 0 {
		s.set("minimum", p.Min)
		s.set("maximum", p.Max)
	}
	out := obj("name", p.Name, "in", in)
	if p.About != "" {
		out.set("description", p.About)
	}
	if p.Required {
		out.set("required", true)
	}
	out.set("schema", s)
	if p.Example != "" {
		out.set("example", p.Example)
	}
	return out
}

func (d *document) body(doc api.Doc) (*object, error) {
	media := doc.Media
	if media == "" {
		media = "application/json"
	}
	s, err := d.schemas.of(doc.Body, body)
	if err != nil {
		return nil, fmt.Errorf("body: %w", err)
	}
	return obj("required", true, "content", obj(media, obj("schema", s))), nil
}

func (d *document) responses(r api.Route) (*object, error) {
	status := r.Doc.Status
	if status == 0 {
		status = http.StatusOK
	}
	ok := obj("description", http.StatusText(status))
	if r.Doc.Answer != nil {
		media, s, err := d.answer(r.Doc)
		if err != nil {
			return nil, fmt.Errorf("answer: %w", err)
		}
		content := obj(media, obj("schema", s))
		if r.Doc.AlsoMedia != "" {
			content.set(r.Doc.AlsoMedia, obj("schema", obj("type", "string")))
		}
		ok.set("content", content)
	}
	codes := map[int][]string{}
	add := func(c errs.Code) {
		s := statusOf(c)
		if !slices.Contains(codes[s], string(c)) {
			codes[s] = append(codes[s], string(c))
		}
	}
	for _, c := range r.Doc.Errors {
		add(c)
	}
	if r.Open == "" {
		add(errs.Unauthorized)
		add(errs.Forbidden)
		add(errs.TooManyRequests)
	}
	add(errs.BadRequest)
	if len(variables.FindString(r.Pattern)) > 0 {
		add(errs.ResourceNotFound)
	}
	out := obj(strconv.Itoa(status), ok)
	if r.Doc.Redirects {
		out.set(strconv.Itoa(http.StatusSeeOther), obj("description", "Back to the application, with what came of it in the Location"))
	}
	statuses := make([]int, 0, len(codes))
	for s := range codes {
		statuses = append(statuses, s)
	}
	slices.Sort(statuses)
	for _, s := range statuses {
		out.set(strconv.Itoa(s), errorResponse(http.StatusText(s)+": "+strings.Join(codes[s], ", ")))
	}
	out.set("default", obj("$ref", "#/components/responses/Error"))
	return out, nil
}

func (d *document) answer(doc api.Doc) (string, *object, error) {
	media := doc.AnswerMedia
	if _, ok := doc.Answer.(string); ok {
		if media == "" {
			media = "text/plain"
		}
		return media, obj("type", "string"), nil
	}
	if media == "" {
		media = "application/json"
	}
	s, err := d.schemas.of(doc.Answer, answer)
	if err != nil || doc.Bare {
		return media, s, err
	}
	if s.get("type") == "array" {
		return media, obj("type", "object", "required", []string{"value"}, "properties", obj(
			"@odata.context", obj("type", "string", "format", "uri"),
			"@odata.count", obj("type", "integer", "format", "int64"),
			"value", s,
			"@odata.nextLink", obj("type", "string", "format", "uri"),
		)), nil
	}
	return media, obj("allOf", []any{s}, "properties", obj("@odata.context", obj("type", "string", "format", "uri"))), nil
}

func (d *document) security(r api.Route) []any {
	out := []any{}
	for _, p := range r.Need {
		if !slices.Contains(d.scopes, string(p)) {
			d.scopes = append(d.scopes, string(p))
		}
		out = append(out, obj("oauth2", []access.Permission{p}))
	}
	return out
}

// statusOf is the status under which a code is answered, as package api has it.
func statusOf(c errs.Code) int {
	switch c {
	case errs.Unauthorized:
		return http.StatusUnauthorized
	case errs.Forbidden, errs.DisabledFeature, errs.DisallowedOperation:
		return http.StatusForbidden
	case errs.NotFoundCode, errs.ResourceNotFound:
		return http.StatusNotFound
	case errs.TooManyRequests:
		return http.StatusTooManyRequests
	case errs.InternalServerError:
		return http.StatusInternalServerError
	case errs.StoreFull, errs.ServiceDegraded:
		return http.StatusServiceUnavailable
	case errs.QuotaExceeded:
		return http.StatusInsufficientStorage
	}
	return http.StatusBadRequest
}

// operationID is the method and the words of the path: get_alerts_id_machine.
func operationID(r api.Route) string {
	words := strings.FieldsFunc(r.Pattern, func(c rune) bool { return strings.ContainsRune("/{}()=,$.-", c) })
	if len(words) > 0 && words[0] == "api" {
		words = words[1:]
	}
	if strings.HasSuffix(r.Pattern, "/$count") {
		words[len(words)-1] = "number" // $count is told from a property called count
	}
	return strings.Join(append([]string{strings.ToLower(r.Method)}, words...), "_")
}

// tagOf groups operations by their noun.
func tagOf(pattern string) string {
	parts := strings.Split(strings.Trim(pattern, "/"), "/")
	switch {
	case parts[0] == "V1.0":
		return "custom threat intelligence"
	case pattern == Path:
		return "service"
	case parts[0] != "api" && strings.HasPrefix(parts[0], "{"):
		return "oauth2"
	case parts[0] == "api" && len(parts) > 1 && !strings.ContainsAny(parts[1][:1], "$"):
		name, _, _ := strings.Cut(parts[1], "(")
		return name
	case parts[0] == "api" || parts[0] == "":
		return "service"
	case len(parts) > 2 && parts[1] == "security":
		return "graph"
	}
	return parts[0]
}
