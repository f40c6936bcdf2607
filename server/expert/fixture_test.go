package expert_test

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/httptest"
	"net/mail"
	"net/netip"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/vedette-edr/vedette/schema/event"
	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/action"
	"github.com/vedette-edr/vedette/server/alert"
	"github.com/vedette-edr/vedette/server/audit"
	"github.com/vedette-edr/vedette/server/blob"
	mailer "github.com/vedette-edr/vedette/server/connector/mail"
	"github.com/vedette-edr/vedette/server/connector/webhook"
	"github.com/vedette-edr/vedette/server/device"
	"github.com/vedette-edr/vedette/server/expert"
	"github.com/vedette-edr/vedette/server/hunt"
	"github.com/vedette-edr/vedette/server/hunt/hunttest"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/incident"
	"github.com/vedette-edr/vedette/server/notify"
	"github.com/vedette-edr/vedette/server/outbound"
	"github.com/vedette-edr/vedette/server/store"
)

const tenant ident.TenantID = "aaaaaaaa-0000-4000-8000-000000000001"

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// dev is the id of a device, alertID of an alert.
func dev(n int) ident.DeviceID    { return ident.DeviceID(fmt.Sprintf("%040x", n)) }
func alertID(n int) ident.AlertID { return ident.AlertID(fmt.Sprintf("da%018d_1", n)) }

// person is somebody with every right, who sees these device groups, or all without any.
func person(name string, groups ...int64) *access.Principal {
	p := &access.Principal{Actor: ident.Actor{Kind: ident.ActorUser, ID: name, Name: name, Tenant: tenant}, Scope: access.Everything, Rights: access.Rights()}
	for _, u := range access.Usages() {
		p.Scopes = append(p.Scopes, u.Delegated...)
	}
	if len(groups) > 0 {
		p.Scope = access.Scope{Groups: groups}
	}
	return p
}

// inbox is an SMTP server by other hands, which keeps what it was given.
type inbox struct {
	addr string

	mu     sync.Mutex
	raw    [][]byte
	refuse error
}

type smtpSession struct{ box *inbox }

func (s *smtpSession) Reset()                               {}
func (s *smtpSession) Logout() error                        { return nil }
func (s *smtpSession) Rcpt(string, *smtp.RcptOptions) error { return nil }
func (s *smtpSession) Mail(string, *smtp.MailOptions) error {
	s.box.mu.Lock()
	defer s.box.mu.Unlock()
	return s.box.refuse
}
func (s *smtpSession) Data(r io.Reader) error {
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	s.box.mu.Lock()
	defer s.box.mu.Unlock()
	s.box.raw = append(s.box.raw, b)
	return nil
}

func (b *inbox) say(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refuse = err
}

func (b *inbox) got() [][]byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.raw
}

// call is one request to the web hook.
type call struct {
	head http.Header
	body []byte
}

// hook is a web hook that answers as it is told.
type hook struct {
	*httptest.Server
	mu     sync.Mutex
	calls  []call
	status int
	text   string
}

func (h *hook) say(status int, text string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.status, h.text = status, text
}

func (h *hook) got() []call {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.calls
}

type fixture struct {
	t    *testing.T
	dir  string
	now  time.Time
	rows *hunttest.Memory
	box  *inbox
	hook *hook
	tls  *tls.Config

	store     *store.Store
	blobs     *blob.Dir
	alerts    *alert.Service
	incidents *incident.Service
	actions   *action.Service
	dispatch  *action.Dispatcher
	notices   *notify.Service
	sender    *notify.Sender
	log       *audit.Chain
	experts   *expert.Service
	failures  []error
}

func setup(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{t: t, dir: t.TempDir(), now: noon, rows: &hunttest.Memory{}, box: &inbox{}, hook: &hook{status: 200}}
	f.hook.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body) // what came is what is kept
		f.hook.mu.Lock()
		defer f.hook.mu.Unlock()
		f.hook.calls = append(f.hook.calls, call{r.Header.Clone(), b})
		w.WriteHeader(f.hook.status)
		_, _ = io.WriteString(w, f.hook.text) // whoever calls may be gone
	}))
	t.Cleanup(f.hook.Close)
	// The certificate of httptest is for 127.0.0.1 too.
	s := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &smtpSession{f.box}, nil }))
	s.Domain, s.TLSConfig = "mail.example", &tls.Config{Certificates: f.hook.TLS.Certificates}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f.box.addr = l.Addr().String()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Serve(l) // ends with Close
	}()
	t.Cleanup(func() {
		_ = s.Close()
		<-done
	})
	roots := x509.NewCertPool()
	roots.AddCert(f.hook.Certificate())
	f.tls = &tls.Config{RootCAs: roots}
	f.open()
	t.Cleanup(func() { f.store.Close() })
	return f
}

