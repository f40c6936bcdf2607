package notify

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// compose makes the messages that tell a rule's receivers of some news: one mail, one call
// of its web hook, or both.
func (s *Service) compose(r *Rule, id string, news []News, now time.Time) []*Message {
	base := Message{Tenant: r.Tenant, Channel: channelOf(r.ID), State: Waiting, Created: now, Due: now}
	var out []*Message
	if len(r.Mail) > 0 {
		m := base
		m.ID, m.Kind, m.To = id+"-m", ByMail, r.Mail
		m.Subject, m.Body = s.mail(r, news)
		out = append(out, &m)
	}
	if r.URL != "" {
		m := base
		m.ID, m.Kind, m.To, m.Secret = id+"-w", ByHook, []string{r.URL}, r.Secret
		m.Body = s.payload(r, news)
		out = append(out, &m)
	}
	return out
}

// payload is what a rule's web hook gets.
func (s *Service) payload(r *Rule, news []News) string {
	type item struct {
		Type        string    `json:"type"`
		AlertID     string    `json:"alertId,omitempty"`
		IncidentID  int64     `json:"incidentId,omitempty"`
		ActionID    string    `json:"actionId,omitempty"`
		Title       string    `json:"title"`
		Severity    string    `json:"severity"`
		Category    string    `json:"category"`
		Source      string    `json:"detectionSource"`
		MachineID   string    `json:"machineId"`
		Machine     string    `json:"computerDnsName"`
		Created     time.Time `json:"createdTime"`
		Description string    `json:"description"`
		URL         string    `json:"url,omitempty"`
	}
	body := struct {
		Rule  string `json:"rule"`
		Items []item `json:"items"`
	}{Rule: r.Name}
	for _, n := range news {
		body.Items = append(body.Items, item{string(n.Subject), string(n.Alert), int64(n.Incident), string(n.Action), n.Title, string(n.Severity), n.Category, n.Source,
			string(n.Device), n.DeviceName, n.At, cutText(n.Text, maxShown), s.link(&n)})
	}
	raw, _ := json.Marshal(body) // of strings, numbers and times: cannot fail
	return string(raw)
}

// Bounds of what a message shows.
const (
	maxShown = 2000
	maxLine  = 120
)

func (s *Service) link(n *News) string {
	switch {
	case s.url == "":
		return ""
	case n.Subject == OfApprovals:
		return s.url + "/actions?open=" + string(n.Action)
	case n.Subject == OfIncidents:
		return fmt.Sprintf("%s/incidents/%d", s.url, n.Incident)
	}
	return s.url + "/alerts/" + string(n.Alert)
}

// mail is the subject and text of a rule's mail.
func (s *Service) mail(r *Rule, news []News) (subject, text string) {
	var b strings.Builder
	if len(news) == 1 {
		n := &news[0]
		subject = fmt.Sprintf("[%s] %s", n.Severity, cutText(oneLine(n.Title), maxLine))
		fmt.Fprintf(&b, "%s\n\n", oneLine(n.Title))
	} else {
		subject = fmt.Sprintf("%d notifications of %s", len(news), cutText(oneLine(r.Name), maxLine))
	}
	for i := range news {
		n := &news[i]
		if len(news) > 1 {
			fmt.Fprintf(&b, "%d. %s\n", i+1, oneLine(n.Title))
		}
		fmt.Fprintf(&b, "Severity:  %s\nCategory:  %s\nDevice:    %s\nTime:      %s\n", n.Severity, oneLine(n.Category), oneLine(n.DeviceName), n.At.UTC().Format(time.RFC3339))
		if n.Incident != 0 {
			fmt.Fprintf(&b, "Incident:  %d\n", n.Incident)
		}
		if n.Alert != "" {
			fmt.Fprintf(&b, "Alert:     %s\n", n.Alert)
		}
		if n.Action != "" {
			fmt.Fprintf(&b, "Action:    %s\n", n.Action)
		}
		if url := s.link(n); url != "" {
			fmt.Fprintf(&b, "Link:      %s\n", url)
		}
		if len(news) == 1 && n.Text != "" {
			fmt.Fprintf(&b, "\n%s\n", cutText(n.Text, maxShown))
		}
		b.WriteString("\n")
	}
	fmt.Fprintf(&b, "You get this because of the notification rule %q.\n", r.Name)
	return subject, b.String()
}

// oneLine takes line breaks and control characters out of a text that a device chose.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r >= 0x7f && r < 0xa0 || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, s)
}

func cutText(s string, n int) string {
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	return string(r[:n]) + "…"
}
