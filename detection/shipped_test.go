package detection_test

import (
	"io/fs"
	"testing"

	"github.com/vedette-edr/vedette/content"
	"github.com/vedette-edr/vedette/detection"
)

func attack(t testing.TB) *detection.Attack {
	t.Helper()
	text, err := fs.ReadFile(content.FS, "attack.yaml")
	if err != nil {
		t.Fatal(err)
	}
	a, err := detection.ParseAttack(text)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// shipped are the rules of the product, each of which is sound and green.
func shipped(t testing.TB) []*detection.Compiled {
	t.Helper()
	list, err := detection.LoadAll(content.FS, "detections", attack(t))
	if err != nil {
		t.Fatal(err)
	}
	var out []*detection.Compiled
	for _, l := range list {
		if l.Problem != nil {
			t.Errorf("%s: %v", l.Path, l.Problem)
			continue
		}
		out = append(out, l.Compiled)
	}
	return out
}

func TestShippedRulesAreGreen(t *testing.T) {
	rules := shipped(t)
	if len(rules) < 29 {
		t.Errorf("%d rules are shipped", len(rules))
	}
	for _, r := range rules {
		if len(r.FalsePositives) == 0 || len(r.References) == 0 || len(r.Platforms) == 0 {
			t.Errorf("%s: a shipped rule names false positives, references and platforms", r.Name)
		}
	}
}
