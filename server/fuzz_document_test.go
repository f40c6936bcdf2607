package server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/vedette-edr/vedette/server/action"
)

// spec is an OpenAPI document, as far as requests are made and answers judged by it.
type spec struct {
	Paths      map[string]map[string]operation
	Components struct{ Schemas map[string]*shape }

	operations []operation // in a fixed order
}

type operation struct {
	Parameters []struct {
		Name, In string
		Required bool
		Schema   shape
		Example  string
	}
	RequestBody *struct {
		Content map[string]struct{ Schema *shape }
	}
	Responses map[string]struct {
		Content map[string]struct{ Schema *shape }
	}

	method, path string
}

func (o *operation) String() string { return o.method + " " + o.path }

type shape struct {
	Ref        string     `json:"$ref"`
	Type       stringList `json:"type"`
	Format     string
	Enum       []any
	Items      *shape
	Required   []string
	Properties map[string]*shape
	Additional *shape `json:"additionalProperties"`
	AllOf      []*shape
	AnyOf      []*shape
	MaxLength  int
}

// stringList is a word or a list of words.
type stringList []string

func (l *stringList) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*l = stringList{one}
		return nil
	}
	return json.Unmarshal(b, (*[]string)(l))
}

func readSpec(t testing.TB, doc []byte) *spec {
	s := &spec{}
	if err := json.Unmarshal(doc, s); err != nil {
		t.Fatal(err)
	}
	for path, methods := range s.Paths {
		for method, o := range methods {
			o.method, o.path = strings.ToUpper(method), path
			s.operations = append(s.operations, o)
		}
	}
	slices.SortFunc(s.operations, func(a, b operation) int { return strings.Compare(a.String(), b.String()) })
	return s
}

func (s *spec) resolve(x *shape) *shape {
	for x != nil && x.Ref != "" {
		x = s.Components.Schemas[strings.TrimPrefix(x.Ref, "#/components/schemas/")]
	}
	return x
}

// judge says where a value is not of the shape, "" when it is.
func (s *spec) judge(place string, x *shape, v any) string {
	if x = s.resolve(x); x == nil {
		return ""
	}
	for _, part := range x.AllOf {
		if why := s.judge(place, part, v); why != "" {
			return why
		}
	}
	if len(x.AnyOf) > 0 {
		why := ""
		if !slices.ContainsFunc(x.AnyOf, func(part *shape) bool { why = s.judge(place, part, v); return why == "" }) {
			return why
		}
	}
	if len(x.Type) > 0 && !slices.Contains(x.Type, kindOf(v)) && !(kindOf(v) == "integer" && slices.Contains(x.Type, "number")) {
		return fmt.Sprintf("%s is %s, not %v", place, kindOf(v), x.Type)
	}
	if len(x.Enum) > 0 && !slices.Contains(x.Enum, v) {
		return fmt.Sprintf("%s is %v, not one of %v", place, v, x.Enum)
	}
	switch v := v.(type) {
	case []any:
		for i, e := range v {
			if why := s.judge(fmt.Sprintf("%s[%d]", place, i), x.Items, e); why != "" {
				return why
			}
		}
	case map[string]any:
		for _, name := range x.Required {
			if _, ok := v[name]; !ok {
				return place + "." + name + " is missing"
			}
		}
		for name, e := range v {
			p := x.Properties[name]
			if p == nil {
				p = x.Additional
			}
			if why := s.judge(place+"."+name, p, e); why != "" {
				return why
			}
		}
	}
	return ""
}

func kindOf(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case string:
		return "string"
	case bool:
		return "boolean"
	case json.Number:
		if _, err := v.Int64(); err == nil {
			return "integer"
		}
		return "number"
	case []any:
		return "array"
	}
	return "object"
}

