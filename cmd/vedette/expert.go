package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/vedette-edr/vedette/client"
)

type expertCommand struct {
	Ask      expertAsk             `cmd:"" help:"Hand a case with a question to an expert outside."`
	List     expertList            `cmd:"" help:"List questions, with what became of them."`
	Show     expertShow            `cmd:"" help:"Show a question with what was handed over, and what the receiver said."`
	Revoke   expertRevoke          `cmd:"" help:"End the link to a case's bundle at once."`
	Receiver expertReceiverCommand `cmd:"" help:"Whom cases can be handed to."`
}

type expertAsk struct {
	Question string        `arg:"" help:"What you want to know; - reads it from the standard input."`
	Alert    string        `help:"About this alert." xor:"about" required:""`
	Incident int64         `help:"About this incident." xor:"about" required:""`
	Device   string        `help:"About this device: its id or name." xor:"about" required:""`
	To       string        `help:"Id or name of the receiver; may be left out where there is one." placeholder:"RECEIVER"`
	Contact  string        `help:"How the expert answers: a mail address, a telephone number."`
	Package  string        `help:"Investigation package: None, Latest (the last that was collected), Collect (one is collected and waited for)." enum:"None,Latest,Collect,none,latest,collect," default:""`
	Patience time.Duration `help:"How long a package that is collected is waited for; two hours without it."`
	From     time.Time     `help:"Beginning of the timelines, as 2026-11-21T10:00:00Z."`
	Until    time.Time     `help:"End of the timelines."`
	Wait     bool          `help:"Wait until the receiver has taken the case."`
	Timeout  time.Duration `help:"How long to wait at most." default:"1h"`
}

func (x *expertAsk) Run(s *session) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	q := client.ExpertQuestion{AlertID: x.Alert, IncidentID: x.Incident, Question: x.Question, Contact: x.Contact, Package: x.Package, Wait: int64(x.Patience / time.Minute)}
	if x.Question == "-" {
		b, err := io.ReadAll(io.LimitReader(os.Stdin, 64<<10))
		if err != nil {
			return err
		}
		q.Question = string(b)
	}
	if x.Device != "" {
		m, err := c.Machine(s.ctx, x.Device)
		if err != nil {
			return err
		}
		q.MachineID = m.ID
	}
	if !x.From.IsZero() {
		q.From = &x.From
	}
	if !x.Until.IsZero() {
		q.To = &x.Until
	}
	if q.Receiver, err = receiverOf(s, c, x.To); err != nil {
		return err
	}
	k, err := c.AskExpert(s.ctx, q)
	if err != nil {
		return err
	}
	shown := ""
	for deadline := time.Now().Add(x.Timeout); x.Wait && k.IsOpen && time.Now().Before(deadline); {
		if s.out.form == "table" && k.Detail != shown {
			fmt.Fprintf(s.errs, "%s  %s: %s\n", time.Now().Format("15:04:05"), k.State, oneLine(k.Detail))
			shown = k.Detail
		}
		select {
		case <-s.ctx.Done():
			return s.ctx.Err()
		case <-time.After(500 * time.Millisecond):
		}
		if k, err = c.ExpertCase(s.ctx, k.ID); err != nil {
			return err
		}
	}
	if err := printCase(s, k); err != nil {
		return err
	}
	if x.Wait && k.Status != "Succeeded" {
		return fmt.Errorf("the case is %s: %s", k.State, oneLine(k.Detail))
	}
	return nil
}

// receiverOf finds a receiver by its id or name.
func receiverOf(s *session, c *client.Client, word string) (int64, error) {
	if n, err := strconv.ParseInt(word, 10, 64); err == nil {
		return n, nil
	}
	all, err := c.ExpertReceivers(s.ctx)
	if err != nil {
		return 0, err
	}
	var names []string
	for _, r := range all {
		if strings.EqualFold(r.Name, word) || word == "" && len(all) == 1 {
			return r.ID, nil
		}
		names = append(names, oneLine(r.Name))
	}
	switch {
	case len(all) == 0:
		return 0, errors.New("there is nobody to ask yet: an administrator adds receivers with `vedette expert receiver create`")
	case word == "":
		return 0, fmt.Errorf("--to: choose one of %s", strings.Join(names, ", "))
	}
	return 0, fmt.Errorf("--to: there is no receiver %q, only %s", word, strings.Join(names, ", "))
}

