package gateway

import (
	"errors"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/vedette-edr/vedette/server/errs"
)

type metrics struct {
	calls    *prometheus.CounterVec
	refusals *prometheus.CounterVec
	enrolled *prometheus.CounterVec
	watching prometheus.Gauge
	live     prometheus.Gauge
	broken   prometheus.Counter
}

func newMetrics(r prometheus.Registerer) *metrics {
	opts := func(name, help string) prometheus.Opts {
		return prometheus.Opts{Namespace: "vedette", Subsystem: "gateway", Name: name, Help: help}
	}
	m := &metrics{
		calls:    prometheus.NewCounterVec(prometheus.CounterOpts(opts("calls_total", "Calls of agents, by method and kind of error.")), []string{"method", "error"}),
		refusals: prometheus.NewCounterVec(prometheus.CounterOpts(opts("refusals_total", "Calls refused before their handler, by code.")), []string{"code"}),
		enrolled: prometheus.NewCounterVec(prometheus.CounterOpts(opts("enrolments_total", "Enrolments, by what became of them.")), []string{"outcome"}),
		watching: prometheus.NewGauge(prometheus.GaugeOpts(opts("watching", "Devices connected for nudges."))),
		live:     prometheus.NewGauge(prometheus.GaugeOpts(opts("live_sessions", "Streams of live response sessions that are open."))),
		broken:   prometheus.NewCounter(prometheus.CounterOpts(opts("broken_answers_total", "Answers that could not be written."))),
	}
	for _, o := range []string{"new", "again", "refused", "limited"} {
		m.enrolled.WithLabelValues(o)
	}
	if r != nil {
		r.MustRegister(m.calls, m.refusals, m.enrolled, m.watching, m.live, m.broken)
	}
	return m
}

func (m *metrics) called(procedure string, err error) {
	kind := ""
	if err != nil {
		kind = errs.KindOf(err).String()
	}
	m.calls.WithLabelValues(procedure[strings.LastIndexByte(procedure, '/')+1:], kind).Inc()
}

func (m *metrics) refused(err error) {
	var e *errs.E
	code := "Internal"
	if errors.As(err, &e) && e.Code != "" {
		code = string(e.Code)
	}
	m.refusals.WithLabelValues(code).Inc()
}
