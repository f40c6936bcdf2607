package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/vedette-edr/vedette/content"
	"github.com/vedette-edr/vedette/detection"
)

type ruleCommand struct {
	List     ruleList     `cmd:"" help:"List custom detection rules and rule files."`
	Get      ruleGet      `cmd:"" help:"Show one rule."`
	Create   ruleCreate   `cmd:"" help:"Create a custom detection rule."`
	Update   ruleUpdate   `cmd:"" help:"Change a custom detection rule."`
	Delete   ruleDelete   `cmd:"" help:"Delete a custom detection rule or an imported rule file."`
	Enable   ruleEnable   `cmd:"" help:"Enable a rule."`
	Disable  ruleDisable  `cmd:"" help:"Disable a rule."`
	Import   ruleImport   `cmd:"" help:"Import rule files with their tests into the server."`
	Backtest ruleBacktest `cmd:"" help:"Say what a rule or an indicator would have raised."`
	Lint     ruleLint     `cmd:"" help:"Check rule files: keys, queries, ATT&CK ids. Needs no server."`
	Test     ruleTest     `cmd:"" help:"Run the tests beside rule files. Needs no server."`
}

// ruleFiles are the rules that a command is about.
type ruleFiles struct {
	Paths []string `arg:"" optional:"" type:"existingpath" help:"Rule files, or directories of them; the shipped rules without any."`
}

// load reads the rules with their tests.
func (f *ruleFiles) load() ([]*detection.Loaded, error) {
	text, err := fs.ReadFile(content.FS, "attack.yaml")
	if err != nil {
		return nil, err
	}
	attack, err := detection.ParseAttack(text)
	if err != nil {
		return nil, err
	}
	if len(f.Paths) == 0 {
		return detection.LoadAll(content.FS, "detections", attack)
	}
	var out []*detection.Loaded
	for _, path := range f.Paths {
		info, err := os.Stat(path)
		if err != nil {
			return nil, err
		}
		if info.IsDir() {
			list, err := detection.LoadAll(os.DirFS(path), ".", attack)
			if err != nil {
				return nil, err
			}
			for _, l := range list {
				l.Path = filepath.Join(path, l.Path)
			}
			out = append(out, list...)
			continue
		}
		rule, test, err := readRule(path)
		if err != nil {
			return nil, err
		}
		out = append(out, detection.Load(path, rule, test, attack))
	}
	if len(out) == 0 {
		return nil, errors.New("there is no rule: files are NAME.yaml with NAME.test.yaml beside them")
	}
	return out, nil
}

// readRule reads a rule's file and the test file beside it, nil where there is none.
func readRule(path string) (rule, test []byte, err error) {
	if rule, err = os.ReadFile(path); err != nil {
		return nil, nil, err
	}
	test, err = os.ReadFile(strings.TrimSuffix(path, ".yaml") + ".test.yaml")
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return rule, test, err
}

type ruleLint struct{ ruleFiles }

// Run prints FILE: PLACE: TEXT for everything that is wrong.
func (c *ruleLint) Run(s *session) error {
	list, err := c.load()
	if err != nil {
		return err
	}
	bad := 0
	for _, l := range list {
		// Tests may be red: lint is about the rule itself.
		if l.Compiled != nil {
			continue
		}
		bad++
		for line := range strings.SplitSeq(l.Problem.Error(), "\n") {
			fmt.Fprintf(s.errs, "%s: %s\n", l.Path, line)
		}
	}
	if bad > 0 {
		return fmt.Errorf("%d of %d rules have errors", bad, len(list))
	}
	_, err = fmt.Fprintf(s.out.w, "%d rules are sound.\n", len(list))
	return err
}

type ruleTest struct{ ruleFiles }

// Run prints each case and how it went.
func (c *ruleTest) Run(s *session) error {
	list, err := c.load()
	if err != nil {
		return err
	}
	red := 0
	cells := [][]string{}
	for _, l := range list {
		if l.Problem != nil {
			red++
			for line := range strings.SplitSeq(l.Problem.Error(), "\n") {
				fmt.Fprintf(s.errs, "%s: %s\n", l.Path, line)
			}
		}
		for _, o := range l.Outcomes {
			how := "ok"
			if o.Why != "" {
				how = o.Why
			}
			cells = append(cells, []string{l.Name, o.Case, fmt.Sprint(o.Alerts), how})
		}
	}
	if err := s.out.rows(list, []string{"RULE", "CASE", "ALERTS", "OUTCOME"}, cells); err != nil {
		return err
	}
	if red > 0 {
		return fmt.Errorf("%d of %d rules are red", red, len(list))
	}
	return nil
}
