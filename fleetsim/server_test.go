package fleetsim_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/vedette-edr/vedette/fleetsim"
	"github.com/vedette-edr/vedette/schema/event"
	"github.com/vedette-edr/vedette/server/action"
	"github.com/vedette-edr/vedette/server/alert"
	"github.com/vedette-edr/vedette/server/audit"
	"github.com/vedette-edr/vedette/server/blob"
	"github.com/vedette-edr/vedette/server/ca"
	"github.com/vedette-edr/vedette/server/device"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/gateway"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/ingest"
	"github.com/vedette-edr/vedette/server/library"
	"github.com/vedette-edr/vedette/server/store"
	"github.com/vedette-edr/vedette/server/telemetry"
	"github.com/vedette-edr/vedette/server/transfer"
)

const tenant ident.TenantID = "11111111-2222-3333-4444-555555555555"

// memory is a telemetry.Appender in memory with the contract's rules: each sequence is
// kept once with its hash.
type memory struct {
	mu    sync.Mutex
	kept  map[key]*telemetry.Batch
	order []*telemetry.Batch
	rows  map[string][]telemetry.Row
	full  bool
}

type key struct {
	device      ident.DeviceID
	incarnation uint64
	sequence    uint64
}

var _ telemetry.Appender = (*memory)(nil)

func (m *memory) Append(_ context.Context, b *telemetry.Batch) (telemetry.Ack, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.full {
		return 0, &errs.E{Op: "memory.Append", Kind: errs.Unavailable, Code: errs.StoreFull, Detail: "the disk is full", Retry: 20 * time.Millisecond}
	}
	k := key{b.Device, b.Incarnation, b.Sequence}
	if old := m.kept[k]; old != nil {
		if old.Hash != b.Hash {
			return 0, errs.New("memory.Append", errs.Conflict, errs.DeviceCloned, "sequence %d was committed with another hash", b.Sequence)
		}
		return telemetry.Duplicate, nil
	}
	m.kept[k] = b
	m.order = append(m.order, b)
	return telemetry.Committed, nil
}

func (m *memory) AppendRows(_ context.Context, _ ident.TenantID, table string, rows []telemetry.Row) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.rows[table] = append(m.rows[table], rows...)
	return nil
}

func (m *memory) setFull(v bool) {
	m.mu.Lock()
	m.full = v
	m.mu.Unlock()
}

func (m *memory) batches(id string) []*telemetry.Batch {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []*telemetry.Batch
	for _, b := range m.order {
		if string(b.Device) == id || id == "" {
			out = append(out, b)
		}
	}
	return out
}

func (m *memory) events(id string) []*event.Event {
	var out []*event.Event
	for _, b := range m.batches(id) {
		out = append(out, b.Events...)
	}
	return out
}

// byAction finds events of one action.
type byAction struct{ action string }

func (d byAction) Match(_ context.Context, b *telemetry.Batch) ([]*alert.Alert, error) {
	var out []*alert.Alert
	for i, e := range b.Events {
		if e.Action == d.action {
			out = append(out, &alert.Alert{ID: alert.NewID("test", b.Device, b.Incarnation, b.Sequence, i), Tenant: b.Tenant, Device: b.Device, Title: d.action})
		}
	}
	return out, nil
}

// server is the agent-facing part of the real server, on real TLS.
type server struct {
	t         testing.TB
	dir       string
	store     *store.Store
	ca        *ca.CA
	devices   *device.Service
	actions   *action.Service
	dispatch  *action.Dispatcher
	later     *action.Dispatcher              // whose clock is ahead: it gives up early
	fault     func(string)                    // of the action machine; nil for nothing
	between   func(http.Handler) http.Handler // agents and the gateway; nil for nothing
	blobs     *blob.Dir
	library   *library.Service
	alerts    *alert.Service
	memory    *memory
	registry  *prometheus.Registry
	gateway   *gateway.Gateway
	token     string
	address   string
	http      *http.Server
	cancel    context.CancelFunc
	ended     chan error
	heartbeat time.Duration
	commands  gateway.Commands // nil for the dispatcher of actions
	feed      *feed
}

func start(t testing.TB, change ...func(*ca.Config)) *server {
	t.Helper()
	s := open(t, t.TempDir(), change...)
	s.address = "127.0.0.1:0"
	s.up()
	t.Cleanup(s.down)
	return s
}

// open is the server on a directory, which does not listen yet.
func open(t testing.TB, dir string, change ...func(*ca.Config)) *server {
	t.Helper()
	s := &server{t: t, dir: dir, heartbeat: time.Second, feed: &feed{}, memory: &memory{kept: map[key]*telemetry.Batch{}, rows: map[string][]telemetry.Row{}}}
	var err error
	if s.store, err = store.Open(t.Context(), store.Config{Dir: s.dir}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.store.Close() })
	conf := ca.Config{Dir: filepath.Join(s.dir, "ca")}
	for _, c := range change {
		c(&conf)
	}
	if s.ca, err = ca.Open(conf); err != nil {
		t.Fatal(err)
	}
	s.devices = device.New(device.Config{Store: s.store.Devices(), Tokens: s.store.Tokens(), TokenKey: []byte("a key of thirty-two bytes, or so")})
	if s.token, _, err = s.devices.NewToken(t.Context(), tenant, device.TokenRequest{Name: "test", Life: time.Hour}); err != nil {
		t.Fatal(err)
	}
	return s
}

