package graph

import (
	"bufio"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/vedette-edr/vedette/server/api"
	"github.com/vedette-edr/vedette/server/api/rows"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/hunt"
)

// huntBody is the body of runHuntingQuery. Names are taken in any case.
type huntBody struct {
	Query    string `json:"query" doc:"required"`
	Timespan string `json:"timespan"`
}

// huntAnswer is Graph's security.huntingQueryResults.
type huntAnswer struct {
	Schema []struct {
		Name string `json:"name"`
		Type string `json:"type"`
	} `json:"schema"`
	Results []map[string]any `json:"results"`
}

func (a *API) runQuery(w http.ResponseWriter, r *api.Request) error {
	body, err := r.JSON()
	if err != nil {
		return err
	}
	body.Fold()
	req := hunt.Request{}
	if req.Query, err = body.RequireString("Query"); err != nil {
		return err
	}
	span, err := body.String("Timespan")
	if err != nil {
		return err
	}
	if req.From, req.To, err = timespan(span, a.Now()); err != nil {
		return err
	}
	result, err := a.Hunter.Run(r.Context(), req)
	if err != nil {
		return err
	}
	defer func() { _ = result.Close() }()
	return writeHunt(w, r, result)
}

// writeHunt streams the answer. Everything that can fail is encoded before the first byte
// is sent.
func writeHunt(w http.ResponseWriter, r *api.Request, h *hunt.Result) error {
	type column struct {
		Name string `json:"name"`
		Type string `json:"type"`
	}
	columns := []column{}
	for _, c := range rows.Columns(h.Columns) {
		columns = append(columns, column{c.Name, c.Type})
	}
	var head struct {
		Context string   `json:"@odata.context,omitempty"`
		Schema  []column `json:"schema"`
	}
	head.Schema = columns
	if !r.NoMetadata() {
		head.Context = r.BaseURL() + strings.TrimSuffix(contextOf(r, ""), "security/") + "microsoft.graph.security.huntingQueryResults"
	}
	raw, err := json.Marshal(head)
	if err != nil {
		return errs.Wrap("graph.writeHunt", err)
	}
	api.ODataHeaders(w, r)
	w.WriteHeader(http.StatusOK)
	// bufio keeps the first error of a write for Flush, which tells it.
	b := bufio.NewWriterSize(w, 64<<10)
	_, _ = b.Write(raw[:len(raw)-1])
	_, _ = b.WriteString(`,"results":[`)
	if err := rows.Write(b, h.Table); err != nil {
		// The head is gone, with 200 in it. An answer that breaks off is the only way left to
		// say that rows are missing.
		panic(http.ErrAbortHandler)
	}
	_, _ = b.WriteString(`]}`)
	if err := b.Flush(); err != nil {
		panic(http.ErrAbortHandler) // the client is gone
	}
	return nil
}

// timespan reads an ISO 8601 span of time: a duration back from now, start/end,
// start/duration or duration/end. "" bounds nothing.
func timespan(s string, now time.Time) (from, to time.Time, err error) {
	if s == "" {
		return from, to, nil
	}
	bad := errs.New("graph.timespan", errs.Invalid, errs.BadRequest, "Timespan: %q is no ISO 8601 duration or interval, such as P30D or 2026-02-01T08:00:00Z/2026-02-15T08:00:00Z", clip(s))
	first, second, pair := strings.Cut(s, "/")
	if !pair {
		d, ok := api.ParseDuration(first)
		if !ok {
			return from, to, bad
		}
		return now.Add(-d), to, nil
	}
	from, okFrom := api.ParseTime(first)
	to, okTo := api.ParseTime(second)
	before, okBefore := api.ParseDuration(first)
	after, okAfter := api.ParseDuration(second)
	switch {
	case okFrom && okTo:
	case okFrom && okAfter:
		to = from.Add(after)
	case okBefore && okTo:
		from = to.Add(-before)
	default:
		return time.Time{}, time.Time{}, bad
	}
	if to.Before(from) {
		return time.Time{}, time.Time{}, bad
	}
	return from, to, nil
}

func clip(s string) string {
	if len(s) > 64 {
		return strings.ToValidUTF8(s[:64], "") + "…"
	}
	return s
}
