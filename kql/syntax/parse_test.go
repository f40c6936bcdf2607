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
