// Package server builds the server out of its parts and runs it. It is the only package
// that knows every other; it holds wiring and nothing else.
//
// New opens what is on disk and connects the parts in the order in which they stand on
// each other; Run serves until its context ends and closes them in reverse. control.go
// wires the control plane, stream.go the way of telemetry, front.go what clients see.
package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"golang.org/x/sync/errgroup"

	"github.com/vedette-edr/vedette/server/expert"
	"github.com/vedette-edr/vedette/server/gateway"
	"github.com/vedette-edr/vedette/server/health"
)

// Server is a server that is ready to run.
type Server struct {
	cfg           Config
	metrics       *prometheus.Registry
	policyReports prometheus.Counter
	health        *health.Registry
	where         *whereabouts
	control       *control
	detect        *detections
	stream        *stream
	gateway       *gateway.Gateway
	experts       *expert.Service
	front         *front
	unlock        func()

	listeners *listeners
}

// New opens the data directory and builds the server. On an empty directory it makes the
// first tenant and its credentials and writes bootstrap.json. The caller must Run what it
// got, which also closes it.
func New(ctx context.Context, c Config) (*Server, error) {
	c.defaults()
	if c.DataDir == "" || c.Listen == "" {
		return nil, errors.New("a data directory and an address to listen on are needed")
	}
	dir, err := filepath.Abs(c.DataDir)
	if err != nil {
		return nil, err
	}
	c.DataDir = dir
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	unlock, err := lock(ctx, dir)
	if err != nil {
		return nil, err
	}
	s := &Server{cfg: c, unlock: unlock, metrics: prometheus.NewRegistry(), health: health.New(c.Clock())}
	s.policyReports = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "vedette_portal_policy_reports_total", Help: "Reports of browsers that a page of the portal broke its content security policy.",
	})
	s.metrics.MustRegister(collectors.NewGoCollector(), s.health, s.policyReports,
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	// Before anything is opened or made: an address that is taken is a slip of the pen,
	// not the beginning of a server.
	if s.listeners, err = listen(c); err == nil {
		if s.where, err = locate(c); err == nil {
			err = s.build(ctx)
		}
	}
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *Server) build(ctx context.Context) error {
	var err error
	if s.control, err = newControl(ctx, s); err != nil {
		return err
	}
	if s.detect, err = newDetections(ctx, s); err != nil {
		return err
	}
	if s.stream, err = newStream(ctx, s); err != nil {
		return err
	}
	s.detect.connect(s.stream)
	s.experts = newExperts(s)
	s.gateway = gateway.New(gateway.Config{
		CA: s.control.ca, Devices: s.control.devices, Ingest: s.stream.pipeline,
		Commands: commands{s.control.dispatch, s.control.live}, Sessions: s.control.live, Indicators: s.control.indicators, Inventory: s.control.vulnerabilities, Transfers: s.control.transfers, Metrics: s.metrics, Clock: s.cfg.Clock,
	})
	s.control.nudges.gateway.Store(s.gateway)
	s.front, err = newFront(s)
	return err
}

// Run serves until ctx ends or a part fails, then closes the server.
func (s *Server) Run(ctx context.Context) error {
	defer s.close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	g, ctx := errgroup.WithContext(ctx)
	s.control.run(ctx, g)
	s.stream.run(ctx, g)
	s.detect.run(ctx, g)
	g.Go(func() error { return s.experts.Run(ctx) })
	s.front.run(ctx, g)
	s.cfg.Log.Info("serving", "address", s.listeners.tls.Addr().String(), "url", s.where.url, "data", s.cfg.DataDir, "version", s.cfg.Version)
	err := g.Wait()
	if errors.Is(err, context.Canceled) {
		err = nil
	}
	s.cfg.Log.Info("stopped", "err", err)
	return err
}

func (s *Server) close() {
	if s.listeners != nil {
		s.listeners.close()
	}
	if s.detect != nil {
		s.detect.close()
	}
	if s.stream != nil {
		s.stream.close()
	}
	if s.control != nil {
		s.control.close()
	}
	s.unlock()
}

// whereabouts is where the server can be reached.
type whereabouts struct {
	url   string   // shown to clients
	urls  []string // all that tokens may be asked for
	hosts []string // names and addresses for the certificate
}

func locate(c Config) (*whereabouts, error) {
	host, port, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return nil, fmt.Errorf("listen %q: %w", c.Listen, err)
	}
	w := &whereabouts{hosts: append([]string{}, c.Names...)}
	if ip := net.ParseIP(host); host != "" && (ip == nil || !ip.IsUnspecified()) {
		w.hosts = append(w.hosts, host)
	}
	w.hosts = append(w.hosts, "localhost")
	if name, err := os.Hostname(); err == nil {
		w.hosts = append(w.hosts, name)
	}
	ifs, err := net.InterfaceAddrs()
	if err != nil {
		return nil, err
	}
	for _, a := range ifs {
		if n, ok := a.(*net.IPNet); ok {
			if !n.IP.IsLinkLocalUnicast() {
				w.hosts = append(w.hosts, n.IP.String())
			}
		}
	}
	for _, h := range w.hosts {
		w.urls = append(w.urls, "https://"+net.JoinHostPort(h, port))
	}
	if c.ListenHTTP != "" {
		w.urls = append(w.urls, "http://"+c.ListenHTTP)
	}
	w.url = w.urls[0]
	return w, nil
}

// origin is the server's address by the name under which a request came, when that is one of
// its own, whatever port a proxy in front of it has; otherwise the one shown to clients.
func (w *whereabouts) origin(r *http.Request) string {
	host := r.Host
	if h, _, err := net.SplitHostPort(r.Host); err == nil {
		host = h
	}
	if !slices.ContainsFunc(w.hosts, func(h string) bool { return strings.EqualFold(h, strings.Trim(host, "[]")) }) {
		return w.url
	}
	if r.TLS == nil {
		return "http://" + r.Host
	}
	return "https://" + r.Host
}

// own reports whether the address is one of this machine's now. When its addresses cannot
// be had, every one might be.
func own(addr string) bool {
	ip := net.ParseIP(addr)
	if ip == nil {
		return false
	}
	if ip.IsLoopback() {
		return true
	}
	ifs, err := net.InterfaceAddrs()
	return err != nil || slices.ContainsFunc(ifs, func(a net.Addr) bool {
		n, ok := a.(*net.IPNet)
		return ok && n.IP.Equal(ip)
	})
}

// every calls f at once and then each interval until ctx ends.
func every(ctx context.Context, interval time.Duration, f func(context.Context)) error {
	t := time.NewTicker(interval)
	defer t.Stop()
	for {
		f(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
	}
}
