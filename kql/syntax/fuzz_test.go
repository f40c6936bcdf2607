package syntax

import (
	"strings"
	"testing"
)

// FuzzParse checks that no text makes the parser panic, that spans of errors lie inside
// the text, and that what parses prints to a fixed point.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"T | where a > 1 and b has 'x' | summarize count() by bin(t, 1h)",
		"let f = (x:long) { x + 1 }; print f(1), dynamic({'a':[1,2]}), datetime(2024-01-01), 1d, @'v', h\"s\"",
		"T | join kind=inner (U) on $left.a == $right.b | mv-expand x to typeof(long) | parse s with * 'k' v:long",
		"T | make-series c=count() default=0 on t from ago(1d) to now() step 1h by a | render timechart with (title='x')",
		"T | scan with (step s1: a == 1; step s2 output=all: b > s1.a => c = 1;)",
		"search in (A, B*) 'x' | top-nested 2 of a by count(), top-nested of b by sum(c)",
		"print ['quo\"ted'], x.['y'], z[-1].w, -1, !x",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, errs := Parse(text)
		for _, e := range errs {
			if e.Offset < 0 || e.Length < 0 || e.Offset+e.Length > len(text) || e.Line < 1 || e.Column < 1 {
				t.Fatalf("span of %v is outside the text", *e)
			}
		}
		if errs != nil {
			return
		}
		p := Print(s)
		again, errs := Parse(p)
		if errs != nil {
			t.Fatalf("printed text does not parse: %v\n%q\n%q", errs, text, p)
		}
		if q := Print(again); q != p {
			t.Fatalf("print is no fixed point:\n%q\n%q", p, q)
		}
	})
}

func TestHostileTextsAreRefusedQuickly(t *testing.T) {
	for name, text := range map[string]string{
		"too long":        "print " + strings.Repeat("1", MaxText),
		"nested":          "print " + strings.Repeat("(", 10000) + "1" + strings.Repeat(")", 10000),
		"nested calls":    "print " + strings.Repeat("f(", 10000),
		"nested dynamics": "print dynamic(" + strings.Repeat("[", 10000),
		"minus signs":     "print " + strings.Repeat("-", 10000) + "1",
		"long sum":        "print 1" + strings.Repeat("+1", 900),
		"long path":       "print a" + strings.Repeat(".a", 9000),
	} {
		_, errs := Parse(text)
		if len(errs) == 0 || errs[0].Code != CodeTooLarge && name != "too long" && errs[0].Code != CodeSyntax {
			t.Errorf("%s: errors are %v", name, errs)
		}
	}
	if _, errs := Parse("T | where " + strings.Repeat("a == 1 or ", 5000) + "b == 2"); errs != nil {
		t.Errorf("a long chain of or is refused: %v", errs)
	}
}

func TestSeveralErrorsInOneText(t *testing.T) {
	_, errs := Parse("T\n| wher a > 1\n| extend b = \n| project c,,d\n| take 5")
	var got []string
	for _, e := range errs {
		got = append(got, e.Error())
	}
	want := []string{
		`2:3: KQL0004: unknown operator "wher" (did you mean "where"?)`,
		`4:1: KQL0003: expected an expression, found "|"`,
		`4:13: KQL0003: expected an expression, found ","`,
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("errors are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
