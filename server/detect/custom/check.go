package custom

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/vedette-edr/vedette/detection"
	"github.com/vedette-edr/vedette/kql"
	"github.com/vedette-edr/vedette/kql/plan"
	"github.com/vedette-edr/vedette/kql/types"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/hunt"
)

// identities are the columns one of which says whom a result is about, as published.
var identities = []string{
	"DeviceId", "DeviceName", "RemoteDeviceName", "RecipientEmailAddress", "SenderFromAddress", "SenderMailFromAddress",
	"RecipientObjectId", "AccountObjectId", "AccountSid", "AccountUpn", "InitiatingProcessAccountSid",
	"InitiatingProcessAccountUpn", "InitiatingProcessAccountObjectId",
}

var severities = []string{"Informational", "Low", "Medium", "High"}

// fileTargets are the columns that name a file for responses.
var fileTargets = []string{"SHA1", "SHA256", "InitiatingProcessSHA1", "InitiatingProcessSHA256"}

// Bounds of a rule's parts.
const (
	maxName      = 256
	maxText      = 4000
	maxQuery     = 100_000
	maxResponses = 20
	maxDetails   = 20
)

func bad(format string, args ...any) error {
	return errs.New("custom.Rule", errs.Invalid, errs.InvalidInput, format, args...)
}

// check brings the words of r into their spelling and refuses what is wrong with it. at
// is what now() means in its query.
func (r *Rule) check(a *detection.Attack, at time.Time) error {
	for _, t := range []struct {
		place, text string
		most        int
		required    bool
	}{
		{"displayName", r.Name, maxName, true}, {"queryCondition.queryText", r.Query, maxQuery, true},
		{"detectionAction.alertTemplate.title", r.Alert.Title, maxName, true},
		{"detectionAction.alertTemplate.description", r.Alert.Description, maxText, false},
		{"detectionAction.alertTemplate.recommendedActions", r.Alert.Recommended, maxText, false},
		{"detectionAction.alertTemplate.category", r.Alert.Category, 100, true},
		{"detectionAction.organizationalScope", r.Scope, maxText, false},
	} {
		switch {
		case t.required && strings.TrimSpace(t.text) == "":
			return errs.New("custom.Rule", errs.Invalid, errs.MissingRequiredParameter, "%s is missing", t.place)
		case !utf8.ValidString(t.text) || utf8.RuneCountInString(t.text) > t.most:
			return bad("%s is longer than %d characters or not UTF-8", t.place, t.most)
		}
	}
	if r.Period != Continuous && r.Period.Interval() == 0 {
		return bad("schedule.period %q is none of 0, 1H, 3H, 12H and 24H", r.Period)
	}
	i := slices.IndexFunc(severities, func(s string) bool { return strings.EqualFold(s, r.Alert.Severity) })
	if i < 0 {
		return bad("detectionAction.alertTemplate.severity %q is none of %s", r.Alert.Severity, strings.ToLower(strings.Join(severities, ", ")))
	}
	r.Alert.Severity = severities[i]
	for _, id := range r.Alert.Techniques {
		if t, ok := a.Technique(id); !ok {
			return bad("detectionAction.alertTemplate.mitreTechniques: %q is no ATT&CK technique", id)
		} else if t.ReplacedBy != "" {
			return bad("detectionAction.alertTemplate.mitreTechniques: %s was replaced by %s", id, t.ReplacedBy)
		}
	}
	cols, err := r.compile(at)
	if err != nil {
		return err
	}
	return r.checkColumns(cols)
}

// compile compiles the query in the way that it will run, and returns the columns of its
// result.
func (r *Rule) compile(at time.Time) (map[string]types.Type, error) {
	var list []plan.Column
	if r.Period == Continuous {
		q, err := kql.CompileStream(r.Query, hunt.Catalog(), kql.Options{Now: types.FromTime(at)})
		if err != nil {
			return nil, badQuery(err)
		}
		list = q.Columns
	} else {
		q, err := kql.Compile(r.Query, hunt.Catalog(), kql.Options{Now: types.FromTime(at)})
		if err != nil {
			return nil, badQuery(err)
		}
		list = q.Columns
	}
	cols := map[string]types.Type{}
	for _, c := range list {
		cols[c.Name] = c.Type
	}
	return cols, nil
}

func badQuery(err error) error {
	return errs.New("custom.Rule", errs.Invalid, errs.BadRequest, "queryCondition.queryText: %s", err)
}

func (r *Rule) checkColumns(cols map[string]types.Type) error {
	for _, c := range []struct {
		name string
		typ  types.Type
	}{{"Timestamp", types.Datetime}, {"ReportId", types.Long}} {
		if cols[c.name] != c.typ {
			return bad("queryCondition.queryText: the result has no column %s of type %s: a rule returns Timestamp, ReportId and whom it is about", c.name, c.typ)
		}
	}
	if !slices.ContainsFunc(identities, func(n string) bool { _, ok := cols[n]; return ok }) {
		return bad("queryCondition.queryText: the result says nobody whom it is about: it needs one of the columns %s", strings.Join(identities, ", "))
	}
	has := func(place, name string) error {
		if _, ok := cols[name]; !ok {
			return bad("%s: the query's result has no column %q", place, name)
		}
		return nil
	}
	for _, text := range []string{r.Alert.Title, r.Alert.Description} {
		for _, name := range detection.Placeholders(text) {
			if err := has("detectionAction.alertTemplate", name); err != nil {
				return err
			}
		}
	}
	if len(r.Alert.Details) > maxDetails {
		return bad("detectionAction.alertTemplate.customDetails has %d entries, at most %d are kept", len(r.Alert.Details), maxDetails)
	}
	for name, column := range r.Alert.Details {
		if err := has("detectionAction.alertTemplate.customDetails."+name, column); err != nil {
			return err
		}
	}
	for i := range r.Alert.Impacted {
		as := &r.Alert.Impacted[i]
		as.Column = columnCase(cols, as.Column)
		if err := has(fmt.Sprintf("detectionAction.alertTemplate.impactedAssets[%d]", i), as.Column); err != nil {
			return err
		}
	}
	if len(r.Responses) > maxResponses {
		return bad("detectionAction.responseActions has %d entries, at most %d are allowed", len(r.Responses), maxResponses)
	}
	for i := range r.Responses {
		re := &r.Responses[i]
		place := fmt.Sprintf("detectionAction.responseActions[%d]", i)
		re.Target = columnCase(cols, re.Target)
		if err := has(place+".identifier", re.Target); err != nil {
			return err
		}
		switch re.Kind {
		case AllowFile, BlockFile, Quarantine:
			if !slices.Contains(fileTargets, re.Target) {
				return bad("%s.identifier %q names no file: it is one of %s", place, re.Target, strings.Join(fileTargets, ", "))
			}
		case Compromised, DisableUser, ResetUser:
		default:
			if re.Target != "DeviceId" {
				return bad("%s.identifier %q names no device: it is deviceId", place, re.Target)
			}
		}
	}
	return nil
}

// columnCase finds a column in any case: the API names columns as deviceId.
func columnCase(cols map[string]types.Type, name string) string {
	if _, ok := cols[name]; ok {
		return name
	}
	for c := range cols {
		if strings.EqualFold(c, name) {
			return c
		}
	}
	return name
}