// open builds the parts as the server does.
func (f *fixture) open() {
	t := f.t
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	s, err := store.Open(t.Context(), store.Config{Dir: f.dir})
	must(err)
	f.store = s
	f.blobs, err = blob.Open(filepath.Join(f.dir, "blob"))
	must(err)
	clock := func() time.Time { return f.now }
	f.log = audit.New(s.Audit(), s.Key().Derive("audit"), clock)
	m, err := mailer.Open(mailer.Config{URL: "smtp://" + f.box.addr, From: "Vedette <edr@vedette.example>", TLS: f.tls})
	must(err)
	f.notices = notify.New(notify.Config{Store: s.Notifications(), Sealer: s.Key(), Audit: f.log, Clock: clock, Atomic: s.Atomic})
	hooks := webhook.New(webhook.Config{Guard: outbound.Guard{Allowed: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}, TLS: f.tls, Clock: clock})
	t.Cleanup(hooks.Close)
	f.sender = notify.NewSender(f.notices, m, hooks, f.blobs, slog.New(slog.DiscardHandler))
	f.incidents = incident.New(incident.Config{Store: s.Incidents(), Links: s.Incidents(), Clock: clock, Atomic: s.Atomic})
	f.alerts = alert.NewService(alert.Config{Store: s.Alerts(), Suppressions: s.Alerts(), Clock: clock, Atomic: s.Atomic, Observers: []alert.Observer{f.incidents}})
	f.incidents.Use(f.alerts)
	devices := device.New(device.Config{Store: s.Devices(), Tokens: s.Tokens(), Clock: clock})
	cfg := action.Config{Store: s.Actions(), Devices: devices, Policies: s.Actions(), Blobs: f.blobs, Audit: f.log, Clock: clock, Atomic: s.Atomic}
	f.actions, f.dispatch = action.NewService(cfg), action.NewDispatcher(cfg)
	hunts := hunt.New(hunt.Config{Store: f.rows, Audit: f.log, Clock: clock})
	f.experts = expert.New(expert.Config{Receivers: s.Experts(), Cases: s.Experts(), Alerts: f.alerts, Incidents: f.incidents, Devices: devices, Actions: f.actions,
		Executor: f.dispatch, Telemetry: hunts, Outbox: f.notices, Sender: f.sender, Blobs: f.blobs, Audit: f.log, LinkKey: s.Key().Derive("expert-link"),
		URL: "https://edr.example", Version: "1.2.3", Clock: clock, Atomic: s.Atomic, Failed: func(_ *expert.Case, err error) { f.failures = append(f.failures, err) }})
}

// restart ends the server and begins it anew on what is on the disk.
func (f *fixture) restart() {
	f.t.Helper()
	if err := f.store.Close(); err != nil {
		f.t.Fatal(err)
	}
	f.open()
}

// device keeps a device whose agent collects packages.
func (f *fixture) device(n int, name string, group int64) {
	f.t.Helper()
	err := f.store.Devices().Create(f.t.Context(), &device.Device{ID: dev(n), Tenant: tenant, Name: name, Platform: "Linux", Incarnation: 1, Group: group,
		FirstSeen: noon, LastSeen: noon, LastReport: noon, Tags: []string{"web"}, Inventory: device.Inventory{Hostname: name, Platform: "Linux"}})
	if err != nil {
		f.t.Fatal(err)
	}
}

