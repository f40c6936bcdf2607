package detection

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/vedette-edr/vedette/schema/vocabulary"
)

// Words of rules; categories are those of package vocabulary.
var (
	severities = []string{"Informational", "Low", "Medium", "High"}
	platforms  = []string{"Linux", "Windows"}
)

var (
	guidForm = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)
	nameForm = regexp.MustCompile(`^[a-z0-9]+(_[a-z0-9]+)*$`)
)

// Problem is one thing wrong with a rule. Place names the key, and line and column of the
// query where it is one of KQL.
type Problem struct {
	Place string `json:"place"`
	Text  string `json:"text"`
}

// Error implements error.
func (p Problem) Error() string { return p.Place + ": " + p.Text }

// Problems are all that is wrong with a rule, in the order of its file.
type Problems []Problem

// Error prints one problem a line.
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.Error()
	}
	return strings.Join(lines, "\n")
}

func (ps *Problems) add(place, format string, args ...any) {
	*ps = append(*ps, Problem{place, fmt.Sprintf(format, args...)})
}

// or returns ps as an error, nil for none.
func (ps Problems) or() error {
	if len(ps) == 0 {
		return nil
	}
	return ps
}

// check says what is wrong with everything but the queries.
func (r *Rule) check(a *Attack) Problems {
	var ps Problems
	if !guidForm.MatchString(r.ID) {
		ps.add("id", "%q is no GUID in lower case", r.ID)
	}
	if !nameForm.MatchString(r.Name) || len(r.Name) > 100 {
		ps.add("name", "%q is not made of lower-case letters, digits and single underscores", r.Name)
	}
	for _, t := range []struct {
		place, text string
		most        int
	}{{"title", r.Title, 256}, {"description", r.Description, 4000}, {"recommendedAction", r.Recommended, 4000}} {
		switch {
		case strings.TrimSpace(t.text) == "":
			ps.add(t.place, "is missing")
		case !utf8.ValidString(t.text) || utf8.RuneCountInString(t.text) > t.most:
			ps.add(t.place, "is longer than %d characters", t.most)
		}
	}
	word := func(place, got string, of []string) {
		if !slices.Contains(of, got) {
			ps.add(place, "%q is none of %s", got, strings.Join(of, ", "))
		}
	}
	word("severity", r.Severity, severities)
	word("category", r.Category, vocabulary.AlertCategories())
	for _, p := range r.Platforms {
		word("platforms", p, platforms)
	}
	if len(r.Techniques) == 0 {
		ps.add("techniques", "names no ATT&CK technique")
	}
	for _, id := range r.Techniques {
		t, ok := a.Technique(id)
		switch {
		case !ok:
			ps.add("techniques", "%s is no ATT&CK technique", id)
		case t.ReplacedBy != "":
			ps.add("techniques", "%s was replaced by %s", id, t.ReplacedBy)
		case t.Deprecated:
			ps.add("techniques", "%s was withdrawn", id)
		}
	}
	if slices.Contains(r.FalsePositives, "") || slices.Contains(r.References, "") {
		ps.add("falsePositives, references", "an entry is empty")
	}
	return ps
}
