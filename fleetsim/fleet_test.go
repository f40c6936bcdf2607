package fleetsim_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/vedette-edr/vedette/agent/link"
	"github.com/vedette-edr/vedette/fleetsim"
	"github.com/vedette-edr/vedette/schema/event"
	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/action"
	"github.com/vedette-edr/vedette/server/ca"
	"github.com/vedette-edr/vedette/server/device"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/filter"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/wire"
	"github.com/vedette-edr/vedette/wire/wirepb"
)

func TestEventsOfManyDevicesArriveOnceEach(t *testing.T) {
	s := start(t)
	f := s.enrolled(5, nil)
	if err := f.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, d := range f.Devices() {
		d.Emit(d.Execs(700)...)
		d.Emit(d.Logon("alice", "Interactive"))
	}
	for _, d := range f.Devices() {
		eventually(t, "all events", func() bool { return len(s.memory.events(d.ID())) >= 701 })
		if n := len(s.memory.events(d.ID())); n != 701 {
			t.Errorf("%s has %d events", d.Name(), n)
		}
		var report int64 = 1
		for i, b := range s.memory.batches(d.ID()) {
			if b.Sequence != uint64(i+1) || b.FirstReport != report || b.Tenant != tenant || b.DeviceName != d.Name() {
				t.Errorf("batch %d has sequence %d, report %d, tenant %s, name %s", i, b.Sequence, b.FirstReport, b.Tenant, b.DeviceName)
			}
			report += int64(len(b.Events))
		}
	}
	id := f.Devices()[3].ID()
	eventually(t, "inventory and telemetry show on the device", func() bool {
		d := s.device(id)
		return d.LastIP == "10.0.0.3" && d.Inventory.Distribution == "Debian" && !d.LastData.IsZero() && len(d.Facilities) == 1
	})
	found, err := s.devices.FindByIP(t.Context(), tenant, "10.0.0.3", time.Now(), filter.Query{})
	if err != nil || len(found.Items) != 1 || string(found.Items[0].ID) != id {
		t.Errorf("found by address: %v, %v", found, err)
	}
	s.memory.mu.Lock()
	infos := len(s.memory.rows["DeviceInfo"])
	s.memory.mu.Unlock()
	if infos < 1 {
		t.Error("no row of DeviceInfo")
	}
}

func TestAnAlertIsKeptOnceHoweverOftenTheBatchComes(t *testing.T) {
	s := start(t)
	d := s.enrolled(1, nil).Devices()[0]
	e := d.Execs(3)
	e[1].Action = "Suspicious"
	frame, err := d.Frame(e)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		r, err := d.Send(t.Context(), frame)
		if err != nil {
			t.Fatal(err)
		}
		if r.Duplicate != (i > 0) {
			t.Errorf("sent %d times: duplicate is %v", i+1, r.Duplicate)
		}
	}
	page, err := s.alerts.List(t.Context(), tenant, filter.Query{Top: 10})
	if err != nil || len(page.Items) != 1 {
		t.Errorf("%d alerts: %v", len(page.Items), err)
	}
	if n := s.counted("vedette_ingest_batches_total", "duplicate"); n != 2 {
		t.Errorf("%v duplicates counted", n)
	}
}

func TestAWrongTokenIsRefused(t *testing.T) {
	s := start(t)
	f := s.fleet(1, func(c *fleetsim.Config) { c.Token = "vet_wrong" })
	err := f.Enrol(t.Context())
	if connect.CodeOf(err) != connect.CodeUnauthenticated || link.FaultOf(err).Code != string(errs.TokenInvalid) {
		t.Fatalf("got %v", err)
	}
	if n := s.counted("vedette_gateway_enrolments_total", "refused"); n != 1 {
		t.Errorf("%v refusals counted", n)
	}
	if all, err := s.devices.List(t.Context(), tenant, device.Query{}); err != nil || len(all) != 0 {
		t.Errorf("%d devices: %v", len(all), err)
	}
}

