package main

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/vedette-edr/vedette/client"
)

type notificationCommand struct {
	List     notificationList     `cmd:"" help:"List notification rules."`
	Create   notificationCreate   `cmd:"" help:"Create a rule: who is told, of what, and how."`
	Enable   notificationEnable   `cmd:"" help:"Put a rule in force."`
	Disable  notificationDisable  `cmd:"" help:"Take a rule out of force."`
	Delete   notificationDelete   `cmd:"" help:"Delete a rule."`
	Test     notificationTest     `cmd:"" help:"Send a test message at once, and say why it was not taken."`
	Messages notificationMessages `cmd:"" help:"What was sent, waits, or was given up, and why."`
}

const notifications = "/api/vedette/notifications"

type notificationList struct{}

func (*notificationList) Run(s *session) error {
	return list(s, notifications, client.List{}, []string{"ID", "NAME", "ENABLED", "SUBJECT", "SEVERITY", "MAIL", "WEB HOOK", "DIGEST"}, func(x client.NotificationRule) []string {
		digest := ""
		if x.Digest > 0 {
			digest = (time.Duration(x.Digest) * time.Minute).String()
		}
		return []string{fmt.Sprint(x.ID), x.Name, fmt.Sprint(x.Enabled), x.Subject, x.Severity, strings.Join(x.Mail, ", "), x.URL, digest}
	})
}

type notificationCreate struct {
	Name     string        `arg:"" help:"Name of the rule."`
	Subject  string        `help:"Alert, Incident or Approval: told of each new one, or of each action that waits for approval." default:"Incident"`
	Severity string        `help:"The least severity." default:"Medium"`
	Group    []int64       `help:"Device group; may be given several times."`
	Source   []string      `help:"Detection source, such as CustomerTI; may be given several times."`
	Category []string      `help:"Category; may be given several times."`
	Mail     []string      `help:"Mail address; may be given several times."`
	URL      string        `help:"Address of a web hook, https."`
	Secret   string        `help:"Signs what the web hook gets." env:"VEDETTE_WEBHOOK_SECRET"`
	Digest   time.Duration `help:"Gather what happens within so long into one message."`
	PerHour  int           `help:"Messages an hour at most; what exceeds it is gathered." default:"60"`
}

func (x *notificationCreate) Run(s *session) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	body := map[string]any{"name": x.Name, "subject": x.Subject, "severity": x.Severity, "rbacGroupIds": x.Group, "detectionSources": x.Source,
		"categories": x.Category, "mail": x.Mail, "webhookUrl": x.URL, "digestMinutes": int64(x.Digest / time.Minute), "perHour": x.PerHour}
	if x.Secret != "" {
		body["secret"] = x.Secret
	}
	var out client.NotificationRule
	if err := c.Do(s.ctx, http.MethodPost, notifications, body, &out); err != nil {
		return err
	}
	return s.out.one(out, [][2]string{{"Id", fmt.Sprint(out.ID)}, {"Name", out.Name}, {"Subject", out.Subject}, {"Severity", out.Severity},
		{"Mail", strings.Join(out.Mail, ", ")}, {"Web hook", out.URL}, {"Signed", fmt.Sprint(out.Signed)}})
}

type notificationEnable struct {
	ID int64 `arg:"" help:"Rule id."`
}

func (x *notificationEnable) Run(s *session) error { return enable(s, notifications, x.ID, true) }

type notificationDisable struct {
	ID int64 `arg:"" help:"Rule id."`
}

func (x *notificationDisable) Run(s *session) error { return enable(s, notifications, x.ID, false) }

type notificationDelete struct {
	ID int64 `arg:"" help:"Rule id."`
}

func (x *notificationDelete) Run(s *session) error { return drop(s, notifications, fmt.Sprint(x.ID)) }

type notificationTest struct {
	ID int64 `arg:"" help:"Rule id."`
}

func (x *notificationTest) Run(s *session) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	if err := c.Do(s.ctx, http.MethodPost, fmt.Sprintf("%s/%d/test", notifications, x.ID), map[string]any{}, nil); err != nil {
		return err
	}
	return s.out.one(map[string]bool{"taken": true}, [][2]string{{"Test", "taken by every receiver"}})
}

type notificationMessages struct {
	ID int64 `arg:"" optional:"" help:"Rule id; without it those of all rules and subscriptions."`
}

func (x *notificationMessages) Run(s *session) error {
	path := notifications + "/messages"
	if x.ID != 0 {
		path = fmt.Sprintf("%s/%d/messages", notifications, x.ID)
	}
	return list(s, path, client.List{}, []string{"CREATED", "CHANNEL", "KIND", "STATE", "TRIES", "TO", "WHY"}, func(m client.Message) []string {
		return []string{when(m.Created), m.Channel, m.Kind, m.State, fmt.Sprint(m.Attempts), strings.Join(m.To, ", "), m.LastError}
	})
}

type subscriptionCommand struct {
	List   subscriptionList   `cmd:"" help:"List subscriptions."`
	Create subscriptionCreate `cmd:"" help:"Subscribe a web hook to new alerts."`
	Delete subscriptionDelete `cmd:"" help:"End a subscription."`
}

type subscriptionList struct{}

func (*subscriptionList) Run(s *session) error {
	return list(s, "/subscriptions", client.List{}, []string{"ID", "URL", "RESOURCE", "EXPIRES"}, func(x client.Subscription) []string {
		return []string{x.ID, x.URL, x.Resource, when(x.Expires)}
	})
}

type subscriptionCreate struct {
	URL         string        `arg:"" help:"Address of the web hook, https."`
	For         time.Duration `help:"How long it lasts." default:"8760h"`
	ClientState string        `help:"A text of your own that the subscription keeps."`
	Secret      string        `help:"Signs what the web hook gets." env:"VEDETTE_WEBHOOK_SECRET"`
}

func (x *subscriptionCreate) Run(s *session) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	var out client.Subscription
	if err := c.Do(s.ctx, http.MethodPost, "/subscriptions", map[string]any{"notificationUrl": x.URL, "resource": "alerts", "changeType": "created",
		"clientState": x.ClientState, "secret": x.Secret, "expirationDateTime": time.Now().Add(x.For).UTC().Format(time.RFC3339)}, &out); err != nil {
		return err
	}
	return s.out.one(out, [][2]string{{"Id", out.ID}, {"Web hook", out.URL}, {"Expires", when(out.Expires)}})
}

type subscriptionDelete struct {
	ID string `arg:"" help:"Subscription id."`
}

func (x *subscriptionDelete) Run(s *session) error {
	return drop(s, "/subscriptions", url.PathEscape(x.ID))
}
