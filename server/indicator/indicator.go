package indicator

import (
	"slices"
	"time"

	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/filter"
	"github.com/vedette-edr/vedette/server/ident"
)

// Indicator is an indicator of the current API: a value, what devices do about it, and
// the alert it raises. A tenant has at most one per value.
type Indicator struct {
	ID              ident.IndicatorID
	Value           string // canonical
	Type            Type
	Action          Action
	Application     string // set at creation only
	Title           string
	Description     string
	Severity        Severity
	Recommended     string    // recommended actions
	Expires         time.Time // zero for never
	GenerateAlert   bool
	EducateURL      string
	Groups          []string // device groups it applies to; empty for all
	GroupIDs        []string
	Techniques      []string // ATT&CK ids
	ExternalID      string
	CreatedBySource string // PublicApi or Portal
	Historical      bool   // historicalDetection: also looked for in past telemetry, once
	Stamps
}

// Validate checks i and brings enums and value to their canonical form. A missing
// Severity is Informational; Action Audit makes GenerateAlert necessary.
func (i *Indicator) Validate() error {
	var err error
	if i.Type, err = oneOf("indicatorType", i.Type, indicatorTypes); err != nil {
		return err
	}
	if i.Action, err = oneOf("action", i.Action, actions); err != nil {
		return err
	}
	if i.Severity == "" {
		i.Severity = Informational
	}
	if i.Severity, err = oneOf("severity", i.Severity, severities); err != nil {
		return err
	}
	if i.Value, err = canonicalValue(i.Type.Kind(), i.Value); err != nil {
		return err
	}
	if i.Action == BlockAndRemediate && !i.file() {
		return invalid(errs.InvalidInput, "action BlockAndRemediate applies to files only, not to %s", i.Type)
	}
	if i.Action == Audit && !i.GenerateAlert {
		return invalid(errs.InvalidInput, "generateAlert must be true when action is Audit")
	}
	if i.Title == "" {
		return invalid(errs.MissingRequiredParameter, "title is missing")
	}
	if i.Description == "" {
		return invalid(errs.MissingRequiredParameter, "description is missing")
	}
	if err := i.lengths(); err != nil {
		return err
	}
	i.Expires = seconds(i.Expires)
	return nil
}

func (i *Indicator) file() bool {
	switch i.Type.Kind() {
	case KindSHA1, KindSHA256, KindMD5:
		return true
	}
	return false
}

func (i *Indicator) lengths() error {
	const items = 100
	for _, t := range []struct {
		place, text string
		most        int
	}{
		{"title", i.Title, 1000},
		{"description", i.Description, 4000},
		{"recommendedActions", i.Recommended, 4000},
		{"application", i.Application, 1000},
		{"educateUrl", i.EducateURL, 2048},
		{"externalId", i.ExternalID, 500},
	} {
		if err := within(t.place, t.text, t.most); err != nil {
			return err
		}
	}
	for place, list := range map[string][]string{"rbacGroupNames": i.Groups, "rbacGroupIds": i.GroupIDs, "mitreTechniques": i.Techniques} {
		if len(list) > items {
			return invalid(errs.InvalidInput, "%s has %d entries, at most %d", place, len(list), items)
		}
		for _, s := range list {
			if err := within(place, s, 256); err != nil {
				return err
			}
		}
	}
	return nil
}

// Alerts reports whether a sighting of i raises an alert: it asks for one, or its legacy
// action does. An allowed value never does.
func (i *Indicator) Alerts() bool {
	if i.Action == Allowed {
		return false
	}
	return i.GenerateAlert || i.Action == Alert || i.Action == AlertAndBlock
}

// enforceable reports whether devices can act on i.
func (i *Indicator) enforceable() bool {
	return i.Action.Enforcing() && i.Type.Kind() != KindCertificate
}

// clone returns a copy that shares nothing with i.
func (i *Indicator) clone() *Indicator {
	c := *i
	c.Groups, c.GroupIDs, c.Techniques = slices.Clone(i.Groups), slices.Clone(i.GroupIDs), slices.Clone(i.Techniques)
	return &c
}

// Fields is what indicators of the current API may be filtered and ordered by. createdBy
// is Stamps.CreatedBy, createdByDisplayName is Stamps.CreatedByName.
var Fields = filter.Schema{
	{Name: "id", Type: filter.Int},
	{Name: "indicatorValue", Type: filter.String},
	{Name: "indicatorType", Type: filter.String},
	{Name: "action", Type: filter.String},
	{Name: "application", Type: filter.String},
	{Name: "title", Type: filter.String},
	{Name: "severity", Type: filter.String},
	{Name: "expirationTime", Type: filter.Time},
	{Name: "generateAlert", Type: filter.Bool},
	{Name: "rbacGroupNames", Type: filter.List},
	{Name: "rbacGroupIds", Type: filter.List},
	{Name: "createdBy", Type: filter.String},
	{Name: "createdByDisplayName", Type: filter.String},
	{Name: "creationTimeDateTimeUtc", Type: filter.Time},
	{Name: "lastUpdateTime", Type: filter.Time},
	{Name: "externalId", Type: filter.String},
}
