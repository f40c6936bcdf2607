package incident

import (
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/vedette-edr/vedette/server/alert"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/history"
	"github.com/vedette-edr/vedette/server/ident"
)

// Bounds of what people write into incidents.
const (
	maxName     = 256 // bytes
	maxSummary  = 20_000
	maxComment  = 4000
	maxComments = 1000
	maxAssignee = 256
	maxTags     = 50
	maxTag      = 128
)

// Change is what somebody sets on an incident; what is nil stays as it is. Words are taken
// in any case. Status Resolved resolves its alerts too, and gives those that have none its
// classification; an assignment is handed down in the same way.
type Change struct {
	Name           *string // "" lets it follow from the alerts again
	Summary        *string
	Severity       *string // "" lets it follow from the alerts again
	Status         *string // Active, InProgress or Resolved
	AssignedTo     *string // "" for nobody
	Classification *string // as alert.Change
	Determination  *string
	Tags           *[]string
	Comment        string // added; "" for none
}

func (c *Change) empty() bool {
	return c.Name == nil && c.Summary == nil && c.Severity == nil && c.Status == nil && c.AssignedTo == nil && c.Classification == nil &&
		c.Determination == nil && c.Tags == nil && c.Comment == ""
}

func bad(format string, args ...any) error {
	return errs.New("incident.Change", errs.Invalid, errs.InvalidInput, format, args...)
}

func within(place, s string, most int) error {
	if !utf8.ValidString(s) || utf8.RuneCountInString(s) > most {
		return bad("%s is longer than %d characters or not UTF-8", place, most)
	}
	return nil
}

// apply changes i; an error leaves it in an undefined state.
func (c *Change) apply(i *Incident, by ident.Actor, now time.Time) error {
	if i.Status == Redirected {
		return errs.New("incident.Change", errs.Conflict, errs.BadRequest, "incident %d was merged into incident %d: change that one", i.ID, i.Redirect)
	}
	for _, step := range []func(*Incident, time.Time) error{c.texts, c.rate, c.progress} {
		if err := step(i, now); err != nil {
			return err
		}
	}
	v := alert.Verdict{Classification: i.Classification, Determination: i.Determination}
	if err := v.Set(c.Classification, c.Determination); err != nil {
		return err
	}
	i.Classification, i.Determination = v.Classification, v.Determination
	if c.Comment != "" {
		if err := within("comment", c.Comment, maxComment); err != nil {
			return err
		}
		if len(i.Comments) >= maxComments {
			return errs.New("incident.Change", errs.Exhausted, errs.QuotaExceeded, "an incident has at most %d comments", maxComments)
		}
		i.Comments = append(slices.Clip(i.Comments), alert.Comment{Text: c.Comment, By: by.Name, Created: now})
	}
	i.Updated = now
	return nil
}

func (c *Change) texts(i *Incident, _ time.Time) error {
	if c.Name != nil {
		if len(*c.Name) > maxName || !utf8.ValidString(*c.Name) {
			return bad("incidentName is longer than %d bytes or not UTF-8", maxName)
		}
		i.Named = strings.TrimSpace(*c.Name) != ""
		i.Name = *c.Name
		i.derive()
	}
	if c.Summary != nil {
		if err := within("summary", *c.Summary, maxSummary); err != nil {
			return err
		}
		i.Summary = *c.Summary
	}
	if c.AssignedTo != nil {
		if err := within("assignedTo", *c.AssignedTo, maxAssignee); err != nil {
			return err
		}
		i.AssignedTo = *c.AssignedTo
	}
	if c.Tags != nil {
		return c.tag(i)
	}
	return nil
}

func (c *Change) tag(i *Incident) error {
	var tags []string
	for n, t := range *c.Tags {
		t = strings.TrimSpace(t)
		if t == "" || utf8.RuneCountInString(t) > maxTag || !utf8.ValidString(t) {
			return bad("tags[%d]: a tag has between 1 and %d characters", n, maxTag)
		}
		if !slices.Contains(tags, t) {
			tags = append(tags, t)
		}
	}
	if len(tags) > maxTags {
		return bad("tags: an incident has at most %d", maxTags)
	}
	i.Tags = tags
	return nil
}

func (c *Change) rate(i *Incident, _ time.Time) error {
	if c.Severity == nil {
		return nil
	}
	if *c.Severity == "" {
		i.Rated = false
		return nil
	}
	for _, s := range []alert.Severity{alert.Informational, alert.Low, alert.Medium, alert.High} {
		if strings.EqualFold(*c.Severity, string(s)) {
			i.Severity, i.Rated = s, true
			return nil
		}
	}
	return bad("severity: %q is not one of Informational, Low, Medium, High", cut(*c.Severity, 64))
}

func (c *Change) progress(i *Incident, now time.Time) error {
	if c.Status == nil {
		return nil
	}
	for _, s := range []Status{Active, InProgress, Resolved} {
		if !strings.EqualFold(*c.Status, string(s)) {
			continue
		}
		if s == Resolved && i.Status != Resolved {
			i.Resolved = now
		}
		if s != Resolved {
			i.Resolved = time.Time{}
		}
		i.Status = s
		return nil
	}
	return bad("status: %q is not one of Active, InProgress, Resolved", cut(*c.Status, 64))
}

// changes are the entries of the history for what differs between was and is.
func changes(by ident.Actor, now time.Time, was, is *Incident) []history.Entry {
	d := history.Diff{At: now, By: by}
	d.Field("incidentName", was.Name, is.Name)
	d.Field("summary", was.Summary, is.Summary)
	d.Field("severity", string(was.Severity), string(is.Severity))
	d.Field("status", string(was.Status), string(is.Status))
	d.Field("assignedTo", was.AssignedTo, is.AssignedTo)
	d.Field("classification", was.Classification, is.Classification)
	d.Field("determination", was.Determination, is.Determination)
	d.Field("tags", strings.Join(was.Tags, ", "), strings.Join(is.Tags, ", "))
	if was.Redirect != is.Redirect {
		d.Field("redirectIncidentId", "", is.Redirect.String())
	}
	for _, c := range is.Comments[min(len(was.Comments), len(is.Comments)):] {
		d.Field("comment", "", c.Text)
	}
	return d.Entries
}
