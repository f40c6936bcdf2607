// Package health collects what the server's parts say of themselves and answers it to
// probes, operators and metrics.
//
// A part is working, degraded (it serves, but something is lost or postponed; it recovers
// by itself or says what to do) or failed (it cannot serve). Parts are asked when somebody
// asks the Registry; nothing is cached, so a check must answer within milliseconds.
package health

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// State is how well a part works.
type State string

// The states of a part.
const (
	Working  State = "ok"
	Degraded State = "degraded"
	Failed   State = "failed"
)

// Report is what one part says.
type Report struct {
	Part   string `json:"part"`
	State  State  `json:"state"`
	Detail string `json:"detail,omitempty"` // for people: why it is not Working and what to do, or what could be better
}

// Check asks a part. It sets State and Detail; the Registry adds Part.
type Check func(ctx context.Context) Report

// OK is the report of a part that works.
func OK() Report { return Report{State: Working} }

// Registry holds the checks of one server. It is safe for concurrent use.
type Registry struct {
	started time.Time

	mu    sync.Mutex
	parts []string
	check map[string]Check
}

// New returns an empty registry; started is when the server began.
func New(started time.Time) *Registry {
	return &Registry{started: started, check: map[string]Check{}}
}

// Add registers the check of a part. Parts are reported in the order they were added.
func (r *Registry) Add(part string, c Check) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.check[part]; !ok {
		r.parts = append(r.parts, part)
	}
	r.check[part] = c
}

// Summary is the state of the whole server.
type Summary struct {
	Status  State     `json:"status"` // the worst of the parts
	Started time.Time `json:"started"`
	Parts   []Report  `json:"parts"`
}

// Ask asks every part.
func (r *Registry) Ask(ctx context.Context) Summary {
	r.mu.Lock()
	parts := append([]string(nil), r.parts...)
	checks := make([]Check, len(parts))
	for i, p := range parts {
		checks[i] = r.check[p]
	}
	r.mu.Unlock()
	s := Summary{Status: Working, Started: r.started.UTC(), Parts: make([]Report, len(parts))}
	for i, c := range checks {
		rep := c(ctx)
		rep.Part = parts[i]
		s.Parts[i] = rep
		if rep.State == Failed || rep.State == Degraded && s.Status == Working {
			s.Status = rep.State
		}
	}
	return s
}

// Live answers /healthz: the process serves requests.
func (r *Registry) Live(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Write([]byte("ok\n"))
}

// Brief returns s without the details, which may name paths and limits of the server: for
// callers that nobody has authenticated.
func (s Summary) Brief() Summary {
	parts := make([]Report, len(s.Parts))
	for i, p := range s.Parts {
		parts[i] = Report{Part: p.Part, State: p.State}
	}
	s.Parts = parts
	return s
}

// Ready answers /readyz with the Summary, or its Brief unless trusted: 200 while every
// part can serve, degraded ones included, 503 when one failed.
func (r *Registry) Ready(w http.ResponseWriter, req *http.Request, trusted bool) {
	ctx, cancel := context.WithTimeout(req.Context(), 5*time.Second)
	defer cancel()
	s := r.Ask(ctx)
	if !trusted {
		s = s.Brief()
	}
	w.Header().Set("Content-Type", "application/json")
	if s.Status == Failed {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	json.NewEncoder(w).Encode(s)
}

var (
	partState = prometheus.NewDesc("vedette_part_state", "1 for the state a part of the server is in.", []string{"part", "state"}, nil)
	startTime = prometheus.NewDesc("vedette_start_time_seconds", "When the server started, Unix time.", nil, nil)
)

// Describe implements prometheus.Collector.
func (r *Registry) Describe(ch chan<- *prometheus.Desc) {
	ch <- partState
	ch <- startTime
}

// Collect implements prometheus.Collector.
func (r *Registry) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	ch <- prometheus.MustNewConstMetric(startTime, prometheus.GaugeValue, float64(r.started.Unix()))
	for _, rep := range r.Ask(ctx).Parts {
		for _, s := range []State{Working, Degraded, Failed} {
			v := 0.0
			if rep.State == s {
				v = 1
			}
			ch <- prometheus.MustNewConstMetric(partState, prometheus.GaugeValue, v, rep.Part, string(s))
		}
	}
}
