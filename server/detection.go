package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/vedette-edr/vedette/content"
	"github.com/vedette-edr/vedette/detection"
	"github.com/vedette-edr/vedette/server/alert"
	"github.com/vedette-edr/vedette/server/bus"
	"github.com/vedette-edr/vedette/server/detect"
	"github.com/vedette-edr/vedette/server/detect/backtest"
	"github.com/vedette-edr/vedette/server/detect/behavior"
	"github.com/vedette-edr/vedette/server/detect/custom"
	"github.com/vedette-edr/vedette/server/detect/lookback"
	"github.com/vedette-edr/vedette/server/hunt"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/indicator"
)

// detections is what finds bad things beside indicators: rule files, custom detection
// rules, backtests.
type detections struct {
	server    *Server
	detector  *behavior.Detector
	library   *behavior.FileLibrary
	rules     *custom.Service
	responder *custom.Responder
	raised    *bus.Subscription[alert.Created]
	runner    *custom.Runner
	backtests *backtest.Service
	lookback  *lookback.Runner
	attack    *detection.Attack
}

// newDetections loads the rules and builds what needs the control plane alone.
func newDetections(ctx context.Context, s *Server) (*detections, error) {
	c := s.control
	d := &detections{server: s}
	text, err := fs.ReadFile(content.FS, "attack.yaml")
	if err != nil {
		return nil, err
	}
	attack, err := detection.ParseAttack(text)
	if err != nil {
		return nil, err
	}
	d.attack = attack
	shipped, err := detection.LoadAll(content.FS, "detections", attack)
	if err != nil {
		return nil, err
	}
	operator, err := loadDirectory(s.cfg, attack)
	if err != nil {
		return nil, err
	}
	for _, l := range append(append([]*detection.Loaded{}, shipped...), operator...) {
		if l.Problem != nil {
			s.cfg.Log.Error("a rule is not used", "rule", l.Path, "err", l.Problem)
		}
	}
	d.detector = behavior.New(behavior.Config{Dir: filepath.Join(s.cfg.DataDir, "detection"), Now: s.cfg.Clock},
		append(behavior.Runnable(operator), behavior.Runnable(shipped)...))
	store := c.store.Detections()
	d.library = behavior.NewLibrary(behavior.LibraryConfig{Store: store, Attack: attack, Detector: d.detector, Shipped: shipped, Operator: operator,
		Audit: c.audit, Clock: s.cfg.Clock, Atomic: c.store.Atomic})
	d.rules = custom.NewService(custom.Config{Store: store, Attack: attack, Capabilities: custom.Offered{}, Audit: c.audit, Clock: s.cfg.Clock,
		Atomic: c.store.Atomic, Changed: d.refresh, Groups: c.groups, GroupOf: func(ctx context.Context, tenant ident.TenantID, id ident.DeviceID) (int64, error) {
			dev, err := c.store.Devices().Get(ctx, tenant, id)
			if err != nil {
				return 0, err
			}
			return dev.Group, nil
		}})
	d.responder = custom.NewResponder(custom.ResponderConfig{Rules: store, Answers: store, Alerts: c.store.Alerts(), Actions: c.actions,
		Indicators: c.indicators, Clock: s.cfg.Clock})
	d.raised = c.raised.Subscribe(4096)
	tenants, err := c.store.Access().Tenants(ctx)
	if err != nil {
		return nil, err
	}
	for _, t := range tenants {
		if err := errors.Join(d.library.Refresh(ctx, t.ID), d.refresh(ctx, t.ID)); err != nil {
			return nil, err
		}
	}
	s.metrics.MustRegister(ruleMetrics{d.detector}, matcherMetrics{c.matcher})
	return d, nil
}

// loadDirectory loads the operator's rules: of the directory that was named, which has to
// be there, or of content/detections in the data directory.
func loadDirectory(c Config, attack *detection.Attack) ([]*detection.Loaded, error) {
	dir := c.Content
	if dir == "" {
		if dir = filepath.Join(c.DataDir, "content", "detections"); !isDirectory(dir) {
			return nil, nil
		}
	}
	list, err := detection.LoadAll(os.DirFS(dir), ".", attack)
	if err != nil {
		return nil, fmt.Errorf("rules of %s: %w", dir, err)
	}
	for _, l := range list {
		l.Path = filepath.Join(dir, l.Path)
	}
	return list, nil
}

