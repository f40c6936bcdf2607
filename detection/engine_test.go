package detection_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vedette-edr/vedette/detection"
	"github.com/vedette-edr/vedette/kql/types"
	"github.com/vedette-edr/vedette/schema/event"
)

var start = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func compile(t testing.TB, text string) *detection.Compiled {
	t.Helper()
	r, err := detection.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	c, err := detection.Compile(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// failed is the n-th event of a device: a failed logon from an address.
func failed(n int, at time.Time, action, ip string) *detection.Record {
	r := detection.FromRow("DeviceLogonEvents", map[string]types.Value{
		"Timestamp": types.NewDatetime(types.FromTime(at)), "DeviceId": types.NewString("d1"), "DeviceName": types.NewString("host"),
		"ReportId": types.NewLong(int64(n)), "ActionType": types.NewString(action), "RemoteIP": types.NewString(ip),
		"AccountName": types.NewString(fmt.Sprint("user", n)),
	})
	return &r
}

func run(t testing.TB, s *detection.Set, st *detection.State, rs ...*detection.Record) []*detection.Finding {
	t.Helper()
	var out []*detection.Finding
	if err := s.Match(st, slices.Values(rs), func(f *detection.Finding) { out = append(out, f) }); err != nil {
		t.Fatal(err)
	}
	return out
}

const threshold = `
id: 11111111-1111-4111-8111-111111111111
name: failures
threshold:
  query: DeviceLogonEvents | where ActionType == "LogonFailed"
  by: [RemoteIP]
  within: 1m
  count: 3
`

const sequence = `
id: 22222222-2222-4222-8222-222222222222
name: guessed
sequence:
  by: [RemoteIP]
  within: 1m
  steps:
    - {query: DeviceLogonEvents | where ActionType == "LogonFailed", count: 2}
    - {query: DeviceLogonEvents | where ActionType == "LogonSuccess"}
`

// A threshold fires exactly when a plain count over the events says so, whatever their
// order, once for each hour and key.
func TestThresholdAgreesWithCounting(t *testing.T) {
	c := compile(t, threshold)
	for seed := range uint64(200) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		var times []time.Duration
		for range 1 + rnd.IntN(12) {
			times = append(times, time.Duration(rnd.IntN(300))*time.Second)
		}
		slices.Sort(times)
		want := 0
		for i := 2; i < len(times); i++ {
			if times[i]-times[i-2] <= time.Minute {
				want = 1
			}
		}
		var rs []*detection.Record
		for i, d := range times {
			rs = append(rs, failed(i+1, start.Add(d), "LogonFailed", "203.0.113.9"))
		}
		if got := run(t, detection.NewSet([]*detection.Compiled{c}, nil), detection.NewState(0), rs...); len(got) != want {
			t.Fatalf("seed %d: %d findings, want %d: %v", seed, len(got), want, times)
		}
	}
}

// Sending events again, all or any part of them, raises what the first time raised and no more.
func TestAgainRaisesNothingNew(t *testing.T) {
	set := detection.NewSet([]*detection.Compiled{compile(t, threshold), compile(t, sequence)}, nil)
	rs := []*detection.Record{
		failed(1, start, "LogonFailed", "203.0.113.9"), failed(2, start.Add(time.Second), "LogonFailed", "203.0.113.9"),
		failed(3, start.Add(2*time.Second), "LogonSuccess", "203.0.113.9"), failed(4, start.Add(3*time.Second), "LogonFailed", "203.0.113.9"),
		failed(5, start.Add(4*time.Second), "LogonFailed", "203.0.113.9"),
	}
	st := detection.NewState(0)
	ids := func(list []*detection.Finding) map[string]bool {
		out := map[string]bool{}
		for _, f := range list {
			out[fmt.Sprint(f.Rule.Name, f.Key, f.Window)] = true
		}
		return out
	}
	first := ids(run(t, set, st, rs...))
	if len(first) != 2 {
		t.Fatalf("findings %v, want one of each rule", first)
	}
	for i := range rs {
		for id := range ids(run(t, set, st, rs[i:]...)) {
			if !first[id] {
				t.Errorf("from event %d on: %s is new", i+1, id)
			}
		}
	}
	// An event that raised raises again, in case that its alert was not kept.
	if again := ids(run(t, set, st, rs[3])); len(again) != 1 {
		t.Errorf("the event that raised, sent again, raised %v", again)
	}
}

// What was seen before a restart counts after it.
func TestStateSurvives(t *testing.T) {
	set := detection.NewSet([]*detection.Compiled{compile(t, threshold), compile(t, sequence)}, nil)
	before := detection.NewState(0)
	run(t, set, before, failed(1, start, "LogonFailed", "203.0.113.9"), failed(2, start.Add(time.Second), "LogonFailed", "203.0.113.9"))
	var file bytes.Buffer
	if err := before.Save(&file, start.Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	whole := file.Bytes()
	after := detection.NewState(0)
	at, err := after.Restore(bytes.NewReader(whole))
	if err != nil || !at.Equal(start.Add(time.Second)) {
		t.Fatalf("restored to %v: %v", at, err)
	}
	got := run(t, set, after, failed(3, start.Add(2*time.Second), "LogonSuccess", "203.0.113.9"), failed(4, start.Add(3*time.Second), "LogonFailed", "203.0.113.9"))
	if len(got) != 2 || got[0].Rule.Name != "guessed" || got[0].Events != 3 || got[1].Rule.Name != "failures" {
		t.Errorf("after the restart: %+v", got)
	}
	for n := range whole {
		if _, err := detection.NewState(0).Restore(bytes.NewReader(whole[:n])); err == nil && n < len(whole)-1 {
			t.Errorf("a checkpoint cut off at %d of %d bytes was taken", n, len(whole))
		}
	}
}

func TestStateIsBounded(t *testing.T) {
	set := detection.NewSet([]*detection.Compiled{compile(t, threshold)}, nil)
	st := detection.NewState(10)
	for i := range 100 {
		run(t, set, st, failed(i, start.Add(time.Duration(i)*time.Second), "LogonFailed", fmt.Sprint("10.0.0.", i)))
	}
	if s := st.Stats(); s.Keys != 10 || s.Evicted != 90 {
		t.Errorf("%+v, want 10 keys kept and 90 counted", s)
	}
	st.Expire(start.Add(100 * time.Hour))
	if s := st.Stats(); s.Keys != 0 {
		t.Errorf("%d keys outlive their use", s.Keys)
	}
}

// A live event and the row it becomes are the same to a rule.
func TestEventAndRowAgree(t *testing.T) {
	p := &event.Process{Key: 7, PID: 70, Start: start, Image: event.File{Name: "bash", Path: "/usr/bin/bash", SHA1: strings.Repeat("a", 40)},
		CommandLine: "bash -i", Account: event.Account{Name: "ann", Domain: "host", SID: "1000"}, Parent: event.Parent{PID: 1, FileName: "init", Start: start}}
	e := &event.Event{Table: event.ProcessEvents, Action: "ProcessCreated", Time: start, Initiating: p, Process: &event.Process{Key: 8, PID: 71,
		Image: event.File{Name: "sh", Path: "/bin/sh", Size: -1}, CommandLine: "sh -c id", Start: start.Add(time.Second)}, Additional: `{"Fileless":true}`}
	o := event.Origin{DeviceID: "d1", DeviceName: "host", ReportID: 5, Timestamp: start, Ingested: start.Add(time.Second)}
	row := map[string]types.Value{}
	for _, name := range []string{"Timestamp", "DeviceId", "DeviceName", "ReportId", "ActionType", "AdditionalFields", "FileName", "FolderPath", "ProcessId",
		"ProcessCommandLine", "ProcessCreationTime", "InitiatingProcessId", "InitiatingProcessFileName", "InitiatingProcessFolderPath", "InitiatingProcessSHA1",
		"InitiatingProcessCommandLine", "InitiatingProcessCreationTime", "InitiatingProcessAccountName", "InitiatingProcessAccountDomain", "InitiatingProcessAccountSid",
		"InitiatingProcessParentId", "InitiatingProcessParentFileName", "InitiatingProcessParentCreationTime", "InitiatingProcessUniqueId", "ProcessUniqueId"} {
		read, _ := event.Column(name)
		switch v := read(&o, e); v.Kind {
		case event.String:
			row[name] = types.NewString(v.S)
		case event.Int:
			row[name] = types.NewLong(v.N)
		case event.Time:
			row[name] = types.NewDatetime(v.N)
		}
	}
	c := compile(t, `
id: 33333333-3333-4333-8333-333333333333
name: one
title: "{{FileName}} by {{InitiatingProcessFileName}}"
query: DeviceProcessEvents | where ActionType == "ProcessCreated" and tobool(AdditionalFields.Fileless) and Timestamp > ago(1h)
`)
	set := detection.NewSet([]*detection.Compiled{c}, nil)
	live, stored := detection.FromEvent(o, e), detection.FromRow("DeviceProcessEvents", row)
	stored.Ingested = live.Ingested
	a, b := run(t, set, detection.NewState(0), &live), run(t, set, detection.NewState(0), &stored)
	if len(a) != 1 || len(b) != 1 {
		t.Fatalf("%d findings live, %d stored", len(a), len(b))
	}
	if a[0].Title != "sh by bash" {
		t.Errorf("title %q", a[0].Title)
	}
	if !slices.Equal(a[0].Entities, b[0].Entities) || a[0].Key != b[0].Key || a[0].Window != b[0].Window {
		t.Errorf("live   %+v\nstored %+v", *a[0], *b[0])
	}
	if p := a[0].Entities[0]; p.Kind != "Process" || p.ProcessID != 71 || p.ParentID != 70 || p.ParentName != "bash" || p.Folder != "/bin" {
		t.Errorf("process %+v", p)
	}
}

// What cannot run on a stream is refused where it stands.
func TestRefusals(t *testing.T) {
	for _, k := range []struct{ query, want string }{
		{"DeviceProcessEvents\n| join DeviceNetworkEvents on DeviceId", "2:3: KQL0201"},
		{"DeviceProcessEvents | summarize count() by DeviceId", "1:23: KQL0201"},
		{"DeviceProcessEvents | top 5 by Timestamp", "1:23: KQL0201"},
		{"union DeviceProcessEvents, DeviceFileEvents", "1:1: KQL0201"},
		{"DeviceProcessEvents | where SHA1 in ((DeviceFileEvents | project SHA1))", "KQL0201"},
		{"DeviceProcessEvents | where toscalar(DeviceFileEvents | count) > 1", "KQL0201"},
		{"externaldata(x:string)['https://example.org/x.csv']", "1:1: KQL0201"},
		{"DeviceProcessEvents | where prev(SHA1) == SHA1", "KQL0201"},
		{"let f = () { DeviceProcessEvents | distinct DeviceId }; f()", "1:36: KQL0201"},
		{"AlertInfo | where Severity == 'High'", "no table of events"},
		{"DeviceProcessEvents | where NoSuch == 1", "1:29: KQL0101"},
		{"print 1", "KQL0201"},
	} {
		_, err := detection.Compile(&detection.Rule{Query: k.query}, nil)
		var ps detection.Problems
		if !errors.As(err, &ps) || !strings.Contains(err.Error(), k.want) {
			t.Errorf("%s: %v, want %s", k.query, err, k.want)
		}
	}
	for _, good := range []string{
		"DeviceProcessEvents | where ProcessCommandLine has_any (dynamic(['a','b'])) | extend x = strlen(FileName) | where x > 3 | project Timestamp, DeviceId, ReportId",
		"let bad = datatable(h:string)['a','b']; DeviceProcessEvents | where SHA1 in (bad)",
		"ProcessCreationEvents | where ComputerName == 'x' | parse ProcessCommandLine with a ' ' b",
		"DeviceProcessEvents | mv-apply p = split(ProcessCommandLine, ' ') on (where p == 'x' | take 1)",
	} {
		if _, err := detection.Compile(&detection.Rule{Query: good}, nil); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
}

// A rule file says all that is wrong with it, and where.
func TestCheck(t *testing.T) {
	r, err := detection.Parse([]byte(`{id: x, name: Not Good, severity: Bad, category: None, techniques: [T9999, T1002], entities: {ip: [FileName]}, query: DeviceProcessEvents, title: "{{Nope}}"}`))
	if err != nil {
		t.Fatal(err)
	}
	_, err = detection.Compile(r, attack(t))
	for _, want := range []string{"id: ", "name: ", "description: is missing", "severity: ", "category: ", "T9999 is no ATT&CK technique", "T1002 was replaced by T1560", "entities.ip: ", `no column "Nope"`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v lacks %q", err, want)
		}
	}
	if _, err := detection.Parse([]byte("name: x\nnaem: y\n")); err == nil {
		t.Error("an unknown key was taken")
	}
}

// A sequence that nobody began costs nothing and finds nothing; one that began before the
// memory was written, or beside one that was forgotten, goes on.
func TestSequenceGoesOnAfterRestore(t *testing.T) {
	c := compile(t, sequence)
	counters := &detection.Counters{}
	set, st := detection.NewSet([]*detection.Compiled{c}, counters), detection.NewState(1)
	logon := func(n int, ip string) *detection.Record {
		return failed(n, start.Add(30*time.Second), "LogonSuccess", ip)
	}
	if got := run(t, set, st, logon(1, "192.0.2.1")); len(got) != 0 || counters.Probes.Load() != 0 {
		t.Errorf("nothing began: %d findings by %d queries", len(got), counters.Probes.Load())
	}
	// The second address takes the only place of the first.
	run(t, set, st, failed(2, start, "LogonFailed", "192.0.2.1"), failed(3, start, "LogonFailed", "192.0.2.2"), failed(4, start, "LogonFailed", "192.0.2.2"))
	var b bytes.Buffer
	if err := st.Save(&b, start); err != nil {
		t.Fatal(err)
	}
	again := detection.NewState(1)
	if _, err := again.Restore(&b); err != nil {
		t.Fatal(err)
	}
	for _, st := range []*detection.State{st, again} {
		if got := run(t, set, st, logon(5, "192.0.2.1"), logon(6, "192.0.2.2")); len(got) != 1 {
			t.Errorf("%d findings, want that of the second address", len(got))
		}
		st.Expire(start.Add(48 * time.Hour))
		before := counters.Probes.Load()
		if got := run(t, set, st, logon(7, "192.0.2.2")); len(got) != 0 || counters.Probes.Load() != before {
			t.Errorf("all is forgotten: %d findings by %d queries", len(got), counters.Probes.Load()-before)
		}
	}
}

// Rules share what was made of an event's columns, and nothing of the event before.
func TestRulesShareFoldedColumns(t *testing.T) {
	rule := func(id, pred string) *detection.Compiled {
		return compile(t, fmt.Sprintf("id: %s1111111-1111-4111-8111-111111111111\nname: r%s\nquery: DeviceLogonEvents | where %s\ndeduplicate: {by: [ReportId]}\n", id, id, pred))
	}
	set := detection.NewSet([]*detection.Compiled{rule("1", "RemoteIP =~ 'HostA' and isnotempty(AccountName)"),
		rule("2", "RemoteIP has_any ('HOSTB', 'hostC') or AccountName in~ ('USER4', 'x')"), rule("3", "RemoteIP contains 'sta'")}, nil)
	var got []string
	for _, f := range run(t, set, detection.NewState(0), failed(1, start, "LogonFailed", "HOSTA"), failed(2, start, "LogonFailed", "HostB x"), failed(3, start, "LogonFailed", ""),
		failed(4, start, "LogonFailed", "other"), failed(5, start, "LogonFailed", "hostab"), failed(6, start, "LogonFailed", "hosta")) {
		got = append(got, fmt.Sprint(f.Rule.Name, " ", f.Report))
	}
	want := []string{"r1 1", "r3 1", "r2 2", "r2 4", "r3 5", "r1 6", "r3 6"}
	if !slices.Equal(got, want) {
		t.Errorf("found %q, want %q", got, want)
	}
}

// The categories of rules are those that an alert can be made with.
func TestCategoryOfNoAlert(t *testing.T) {
	for category, bad := range map[string]bool{"Persistence": false, "UnwantedSoftware": true, "persistence": true, "": true} {
		r := &detection.Rule{Category: category}
		_, err := detection.Compile(r, attack(t))
		var ps detection.Problems
		if !errors.As(err, &ps) {
			t.Fatal(err)
		}
		if got := slices.ContainsFunc(ps, func(p detection.Problem) bool { return p.Place == "category" }); got != bad {
			t.Errorf("category %q: refused %v, want %v", category, got, bad)
		}
	}
}
