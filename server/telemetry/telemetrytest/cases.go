package telemetrytest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vedette-edr/vedette/schema/event"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/telemetry"
)

func (s *suite) same(want, got []string) {
	s.Helper()
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		s.Errorf("rows (-want +got):\n%s", diff)
	}
}

func testAppend(s *suite) {
	s.append(batch(1, process("one"), process("two")), telemetry.Committed)
	s.same([]string{
		"2026-11-20T12:00:00.0000000Z|" + string(device(1)) + "|host-1|100|ProcessCreated|bash|42|one|2026-11-20T11:59:59.0000000Z|root|null",
		"2026-11-20T12:00:00.0000000Z|" + string(device(1)) + "|host-1|101|ProcessCreated|bash|42|two|2026-11-20T11:59:59.0000000Z|root|null",
	}, s.read(TenantA, 2, "DeviceProcessEvents", "Timestamp", "DeviceId", "DeviceName", "ReportId", "ActionType", "FileName",
		"ProcessId", "ProcessCommandLine", "ProcessCreationTime", "AccountName", "FileSize"))
	s.same([]string{`{"a":[1,"ü"]}`, `{"a":[1,"ü"]}`}, s.read(TenantA, 2, "DeviceProcessEvents", "AdditionalFields"))
	if st := s.store.Status(); st.Committed != 2 || st.Degraded != "" {
		s.Errorf("Status %+v", st)
	}
}

func testDuplicate(s *suite) {
	s.append(batch(1, process("one")), telemetry.Committed)
	s.append(batch(1, process("one")), telemetry.Duplicate)
	s.append(batch(2, process("two")), telemetry.Committed)
	s.append(batch(1, process("one")), telemetry.Duplicate)
	s.same([]string{"one", "two"}, s.read(TenantA, 2, "DeviceProcessEvents", "ProcessCommandLine"))
	if n := s.store.Status().Duplicates; n != 2 {
		s.Errorf("%d duplicates counted, want 2", n)
	}
}

func testConflict(s *suite) {
	s.append(batch(1, process("one")), telemetry.Committed)
	_, err := s.store.Append(context.Background(), batch(1, process("another")))
	var e *errs.E
	if !errors.As(err, &e) || e.Kind != errs.Conflict || e.Code != errs.DeviceCloned {
		s.Errorf("other content under a committed sequence: %v", err)
	}
	s.append(batch(2, process("two")), telemetry.Committed)
	s.same([]string{"one", "two"}, s.read(TenantA, 2, "DeviceProcessEvents", "ProcessCommandLine"))
	if n := s.store.Status().Conflicts; n != 1 {
		s.Errorf("%d conflicts counted, want 1", n)
	}
}

func testAtOnce(s *suite) {
	var committed, duplicate atomic.Int32
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			switch ack, err := s.store.Append(context.Background(), batch(1, process("one"))); {
			case err != nil:
				s.Error(err)
			case ack == telemetry.Committed:
				committed.Add(1)
			case ack == telemetry.Duplicate:
				duplicate.Add(1)
			}
		})
	}
	wg.Wait()
	if committed.Load() != 1 || duplicate.Load() != 15 {
		s.Errorf("committed %d times, duplicate %d times", committed.Load(), duplicate.Load())
	}
	s.read(TenantA, 1, "DeviceProcessEvents", "ProcessCommandLine")
}

func testLate(s *suite) {
	s.append(batch(5, process("five")), telemetry.Committed)
	s.append(batch(3, process("three")), telemetry.Committed)
	s.append(batch(3, process("three")), telemetry.Duplicate)
	s.append(batch(5000, process("5000")), telemetry.Committed)
	s.append(batch(4, process("four")), telemetry.Committed)
	s.append(batch(5, process("five")), telemetry.Duplicate)
	s.same([]string{"5000", "five", "four", "three"}, s.read(TenantA, 4, "DeviceProcessEvents", "ProcessCommandLine"))
}

func testIncarnation(s *suite) {
	s.append(batch(1, process("before")), telemetry.Committed)
	b := batch(1, process("after"))
	b.Incarnation++
	s.append(b, telemetry.Committed)
	other := batch(1, process("other device"))
	other.Device = device(2)
	s.append(other, telemetry.Committed)
	s.same([]string{"after", "before", "other device"}, s.read(TenantA, 3, "DeviceProcessEvents", "ProcessCommandLine"))
}

func testOffset(s *suite) {
	for i, offset := range []time.Duration{0, 1900 * time.Millisecond, -48 * time.Hour, 3 * time.Second} {
		b := batch(uint64(i+1), process(fmt.Sprint(i)))
		b.Offset = offset
		s.append(b, telemetry.Committed)
	}
	s.same([]string{
		"0|2026-11-20T12:00:00.0000000Z|null|2026-11-20T13:00:00.0000000Z",
		"1|2026-11-20T12:00:00.0000000Z|null|2026-11-20T13:00:00.0000000Z",
		"2|2026-11-18T12:00:00.0000000Z|2026-11-20T12:00:00.0000000Z|2026-11-20T13:00:00.0000000Z",
		"3|2026-11-20T12:00:03.0000000Z|2026-11-20T12:00:00.0000000Z|2026-11-20T13:00:00.0000000Z",
	}, s.read(TenantA, 4, "DeviceProcessEvents", "ProcessCommandLine", "Timestamp", "RawTimestamp", "IngestionTime"))
}

