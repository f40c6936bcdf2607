// Package telemetrytest is the suite that every telemetry store passes: the contract of
// package telemetry as tests.
//
// It speaks to a store through its interface alone, asks by plan, and looks at outcomes
// only; how fast rows become visible is bounded generously. What only one store has
// (kill -9, full disks, sandboxes) is tested beside that store. Start with Run.
package telemetrytest

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/vedette-edr/vedette/kql/plan"
	"github.com/vedette-edr/vedette/kql/types"
	"github.com/vedette-edr/vedette/schema/event"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/telemetry"
)

// Config is what a store under test is opened with.
type Config struct {
	Dir    string // opened again, it is the same store
	Tables []telemetry.Table
	Decode func(raw []byte) ([]*event.Event, []event.Gap, error)
}

// Opener opens a store; the suite closes it.
type Opener func(t *testing.T, c Config) telemetry.Store

// Tenants of the suite.
const (
	TenantA = ident.TenantID("aaaaaaaa-0000-4000-8000-000000000001")
	TenantB = ident.TenantID("bbbbbbbb-0000-4000-8000-000000000002")
)

// Run runs the suite.
func Run(t *testing.T, open Opener) {
	for name, test := range map[string]func(*suite){
		"append and query":              testAppend,
		"a batch again is a duplicate":  testDuplicate,
		"other content is a conflict":   testConflict,
		"at once is committed once":     testAtOnce,
		"late batches are taken":        testLate,
		"a new incarnation starts over": testIncarnation,
		"clocks that are off":           testOffset,
		"gaps become rows":              testGaps,
		"rows of the server":            testRows,
		"rows that do not fit":          testBadRows,
		"everything after a restart":    testRestart,
		"tenants see their own":         testTenants,
		"cells that nobody filled":      testNulls,
		"limits":                        testLimits,
	} {
		t.Run(name, func(t *testing.T) {
			s := &suite{T: t, open: open, config: Config{Dir: t.TempDir(), Tables: tables(), Decode: decode}}
			s.start()
			t.Cleanup(func() { s.stop() })
			test(s)
		})
	}
}

// suite is one test with its store.
type suite struct {
	*testing.T
	open   Opener
	config Config
	store  telemetry.Store
}

func (s *suite) start() { s.store = s.open(s.T, s.config) }

func (s *suite) stop() {
	s.Helper()
	if s.store == nil {
		return
	}
	if err := s.store.Close(); err != nil {
		s.Errorf("Close: %v", err)
	}
	s.store = nil
}

func tables() []telemetry.Table {
	table := func(name, list string) telemetry.Table {
		t := telemetry.Table{Name: name}
		for _, f := range strings.Fields(list) {
			column, kind, _ := strings.Cut(f, ":")
			typ, _ := types.FromName(kind)
			t.Columns = append(t.Columns, telemetry.Column{Name: column, Type: typ})
		}
		return t
	}
	return []telemetry.Table{
		table("DeviceProcessEvents", `Timestamp:datetime DeviceId:string DeviceName:string ReportId:long ActionType:string
			FileName:string SHA1:string FileSize:long ProcessId:long ProcessCommandLine:string ProcessCreationTime:datetime
			AccountName:string InitiatingProcessId:long AdditionalFields:dynamic NoSensorText:string NoSensorLong:long
			NoSensorBool:bool RawTimestamp:datetime IngestionTime:datetime`),
		table("DeviceLogonEvents", `Timestamp:datetime DeviceId:string ReportId:long ActionType:string AccountName:string
			LogonType:string IsLocalAdmin:bool RemotePort:int Share:real IngestionTime:datetime`),
		table(telemetry.GapTable, `Timestamp:datetime DeviceId:string DeviceName:string Source:string Reason:string
			EventsLost:long GapStart:datetime GapEnd:datetime IngestionTime:datetime`),
	}
}

// content is how the suite puts events on the wire.
type content struct {
	Events []*event.Event
	Gaps   []event.Gap
}

func decode(raw []byte) ([]*event.Event, []event.Gap, error) {
	var c content
	err := json.Unmarshal(raw, &c)
	return c.Events, c.Gaps, err
}

// noon is when the suite's events happen, by the device's clock.
var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// device returns a device's id.
func device(n int) ident.DeviceID { return ident.DeviceID(fmt.Sprintf("%040x", n)) }

// process returns a process event.
func process(commandLine string) *event.Event {
	return &event.Event{Table: event.ProcessEvents, Action: "ProcessCreated", Time: noon, Additional: `{"a":[1,"ü"]}`,
		Process: &event.Process{PID: 42, Start: noon.Add(-time.Second), CommandLine: commandLine,
			Image: event.File{Name: "bash", SHA1: "da39a3ee5e6b4b0d3255bfef95601890afd80709", Size: -1}, Account: event.Account{Name: "root"}}}
}

// batch returns a batch of device 1 of tenant A.
func batch(sequence uint64, events ...*event.Event) *telemetry.Batch {
	return seal(&telemetry.Batch{Tenant: TenantA, Device: device(1), DeviceName: "host-1", Incarnation: 7, Sequence: sequence,
		FirstReport: int64(sequence) * 100, Received: noon.Add(time.Hour), Events: events})
}

// seal gives a batch the raw form and hash of its content.
func seal(b *telemetry.Batch) *telemetry.Batch {
	raw, err := json.Marshal(content{b.Events, b.Gaps})
	if err != nil {
		panic(err)
	}
	b.Raw, b.Hash = raw, sha256.Sum256(raw)
	return b
}

func (s *suite) append(b *telemetry.Batch, want telemetry.Ack) {
	s.Helper()
	got, err := s.store.Append(context.Background(), b)
	if err != nil || got != want {
		s.Fatalf("Append of sequence %d: %v, %v; want %v", b.Sequence, got, err, want)
	}
}

// scan returns the plan that reads columns of a table.
func scan(table string, names ...string) *plan.Scan {
	n := &plan.Scan{Table: table, Base: table}
	for i, name := range names {
		c := plan.Column{ID: i + 1, Name: name}
		for _, t := range tables() {
			for _, tc := range t.Columns {
				if t.Name == table && tc.Name == name {
					c.Type = tc.Type
				}
			}
		}
		n.Cols = append(n.Cols, plan.ScanColumn{Column: c, Source: name, BaseType: c.Type})
	}
	return n
}

// read returns the cells of a table as text, a row a string, once there are want rows.
// It waits for them, because rows may become visible a little after they are kept.
func (s *suite) read(tenant ident.TenantID, want int, table string, names ...string) []string {
	s.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		r, err := telemetry.Collect(context.Background(), s.store, &telemetry.Query{Tenant: tenant, Plan: scan(table, names...)})
		if err != nil {
			s.Fatalf("Query: %v", err)
		}
		if len(r.Rows) >= want {
			if len(r.Rows) > want {
				s.Errorf("%d rows of %s, want %d", len(r.Rows), table, want)
			}
			return render(r.Rows)
		}
		if time.Now().After(deadline) {
			s.Fatalf("%d rows of %s after waiting, want %d", len(r.Rows), table, want)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func render(rows [][]types.Value) (out []string) {
	for _, row := range rows {
		var cells []string
		for _, v := range row {
			if v.Null {
				cells = append(cells, "null")
			} else {
				cells = append(cells, v.Text())
			}
		}
		out = append(out, strings.Join(cells, "|"))
	}
	return out
}
