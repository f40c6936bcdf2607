package duckdb

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vedette-edr/vedette/kql"
	"github.com/vedette-edr/vedette/kql/bind"
	"github.com/vedette-edr/vedette/kql/plan"
	"github.com/vedette-edr/vedette/kql/types"
	"github.com/vedette-edr/vedette/schema/event"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/telemetry"
)

// catalog shows the test tables to the binder.
type catalog struct{}

func (catalog) Table(name string) (*bind.Table, bool) {
	for _, t := range testTables {
		if t.Name != name {
			continue
		}
		b := &bind.Table{Name: name}
		for _, c := range t.Columns {
			b.Columns = append(b.Columns, bind.Column{Name: c.Name, Type: c.Type, JSONString: c.Name == "AdditionalFields"})
		}
		return b, true
	}
	return nil, false
}

func (catalog) TableNames() (names []string) {
	for _, t := range testTables {
		names = append(names, t.Name)
	}
	return names
}

// TestInterpreterLimits shows that a query which SQL cannot say whole keeps the limits.
func TestInterpreterLimits(t *testing.T) {
	s := openStore(t, testConfig(t.TempDir()))
	q, err := kql.Compile(`range x from 1 to 1000 step 1 | scan with (step s: true;)`, catalog{}, kql.Options{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = telemetry.Collect(context.Background(), s, &telemetry.Query{Tenant: tenantA, Plan: q.Root, Limits: telemetry.Limits{Rows: 10}})
	if errs.KindOf(err) != errs.Limited {
		t.Errorf("1000 rows with a limit of 10: %v", err)
	}
	q, err = kql.Compile(`range x from 1 to 100000 step 1 | mv-apply y = range(1, 100000, 1) on (count)`, catalog{}, kql.Options{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = telemetry.Collect(context.Background(), s, &telemetry.Query{Tenant: tenantA, Plan: q.Root, Limits: telemetry.Limits{Time: time.Second}})
	if k := errs.KindOf(err); k != errs.Timeout && k != errs.Limited {
		t.Errorf("ten billion rows in a second: %v", err)
	}
}

// TestColumnsOfRows shows plug-ins whose columns depend on rows, asked for while the query
// is compiled, and that files named by address are refused in words.
func TestColumnsOfRows(t *testing.T) {
	s := openStore(t, testConfig(t.TempDir()))
	at := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	var events []*event.Event
	for i, extra := range []string{`{"Depth":3,"Name":"x"}`, `{"Depth":4}`, ``} {
		events = append(events, &event.Event{Table: event.ProcessEvents, Action: "ProcessCreated", Time: at, Additional: extra,
			Process: &event.Process{PID: 1, Image: event.File{Name: []string{"curl", "bash", "bash"}[i], Size: -1}}})
	}
	mustAppend(t, s, wrap(tenantA, 1, 1, load{Events: events}))
	cutAll(t, s)
	ctx := context.Background()
	probe := func(n plan.Node) ([][]types.Value, error) {
		r, err := telemetry.Collect(ctx, s, &telemetry.Query{Tenant: tenantA, Plan: plan.Optimize(n)})
		if err != nil {
			return nil, err
		}
		return r.Rows, nil
	}
	for text, want := range map[string]string{
		`DeviceProcessEvents | project FileName, AdditionalFields | evaluate bag_unpack(AdditionalFields) | where Depth == 3`: "FileName:string Depth:long Name:string|curl,3,x",
		`DeviceProcessEvents | evaluate pivot(FileName, count(), DeviceName)`:                                                 "DeviceName:string bash:long curl:long|host-1,2,1",
	} {
		q, err := kql.Compile(text, catalog{}, kql.Options{Now: types.FromTime(at), Probe: probe})
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		r, err := telemetry.Collect(ctx, s, &telemetry.Query{Tenant: tenantA, Plan: q.Root})
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		var head, lines []string
		for _, c := range q.Columns {
			head = append(head, c.Name+":"+c.Type.String())
		}
		for _, row := range r.Rows {
			var cells []string
			for _, v := range row {
				cells = append(cells, v.Text())
			}
			lines = append(lines, strings.Join(cells, ","))
		}
		if got := strings.Join(head, " ") + "|" + strings.Join(lines, "|"); got != want {
			t.Errorf("%s:\ngot  %s\nwant %s", text, got, want)
		}
	}
	q, err := kql.Compile(`externaldata(x:string)["https://example.com/a.csv"] with (format="csv") | count`, catalog{}, kql.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := telemetry.Collect(ctx, s, &telemetry.Query{Tenant: tenantA, Plan: q.Root}); errs.KindOf(err) != errs.Unsupported {
		t.Errorf("externaldata: %v", err)
	}
}

// TestKQL runs texts through every stage and the sandboxed worker. The expected rows are
// read off the events.
func TestKQL(t *testing.T) {
	s := openStore(t, testConfig(t.TempDir()))
	at := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	proc := func(minutes int, file, line, account, extra string) *event.Event {
		return &event.Event{Table: event.ProcessEvents, Action: "ProcessCreated", Time: at.Add(time.Duration(minutes) * time.Minute), Additional: extra,
			Process: &event.Process{PID: 1, CommandLine: line, Image: event.File{Name: file, Size: -1}, Account: event.Account{Name: account}}}
	}
	mustAppend(t, s, wrap(tenantA, 1, 1, load{Events: []*event.Event{
		proc(0, "curl", "curl -o /tmp/x http://192.0.2.7/x", "alice", `{"Depth":3,"Tags":["a","b"]}`),
		proc(1, "bash", "bash -c 'echo aGVsbG8='", "alice", ``),
		proc(2, "CURL", "CURL --version", "root", `{"Depth":1}`),
	}}))
	cutAll(t, s)
	mustAppend(t, s, wrap(tenantA, 2, 1, load{Events: []*event.Event{
		proc(60, "bash", "bash", "bob", ``),
		{Table: event.LogonEvents, Action: "LogonSuccess", Time: at, Account: &event.Account{Name: "alice"}, Logon: &event.Logon{Type: "RemoteInteractive", LocalAdmin: true, RemotePort: 22}},
	}}))
	cutAll(t, s)
	for text, want := range map[string][]string{
		`DeviceProcessEvents | where Timestamp > ago(2h) | summarize count() by FileName | top 10 by count_ | order by FileName asc`:                                            {"CURL|1", "bash|2", "curl|1"},
		`DeviceProcessEvents | where FileName =~ "curl" and ProcessCommandLine has "192.0.2.7" | project AccountName, x = extract(@"http://([0-9.]+)/", 1, ProcessCommandLine)`: {"alice|192.0.2.7"},
		`DeviceProcessEvents | where AdditionalFields.Depth > 2 | project toint(AdditionalFields.Depth), tostring(AdditionalFields.Tags[1])`:                                    {"3|b"},
		`DeviceProcessEvents | summarize arg_max(Timestamp, ProcessCommandLine) by DeviceName | project DeviceName, ProcessCommandLine | order by DeviceName asc`:               {"host-1|CURL --version", "host-2|bash"},
		`DeviceLogonEvents | join kind=inner (DeviceProcessEvents | where FileName == "curl") on AccountName | project AccountName, LogonType, RemotePort, FileName`:            {"alice|RemoteInteractive|22|curl"},
		`DeviceProcessEvents | where FileName == "bash" and isnotempty(AccountName) | project y = base64_decode_tostring("aGVsbG8="), d = format_datetime(Timestamp, "yyyy-MM-dd HH:mm"), l = datetime_utc_to_local(Timestamp, "Europe/Berlin") | order by d asc`: {
			"hello|2026-11-21 12:01|2026-11-21T13:01:00.0000000Z", "hello|2026-11-21 13:00|2026-11-21T14:00:00.0000000Z"},
		`DeviceProcessEvents | where Timestamp between (datetime(2026-11-21 12:59) .. 5m) | count`: {"1"},
		// What SQL cannot say runs in the interpreter, on rows of the worker.
		`DeviceProcessEvents | where FileName == "curl" | mv-apply tag = AdditionalFields.Tags on (where tag == "b") | project FileName, tostring(tag)`:            {"curl|b"},
		`DeviceProcessEvents | top-nested 1 of DeviceName by count() desc, top-nested 1 of FileName by count() | project DeviceName, FileName`:                     {"host-1|curl"},
		`DeviceProcessEvents | partition by DeviceName (summarize n = count() by DeviceName) | order by DeviceName asc`:                                            {"host-1|3", "host-2|1"},
		`DeviceProcessEvents | order by Timestamp asc | scan declare (seen:long=0) with (step s: true => seen = s.seen + 1;) | project seen | summarize max(seen)`: {"4"},
		`DeviceProcessEvents | where Timestamp < datetime(2020-01-01) | count`:                                                                                     {"0"},
	} {
		q, err := kql.Compile(text, catalog{}, kql.Options{Now: types.FromTime(at.Add(61 * time.Minute))})
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		r, err := telemetry.Collect(context.Background(), s, &telemetry.Query{Tenant: tenantA, Plan: q.Root})
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		var got []string
		for _, row := range r.Rows {
			var cells []string
			for _, v := range row {
				cells = append(cells, v.Text())
			}
			got = append(got, strings.Join(cells, "|"))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}
}
