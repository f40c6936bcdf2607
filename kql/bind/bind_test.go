package bind_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/vedette-edr/vedette/kql/bind"
	"github.com/vedette-edr/vedette/kql/plan"
	"github.com/vedette-edr/vedette/kql/syntax"
	"github.com/vedette-edr/vedette/kql/types"
)

func bound(t *testing.T, text string) (*bind.Result, syntax.Errors) {
	t.Helper()
	script, errs := syntax.Parse(text)
	if errs != nil {
		t.Fatalf("%v\n%s", errs, text)
	}
	return bind.Bind(text, script, small, bind.Options{Now: types.UnixEpochTicks})
}

func TestErrorsNameThePlaceAndANearName(t *testing.T) {
	for text, want := range map[string]string{
		"T | where S == 'x'":                           `1:11: KQL0101: there is no column or name "S" (did you mean "s"?)`,
		"t | take 1":                                   `1:1: KQL0102: there is no table "t" (did you mean "T"?)`,
		"T | extend x = tolwer(s)":                     `1:16: KQL0103: there is no function "tolwer" (did you mean "tolower"?)`,
		"T | extend x = strlen()":                      `1:16: KQL0104: strlen needs 1 arguments; it is strlen(source: string) long`,
		"T | where s > 5":                              `1:11: KQL0105: cannot compare a string with a long`,
		"T | extend x = s + s":                         `1:16: KQL0105: operator + is not defined for string and string; strcat(…) joins texts`,
		"T | summarize a":                              `1:15: KQL0108: summarize takes aggregates; "a" is none`,
		"T | summarize sum(count())":                   `1:19: KQL0108: an aggregate inside an aggregate`,
		"T\n| where b > 1\n| extend c = s.x\n| take a": "2:9: KQL0101: there is no column or name \"b\" (did you mean \"a\"?)\n3:16: KQL0105: a string has no member \"x\"\n4:8: KQL0101: there is no column or name \"a\"",
	} {
		_, errs := bound(t, text)
		if got := errs.Error(); got != want {
			t.Errorf("%s\n got %s\nwant %s", text, got, want)
		}
	}
}

func TestLetsThatDoubleEachOtherAreRefused(t *testing.T) {
	var b strings.Builder
	b.WriteString("let x0 = T;\n")
	for i := 1; i < 40; i++ {
		p := string(rune('0' + (i-1)%10))
		q := string(rune('0' + i%10))
		n, m := "x"+strings.Repeat("_", (i-1)/10)+p, "x"+strings.Repeat("_", i/10)+q
		b.WriteString("let " + m + " = union " + n + ", " + n + ";\n")
	}
	b.WriteString("x___9 | count")
	_, errs := bound(t, b.String())
	if len(errs) == 0 || errs[0].Code != bind.CodeLimit {
		t.Errorf("errors are %v, want %s", errs, bind.CodeLimit)
	}
}

// A name that stands for an expression is a copy at each use: forty of them that use the
// last one twice are 2^40 expressions.
func TestScalarsThatDoubleEachOtherAreRefused(t *testing.T) {
	for name, text := range map[string]func(i, last int) string{
		"let":      func(i, last int) string { return fmt.Sprintf("let a%d = strcat(a%d, a%d);\n", i, last, last) },
		"function": func(i, last int) string { return fmt.Sprintf("let a%d = () { strcat(a%d, a%d) };\n", i, last, last) },
		"argument": func(i, last int) string {
			return fmt.Sprintf("let f%d = (x: string) { strcat(x, x) }; let a%d = f%d(a%d);\n", i, i, i, last)
		},
		"scalar of a table": func(i, last int) string {
			return fmt.Sprintf("let a%d = strcat(toscalar(T | project strcat(s, a%d) | take 1), a%d);\n", i, last, last)
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := strings.Builder{}
			b.WriteString("let a0 = 'x';\n")
			for i := 1; i < 40; i++ {
				b.WriteString(text(i, i-1))
			}
			b.WriteString("T | extend a0 = strcat(s, a39)")
			_, errs := bound(t, b.String())
			if len(errs) == 0 || errs[0].Code != bind.CodeLimit && errs[len(errs)-1].Code != bind.CodeLimit {
				t.Errorf("errors are %v, want %s", errs, bind.CodeLimit)
			}
		})
	}
}

// What is made while a query is compiled is made in the process that serves everybody.
func TestLittleTextMakesNoLargeConstant(t *testing.T) {
	for _, text := range []string{
		"print x = range(1, 1000000)",
		"print x = range(1.0, 2.0, 0.000001)",
		"print x = range(datetime(2000-01-01), datetime(2020-01-01))",
		"print x = repeat(1, 1000000)",
		"print x = replace_string(strrep('a', 1024, 'aaa'), 'a', strrep('b', 1024, 'bbb'))",
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		res, errs := bound(t, text)
		runtime.ReadMemStats(&after)
		if errs != nil {
			t.Errorf("%s: %v", text, errs)
			continue
		}
		if took := after.TotalAlloc - before.TotalAlloc; took > 8<<20 {
			t.Errorf("%s: took %d MiB to compile", text, took>>20)
		}
		if p := plan.Print(res.Root); len(p) > 100_000 {
			t.Errorf("%s: became %d bytes", text, len(p))
		}
	}
}

func TestPlanIsPrinted(t *testing.T) {
	res, errs := bound(t, "T | where t > datetime(2024-01-01) | summarize n = count() by s | top 3 by n")
	if errs != nil {
		t.Fatal(errs)
	}
	want := `Limit 3
  Sort n#7 desc
    Aggregate by [s#6 = s#2] [n#7:long] = count()
      Filter >(t#3, datetime(2024-01-01T00:00:00.0000000Z))
        Scan T [s#2:string, t#3:datetime] t in [2024-01-01T00:00:00.0000001Z, 9999-12-31T23:59:59.9999999Z]
`
	if got := plan.Print(plan.Optimize(res.Root)); got != want {
		t.Errorf("plan is\n%swant\n%s", got, want)
	}
}

// TestFunctionsOfTheCatalogue shows what queries may do with functions that the catalogue
// brings, and that an error in one stands at its call.
func TestFunctionsOfTheCatalogue(t *testing.T) {
	for text, want := range map[string]string{
		"T | invoke Shipped(s) | project shipped, twice": "",
		"T | invoke Shipped('s')":                        "",
		"T | invoke Shipped()":                           "",
		"let Shipped = (R:(*)) { R | project a }; T | invoke Shipped() | project s": bind.CodeColumn,
		"print a = 'text' | invoke Shipped()":                                       bind.CodeType,
		"T | invoke Nowhere()":                                                      bind.CodeFunction,
	} {
		script, errs := syntax.Parse(text)
		if errs != nil {
			t.Fatal(errs)
		}
		_, errs = bind.Bind(text, script, small, bind.Options{})
		got := ""
		if len(errs) > 0 {
			got = errs[0].Code
			if at := errs[0].Offset; at < 0 || at+errs[0].Length > len(text) {
				t.Errorf("%s: the error stands at %d", text, at)
			}
		}
		if got != want {
			t.Errorf("%s: %v, want %q", text, errs, want)
		}
	}
}
