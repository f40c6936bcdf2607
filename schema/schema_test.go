package schema

import (
	"testing"

	"github.com/vedette-edr/vedette/kql/types"
	"github.com/vedette-edr/vedette/schema/event"
)

func TestCounts(t *testing.T) {
	// Column counts as the published reference (and its 2019 state) gives them.
	published := map[string]int{
		"AlertInfo": 8, "AlertEvidence": 42, "DeviceInfo": 40, "DeviceNetworkInfo": 16,
		"DeviceProcessEvents": 68, "DeviceNetworkEvents": 45, "DeviceFileEvents": 58,
		"DeviceRegistryEvents": 43, "DeviceLogonEvents": 49, "DeviceImageLoadEvents": 42,
		"DeviceEvents": 65, "DeviceFileCertificateInfo": 18,
		"ProcessCreationEvents": 37, "LogonEvents": 33, "MiscEvents": 46, "AlertEvents": 13,
	}
	for name, want := range published {
		table, ok := Lookup(name)
		if !ok {
			t.Errorf("no table %s", name)
			continue
		}
		got := 0
		for _, c := range table.Columns {
			if !c.Hidden {
				got++
			}
		}
		if got != want {
			t.Errorf("%s shows %d columns, want %d", name, got, want)
		}
	}
}

func TestViewsReadPhysicalTables(t *testing.T) {
	for _, v := range Tables() {
		if v.Base == "" {
			continue
		}
		base, ok := Lookup(v.Base)
		if !ok || base.Base != "" {
			t.Errorf("%s reads %s, which is not physical", v.Name, v.Base)
			continue
		}
		for _, c := range v.Columns {
			if _, ok := base.Column(c.Source); !ok {
				t.Errorf("%s.%s reads %s.%s, which does not exist", v.Name, c.Name, v.Base, c.Source)
			}
		}
	}
}

func TestAdditionalFieldsIsDynamicEverywhere(t *testing.T) {
	for _, table := range Tables() {
		if c, ok := table.Column("AdditionalFields"); ok && (c.Type != types.Dynamic || !c.JSON) {
			t.Errorf("%s.AdditionalFields is %v", table.Name, c.Type)
		}
	}
}

func TestEventColumnsHaveTheirReaders(t *testing.T) {
	kinds := map[types.Type]event.Kind{
		types.String: event.String, types.Dynamic: event.String, types.Long: event.Int,
		types.Int: event.Int, types.Bool: event.Bool, types.Datetime: event.Time,
	}
	full := sample()
	for id := event.ProcessEvents; id.Valid(); id++ {
		table, ok := Lookup(id.String())
		if !ok {
			t.Fatalf("events of %q have no table", id)
		}
		for _, c := range table.Columns {
			read, ok := event.Column(c.Name)
			if !ok || !c.Stored() {
				continue
			}
			v := read(&event.Origin{DeviceID: "d", DeviceName: "n", ReportID: 1, Timestamp: full.Time, Ingested: full.Time}, full)
			if v.Kind != event.Null && v.Kind != kinds[c.Type] {
				t.Errorf("%s.%s is %v, its reader gives kind %d", table.Name, c.Name, c.Type, v.Kind)
			}
		}
	}
}

// sample is an event with every part present, so that every reader gives a cell.
func sample() *event.Event {
	at := event.FromTicks(638000000000000000)
	p := &event.Process{Key: 1, PID: 2, Start: at, Session: 3, Parent: event.Parent{PID: 1, Start: at},
		Image: event.File{Name: "sh", Path: "/bin/sh"}, Account: event.Account{Name: "root"}}
	return &event.Event{Table: event.DeviceEvents, Action: "X", Time: at, Initiating: p, Process: p,
		File: &event.File{Name: "f"}, Previous: &event.File{Name: "g"},
		Network: &event.Network{RemoteIP: "1.2.3.4", RemotePort: 80, LocalIP: "10.0.0.1", LocalPort: 1},
		Logon:   &event.Logon{Type: "Interactive", ID: 4}, Account: &event.Account{Name: "a"}, Additional: "{}"}
}
