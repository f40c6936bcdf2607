package duck_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sort"
	"strings"
	"testing"

	"github.com/vedette-edr/vedette/kql"
	"github.com/vedette-edr/vedette/kql/bind"
	"github.com/vedette-edr/vedette/kql/kqltest"
	"github.com/vedette-edr/vedette/kql/kqltest/duck"
	"github.com/vedette-edr/vedette/kql/types"
)

// hunts are in the shapes of published hunting queries.
var hunts = []string{
	`let names = dynamic(["bash", "curl"]); DeviceProcessEvents | where Timestamp between (ago(7d) .. now()) | where FileName in~ (names) | summarize count(), make_set(FileName, 10) by DeviceId`,
	`let bad = DeviceProcessEvents | where FileName == "curl" | distinct DeviceId; DeviceLogonEvents | extend D = "dev1" | where D in (bad) | count`,
	`let terms = materialize(DeviceProcessEvents | distinct FileName); DeviceProcessEvents | where AdditionalFields has_any (terms) or FileName has_any (terms) | summarize dcount(ProcessId)`,
	`DeviceProcessEvents | summarize arg_max(Timestamp, *) by DeviceId | project DeviceId, FileName, ProcessId, AdditionalFields`,
	`DeviceProcessEvents | extend F = parse_json(AdditionalFields) | extend Cmd = tostring(F.Cmd), First = tostring(F.Tags[0]), N = array_length(F.Tags) | where Cmd endswith "7" | project ProcessId, Cmd, First, N`,
	`DeviceProcessEvents | extend c = extractjson("$.Cmd", AdditionalFields, typeof(string)), e = extract(@"run (\d+)", 1, AdditionalFields, typeof(long)) | where e > 55 | project c, e`,
	`DeviceProcessEvents | summarize Starts = count(), First = min(Timestamp), Last = max(Timestamp) by DeviceId, bin(Timestamp, 1m) | extend Span = Last - First, Minutes = datetime_diff('minute', Last, First) | project DeviceId, Timestamp, Starts, Span, Minutes`,
	`DeviceProcessEvents | join kind=inner (DeviceLogonEvents | where AccountName != "root" | project Logon = Timestamp, DeviceId2 = replace_string(DeviceId, "m", "dev"), AccountName) on $left.DeviceId == $right.DeviceId2 | where Timestamp - Logon between (0m .. 5m) | summarize count() by DeviceId, AccountName`,
	`LogonEvents | extend Risk = case(LogonType has "remote", 3, LogonType == "Network", 2, 1), Who = iff(AccountName in ("alice", "bob"), "known", strcat("other:", AccountName)) | summarize sum(Risk), countif(Risk > 1) by Who`,
	`LogonEvents | summarize Types = make_set(LogonType), Kinds = dcountif(LogonType, LogonType startswith "Cached") by MachineId | extend Types = array_sort_asc(Types), Many = array_length(Types) > 1`,
	`LogonEvents | summarize n = count() by AccountName | as Totals | extend share = round(100.0 * n / toscalar(Totals | summarize sum(n)), 1)`,
	`DeviceProcessEvents | where not(FileName has "bash") and isnotempty(DeviceId) and ProcessId % 2 == 1 | summarize by FileName, DeviceId`,
	`DeviceProcessEvents | mv-expand Tag = parse_json(AdditionalFields).Tags | summarize count() by tostring(Tag), FileName`,
	`DeviceProcessEvents | sort by Timestamp asc | extend gap = Timestamp - prev(Timestamp), n = row_number() | where n <= 3 | project n, gap`,
	`DeviceProcessEvents | mv-apply t = AdditionalFields.Tags to typeof(string) on (where t == "b" | project t) | summarize count() by t`,
	`union isfuzzy=true DeviceProcessEvents, NoSuchTable, (DeviceLogonEvents | where AccountName == "bob") | summarize count() by AccountName`,
	`let F = (T:(DeviceId:string), d:string = "dev2") { T | where DeviceId == d }; DeviceProcessEvents | invoke F() | count`,
	`DeviceProcessEvents | where FileName matches regex "^(?i)C[a-z]+$" | take 100 | summarize count()`,
	`DeviceProcessEvents | extend h = hash_sha256(FileName), u = toupper(FileName), l = strlen(FileName), s = substring(FileName, 1, 2), p = split(AdditionalFields, '"')[1] | distinct h, u, l, s, tostring(p)`,
	`search in (DeviceProcessEvents, LogonEvents) "alice" | summarize count() by $table`,
	`DeviceLogonEvents | evaluate_missing`,
	`print x = ipv4_is_private("10.1.2.3"), y = parse_path(@"C:\a\b.exe").Filename, z = parse_url("https://u:p@h:8/p?q=1#f").Host, b = base64_decode_tostring("aGk=")`,
	`DeviceProcessEvents | top-missing`,
	`DeviceProcessEvents | where * has "curl" | count`,
	`DeviceLogonEvents | summarize percentile(Code, 95), stdev(Code), variance(Code), avg(Code) by LogonType`,
	`DeviceLogonEvents | summarize take_any(AccountName), make_list(Code, 2) by DeviceId | project DeviceId`,
	`DeviceProcessEvents | summarize b = make_bag(bag_pack(FileName, 1)) | project array_sort_asc(bag_keys(b))`,
	`DeviceLogonEvents | project Timestamp, a = startofday(Timestamp), b = endofmonth(Timestamp), c = format_datetime(Timestamp, "yyyy-MM-dd HH:mm"), d = dayofweek(Timestamp), e = hourofday(Timestamp), f = bin(Timestamp, 7h)`,
}

