// Package hunting is what this server's API has about hunting beyond the published one,
// below /api/vedette: the tables and functions that a query may name, what is wrong with a
// text before it is run, a result with less words around it than the published one, saved
// queries, and the events of a device from any place of its timeline.
//
// It holds no rules and no state: package hunt knows queries that run, package query those
// that are kept. Start at Routes.
package hunting

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"time"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/api"
	"github.com/vedette-edr/vedette/server/api/rows"
	"github.com/vedette-edr/vedette/server/device"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/hunt"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/query"
)

// Hunter is what this package needs of hunt.Service.
type Hunter interface {
	Check(text string) (*hunt.Checked, error)
	Run(ctx context.Context, r hunt.Request) (*hunt.Result, error)
	Section(ctx context.Context, v hunt.View, at hunt.Section) (*hunt.Events, error)
	Outline(ctx context.Context, v hunt.View, every, bins int) (*hunt.Outline, error)
}

// Queries is what this package needs of query.Service.
type Queries interface {
	List(ctx context.Context, by *access.Principal) ([]*query.Query, error)
	Get(ctx context.Context, by *access.Principal, id string) (*query.Query, error)
	Create(ctx context.Context, by *access.Principal, q query.Query) (*query.Query, error)
	Update(ctx context.Context, by *access.Principal, id string, change func(*query.Query) error) (*query.Query, error)
	Delete(ctx context.Context, by *access.Principal, id string) error
}

// Devices is what this package needs of device.Service.
type Devices interface {
	// Get returns a device that the caller of ctx sees.
	Get(ctx context.Context, tenant ident.TenantID, id ident.DeviceID) (*device.Device, error)
}

// Config is what the API is made of.
type Config struct {
	Hunter  Hunter
	Queries Queries
	Devices Devices
}

// Routes returns the route table of the API.
func Routes(c Config) []api.Route {
	h := &handler{Config: c, schema: sync.OnceValues(func() ([]byte, error) { return json.Marshal(describe()) })}
	need := []access.Permission{access.AdvancedQueryRead, access.AdvancedHuntRead, access.ThreatHuntingRead}
	id := []api.Param{{Name: "id", Required: true, About: "A saved query's id."}}
	gone := []errs.Code{errs.ResourceNotFound}
	wrong := []errs.Code{errs.InvalidInput, errs.BadRequest}
	const kept = "/api/vedette/queries"
	return append(h.timelines(need), []api.Route{
		{Method: http.MethodGet, Pattern: "/api/vedette/hunting/schema", Need: need, Handle: h.describe,
			Doc: api.Doc{Summary: "List the tables and functions that a query may name", Answer: vocabulary{}, Bare: true}},
		{Method: http.MethodPost, Pattern: "/api/vedette/hunting/check", Need: need, Handle: h.check, MaxBody: 2 << 20, Limit: api.Limit{PerMinute: 600, PerHour: 20_000},
			Doc: api.Doc{Summary: "Tell what is wrong with a query", Body: checkBody{}, Answer: checkAnswer{}, Bare: true, Errors: []errs.Code{errs.BadRequest}}},
		{Method: http.MethodPost, Pattern: "/api/vedette/hunting/run", Need: need, Handle: h.run, MaxBody: 2 << 20, Limit: api.Limit{PerMinute: 45, PerHour: 1500, Tenant: true, Pool: "hunting pages"},
			Doc: api.Doc{Summary: "Run a query over a span of time", Body: runBody{}, Answer: runAnswer{}, Bare: true, Errors: []errs.Code{errs.BadRequest}}},
		{Method: http.MethodGet, Pattern: kept, Need: need, Handle: h.list, Doc: api.Doc{Summary: "List saved queries", Answer: []saved{}}},
		{Method: http.MethodPost, Pattern: kept, Need: need, Handle: h.create, MaxBody: 256 << 10,
			Doc: api.Doc{Summary: "Save a query", Body: savedBody{}, Answer: saved{}, Status: http.StatusCreated, Errors: wrong}},
		{Method: http.MethodGet, Pattern: kept + "/{id}", Need: need, Handle: h.get, Doc: api.Doc{Summary: "Get a saved query", Params: id, Answer: saved{}, Errors: gone}},
		{Method: http.MethodPatch, Pattern: kept + "/{id}", Need: need, Handle: h.update, MaxBody: 256 << 10,
			Doc: api.Doc{Summary: "Change a saved query", Params: id, Body: savedBody{}, Answer: saved{}, Errors: append(wrong, gone...)}},
		{Method: http.MethodDelete, Pattern: kept + "/{id}", Need: need, Handle: h.delete,
			Doc: api.Doc{Summary: "Delete a saved query", Params: id, Status: http.StatusNoContent, Errors: gone}},
	}...)
}

type handler struct {
	Config
	schema func() ([]byte, error)
}

