// Package detection is the language of rules that run on the stream of events: their
// files, what makes one sound, and the engine that runs them.
//
// It knows events and KQL and nothing of the server: the server's detectors, its
// backtests and the command line's offline tests all run rules by this package, so that
// a rule that is green on a desk does the same in production. What becomes of a Finding
// is not its affair.
//
// A Rule is a file; Compile makes it fit to run, Check says what is wrong with its texts,
// RunTests proves it by the events of the test file beside it. A Set is compiled rules
// with an index over them, immutable; a State is what rules remember between events. The
// invariant: examining an event again gives the findings of the first time, or fewer,
// and never others.
//
// Start at Rule, then Set.Match.
package detection

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"

	"go.yaml.in/yaml/v4"
)

// Bounds of a rule.
const (
	MaxFile  = 1 << 20 // bytes of a rule's or a test's file
	maxSteps = 10
	maxCount = 1000 // events that one key remembers
	maxSpan  = 24 * time.Hour
	maxBy    = 10
)

// Rule is one rule as its file states it. Exactly one of Query, Threshold and Sequence is
// set. A column that a rule names is one of its query's result.
type Rule struct {
	ID             string      `yaml:"id"`   // GUID; never changes
	Name           string      `yaml:"name"` // lower case with underscores; the file's name
	Title          string      `yaml:"title"`
	Description    string      `yaml:"description"`
	Severity       string      `yaml:"severity"` // Informational, Low, Medium or High
	Category       string      `yaml:"category"` // of the published categories
	Techniques     []string    `yaml:"techniques"`
	Recommended    string      `yaml:"recommendedAction"`
	Platforms      []string    `yaml:"platforms"` // Linux, Windows; none for all
	Enabled        *bool       `yaml:"enabled"`   // nil for true
	FalsePositives []string    `yaml:"falsePositives"`
	References     []string    `yaml:"references"`
	Entities       Entities    `yaml:"entities"`
	Deduplicate    Deduplicate `yaml:"deduplicate"`
	Query          string      `yaml:"query"`
	Threshold      *Threshold  `yaml:"threshold"`
	Sequence       *Sequence   `yaml:"sequence"`
}

// Entities says which columns name what an alert is about; the device always is. Without
// any the table decides: the process that acted, the file, address or account acted on.
type Entities struct {
	Process []string `yaml:"process"` // ProcessId, InitiatingProcessId
	File    []string `yaml:"file"`    // FolderPath, InitiatingProcessFolderPath, PreviousFolderPath
	IP      []string `yaml:"ip"`      // RemoteIP, LocalIP
	URL     []string `yaml:"url"`     // RemoteUrl
	User    []string `yaml:"user"`    // AccountName, InitiatingProcessAccountName
}

// Deduplicate says which findings are the same thing again: those of the device, or of
// the key of a threshold or sequence, with the same values of By within Within of the first.
type Deduplicate struct {
	By     []string `yaml:"by"`     // nil for the acting process, when the query has no other key
	Within Duration `yaml:"within"` // 0 for an hour
}

// Threshold finds Count events, or Count different values of the column Distinct, with
// the same values of By within Within.
type Threshold struct {
	Query    string   `yaml:"query"`
	By       []string `yaml:"by"`
	Within   Duration `yaml:"within"`
	Count    int      `yaml:"count"`
	Distinct string   `yaml:"distinct"`
}

// Sequence finds events that match its steps in their order, each at or after the one
// before it, with the same values of By and all within Within.
type Sequence struct {
	By     []string `yaml:"by"`
	Within Duration `yaml:"within"`
	Steps  []Step   `yaml:"steps"`
}

// Step is one step of a sequence: Count events of its query, 0 for one.
type Step struct {
	Name  string `yaml:"name"`
	Query string `yaml:"query"`
	Count int    `yaml:"count"`
}

// On reports whether the rule's file has it enabled.
func (r *Rule) On() bool { return r.Enabled == nil || *r.Enabled }

// Parse reads the file of one rule. It refuses what is no rule's key; whether the rule is
// sound is Compile's and Check's affair.
func Parse(text []byte) (*Rule, error) {
	var r Rule
	if err := decode(text, &r); err != nil {
		return nil, err
	}
	return &r, nil
}

func decode(text []byte, into any) error {
	if len(text) > MaxFile {
		return fmt.Errorf("the file has %d bytes, at most %d are allowed", len(text), MaxFile)
	}
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(into); err != nil {
		if errors.Is(err, io.EOF) {
			return errors.New("the file is empty")
		}
		return err
	}
	if err := d.Decode(new(any)); !errors.Is(err, io.EOF) {
		return errors.New("the file holds a second document: one rule is one file")
	}
	return nil
}
