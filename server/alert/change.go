package alert

import (
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
)

// Bounds of what people write into alerts, in characters, and of how often.
const (
	maxComment  = 4000
	maxComments = 1000
	maxAssignee = 256
)

// Change is what somebody sets on an alert; what is nil stays as it is. Words are taken
// in any case and in the spellings that the published API shows, and kept in its own.
type Change struct {
	Status         *string
	AssignedTo     *string // "" for nobody
	Classification *string // "" or Unknown takes it back, with the determination
	Determination  *string // one that goes with the classification; "" or NotAvailable takes it back
	Comment        string  // added; "" for none
}

// The published classifications.
const (
	TruePositive  = "TruePositive"
	Expected      = "InformationalExpectedActivity"
	FalsePositive = "FalsePositive"
)

// determinations lists, for each classification, what goes with it.
var determinations = map[string][]string{
	TruePositive:  {"MultiStagedAttack", "MaliciousUserActivity", "CompromisedUser", "Malware", "Phishing", "UnwantedSoftware", "Other"},
	Expected:      {"SecurityTesting", "LineOfBusinessApplication", "ConfirmedUserActivity", "Other"},
	FalsePositive: {"NotMalicious", "InsufficientData", "Other"},
}

// spellings are words that mean another one.
var spellings = map[string]string{
	"informational, expected activity": Expected,
	"informational":                    Expected,
	"clean":                            "NotMalicious",
	"multi-staged attack":              "MultiStagedAttack",
	"compromised account":              "CompromisedUser",
	"compromiseduser":                  "CompromisedUser",
	"compromisedaccount":               "CompromisedUser",       // Graph's word
	"confirmedactivity":                "ConfirmedUserActivity", // Graph's word
	"notenoughdatatovalidate":          "InsufficientData",      // Graph's word
	"apt":                              "MultiStagedAttack",     // withdrawn in 2022; clients still send it
	"securitypersonnel":                "MaliciousUserActivity", // likewise
	"unknown":                          "",
	"notavailable":                     "",
	"not set":                          "",
}

func (c *Change) empty() bool {
	return c.Status == nil && c.AssignedTo == nil && c.Classification == nil && c.Determination == nil && c.Comment == ""
}

// word returns the one of the words that s means, "" for one that takes the value back.
func word(place, s string, words []string) (string, error) {
	if s == "" {
		return "", nil
	}
	if w, ok := spellings[strings.ToLower(strings.TrimSpace(s))]; ok && (w == "" || slices.Contains(words, w)) {
		return w, nil
	}
	for _, w := range words {
		if strings.EqualFold(w, strings.TrimSpace(s)) {
			return w, nil
		}
	}
	return "", errs.New("alert.Change", errs.Invalid, errs.InvalidInput, "%s: %q is not one of %s", place, clip(s), strings.Join(words, ", "))
}

func clip(s string) string {
	if len(s) > 64 {
		s = strings.ToValidUTF8(s[:64], "") + "…"
	}
	return s
}

func within(place, s string, most int) error {
	if !utf8.ValidString(s) || utf8.RuneCountInString(s) > most {
		return errs.New("alert.Change", errs.Invalid, errs.InvalidInput, "%s is longer than %d characters or not UTF-8", place, most)
	}
	return nil
}

// apply changes a; an error leaves it in an undefined state.
func (c *Change) apply(a *Alert, by ident.Actor, now time.Time) error {
	if err := c.applyStatus(a, now); err != nil {
		return err
	}
	v := Verdict{Classification: a.Classification, Determination: a.Determination}
	if err := v.Set(c.Classification, c.Determination); err != nil {
		return err
	}
	a.Classification, a.Determination = v.Classification, v.Determination
	if c.AssignedTo != nil {
		if err := within("assignedTo", *c.AssignedTo, maxAssignee); err != nil {
			return err
		}
		a.AssignedTo = *c.AssignedTo
	}
	if c.Comment != "" {
		if err := within("comment", c.Comment, maxComment); err != nil {
			return err
		}
		if len(a.Comments) >= maxComments {
			return errs.New("alert.Change", errs.Exhausted, errs.QuotaExceeded, "an alert has at most %d comments", maxComments)
		}
		a.Comments = append(a.Comments, Comment{Text: c.Comment, By: by.Name, Created: now})
	}
	a.Updated = now
	return nil
}

func (c *Change) applyStatus(a *Alert, now time.Time) error {
	if c.Status == nil {
		return nil
	}
	s, err := word("status", *c.Status, []string{string(New), string(InProgress), string(Resolved)})
	if err != nil {
		return err
	}
	switch Status(s) {
	case "":
		return errs.New("alert.Change", errs.Invalid, errs.InvalidInput, "status: an alert is New, InProgress or Resolved")
	case Resolved:
		if a.Status != Resolved {
			a.Resolved = now
		}
	default:
		a.Resolved = time.Time{}
	}
	a.Status = Status(s)
	return nil
}

// Verdict is what somebody made of an alert or incident; the pair is always one of the
// published ones.
type Verdict struct{ Classification, Determination string }

// Set changes what is not nil, as Change does.
func (v *Verdict) Set(classification, determination *string) error {
	if classification != nil {
		w, err := word("classification", *classification, []string{TruePositive, Expected, FalsePositive})
		if err != nil {
			return err
		}
		v.Classification = w
		if !slices.Contains(determinations[w], v.Determination) {
			v.Determination = ""
		}
	}
	if determination == nil {
		return nil
	}
	allowed, ok := determinations[v.Classification]
	if !ok {
		if w, err := word("determination", *determination, nil); err == nil && w == "" {
			v.Determination = ""
			return nil
		}
		return errs.New("alert.Change", errs.Invalid, errs.InvalidInput, "determination: it needs a classification that it goes with")
	}
	w, err := word("determination", *determination, allowed)
	if err != nil {
		return err
	}
	v.Determination = w
	return nil
}

// summary says for the audit record what c sets, without the text of comments.
func (c *Change) summary() string {
	var parts []string
	for _, f := range []struct {
		name  string
		value *string
	}{{"status", c.Status}, {"assignedTo", c.AssignedTo}, {"classification", c.Classification}, {"determination", c.Determination}} {
		if f.value != nil {
			parts = append(parts, f.name+"="+clip(*f.value))
		}
	}
	if c.Comment != "" {
		parts = append(parts, "comment added")
	}
	return strings.Join(parts, ", ")
}
