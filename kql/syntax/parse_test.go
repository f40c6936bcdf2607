package syntax

import (
	"encoding/json"
	"os"
	"testing"
)

func oracleTexts(t testing.TB) []string {
	b, err := os.ReadFile("../../../shared/oracle/kql-emulator-cases.json")
	if err != nil {
		t.Skipf("oracle file is absent: %v", err)
	}
	var f struct{ Cases []struct{ ID, KQL string } }
	if err := json.Unmarshal(b, &f); err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, c := range f.Cases {
		out = append(out, c.KQL)
	}
	return out
}

func TestOracleTextsParseAndPrintIsAFixedPoint(t *testing.T) {
	failed := 0
	for _, s := range oracleTexts(t) {
		a, errs := Parse(s)
		if errs != nil {
			failed++
			t.Logf("%v\n%s", errs, s)
			continue
		}
		p := Print(a)
		b, errs := Parse(p)
		if errs != nil {
			t.Errorf("printed text does not parse: %v\n%s", errs, p)
			continue
		}
		if q := Print(b); q != p {
			t.Errorf("print is no fixed point:\n%s\n---\n%s", p, q)
		}
	}
	if failed > 4 {
		t.Errorf("%d texts do not parse", failed)
	}
}

func TestEveryOperatorParsesAndPrints(t *testing.T) {
	for _, s := range []string{
		"T | where a == 1 | filter b", "T | extend a = 1, (b, c) = f(x)", "T | project a, b = c", "T | project-away a*, b", "T | project-keep *", "T | project-rename a = b",
		"T | project-reorder a asc, b* granny-desc, c", "T | summarize hint.strategy=shuffle n = count(), (a, b) = arg_max(x, y) by bin(t, 1h), k = f(z)", "T | summarize by a", "T | distinct *",
		"T | join kind=leftouter hint.strategy=broadcast (U | take 1) on a, $left.b == $right.c", "T | lookup kind=inner U on a", "union withsource=s isfuzzy=true T, U*, (V | take 1)", "T | union U",
		"T | sort by a asc nulls first, b desc", "T | order by a", "T | top 5 by a asc", "T | take 5", "T | limit 5", "T | sample 5", "T | sample-distinct 5 of a", "T | count", "T | getschema", "T | consume",
		"T | as hint.materialized=true X", "T | mv-expand bagexpansion=array with_itemindex=i a to typeof(long), b = c limit 10", "T | mvexpand a", "T | mv-apply with_itemindex=i a = b to typeof(string) limit 3 on (where a has 'x' | take 1)",
		"T | parse kind=regex flags=i s with * 'a' b:long @'\\d' c", "T | parse-where s with 'a' b", "T | parse-kv s as (a:string, b:long) with (pair_delimiter=';', kv_delimiter='=', quote='\"')",
		"T | render timechart with (title='x', ycolumns=a, b, kind=stacked)", "T | render piechart kind=default", "T | evaluate hint.distribution=single pivot(a, count()) : (a:string, b:long)", "T | evaluate bag_unpack(d, 'p_') : (*, x:string)",
		"T | invoke f(1, x)", "print a = 1, 2", "range x from 1 to 10 step 2", "search kind=case_sensitive in (T, U*) 'a' and b:'c'", "search 'x' or y == 1", "find withsource=s in (T, U) where a has 'x' project a, b:string",
		"T | make-series kind=nonempty a = avg(x) default=0, count() on t from ago(1d) to now() step 1h by k", "T | make-series count() on t in range(ago(1d), now(), 1h)", "T | top-nested 3 of a with others = 'o' by count() desc, top-nested of b by sum(c)",
		"T | partition hint.strategy=native by k (top 1 by x)", "T | scan with_match_id=m order by t partition by k declare (x:long = 0) with (step s1 optional output=last: a == 1 => x = 2; step s2: true;)",
		"T | fork (take 1) (count)", "T | facet by a, b with (take 5)", "T | reduce by a with threshold=0.1", "T | serialize n = row_number()", "T | serialize",
		"let f = (T:(x:string), a:long = 1) { T | where x == a }; f(U)", "declare query_parameters(a:string = 'x'); print a", "set notruncation; T",
		"externaldata(a:string, b:long)['https://x/y.csv', h@'z'] with (format='csv', ignoreFirstRecord=true)", "datatable(a:long)[1, 2,]", "T | where a in~ ('x') and b !between (1 .. 2) and * has 'y' and c matches regex 'z' and d has_any (e)",
		"print ['a b'].c['d'][-1].['e'], dynamic({'a': [1, -2.5, null, true, datetime(2024-01-01)]}), -x, 1.5h, 0x1F, ```a\nb```, 'a' \"b\"",
	} {
		a, errs := Parse(s)
		if errs != nil {
			t.Errorf("%v\n%s", errs, s)
			continue
		}
		p := Print(a)
		b, errs := Parse(p)
		if errs != nil || Print(b) != p {
			t.Errorf("%s prints as %s, which does not read back: %v", s, p, errs)
		}
	}
}
