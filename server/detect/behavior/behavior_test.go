package behavior_test

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vedette-edr/vedette/content"
	"github.com/vedette-edr/vedette/detection"
	"github.com/vedette-edr/vedette/schema/event"
	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/alert"
	"github.com/vedette-edr/vedette/server/detect/behavior"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/hunt/hunttest"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/store"
	"github.com/vedette-edr/vedette/server/telemetry"
)

const (
	tenantA ident.TenantID = "aaaaaaaa-0000-4000-8000-000000000001"
	tenantB ident.TenantID = "bbbbbbbb-0000-4000-8000-000000000002"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func attack(t testing.TB) *detection.Attack {
	t.Helper()
	text, err := fs.ReadFile(content.FS, "attack.yaml")
	if err != nil {
		t.Fatal(err)
	}
	a, err := detection.ParseAttack(text)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func shipped(t testing.TB) []*detection.Loaded {
	t.Helper()
	list, err := detection.LoadAll(content.FS, "detections", attack(t))
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// failed is n failed logons of an address, a second apart, and with ok one that succeeds.
func failed(n int, ok bool, at time.Time) []*event.Event {
	var out []*event.Event
	add := func(action string) {
		out = append(out, &event.Event{Table: event.LogonEvents, Action: action, Time: at.Add(time.Duration(len(out)) * time.Second),
			Initiating: &event.Process{Key: 5, PID: 50, Image: event.File{Name: "sshd"}, Parent: event.Parent{PID: 1, FileName: "init"}},
			Account:    &event.Account{Name: "root", Domain: "host", SID: "0"}, Logon: &event.Logon{Type: "Network", RemoteIP: "203.0.113.9"}})
	}
	for range n {
		add("LogonFailed")
	}
	if ok {
		add("LogonSuccess")
	}
	return out
}

func batch(seq uint64, report int64, events []*event.Event) *telemetry.Batch {
	return &telemetry.Batch{Tenant: tenantA, Device: "d1", DeviceName: "host", Incarnation: 7, Sequence: seq, FirstReport: report, Received: noon, Events: events}
}

func match(t testing.TB, d *behavior.Detector, b *telemetry.Batch) []*alert.Alert {
	t.Helper()
	out, err := d.Match(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func detector(t testing.TB, dir string, now *time.Time) *behavior.Detector {
	return behavior.New(behavior.Config{Dir: dir, Now: func() time.Time { return *now }}, behavior.Runnable(shipped(t)))
}

func TestAlertOfASequence(t *testing.T) {
	now := noon
	d := detector(t, "", &now)
	if got := match(t, d, batch(1, 1, failed(6, false, noon))); len(got) != 0 {
		t.Fatalf("failures alone raise %d alerts", len(got))
	}
	b := batch(2, 7, failed(0, true, noon.Add(time.Minute)))
	got := match(t, d, b)
	if len(got) != 1 {
		t.Fatalf("%d alerts, want 1", len(got))
	}
	a := got[0]
	if a.Title != "Logon from 203.0.113.9 after many failed ones" || a.Severity != alert.High || a.DetectionSource != "WindowsDefenderAtp" ||
		a.Source.ReportID != 7 || !strings.HasPrefix(string(a.ID), "da") || len(a.Techniques) == 0 || a.User.Name != "root" ||
		!a.FirstEvent.Equal(noon) || !a.LastEvent.Equal(noon.Add(time.Minute)) {
		t.Errorf("alert %+v", a)
	}
	var ip, parent bool
	for _, e := range a.Evidence {
		ip = ip || e.Type == "Ip" && e.IP == "203.0.113.9"
		parent = parent || e.Type == "Process" && e.ProcessID == 50 && e.ParentName == "init"
	}
	if !ip || !parent {
		t.Errorf("evidence %+v", a.Evidence)
	}
	if again := match(t, d, b); len(again) != 1 || again[0].ID != a.ID {
		t.Errorf("sent again it raised %+v, want the same id", again)
	}
	other := batch(3, 8, failed(0, true, noon.Add(time.Minute)))
	other.Tenant = tenantB
	if got := match(t, d, other); len(got) != 0 {
		t.Error("one tenant's failures count for another")
	}
}

// The device's clock may be wrong: windows are by the corrected time, ids by the device's.
func TestClockOffset(t *testing.T) {
	now := noon
	d := detector(t, "", &now)
	b := batch(1, 1, failed(6, true, noon.Add(-48*time.Hour)))
	b.Offset = 48 * time.Hour
	got := match(t, d, b)
	if len(got) != 1 || !got[0].FirstEvent.Equal(noon) {
		t.Fatalf("alerts %+v", got)
	}
	b.Offset += time.Minute // measured a little differently when it is sent again
	if again := match(t, d, b); len(again) != 1 || again[0].ID != got[0].ID {
		t.Errorf("another offset gave another alert: %+v", again)
	}
}

// What was seen before the end of the server counts after it: from the memory on disk, and
// what came in after that was written, from the telemetry store.
func TestRestart(t *testing.T) {
	dir, now := t.TempDir(), noon
	d := detector(t, dir, &now)
	match(t, d, batch(1, 1, failed(4, false, noon)))
	if err := d.Save(); err != nil {
		t.Fatal(err)
	}
	rows := &hunttest.Memory{}
	lost := failed(2, false, noon.Add(30*time.Second)) // after the memory was written
	match(t, d, batch(2, 5, lost))
	rows.Add(tenantA, event.Origin{DeviceID: "d1", DeviceName: "host", ReportID: 5, Ingested: noon.Add(31 * time.Second)}, lost...)

	now = noon.Add(time.Minute)
	d = detector(t, dir, &now)
	if got, err := d.Replay(t.Context(), rows, tenantA, now); err != nil || len(got) != 0 {
		t.Fatal(got, err)
	}
	// Replaying twice counts nothing twice.
	if _, err := d.Replay(t.Context(), rows, tenantA, now); err != nil {
		t.Fatal(err)
	}
	if got := match(t, d, batch(3, 7, failed(0, true, now))); len(got) != 1 {
		t.Errorf("%d alerts after the restart, want 1", len(got))
	}
	fresh := detector(t, t.TempDir(), &now)
	if got := match(t, fresh, batch(3, 7, failed(0, true, now))); len(got) != 0 {
		t.Error("without its memory it raised an alert: the test proves nothing")
	}
	// A damaged memory is none, and the store fills it again.
	files, err := filepath.Glob(filepath.Join(dir, "*.state"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	if err := os.WriteFile(files[0], []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	rows.Add(tenantA, event.Origin{DeviceID: "d1", DeviceName: "host", ReportID: 1, Ingested: noon}, failed(4, false, noon)...)
	d = detector(t, dir, &now)
	if _, err := d.Replay(t.Context(), rows, tenantA, now); err != nil {
		t.Fatal(err)
	}
	if got := match(t, d, batch(3, 7, failed(0, true, now))); len(got) != 1 {
		t.Errorf("%d alerts from a damaged memory, want 1", len(got))
	}
}

const own = `
id: 5d0d9c54-0a6e-4f86-9d2e-0d6f9f6f7a02
name: own
title: Own
description: d
severity: Low
category: Execution
techniques: [T1059.004]
recommendedAction: r
query: DeviceLogonEvents | where ActionType == "LogonFailed"
`

const ownTest = `
fires: [{name: a, events: [{table: DeviceLogonEvents, columns: {ActionType: LogonFailed}}]}]
silent: [{name: b, events: [{table: DeviceLogonEvents, columns: {ActionType: LogonSuccess}}]}]
`

func TestLibrary(t *testing.T) {
	now := noon
	d := detector(t, "", &now)
	db, err := store.Open(t.Context(), store.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	l := behavior.NewLibrary(behavior.LibraryConfig{Store: db.Detections(), Attack: attack(t), Detector: d, Shipped: shipped(t), Atomic: db.Atomic})
	as := func(id ident.TenantID) context.Context {
		return access.WithPrincipal(t.Context(), &access.Principal{Actor: ident.Actor{ID: "a", Name: "a", Tenant: id}, Scope: access.Everything})
	}
	for _, k := range []struct {
		rule, test string
		kind       errs.Kind
		why        string
	}{
		{own, "", errs.Invalid, "test file"}, {own, strings.Replace(ownTest, "LogonSuccess", "LogonFailed", 1), errs.Invalid, "red"},
		{strings.Replace(own, "T1059.004", "T1", 1), ownTest, errs.Invalid, "ATT&CK"},
		{strings.Replace(own, "name: own", "name: ssh_guessed_password", 1), ownTest, errs.Conflict, "shipped"},
	} {
		if _, err := l.Import(as(tenantA), k.rule, k.test); !errs.Is(err, k.kind) || !strings.Contains(fmt.Sprint(err), k.why) {
			t.Errorf("import: %v, want %v with %q", err, k.kind, k.why)
		}
	}
	if e, err := l.Import(as(tenantA), own, ownTest); err != nil || !e.Enabled || e.Origin != behavior.Imported {
		t.Fatal(e, err)
	}
	runs := func(id ident.TenantID, report int64) int {
		b := batch(uint64(report), report, failed(1, false, noon.Add(time.Duration(report)*2*time.Hour)))
		b.Tenant = id
		return len(match(t, d, b))
	}
	if a, b := runs(tenantA, 1), runs(tenantB, 1); a != 1 || b != 0 {
		t.Errorf("the imported rule raised %d of its tenant and %d of another", a, b)
	}
	if e, err := l.Switch(as(tenantA), "own", false); err != nil || e.Enabled {
		t.Fatal(e, err)
	}
	if n := runs(tenantA, 2); n != 0 {
		t.Errorf("a disabled rule raised %d", n)
	}
	if _, err := l.Switch(as(tenantA), "ssh_guessed_password", false); err != nil {
		t.Fatal(err)
	}
	if got := match(t, d, batch(9, 90, failed(8, true, noon.Add(time.Hour)))); len(got) != 0 {
		t.Errorf("a shipped rule that the tenant disabled raised %d", len(got))
	}
	if err := l.Delete(as(tenantA), "ssh_guessed_password"); !errs.Is(err, errs.Conflict) {
		t.Errorf("deleting a shipped rule: %v", err)
	}
	if err := l.Delete(as(tenantB), "own"); !errs.Is(err, errs.NotFound) {
		t.Errorf("another tenant deletes: %v", err)
	}
	if err := l.Delete(as(tenantA), "own"); err != nil {
		t.Error(err)
	}
}

// BenchmarkMatch is the cost of an event with the whole shipped pack on: events as they
// come from a busy device, few of which a rule is about.
func BenchmarkMatch(b *testing.B) {
	b.Run("nothing-begun", func(b *testing.B) { benchmarkMatch(b, nil) })
	// Somewhere a file was fetched and a shell connected: later steps are looked for.
	fetched := &event.Event{Table: event.FileEvents, Action: "FileCreated", Time: noon, File: &event.File{Name: "x", Path: "/tmp/x"}, Initiating: &event.Process{Key: 3, PID: 8, Image: event.File{Name: "curl"}}}
	network := &event.Network{RemoteIP: "192.0.2.7", RemotePort: 443, Protocol: "Tcp"}
	connected := func(by string) *event.Event {
		return &event.Event{Table: event.NetworkEvents, Action: "ConnectionAttempt", Time: noon, Network: network, Initiating: &event.Process{Key: 4, PID: 9, Image: event.File{Name: by}}}
	}
	b.Run("sequences-begun", func(b *testing.B) {
		benchmarkMatch(b, []*event.Event{fetched, connected("bash"), connected("python3"), failed(1, false, noon)[0]})
	})
}

func benchmarkMatch(b *testing.B, before []*event.Event) {
	now := noon
	d := detector(b, "", &now)
	events := mixed(1000)
	for i, list := range [][]*event.Event{before, events} {
		if _, err := d.Match(b.Context(), batch(uint64(1+i), int64(1+10*i), list)); err != nil {
			b.Fatal(err)
		}
	}
	m, first := batch(2, 11, events), d.Stats()
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		if _, err := d.Match(b.Context(), m); err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	per := float64(b.Elapsed().Nanoseconds()) / float64(b.N*len(events))
	b.ReportMetric(per/1000, "µs/event")
	s := d.Stats()
	b.ReportMetric(float64(s.Probes-first.Probes)/float64(s.Events-first.Events), "queries/event")
	b.ReportMetric(float64(len(behavior.Runnable(shipped(b)))), "rules")
}

// mixed is a device's day in small: processes, files, connections, logons.
func mixed(n int) []*event.Event {
	shell := &event.Process{Key: 1, PID: 100, Image: event.File{Name: "bash", Path: "/usr/bin/bash"}, CommandLine: "bash", Account: event.Account{Name: "ann", SID: "1000"}}
	var out []*event.Event
	for i := range n {
		at := noon.Add(time.Duration(i) * time.Millisecond)
		switch i % 10 {
		case 0, 1, 2:
			name := []string{"gcc", "sed", "sh", "git", "python3"}[i%5]
			out = append(out, &event.Event{Table: event.ProcessEvents, Action: "ProcessCreated", Time: at, Initiating: shell, Process: &event.Process{Key: uint64(i), PID: uint32(1000 + i),
				Image: event.File{Name: name, Path: "/usr/bin/" + name}, CommandLine: name + " --some --flags /home/ann/src/project/file.c -o /tmp/out.o"}})
		case 3, 4, 5, 6:
			action := []string{"FileCreated", "FileModified", "FileRenamed", "FileDeleted"}[i%4]
			out = append(out, &event.Event{Table: event.FileEvents, Action: action, Time: at, Initiating: shell,
				File: &event.File{Name: fmt.Sprintf("f%d.o", i), Path: fmt.Sprintf("/home/ann/src/project/build/f%d.o", i)}, Previous: &event.File{Name: "tmp", Path: "/tmp/tmp"}})
		case 7, 8:
			out = append(out, &event.Event{Table: event.NetworkEvents, Action: []string{"ConnectionAttempt", "ConnectionSuccess"}[i%2], Time: at, Initiating: &event.Process{Key: 2, PID: 7, Image: event.File{Name: "curl"}},
				Network: &event.Network{RemoteIP: "192.0.2.7", RemotePort: 443, Protocol: "Tcp"}})
		default:
			out = append(out, &event.Event{Table: event.DeviceEvents, Action: "DnsQueryResponse", Time: at, Initiating: shell, Additional: `{"DnsQueryString":"example.org"}`})
		}
	}
	return out
}

// BenchmarkRaise is how many alerts a second are found, kept durably and announced: batches
// in each of which every event is another rule's finding, from several devices at once.
func BenchmarkRaise(b *testing.B) {
	now := noon
	d := detector(b, "", &now)
	db, err := store.Open(b.Context(), store.Config{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	alerts := alert.NewService(alert.Config{Store: db.Alerts()})
	const per = 50
	var n atomic.Int64
	b.SetParallelism(8)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			k := n.Add(1)
			var events []*event.Event
			for i := range per {
				name := fmt.Sprintf("u%d-%d.service", k, i)
				events = append(events, &event.Event{Table: event.FileEvents, Action: "FileCreated", Time: noon, File: &event.File{Name: name, Path: "/etc/systemd/system/" + name},
					Initiating: &event.Process{Key: 1, PID: 9, Image: event.File{Name: "bash", Path: "/bin/bash"}}})
			}
			m := batch(uint64(k), k*per, events)
			m.Device = ident.DeviceID(fmt.Sprint("d", k%100))
			found, err := d.Match(b.Context(), m)
			if err != nil || len(found) != per {
				b.Errorf("%d alerts: %v", len(found), err)
				return
			}
			if made, err := alerts.Raise(b.Context(), found); err != nil || len(made) != per {
				b.Errorf("%d alerts kept: %v", len(made), err)
				return
			}
		}
	})
	b.StopTimer()
	b.ReportMetric(float64(n.Load()*per)/b.Elapsed().Seconds(), "alerts/s")
}
