package hunting

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/vedette-edr/vedette/server/api"
	"github.com/vedette-edr/vedette/server/api/rows"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/hunt"
)

type runBody struct {
	Query string `json:"query" doc:"required"`
	From  string `json:"from" doc:"format=date-time"` // bounds the Timestamp of the rows that are looked at
	To    string `json:"to" doc:"format=date-time"`
}

// runAnswer is the result of a query: its cells in the order of the columns, so that a
// hundred thousand rows do not name each column as often.
type runAnswer struct {
	Columns      []rows.Column `json:"columns"`
	Render       *render       `json:"render"`
	Elapsed      float64       `json:"elapsedSeconds"`
	CPU          float64       `json:"cpuSeconds"`
	Completeness gaps          `json:"completeness"`
	Rows         [][]any       `json:"rows"`
}

type gaps struct {
	Complete bool  `json:"complete"`
	Gaps     []gap `json:"gaps"`
	More     bool  `json:"more"` // there are gaps beyond those listed
}

type gap struct {
	Device string     `json:"deviceId"`
	Source string     `json:"source"`
	Reason string     `json:"reason"`
	Lost   int64      `json:"eventsLost"` // 0 when the number is unknown
	From   *time.Time `json:"from"`
	To     *time.Time `json:"to"`
}

func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

func (h *handler) run(w http.ResponseWriter, r *api.Request) error {
	body, err := r.JSON()
	if err != nil {
		return err
	}
	var req hunt.Request
	if req.Query, err = body.RequireString("query"); err != nil {
		return err
	}
	for name, to := range map[string]*time.Time{"from": &req.From, "to": &req.To} {
		if body.Has(name) && !body.IsNull(name) {
			if *to, err = body.Time(name); err != nil {
				return err
			}
		}
	}
	result, err := h.Hunter.Run(r.Context(), req)
	if err != nil {
		return err
	}
	defer func() { _ = result.Close() }()
	return write(w, result)
}

// write streams the answer. Everything that can fail is encoded before the first byte.
func write(w http.ResponseWriter, h *hunt.Result) error {
	out := runAnswer{Columns: rows.Columns(h.Columns), Elapsed: h.Stats.Elapsed.Seconds(), CPU: h.Stats.CPU.Seconds(),
		Completeness: gaps{Complete: h.Completeness.Complete, Gaps: []gap{}, More: h.Completeness.More}, Rows: [][]any{}}
	if h.Render != "" {
		out.Render = &render{h.Render, h.Properties}
	}
	for _, g := range h.Completeness.Gaps {
		out.Completeness.Gaps = append(out.Completeness.Gaps, gap{g.Device, g.Source, g.Reason, g.Lost, moment(g.From), moment(g.To)})
	}
	head, err := json.Marshal(out)
	if err != nil {
		return errs.Wrap("hunting.write", err)
	}
	stream(w, head, h.Table)
	return nil
}