func TestForeignAndMalformedBatchesAreRefusedAndCounted(t *testing.T) {
	s := start(t)
	f := s.enrolled(2, nil)
	a, b := f.Devices()[0], f.Devices()[1]
	frame, err := a.Frame(a.Execs(2))
	if err != nil {
		t.Fatal(err)
	}
	_, err = b.Send(t.Context(), frame)
	if connect.CodeOf(err) != connect.CodePermissionDenied || link.FaultOf(err).Code != string(errs.BatchForeign) {
		t.Errorf("foreign: %v", err)
	}
	spoiled := bytes.Clone(frame)
	spoiled[len(spoiled)/2] ^= 0x40
	_, err = a.Send(t.Context(), spoiled)
	if connect.CodeOf(err) != connect.CodeInvalidArgument || link.FaultOf(err).Code != string(errs.BatchMalformed) {
		t.Errorf("malformed: %v", err)
	}
	for _, outcome := range []string{"foreign", "malformed"} {
		if n := s.counted("vedette_ingest_batches_total", outcome); n != 1 {
			t.Errorf("%s counted %v times", outcome, n)
		}
	}
	if n := len(s.memory.events("")); n != 0 {
		t.Errorf("%d events were kept", n)
	}
}

func TestAClonedDeviceIsFoundOutAndBothCopiesEnrolAgain(t *testing.T) {
	s := start(t)
	f := s.enrolled(1, func(c *fleetsim.Config) { c.Token = s.token })
	d := f.Devices()[0]
	twin := d.Copy()
	ctx := t.Context()
	if err := d.Push(ctx, d.Execs(2)); err != nil {
		t.Fatal(err)
	}
	frame, err := twin.Frame(twin.Execs(3))
	if err != nil {
		t.Fatal(err)
	}
	_, err = twin.Send(ctx, frame)
	if connect.CodeOf(err) != connect.CodeFailedPrecondition || link.FaultOf(err).Code != string(errs.DeviceCloned) {
		t.Fatalf("the copy got %v", err)
	}
	if n := s.counted("vedette_ingest_batches_total", "cloned"); n != 1 {
		t.Errorf("cloned counted %v times", n)
	}
	if s.device(d.ID()).Clone == nil {
		t.Error("the device is not flagged")
	}
	// From now on the original is refused too: nobody can tell which is which.
	err = d.Push(ctx, d.Execs(1))
	if link.FaultOf(err).Code != string(errs.DeviceCloned) {
		t.Fatalf("the original got %v", err)
	}
	if err := twin.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestACloneThatRunsTheAgentEnrolsAgainByItselfWithoutAToken(t *testing.T) {
	s := start(t)
	f := s.enrolled(1, nil)
	d := f.Devices()[0]
	id := d.ID()
	if err := s.devices.Cloned(t.Context(), tenant, ident.DeviceID(id), 1); err != nil {
		t.Fatal(err)
	}
	tokens, err := s.store.Tokens().Tokens(t.Context(), tenant)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.store.Tokens().RevokeToken(t.Context(), tenant, tokens[0].Hash); err != nil {
		t.Fatal(err)
	}
	noToken := s.fleet(1, func(c *fleetsim.Config) { c.Token = ""; c.Dir = f.Dir() })
	d = noToken.Devices()[0]
	if err := d.Enrol(t.Context()); err != nil { // finds the identity on disk
		t.Fatal(err)
	}
	if err := d.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.Emit(d.Execs(40)...)
	eventually(t, "events under the new incarnation", func() bool {
		n := 0
		for _, b := range s.memory.batches(id) {
			if b.Incarnation == 2 {
				n += len(b.Events)
			}
		}
		return n == 40
	})
	if st := d.Status(); st.Incarnation != 2 || st.Device != id {
		t.Errorf("status %+v", st)
	}
}

func TestTwoCopiesOfOneDiskBecomeTwoDevicesAndLoseNothing(t *testing.T) {
	s := start(t)
	f := s.enrolled(1, func(c *fleetsim.Config) { c.Token = s.token })
	id := f.Devices()[0].ID()
	copied := t.TempDir()
	if err := os.CopyFS(copied, os.DirFS(f.Dir())); err != nil {
		t.Fatal(err)
	}
	noToken := func(dir string) *fleetsim.Device {
		d := s.fleet(1, func(c *fleetsim.Config) { c.Token = ""; c.Dir = dir }).Devices()[0]
		if err := d.Enrol(t.Context()); err != nil {
			t.Fatal(err)
		}
		return d
	}
	a, b := noToken(f.Dir()), noToken(copied)
	sent := 0
	for _, d := range []*fleetsim.Device{a, b} {
		if err := d.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the copies are told apart", func() bool {
		for _, d := range []*fleetsim.Device{a, b} {
			n := 1 + sent%7
			d.Emit(d.Execs(n)...)
			sent += n
		}
		return a.ID() != b.ID()
	})
	eventually(t, "all events", func() bool { return len(s.memory.events("")) >= sent })
	if n := len(s.memory.events("")); n != sent {
		t.Errorf("%d events arrived, %d were emitted", n, sent)
	}
	all, err := s.devices.List(t.Context(), tenant, device.Query{})
	if err != nil || len(all) != 2 {
		t.Fatalf("%d devices: %v", len(all), err)
	}
	for _, d := range all {
		if string(d.ID) == id && d.Incarnation != 2 || string(d.ID) != id && (d.Incarnation != 1 || !d.Duplicate) {
			t.Errorf("%s has incarnation %d, duplicate %v", d.ID, d.Incarnation, d.Duplicate)
		}
	}
}

