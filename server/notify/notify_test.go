package notify_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/mail"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/alert"
	"github.com/vedette-edr/vedette/server/audit"
	mailer "github.com/vedette-edr/vedette/server/connector/mail"
	"github.com/vedette-edr/vedette/server/connector/webhook"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/incident"
	"github.com/vedette-edr/vedette/server/notify"
	"github.com/vedette-edr/vedette/server/outbound"
	"github.com/vedette-edr/vedette/server/store"
)

const tenant ident.TenantID = "0a0a0a0a-0000-4000-8000-000000000001"

var analyst = &access.Principal{Actor: ident.Actor{Kind: ident.ActorUser, ID: "u", Name: "ana@example", Tenant: tenant}}

// call is one request that the web hook's receiver got.
type call struct {
	path, key, signature string
	body                 []byte
}

// receiver is a web hook's other end.
type receiver struct {
	*httptest.Server
	mu     sync.Mutex
	calls  []call
	status int
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{status: http.StatusOK}
	r.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		body, _ := io.ReadAll(q.Body)
		r.mu.Lock()
		defer r.mu.Unlock()
		r.calls = append(r.calls, call{q.URL.Path, q.Header.Get(webhook.KeyHeader), q.Header.Get(webhook.SignatureHeader), body})
		w.WriteHeader(r.status)
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) answer(status int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status = status
}

func (r *receiver) got() []call {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.calls)
}

// postbox is a mail server by other hands, on loopback.
type postbox struct {
	mu     sync.Mutex
	mails  []*mail.Message
	bodies []string
	to     [][]string
	refuse bool
	addr   string
}

type smtpSession struct {
	box *postbox
	to  []string
}

func (s *smtpSession) Reset()        { s.to = nil }
func (s *smtpSession) Logout() error { return nil }
func (s *smtpSession) Mail(string, *smtp.MailOptions) error {
	s.box.mu.Lock()
	defer s.box.mu.Unlock()
	if s.box.refuse {
		return &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 0}, Message: "later"}
	}
	return nil
}
func (s *smtpSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	if strings.HasPrefix(to, "nobody@") {
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "no such user"}
	}
	s.to = append(s.to, to)
	return nil
}
func (s *smtpSession) Data(r io.Reader) error {
	m, err := mail.ReadMessage(r)
	if err != nil {
		return err
	}
	body, err := io.ReadAll(m.Body)
	if err != nil {
		return err
	}
	s.box.mu.Lock()
	defer s.box.mu.Unlock()
	s.box.mails, s.box.bodies, s.box.to = append(s.box.mails, m), append(s.box.bodies, string(body)), append(s.box.to, s.to)
	return nil
}

func newPostbox(t *testing.T, conf *tls.Config) *postbox {
	t.Helper()
	p := &postbox{}
	s := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &smtpSession{box: p}, nil }))
	s.Domain, s.TLSConfig = "mail.example", conf
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p.addr = l.Addr().String()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Serve(l) // ends with Close
	}()
	t.Cleanup(func() {
		_ = s.Close()
		<-done
	})
	return p
}

type fixture struct {
	*notify.Service
	dir    string
	store  *store.Store
	alerts *alert.Service
	sender *notify.Sender
	hook   *receiver
	box    *postbox
	now    time.Time
	n      int
}

func setup(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{dir: t.TempDir(), now: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC), hook: newReceiver(t)}
	// The certificate of httptest is for 127.0.0.1 too.
	f.box = newPostbox(t, &tls.Config{Certificates: f.hook.TLS.Certificates})
	f.open(t)
	t.Cleanup(func() { f.store.Close() })
	return f
}

