package incident

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/vedette-edr/vedette/server/alert"
	"github.com/vedette-edr/vedette/server/ident"
)

// Bounds of the lists of an Account.
const (
	maxTitles = 50
	maxUsers  = 100
	maxWords  = 50 // categories, sources, techniques
)

// add takes an alert into the account and brings name and severity up to date.
func (i *Incident) add(a *alert.Alert) {
	i.Alerts++
	if a.Open() {
		i.Unresolved++
	}
	i.note(a)
	i.derive()
}

// note takes in what an alert tells, which may have been noted before.
func (i *Incident) note(a *alert.Alert) {
	first, last := span(a)
	if i.FirstEvent.IsZero() || first.Before(i.FirstEvent) {
		i.FirstEvent = first
	}
	if last.After(i.LastEvent) {
		i.LastEvent = last
	}
	i.Titles = include(i.Titles, a.Title, maxTitles)
	i.Categories = include(i.Categories, a.Category, maxWords)
	i.Sources = include(i.Sources, a.DetectionSource, maxWords)
	for _, t := range a.Techniques {
		i.Techniques = include(i.Techniques, t, maxWords)
	}
	i.Users = include(i.Users, userName(a.User), maxUsers)
	if a.Device != "" && len(i.Devices) < maxDevices && !slices.ContainsFunc(i.Devices, func(d Device) bool { return d.ID == a.Device }) {
		i.Devices = append(slices.Clip(i.Devices), Device{ID: a.Device, Name: a.DeviceName})
	}
	if !i.Rated && a.Severity.Rank() >= i.Severity.Rank() {
		i.Severity = a.Severity
	}
}

func userName(u alert.User) string {
	if u.Domain == "" || u.Name == "" {
		return u.Name
	}
	return u.Domain + `\` + u.Name
}

func include(list []string, word string, most int) []string {
	if word == "" || len(list) >= most || slices.Contains(list, word) {
		return list
	}
	return append(slices.Clip(list), word)
}

// derive names the incident after its alerts, unless somebody named it.
func (i *Incident) derive() {
	if !i.Named {
		i.Name = i.describe()
	}
}

// describe says what happened and where: the alert's title while there is one title, the
// tactics of the attack when there are several.
func (i *Incident) describe() string {
	where := ""
	switch n := len(i.Devices); {
	case n == 1 && i.Devices[0].Name != "":
		where = " on " + i.Devices[0].Name
	case n == 1:
		where = " on one device"
	case n > 1:
		where = fmt.Sprintf(" on %d devices", n)
	}
	var tactics []string
	for _, c := range i.Categories {
		if c != "General" && c != "SuspiciousActivity" {
			tactics = append(tactics, spelled(c))
		}
	}
	switch {
	case len(i.Titles) == 1:
		return cut(i.Titles[0], maxName-len(where)) + where
	case len(tactics) > 2:
		further := "1 further tactic"
		if n := len(tactics) - 2; n > 1 {
			further = fmt.Sprintf("%d further tactics", n)
		}
		return cut("Multi-stage incident: "+strings.Join(tactics[:2], ", ")+" and "+further+where, maxName)
	case len(tactics) == 2:
		return cut("Multi-stage incident: "+strings.Join(tactics, " and ")+where, maxName)
	case len(tactics) == 1:
		return cut(tactics[0]+" incident"+where, maxName)
	case len(i.Titles) > 1:
		return cut(i.Titles[0], maxName-len(where)-16) + " and others" + where
	}
	return "Incident" + where
}

// spelled is a category as people write it: Defense evasion.
func spelled(category string) string {
	var b strings.Builder
	for n, r := range category {
		if n > 0 && unicode.IsUpper(r) {
			b.WriteByte(' ')
			r = unicode.ToLower(r)
		}
		b.WriteRune(r)
	}
	return b.String()
}

// recount makes the account anew from all alerts of the incident.
func (i *Incident) recount(alerts []*alert.Alert) {
	i.Account = Account{}
	if !i.Rated {
		i.Severity = alert.Informational
	}
	for _, a := range alerts {
		i.Alerts++
		if a.Open() {
			i.Unresolved++
		}
		i.note(a)
	}
	i.derive()
}

// settle makes the status follow the alerts: resolved when none is open, active again when
// one is. It keeps what it finds when the incident has no alerts.
func (i *Incident) settle(now time.Time) {
	switch {
	case i.Status == Redirected || i.Alerts == 0:
	case i.Unresolved == 0 && i.Status != Resolved:
		i.Status, i.Resolved = Resolved, now
	case i.Unresolved > 0 && i.Status == Resolved:
		i.Status, i.Resolved = Active, time.Time{}
	}
}

// cut shortens a text to n bytes at most, on a border between characters.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	n = max(n-len("…"), 0)
	for n > 0 && s[n]&0xc0 == 0x80 {
		n--
	}
	return s[:n] + "…"
}

// idsOf lists the ids of alerts.
func idsOf(alerts []*alert.Alert) []ident.AlertID {
	out := make([]ident.AlertID, len(alerts))
	for n, a := range alerts {
		out[n] = a.ID
	}
	return out
}
