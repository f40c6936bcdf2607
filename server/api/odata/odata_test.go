package odata_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/api"
	"github.com/vedette-edr/vedette/server/api/odata"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/filter"
)

type thing struct {
	ID    int            `json:"id"`
	Name  string         `json:"name"`
	Seen  odata.DateTime `json:"lastSeen"`
	Owner *string        `json:"owner"`
}

func spec(page int) odata.Spec {
	return odata.Spec{Fields: fields, Entity: thing{}, Expand: []string{"evidence"}, Page: page}
}

func TestOptionsAreReadAndBounded(t *testing.T) {
	q, _ := api.ParseQuery("$top=5&$skip=2&$count=TRUE&$orderby=lastSeen+desc,incidentId&$select=NAME,id&$expand=Evidence&$format=json&other=1&")
	o, err := odata.Parse(q, spec(0))
	if err != nil {
		t.Fatal(err)
	}
	want := filter.Query{Top: 5, Skip: 2, Count: true, Order: []filter.Order{{Field: seen, Desc: true}, {Field: id}}}
	if diff := cmp.Diff(want, o.Query); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"id", "name"}, o.Select); diff != "" || !o.Expands("evidence") {
		t.Errorf("%s %v", diff, o.Expand)
	}
	if o, _ := odata.Parse(api.Query{}, spec(0)); o.Query.Top != odata.MaxTop {
		t.Errorf("default page %d", o.Query.Top)
	}
	for raw, want := range map[string]string{
		"$top=10001": "$top: 10001 is more than the limit of 10000", "$top=-1": "$top", "$top=x": "$top",
		"$skip=-1": "$skip", "$count=maybe": "$count", "$orderby=nope": `cannot order by "nope"`,
		"$orderby=lastSeen+sideways": "sideways", "$orderby=machineTags": "collection", "$select=nope": `no property "nope"`,
		"$expand=files": `no property "files"`, "$apply=x": "$apply", "$format=xml": "xml", "$filter=x": "column 1",
	} {
		q, _ := api.ParseQuery(raw)
		if _, err := odata.Parse(q, spec(0)); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", raw, err, want)
		}
	}
}

type everybody struct{}

func (everybody) Authenticate(context.Context, string, string) (*access.Principal, error) {
	return &access.Principal{Roles: []string{"x"}}, nil
}

// serve answers GET /api/things from n things.
func serve(t testing.TB, n, page int) http.Handler {
	list := func(w http.ResponseWriter, r *api.Request) error {
		o, err := odata.Parse(r.Query, spec(page))
		if err != nil {
			return err
		}
		var all []thing
		for i := range n {
			all = append(all, thing{ID: i, Name: fmt.Sprintf("<%d>", i), Seen: odata.DateTime(time.Unix(int64(i), 123456789))})
		}
		from := min(o.Query.Skip, n)
		to := min(from+o.Query.Top, n)
		p := filter.Page[thing]{Items: all[from:to], Total: -1, More: to < n}
		if o.Query.Count {
			p.Total = int64(n)
		}
		return odata.WriteCollection(w, r, "/api/$metadata#Things", o, p, func(x thing) thing { return x })
	}
	one := func(w http.ResponseWriter, r *api.Request) error {
		return odata.WriteEntity(w, r, 200, "/api/$metadata#Things/$entity", thing{ID: 7})
	}
	h, err := api.New(api.Config{Auth: everybody{}}, []api.Route{
		{Method: "GET", Pattern: "/api/things", Need: []access.Permission{"x"}, Handle: list},
		{Method: "GET", Pattern: "/api/things/{id}", Need: []access.Permission{"x"}, Handle: one},
	})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func get(h http.Handler, target string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("GET", target, nil)
	r.Header.Set("Authorization", "Bearer t")
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestCollectionsAndEntitiesHaveThePublishedBytes(t *testing.T) {
	h := serve(t, 2, 1)
	for target, want := range map[string]string{
		"/api/things?$count=true":                 `{"@odata.context":"http://example.com/api/$metadata#Things","@odata.count":2,"value":[{"id":0,"name":"<0>","lastSeen":"1970-01-01T00:00:00.1234567Z","owner":null}],"@odata.nextLink":"http://example.com/api/things?$count=true&$skip=1"}`,
		"/api/V1.0/things?$top=1&$select=name,id": `{"@odata.context":"http://example.com/api/$metadata#Things(id,name)","value":[{"id":0,"name":"<0>"}]}`,
		"/api/things?$top=0&$count=true":          `{"@odata.context":"http://example.com/api/$metadata#Things","@odata.count":2,"value":[]}`,
		"/api/things?$skip=9":                     `{"@odata.context":"http://example.com/api/$metadata#Things","value":[]}`,
		"/api/things/7":                           `{"@odata.context":"http://example.com/api/$metadata#Things/$entity","id":7,"name":"","lastSeen":null,"owner":null}`,
	} {
		if w := get(h, target); w.Body.String() != want {
			t.Errorf("%s:\n got %s\nwant %s", target, w.Body, want)
		}
	}
	w := get(h, "/api/things/7", "Accept", "application/json;odata.metadata=none")
	if want := `{"id":7,"name":"","lastSeen":null,"owner":null}`; w.Body.String() != want {
		t.Errorf("metadata=none: %s", w.Body)
	}
}

func TestFollowingNextLinksVisitsEveryRowOnce(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		n := rapid.IntRange(0, 20).Draw(r, "rows")
		page := rapid.IntRange(1, 6).Draw(r, "page")
		top := rapid.IntRange(0, 25).Draw(r, "top")
		skip := rapid.IntRange(0, 25).Draw(r, "skip")
		target := fmt.Sprintf("/api/things?$skip=%d", skip)
		want := max(n-skip, 0)
		if top > 0 {
			top = min(top, page*4)
			target += fmt.Sprintf("&$top=%d", top)
			want = min(want, top)
		}
		h := serve(t, n, page)
		next := skip
		for hops := 0; target != ""; hops++ {
			if hops > n+1 {
				r.Fatal("the links never end")
			}
			var got struct {
				Value []justID `json:"value"`
				Next  string   `json:"@odata.nextLink"`
			}
			w := get(h, target)
			if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != 200 {
				r.Fatalf("%s: %d %s", target, w.Code, w.Body)
			}
			for _, v := range got.Value {
				if v.ID != next {
					r.Fatalf("%s: row %d, want %d", target, v.ID, next)
				}
				next++
			}
			target = got.Next
		}
		if next-skip != want {
			r.Fatalf("%d rows, want %d", next-skip, want)
		}
	})
}

type justID struct {
	ID int `json:"id"`
}
