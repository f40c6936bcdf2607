package alert

import (
	"slices"
	"strings"
	"time"

	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
)

// SuppressAction is what a suppression rule does with an alert that it matches. Either way
// the alert is kept, resolved, and names the rule.
type SuppressAction string

// The actions of suppression rules.
const (
	// Hide keeps the alert out of incidents and notifications.
	Hide SuppressAction = "Hide"
	// Resolve files it under its incident, where it counts as done.
	Resolve SuppressAction = "Resolve"
)

// Suppression is a rule about alerts that nobody needs to look at. It matches an alert
// that is in its scope and meets all of its conditions.
type Suppression struct {
	ID      ident.SuppressionID
	Tenant  ident.TenantID
	Name    string
	Comment string
	Enabled bool
	Action  SuppressAction
	// Devices and Groups are the scope: an alert on one of them. Both empty is the tenant.
	Devices    []ident.DeviceID
	Groups     []int64
	Conditions []Condition
	CreatedBy  ident.Actor
	Created    time.Time
	UpdatedBy  ident.Actor
	Updated    time.Time
	// Matched counts the alerts that it suppressed, the last of them at LastMatched.
	Matched     int64
	LastMatched time.Time
}

// Condition is met by an alert, or by one piece of its evidence: all conditions on
// evidence must be met by the same piece.
type Condition struct {
	Field string // one of ConditionFields
	Op    string // one of ConditionOps
	// Values are alternatives, compared without regard to case.
	Values []string
}

// ConditionOps are the comparisons of conditions. Matches takes * and ? as wildcards.
var ConditionOps = []string{"equals", "startsWith", "endsWith", "contains", "matches"}

// conditionFields reads each field of a condition: of the alert, or of a piece of evidence.
var conditionFields = map[string]struct {
	alert    func(*Alert) []string
	evidence func(*Evidence) string
}{
	"title":           {alert: func(a *Alert) []string { return []string{a.Title} }},
	"category":        {alert: func(a *Alert) []string { return []string{a.Category} }},
	"severity":        {alert: func(a *Alert) []string { return []string{string(a.Severity)} }},
	"detectionSource": {alert: func(a *Alert) []string { return []string{a.DetectionSource} }},
	"detectorId":      {alert: func(a *Alert) []string { return []string{a.DetectorID} }},
	"rule":            {alert: func(a *Alert) []string { return []string{a.Source.Rule} }},
	"indicator":       {alert: func(a *Alert) []string { return []string{a.Source.Indicator} }},
	"technique":       {alert: func(a *Alert) []string { return a.Techniques }},
	"deviceName":      {alert: func(a *Alert) []string { return []string{a.DeviceName} }},
	"userName":        {alert: func(a *Alert) []string { return []string{a.User.Name} }},

	"entityType":        {evidence: func(e *Evidence) string { return e.Type }},
	"fileName":          {evidence: func(e *Evidence) string { return e.FileName }},
	"filePath":          {evidence: fullPath},
	"sha1":              {evidence: func(e *Evidence) string { return e.SHA1 }},
	"sha256":            {evidence: func(e *Evidence) string { return e.SHA256 }},
	"commandLine":       {evidence: func(e *Evidence) string { return e.CommandLine }},
	"parentProcessName": {evidence: func(e *Evidence) string { return e.ParentName }},
	"ipAddress":         {evidence: func(e *Evidence) string { return e.IP }},
	"url":               {evidence: func(e *Evidence) string { return e.URL }},
	"accountName":       {evidence: func(e *Evidence) string { return e.Account }},
	"accountDomain":     {evidence: func(e *Evidence) string { return e.Domain }},
}

