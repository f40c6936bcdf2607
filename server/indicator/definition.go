package indicator

import (
	"time"
	"unicode/utf8"

	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/filter"
	"github.com/vedette-edr/vedette/server/ident"
)

// Stamps says who made a thing and who changed it last. The Service sets them.
type Stamps struct {
	Created       time.Time
	CreatedBy     string    // ident.Actor.ID: what the scope of Ti.ReadWrite compares
	CreatedByName string    // ident.Actor.Name, for people
	Modified      time.Time // zero until it was changed
	ModifiedBy    string    // name, or id when there is no name; "" until it was changed
}

// Definition is an alert definition: the texts of the alert that a match of any of its
// IOCs raises.
type Definition struct {
	ID                  ident.DefinitionID
	Name                string // ≤ 100 characters; internal
	Severity            Severity
	InternalDescription string // ≤ 350
	Title               string // ≤ 120: the alert's title
	Description         string // ≤ 500: the alert's description; UxDescription in the API
	RecommendedAction   string // ≤ 2000; "" when null
	Category            string
	Enabled             bool
	Stamps
}

// Validate checks d and brings its enums to their canonical spelling. Its errors are
// errs.Invalid and name the property as the API spells it.
func (d *Definition) Validate() error {
	if d.Name == "" {
		return invalid(errs.MissingRequiredParameter, "Name is missing")
	}
	var err error
	if d.Severity, err = oneOf("Severity", d.Severity, severities); err != nil {
		return err
	}
	if d.Category, err = oneOf("Category", d.Category, categories); err != nil {
		return err
	}
	for _, t := range []struct {
		place, text string
		most        int
	}{
		{"Name", d.Name, 100},
		{"InternalDescription", d.InternalDescription, 350},
		{"Title", d.Title, 120},
		{"UxDescription", d.Description, 500},
		{"RecommendedAction", d.RecommendedAction, 2000},
	} {
		if err := within(t.place, t.text, t.most); err != nil {
			return err
		}
	}
	return nil
}

// within checks a text's length in characters.
func within(place, text string, most int) error {
	if !utf8.ValidString(text) {
		return invalid(errs.InvalidInput, "%s is not valid UTF-8", place)
	}
	if n := utf8.RuneCountInString(text); n > most {
		return invalid(errs.InvalidInput, "%s has %d characters, at most %d", place, n, most)
	}
	return nil
}

// DefinitionFields is what definitions may be filtered and ordered by. Field names are
// the API's; "createdById" is Stamps.CreatedBy and "createdBy" the name for people.
var DefinitionFields = filter.Schema{
	{Name: "id", Type: filter.Int},
	{Name: "name", Type: filter.String},
	{Name: "severity", Type: filter.String},
	{Name: "internalDescription", Type: filter.String},
	{Name: "title", Type: filter.String},
	{Name: "uxDescription", Type: filter.String},
	{Name: "recommendedAction", Type: filter.String},
	{Name: "category", Type: filter.String},
	{Name: "enabled", Type: filter.Bool},
	{Name: "createdAt", Type: filter.Time},
	{Name: "createdBy", Type: filter.String},
	{Name: "createdById", Type: filter.String},
	{Name: "lastModifiedAt", Type: filter.Time},
	{Name: "lastModifiedBy", Type: filter.String},
}
