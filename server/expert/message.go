package expert

import (
	"encoding/json"
	"fmt"
	"net/mail"
	"strings"
	"time"

	"github.com/vedette-edr/vedette/server/notify"
)

// summary is what a web hook is told of a case, and what comes first in the bundle.
type summary struct {
	Type     string          `json:"type"` // ExpertCase, ExpertTest
	ID       string          `json:"id,omitempty"`
	Title    string          `json:"title,omitempty"`
	About    *aboutEntity    `json:"about,omitempty"`
	Question string          `json:"question,omitempty"`
	AskedBy  string          `json:"askedBy,omitempty"`
	Contact  string          `json:"contact,omitempty"`
	Asked    *time.Time      `json:"askedTime,omitempty"`
	Receiver string          `json:"receiver"`
	Machines []machineEntity `json:"machines,omitempty"`
	Bundle   *bundleEntity   `json:"bundle,omitempty"`
	URL      string          `json:"url,omitempty"` // of the case in the portal
}

type aboutEntity struct {
	Alert    string `json:"alertId,omitempty"`
	Incident int64  `json:"incidentId,omitempty"`
	Machine  string `json:"machineId,omitempty"`
}

type machineEntity struct {
	ID   string `json:"machineId"`
	Name string `json:"computerDnsName"`
}

type bundleEntity struct {
	Name      string     `json:"fileName"`
	SHA256    string     `json:"sha256"`
	Size      int64      `json:"size"`
	Encrypted bool       `json:"encrypted"`
	URL       string     `json:"url,omitempty"` // when it does not come with the message
	Until     *time.Time `json:"expires,omitempty"`
}

func (s *Service) summarise(c *Case) summary {
	at := c.Created.UTC()
	out := summary{Type: "ExpertCase", ID: string(c.ID), Title: c.Title, Question: c.Question, AskedBy: c.By.Name, Contact: c.Contact, Asked: &at, Receiver: c.Name,
		About: &aboutEntity{string(c.About.Alert), int64(c.About.Incident), string(c.About.Device)}}
	for _, sub := range c.Subjects {
		out.Machines = append(out.Machines, machineEntity{string(sub.Device), sub.Name})
	}
	if s.cfg.URL != "" {
		out.URL = s.cfg.URL + "/actions?open=" + string(c.ID)
	}
	return out
}

// message is what hands a case over. It is the same however often it is made, so that its
// receiver can tell that it has it already.
func (s *Service) message(c *Case, r *Receiver) *notify.Message {
	now := s.cfg.Clock().UTC()
	kind, to := r.kind()
	m := &notify.Message{ID: "case-" + string(c.ID), Tenant: c.Tenant, Channel: channel(c.ID), Lane: notify.Parcels, Kind: kind, To: to, Secret: r.Secret,
		State: notify.Waiting, Created: now, Due: now, Until: earlier(now.Add(handOver), c.Bundle.Until)}
	b := c.Bundle
	link := ""
	if r.Hand == ByLink {
		link = s.link(c, r)
	} else {
		m.File = &notify.Parcel{Name: b.Name, Type: b.media(), SHA256: b.SHA256, Size: b.Size}
	}
	if kind == notify.ByHook {
		v := s.summarise(c)
		v.Bundle = &bundleEntity{Name: b.Name, SHA256: b.SHA256, Size: b.Size, Encrypted: b.Encrypted, URL: link}
		if link != "" {
			v.Bundle.Until = &b.Until
		}
		raw, _ := json.Marshal(v) // of strings, numbers and times: cannot fail
		m.Body = string(raw)
		return m
	}
	if a, err := mail.ParseAddress(c.Contact); err == nil {
		m.ReplyTo = a.Address
	}
	m.Subject, m.Body = c.mail(r, link)
	return m
}

// mail is the subject and text of the mail of a case. Where the bundle is encrypted, what is
// in it is not told beside it.
func (c *Case) mail(r *Receiver, link string) (subject, text string) {
	var t strings.Builder
	subject = "[Vedette] Case " + string(c.ID[:8])
	fmt.Fprintf(&t, "%s asks for your help.\n\nCase:      %s\nAnswer to: %s\nAsked:     %s\n", oneLine(c.By.Name), c.ID, oneLine(c.Contact), c.Created.UTC().Format(time.RFC3339))
	b := c.Bundle
	if !b.Encrypted {
		subject += ": " + cut(oneLine(c.Title), 120)
		fmt.Fprintf(&t, "About:     %s\n\n%s\n", oneLine(c.Title), strings.ReplaceAll(c.Question, "\r", ""))
	}
	fmt.Fprintf(&t, "\nFile:      %s\nSize:      %d bytes\nSHA-256:   %s\n", b.Name, b.Size, b.SHA256)
	if link != "" {
		fmt.Fprintf(&t, "\nFetch it until %s from\n%s\nWhoever has this link can fetch the file: pass it on to nobody.\n", b.Until.UTC().Format(time.RFC3339), link)
	} else {
		fmt.Fprintf(&t, "\nThe file is attached.\n")
	}
	if b.Encrypted {
		fmt.Fprintf(&t, "\nThe file is encrypted to your key: age --decrypt -i KEY -o %s %s\n", strings.TrimSuffix(b.Name, ".age"), b.Name)
	}
	fmt.Fprintf(&t, "\nIt holds evidence of a security incident: handle it as a secret.\n")
	return subject, t.String()
}

// trial is a message that says that it is a test.
func (s *Service) trial(r *Receiver) *notify.Message {
	now := s.cfg.Clock().UTC()
	kind, to := r.kind()
	m := &notify.Message{ID: fmt.Sprintf("case-test-%d-%d", r.ID, now.UnixNano()), Tenant: r.Tenant, Channel: "expert/test", Lane: notify.Parcels, Kind: kind, To: to, Secret: r.Secret,
		Subject: "[Vedette] Test", Body: "Somebody asked for this test of the receiver " + oneLine(r.Name) + ". Nothing happened.\n"}
	if kind == notify.ByHook {
		raw, _ := json.Marshal(summary{Type: "ExpertTest", Receiver: r.Name}) // cannot fail
		m.Body = string(raw)
	}
	return m
}
