package duckdb

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vedette-edr/vedette/kql/types"
	"github.com/vedette-edr/vedette/schema/event"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/telemetry"
	"github.com/vedette-edr/vedette/server/telemetry/duckdb/worker"
)

// TestMain lets the test binary be its own query worker and its own victim of kill -9.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "worker":
			os.Exit(worker.Main(os.Args[2:], os.Stdin, os.Stdout))
		case "worker of few files":
			if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 64, Max: 64}); err != nil {
				panic(err)
			}
			os.Exit(worker.Main(os.Args[2:], os.Stdin, os.Stdout))
		case "ingest":
			ingestForever(os.Args[2], os.Args[3])
		}
	}
	os.Exit(m.Run())
}

const (
	tenantA = ident.TenantID("aaaaaaaa-0000-4000-8000-000000000001")
	tenantB = ident.TenantID("bbbbbbbb-0000-4000-8000-000000000002")
)

func deviceID(n int) ident.DeviceID { return ident.DeviceID(fmt.Sprintf("%040x", n+1)) }

var testTables = []telemetry.Table{
	{Name: "DeviceProcessEvents", Columns: columns("Timestamp:datetime DeviceId:string DeviceName:string ReportId:long ActionType:string" +
		" FileName:string FolderPath:string SHA1:string ProcessId:long ProcessCommandLine:string ProcessCreationTime:datetime" +
		" AccountName:string InitiatingProcessFileName:string InitiatingProcessId:long AdditionalFields:dynamic NoSensor:string RawTimestamp:datetime")},
	{Name: "DeviceLogonEvents", Columns: columns("Timestamp:datetime DeviceId:string DeviceName:string ReportId:long ActionType:string" +
		" AccountName:string LogonType:string IsLocalAdmin:bool RemotePort:int")},
	{Name: telemetry.GapTable, Columns: columns("Timestamp:datetime DeviceId:string DeviceName:string Source:string Reason:string EventsLost:long GapStart:datetime GapEnd:datetime")},
}

func columns(list string) (cs []telemetry.Column) {
	for _, f := range strings.Fields(list) {
		name, kind, _ := strings.Cut(f, ":")
		t, _ := types.FromName(kind)
		cs = append(cs, telemetry.Column{Name: name, Type: t})
	}
	return cs
}

// load is how these tests put events on the wire.
type load struct {
	Events []*event.Event
	Gaps   []event.Gap
}

func decodeLoad(raw []byte) ([]*event.Event, []event.Gap, error) {
	var l load
	err := json.Unmarshal(raw, &l)
	return l.Events, l.Gaps, err
}

// makeBatch returns a batch of process events whose command lines tell device, sequence
// and index.
func makeBatch(tenant ident.TenantID, device int, sequence uint64, events int) *telemetry.Batch {
	at := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC).Add(time.Duration(sequence) * time.Second)
	l := load{}
	for i := range events {
		l.Events = append(l.Events, &event.Event{
			Table: event.ProcessEvents, Action: "ProcessCreated", Time: at.Add(time.Duration(i) * time.Millisecond),
			Process: &event.Process{PID: uint32(1000 + i), Start: at, CommandLine: fmt.Sprintf("cmd %d %d %d", device, sequence, i),
				Image: event.File{Name: "bash", Path: "/usr/bin/bash", Size: -1}, Account: event.Account{Name: "root"}},
		})
	}
	return wrap(tenant, device, sequence, l)
}

func wrap(tenant ident.TenantID, device int, sequence uint64, l load) *telemetry.Batch {
	raw, err := json.Marshal(l)
	if err != nil {
		panic(err)
	}
	return &telemetry.Batch{
		Tenant: tenant, Device: deviceID(device), DeviceName: fmt.Sprintf("host-%d", device), Incarnation: 1,
		Sequence: sequence, Hash: sha256.Sum256(raw), FirstReport: int64(sequence) * 1000,
		Received: time.Now(), Events: l.Events, Gaps: l.Gaps, Raw: raw,
	}
}

func testConfig(dir string) Config {
	return Config{Dir: dir, Tables: testTables, Decode: decodeLoad, CutEvery: 50 * time.Millisecond, MergeEvery: -1, Reserve: 1 << 20}
}

func openStore(t testing.TB, cfg Config) *Store {
	t.Helper()
	s, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if s.stop != nil {
			_ = s.Close()
		}
	})
	return s
}

// reopen closes a store and opens it again.
func reopen(t testing.TB, s *Store) *Store {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	cfg := s.cfg
	s.stop = nil
	return openStore(t, cfg)
}

func mustAppend(t testing.TB, s *Store, b *telemetry.Batch) {
	t.Helper()
	ack, err := s.Append(context.Background(), b)
	if err != nil || ack != telemetry.Committed {
		t.Fatalf("Append: %v, %v", ack, err)
	}
}

// ask runs SQL in a worker; %s stands for the table's files. The result's types are given
// as KQL names.
func ask(t testing.TB, s *Store, tenant ident.TenantID, table, resultTypes, text string) [][]types.Value {
	t.Helper()
	rows, _, err := tryAsk(s, tenant, telemetry.Limits{}, table, resultTypes, text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return rows
}

func tryAsk(s *Store, tenant ident.TenantID, l telemetry.Limits, table, resultTypes, text string) (out [][]types.Value, stats telemetry.Stats, err error) {
	st := &statement{tenant: tenant, limits: l}
	for _, name := range strings.Fields(resultTypes) {
		typ, _ := types.FromName(name)
		st.columns = append(st.columns, typ)
	}
	st.sql = func(n *snapshot) (string, error) {
		all := timeRange{0, types.MaxDatetime}
		files := n.paths(n.list(table, all, all))
		if strings.Contains(text, "%s") && len(files) == 0 {
			return "", os.ErrNotExist
		}
		return strings.ReplaceAll(text, "%s", "read_parquet(['"+strings.Join(files, "','")+"'], union_by_name=true, file_row_number=true)"), nil
	}
	stats, err = s.execute(context.Background(), st, func(row []types.Value) error {
		out = append(out, append([]types.Value(nil), row...))
		return nil
	})
	return out, stats, err
}

// eventually polls until ok, for things that other goroutines bring about.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// cutAll waits until everything acknowledged is in segments.
func cutAll(t testing.TB, s *Store) {
	t.Helper()
	eventually(t, "all is cut", func() bool { return s.Status().JournalSize == 0 })
}
