package duck_test

import (
	"context"
	"strings"
	"testing"
	"unicode"

	"github.com/vedette-edr/vedette/kql"
	"github.com/vedette-edr/vedette/kql/bind"
	"github.com/vedette-edr/vedette/kql/kqltest"
	"github.com/vedette-edr/vedette/kql/kqltest/duck"
	"github.com/vedette-edr/vedette/kql/types"
)

// TestEnginesAgreeOnEveryLetter asks both engines for the case of every letter there is.
func TestEnginesAgreeOnEveryLetter(t *testing.T) {
	eng, err := duck.New(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = eng.Close() })
	d := &kqltest.Data{}
	var rows [][]types.Value
	for r := rune(1); r <= unicode.MaxRune; r++ {
		if unicode.IsLetter(r) && (unicode.ToLower(r) != r || unicode.ToUpper(r) != r || unicode.IsUpper(r) || unicode.IsLower(r)) {
			rows = append(rows, []types.Value{types.NewString(string(r))})
		}
	}
	d.Add("T", []bind.Column{{Name: "s", Type: types.String}}, rows)
	for _, f := range []string{"tolower(s)", "toupper(s)", "s =~ toupper(s)", "s contains tolower(s)", "tolower(s) has toupper(s)"} {
		q, err := kql.Compile("T | project s, y = "+f, d, kql.Options{Now: now})
		if err != nil {
			t.Fatal(err)
		}
		x, err := answer(t, kqltest.Eval{}, q, d)
		if err != nil {
			t.Fatal(err)
		}
		y, err := answer(t, eng, q, d)
		if err != nil {
			t.Fatal(err)
		}
		if x != y {
			diff := difference(x, y)
			t.Errorf("the engines differ on %d lines of %s:\n%.3000s", strings.Count(diff, "\n"), f, diff)
		}
	}
}