type expertList struct{ listFlags }

func (x *expertList) Run(s *session) error {
	return list(s, "/api/vedette/expert/cases", x.list(), []string{"CREATED", "ID", "STATUS", "RECEIVER", "ABOUT", "ASKED BY", "DETAIL"}, func(k client.ExpertCase) []string {
		return []string{when(k.Created), k.ID, k.Status, k.Receiver, k.Title, k.AskedBy, k.Detail}
	})
}

type expertShow struct {
	ID string `arg:"" help:"Case id."`
}

func (x *expertShow) Run(s *session) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	k, err := c.ExpertCase(s.ctx, x.ID)
	if err != nil {
		return err
	}
	return printCase(s, k)
}

type expertRevoke struct {
	ID string `arg:"" help:"Case id."`
}

func (x *expertRevoke) Run(s *session) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	k, err := c.RevokeExpertLink(s.ctx, x.ID)
	if err != nil {
		return err
	}
	return printCase(s, k)
}

func printCase(s *session, k *client.ExpertCase) error {
	fields := [][2]string{{"Id", k.ID}, {"About", k.Title}, {"Question", k.Question}, {"Asked by", k.AskedBy}, {"Contact", k.Contact}, {"Receiver", k.Receiver},
		{"Status", k.Status + " (" + k.State + ")"}, {"Detail", oneLine(k.Detail)}, {"Created", when(k.Created)}, {"Taken", when(k.Taken)}, {"Answer", oneLine(k.Answer)}}
	if k.LastError != "" {
		fields = append(fields, [2]string{"Not taken", fmt.Sprintf("%d attempts: %s", k.Attempts, oneLine(k.LastError))})
	}
	for _, m := range k.Machines {
		fields = append(fields, [2]string{"Device", m.Name + " (" + m.ID + ")"})
	}
	if b := k.Bundle; b != nil {
		sealed := "not encrypted"
		if b.Encrypted {
			sealed = "encrypted"
		}
		fields = append(fields, [2]string{"Bundle", fmt.Sprintf("%s, %d bytes, %d files, %s", b.Name, b.Size, len(b.Files), sealed)}, [2]string{"SHA-256", b.SHA256})
		for _, l := range b.Lacks {
			fields = append(fields, [2]string{"Lacks", oneLine(l.What + ": " + l.Why)})
		}
		switch {
		case k.Revoked != nil:
			fields = append(fields, [2]string{"Link", "revoked by " + k.RevokedBy + " at " + when(k.Revoked)})
		case b.Until != nil:
			fields = append(fields, [2]string{"Link", "until " + when(b.Until)})
		}
		if b.Until != nil {
			fields = append(fields, [2]string{"Fetched", fmt.Sprint(k.Fetched)})
		}
		for _, f := range k.Fetches {
			fields = append(fields, [2]string{"Fetch", when(f.Time) + " from " + f.From})
		}
	}
	return s.out.one(k, fields)
}

type expertReceiverCommand struct {
	List    receiverList    `cmd:"" help:"List receivers."`
	Create  receiverCreate  `cmd:"" help:"Add a receiver: by mail or by web hook."`
	Update  receiverUpdate  `cmd:"" help:"Change a receiver; what is not given stays."`
	Enable  receiverEnable  `cmd:"" help:"Let cases be handed to a receiver again."`
	Disable receiverDisable `cmd:"" help:"Keep cases from a receiver."`
	Delete  receiverDelete  `cmd:"" help:"Delete a receiver."`
	Test    receiverTest    `cmd:"" help:"Send a test message at once, and say what was answered or why it was not taken."`
}

const receivers = "/api/vedette/expert/receivers"

type receiverList struct{}

func (*receiverList) Run(s *session) error {
	return list(s, receivers, client.List{}, []string{"ID", "NAME", "ENABLED", "TO", "HANDOVER", "KEYS", "SIGNED", "MAX BYTES"}, func(r client.ExpertReceiver) []string {
		return []string{fmt.Sprint(r.ID), r.Name, fmt.Sprint(r.Enabled), reach(r), r.Handover, fmt.Sprint(len(r.Keys)), fmt.Sprint(r.Signed), fmt.Sprint(r.MaxBytes)}
	})
}