func isDirectory(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// all is what every batch goes through.
func (d *detections) all() detect.Detector { return detect.All{d.server.control.matcher, d.detector} }

// connect builds what asks telemetry.
func (d *detections) connect(t *stream) {
	c, cfg := d.server.control, d.server.cfg
	// Apart from people's hunts and their quotas; how many run at a time is the runner's affair.
	hunts := hunt.New(hunt.Config{Store: t.store, Audit: c.audit, Devices: c.groups, Clock: cfg.Clock, External: t.files, Scratch: cfg.DataDir})
	d.runner = custom.NewRunner(custom.RunnerConfig{Store: c.store.Detections(), Hunter: hunts, Alerts: c.alerts, Devices: c.devices, Clock: cfg.Clock,
		Failed: func(r *custom.Rule, err error) {
			if r == nil {
				cfg.Log.Error("looking for detection rules that are due", "err", err)
				return
			}
			cfg.Log.Warn("a detection rule did not run", "tenant", r.Tenant, "rule", r.ID, "err", err)
		}})
	d.lookback = lookback.New(lookback.Config{Store: c.store.Threats(), Hunter: hunts, Alerts: c.alerts, Groups: membership{c.store.Devices()}, Clock: cfg.Clock,
		Failed: func(l indicator.Lookback, err error) {
			cfg.Log.Warn("an indicator was not looked for in past telemetry", "tenant", l.Tenant, "indicator", l.ID, "err", err)
		}})
	d.backtests = backtest.New(backtest.Config{Store: t.store, Hunter: hunts, Devices: c.groups, Clock: cfg.Clock})
}

// refresh makes the detector run a tenant's continuous rules as they are now.
func (d *detections) refresh(ctx context.Context, tenant ident.TenantID) error {
	rules, err := d.rules.Continuous(ctx, tenant, func(r *custom.Rule, err error) {
		d.server.cfg.Log.Error("a continuous detection rule cannot run", "tenant", tenant, "rule", r.ID, "err", err)
	})
	if err == nil {
		d.detector.Replace(tenant, behavior.Custom, rules)
	}
	return err
}

// respondEvery is how often responses that could not be done are tried again.
const respondEvery = 5 * time.Second

func (d *detections) run(ctx context.Context, g *errgroup.Group) {
	log := d.server.cfg.Log
	g.Go(func() error { return d.runner.Run(ctx) })
	g.Go(func() error { return d.lookback.Run(ctx) })
	g.Go(func() error {
		return d.detector.Run(ctx, func(err error) { log.Error("keeping what rules remember", "err", err) })
	})
	g.Go(func() error { return d.respond(ctx) })
	begin := d.server.cfg.Clock()
	g.Go(func() error { d.replay(ctx, begin); return nil })
}

// replay lets rules see what was taken in after their memory was written last.
func (d *detections) replay(ctx context.Context, begin time.Time) {
	log := d.server.cfg.Log
	d.server.stream.settle(ctx)
	d.tenants(ctx, func(id ident.TenantID) {
		found, err := d.detector.Replay(ctx, d.server.stream.store, id, begin.Add(time.Second))
		if err == nil {
			_, err = d.server.control.alerts.Raise(ctx, found)
		}
		if err != nil && ctx.Err() == nil {
			log.Error("rules did not see what came in before the restart", "tenant", id, "err", err)
		}
	})
}

func (d *detections) tenants(ctx context.Context, do func(ident.TenantID)) {
	list, err := d.server.control.store.Access().Tenants(ctx)
	if err != nil {
		d.server.cfg.Log.Error("listing tenants", "err", err)
	}
	for _, t := range list {
		do(t.ID)
	}
}

// respond answers alerts of custom rules as they are raised.
func (d *detections) respond(ctx context.Context) error {
	log := d.server.cfg.Log
	catch := func(since time.Time) {
		d.tenants(ctx, func(id ident.TenantID) {
			if err := d.responder.Catch(ctx, id, since); err != nil && ctx.Err() == nil {
				log.Error("looking for alerts without a response", "tenant", id, "err", err)
			}
		})
	}
	now := d.server.cfg.Clock
	catch(now().Add(-reconcileSpan))
	var dropped uint64
	retry := time.NewTicker(respondEvery)
	defer retry.Stop()
	for {
		if n := d.raised.Dropped(); n != dropped {
			dropped = n
			catch(now().Add(-time.Hour))
		}
		select {
		case <-ctx.Done():
			return nil
		case e, ok := <-d.raised.Events():
			if !ok {
				return nil
			}
			if err := d.responder.Note(ctx, e.Alert); err != nil {
				log.Error("a response was not noted", "alert", e.Alert.ID, "err", err)
				catch(e.Alert.Created)
			}
		case <-retry.C:
		}
		if len(d.raised.Events()) > 0 {
			continue
		}
		if _, err := d.responder.Work(ctx); err != nil && ctx.Err() == nil {
			log.Error("responses to alerts", "err", err)
		}
	}
}

func (d *detections) close() {
	if d.backtests != nil {
		d.backtests.Close()
	}
	d.raised.Close()
}

// ruleMetrics shows what rules do.
type ruleMetrics struct{ detector *behavior.Detector }

var (
	ruleEvents   = prometheus.NewDesc("vedette_rules_events_total", "Events that rules examined.", nil, nil)
	ruleProbes   = prometheus.NewDesc("vedette_rules_probes_total", "Queries that events were put to.", nil, nil)
	ruleFindings = prometheus.NewDesc("vedette_rules_findings_total", "Findings of rules.", nil, nil)
	ruleRepeated = prometheus.NewDesc("vedette_rules_repeated_total", "Findings that belong to one raised before.", nil, nil)
	ruleFailed   = prometheus.NewDesc("vedette_rules_failed_total", "Events that a query could not be run on.", nil, nil)
	ruleKeys     = prometheus.NewDesc("vedette_rules_keys", "Keys that thresholds and sequences remember.", nil, nil)
	ruleEvicted  = prometheus.NewDesc("vedette_rules_evicted_total", "Keys forgotten for want of room.", nil, nil)
)

// Describe implements prometheus.Collector.
func (ruleMetrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{ruleEvents, ruleProbes, ruleFindings, ruleRepeated, ruleFailed, ruleKeys, ruleEvicted} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (m ruleMetrics) Collect(ch chan<- prometheus.Metric) {
	s := m.detector.Stats()
	count := func(d *prometheus.Desc, n uint64) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n))
	}
	count(ruleEvents, s.Events)
	count(ruleProbes, s.Probes)
	count(ruleFindings, s.Findings)
	count(ruleRepeated, s.Repeated)
	count(ruleFailed, s.Failed)
	count(ruleEvicted, s.Evicted)
	ch <- prometheus.MustNewConstMetric(ruleKeys, prometheus.GaugeValue, float64(s.Keys))
}