func (f *fixture) open(t *testing.T) {
	t.Helper()
	s, err := store.Open(t.Context(), store.Config{Dir: f.dir})
	if err != nil {
		t.Fatal(err)
	}
	f.store = s
	clock := func() time.Time { return f.now }
	log := audit.New(s.Audit(), s.Key().Derive("audit"), clock)
	roots := x509.NewCertPool()
	roots.AddCert(f.hook.Certificate())
	trust := &tls.Config{RootCAs: roots}
	m, err := mailer.Open(mailer.Config{URL: "smtp://" + f.box.addr, From: "Vedette <edr@vedette.example>", TLS: trust})
	if err != nil {
		t.Fatal(err)
	}
	f.Service = notify.New(notify.Config{Store: s.Notifications(), Sealer: s.Key(), Audit: log, Clock: clock, URL: "https://edr.example", Atomic: s.Atomic})
	hooks := webhook.New(webhook.Config{Guard: outbound.Guard{Allowed: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}, TLS: trust, Clock: clock})
	t.Cleanup(hooks.Close)
	f.sender = notify.NewSender(f.Service, m, hooks, nil, slog.New(slog.DiscardHandler))
	incidents := incident.New(incident.Config{Store: s.Incidents(), Links: s.Incidents(), Clock: clock, Atomic: s.Atomic, Observers: []incident.Observer{f.Service}})
	f.alerts = alert.NewService(alert.Config{Store: s.Alerts(), Suppressions: s.Alerts(), Clock: clock, Atomic: s.Atomic, Observers: []alert.Observer{incidents, f.Service}})
	incidents.Use(f.alerts)
}

func (f *fixture) raise(t *testing.T, severity alert.Severity) *alert.Alert {
	t.Helper()
	f.n++
	a := &alert.Alert{ID: ident.AlertID(fmt.Sprintf("da%d_1", f.n)), Tenant: tenant, Device: ident.DeviceID(fmt.Sprintf("%040x", f.n)), DeviceName: "web.example",
		Title: fmt.Sprintf("Odd\r\nBcc: eve@example %d", f.n), Severity: severity, Category: "Execution", FirstEvent: f.now, LastEvent: f.now}
	if _, err := f.alerts.Raise(t.Context(), []*alert.Alert{a}); err != nil {
		t.Fatal(err)
	}
	return a
}

