package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/vedette-edr/vedette/client"
)

// The roots of the two kinds of rule: custom detection rules have numbers, rule files names.
const (
	customRules = "/beta/security/rules/detectionRules"
	ruleFileSet = "/api/vedette/detections"
)

var number = regexp.MustCompile(`^[0-9]+$`)

type ruleList struct{}

// Run lists both kinds.
func (ruleList) Run(s *session) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	own, err := client.All[client.DetectionRule](s.ctx, c, customRules, client.List{})
	if err != nil {
		return err
	}
	var files struct {
		Value []client.RuleFile `json:"value"`
	}
	if err := c.Do(s.ctx, http.MethodGet, ruleFileSet, nil, &files); err != nil {
		return err
	}
	cells := [][]string{}
	for _, r := range own {
		cells = append(cells, []string{r.ID, r.Name, "custom, " + periodName(r.Schedule.Period), onOff(r.Enabled), r.Action.Template.Severity, lastRun(&r)})
	}
	for _, r := range files.Value {
		cells = append(cells, []string{r.Name, r.Title, r.Origin, onOff(r.Enabled), r.Severity, r.Problem})
	}
	items := map[string]any{"custom": own, "files": files.Value}
	return s.out.rows(items, []string{"ID", "TITLE", "KIND", "STATE", "SEVERITY", "LAST RUN OR PROBLEM"}, cells)
}

func periodName(p string) string {
	if p == "0" {
		return "continuous"
	}
	return "each " + strings.ToLower(p)
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}

func lastRun(r *client.DetectionRule) string {
	if r.LastRun.Status == nil {
		return ""
	}
	out := *r.LastRun.Status + " " + when(r.LastRun.At)
	if r.LastRun.Reason != nil {
		out += ": " + *r.LastRun.Reason
	}
	return out
}

type ruleGet struct {
	ID string `arg:"" help:"Number of a custom rule, or name of a rule file."`
}

func (g *ruleGet) Run(s *session) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	if !number.MatchString(g.ID) {
		return showFile(s, c, http.MethodGet, ruleFileSet+"/"+url.PathEscape(g.ID), nil)
	}
	return showCustom(s, c, http.MethodGet, customRules+"/"+g.ID, nil)
}

func showFile(s *session, c *client.Client, method, path string, in any) error {
	var r client.RuleFile
	if err := c.Do(s.ctx, method, path, in, &r); err != nil {
		return err
	}
	return s.out.one(r, [][2]string{{"Id", r.ID}, {"Name", r.Name}, {"Title", r.Title}, {"Severity", r.Severity}, {"Category", r.Category},
		{"Techniques", strings.Join(r.Techniques, " ")}, {"Origin", r.Origin}, {"State", onOff(r.Enabled)}, {"Problem", r.Problem}})
}

func showCustom(s *session, c *client.Client, method, path string, in any) error {
	var r client.DetectionRule
	if err := c.Do(s.ctx, method, path, in, &r); err != nil {
		return err
	}
	var responses []string
	for _, re := range r.Action.Responses {
		responses = append(responses, strings.TrimSuffix(strings.TrimPrefix(re.Type, "#microsoft.graph.security."), "ResponseAction"))
	}
	return s.out.one(r, [][2]string{{"Id", r.ID}, {"Name", r.Name}, {"State", onOff(r.Enabled)}, {"Runs", periodName(r.Schedule.Period)},
		{"Next run", when(r.Schedule.Next)}, {"Last run", lastRun(&r)}, {"Alert", r.Action.Template.Title}, {"Severity", r.Action.Template.Severity},
		{"Responses", strings.Join(responses, " ")}, {"Query", r.Condition.Query}})
}

// ruleFields are the parts of a custom rule that flags set.
type ruleFields struct {
	Query       string   `help:"KQL text, @FILE to read it from a file, or - for standard input."`
	Period      string   `help:"0 for continuous, 1H, 3H, 12H or 24H."`
	Title       string   `help:"Title of its alerts; {{Column}} is a column of the result."`
	Description string   `help:"Description of its alerts."`
	Severity    string   `help:"Informational, Low, Medium or High."`
	Category    string   `help:"Such as Persistence or SuspiciousActivity."`
	Recommended string   `help:"What whoever handles the alert should do."`
	Technique   []string `help:"ATT&CK technique; may be repeated."`
	Isolate     bool     `help:"Isolate the device of each result."`
	BlockFile   string   `help:"Block the file that this column names: SHA1, SHA256, InitiatingProcessSHA1, …" name:"block-file"`
}