// reach is where a receiver gets its cases.
func reach(r client.ExpertReceiver) string {
	if r.URL != "" {
		return r.URL
	}
	return strings.Join(r.Mail, ", ")
}

type receiverFlags struct {
	About    *string  `help:"Who they are, and what they are asked for."`
	Mail     []string `help:"Mail address; may be given several times. Or --url."`
	URL      *string  `help:"Address of a web hook, https. Or --mail."`
	Secret   *string  `help:"Signs what the web hook gets." env:"VEDETTE_WEBHOOK_SECRET"`
	Handover *string  `help:"Link (a message with a link that ends) or Attachment (the bundle itself)."`
	Key      []string `help:"Public key of age (age1…) or ssh to encrypt bundles to; may be given several times."`
	Plain    *bool    `help:"Attachments of mail may go without encryption." negatable:""`
	MaxBytes *int64   `help:"Largest bundle, in bytes."`
	Hours    *int64   `help:"Hours that a link is good for."`
	Base     *string  `help:"https://HOST at which the receiver reaches this server, where it is another than its own."`
	Group    []int64  `help:"Device group whose cases may go there; may be given several times."`
}

func (f *receiverFlags) body() map[string]any {
	b := map[string]any{}
	for name, v := range map[string]*string{"about": f.About, "webhookUrl": f.URL, "secret": f.Secret, "handover": f.Handover, "linkBase": f.Base} {
		if v != nil {
			b[name] = *v
		}
	}
	for name, v := range map[string]*int64{"maxBytes": f.MaxBytes, "linkHours": f.Hours} {
		if v != nil {
			b[name] = *v
		}
	}
	if f.Plain != nil {
		b["allowPlain"] = *f.Plain
	}
	for name, v := range map[string][]string{"mail": f.Mail, "keys": f.Key} {
		if v != nil {
			b[name] = v
		}
	}
	if f.Group != nil {
		b["rbacGroupIds"] = f.Group
	}
	return b
}

func showReceiver(r client.ExpertReceiver) [][2]string {
	return [][2]string{{"Id", fmt.Sprint(r.ID)}, {"Name", r.Name}, {"About", r.About}, {"Enabled", fmt.Sprint(r.Enabled)}, {"To", reach(r)}, {"Handover", r.Handover},
		{"Keys", strings.Join(r.Keys, ", ")}, {"Signed", fmt.Sprint(r.Signed)}, {"Max bytes", fmt.Sprint(r.MaxBytes)}, {"Link hours", fmt.Sprint(r.Hours)}}
}

type receiverCreate struct {
	Name string `arg:"" help:"Name of the receiver."`
	receiverFlags
}

func (x *receiverCreate) Run(s *session) error {
	b := x.body()
	b["name"] = x.Name
	return send(s, http.MethodPost, receivers, b, showReceiver)
}

type receiverUpdate struct {
	ID   int64   `arg:"" help:"Receiver id."`
	Name *string `help:"Another name."`
	receiverFlags
}

func (x *receiverUpdate) Run(s *session) error {
	b := x.body()
	if x.Name != nil {
		b["name"] = *x.Name
	}
	return send(s, http.MethodPatch, fmt.Sprintf("%s/%d", receivers, x.ID), b, showReceiver)
}

type receiverEnable struct {
	ID int64 `arg:"" help:"Receiver id."`
}

func (x *receiverEnable) Run(s *session) error { return enable(s, receivers, x.ID, true) }

type receiverDisable struct {
	ID int64 `arg:"" help:"Receiver id."`
}

func (x *receiverDisable) Run(s *session) error { return enable(s, receivers, x.ID, false) }

type receiverDelete struct {
	ID int64 `arg:"" help:"Receiver id."`
}

func (x *receiverDelete) Run(s *session) error { return drop(s, receivers, fmt.Sprint(x.ID)) }

type receiverTest struct {
	ID int64 `arg:"" help:"Receiver id."`
}

func (x *receiverTest) Run(s *session) error {
	return send(s, http.MethodPost, fmt.Sprintf("%s/%d/test", receivers, x.ID), map[string]any{}, func(a struct {
		Answer string `json:"answer"`
	}) [][2]string {
		return [][2]string{{"Test", "taken"}, {"Answer", oneLine(a.Answer)}}
	})
}
