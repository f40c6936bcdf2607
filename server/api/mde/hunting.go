package mde

import (
	"bufio"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/vedette-edr/vedette/kql/types"
	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/api"
	"github.com/vedette-edr/vedette/server/api/odata"
	"github.com/vedette-edr/vedette/server/api/rows"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/hunt"
)

func (a *API) huntRoutes() []api.Route {
	query := []access.Permission{access.AdvancedQueryRead}
	limit := api.Limit{PerMinute: 45, PerHour: 1500, Tenant: true, Pool: "advanced queries"}
	return []api.Route{
		limited(limit, post("/advancedqueries/run", query, a.runQuery)),
		limited(limit, get("/advancedqueries/run", query, a.runKey)),
		limited(limit, get("/advancedqueries", query, a.runKey)),
		limited(api.Limit{PerMinute: 45, PerHour: 1500, Tenant: true},
			post("/advancedhunting/run", []access.Permission{access.AdvancedHuntRead}, a.runQuery)),
	}
}

func (a *API) runQuery(w http.ResponseWriter, r *api.Request) error {
	body, err := r.JSON()
	if err != nil {
		return err
	}
	query, err := body.RequireString("Query")
	if err != nil {
		return err
	}
	return a.hunt(w, r, query)
}

// runKey takes the query from the address, as the Power BI connector sends it.
func (a *API) runKey(w http.ResponseWriter, r *api.Request) error {
	query := r.Query.Get("key")
	if query == "" {
		return errs.New("mde.hunt", errs.Invalid, errs.MissingRequiredParameter, "Required parameter key is missing")
	}
	return a.hunt(w, r, query)
}

func (a *API) hunt(w http.ResponseWriter, r *api.Request, query string) error {
	result, err := a.hunter.Run(r.Context(), hunt.Request{Query: query})
	if err != nil {
		return err
	}
	defer func() { _ = result.Close() }()
	return writeHunt(w, r, result)
}

type huntStats struct {
	ExecutionTime     float64        `json:"ExecutionTime"` // seconds
	ResourceUsage     resourceUsage  `json:"resource_usage"`
	DatasetStatistics []datasetStats `json:"dataset_statistics"`
}

type resourceUsage struct {
	Cache  *struct{} `json:"cache"`
	CPU    cpuUsage  `json:"cpu"`
	Memory struct {
		PeakPerNode int64 `json:"peak_per_node"` // bytes
	} `json:"memory"`
}

type cpuUsage struct {
	User   *string `json:"user"`
	Kernel *string `json:"kernel"`
	Total  string  `json:"total cpu"` // hh:mm:ss.fffffff
}

type datasetStats struct {
	TableRowCount int   `json:"table_row_count"`
	TableSize     int64 `json:"table_size"` // bytes
}

type completeness struct {
	Complete bool      `json:"complete"`
	Gaps     []huntGap `json:"gaps"`
	More     bool      `json:"more"`
}

type huntGap struct {
	DeviceID   string         `json:"deviceId"`
	Source     string         `json:"source"`
	Reason     string         `json:"reason"`
	EventsLost int64          `json:"eventsLost"` // 0 when the number is unknown
	From       odata.DateTime `json:"from"`
	To         odata.DateTime `json:"to"`
}

// writeHunt streams the published answer. Everything that can fail is encoded before the
// first byte is sent.
func writeHunt(w http.ResponseWriter, r *api.Request, h *hunt.Result) error {
	count := h.Rows.Len()
	for _, t := range h.More {
		count += t.Rows.Len()
	}
	stats := huntStats{
		ExecutionTime:     h.Stats.Elapsed.Seconds(),
		DatasetStatistics: []datasetStats{{TableRowCount: count, TableSize: h.Stats.Bytes}},
	}
	stats.ResourceUsage.CPU.Total = types.FormatTimespan(int64(h.Stats.CPU / (100 * time.Nanosecond)))
	stats.ResourceUsage.Memory.PeakPerNode = h.Stats.Memory
	gaps := completeness{Complete: h.Completeness.Complete, Gaps: []huntGap{}, More: h.Completeness.More}
	for _, g := range h.Completeness.Gaps {
		gaps.Gaps = append(gaps.Gaps, huntGap{DeviceID: g.Device, Source: g.Source, Reason: g.Reason, EventsLost: g.Lost, From: stamp(g.From), To: stamp(g.To)})
	}
	head, err := json.Marshal(struct {
		Stats  huntStats
		Schema []rows.Column
	}{stats, rows.Columns(h.Columns)})
	if err != nil {
		return errs.Wrap("mde.writeHunt", err)
	}
	tail, err := json.Marshal(gaps)
	if err != nil {
		return errs.Wrap("mde.writeHunt", err)
	}
	api.ODataHeaders(w, r)
	w.WriteHeader(http.StatusOK)
	// bufio keeps the first error of a write for Flush, which tells it.
	b := bufio.NewWriterSize(w, 64<<10)
	_, _ = b.Write(head[:len(head)-1])
	_, _ = b.WriteString(`,"Results":[`)
	err = rows.Write(b, h.Table)
	_ = b.WriteByte(']')
	if len(h.More) > 0 {
		err = errors.Join(err, writeMore(b, h.More))
	}
	_, _ = b.WriteString(`,"completeness":`)
	_, _ = b.Write(tail)
	_ = b.WriteByte('}')
	if err != nil {
		// The head is gone, with 200 in it. An answer that breaks off is the only way left to
		// say that rows are missing.
		panic(http.ErrAbortHandler)
	}
	if err := b.Flush(); err != nil {
		panic(http.ErrAbortHandler) // the client is gone
	}
	return nil
}

// writeMore writes the further tables of fork and facet, which the published API leaves out.
func writeMore(b *bufio.Writer, more []hunt.Table) error {
	_, _ = b.WriteString(`,"MoreResults":[`)
	for i, t := range more {
		schema, err := json.Marshal(rows.Columns(t.Columns))
		if err != nil {
			return err
		}
		if i > 0 {
			_ = b.WriteByte(',')
		}
		_, _ = b.WriteString(`{"Schema":`)
		_, _ = b.Write(schema)
		_, _ = b.WriteString(`,"Results":[`)
		if err := rows.Write(b, t); err != nil {
			return err
		}
		_, _ = b.WriteString("]}")
	}
	return b.WriteByte(']')
}