// body renders what was given, in the form of the API.
func (f *ruleFields) body(name string) (map[string]any, error) {
	template, out := map[string]any{}, map[string]any{}
	put := func(m map[string]any, k, v string) {
		if v != "" {
			m[k] = v
		}
	}
	put(out, "displayName", name)
	if f.Query != "" {
		text, err := argText(f.Query)
		if err != nil {
			return nil, err
		}
		out["queryCondition"] = map[string]any{"queryText": text}
	}
	if f.Period != "" {
		out["schedule"] = map[string]any{"period": f.Period}
	}
	put(template, "title", f.Title)
	put(template, "description", f.Description)
	put(template, "severity", strings.ToLower(f.Severity))
	put(template, "category", f.Category)
	put(template, "recommendedActions", f.Recommended)
	if len(f.Technique) > 0 {
		template["mitreTechniques"] = f.Technique
	}
	action := map[string]any{}
	if len(template) > 0 {
		action["alertTemplate"] = template
	}
	var responses []client.DetectionResponse
	const prefix, suffix = "#microsoft.graph.security.", "ResponseAction"
	if f.Isolate {
		responses = append(responses, client.DetectionResponse{Type: prefix + "isolateDevice" + suffix, Identifier: "deviceId", Isolation: "full"})
	}
	if f.BlockFile != "" {
		responses = append(responses, client.DetectionResponse{Type: prefix + "blockFile" + suffix, Identifier: f.BlockFile})
	}
	if responses != nil {
		action["responseActions"] = responses
	}
	if len(action) > 0 {
		out["detectionAction"] = action
	}
	return out, nil
}

type ruleCreate struct {
	Name string `arg:"" optional:"" help:"Name of the rule."`
	File string `help:"JSON of the whole rule, as 'rule get -o json' prints it; - for standard input." placeholder:"FILE"`
	ruleFields
}

func (r *ruleCreate) Run(s *session) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	if r.File != "" {
		text, err := argText("@" + r.File)
		if r.File == "-" {
			text, err = argText("-")
		}
		if err != nil {
			return err
		}
		return showCustom(s, c, http.MethodPost, customRules, json.RawMessage(text))
	}
	if r.Title == "" {
		r.Title = r.Name
	}
	for _, d := range []struct {
		to *string
		v  string
	}{{&r.Period, "24H"}, {&r.Severity, "medium"}, {&r.Category, "SuspiciousActivity"}} {
		if *d.to == "" {
			*d.to = d.v
		}
	}
	body, err := r.body(r.Name)
	if err != nil {
		return err
	}
	return showCustom(s, c, http.MethodPost, customRules, body)
}

type ruleUpdate struct {
	ID   string `arg:"" help:"Number of the custom rule."`
	Name string `help:"Another name."`
	ruleFields
}

func (r *ruleUpdate) Run(s *session) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	body, err := r.body(r.Name)
	if err != nil {
		return err
	}
	return showCustom(s, c, http.MethodPatch, customRules+"/"+url.PathEscape(r.ID), body)
}

type ruleDelete struct {
	ID string `arg:"" help:"Number of a custom rule, or name of an imported rule file."`
}

func (r *ruleDelete) Run(s *session) error {
	if number.MatchString(r.ID) {
		return remove(s, customRules+"/"+r.ID)
	}
	return remove(s, ruleFileSet+"/"+url.PathEscape(r.ID))
}

type ruleEnable struct {
	ID string `arg:"" help:"Number of a custom rule, or name of a rule file."`
}

// Run enables a rule.
func (r *ruleEnable) Run(s *session) error { return turn(s, r.ID, true) }

type ruleDisable struct {
	ID string `arg:"" help:"Number of a custom rule, or name of a rule file."`
}

// Run disables a rule.
func (r *ruleDisable) Run(s *session) error { return turn(s, r.ID, false) }

func turn(s *session, id string, on bool) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	if number.MatchString(id) {
		return showCustom(s, c, http.MethodPatch, customRules+"/"+id, map[string]any{"isEnabled": on})
	}
	verb := "/disable"
	if on {
		verb = "/enable"
	}
	return showFile(s, c, http.MethodPost, ruleFileSet+"/"+url.PathEscape(id)+verb, map[string]any{})
}

type ruleImport struct {
	Files []string `arg:"" type:"existingfile" help:"Rule files; the test file is beside each."`
}