// up starts the listener, at the same address as before.
func (s *server) up() {
	s.t.Helper()
	s.registry = prometheus.NewRegistry()
	s.alerts = alert.NewService(alert.Config{Store: s.store.Alerts()})
	pipeline := ingest.New(ingest.Config{Appender: s.memory, Detector: byAction{"Suspicious"}, Alerts: s.alerts, Devices: s.devices, Metrics: s.registry})
	var err error
	if s.blobs, err = blob.Open(filepath.Join(s.dir, "blob")); err != nil {
		s.t.Fatal(err)
	}
	s.library = library.New(library.Config{Store: s.store.Library(), Blobs: s.blobs})
	dispatch := action.Config{Store: s.store.Actions(), Devices: s.devices, Nudger: nudger{s}, Policies: s.store.Actions(), Blobs: s.blobs, Library: s.library,
		Envelopes: gateway.Envelopes{}, Audit: audit.New(s.store.Audit(), s.store.Key().Derive("audit"), nil), Atomic: s.store.Atomic, Fault: s.fault}
	s.actions, s.dispatch = action.NewService(dispatch), action.NewDispatcher(dispatch)
	dispatch.Clock = func() time.Time { return time.Now().Add(90 * time.Minute) }
	s.later = action.NewDispatcher(dispatch)
	transfers, err := transfer.New(transfer.Config{Blobs: s.blobs, Owners: []transfer.Owner{s.dispatch}})
	if err != nil {
		s.t.Fatal(err)
	}
	var commands gateway.Commands = s.dispatch
	if s.commands != nil {
		commands = s.commands
	}
	s.gateway = gateway.New(gateway.Config{CA: s.ca, Devices: s.devices, Ingest: pipeline, Commands: commands,
		Indicators: s.feed, Transfers: transfers, Metrics: s.registry, Heartbeat: s.heartbeat})
	conf, err := s.gateway.TLSConfig([]string{"localhost", "127.0.0.1"}, tls.Certificate{})
	if err != nil {
		s.t.Fatal(err)
	}
	var l net.Listener
	eventually(s.t, "the address is free", func() bool { l, err = net.Listen("tcp", s.address); return err == nil })
	s.address = l.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel, s.ended = cancel, make(chan error, 2)
	go func() { s.ended <- pipeline.Run(ctx) }()
	handler := s.gateway.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "the API")
	}))
	if s.between != nil {
		handler = s.between(handler)
	}
	s.http = &http.Server{Handler: handler, TLSConfig: conf, ErrorLog: log.New(io.Discard, "", 0)}
	go func() { s.ended <- s.http.ServeTLS(l, "", "") }()
}

func (s *server) down() {
	if s.http == nil {
		return
	}
	s.gateway.Close()
	_ = s.http.Close()
	s.cancel()
	for range 2 {
		if err := <-s.ended; err != nil && !errors.Is(err, http.ErrServerClosed) {
			s.t.Error(err)
		}
	}
	s.http = nil
}

type nudger struct{ s *server }

func (n nudger) Nudge(id ident.DeviceID) { n.s.gateway.Nudge(id) }

func (s *server) fleet(n int, change func(*fleetsim.Config)) *fleetsim.Fleet {
	s.t.Helper()
	pem, err := os.ReadFile(s.ca.File())
	if err != nil {
		s.t.Fatal(err)
	}
	c := fleetsim.Config{Server: "https://" + s.address, CA: pem, Token: s.token, Devices: n, Seed: 1, Dir: s.t.TempDir()}
	if change != nil {
		change(&c)
	}
	f, err := fleetsim.New(c)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = f.Close() })
	return f
}

func (s *server) enrolled(n int, change func(*fleetsim.Config)) *fleetsim.Fleet {
	s.t.Helper()
	f := s.fleet(n, change)
	if err := f.Enrol(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	return f
}

func (s *server) device(id string) *device.Device {
	s.t.Helper()
	d, err := s.devices.Get(context.Background(), tenant, ident.DeviceID(id))
	if err != nil {
		s.t.Fatal(err)
	}
	return d
}

// counted returns a metric of one label's value.
func (s *server) counted(name, label string) float64 {
	s.t.Helper()
	fs, err := s.registry.Gather()
	if err != nil {
		s.t.Fatal(err)
	}
	for _, f := range fs {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if l.GetValue() == label {
					return m.GetCounter().GetValue()
				}
			}
		}
	}
	return 0
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within 30 s", what)
		}
	}
}