// ConditionFields are the fields that conditions may name, sorted.
func ConditionFields() []string {
	out := make([]string, 0, len(conditionFields))
	for name := range conditionFields {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

// fullPath joins the folder that alerts name with the file's name.
func fullPath(e *Evidence) string {
	switch {
	case e.FilePath == "" || e.FileName == "":
		return e.FilePath
	case strings.HasSuffix(e.FilePath, e.FileName):
		return e.FilePath
	case strings.Contains(e.FilePath, `\`):
		return strings.TrimRight(e.FilePath, `\`) + `\` + e.FileName
	}
	return strings.TrimRight(e.FilePath, "/") + "/" + e.FileName
}

// Bounds of a suppression rule.
const (
	maxConditions    = 32
	maxValues        = 256
	maxScope         = 1000
	maxSuppressName  = 256
	maxConditionText = 2048
)

// Check refuses a rule that is not wholly understood, or that has no condition at all and
// so would silence whatever its scope raises. It brings words into their spelling.
func (r *Suppression) Check() error {
	const op = "alert.Suppression"
	bad := func(format string, args ...any) error {
		return errs.New(op, errs.Invalid, errs.InvalidInput, format, args...)
	}
	if strings.TrimSpace(r.Name) == "" {
		return errs.New(op, errs.Invalid, errs.MissingRequiredParameter, "Required parameter name is missing")
	}
	if err := within("name", r.Name, maxSuppressName); err != nil {
		return err
	}
	if err := within("comment", r.Comment, maxComment); err != nil {
		return err
	}
	action, err := word("action", string(r.Action), []string{string(Hide), string(Resolve)})
	if err != nil {
		return err
	}
	if r.Action = SuppressAction(action); action == "" {
		return bad("action: it is Hide or Resolve")
	}
	if len(r.Devices) > maxScope || len(r.Groups) > maxScope {
		return bad("devices, groups: at most %d of each", maxScope)
	}
	for i, d := range r.Devices {
		id, ok := ident.ParseDeviceID(string(d))
		if !ok {
			return bad("devices[%d]: %q is no device id", i, clip(string(d)))
		}
		r.Devices[i] = id
	}
	if len(r.Conditions) == 0 || len(r.Conditions) > maxConditions {
		return bad("conditions: a rule has between 1 and %d of them", maxConditions)
	}
	for i := range r.Conditions {
		if err := r.Conditions[i].check(i); err != nil {
			return err
		}
	}
	return nil
}

func (c *Condition) check(i int) error {
	bad := func(format string, args ...any) error {
		return errs.New("alert.Suppression", errs.Invalid, errs.InvalidInput, format, args...)
	}
	known := func(s string, words []string) (string, bool) {
		n := slices.IndexFunc(words, func(w string) bool { return strings.EqualFold(w, s) })
		if n < 0 {
			return "", false
		}
		return words[n], true
	}
	field, ok := known(c.Field, ConditionFields())
	if !ok {
		return bad("conditions[%d].field: %q is not one of %s", i, clip(c.Field), strings.Join(ConditionFields(), ", "))
	}
	cmp, ok := known(c.Op, ConditionOps)
	if !ok {
		return bad("conditions[%d].op: %q is not one of %s", i, clip(c.Op), strings.Join(ConditionOps, ", "))
	}
	c.Field, c.Op = field, cmp
	if len(c.Values) == 0 || len(c.Values) > maxValues {
		return bad("conditions[%d].values: between 1 and %d of them", i, maxValues)
	}
	for j, v := range c.Values {
		// An empty text is part of every other one.
		if v == "" {
			return bad("conditions[%d].values[%d]: it is empty", i, j)
		}
		if err := within("conditions.values", v, maxConditionText); err != nil {
			return err
		}
	}
	return nil
}

// Match reports whether the rule is enabled, has the alert in its scope, group being the
// device's group, and all of its conditions are met.
func (r *Suppression) Match(a *Alert, group int64) bool {
	if !r.Enabled || !r.covers(a, group) {
		return false
	}
	var onEvidence []*Condition
	for i := range r.Conditions {
		c := &r.Conditions[i]
		f := conditionFields[c.Field]
		if f.evidence != nil {
			onEvidence = append(onEvidence, c)
		} else if !slices.ContainsFunc(f.alert(a), c.holds) {
			return false
		}
	}
	if len(onEvidence) == 0 {
		return true
	}
	for i := range a.Evidence {
		e := &a.Evidence[i]
		if !slices.ContainsFunc(onEvidence, func(c *Condition) bool { return !c.holds(conditionFields[c.Field].evidence(e)) }) {
			return true
		}
	}
	return false
}

func (r *Suppression) covers(a *Alert, group int64) bool {
	return len(r.Devices) == 0 && len(r.Groups) == 0 || slices.Contains(r.Devices, a.Device) || slices.Contains(r.Groups, group)
}

// holds reports whether one of the values relates to s.
func (c *Condition) holds(s string) bool {
	s = strings.ToLower(s)
	return slices.ContainsFunc(c.Values, func(v string) bool {
		v = strings.ToLower(v)
		switch c.Op {
		case "equals":
			return s == v
		case "startsWith":
			return strings.HasPrefix(s, v)
		case "endsWith":
			return strings.HasSuffix(s, v)
		case "contains":
			return strings.Contains(s, v)
		}
		return wildcard(v, s)
	})
}

// wildcard reports whether s is of the form of pattern, in which * stands for any text and
// ? for any one character. It takes time proportional to both lengths at worst.
func wildcard(pattern, s string) bool {
	p, t := []rune(pattern), []rune(s)
	i, j, star, mark := 0, 0, -1, 0
	for j < len(t) {
		switch {
		case i < len(p) && p[i] == '*':
			star, mark = i, j
			i++
		case i < len(p) && (p[i] == '?' || p[i] == t[j]):
			i++
			j++
		case star >= 0:
			mark++
			i, j = star+1, mark
		default:
			return false
		}
	}
	for i < len(p) && p[i] == '*' {
		i++
	}
	return i == len(p)
}
