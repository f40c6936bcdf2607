package hunting

import (
	"bufio"
	"encoding/json"
	"net/http"
	"time"

	"github.com/vedette-edr/vedette/kql/types"
	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/api"
	"github.com/vedette-edr/vedette/server/api/rows"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/hunt"
	"github.com/vedette-edr/vedette/server/ident"
)

// placeEntity is where an event is in the timeline of its device.
type placeEntity struct {
	Time     string `json:"timestamp" doc:"required,format=date-time"`
	Report   int64  `json:"reportId" doc:"required"`
	Ingested string `json:"ingestionTime" doc:"required,format=date-time"`
}

func placeOf(p hunt.Place) placeEntity {
	at := func(t time.Time) string { return types.FormatDatetimeJSON(types.FromTime(t)) }
	return placeEntity{at(p.Time), p.Report, at(p.Ingested)}
}

// markEntity names an event.
type markEntity struct {
	Time   string `json:"timestamp" doc:"required,format=date-time"`
	Report int64  `json:"reportId" doc:"required"`
}

// viewBody is the part of a timeline that somebody looks through.
type viewBody struct {
	From   string       `json:"from" doc:"required,format=date-time"` // included
	To     string       `json:"to" doc:"required,format=date-time"`   // not included
	Tables []string     `json:"tables"`                               // of events; none are all
	Search string       `json:"search"`                               // found in any of the columns that people look into
	Marked []markEntity `json:"marked" doc:"max=1000"`                // keeps these events alone
}

// sectionBody asks for events of a view, newest first.
type sectionBody struct {
	viewBody
	After *placeEntity `json:"after"`              // older than this; without it the newest
	Until *placeEntity `json:"until"`              // not older than this
	Top   int          `json:"top" doc:"required"` // 1 to 5000
}

// sectionAnswer is events, their cells in the order of the columns.
type sectionAnswer struct {
	Columns []rows.Column `json:"columns"`
	Cut     bool          `json:"cut"` // there are more than were asked for
	Rows    [][]any       `json:"rows"`
}

// outlineBody asks how many events a view has, and where they are.
type outlineBody struct {
	viewBody
	Every int `json:"every" doc:"required"` // events from one landmark to the next, 1 to 5000
	Bins  int `json:"bins" doc:"required"`  // 1 to 2000
}

type outlineAnswer struct {
	Total     int64         `json:"total"`
	Every     int           `json:"every"`     // as asked, or more where there would be too many landmarks
	Landmarks []placeEntity `json:"landmarks"` // newest first
	First     string        `json:"first" doc:"format=date-time"`
	Step      float64       `json:"stepSeconds"`
	Bins      []int64       `json:"bins"` // events in each step from first on
	Complete  bool          `json:"complete"`
}

// timelineLimit is of somebody who scrolls: a section is far less than a query.
var timelineLimit = api.Limit{PerMinute: 600, PerHour: 20_000, Pool: "timelines"}

func (h *handler) timelines(need []access.Permission) []api.Route {
	id := []api.Param{{Name: "id", Required: true, About: "A device's id."}}
	wrong := []errs.Code{errs.InvalidInput, errs.BadRequest, errs.ResourceNotFound}
	return []api.Route{
		{Method: http.MethodPost, Pattern: "/api/vedette/machines/{id}/timeline", Need: need, Handle: h.section, MaxBody: 256 << 10, Limit: timelineLimit,
			Doc: api.Doc{Summary: "Read events of a device from any place of its timeline", Params: id, Body: sectionBody{}, Answer: sectionAnswer{}, Bare: true, Errors: wrong}},
		{Method: http.MethodPost, Pattern: "/api/vedette/machines/{id}/timeline/outline", Need: need, Handle: h.outline, MaxBody: 256 << 10, Limit: timelineLimit,
			Doc: api.Doc{Summary: "Count the events of a device's timeline and name places in it", Params: id, Body: outlineBody{}, Answer: outlineAnswer{}, Bare: true, Errors: wrong}},
	}
}