// answer runs a query and prints its rows in an order of their own.
func answer(t *testing.T, eng kqltest.Engine, q *kql.Query, d *kqltest.Data) (string, error) {
	t.Helper()
	rows, err := eng.Run(context.Background(), q, d)
	if err != nil {
		return "", err
	}
	lines := make([]string, len(rows))
	for i, r := range rows {
		for _, v := range r {
			if v.Type == types.Real && !v.Null {
				lines[i] += fmt.Sprintf("%.9g|", v.F)
			} else {
				lines[i] += fmt.Sprint(v.Null, v.Text(), "|")
			}
		}
	}
	sort.Strings(lines)
	return strings.Join(lines, "\n"), nil
}

func agree(t *testing.T, text string, a, b kqltest.Engine, d *kqltest.Data) {
	t.Helper()
	q, err := kql.Compile(text, d, kql.Options{Now: now})
	if strings.Contains(text, "missing") {
		if err == nil {
			t.Errorf("%s compiles", text)
		}
		return
	}
	if err != nil {
		t.Errorf("%v\n%s", err, text)
		return
	}
	x, err := answer(t, a, q, d)
	if err != nil {
		t.Errorf("eval: %v\n%s", err, text)
		return
	}
	y, err := answer(t, b, q, d)
	if err != nil {
		t.Errorf("duckdb: %v\n%s", err, text)
		return
	}
	if x != y {
		t.Errorf("the engines differ on %s\neval:\n%s\nduckdb:\n%s", text, x, y)
	}
	if x == "" {
		t.Errorf("no rows: %s", text)
	}
}

func TestEnginesAgreeOnHunts(t *testing.T) {
	eng, err := duck.New(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = eng.Close() })
	d := kqltest.HuntData(now)
	for _, text := range hunts {
		agree(t, text, kqltest.Eval{}, eng, d)
	}
}

// maker writes random expressions of a type.
type maker struct{ r *rand.Rand }

func (m maker) pick(list ...string) string { return list[m.r.IntN(len(list))] }

