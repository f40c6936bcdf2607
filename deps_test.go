package vedette

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestDependenciesHaveTheirReason compares go.mod's direct requirements with the table of
// docs/dependencies.md, both ways.
func TestDependenciesHaveTheirReason(t *testing.T) {
	mod, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := os.ReadFile("docs/dependencies.md")
	if err != nil {
		t.Fatal(err)
	}
	var direct, told []string
	for _, m := range regexp.MustCompile(`(?m)^\s+(\S+\.\S+/\S+|\S+\.\S+) v\S+$`).FindAllStringSubmatch(string(mod), -1) {
		direct = append(direct, m[1])
	}
	for line := range strings.Lines(string(doc)) {
		if cells := strings.Split(line, "|"); len(cells) == 5 && strings.Contains(cells[1], ".") {
			told = append(told, strings.TrimSpace(cells[1]))
		}
	}
	slices.Sort(direct)
	slices.Sort(told)
	if len(direct) < 10 || !slices.Equal(direct, told) {
		t.Errorf("go.mod requires directly\n%s\ndocs/dependencies.md tells of\n%s", strings.Join(direct, "\n"), strings.Join(told, "\n"))
	}
}
