package duckdb

import (
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vedette-edr/vedette/kql"
	"github.com/vedette-edr/vedette/kql/types"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/telemetry"
)

// peak watches the resident memory of this process, which is the server's here, until
// the function it returns is called.
func peak() func() int64 {
	done, top := make(chan struct{}), int64(0)
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			if u, err := readUsage(os.Getpid()); err == nil {
				top = max(top, u.memory)
			}
			select {
			case <-done:
				return
			case <-tick.C:
			}
		}
	})
	return func() int64 {
		close(done)
		wg.Wait()
		return top
	}
}

// TestHostileKQL asks what a person who means harm would ask, and demands of each query
// an answer or an error that says what is wrong, within its time, with the memory of
// server and worker bounded, and of the store that it answers the next one.
func TestHostileKQL(t *testing.T) {
	cfg := testConfig(t.TempDir())
	cfg.Workers.Memory = 512 << 20
	s := openStore(t, cfg)
	mustAppend(t, s, makeBatch(tenantA, 1, 1, 3))
	cutAll(t, s)
	const limit = 6 * time.Second
	deep := func(open, close string) string {
		return "print " + strings.Repeat(open, 10_000) + "1" + strings.Repeat(close, 10_000)
	}
	lets := "let a0 = 'xxxxxxxxxxxxxxxx';"
	for i := range 60 {
		lets += fmt.Sprintf("let a%d = strcat(a%d, a%d);", i+1, i, i)
	}
	tables := "let t0 = range x from 1 to 10 step 1;"
	for i := range 40 {
		tables += fmt.Sprintf("let t%d = t%d | union t%d;", i+1, i, i)
	}
	var wide strings.Builder
	for i := range 60 {
		fmt.Fprintf(&wide, ", c%d = strcat('value ', x, ' of column %d')", i, i)
	}
	ones := func(n int) string { return fmt.Sprintf("range x from 1 to %d step 1 | extend k = 1", n) }
	for name, c := range map[string]struct {
		text string
		want string // in the error; "" for an answer, "*" for any error, "*?" where either will do
	}{
		"10 MB of text":                {"print '" + strings.Repeat("x", 10<<20) + "'", "above the limit"},
		"10 MB of brackets":            {"print " + strings.Repeat("[", 10<<20), "above the limit"},
		"10 MB of names":               {"print " + strings.Repeat("a,", 5<<20), "*"},
		"10 MB of pipes":               {"print 1" + strings.Repeat("|count", 10<<20/6), "*"},
		"parentheses":                  {deep("(", ")"), "nested"},
		"calls":                        {deep("not(", ")"), "nested"},
		"minus":                        {deep("-", ""), "*"},
		"JSON in text":                 {"print d = parse_json('" + strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000) + "')", ""},
		"dynamic":                      {"print d = dynamic(" + strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000) + ")", "*"},
		"subqueries":                   {"print toscalar(" + strings.Repeat("print toscalar(", 10_000) + "print 1" + strings.Repeat(")", 10_001), "nested"},
		"joins in joins":               {strings.Repeat("print x=1 | join (", 10_000) + "print x=1" + strings.Repeat(") on x", 10_000), "nested"},
		"or after or":                  {"DeviceProcessEvents | where " + strings.Repeat("ProcessId == 1 or ", 20_000) + "true", "*?"},
		"texts that double":            {lets + "print a60", "*"},
		"tables that double":           {tables + "t40 | count", "*"},
		"functions that call":          {"let f = (x:long) { x + 1 }; print " + strings.Repeat("f(", 5000) + "1" + strings.Repeat(")", 5000), "*"},
		"a pattern that backtracks":    {"range x from 1 to 2000 step 1 | extend s = strcat(strrep('a', 5000), '!') | where s matches regex '^(a+)+$' or s matches regex '(a|aa)+$' or s matches regex '(.*)*b' | count", ""},
		"the same, interpreted":        {"range x from 1 to 200 step 1 | scan with (step q: true;) | extend s = strcat(strrep('a', 5000), '!') | where s matches regex '^(a+)+$' or s matches regex '(a|aa)+$' or s matches regex '(.*)*b' | count", ""},
		"a pattern of a column":        {"range x from 1 to 2000 step 1 | extend s = strcat(strrep('a', 5000), '!'), p = strcat('^(a+)+', '$') | where s matches regex p | count", "*?"},
		"a pattern that is huge":       {"DeviceProcessEvents | where FileName matches regex '((x{100}){100}){100}'", "*"},
		"a cross join":                 {ones(1_000_000) + "| join kind=inner (" + ones(1_000_000) + ") on k | where x % 7 == 3 and x1 % 5 == 1 | summarize count()", "*"},
		"a cross join, interpreted":    {ones(20_000) + "| scan with (step q: true;) | join kind=inner (" + ones(20_000) + "| scan with (step q: true;)) on k | count", "*"},
		"a billion rows":               {"range x from 1 to 1000000000 step 1 | summarize count() by x", "more than"},
		"a trillion rows":              {"range x from 0.0 to 1e12 step 0.001 | count", "more than"},
		"rows without end":             {"range x from 1 to 10 step 0", "*"},
		"backwards":                    {"range x from 1 to 10 step -1 | count", ""},
		"a billion days":               {"range t from datetime(0001-01-01) to datetime(9999-01-01) step 1tick | count", "more than"},
		"a billion elements":           {"print a = range(1, 1000000000, 1)", "*?"},
		"a billion bins":               {"DeviceProcessEvents | make-series n = count() on Timestamp from datetime(2000-01-01) to datetime(2030-01-01) step 1ms by DeviceId", "*?"},
		"a billion bins of numbers":    {"range x from 1 to 10 step 1 | make-series n = count() on x from 0 to 1000000000 step 1", "*?"},
		"expansion of expansion":       {"print a = range(1, 1000000) | mv-expand a | extend b = range(1, 1000000) | mv-expand b | summarize count()", "*"},
		"expansion, interpreted":       {"print a = range(1, 100000) | mv-apply a on (extend b = range(1, 100000) | mv-expand b) | summarize count()", "*"},
		"expansion of wide rows":       {"print a = range(1, 200000), s = strrep('x', 100000) | scan with (step q: true;) | mv-expand a | summarize max(strlen(s))", "*?"},
		"a text of a gigabyte":         {"print s = strrep('abcdefghij', 100000000)", "*?"},
		"texts that grow by rows":      {"range x from 1 to 1000 step 1 | extend s = strrep(tostring(x), 200000) | extend s = replace_string(s, '1', strrep('y', 100)) | summarize sum(strlen(s))", "*?"},
		"a list of all":                {"range x from 1 to 10000000 step 1 | summarize l = make_list(strcat('some text of row ', x)) | project array_length(l)", "*?"},
		"a bag of all":                 {"range x from 1 to 3000000 step 1 | summarize b = make_bag(bag_pack(tostring(x), x)) | project bag_keys(b)", "*?"},
		"many columns":                 {"range x from 1 to 100000 step 1 | extend b = bag_pack(strcat('c', x), x) | evaluate bag_unpack(b) | count", "*"},
		"many rows of many columns":    {"range x from 1 to 100000 step 1" + "| project x" + wide.String(), "*"},
		"more than fits":               {"range x from 1 to 100000 step 1 | extend s = strrep('x', 10000)", "*?"},
		"a row of 50 MB":               {"range x from 1 to 60 step 1 | summarize l = make_list(strrep('y', 900000))", "*?"},
		"sorting of everything":        {"range x from 1 to 10000000 step 1 | extend s = strcat(tostring(rand()), strrep('x', 200)) | sort by s | take 1", "*?"},
		"autocluster of much":          {"range x from 1 to 100000 step 1 | extend a = x % 1000, b = x % 997, c = x % 991 | evaluate autocluster()", "*?"},
		"basket of much":               {"range x from 1 to 100000 step 1 | extend a = x % 1000, b = x % 997, c = x % 991 | evaluate basket(0.00001)", "*?"},
		"a series of a million":        {"print s = range(1, 1000000) | extend f = series_fir(s, range(1, 1000)), p = series_periods_detect(s, 0.0, 500000.0, 10) | project array_length(f)", "*?"},
		"a thousand unions":            {"union " + strings.Repeat("DeviceProcessEvents, ", 3000) + "DeviceProcessEvents | count", "*?"},
		"a hundred thousand in a list": {"DeviceProcessEvents | where ProcessId in (" + strings.Repeat("1,", 100_000) + "2) | count", "*?"},
		"levenshtein-like":             {"range x from 1 to 100 step 1 | extend s = strrep('ab', 400000) | summarize sum(jaccard_index(to_utf8(s), to_utf8(s)))", "*?"},
	} {
		t.Run(strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
			debug.FreeOSMemory()
			before, _ := readUsage(os.Getpid())
			top := peak()
			begin := time.Now()
			var worker int64
			q, err := kql.Compile(c.text, catalog{}, kql.Options{Now: types.UnixEpochTicks + types.TicksPerDay*20000})
			compiled := time.Since(begin)
			if err == nil {
				var r *telemetry.Stats
				var used telemetry.Stats
				used, err = s.Query(t.Context(), &telemetry.Query{Tenant: tenantA, Plan: q.Root, Limits: telemetry.Limits{Time: limit}}, func([]types.Value) error { return nil })
				r = &used
				worker = r.Memory
				if k := errs.KindOf(err); err != nil && k == errs.Internal {
					t.Errorf("nobody knows what is wrong: %.300v", err)
				}
			}
			took, mine := time.Since(begin), top()-before.memory
			t.Logf("%v (compiled in %v), server +%d MiB, worker %d MiB: %.120v", took.Round(time.Millisecond), compiled.Round(time.Millisecond), mine>>20, worker>>20, err)
			switch {
			case c.want == "*?":
			case c.want == "" && err != nil:
				t.Errorf("refused: %.300v", err)
			case c.want != "" && err == nil:
				t.Errorf("answered, want an error with %q", c.want)
			case c.want != "*" && err != nil && !strings.Contains(err.Error(), c.want):
				t.Errorf("%.300v, want %q", err, c.want)
			}
			if took > 4*limit || compiled > limit {
				t.Errorf("took %v, of which %v to compile", took, compiled)
			}
			if worker > 1<<30 || mine > 1<<30 {
				t.Errorf("server %d MiB, worker %d MiB", mine>>20, worker>>20)
			}
			rows := ask(t, s, tenantA, "DeviceProcessEvents", "long", `SELECT count(*) FROM %s`)
			if rows[0][0].I != 3 {
				t.Errorf("the next query counts %d", rows[0][0].I)
			}
		})
	}
}