// view reads what both requests say.
func (h *handler) view(r *api.Request) (*api.Object, hunt.View, error) {
	v := hunt.View{}
	body, err := r.JSON()
	if err != nil {
		return nil, v, err
	}
	d, ok := ident.ParseDeviceID(r.Var("id"))
	if !ok {
		return nil, v, errs.New("hunting.view", errs.NotFound, errs.ResourceNotFound, "Machine %s was not found", r.Var("id"))
	}
	if _, err := h.Devices.Get(r.Context(), r.Caller.Tenant, d); err != nil {
		return nil, v, errs.Wrap("hunting.view", err)
	}
	v.Device = d
	if v.From, err = body.Time("from"); err != nil {
		return nil, v, err
	}
	if v.To, err = body.Time("to"); err != nil {
		return nil, v, err
	}
	if v.Tables, err = body.Strings("tables"); err != nil {
		return nil, v, err
	}
	if v.Search, err = body.String("search"); err != nil {
		return nil, v, err
	}
	marked, err := body.Objects("marked")
	if err != nil {
		return nil, v, err
	}
	for _, m := range marked {
		at, err := m.Time("timestamp")
		if err != nil {
			return nil, v, err
		}
		report, err := m.Int("reportId")
		if err != nil {
			return nil, v, err
		}
		v.Marked = append(v.Marked, hunt.Mark{Time: at, Report: report})
	}
	return body, v, nil
}

func place(body *api.Object, name string) (*hunt.Place, error) {
	if !body.Has(name) || body.IsNull(name) {
		return nil, nil
	}
	o, err := body.Object(name)
	if err != nil {
		return nil, err
	}
	var p hunt.Place
	if p.Time, err = o.Time("timestamp"); err != nil {
		return nil, err
	}
	if p.Report, err = o.Int("reportId"); err != nil {
		return nil, err
	}
	p.Ingested, err = o.Time("ingestionTime")
	return &p, err
}

func (h *handler) section(w http.ResponseWriter, r *api.Request) error {
	body, v, err := h.view(r)
	if err != nil {
		return err
	}
	var at hunt.Section
	if at.After, err = place(body, "after"); err != nil {
		return err
	}
	if at.Until, err = place(body, "until"); err != nil {
		return err
	}
	most, err := body.Int("top")
	if err != nil {
		return err
	}
	at.Most = int(min(most, hunt.MaxSection+1))
	found, err := h.Hunter.Section(r.Context(), v, at)
	if err != nil {
		return err
	}
	defer func() { _ = found.Close() }()
	head, err := json.Marshal(sectionAnswer{Columns: rows.Columns(found.Columns), Cut: found.Cut, Rows: [][]any{}})
	if err != nil {
		return errs.Wrap("hunting.section", err)
	}
	stream(w, head, found.Table)
	return nil
}

func (h *handler) outline(w http.ResponseWriter, r *api.Request) error {
	body, v, err := h.view(r)
	if err != nil {
		return err
	}
	every, err := body.Int("every")
	if err != nil {
		return err
	}
	bins, err := body.Int("bins")
	if err != nil {
		return err
	}
	o, err := h.Hunter.Outline(r.Context(), v, int(min(every, hunt.MaxSection+1)), int(min(bins, hunt.MaxBins+1)))
	if err != nil {
		return err
	}
	out := outlineAnswer{Total: o.Total, Every: o.Every, Landmarks: make([]placeEntity, len(o.Landmarks)),
		First: types.FormatDatetimeJSON(types.FromTime(o.First)), Step: o.Step.Seconds(), Bins: o.Bins, Complete: o.Completeness.Complete}
	for i, p := range o.Landmarks {
		out.Landmarks[i] = placeOf(p)
	}
	w.Header().Set("Cache-Control", "no-store")
	return api.WriteJSON(w, r, http.StatusOK, out)
}

// stream writes an answer whose head ends in an empty list of rows, with the rows in it.
// Everything that can fail was encoded before the first byte.
func stream(w http.ResponseWriter, head []byte, t hunt.Table) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
	// Writes fail only when the client is gone; bufio remembers and Flush has nobody to tell.
	b := bufio.NewWriterSize(w, 64<<10)
	_, _ = b.Write(head[:len(head)-len("]}")])
	if err := rows.WriteArrays(b, t); err != nil {
		// The head is gone, with 200 in it. An answer that breaks off is the only way left to
		// say that rows are missing.
		panic(http.ErrAbortHandler)
	}
	_, _ = b.WriteString("]}")
	_ = b.Flush()
}
