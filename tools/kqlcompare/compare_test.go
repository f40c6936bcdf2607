package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vedette-edr/vedette/kql/kqltest"
)

// judge answers Kusto's parser. `make test` installs it and sets KQLCOMPARE: there its
// absence is a failure.
func judge(t *testing.T) Judge {
	t.Helper()
	fail := t.Skipf
	if os.Getenv("KQLCOMPARE") != "" {
		fail = t.Fatalf
	}
	if _, err := exec.LookPath("node"); err != nil {
		fail("node is not installed; `make setup-test` installs it")
	}
	if _, err := os.Stat("node_modules/@kusto/language-service-next"); err != nil {
		fail("Kusto's parser is not installed; `make setup-test` installs it")
	}
	return Judge{Dir: "."}
}

func scripts(t *testing.T) []string {
	t.Helper()
	paths, err := filepath.Glob("../../kql/kqltest/testdata/*.kql")
	if err != nil || len(paths) < 2 {
		t.Fatalf("scripts: %v %v", paths, err)
	}
	var out []string
	for _, p := range paths {
		b, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, kqltest.Queries(string(b))...)
	}
	return out
}

func compare(t *testing.T, j Judge, texts []string) Summary {
	t.Helper()
	s, err := Compare(context.Background(), j, texts)
	if err != nil {
		t.Fatal(err)
	}
	t.Log(s)
	for _, d := range s.Differences {
		if d.Kind == "panic" {
			t.Errorf("panic: %s\n%s", d.Detail, d.Text)
		}
	}
	return s
}

// settled is the ends of queries of our scripts whose columns the parser names otherwise
// than we do, with what we go by: answers of Kusto itself.
var settled = map[string]string{
	`evaluate diffpatterns(g, "L", "R")`:                          "the column that splits the rows is no dimension",
	`with (step s: true => sum = iff(s.sum >= 5, x, x + s.sum);)`: "match_id is there only with with_match_id",
	`evaluate ipv6_lookup(nets, ip, n)`:                           "the order of ipv4_lookup, which the emulator shows",
}

func isSettled(text string) bool {
	for end := range settled {
		if strings.HasSuffix(strings.TrimSpace(text), end) {
			return true
		}
	}
	return false
}

// TestScriptsAgreeWithKusto compares every query of our own scripts.
func TestScriptsAgreeWithKusto(t *testing.T) {
	j := judge(t)
	s := compare(t, j, scripts(t))
	found := 0
	for _, d := range s.Differences {
		if d.Kind == "columns" && isSettled(d.Text) {
			s.Same++
			found++
		}
	}
	if found != len(settled) {
		t.Errorf("%d of the %d settled differences are there", found, len(settled))
	}
	if !s.Enough() || s.Valid < 100 {
		for _, d := range s.Differences {
			t.Errorf("%s: %s\n%s", d.Kind, d.Detail, d.Text)
		}
	}
}

// TestMutatedScriptsAgreeWithKusto compares them with tokens left out, doubled and
// exchanged: what Kusto takes we take, and most of what it refuses we refuse. We are the
// more generous where a number stands for a text or an order for what has none.
func TestMutatedScriptsAgreeWithKusto(t *testing.T) {
	j := judge(t)
	s := compare(t, j, Mutate(scripts(t), 3, 1))
	if 100*s.Accepted < 90*s.Valid || 100*s.Same < 90*s.Accepted || 100*s.Refused < 95*s.Invalid {
		for _, d := range s.Differences {
			t.Errorf("%s: %s\n%s", d.Kind, d.Detail, d.Text[strings.LastIndex(d.Text, ";\n")+1:])
		}
	}
}

// TestCallsAgreeWithKusto compares calls made of the parser's own table of functions.
func TestCallsAgreeWithKusto(t *testing.T) {
	j := judge(t)
	fns, err := j.Signatures(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	var known []Function
	for _, f := range fns {
		if !strings.HasPrefix(f.Name, "geo_") { // which of them there are is in docs/kql/functions.md
			known = append(known, f)
		}
	}
	s := compare(t, j, Calls(known, 2, 1))
	if s.Valid < 200 || 100*s.Accepted < 92*s.Valid || 100*s.Same < 95*s.Accepted {
		for _, d := range s.Differences {
			if d.Kind != "accepted" {
				t.Errorf("%s: %s\n%s", d.Kind, d.Detail, strings.TrimPrefix(d.Text, columns))
			}
		}
	}
}

func TestMutationsRepeat(t *testing.T) {
	a, b := Mutate(scripts(t), 2, 7), Mutate(scripts(t), 2, 7)
	for i := range a {
		if a[i] != b[i] {
			t.Fatalf("mutation %d differs between runs", i)
		}
	}
}
