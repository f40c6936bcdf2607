package vedette

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

const module = "github.com/vedette-edr/vedette"

// rule is one row of the import law.
type rule struct {
	pattern    string
	may, tests []string
}

// covers reports whether pattern names the package at path: itself, or with /... all below.
func covers(pattern, path string) bool {
	if base, ok := strings.CutSuffix(pattern, "/..."); ok {
		return path == base || strings.HasPrefix(path, base+"/")
	}
	return pattern == path
}

func anyCovers(patterns []string, path string) bool {
	for _, p := range patterns {
		if covers(p, path) {
			return true
		}
	}
	return false
}

var quoted = regexp.MustCompile("`([^`]+)`")

// parseLaw reads the table below the heading "The import law".
func parseLaw(t *testing.T, doc string) []rule {
	t.Helper()
	_, text, ok := strings.Cut(doc, "## The import law")
	if !ok {
		t.Fatal("ARCHITECTURE.md has no heading 'The import law'")
	}
	var law []rule
	for line := range strings.Lines(text) {
		cells := strings.Split(strings.TrimSpace(line), "|")
		if len(cells) != 5 {
			continue
		}
		names := func(cell string) []string {
			var out []string
			for _, m := range quoted.FindAllStringSubmatch(cell, -1) {
				out = append(out, m[1])
			}
			return out
		}
		head := names(cells[1])
		if len(head) != 1 {
			continue
		}
		law = append(law, rule{head[0], names(cells[2]), names(cells[3])})
	}
	if len(law) < 10 {
		t.Fatalf("read only %d rows of the import law", len(law))
	}
	return law
}

// ruleFor returns the row with the longest pattern that covers path.
func ruleFor(law []rule, path string) (rule, bool) {
	var best rule
	found := false
	for _, r := range law {
		if covers(r.pattern, path) && (!found || len(r.pattern) > len(best.pattern)) {
			best, found = r, true
		}
	}
	return best, found
}

type listed struct {
	ImportPath                         string
	Imports, TestImports, XTestImports []string
}

// violations returns a line for each import that the law forbids.
func violations(law []rule, pkgs []listed) []string {
	var out []string
	for _, p := range pkgs {
		path := relative(p.ImportPath)
		r, ok := ruleFor(law, path)
		if !ok {
			out = append(out, fmt.Sprintf("%s is ruled by no row", path))
			continue
		}
		check := func(imports, allowed []string, kind string) {
			for _, imp := range imports {
				if strings.HasPrefix(imp, "github.com/duckdb/") && !mayDuckDB(path, kind) {
					out = append(out, fmt.Sprintf("%s imports DuckDB%s", path, kind))
				}
				if imp != module && !strings.HasPrefix(imp, module+"/") {
					continue
				}
				to := relative(imp)
				if to != path && !anyCovers(allowed, to) {
					out = append(out, fmt.Sprintf("%s imports %s%s", path, to, kind))
				}
			}
		}
		check(p.Imports, r.may, "")
		testing := append(append([]string{}, r.may...), r.tests...)
		check(p.TestImports, testing, " in a test")
		check(p.XTestImports, testing, " in a test")
	}
	return out
}

// mayDuckDB says where DuckDB may be linked: the query worker with the functions that KQL
// needs in it, and tests whose oracle it is.
func mayDuckDB(path, kind string) bool {
	switch path {
	case "server/telemetry/duckdb/worker", "kql/sqlgen/duckfn":
		return true
	case "server/telemetry/duckdb/parquet":
		return kind != ""
	}
	return strings.HasPrefix(path, "kql/") && kind != "" || strings.HasPrefix(path, "kql/kqltest/")
}

func relative(importPath string) string {
	if importPath == module {
		return "."
	}
	return strings.TrimPrefix(importPath, module+"/")
}

func list(t *testing.T, goos string) []listed {
	t.Helper()
	cmd := exec.Command("go", "list", "-e", "-json=ImportPath,Imports,TestImports,XTestImports", "./...")
	cmd.Env = append(os.Environ(), "GOOS="+goos, "GOARCH=amd64")
	cmd.Stderr = os.Stderr
	raw, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list for %s: %v", goos, err)
	}
	var pkgs []listed
	dec := json.NewDecoder(bytes.NewReader(raw))
	for {
		var p listed
		if err := dec.Decode(&p); err == io.EOF {
			return pkgs
		} else if err != nil {
			t.Fatal(err)
		}
		pkgs = append(pkgs, p)
	}
}

func readLaw(t *testing.T) []rule {
	t.Helper()
	doc, err := os.ReadFile("ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	return parseLaw(t, string(doc))
}

func TestImportLaw(t *testing.T) {
	law := readLaw(t)
	for _, goos := range []string{"linux", "windows"} {
		pkgs := list(t, goos)
		if len(pkgs) < 10 {
			t.Fatalf("%s: go list found only %d packages", goos, len(pkgs))
		}
		for _, v := range violations(law, pkgs) {
			t.Errorf("%s: %s", goos, v)
		}
	}
}

// TestImportLawSeesViolations seeds violations and expects each to be found.
func TestImportLawSeesViolations(t *testing.T) {
	law := readLaw(t)
	for _, seed := range []struct {
		pkg  listed
		want string
	}{
		{listed{ImportPath: module + "/agent/link", Imports: []string{module + "/server/errs"}}, "agent/link imports server/errs"},
		{listed{ImportPath: module + "/kql/bind", Imports: []string{module + "/schema"}}, "kql/bind imports schema"},
		{listed{ImportPath: module + "/server/alert", Imports: []string{module + "/server/indicator"}}, "server/alert imports server/indicator"},
		{listed{ImportPath: module + "/server/device", Imports: []string{module + "/server/store"}}, "server/device imports server/store"},
		{listed{ImportPath: module + "/schema/event", TestImports: []string{module + "/schema"}}, "schema/event imports schema in a test"},
		{listed{ImportPath: module + "/server/hunt", Imports: []string{"github.com/duckdb/duckdb-go/v2"}}, "server/hunt imports DuckDB"},
		{listed{ImportPath: module + "/nowhere"}, "nowhere is ruled by no row"},
	} {
		got := violations(law, []listed{seed.pkg})
		if len(got) != 1 || got[0] != seed.want {
			t.Errorf("violations = %q, want %q", got, seed.want)
		}
	}
}
