package server

import (
	"context"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/vedette-edr/vedette/schema"
	"github.com/vedette-edr/vedette/server/alert"
	"github.com/vedette-edr/vedette/server/audit"
	"github.com/vedette-edr/vedette/server/bus"
	"github.com/vedette-edr/vedette/server/external"
	"github.com/vedette-edr/vedette/server/health"
	"github.com/vedette-edr/vedette/server/hunt"
	"github.com/vedette-edr/vedette/server/ingest"
	"github.com/vedette-edr/vedette/server/telemetry"
	"github.com/vedette-edr/vedette/server/telemetry/duckdb"
)

// stream is the way of telemetry: from batches to rows to answers.
type stream struct {
	server   *Server
	store    telemetry.Store
	pipeline *ingest.Pipeline
	alerts   *ingest.AlertRows
	raised   *bus.Subscription[alert.Created]
	changed  *bus.Subscription[alert.Updated]
	hunts    *hunt.Service
	files    *external.Files
}

func newStream(ctx context.Context, s *Server) (*stream, error) {
	clock := s.cfg.Clock
	st, err := duckdb.Open(duckdb.Config{
		Dir: filepath.Join(s.cfg.DataDir, "telemetry"), Tables: tables(), Clock: clock,
		Retention: s.cfg.Retention, Reserve: s.cfg.DiskReserve, Decode: ingest.Decode,
		Workers: duckdb.WorkerConfig{Command: s.cfg.Worker, Places: s.cfg.GeoIP},
	})
	if err != nil {
		return nil, err
	}
	files, err := external.New(s.cfg.External)
	if err != nil {
		_ = st.Close()
		return nil, err
	}
	t := &stream{server: s, store: st, files: files}
	t.pipeline = ingest.New(ingest.Config{Appender: st, Detector: s.detect.all(), Alerts: s.control.alerts,
		Devices: s.control.devices, Groups: s.control.groups, Metrics: s.metrics, Clock: clock})
	t.hunts = hunt.New(hunt.Config{Store: st, Audit: s.control.audit, Devices: s.control.groups, Clock: clock, External: files, State: s.control.vulnerabilities,
		Quota: s.cfg.Quota, Usage: s.control.store.Usage(), Scratch: s.cfg.DataDir,
		Uncounted: func(err error) { s.cfg.Log.Error("the running time of hunts is not counted", "err", err) },
		Unaudited: func(e audit.Entry, err error) {
			s.cfg.Log.Error("a hunt without an audit record", "tenant", e.Tenant, "actor", e.Actor.ID, "query", e.Detail, "err", err)
		}})
	t.raised = s.control.raised.Subscribe(4096)
	t.changed = s.control.changed.Subscribe(4096)
	t.alerts = ingest.NewAlertRows(st, clock, s.cfg.Log)
	s.health.Add("telemetry", func(context.Context) health.Report {
		if why := st.Status().Degraded; why != "" {
			return health.Report{State: health.Degraded, Detail: why}
		}
		return health.OK()
	})
	s.health.Add("query sandbox", func(context.Context) health.Report {
		rep := health.OK()
		if lacks := st.Status().Sandbox; lacks != "" {
			rep.Detail = "Queries run, but their sandbox lacks " + lacks
		}
		return rep
	})
	s.metrics.MustRegister(storeMetrics{st})
	return t, nil
}

// tables returns the physical hunting tables with the columns that are stored.
func tables() []telemetry.Table {
	var out []telemetry.Table
	for _, t := range schema.Tables() {
		if t.Base != "" {
			continue
		}
		table := telemetry.Table{Name: t.Name}
		for _, c := range t.Columns {
			if c.Stored() {
				table.Columns = append(table.Columns, telemetry.Column{Name: c.Name, Type: c.Type})
			}
		}
		out = append(out, table)
	}
	return out
}

func (t *stream) run(ctx context.Context, g *errgroup.Group) {
	g.Go(func() error { return t.pipeline.Run(ctx) })
	g.Go(func() error {
		t.settle(ctx)
		t.reconcile(ctx, t.server.cfg.Clock().Add(-reconcileSpan))
		return t.alerts.Run(ctx, t.raised, t.changed, t.reconcile)
	})
}

func (t *stream) close() {
	t.raised.Close()
	t.changed.Close()
	if err := t.store.Close(); err != nil {
		t.server.cfg.Log.Error("closing the telemetry store", "err", err)
	}
	if err := t.files.Close(); err != nil {
		t.server.cfg.Log.Error("closing the directory of external data", "err", err)
	}
}

// settle waits until what the journal held at the start can be hunted, so that rows which
// are only there are not taken for missing.
func (t *stream) settle(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, settleWait)
	defer cancel()
	for t.store.Status().JournalSize > 0 {
		select {
		case <-ctx.Done():
			return
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// settleWait bounds settle: on a busy server the journal is never empty for long.
const settleWait = 10 * time.Second

// reconcileSpan is how far back alerts are looked at whose hunting rows a crash may have
// prevented.
const reconcileSpan = 24 * time.Hour

// storeMetrics shows a telemetry store's status.
type storeMetrics struct{ store telemetry.Store }

var (
	committed  = prometheus.NewDesc("vedette_telemetry_events_total", "Events committed since the start.", nil, nil)
	duplicates = prometheus.NewDesc("vedette_telemetry_duplicate_batches_total", "Batches that were sent again and acknowledged once more.", nil, nil)
	conflicts  = prometheus.NewDesc("vedette_telemetry_conflicting_batches_total", "Batches refused because another copy of the device had sent their sequence.", nil, nil)
	pending    = prometheus.NewDesc("vedette_telemetry_journal_bytes", "Acknowledged bytes that are not in segments yet.", nil, nil)
	segments   = prometheus.NewDesc("vedette_telemetry_segments", "Segment files.", nil, nil)
	workers    = prometheus.NewDesc("vedette_query_workers", "Query workers alive.", nil, nil)
)

// Describe implements prometheus.Collector.
func (storeMetrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{committed, duplicates, conflicts, pending, segments, workers} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (m storeMetrics) Collect(ch chan<- prometheus.Metric) {
	s := m.store.Status()
	for _, v := range []struct {
		desc  *prometheus.Desc
		kind  prometheus.ValueType
		value float64
	}{
		{committed, prometheus.CounterValue, float64(s.Committed)},
		{duplicates, prometheus.CounterValue, float64(s.Duplicates)},
		{conflicts, prometheus.CounterValue, float64(s.Conflicts)},
		{pending, prometheus.GaugeValue, float64(s.JournalSize)},
		{segments, prometheus.GaugeValue, float64(s.Segments)},
		{workers, prometheus.GaugeValue, float64(s.Workers)},
	} {
		ch <- prometheus.MustNewConstMetric(v.desc, v.kind, v.value)
	}
}
