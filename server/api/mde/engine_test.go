package mde_test

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/vedette-edr/vedette/schema"
	"github.com/vedette-edr/vedette/schema/event"
	"github.com/vedette-edr/vedette/server/api/mde"
	"github.com/vedette-edr/vedette/server/hunt"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/telemetry"
	"github.com/vedette-edr/vedette/server/telemetry/duckdb"
	"github.com/vedette-edr/vedette/server/telemetry/duckdb/worker"
)

// TestMain lets the test binary be the query worker of the store under test.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "worker" {
		os.Exit(worker.Main(os.Args[2:], os.Stdin, os.Stdout))
	}
	os.Exit(m.Run())
}

// engine is a site whose telemetry is in the embedded store.
type engine struct {
	*site
	store *duckdb.Store
}

func newEngine(t testing.TB) *engine {
	t.Helper()
	var tables []telemetry.Table
	for _, s := range schema.Tables() {
		if s.Base != "" {
			continue
		}
		table := telemetry.Table{Name: s.Name}
		for _, c := range s.Columns {
			if c.Stored() {
				table.Columns = append(table.Columns, telemetry.Column{Name: c.Name, Type: c.Type})
			}
		}
		tables = append(tables, table)
	}
	st, err := duckdb.Open(duckdb.Config{
		Dir: t.TempDir(), Tables: tables, Clock: clock, CutEvery: 20 * time.Millisecond, MergeEvery: -1, Reserve: 1 << 20,
		Decode: func(raw []byte) (events []*event.Event, gaps []event.Gap, err error) {
			return events, nil, json.Unmarshal(raw, &events)
		},
	})
	check(t, err)
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	s := newSiteOn(t, 0, func(c hunt.Config) mde.Telemetry {
		c.Store = st
		return hunt.New(c)
	})
	return &engine{site: s, store: st}
}

