package detection

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Technique is one ATT&CK technique or sub-technique.
type Technique struct {
	ID         string   `yaml:"id"` // T1059.004
	Name       string   `yaml:"name"`
	Tactics    []string `yaml:"tactics"`              // such as execution, in their published short form
	ReplacedBy string   `yaml:"replacedBy,omitempty"` // of one that was revoked
	Deprecated bool     `yaml:"deprecated,omitempty"`
}

// Attack is the catalogue of techniques. It is immutable.
type Attack struct {
	Version string
	byID    map[string]Technique
}

// ParseAttack reads content/attack.yaml.
func ParseAttack(text []byte) (*Attack, error) {
	var f struct {
		Version    string      `yaml:"version"`
		Techniques []Technique `yaml:"techniques"`
	}
	if err := yaml.Unmarshal(text, &f); err != nil {
		return nil, fmt.Errorf("attack.yaml: %w", err)
	}
	a := &Attack{Version: f.Version, byID: make(map[string]Technique, len(f.Techniques))}
	for _, t := range f.Techniques {
		a.byID[t.ID] = t
	}
	if len(a.byID) == 0 {
		return nil, fmt.Errorf("attack.yaml: there is no technique in it")
	}
	return a, nil
}

// All returns every technique, by id.
func (a *Attack) All() []Technique {
	out := slices.Collect(maps.Values(a.byID))
	slices.SortFunc(out, func(x, y Technique) int { return strings.Compare(x.ID, y.ID) })
	return out
}

// Technique finds one by its id, T1059 or T1059.004.
func (a *Attack) Technique(id string) (Technique, bool) {
	t, ok := a.byID[id]
	return t, ok
}
