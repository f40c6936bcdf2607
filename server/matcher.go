package server

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/vedette-edr/vedette/server/detect/ioc"
)

// matcherMetrics shows what indicators do.
type matcherMetrics struct{ matcher *ioc.Matcher }

var (
	matcherRows       = prometheus.NewDesc("vedette_indicators", "Indicators in force, superseded and expired ones included until they are merged.", nil, nil)
	matcherWaiting    = prometheus.NewDesc("vedette_indicators_unmerged", "Of these, those that changed since the last merge.", nil, nil)
	matcherMerges     = prometheus.NewDesc("vedette_indicator_merges_total", "Merges in the background.", nil, nil)
	matcherEvents     = prometheus.NewDesc("vedette_indicator_events_total", "Events compared with indicators.", nil, nil)
	matcherHits       = prometheus.NewDesc("vedette_indicator_alerts_total", "Alerts raised by indicators, those that the store had already included.", nil, nil)
	matcherSuppressed = prometheus.NewDesc("vedette_indicator_suppressed_total", "Sightings that belong to an alert raised before.", nil, nil)
	matcherFlooded    = prometheus.NewDesc("vedette_indicator_flooded_total", "Sightings of more processes than raise alerts of their own.", nil, nil)
	matcherCapped     = prometheus.NewDesc("vedette_indicator_capped_total", "Indicators that an event hit beyond those that are looked at.", nil, nil)
	matcherUncounted  = prometheus.NewDesc("vedette_indicator_uncounted_total", "Sightings missing in statistics, because the store took none for long.", nil, nil)
)

// Describe implements prometheus.Collector.
func (matcherMetrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{matcherRows, matcherWaiting, matcherMerges, matcherEvents, matcherHits, matcherSuppressed,
		matcherFlooded, matcherCapped, matcherUncounted} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (m matcherMetrics) Collect(ch chan<- prometheus.Metric) {
	s := m.matcher.Stats()
	for d, n := range map[*prometheus.Desc]uint64{matcherMerges: s.Merges, matcherEvents: s.Events, matcherHits: s.Hits, matcherSuppressed: s.Suppressed,
		matcherFlooded: s.Flooded, matcherCapped: s.Capped, matcherUncounted: s.Uncounted} {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n))
	}
	ch <- prometheus.MustNewConstMetric(matcherRows, prometheus.GaugeValue, float64(s.Rows))
	ch <- prometheus.MustNewConstMetric(matcherWaiting, prometheus.GaugeValue, float64(s.Waiting))
}