// append sends a batch of a machine, whose events get the ReportIds from first on, and
// waits until it can be hunted over.
func (e *engine) append(tenant int, machine string, sequence uint64, first int64, events ...*event.Event) {
	e.t.Helper()
	raw, err := json.Marshal(events)
	check(e.t, err)
	ack, err := e.store.Append(e.t.Context(), &telemetry.Batch{
		Tenant: e.tenants[tenant], Device: ident.DeviceID(e.vars[machine]), DeviceName: machine, Incarnation: 1, Sequence: sequence,
		Hash: sha256.Sum256(raw), FirstReport: first, Received: now, Events: events, Raw: raw,
	})
	check(e.t, err)
	if ack != telemetry.Committed {
		e.t.Fatalf("acknowledged as %v", ack)
	}
	deadline := time.Now().Add(30 * time.Second)
	for e.store.Status().JournalSize > 0 {
		if time.Now().After(deadline) {
			e.t.Fatal("the batch never became segments")
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func (e *engine) hunt(as, query string) *httptest.ResponseRecorder {
	e.t.Helper()
	raw, err := json.Marshal(map[string]string{"Query": query})
	check(e.t, err)
	return e.call(as, "POST", "/api/advancedqueries/run", string(raw))
}

// ran is the event that the engine's tests hunt for.
func ran(line string) *event.Event {
	return &event.Event{Table: event.ProcessEvents, Action: "ProcessCreated", Time: now.Add(-10*time.Minute + 711518300), Additional: `{"a":[1,"<ü>"]}`,
		Process: &event.Process{PID: 11, Start: now.Add(-10 * time.Minute), CommandLine: line, Image: event.File{Name: "curl", Path: "/usr/bin/curl", Size: -1},
			Account: event.Account{Name: "root", Domain: "web", SID: "0"}}}
}

// TestHuntingOverTheRealEngine compares answers of the whole way, from a batch on disk to
// the bytes of the API, with what the published documentation says they look like.
func TestHuntingOverTheRealEngine(t *testing.T) {
	e := newEngine(t)
	e.append(0, "web", 1, 20776, ran("curl 1"), &event.Event{Table: event.LogonEvents, Action: "LogonSuccess", Time: now.Add(-time.Hour),
		Account: &event.Account{Name: "eve", Domain: "web", SID: "1000"}, Logon: &event.Logon{Type: "Interactive", LocalAdmin: true}})
	e.append(1, "foreign", 1, 1, ran("curl of another tenant"))

	for _, c := range []struct{ name, query, schema, results string }{
		{"every type", `print s = "a\"<\n", l = 1152921504606846976, i = int(-7), b = true, r = 0.5, d = decimal(1.5), t = datetime(2024-05-01 02:03:04.1234567),
			span = 1h, g = guid(0F0E0D0C-0000-0000-0000-000000000001), y = dynamic({"a":["<b>",2.5,null]}), inf = real(+inf)`,
			`[{"Name":"s","Type":"String"},{"Name":"l","Type":"Int64"},{"Name":"i","Type":"Int32"},{"Name":"b","Type":"SByte"},{"Name":"r","Type":"Double"},
			{"Name":"d","Type":"*"},{"Name":"t","Type":"DateTime"},{"Name":"span","Type":"TimeSpan"},{"Name":"g","Type":"Guid"},{"Name":"y","Type":"Object"},{"Name":"inf","Type":"Double"}]`,
			`[{"s":"a\"<\n","l":1152921504606846976,"i":-7,"b":true,"r":0.5,"d":"1.5","t":"2024-05-01T02:03:04.1234567Z","span":"01:00:00",
			"g":"0f0e0d0c-0000-0000-0000-000000000001","y":{"a":["<b>",2.5,null]},"inf":"*"}]`},
		{"every null", `print s = "", l = long(null), i = int(null), b = bool(null), r = real(null), d = decimal(null), t = datetime(null), span = timespan(null), g = guid(null), y = dynamic(null)`,
			`["*","*","*","*","*","*","*","*","*","*"]`,
			`[{"s":"","l":null,"i":null,"b":null,"r":null,"d":null,"t":null,"span":null,"g":null,"y":null}]`},
		{"a row", `DeviceProcessEvents | where Timestamp > ago(1h) | project Timestamp, DeviceId, FileName, SHA1, FileSize, ProcessId, LogonId, ReportId, AdditionalFields`,
			`[{"Name":"Timestamp","Type":"DateTime"},{"Name":"DeviceId","Type":"String"},{"Name":"FileName","Type":"String"},{"Name":"SHA1","Type":"String"},{"Name":"FileSize","Type":"Int64"},
			{"Name":"ProcessId","Type":"Int64"},{"Name":"LogonId","Type":"Int64"},{"Name":"ReportId","Type":"Int64"},{"Name":"AdditionalFields","Type":"String"}]`,
			`[{"Timestamp":"2024-06-01T11:50:00.7115183Z","DeviceId":"{{web}}","FileName":"curl","SHA1":"","FileSize":null,"ProcessId":11,"LogonId":null,"ReportId":20776,
			"AdditionalFields":"{\"a\":[1,\"<ü>\"]}"}]`},
		{"inside a string column", `DeviceProcessEvents | where AdditionalFields has "a" | project x = tostring(AdditionalFields.a[1]), n = toint(AdditionalFields.a[0])`,
			`[{"Name":"x","Type":"String"},{"Name":"n","Type":"Int32"}]`, `[{"x":"<ü>","n":1}]`},
		{"no additional fields", `DeviceLogonEvents | project AdditionalFields, IsLocalAdmin, RemotePort`,
			`[{"Name":"AdditionalFields","Type":"String"},{"Name":"IsLocalAdmin","Type":"SByte"},{"Name":"RemotePort","Type":"Int32"}]`,
			`[{"AdditionalFields":"","IsLocalAdmin":true,"RemotePort":null}]`},
		{"names of 2019", `ProcessCreationEvents | project EventTime, MachineId, FileName`, `["*","*","*"]`,
			`[{"EventTime":"2024-06-01T11:50:00.7115183Z","MachineId":"{{web}}","FileName":"curl"}]`},
		{"no rows", `DeviceProcessEvents | where FileName == "nothing" | project FileName`, `[{"Name":"FileName","Type":"String"}]`, `[]`},
	} {
		w := e.hunt("all", c.query)
		if w.Code != 200 {
			t.Errorf("%s: %d %s", c.name, w.Code, w.Body)
			continue
		}
		got := decode(t, w.Body.Bytes()).(map[string]any)
		for key, want := range map[string]string{"Schema": c.schema, "Results": strings.ReplaceAll(c.results, "{{web}}", e.vars["web"]), "completeness": `{"complete":true,"gaps":[]}`} {
			if err := subset(key, decode(t, []byte(want)), got[key]); err != nil {
				t.Errorf("%s: %v\nin %s", c.name, err, w.Body)
			}
		}
	}

	t.Run("tenants", func(t *testing.T) {
		for _, query := range []string{"DeviceProcessEvents", "ProcessCreationEvents", "union *", "search in (DeviceProcessEvents, DeviceEvents) 'curl'", "union withsource=T Device* | take 100",
			"DeviceProcessEvents | join kind=leftouter DeviceProcessEvents on FileName", "let x = DeviceProcessEvents; x | union x"} {
			w := e.hunt("all", query)
			if w.Code != 200 || strings.Contains(w.Body.String(), "another tenant") || strings.Contains(w.Body.String(), e.vars["foreign"]) || !strings.Contains(w.Body.String(), "curl 1") {
				t.Errorf("%s: %d %.2000s", query, w.Code, w.Body)
			}
			if w := e.hunt("other", query); w.Code != 200 || strings.Contains(w.Body.String(), "curl 1") || !strings.Contains(w.Body.String(), "another tenant") {
				t.Errorf("%s as the other: %d %.2000s", query, w.Code, w.Body)
			}
		}
	})

	t.Run("errors", func(t *testing.T) {
		const size = "Query execution has exceeded the allowed result size."
		for query, want := range map[string]string{
			"DeviceProcessEvent | take 1":           `1:1: KQL0102: there is no table \"DeviceProcessEvent\" (did you mean \"DeviceProcessEvents\"?)`,
			"DeviceEvents\n| where Filename == 'x'": `2:9: KQL0101: there is no column or name \"Filename\" (did you mean \"FileName\"?)`,
			"DeviceEvents | where":                  `1:`,
			"range x from 1 to 100001 step 1":       size,
			"range x from 1 to 90000 step 1 | extend s = strcat_array(repeat('x', 2000), '')": size,
		} {
			w := e.hunt("all", query)
			if w.Code != 400 || !strings.Contains(w.Body.String(), want) || !strings.Contains(w.Body.String(), `"code":"BadRequest"`) {
				t.Errorf("%.60s: %d %.500s", query, w.Code, w.Body)
			}
		}
		w := e.hunt("all", "range x from 1 to 100000 step 1")
		if n := strings.Count(w.Body.String(), `{"x":`); w.Code != 200 || n != 100_000 {
			t.Errorf("100,000 rows: %d, %d of them", w.Code, n)
		}
	})

	t.Run("lookups", func(t *testing.T) {
		w := e.call("writer", "POST", "/api/alerts/CreateAlertByReference", text(t, e.reference()))
		if body := w.Body.String(); w.Code != 200 || !strings.Contains(body, `"processCommandLine":"curl 1"`) || !strings.Contains(body, `"userName":"root"`) {
			t.Errorf("%d %s", w.Code, body)
		}
		m := e.reference()
		m["reportId"] = "20777"
		if w := e.call("writer", "POST", "/api/alerts/CreateAlertByReference", text(t, m)); w.Code != 404 {
			t.Errorf("another event: %d %s", w.Code, w.Body)
		}
		w = e.call("all", "GET", "/api/machines/"+e.vars["web"]+"/logonusers", "")
		want := `"value":[{"id":"web\\eve","accountName":"eve","accountDomain":"web","accountSid":"1000","firstSeen":"2024-06-01T11:00:00.0000000Z",` +
			`"lastSeen":"2024-06-01T11:00:00.0000000Z","logonTypes":"Interactive","isDomainAdmin":null,"isOnlyNetworkUser":false}]`
		if w.Code != 200 || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	})

	t.Run("gaps", func(t *testing.T) {
		check(t, e.store.AppendRows(t.Context(), e.tenants[0], telemetry.GapTable, []telemetry.Row{{
			"Timestamp": event.At(now), "IngestionTime": event.At(now), "DeviceId": event.Str(e.vars["web"]), "Source": event.Str("spool"), "Reason": event.Str("full"),
			"EventsLost": event.Num(3), "GapStart": event.At(now.Add(-time.Minute)), "GapEnd": event.At(now),
		}}))
		deadline := time.Now().Add(30 * time.Second)
		want := fmt.Sprintf(`"completeness":{"complete":false,"gaps":[{"deviceId":"%s","source":"spool","reason":"full","eventsLost":3,`, e.vars["web"])
		for w := e.hunt("all", "DeviceEvents | count"); !strings.Contains(w.Body.String(), want); w = e.hunt("all", "DeviceEvents | count") {
			if time.Now().After(deadline) {
				t.Fatalf("the gap never showed: %s", w.Body)
			}
		}
		for as, query := range map[string]string{"all": "DeviceEvents | where Timestamp < ago(1h)", "other": "DeviceEvents"} {
			if w := e.hunt(as, query); !strings.Contains(w.Body.String(), `"completeness":{"complete":true,`) {
				t.Errorf("%s as %s: %s", query, as, w.Body)
			}
		}
	})
}