func TestAnAgentThatStopsGoesOnWhereItWas(t *testing.T) {
	s := start(t)
	d := s.enrolled(1, nil).Devices()[0]
	s.memory.setFull(true)
	if err := d.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.Emit(d.Execs(300)...)
	eventually(t, "the store's refusal shows", func() bool { return d.Status().Problem != "" && d.Spool().Spooled == 300 })
	if n := len(s.memory.events("")); n != 0 {
		t.Fatalf("%d events were kept by a full store", n)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	s.memory.setFull(false)
	if err := d.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "all events", func() bool { return len(s.memory.events(d.ID())) == 300 })
	var stopped bool
	eventually(t, "the stop is in the ledger of losses", func() bool {
		for _, b := range s.memory.batches(d.ID()) {
			for _, g := range b.Gaps {
				stopped = stopped || g.Source == "agent" && g.Count == 0
			}
		}
		return stopped
	})
	eventually(t, "nothing is left and no problem shows", func() bool { return d.Spool().Batches == 0 && d.Status().Problem == "" })
}

func TestAServerThatIsDownLosesNothing(t *testing.T) {
	s := start(t)
	d := s.enrolled(1, nil).Devices()[0]
	if err := d.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.Emit(d.Execs(100)...)
	eventually(t, "the first events", func() bool { return len(s.memory.events(d.ID())) == 100 })
	s.down()
	d.Emit(d.Execs(200)...)
	eventually(t, "on the device's disk", func() bool { return d.Spool().Spooled == 300 })
	s.up()
	eventually(t, "the rest", func() bool { return len(s.memory.events(d.ID())) == 300 })
	eventually(t, "the stream is back", func() bool { return s.gateway.Connected(ident.DeviceID(d.ID())) })
}