func testGaps(s *suite) {
	b := batch(1, process("one"))
	b.Gaps = []event.Gap{{Source: "spool", Reason: "the spool was full", Count: 12, From: noon.Add(-time.Minute), To: noon}}
	s.append(seal(b), telemetry.Committed)
	s.same([]string{string(device(1)) + "|host-1|spool|the spool was full|12|2026-11-20T11:59:00.0000000Z|2026-11-20T12:00:00.0000000Z"},
		s.read(TenantA, 1, telemetry.GapTable, "DeviceId", "DeviceName", "Source", "Reason", "EventsLost", "GapStart", "GapEnd"))
}

func stamped(row telemetry.Row) telemetry.Row {
	row["Timestamp"], row["IngestionTime"] = event.At(noon), event.At(noon.Add(time.Hour))
	return row
}

func testRows(s *suite) {
	rows := []telemetry.Row{
		stamped(telemetry.Row{"AccountName": event.Str("alice"), "IsLocalAdmin": event.Flag(true), "RemotePort": event.Num(22), "Share": event.Num(2)}),
		stamped(telemetry.Row{"AccountName": event.Str("bob"), "ReportId": event.Num(1 << 40)}),
	}
	if err := s.store.AppendRows(context.Background(), TenantA, "DeviceLogonEvents", rows); err != nil {
		s.Fatal(err)
	}
	s.same([]string{"alice|true|22|2|null||2026-11-20T12:00:00.0000000Z", "bob|null|null|null|1099511627776||2026-11-20T12:00:00.0000000Z"},
		s.read(TenantA, 2, "DeviceLogonEvents", "AccountName", "IsLocalAdmin", "RemotePort", "Share", "ReportId", "LogonType", "Timestamp"))
}

func testBadRows(s *suite) {
	for what, row := range map[string]telemetry.Row{
		"unknown column": stamped(telemetry.Row{"Nope": event.Num(1)}),
		"wrong type":     stamped(telemetry.Row{"AccountName": event.Num(1)}),
		"no times":       {"AccountName": event.Str("x")},
	} {
		if err := s.store.AppendRows(context.Background(), TenantA, "DeviceLogonEvents", []telemetry.Row{row}); !errs.Is(err, errs.Invalid) {
			s.Errorf("%s: %v", what, err)
		}
	}
	if err := s.store.AppendRows(context.Background(), TenantA, "NoTable", nil); !errs.Is(err, errs.Invalid) {
		s.Errorf("unknown table: %v", err)
	}
}

func testRestart(s *suite) {
	s.append(batch(1, process("one")), telemetry.Committed)
	s.read(TenantA, 1, "DeviceProcessEvents", "ProcessCommandLine")
	s.append(batch(2, process("two")), telemetry.Committed)
	if err := s.store.AppendRows(context.Background(), TenantA, "DeviceLogonEvents", []telemetry.Row{stamped(telemetry.Row{"AccountName": event.Str("alice")})}); err != nil {
		s.Fatal(err)
	}
	s.stop()
	s.start()
	s.same([]string{"one", "two"}, s.read(TenantA, 2, "DeviceProcessEvents", "ProcessCommandLine"))
	s.same([]string{"alice"}, s.read(TenantA, 1, "DeviceLogonEvents", "AccountName"))
	s.append(batch(1, process("one")), telemetry.Duplicate)
	s.append(batch(2, process("two")), telemetry.Duplicate)
	if _, err := s.store.Append(context.Background(), batch(2, process("clone"))); !errs.Is(err, errs.Conflict) {
		s.Errorf("a clone after a restart: %v", err)
	}
	s.append(batch(3, process("three")), telemetry.Committed)
	s.same([]string{"one", "three", "two"}, s.read(TenantA, 3, "DeviceProcessEvents", "ProcessCommandLine"))
}

func testTenants(s *suite) {
	s.append(batch(1, process("of a")), telemetry.Committed)
	b := batch(1, process("of b"))
	b.Tenant = TenantB
	s.append(b, telemetry.Committed)
	s.same([]string{"of a"}, s.read(TenantA, 1, "DeviceProcessEvents", "ProcessCommandLine"))
	s.same([]string{"of b"}, s.read(TenantB, 1, "DeviceProcessEvents", "ProcessCommandLine"))
	s.same(nil, s.read("cccccccc-0000-4000-8000-000000000003", 0, "DeviceProcessEvents", "ProcessCommandLine"))
}

func testNulls(s *suite) {
	bare := &event.Event{Table: event.ProcessEvents, Action: "ProcessCreated", Time: noon}
	s.append(batch(1, bare), telemetry.Committed)
	s.same([]string{"||null|null|null|null|null|null"}, s.read(TenantA, 1, "DeviceProcessEvents",
		"ProcessCommandLine", "NoSensorText", "NoSensorLong", "NoSensorBool", "ProcessId", "ProcessCreationTime", "AdditionalFields", "InitiatingProcessId"))
}

func testLimits(s *suite) {
	var events []*event.Event
	for i := range 100 {
		events = append(events, process(fmt.Sprint(i)))
	}
	s.append(batch(1, events...), telemetry.Committed)
	s.read(TenantA, 100, "DeviceProcessEvents", "ProcessCommandLine")
	for what, l := range map[string]telemetry.Limits{"rows": {Rows: 99}, "bytes": {Bytes: 100}} {
		q := &telemetry.Query{Tenant: TenantA, Plan: scan("DeviceProcessEvents", "ProcessCommandLine"), Limits: l}
		if _, err := telemetry.Collect(context.Background(), s.store, q); !errs.Is(err, errs.Limited) {
			s.Errorf("too many %s: %v", what, err)
		}
	}
}