// Run imports rule files.
func (r *ruleImport) Run(s *session) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	var all error
	for _, path := range r.Files {
		if strings.HasSuffix(path, ".test.yaml") {
			continue // of a shell's pattern
		}
		rule, test, err := readRule(path)
		if err == nil {
			err = showFile(s, c, http.MethodPost, ruleFileSet, map[string]string{"rule": string(rule), "test": string(test)})
		}
		if err != nil {
			all = errors.Join(all, fmt.Errorf("%s: %w", path, err))
		}
	}
	return all
}

type ruleBacktest struct {
	Rule      string        `arg:"" optional:"" help:"Rule file on this machine, name of one on the server, or number of a custom rule."`
	Query     string        `help:"KQL of a scheduled rule that is not kept: text, @FILE, or -."`
	Indicator string        `help:"TYPE=VALUE of an indicator, such as IpAddress=203.0.113.7."`
	Since     time.Duration `help:"How far back." default:"168h"`
	Every     time.Duration `help:"How often to look how far it is." default:"500ms" hidden:""`
}

// Run starts a backtest, shows how far it is, and prints what would have been raised.
func (r *ruleBacktest) Run(s *session) error {
	body, err := r.body()
	if err != nil {
		return err
	}
	c, err := s.client()
	if err != nil {
		return err
	}
	var b client.Backtest
	const root = "/api/vedette/backtests"
	if err := c.Do(s.ctx, http.MethodPost, root, body, &b); err != nil {
		return err
	}
	shown := -1
	for b.Status == "running" {
		if p := int(100 * b.Progress); p != shown && s.out.width > 0 {
			shown = p
			s.progress("%3d %%, %d events, %d alerts", p, b.Examined, b.Alerts)
		}
		select {
		case <-s.ctx.Done():
			stop, done := context.WithTimeout(context.WithoutCancel(s.ctx), 5*time.Second)
			defer done()
			return errors.Join(s.ctx.Err(), c.Do(stop, http.MethodDelete, root+"/"+b.ID, nil, nil))
		case <-time.After(r.Every):
		}
		if err := c.Do(s.ctx, http.MethodGet, root+"/"+b.ID, nil, &b); err != nil {
			return err
		}
	}
	if shown >= 0 {
		fmt.Fprintln(s.errs)
	}
	if b.Status != "succeeded" {
		return fmt.Errorf("the backtest %s: %s", b.Status, b.Error)
	}
	return r.print(s, &b)
}

func (r *ruleBacktest) body() (map[string]any, error) {
	out := map[string]any{"from": time.Now().Add(-r.Since).UTC().Format(time.RFC3339)}
	switch {
	case r.Indicator != "":
		typ, value, ok := strings.Cut(r.Indicator, "=")
		if !ok {
			return nil, fmt.Errorf("--indicator is TYPE=VALUE")
		}
		out["indicatorType"], out["indicatorValue"] = typ, value
	case r.Query != "":
		text, err := argText(r.Query)
		if err != nil {
			return nil, err
		}
		out["query"], out["period"] = text, "24H"
	case number.MatchString(r.Rule):
		out["customRuleId"] = r.Rule
	case r.Rule == "":
		return nil, fmt.Errorf("a rule, --query or --indicator is needed")
	default:
		text, err := os.ReadFile(r.Rule)
		switch {
		case err == nil:
			out["rule"] = string(text)
		case errors.Is(err, os.ErrNotExist) && !strings.ContainsAny(r.Rule, "/."):
			out["ruleId"] = r.Rule
		default:
			return nil, err
		}
	}
	return out, nil
}

func (r *ruleBacktest) print(s *session, b *client.Backtest) error {
	if s.out.form == "json" {
		return s.out.json(b)
	}
	if s.out.form == "table" {
		fmt.Fprintf(s.out.w, "%d alerts from %s to %s, of %d events looked at.\n", b.Alerts, when(&b.From), when(&b.To), b.Examined)
		for _, list := range []struct {
			name string
			of   []client.Tally
		}{{"device", b.Devices}, {"day", b.Days}} {
			for _, t := range list.of {
				fmt.Fprintf(s.out.w, "  %-8s %-40s %d\n", list.name, oneLine(t.Name), t.Count)
			}
		}
	}
	cells := [][]string{}
	for _, x := range b.Samples {
		cells = append(cells, []string{when(&x.At), x.Name, fmt.Sprint(x.Report), fmt.Sprint(x.Events), x.Title})
	}
	return s.out.rows(b, []string{"TIME", "DEVICE", "REPORTID", "EVENTS", "TITLE"}, cells)
}