func TestAClockTwoDaysOffIsMeasuredAndSaid(t *testing.T) {
	for name, skew := range map[string]time.Duration{"behind": -48 * time.Hour, "ahead": 48 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			s := start(t)
			d := s.enrolled(1, func(c *fleetsim.Config) { c.Skew = skew }).Devices()[0]
			if err := d.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			d.Emit(d.Execs(3)...)
			eventually(t, "events", func() bool { return len(s.memory.events(d.ID())) == 3 })
			for _, b := range s.memory.batches(d.ID()) {
				if off := b.Offset + skew; off.Abs() > 2*time.Second {
					t.Errorf("the offset is %v", b.Offset)
				}
				for _, e := range b.Events {
					if late := time.Until(e.Time.Add(b.Offset)).Abs(); late > time.Minute {
						t.Errorf("the corrected time is %v off", late)
					}
				}
			}
			eventually(t, "the device is said to be off", func() bool { return s.device(d.ID()).ClockWrong() })
			eventually(t, "the device knows", func() bool { off := d.Status().Offset + skew; return off.Abs() < 2*time.Second })
		})
	}
}

func TestACommandIsCarriedOutOnceAndItsResultComesBack(t *testing.T) {
	s := start(t)
	s.down()
	s.heartbeat = time.Hour // so that only the nudge can bring the command
	s.up()
	answers := map[string]link.Result{
		"isolate":   {State: "verified", Detail: "cut off", Evidence: []byte(`{"probe":"dropped"}`)},
		"unisolate": {State: "failed", Detail: "the table would not go"},
	}
	d := s.enrolled(1, func(c *fleetsim.Config) {
		c.Answer = func(_ context.Context, _ *fleetsim.Device, cmd *wire.Command) link.Result { return answers[cmd.Kind] }
	}).Devices()[0]
	if err := d.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the stream", func() bool { return s.gateway.Connected(ident.DeviceID(d.ID())) })
	eventually(t, "the first poll is over", func() bool { return d.Status().Watching })
	by := &access.Principal{Actor: ident.Actor{Kind: ident.ActorApp, ID: "test", Tenant: tenant}, Scope: access.Everything}
	for _, want := range []struct {
		kind  action.Kind
		state action.State
	}{{action.Isolate, action.Verified}, {action.Unisolate, action.Failed}} {
		a, err := s.actions.Request(t.Context(), by, action.Request{Device: ident.DeviceID(d.ID()), Kind: want.kind, Scope: scope(want.kind), Comment: "test"})
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, "the result", func() bool {
			got, err := s.actions.Get(t.Context(), tenant, a.ID)
			return err == nil && got.State == want.state
		})
	}
	if n := len(d.Commands()); n != 2 {
		t.Errorf("%d commands were carried out", n)
	}
}

func scope(k action.Kind) string {
	if k == action.Isolate {
		return "Full"
	}
	return ""
}

func TestADeviceCallsOnlyWithItsOwnCertificate(t *testing.T) {
	s := start(t)
	d := s.enrolled(1, nil).Devices()[0]
	call := func(conf *tls.Config, path string) (int, string, error) {
		c := &http.Client{Transport: &http.Transport{TLSClientConfig: conf, ForceAttemptHTTP2: true}}
		defer c.CloseIdleConnections()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+s.address+path, bytes.NewReader([]byte("{}")))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set(wire.VersionHeader, "1")
		resp, err := c.Do(r)
		if err != nil {
			return 0, "", err
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		return resp.StatusCode, string(b), err
	}
	const heartbeat, enrol = "/vedette.wire.v1.Agent/Heartbeat", "/vedette.wire.v1.Enrolment/Enrol"
	pool := s.ca.Pool()
	if _, _, err := call(&tls.Config{RootCAs: pool, ServerName: wire.AgentName}, heartbeat); err == nil {
		t.Error("a connection without a client certificate was let in")
	}
	if code, _, err := call(&tls.Config{RootCAs: pool, ServerName: wire.EnrolName}, heartbeat); err != nil || code != 404 {
		t.Errorf("a device's call under the name of enrolment: %d, %v", code, err)
	}
	if code, body, err := call(&tls.Config{RootCAs: pool, ServerName: "localhost"}, heartbeat); err != nil || code != 200 || body != "the API" {
		t.Errorf("a device's call under another name: %d %s, %v", code, body, err)
	}
	if code, body, err := call(&tls.Config{RootCAs: pool, ServerName: wire.EnrolName}, enrol); err != nil || code != 400 {
		t.Errorf("an empty enrolment: %d %s, %v", code, body, err)
	}
	_ = d
}