// alert raises an alert about a process of a device, with three events around it.
func (f *fixture) alert(n, on int, title string) *alert.Alert {
	f.t.Helper()
	start := noon.Add(-10 * time.Minute)
	a := &alert.Alert{ID: alertID(n), Tenant: tenant, Device: dev(on), DeviceName: fmt.Sprintf("host%d", on), Title: title, Severity: alert.High, Category: "Execution",
		DetectionSource: "CustomDetection", FirstEvent: start, LastEvent: start, Comments: []alert.Comment{{Text: "between us", By: "ada", Created: noon}},
		Evidence: []alert.Evidence{{Type: "Process", ProcessID: 11, ProcessCreated: start, FileName: "curl", FilePath: "/usr/bin/curl", CommandLine: "curl x"}}}
	if _, err := f.alerts.Raise(f.t.Context(), []*alert.Alert{a}); err != nil {
		f.t.Fatal(err)
	}
	bash := &event.Process{PID: 10, Start: start.Add(-time.Hour), CommandLine: `bash -c "x"`, Image: event.File{Name: "bash", Path: "/usr/bin/bash", Size: -1}}
	f.rows.Add(tenant, event.Origin{DeviceID: string(dev(on)), DeviceName: fmt.Sprintf("host%d", on), ReportID: int64(100 * n)},
		&event.Event{Table: event.ProcessEvents, Action: "ProcessCreated", Time: start, Initiating: bash,
			Process: &event.Process{PID: 11, Start: start, CommandLine: `=cmd|'/c calc'!A1`, Image: event.File{Name: "curl", Path: "/usr/bin/curl", Size: -1}}},
		&event.Event{Table: event.FileEvents, Action: "FileCreated", Time: start.Add(time.Second), Initiating: bash, File: &event.File{Name: "a\n\"b\",=1+1", Path: "/tmp/a", Size: 0}},
		&event.Event{Table: event.NetworkEvents, Action: "ConnectionAttempt", Time: start.Add(2 * time.Second), Initiating: bash, Network: &event.Network{RemoteIP: "203.0.113.7", RemotePort: 443, Protocol: "Tcp"}},
		&event.Event{Table: event.DeviceEvents, Action: "LongAgo", Time: start.Add(-48 * time.Hour), Initiating: bash})
	return a
}

// receiver keeps somebody to hand cases to.
func (f *fixture) receiver(r expert.Receiver) ident.ReceiverID {
	f.t.Helper()
	r.Name, r.Enabled = "IR team", true
	out, err := f.experts.CreateReceiver(f.t.Context(), person("root"), r)
	if err != nil {
		f.t.Fatal(err)
	}
	return out.ID
}

// ask asks as a person would, through a request of theirs.
func (f *fixture) ask(by *access.Principal, q expert.Question) *expert.Case {
	f.t.Helper()
	c, _, err := f.experts.Ask(access.WithPrincipal(f.t.Context(), by), by, q)
	if err != nil {
		f.t.Fatal(err)
	}
	return c
}

// run lets the server do what it does by itself until nothing is left to do.
func (f *fixture) run() {
	f.t.Helper()
	for range 5 {
		if err := f.experts.Work(f.t.Context()); err != nil {
			f.t.Fatal(err)
		}
		if err := f.sender.SendParcels(f.t.Context()); err != nil {
			f.t.Fatal(err)
		}
	}
}

// state is where a case and its action stand.
func (f *fixture) state(id ident.ActionID) (*expert.Case, *action.Action) {
	f.t.Helper()
	c, err := f.experts.Case(f.t.Context(), tenant, id)
	if err != nil {
		f.t.Fatal(err)
	}
	a, err := f.actions.Get(f.t.Context(), tenant, id)
	if err != nil {
		f.t.Fatal(err)
	}
	return c, a
}

// want checks the state of a case.
func (f *fixture) want(id ident.ActionID, want action.State) (*expert.Case, *action.Action) {
	f.t.Helper()
	c, a := f.state(id)
	if a.State != want || c.Open != a.State.Open() {
		f.t.Fatalf("the action is %s, the case open: %v; want %s; steps %+v; %v", a.State, c.Open, want, a.Steps, f.failures)
	}
	return c, a
}

// letter is a mail as its receiver reads it.
type letter struct {
	head mail.Header
	text string
	name string // of the attachment, "" for none
	file []byte
}

// read takes a mail apart with the standard library, which did not make it.
func read(t *testing.T, raw []byte) letter {
	t.Helper()
	m, err := mail.ReadMessage(newReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	out := letter{head: m.Header}
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	if kind == "text/plain" {
		out.text = decoded(t, m.Header.Get("Content-Transfer-Encoding"), m.Body)
		return out
	}
	r := multipart.NewReader(m.Body, params["boundary"])
	for {
		p, err := r.NextRawPart()
		if err == io.EOF {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		text := decoded(t, p.Header.Get("Content-Transfer-Encoding"), p)
		if p.FileName() == "" {
			out.text = text
			continue
		}
		out.name, out.file = p.FileName(), []byte(text)
	}
}