// describe answers the vocabulary, which is the same until the program is another.
func (h *handler) describe(w http.ResponseWriter, _ *api.Request) error {
	body, err := h.schema()
	if err != nil {
		return errs.Wrap("hunting.describe", err)
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_, _ = w.Write(body) // fails only when the client is gone
	return nil
}

type checkBody struct {
	Query string `json:"query" doc:"required"`
}

// problem is one thing that is wrong with a text. Offset and length count bytes of its
// UTF-8, line and column count from 1.
type problem struct {
	Code       string `json:"code"`
	Message    string `json:"message"`
	Offset     int    `json:"offset"`
	Length     int    `json:"length"`
	Line       int    `json:"line"`
	Column     int    `json:"column"`
	Suggestion string `json:"suggestion"`
}

type checkAnswer struct {
	Problems []problem     `json:"problems"`
	Columns  []rows.Column `json:"columns"` // of the result; none while there are problems
	Render   *render       `json:"render"`  // null without the operator
}

type render struct {
	Kind       string            `json:"kind"`
	Properties map[string]string `json:"properties"`
}

func (h *handler) check(w http.ResponseWriter, r *api.Request) error {
	body, err := r.JSON()
	if err != nil {
		return err
	}
	text, err := body.RequireString("query")
	if err != nil {
		return err
	}
	c, err := h.Hunter.Check(text)
	if err != nil {
		return err
	}
	out := checkAnswer{Problems: []problem{}, Columns: rows.Columns(c.Columns)}
	for _, p := range c.Problems {
		out.Problems = append(out.Problems, problem{p.Code, p.Message, p.Offset, p.Length, p.Line, p.Column, p.Suggestion})
	}
	if c.Render != "" {
		out.Render = &render{c.Render, c.Properties}
		if out.Render.Properties == nil {
			out.Render.Properties = map[string]string{}
		}
	}
	return api.WriteJSON(w, r, http.StatusOK, out)
}

// savedBody is the body that saves or changes a query; a change leaves out what stays.
type savedBody struct {
	Name   string `json:"name" doc:"max=256"`
	Folder string `json:"folder" doc:"max=256"`
	Notes  string `json:"description" doc:"max=4000"`
	Query  string `json:"query"`
	Shared bool   `json:"isShared"`
}

// saved is a saved query as it is answered.
type saved struct {
	ID      string    `json:"id"`
	Name    string    `json:"name"`
	Folder  string    `json:"folder"`
	Notes   string    `json:"description"`
	Query   string    `json:"query"`
	Shared  bool      `json:"isShared"`
	Own     bool      `json:"isOwn"` // the caller may change it
	Owner   string    `json:"createdBy"`
	Created time.Time `json:"createdTime"`
	Updated time.Time `json:"lastUpdateTime"`
}

func show(q *query.Query, by *access.Principal) saved {
	return saved{q.ID, q.Name, q.Folder, q.Notes, q.Text, q.Shared, q.Owner.ID == by.ID, q.Owner.Name, q.Created, q.Updated}
}

func read(body *api.Object, q *query.Query) error {
	for name, to := range map[string]*string{"name": &q.Name, "folder": &q.Folder, "description": &q.Notes, "query": &q.Text} {
		if !body.Has(name) {
			continue
		}
		v, err := body.String(name)
		if err != nil {
			return err
		}
		*to = v
	}
	if body.Has("isShared") {
		v, err := body.Bool("isShared")
		if err != nil {
			return err
		}
		q.Shared = v
	}
	return nil
}

func (h *handler) list(w http.ResponseWriter, r *api.Request) error {
	all, err := h.Queries.List(r.Context(), r.Caller)
	if err != nil {
		return err
	}
	out := make([]saved, len(all))
	for i, q := range all {
		out[i] = show(q, r.Caller)
	}
	return api.WriteJSON(w, r, http.StatusOK, map[string]any{"value": out})
}

func (h *handler) get(w http.ResponseWriter, r *api.Request) error {
	q, err := h.Queries.Get(r.Context(), r.Caller, r.Var("id"))
	if err != nil {
		return err
	}
	return api.WriteJSON(w, r, http.StatusOK, show(q, r.Caller))
}

func (h *handler) create(w http.ResponseWriter, r *api.Request) error {
	body, err := r.JSON()
	if err != nil {
		return err
	}
	var q query.Query
	if err := read(body, &q); err != nil {
		return err
	}
	out, err := h.Queries.Create(r.Context(), r.Caller, q)
	if err != nil {
		return err
	}
	return api.WriteJSON(w, r, http.StatusCreated, show(out, r.Caller))
}

func (h *handler) update(w http.ResponseWriter, r *api.Request) error {
	body, err := r.JSON()
	if err != nil {
		return err
	}
	out, err := h.Queries.Update(r.Context(), r.Caller, r.Var("id"), func(q *query.Query) error { return read(body, q) })
	if err != nil {
		return err
	}
	return api.WriteJSON(w, r, http.StatusOK, show(out, r.Caller))
}

func (h *handler) delete(w http.ResponseWriter, r *api.Request) error {
	if err := h.Queries.Delete(r.Context(), r.Caller, r.Var("id")); err != nil {
		return err
	}
	return api.WriteEmpty(w, http.StatusNoContent)
}