func TestTheProtocolsVersionIsAskedForAndSaid(t *testing.T) {
	s := start(t)
	for version, want := range map[string]string{"": wire.VersionHeader, "0": wire.VersionHeader, "99": "certificate request"} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+s.address+"/vedette.wire.v1.Enrolment/Enrol", bytes.NewReader([]byte("{}")))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set(wire.VersionHeader, version)
		c := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: s.ca.Pool(), ServerName: wire.EnrolName}}}
		resp, err := c.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		var e struct{ Code, Message string }
		err = json.NewDecoder(resp.Body).Decode(&e)
		resp.Body.Close()
		if err != nil || e.Code != "invalid_argument" || !strings.Contains(e.Message, want) || resp.Header.Get(wire.VersionHeader) == "" {
			t.Errorf("version %q: %+v, %v", version, e, err)
		}
		c.CloseIdleConnections()
	}
}

func TestASecondIncarnationShutsTheFirstOut(t *testing.T) {
	s := start(t)
	f := s.enrolled(1, nil)
	d := f.Devices()[0]
	old := d.Copy()
	c, err := d.Client()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Heartbeat(t.Context(), connect.NewRequest(&wirepb.HeartbeatRequest{Sent: time.Now().UnixNano()})); err != nil {
		t.Fatal(err)
	}
	if _, err := s.store.Devices().Update(t.Context(), tenant, ident.DeviceID(d.ID()), bump); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the former incarnation is refused", func() bool {
		_, err := old.Send(context.Background(), mustFrame(t, old))
		return link.FaultOf(err).Code == string(errs.DeviceUnknown)
	})
	_ = old.Close()
}

func mustFrame(t *testing.T, d *fleetsim.Device) []byte {
	t.Helper()
	b, err := d.Frame([]*event.Event{d.Logon("bob", "Network")})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestACertificateThatIsAboutToEndIsRenewed(t *testing.T) {
	s := start(t, func(c *ca.Config) {
		// What this CA issues ends two months from now.
		c.Clock = func() time.Time { return time.Now().Add(60*24*time.Hour - ca.DeviceLife) }
	})
	f := s.enrolled(1, nil)
	d := f.Devices()[0]
	first := d.Identity()
	if err := d.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a second certificate", func() bool { return len(s.device(d.ID()).Certificates) >= 2 })
	d.Emit(d.Execs(10)...)
	eventually(t, "events", func() bool { return len(s.memory.events(d.ID())) == 10 })
	eventually(t, "the stream", func() bool { return s.gateway.Connected(ident.DeviceID(d.ID())) })
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	now := d.Identity()
	if bytes.Equal(now.Certificate, first.Certificate) || bytes.Equal(now.Key, first.Key) {
		t.Error("certificate or key are still the first ones")
	}
	if now.Incarnation != 1 || now.Device != first.Device {
		t.Errorf("the device is %s/%d now", now.Device, now.Incarnation)
	}
}

func BenchmarkFleet(b *testing.B) {
	s := start(b)
	f := s.enrolled(20, nil)
	frames := make(chan func() error, 64)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			for send := range frames {
				if err := send(); err != nil {
					b.Error(err)
				}
			}
		})
	}
	const size = 500
	i := 0
	for b.Loop() {
		d := f.Devices()[i%20]
		i++
		frame, err := d.Frame(d.Execs(size))
		if err != nil {
			b.Fatal(err)
		}
		frames <- func() error { _, err := d.Send(b.Context(), frame); return err }
	}
	close(frames)
	wg.Wait()
	b.ReportMetric(float64(b.N*size)/b.Elapsed().Seconds(), "events/s")
}
