package ingest

import (
	"errors"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/telemetry"
)

type metrics struct {
	batches     *prometheus.CounterVec
	events      prometheus.Counter
	lost        prometheus.Counter
	bytes       prometheus.Counter
	alerts      prometheus.Counter
	touchFailed prometheus.Counter
	detect      prometheus.Histogram
	append      prometheus.Histogram
	total       prometheus.Histogram
}

// The outcomes of a batch, beside the two of telemetry.Ack.
var outcomes = map[errs.Code]string{
	errs.BatchMalformed: "malformed", errs.BatchForeign: "foreign", errs.DeviceCloned: "cloned",
	errs.StoreFull: "store_full", errs.ServiceDegraded: "degraded",
}

func newMetrics(r prometheus.Registerer) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "vedette", Subsystem: "ingest", Name: name, Help: help})
	}
	histogram := func(name, help string) prometheus.Histogram {
		return prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: "vedette", Subsystem: "ingest", Name: name, Help: help,
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 14)})
	}
	m := &metrics{
		batches: prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "vedette", Subsystem: "ingest", Name: "batches_total",
			Help: "Batches that devices sent, by what became of them."}, []string{"outcome"}),
		events:      counter("events_total", "Events committed."),
		lost:        counter("events_lost_total", "Events that devices counted as lost, in batches committed."),
		bytes:       counter("bytes_total", "Bytes of the batches committed."),
		alerts:      counter("alerts_total", "New alerts kept."),
		touchFailed: counter("touch_failures_total", "Failed writes of devices' signs of life; they are tried again."),
		detect:      histogram("detect_seconds", "Time to examine a batch."),
		append:      histogram("append_seconds", "Time until a batch is on stable storage."),
		total:       histogram("push_seconds", "Time from a batch's arrival to its acknowledgement."),
	}
	for _, o := range []string{"committed", "duplicate", "malformed", "foreign", "cloned", "store_full", "degraded", "refused"} {
		m.batches.WithLabelValues(o) // so that each is there from the start, as 0
	}
	if r != nil {
		r.MustRegister(m.batches, m.events, m.lost, m.bytes, m.alerts, m.touchFailed, m.detect, m.append, m.total)
	}
	return m
}

func (m *metrics) count(a telemetry.Ack, err error) {
	outcome := "committed"
	var e *errs.E
	switch {
	case err != nil && errors.As(err, &e) && outcomes[e.Code] != "":
		outcome = outcomes[e.Code]
	case err != nil:
		outcome = "refused"
	case a == telemetry.Duplicate:
		outcome = "duplicate"
	}
	m.batches.WithLabelValues(strings.ToLower(outcome)).Inc()
}

func (m *metrics) kept(a telemetry.Ack, b *telemetry.Batch, took time.Duration) {
	m.total.Observe(took.Seconds())
	if a == telemetry.Duplicate {
		return
	}
	m.events.Add(float64(len(b.Events)))
	m.bytes.Add(float64(len(b.Raw)))
	for _, g := range b.Gaps {
		m.lost.Add(float64(g.Count))
	}
}
