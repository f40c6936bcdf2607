package e2e

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"
)

// shippedRule is what a test needs to know of a rule of content/detections: whose an alert is.
type shippedRule struct {
	name    string
	title   *regexp.Regexp
	literal int // bytes of the title that are no placeholder
}

// shippedRules reads the rules that the server under test carries.
func shippedRules(t testing.TB) []shippedRule {
	t.Helper()
	files, err := filepath.Glob("../content/detections/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	column := regexp.MustCompile(`\\\{\\\{\w+\\\}\\\}`)
	var out []shippedRule
	for _, f := range files {
		if strings.HasSuffix(f, ".test.yaml") {
			continue
		}
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		var r struct{ Name, Title string }
		if err := yaml.Unmarshal(text, &r); err != nil {
			t.Fatalf("%s: %v", f, err)
		}
		quoted := regexp.QuoteMeta(r.Title)
		out = append(out, shippedRule{r.Name, regexp.MustCompile("^" + column.ReplaceAllString(quoted, ".*") + "$"), len(column.ReplaceAllString(quoted, ""))})
	}
	if len(out) == 0 {
		t.Fatal("there are no rules in ../content/detections")
	}
	return out
}

// ruleOf says which rule an alert's title is of, "" for none: of several that fit, the one
// with more words of its own.
func ruleOf(rules []shippedRule, title string) string {
	var best shippedRule
	for _, r := range rules {
		if r.title.MatchString(title) && r.literal > best.literal {
			best = r
		}
	}
	return best.name
}

// raisedAlert is an alert with the processes that it is about.
type raisedAlert struct {
	ID       string
	Title    string
	Evidence []struct {
		EntityType                 string
		FilePath, FileName         *string
		ProcessID, ParentProcessID *int64
		ProcessCommandLine         *string
	}
}

// about says of which files and processes it is, for people.
func (a *raisedAlert) about() string {
	var b strings.Builder
	for _, e := range a.Evidence {
		for _, p := range []*string{e.FilePath, e.FileName, e.ProcessCommandLine} {
			if p != nil && *p != "" {
				fmt.Fprintf(&b, " %.120s", *p)
			}
		}
		if e.ProcessID != nil {
			fmt.Fprintf(&b, " (%d)", *e.ProcessID)
		}
		b.WriteByte(';')
	}
	return b.String()
}

// alerts returns all alerts with their evidence.
func (s *server) alerts(t testing.TB) []raisedAlert {
	t.Helper()
	var out []raisedAlert
	for skip := 0; ; skip += 1000 {
		var page struct{ Value []raisedAlert }
		err := s.Client.Do(context.Background(), http.MethodGet, fmt.Sprintf("/api/alerts?$expand=evidence&$top=1000&$skip=%d", skip), nil, &page)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, page.Value...)
		if len(page.Value) < 1000 {
			return out
		}
	}
}

// family is the processes that come from this test, directly or not: the machine may be
// busy with other things, which are not what a test counts.
type family map[int64]bool

// family reads from telemetry who started whom since a time, beginning with this process.
func (s *server) family(t testing.TB, since time.Time) family {
	t.Helper()
	r := s.hunt(t, fmt.Sprintf(`DeviceProcessEvents | where Timestamp >= datetime(%s) and ActionType == "ProcessCreated"
		| distinct ProcessId, InitiatingProcessId, InitiatingProcessParentId`, since.UTC().Format(time.RFC3339Nano)))
	number := func(v any) int64 {
		n, _ := v.(float64)
		return int64(n)
	}
	children := map[int64][]int64{}
	for _, row := range r.Results {
		pid, by, parent := number(row["ProcessId"]), number(row["InitiatingProcessId"]), number(row["InitiatingProcessParentId"])
		children[by] = append(children[by], pid)
		children[parent] = append(children[parent], by)
	}
	own := family{}
	var walk func(int64)
	walk = func(pid int64) {
		if pid <= 1 || own[pid] {
			return
		}
		own[pid] = true
		for _, c := range children[pid] {
			walk(c)
		}
	}
	walk(int64(os.Getpid()))
	return own
}

// did says whether the alert is about a process of the family.
func (f family) did(a *raisedAlert) bool {
	for _, e := range a.Evidence {
		if (e.ProcessID != nil && f[*e.ProcessID]) || (e.ParentProcessID != nil && f[*e.ParentProcessID]) {
			return true
		}
	}
	return false
}
