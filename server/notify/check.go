package notify

import (
	"net/mail"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/vedette-edr/vedette/server/alert"
	"github.com/vedette-edr/vedette/server/errs"
)

// Bounds of rules and subscriptions.
const (
	maxRules         = 200
	maxSubscriptions = 200
	maxName          = 256
	maxMail          = 50
	maxWords         = 100
	maxURL           = 2048
	maxSecret        = 256
	maxState         = 1024
	minDigest        = time.Minute
	maxDigest        = 7 * 24 * time.Hour
	defaultPerHour   = 60
	maxPerHour       = 3600
)

func bad(format string, args ...any) error {
	return errs.New("notify", errs.Invalid, errs.InvalidInput, format, args...)
}

// Check refuses a rule that is not wholly understood and fills in what was left out.
func (r *Rule) Check() error {
	if strings.TrimSpace(r.Name) == "" || utf8.RuneCountInString(r.Name) > maxName || !utf8.ValidString(r.Name) {
		return bad("name: it has between 1 and %d characters", maxName)
	}
	switch {
	case r.Subject == "" || strings.EqualFold(string(r.Subject), string(OfAlerts)):
		r.Subject = OfAlerts
	case strings.EqualFold(string(r.Subject), string(OfIncidents)):
		r.Subject = OfIncidents
	case strings.EqualFold(string(r.Subject), string(OfApprovals)):
		r.Subject = OfApprovals
	default:
		return bad("subject: it is Alert, Incident or Approval")
	}
	if r.Severity == "" {
		r.Severity = alert.Informational
	}
	i := slices.IndexFunc([]alert.Severity{alert.Informational, alert.Low, alert.Medium, alert.High},
		func(s alert.Severity) bool { return strings.EqualFold(string(s), string(r.Severity)) })
	if i < 0 {
		return bad("severity: it is Informational, Low, Medium or High")
	}
	r.Severity = []alert.Severity{alert.Informational, alert.Low, alert.Medium, alert.High}[i]
	if len(r.Groups) > maxWords || len(r.Sources) > maxWords || len(r.Categories) > maxWords {
		return bad("groups, sources, categories: at most %d of each", maxWords)
	}
	if len(r.Mail) == 0 && r.URL == "" {
		return bad("give mail addresses, a web hook's url, or both")
	}
	if len(r.Mail) > maxMail {
		return bad("mail: at most %d addresses", maxMail)
	}
	for i, m := range r.Mail {
		a, err := mail.ParseAddress(m)
		if err != nil || strings.ContainsAny(a.Address, "\r\n") {
			return bad("mail[%d]: %q is no mail address", i, clip(m))
		}
		r.Mail[i] = a.Address
	}
	if r.URL != "" {
		if err := CheckURL("url", r.URL); err != nil {
			return err
		}
	}
	if r.Digest != 0 && (r.Digest < minDigest || r.Digest > maxDigest) {
		return bad("digestMinutes: 0, or between 1 and %d", int(maxDigest/time.Minute))
	}
	if r.PerHour == 0 {
		r.PerHour = defaultPerHour
	}
	if r.PerHour < 1 || r.PerHour > maxPerHour {
		return bad("perHour: between 1 and %d", maxPerHour)
	}
	return nil
}

// CheckURL refuses the address of a web hook that can never be called. Where it leads is
// looked at when it is called.
func CheckURL(place, s string) error {
	u, err := url.Parse(s)
	switch {
	case err != nil || len(s) > maxURL || u.Host == "" || u.Hostname() == "":
		return errs.New("notify", errs.Invalid, errs.InvalidURL, "%s: %q is no address of a web hook", place, clip(s))
	case u.Scheme != "https":
		return errs.New("notify", errs.Invalid, errs.InvalidURL, "%s: a web hook is called over https alone", place)
	case u.User != nil || u.Fragment != "":
		return errs.New("notify", errs.Invalid, errs.InvalidURL, "%s: the address of a web hook has no user's name and no fragment", place)
	}
	return nil
}

func clip(s string) string {
	if len(s) > 64 {
		s = strings.ToValidUTF8(s[:64], "") + "…"
	}
	return s
}

// matches reports whether the rule is about the news, group being its device's group.
func (r *Rule) matches(n *News, group int64) bool {
	in := func(list []string, s string) bool {
		return len(list) == 0 || slices.ContainsFunc(list, func(w string) bool { return strings.EqualFold(w, s) })
	}
	return r.Enabled && r.Subject == n.Subject && n.Severity.Rank() >= r.Severity.Rank() &&
		(len(r.Groups) == 0 || slices.Contains(r.Groups, group)) && in(r.Sources, n.Source) && in(r.Categories, n.Category)
}
