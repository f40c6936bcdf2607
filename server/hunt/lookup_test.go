package hunt_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vedette-edr/vedette/schema/event"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/hunt"
	"github.com/vedette-edr/vedette/server/ident"
)

// examples has one event for each table, with every part that its row can show.
func examples() []*event.Event {
	bash := &event.Process{Key: 7, PID: 10, Start: noon.Add(-time.Hour), CommandLine: `bash -c "x"`, Account: event.Account{Name: "eve", Domain: "host", SID: "1000"},
		Image: event.File{Name: "bash", Path: "/usr/bin/bash", SHA1: "aa", SHA256: "bb", MD5: "cc", Size: 5}, Parent: event.Parent{PID: 1, FileName: "init", Start: noon.Add(-2 * time.Hour)}}
	curl := &event.Process{Key: 8, PID: 11, Start: noon, CommandLine: "curl x", Account: event.Account{Name: "root", Domain: "host", SID: "0"},
		Image:  event.File{Name: "curl", Path: "/usr/bin/curl", SHA1: "dd", Size: -1},
		Parent: event.Parent{PID: 10, FileName: "bash", Start: noon.Add(-time.Hour)}}
	file := &event.File{Name: "x", Path: "/tmp/x", SHA1: "ee", Size: 0}
	web := &event.Network{RemoteIP: "203.0.113.7", RemotePort: 443, RemoteURL: "evil.example", LocalIP: "192.0.2.1", LocalPort: 40000, Protocol: "Tcp"}
	eve := &event.Account{Name: "eve", Domain: "host", SID: "1000"}
	list := []*event.Event{
		{Table: event.ProcessEvents, Action: "ProcessCreated", Initiating: bash, Process: curl},
		{Table: event.NetworkEvents, Action: "ConnectionAttempt", Initiating: bash, Network: web},
		{Table: event.FileEvents, Action: "FileCreated", Initiating: bash, File: file},
		{Table: event.LogonEvents, Action: "LogonSuccess", Account: eve, Logon: &event.Logon{Type: "RemoteInteractive", ID: 3, Protocol: "ssh", LocalAdmin: true,
			RemoteDevice: "laptop", RemoteIP: "192.0.2.9", RemotePort: 50000}},
		{Table: event.ImageLoadEvents, Action: "ImageLoaded", Initiating: bash, File: file},
		{Table: event.RegistryEvents, Action: "RegistryValueSet", Initiating: bash},
		{Table: event.DeviceEvents, Action: "UserAccountCreated", Initiating: bash, Account: eve},
	}
	for i, e := range list {
		e.Time = noon.Add(time.Duration(i)*time.Minute + 123456700)
	}
	return list
}

// TestFindReadsBackEveryTable finds one event of each table and compares what the row says
// with the event that it was made of.
func TestFindReadsBackEveryTable(t *testing.T) {
	f := setup(t)
	events := examples()
	f.rows.Add(tenantA, origin(1), events...)
	// Foreign rows that share two of the three coordinates, or the tenant.
	f.rows.Add(tenantA, origin(2), events...)
	f.rows.Add(tenantB, origin(3), events...)
	for i, e := range events {
		got, err := f.Find(t.Context(), tenantA, device(1), e.Time.Add(99), 100+int64(i))
		if err != nil {
			t.Errorf("%s: %v", e.Table, err)
			continue
		}
		want := &hunt.Event{Event: *e, Device: device(1), DeviceName: "host-1", ReportID: 100 + int64(i)}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", e.Table, diff)
		}
	}
}

func TestFindNeedsAllThreeAndTheTenant(t *testing.T) {
	f := setup(t)
	e := examples()[0]
	f.rows.Add(tenantA, origin(1), e)
	for name, find := range map[string]func() (*hunt.Event, error){
		"another device":    func() (*hunt.Event, error) { return f.Find(t.Context(), tenantA, device(2), e.Time, 100) },
		"another time":      func() (*hunt.Event, error) { return f.Find(t.Context(), tenantA, device(1), e.Time.Add(100), 100) },
		"another report":    func() (*hunt.Event, error) { return f.Find(t.Context(), tenantA, device(1), e.Time, 101) },
		"another tenant":    func() (*hunt.Event, error) { return f.Find(t.Context(), tenantB, device(1), e.Time, 100) },
		"no time":           func() (*hunt.Event, error) { return f.Find(t.Context(), tenantA, device(1), time.Time{}, 100) },
		"a negative report": func() (*hunt.Event, error) { return f.Find(t.Context(), tenantA, device(1), e.Time, -1<<63) },
		"text in place of an id": func() (*hunt.Event, error) {
			return f.Find(t.Context(), tenantA, ident.DeviceID(`" or true or DeviceId == "`), e.Time, 100)
		},
	} {
		if got, err := find(); !errs.Is(err, errs.NotFound) || got != nil {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

func TestLogonUsers(t *testing.T) {
	f := setup(t)
	logon := func(minute int, action, name, domain, kind string) *event.Event {
		return &event.Event{Table: event.LogonEvents, Action: action, Time: noon.Add(time.Duration(minute) * time.Minute),
			Account: &event.Account{Name: name, Domain: domain, SID: fmt.Sprint(minute)}, Logon: &event.Logon{Type: kind}}
	}
	f.rows.Add(tenantA, origin(1),
		logon(-100, "LogonSuccess", "old", "host", "Interactive"), logon(0, "LogonSuccess", "eve", "host", "RemoteInteractive"),
		logon(1, "LogonSuccess", "ana", "host", "Network"), logon(2, "LogonFailed", "bob", "host", "Network"),
		logon(3, "LogonSuccess", "eve", "host", "Interactive"), logon(4, "LogonSuccess", "eve", "corp", ""),
		logon(5, "LogonSuccess", "", "host", "Batch"), logon(6, "LogoffSuccess", "ana", "host", "Network"))
	f.rows.Add(tenantA, origin(2), logon(0, "LogonSuccess", "elsewhere", "host", "Batch"))
	f.rows.Add(tenantB, origin(1), logon(0, "LogonSuccess", "foreign", "host", "Batch"))
	got, err := f.LogonUsers(t.Context(), tenantA, device(1), noon.Add(-time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	at := func(minute int) time.Time { return noon.Add(time.Duration(minute) * time.Minute) }
	want := []hunt.LogonUser{
		{Account: event.Account{Name: "eve", Domain: "corp", SID: "4"}, First: at(4), Last: at(4)},
		{Account: event.Account{Name: "eve", Domain: "host", SID: "3"}, First: at(0), Last: at(3), Types: []string{"Interactive", "RemoteInteractive"}},
		{Account: event.Account{Name: "ana", Domain: "host", SID: "1"}, First: at(1), Last: at(1), Types: []string{"Network"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if _, err := f.LogonUsers(t.Context(), tenantA, `x" or true`, noon); !errs.Is(err, errs.NotFound) {
		t.Errorf("text in place of an id: %v", err)
	}
}

// TestLookupsAreTheServers finds lookups recorded under the server's own name.
func TestLookupsAreTheServers(t *testing.T) {
	f := setup(t)
	if _, err := f.LogonUsers(t.Context(), tenantA, device(1), noon); err != nil {
		t.Fatal(err)
	}
	rs := f.records(t, tenantA)
	if len(rs) != 1 || rs[0].Actor.Kind != ident.ActorSystem || rs[0].Verb != "hunt.run" || !strings.Contains(rs[0].Detail, string(device(1))) {
		t.Errorf("records %+v", rs)
	}
}