func (m maker) str(n int) string {
	if n <= 0 {
		return m.pick("s", "s2", `""`, `"Ab c"`, `"it's"`, `"ß_x"`)
	}
	switch m.r.IntN(6) {
	case 0:
		return "tolower(" + m.str(n-1) + ")"
	case 1:
		return "strcat(" + m.str(n-1) + ", " + m.str(n-1) + ")"
	case 2:
		return "iff(" + m.pred(n-1) + ", " + m.str(n-1) + ", " + m.str(n-1) + ")"
	case 3:
		return "tostring(" + m.num(n-1) + ")"
	case 4:
		return "substring(" + m.str(n-1) + ", 1, 3)"
	}
	return "coalesce(" + m.str(n-1) + ", " + m.str(n-1) + ")"
}

func (m maker) num(n int) string {
	if n <= 0 {
		return m.pick("a", "b", "1", "0", "-7", "long(null)")
	}
	switch m.r.IntN(6) {
	case 0:
		return "(" + m.num(n-1) + m.pick(" + ", " - ", " * ", " / ", " % ") + m.num(n-1) + ")"
	case 1:
		return "strlen(" + m.str(n-1) + ")"
	case 2:
		return "case(" + m.pred(n-1) + ", " + m.num(n-1) + ", " + m.num(n-1) + ")"
	case 3:
		return "bin(" + m.num(n-1) + ", 3)"
	case 4:
		return "coalesce(" + m.num(n-1) + ", " + m.num(n-1) + ")"
	}
	return m.pick("min_of", "max_of") + "(" + m.num(n-1) + ", " + m.num(n-1) + ")"
}

func (m maker) pred(n int) string {
	switch m.r.IntN(8) {
	case 0:
		if n > 0 {
			return "not(" + m.pred(n-1) + ")"
		}
	case 1:
		if n > 0 {
			return "(" + m.pred(n-1) + m.pick(" and ", " or ") + m.pred(n-1) + ")"
		}
	case 2:
		return m.num(n-1) + m.pick(" == ", " != ", " < ", " >= ") + m.num(n-1)
	case 3:
		return m.str(n-1) + m.pick(" == ", " != ", " =~ ", " !~ ", " < ") + m.str(n-1)
	case 4:
		return m.num(n-1) + m.pick(" in ", " !in ") + "(1, 2, " + m.pick("3", "-7") + ")"
	case 5:
		return m.str(n-1) + m.pick(" in ", " in~ ", " !in~ ", " has_any ", " has_all ") + `("ab", "c", "Ab c")`
	case 6:
		return m.pick("isempty", "isnotempty", "isnull", "isnotnull") + "(" + m.pick(m.num(n-1), m.str(n-1)) + ")"
	}
	return m.str(n-1) + m.pick(" has ", " !has ", " has_cs ", " contains ", " !contains ", " startswith ", " endswith ", " hasprefix ", " hassuffix ", " contains_cs ") + m.pick(`"ab"`, `"C"`, `"b c"`, `"'"`, `"_x"`, `""`, "s2")
}

func TestEnginesAgreeOnRandomExpressions(t *testing.T) {
	eng, err := duck.New(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = eng.Close() })
	d := &kqltest.Data{}
	var rows [][]types.Value
	for i, s := range []string{"", "ab", "Ab c", "x-ab", "abc", "it's", "ß_x ÄB", "C d ab"} {
		row := []types.Value{types.NewLong(int64(i - 3)), types.NewLong(int64(i * i)), types.NewString(s), types.NewString([]string{"", "c", "AB"}[i%3])}
		if i%4 == 1 {
			row[0] = types.Null(types.Long)
		}
		if i == 5 {
			row[1] = types.Null(types.Long)
		}
		rows = append(rows, row)
	}
	d.Add("T", []bind.Column{{Name: "a", Type: types.Long}, {Name: "b", Type: types.Long}, {Name: "s", Type: types.String}, {Name: "s2", Type: types.String}}, rows)
	for seed := uint64(1); seed <= 300 && !t.Failed(); seed++ {
		m := maker{rand.New(rand.NewPCG(seed, 7))}
		text := fmt.Sprintf("T | extend n = %s, x = %s, p = %s | union (T | where %s) | summarize count() by n, x, p, a, s", m.num(3), m.str(3), m.pred(3), m.pred(3))
		agree(t, text, kqltest.Eval{}, eng, d)
	}
}