func (f *fixture) rule(t *testing.T, r notify.Rule) *notify.Rule {
	t.Helper()
	r.Name, r.Enabled = "team", true
	out, err := f.CreateRule(t.Context(), analyst, r)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func (f *fixture) send(t *testing.T) {
	t.Helper()
	if err := f.sender.Send(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestAnAlertIsMailedAndPosted(t *testing.T) {
	f := setup(t)
	f.rule(t, notify.Rule{Severity: "medium", Mail: []string{"Ana <ana@example.com>", "bob@example.com"}, URL: f.hook.URL + "/hook", Secret: "s3cret"})
	f.raise(t, alert.Low)
	a := f.raise(t, alert.High)
	f.send(t)
	f.send(t)
	if len(f.box.mails) != 1 || !slices.Equal(f.box.to[0], []string{"ana@example.com", "bob@example.com"}) {
		t.Fatalf("mails %v to %v", f.box.mails, f.box.to)
	}
	h := f.box.mails[0].Header
	if !strings.HasPrefix(h.Get("Subject"), "[High] Odd") || h.Get("Bcc") != "" || h.Get("Auto-Submitted") != "auto-generated" ||
		!strings.HasSuffix(h.Get("Message-Id"), "@vedette.example>") || !strings.Contains(f.box.bodies[0], string(a.ID)) || !strings.Contains(f.box.bodies[0], "https://edr.example/alerts/") {
		t.Errorf("mail %v\n%s", h, f.box.bodies[0])
	}
	calls := f.hook.got()
	if len(calls) != 1 || calls[0].path != "/hook" || calls[0].key == "" {
		t.Fatalf("calls %+v", calls)
	}
	at := fmt.Sprint(f.now.Unix())
	if want := "t=" + at + ",v1=" + webhook.Sign([]byte("s3cret"), at, calls[0].body); calls[0].signature != want {
		t.Errorf("signature %q, want %q", calls[0].signature, want)
	}
	var body struct {
		Rule  string
		Items []struct {
			AlertID, Severity, MachineID string
			IncidentID                   int64
		}
	}
	if err := json.Unmarshal(calls[0].body, &body); err != nil || len(body.Items) != 1 || body.Items[0].AlertID != string(a.ID) || body.Items[0].IncidentID == 0 {
		t.Errorf("body %s, %v", calls[0].body, err)
	}
}

func TestFailuresAreTriedAgainUntilGivenUp(t *testing.T) {
	f := setup(t)
	r := f.rule(t, notify.Rule{URL: f.hook.URL})
	f.hook.answer(http.StatusServiceUnavailable)
	f.raise(t, alert.High)
	f.raise(t, alert.High)
	f.send(t)
	if n := len(f.hook.got()); n != 1 {
		t.Errorf("%d calls of a receiver that is down", n)
	}
	f.now = f.now.Add(4 * time.Second)
	f.send(t)
	if n := len(f.hook.got()); n != 1 {
		t.Errorf("tried again after 4 s")
	}
	f.hook.answer(http.StatusNoContent)
	f.now = f.now.Add(10 * time.Second)
	f.send(t)
	calls := f.hook.got()
	if len(calls) != 3 || calls[0].key != calls[1].key && calls[0].key != calls[2].key || calls[1].key == calls[2].key {
		t.Errorf("keys %+v", calls)
	}
	f.hook.answer(http.StatusInternalServerError)
	f.raise(t, alert.High)
	for range 60 {
		f.send(t)
		f.now = f.now.Add(time.Hour)
	}
	ms, err := f.Messages(t.Context(), tenant, r.ID, 10)
	if err != nil || len(ms) != 3 || ms[0].State != notify.Failed || !strings.Contains(ms[0].LastError, "500") || ms[0].Attempts < 20 {
		t.Errorf("given up: %+v, %v", ms, err)
	}
}

// TestNothingIsLostOrDoubledByACrash ends the server between every two steps.
func TestNothingIsLostOrDoubledByACrash(t *testing.T) {
	f := setup(t)
	f.rule(t, notify.Rule{URL: f.hook.URL, Mail: []string{"ana@example.com"}})
	crash := func() {
		t.Helper()
		f.store.Close()
		f.open(t)
	}
	crash()
	f.raise(t, alert.High)
	crash()
	f.send(t)
	crash()
	f.send(t)
	// The batch is sent again: no alert is new, nobody is told twice.
	f.n--
	f.raise(t, alert.High)
	f.send(t)
	if len(f.hook.got()) != 1 || len(f.box.mails) != 1 {
		t.Errorf("%d calls, %d mails", len(f.hook.got()), len(f.box.mails))
	}
}

func TestDigestAndThrottle(t *testing.T) {
	f := setup(t)
	f.rule(t, notify.Rule{Mail: []string{"digest@example.com"}, Digest: 30 * time.Minute})
	f.rule(t, notify.Rule{URL: f.hook.URL, PerHour: 2})
	for range 5 {
		f.raise(t, alert.High)
	}
	f.send(t)
	if len(f.box.mails) != 0 || len(f.hook.got()) != 2 {
		t.Errorf("at once: %d mails, %d calls", len(f.box.mails), len(f.hook.got()))
	}
	f.now = f.now.Add(time.Hour)
	f.send(t)
	f.send(t)
	if len(f.box.mails) != 1 || !strings.Contains(f.box.mails[0].Header.Get("Subject"), "5 notifications") || strings.Count(f.box.bodies[0], "Alert:") != 5 {
		t.Errorf("digest %v", f.box.bodies)
	}
	calls := f.hook.got()
	if len(calls) != 3 || strings.Count(string(calls[2].body), `"alertId"`) != 3 {
		t.Errorf("what was throttled: %d calls", len(calls))
	}
}

func TestSuppressedAlertsAreNotTold(t *testing.T) {
	f := setup(t)
	f.rule(t, notify.Rule{URL: f.hook.URL})
	f.rule(t, notify.Rule{URL: f.hook.URL, Subject: "incident"})
	if _, err := f.Subscribe(t.Context(), analyst, notify.Subscription{URL: f.hook.URL + "/sub", Resource: "alerts", ChangeType: "created", Expires: f.now.Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	s, err := f.alerts.CreateSuppression(t.Context(), analyst, alert.Suppression{Name: "x", Enabled: true, Action: alert.Hide,
		Conditions: []alert.Condition{{Field: "title", Op: "contains", Values: []string{"odd"}}}})
	if err != nil {
		t.Fatal(err)
	}
	f.raise(t, alert.High)
	f.send(t)
	if calls := f.hook.got(); len(calls) != 0 {
		t.Errorf("hidden: %+v", calls)
	}
	if _, err := f.alerts.UpdateSuppression(t.Context(), analyst, s.ID, func(r *alert.Suppression) error { r.Action = alert.Resolve; return nil }); err != nil {
		t.Fatal(err)
	}
	f.raise(t, alert.High)
	f.send(t)
	if calls := f.hook.got(); len(calls) != 1 || calls[0].path != "/sub" {
		t.Errorf("resolved: %+v", calls)
	}
}

func TestSubscriptions(t *testing.T) {
	f := setup(t)
	sub, err := f.Subscribe(t.Context(), analyst, notify.Subscription{URL: f.hook.URL + "/flow", ClientState: "flow", Resource: "Alerts", ChangeType: "created", Expires: f.now.Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	a := f.raise(t, alert.Informational)
	f.send(t)
	calls := f.hook.got()
	if want := fmt.Sprintf(`{"id":%q,"machineId":%q}`, a.ID, a.Device); len(calls) != 1 || string(calls[0].body) != want {
		t.Fatalf("calls %+v, want %s", calls, want)
	}
	f.now = f.now.Add(2 * time.Hour)
	f.raise(t, alert.High)
	f.send(t)
	if len(f.hook.got()) != 1 {
		t.Error("told after its expiry")
	}
	if all, err := f.Subscriptions(t.Context(), tenant); err != nil || len(all) != 0 {
		t.Errorf("listed after its expiry: %v, %v", all, err)
	}
	if _, err := f.Renew(t.Context(), analyst, sub.ID, f.now.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	f.hook.answer(http.StatusGone)
	f.raise(t, alert.High)
	f.send(t)
	if all, err := f.Subscriptions(t.Context(), tenant); err != nil || len(all) != 0 {
		t.Errorf("kept by a receiver that is gone: %v, %v", all, err)
	}
	if err := f.Unsubscribe(t.Context(), analyst, sub.ID); !errs.Is(err, errs.NotFound) {
		t.Errorf("ended twice: %v", err)
	}
	for name, s := range map[string]notify.Subscription{
		"http":     {URL: "http://example.com/", Resource: "alerts", ChangeType: "created", Expires: f.now.Add(time.Hour)},
		"user":     {URL: "https://u@example.com/", Resource: "alerts", ChangeType: "created", Expires: f.now.Add(time.Hour)},
		"resource": {URL: "https://example.com/", Resource: "machines", ChangeType: "created", Expires: f.now.Add(time.Hour)},
		"past":     {URL: "https://example.com/", Resource: "alerts", ChangeType: "created", Expires: f.now},
	} {
		if _, err := f.Subscribe(t.Context(), analyst, s); !errs.Is(err, errs.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAddressesThatAreNotCalled(t *testing.T) {
	hook := newReceiver(t)
	c := webhook.New(webhook.Config{})
	defer c.Close()
	_, port, _ := net.SplitHostPort(hook.Listener.Addr().String())
	for _, u := range []string{hook.URL, "https://localhost:" + port, "https://[::1]:" + port, "https://[::ffff:127.0.0.1]:" + port, "https://169.254.169.254/latest/meta-data/",
		"https://10.0.0.1/", "https://0.0.0.0:" + port, "https://2130706433:" + port, "http://example.com/", "file:///etc/passwd", "https:///x"} {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		_, err := c.Post(ctx, notify.Hook{URL: u, Body: []byte("{}")})
		cancel()
		if err == nil || !errs.Is(err, errs.Denied) && !errs.Is(err, errs.Invalid) && !errs.Is(err, errs.Unavailable) {
			t.Errorf("%s: %v", u, err)
		}
	}
	if calls := hook.got(); len(calls) != 0 {
		t.Errorf("called: %+v", calls)
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	f := setup(t)
	hits := 0
	away := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hits++
		http.Redirect(w, r, f.hook.URL, http.StatusTemporaryRedirect)
	}))
	defer away.Close()
	roots := x509.NewCertPool()
	roots.AddCert(away.Certificate())
	c := webhook.New(webhook.Config{Guard: outbound.Guard{Allowed: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}, TLS: &tls.Config{RootCAs: roots}})
	defer c.Close()
	if _, err := c.Post(t.Context(), notify.Hook{URL: away.URL, Body: []byte("{}")}); !errs.Is(err, errs.Unavailable) || hits != 1 || len(f.hook.got()) != 0 {
		t.Errorf("%v, %d hits", err, hits)
	}
}

func TestMailThatIsRefused(t *testing.T) {
	f := setup(t)
	r := f.rule(t, notify.Rule{Mail: []string{"nobody@example.com"}})
	f.raise(t, alert.High)
	f.send(t)
	ms, err := f.Messages(t.Context(), tenant, r.ID, 10)
	if err != nil || len(ms) != 1 || ms[0].State != notify.Failed {
		t.Errorf("a receiver that is unknown: %+v, %v", ms, err)
	}
	if err := f.sender.Test(t.Context(), analyst, r.ID); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), "receiver") {
		t.Errorf("test: %v", err)
	}
	f.box.refuse = true
	ok := f.rule(t, notify.Rule{Mail: []string{"ana@example.com"}})
	f.raise(t, alert.High)
	f.send(t)
	if ms, err = f.Messages(t.Context(), tenant, ok.ID, 10); err != nil || len(ms) != 1 || ms[0].State != notify.Waiting {
		t.Errorf("a server that wants it later: %+v, %v", ms, err)
	}
	f.box.refuse = false
	if err := f.sender.Test(t.Context(), analyst, ok.ID); err != nil || len(f.box.mails) != 1 {
		t.Errorf("test: %v", err)
	}
}

func TestRulesThatAreRefused(t *testing.T) {
	f := setup(t)
	for name, r := range map[string]notify.Rule{
		"no receiver": {Name: "x"}, "no name": {URL: "https://example.com"}, "mail": {Name: "x", Mail: []string{"x"}}, "header": {Name: "x", Mail: []string{"a@b\r\nBcc: c@d"}},
		"severity": {Name: "x", Severity: "bad", URL: "https://example.com"}, "subject": {Name: "x", Subject: "device", URL: "https://example.com"},
		"digest": {Name: "x", URL: "https://example.com", Digest: time.Second}, "url": {Name: "x", URL: "gopher://x"},
	} {
		if _, err := f.CreateRule(t.Context(), analyst, r); !errs.Is(err, errs.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	secret := f.rule(t, notify.Rule{URL: f.hook.URL, Secret: "s3cret"})
	if strings.Contains(secret.Secret, "s3cret") {
		t.Error("the secret is in the clear")
	}
	kept, err := f.UpdateRule(t.Context(), analyst, secret.ID, func(r *notify.Rule) error { r.Name = "other"; return nil })
	if err != nil || kept.Secret != secret.Secret || kept.Name != "other" {
		t.Errorf("changed %+v, %v", kept, err)
	}
}