// hostile is texts that have hurt somebody before.
var hostile = []string{
	"", " ", "'", "''", `"`, `\`, "%", "_", "$", "a'b", "' or 1 eq 1 --", "'; DROP TABLE alert; --", "\x00", "a\x00b", "\xff\xfe", "é", "ſ", "İ", "\u202e", "💥",
	"null", "true", "-1", "0", "1e400", "9223372036854775807", "9223372036854775808", "NaN", "../../etc/passwd", "..", "{{7*7}}", "${jndi:ldap://x}", "<script>",
	"0001-01-01T00:00:00Z", "9999-12-31T23:59:59.9999999Z", "2024-13-45", "24:00", "::1", "0.0.0.0", "fe80::1%eth0", "00000000-0000-0000-0000-000000000000",
	strings.Repeat("x", 5000), strings.Repeat("(", 2000), strings.Repeat("é", 1500), strings.Repeat("a,", 1000), strings.Repeat("not ", 500) + "x",
}

var filters = []string{
	"id eq '%s'", "id ne null", "id in ('%s','b')", "id in ['%s']", "contains(id,'%s')", "not startswith(tolower(id),'%s')", "length(id) gt %s", "%s", "id eq %s",
	"lastSeen gt %s", "alertCreationTime ge 2024-01-01T00:00:00 02:00", "date(lastSeen) eq 2024-01-01", "year(lastSeen) lt %s", "machineTags/any(t: t eq '%s')",
	"machineTags/all(t: length(t) lt %s)", "ipAddresses/any(i: i/ipAddress eq '%s' or i/type ne null)", "machineTags/$count gt %s", "title eq '%s' or status ne '%s'",
	"(((id eq 'x')))", "generateAlert", "severity eq microsoft.windowsDefenderATP.api.Severity'High'", "'%s' eq id", "indexof(id,'%s') eq 0", "id eq 'x' and (title",
}

// generator makes the requests of one operation.
type generator struct {
	*rand.Rand
	spec *spec
	ids  map[string][]string // what may stand for a path variable, by a word of the path
	// benign makes requests that are meant to succeed: nothing hostile is in them.
	benign bool
}

func (g *generator) pick(words []string) string { return words[g.IntN(len(words))] }

// often reports true n times of ten.
func (g *generator) often(n int) bool { return g.IntN(10) < n }

// spite reports true n times of ten, never of benign requests: where it does, the request
// is made wrong.
func (g *generator) spite(n int) bool { return !g.benign && g.often(n) }

// known returns an id that fits the path: of the caller's, or of somebody else's.
func (g *generator) known(path, name string) string {
	switch {
	case g.benign && name == "deviceGroupId":
		return g.pick(g.ids["spare group"]) // the hostile ones would change who sees what
	case strings.HasSuffix(path, "/getPackageUri") && !g.spite(2):
		return g.pick(g.ids["yielded "+string(action.CollectPackage)])
	case strings.Contains(path, "GetLiveResponseResultDownloadLink") && !g.spite(2):
		return map[string]string{"id": g.pick(g.ids["yielded "+string(action.LiveResponse)]), "index": "0"}[name]
	}
	if ids := g.ids[name]; len(ids) > 0 {
		return g.pick(ids)
	}
	if ids := g.ids[collectionOf(path)]; len(ids) > 0 && !g.spite(2) {
		return g.pick(ids)
	}
	for _, word := range []string{"/alerts/{", "/machineactions/", "/indicators/", "/machines/"} {
		if strings.Contains(path, word) {
			return g.pick(g.ids[word])
		}
	}
	return strconv.Itoa(g.IntN(5))
}

// collectionOf is the part of a path before its first variable.
func collectionOf(path string) string {
	prefix, _, _ := strings.Cut(path, "{")
	return strings.TrimRight(prefix, "/(")
}

// learn remembers the ids that an answer tells, so that later requests name what is there.
func (g *generator) learn(path string, v any) {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			g.learn(path, e)
		}
	case map[string]any:
		for _, name := range []string{"id", "Id", "incidentId", "keyId"} {
			if id := fmt.Sprint(v[name]); v[name] != nil && !slices.Contains(g.ids[path], id) && len(g.ids[path]) < 20 {
				g.ids[path] = append(g.ids[path], id)
			}
		}
		g.learn(path, v["value"])
	}
}

// links remembers the signed links that an answer tells.
func (g *generator) links(text string) {
	for _, m := range signedLink.FindAllStringSubmatch(text, 4) {
		path, query, _ := strings.Cut(strings.ReplaceAll(m[0], `\u0026`, "&"), "?")
		root, last := path[:strings.LastIndex(path, "/")], path[strings.LastIndex(path, "/")+1:]
		g.ids[root] = []string{last}
		g.ids["link "+root] = []string{query}
	}
}

var signedLink = regexp.MustCompile(`/api/vedette/(?:exports|downloads)/[^"]+`)

var variable = regexp.MustCompile(`\{([^}]+)\}`)

func (g *generator) request(o *operation) *http.Request {
	path := variable.ReplaceAllStringFunc(o.path, func(v string) string {
		text := g.known(o.path, strings.Trim(v, "{}"))
		if g.spite(2) {
			text = g.pick(hostile)
		}
		if text == "" { // would be another path
			text = " "
		}
		return url.PathEscape(text)
	})
	q := url.Values{}
	for _, p := range o.Parameters {
		if p.In != "query" || !p.Required && (!g.often(3) || g.benign && strings.HasPrefix(p.Name, "$")) {
			continue
		}
		q.Set(p.Name, g.param(p.Name, p.Example, p.Schema))
	}
	if g.spite(1) {
		q.Set(g.pick([]string{"$search", "$apply", "$skiptoken", "$levels", "$format", "$expand", "x"}), g.pick(hostile))
	}
	if link := g.ids["link "+collectionOf(o.path)]; len(link) > 0 && !g.spite(5) {
		if signed, err := url.ParseQuery(link[0]); err == nil {
			for name := range signed {
				q.Set(name, signed.Get(name))
			}
		}
	}
	var body []byte
	media := ""
	if text, kind := g.form(o); text != "" && o.RequestBody == nil {
		body, media = []byte(text), kind
	} else if o.RequestBody != nil {
		body, media = g.body(o)
	} else if g.spite(1) {
		body, media = []byte(`{"a":1}`), "application/json"
	}
	target := path
	if len(q) > 0 {
		target += "?" + q.Encode()
	}
	if g.spite(1) {
		target = strings.Replace(target, "/api/", g.pick([]string{"/API/", "/api/v1.0/", "//api//", "/api/V1.0//"}), 1)
	}
	r := httptest.NewRequest(o.method, "/", bytes.NewReader(body))
	u, err := url.Parse("http://vedette.example" + target)
	if err != nil {
		u = &url.URL{Scheme: "http", Host: "vedette.example", Path: path}
	}
	r.URL, r.RequestURI = u, u.RequestURI()
	if media != "" {
		r.Header.Set("Content-Type", media)
	}
	if g.spite(2) {
		r.Header.Set("Accept", g.pick([]string{"application/json;odata.metadata=none", "application/json;odata.metadata=full", "text/html", "*/*", "\xff", strings.Repeat("a", 3000)}))
	}
	if g.spite(1) {
		r.Header.Set(g.pick([]string{"If-Match", "Range", "Prefer", "OData-MaxVersion", "X-HTTP-Method-Override", "Content-Encoding"}), g.pick([]string{"*", "bytes=0-", "DELETE", "gzip", "4.01"}))
	}
	return r
}

func (g *generator) param(name, example string, s shape) string {
	if ids := g.ids[name]; g.benign && len(ids) > 0 {
		return g.pick(ids)
	}
	switch {
	case g.spite(2):
		return g.pick(hostile)
	case name == "$filter" && g.spite(7):
		text := g.pick(filters)
		for strings.Contains(text, "%s") {
			text = strings.Replace(text, "%s", strings.ReplaceAll(g.pick(append(hostile, "x", "3", "2024-01-01T00:00:00Z")), "%s", ""), 1)
		}
		return text
	case example != "":
		return example
	case len(s.Enum) > 0:
		return fmt.Sprint(s.Enum[g.IntN(len(s.Enum))])
	}
	return fmt.Sprint(g.value(&s, 0))
}

// body makes a valid body, or one that is wrong in one of many ways.
func (g *generator) body(o *operation) ([]byte, string) {
	for media, c := range o.RequestBody.Content {
		if body, media := g.form(o); body != "" && (g.benign || g.often(3)) {
			return []byte(body), media
		}
		if media != "application/json" {
			form := url.Values{}
			for name := range g.spec.resolve(c.Schema).Properties {
				if g.often(5) {
					form.Set(name, g.pick(hostile))
				}
			}
			return []byte(form.Encode()), media
		}
		v := g.value(c.Schema, 0)
		if text := g.example(o); text != "" && (g.benign || g.often(6)) {
			_ = json.Unmarshal([]byte(text), &v)
		}
		if m, ok := v.(map[string]any); ok && g.spite(5) {
			g.spoil(m)
		}
		raw, err := json.Marshal(v)
		if err != nil {
			raw = []byte("{}")
		}
		if g.benign {
			return raw, media
		}
		switch g.IntN(16) {
		case 0:
			raw = raw[:g.IntN(len(raw)+1)]
		case 1:
			raw = []byte(strings.Repeat(`{"a":`, 3000) + "1" + strings.Repeat("}", 3000))
		case 2:
			raw = []byte(g.pick([]string{"", "[]", "null", "1", `"x"`, "{} {}", "\xef\xbb\xbf{}", "{\"a\":\"\xff\"}", `{"a":1,"a":2}`, `{"":{}}`, "\x00"}))
		case 3:
			raw = append([]byte(`{"pad":"`+strings.Repeat("x", 5<<20)+`",`), bytes.TrimPrefix(raw, []byte("{"))...)
		case 4:
			return raw, g.pick([]string{"text/plain", "multipart/form-data", "application/xml", "application/json; charset=utf-16", ""})
		}
		return raw, media
	}
	return nil, ""
}

// spoil makes one property wrong.
func (g *generator) spoil(m map[string]any) {
	names := make([]string, 0, len(m)+1)
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	name := g.pick(append(names, "unknown"))
	wrong := []any{nil, true, 0, -1, 1.5, 1e300, "", "x", []any{}, []any{nil}, []any{"x", 1}, map[string]any{}, map[string]any{"a": []any{}}, g.pick(hostile),
		slices.Repeat([]any{"x"}, 3000)}
	switch {
	case g.often(2):
		delete(m, name)
	case g.often(1):
		m[strings.ToUpper(name)] = m[name]
	default:
		m[name] = wrong[g.IntN(len(wrong))]
	}
}

func (g *generator) value(s *shape, depth int) any {
	if s = g.spec.resolve(s); s == nil || depth > 6 || len(s.Type) == 0 {
		return "x"
	}
	switch s.Type[0] {
	case "object":
		out := map[string]any{}
		names := make([]string, 0, len(s.Properties))
		for name := range s.Properties {
			names = append(names, name)
		}
		slices.Sort(names)
		for _, name := range names {
			if slices.Contains(s.Required, name) || g.often(4) {
				out[name] = g.named(name, s.Properties[name], depth)
			}
		}
		return out
	case "array":
		out := []any{}
		for range g.IntN(3) {
			out = append(out, g.value(s.Items, depth+1))
		}
		return out
	case "boolean":
		return g.often(5)
	case "integer", "number":
		return g.IntN(100)
	}
	if len(s.Enum) > 0 {
		return s.Enum[g.IntN(len(s.Enum))]
	}
	if s.Format == "date-time" {
		return g.pick([]string{"2024-06-01T12:00:00Z", "2030-01-01T00:00:00Z", "2024-06-01"})
	}
	return g.pick([]string{"x", "203.0.113.7", "evil.example", "Executive", "1"})
}

// named gives ids and queries values that mean something.
func (g *generator) named(name string, s *shape, depth int) any {
	switch strings.ToLower(name) {
	case "alertids":
		return []any{g.pick(g.ids["/alerts/{"])}
	case "machineids":
		return []any{g.pick(g.ids["/machines/"])}
	case "indicatorids":
		return []any{g.pick(g.ids["/indicators/"])}
	case "category":
		return "Malware"
	case "alertdefinition@odata.bind", "@odata.id":
		if ids := g.ids["/V1.0/AlertDefinitions"]; len(ids) > 0 {
			return "AlertDefinitions(" + g.pick(ids) + ")"
		}
	case "type":
		return "IpAddress"
	case "detectionfunction":
		return "Equals"
	case "machineid":
		return g.pick(g.ids["/machines/"])
	case "query":
		return g.pick([]string{"DeviceInfo | take 3", "DeviceEvents | where Timestamp > ago(1d) | count", "AlertInfo", "Nope", "print 1", "DeviceInfo | where", g.pick(hostile)})
	}
	return g.value(s, depth+1)
}
