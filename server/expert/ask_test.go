package expert_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/vedette-edr/vedette/schema/event"
	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/action"
	"github.com/vedette-edr/vedette/server/device"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/expert"
	"github.com/vedette-edr/vedette/server/filter"
	"github.com/vedette-edr/vedette/server/ident"
)

// bundle returns the files that a case's bundle holds.
func (f *fixture) bundle(c *expert.Case) map[string]string {
	f.t.Helper()
	in, err := f.blobs.Open(c.Bundle.SHA256)
	if err != nil {
		f.t.Fatal(err)
	}
	defer in.Close()
	b, err := io.ReadAll(in)
	if err != nil {
		f.t.Fatal(err)
	}
	return unpack(f.t, b)
}

// agent plays the agent of a device: it takes what there is to do, and brings a package.
func (f *fixture) agent(n int, content string) {
	f.t.Helper()
	d := &device.Device{ID: dev(n), Tenant: tenant, Name: fmt.Sprintf("host%d", n), Incarnation: 1}
	w, err := f.dispatch.Pending(f.t.Context(), d, nil)
	if err != nil {
		f.t.Fatal(err)
	}
	for _, c := range w.Commands {
		if c.Kind != "collectinvestigationpackage" {
			f.t.Errorf("the device was told of %s", c.Kind)
			continue
		}
		if err := f.dispatch.Keep(f.t.Context(), d, c.ID, 0, "p.zip", strings.NewReader(content)); err != nil {
			f.t.Fatal(err)
		}
		if err := f.dispatch.Result(f.t.Context(), d, action.Result{ID: c.ID, State: "verified"}); err != nil {
			f.t.Fatal(err)
		}
	}
}

// TestACaseSurvivesRestarts ends the server after each step of a case: it goes on, the
// receiver gets one case under one key, and the record tells of it once.
func TestACaseSurvivesRestarts(t *testing.T) {
	f := setup(t)
	f.device(1, "web.example", 0)
	f.alert(1, 1, "Odd")
	to := f.receiver(expert.Receiver{URL: f.hook.URL, Secret: "s", Hand: expert.ByAttached})
	c := f.ask(person("ada"), expert.Question{About: expert.About{Alert: alertID(1)}, Text: "Well?", Receiver: to, Package: expert.Collect})
	f.restart()
	f.run()
	_, a := f.want(c.ID, action.Delivered)
	if a.Progress == nil || !strings.Contains(a.Progress.Detail, "waits until 2026-11-21T14:00:00Z for the investigation package of web.example") {
		t.Errorf("while it waits it says %+v", a.Progress)
	}
	f.restart()
	f.agent(1, "what the device knows")
	f.restart()
	f.hook.say(503, "")
	if err := f.experts.Work(t.Context()); err != nil { // makes the bundle
		t.Fatal(err)
	}
	f.want(c.ID, action.Applied)
	f.restart()
	if err := f.sender.SendParcels(t.Context()); err != nil { // is refused
		t.Fatal(err)
	}
	f.restart()
	f.hook.say(200, "")
	f.now = f.now.Add(time.Minute)
	if err := f.sender.SendParcels(t.Context()); err != nil { // is taken
		t.Fatal(err)
	}
	f.restart()
	f.run()
	c, _ = f.want(c.ID, action.Verified)
	calls := f.hook.got()
	if len(calls) != 2 || calls[0].head.Get("Idempotency-Key") != calls[1].head.Get("Idempotency-Key") {
		t.Errorf("%d calls", len(calls))
	}
	files := f.bundle(c)
	if got := files["machines/web.example-00000000/package.zip"]; got != "what the device knows" {
		t.Errorf("the package is %q", got)
	}
	if got := lacks(t, files); got != "" {
		t.Errorf("the bundle lacks %q", got)
	}
	f.recorded("expert.receiver.create", "action.request", "action.request", "expert.ask", "action.result", "action.result", "action.result")
}

// TestAPackageThatDoesNotComeIsMissed goes on without a package when its time is over, and
// says so; one that is too large is left out as well.
func TestAPackageThatDoesNotComeIsMissed(t *testing.T) {
	f := setup(t)
	f.device(1, "web.example", 0)
	f.alert(1, 1, "Odd")
	to := f.receiver(expert.Receiver{URL: f.hook.URL, Hand: expert.ByAttached, MaxBytes: 1 << 20})
	q := expert.Question{About: expert.About{Alert: alertID(1)}, Text: "Well?", Receiver: to, Package: expert.Collect, Patience: 10 * time.Minute}
	c := f.ask(person("ada"), q)
	f.run()
	f.want(c.ID, action.Delivered)
	f.now = f.now.Add(10 * time.Minute)
	f.run()
	c, _ = f.want(c.ID, action.Verified)
	if got := lacks(t, f.bundle(c)); got != "the investigation package of web.example: it did not come by 2026-11-21T12:10:00Z: its collection is approved" {
		t.Errorf("the bundle lacks %q", got)
	}
	// A second question waits for the same collection, and does not ask for another.
	c = f.ask(person("ada"), q)
	f.agent(1, strings.Repeat("x", 1<<20))
	f.run()
	c, _ = f.want(c.ID, action.Verified)
	if got := lacks(t, f.bundle(c)); got != "the investigation package of web.example: with its 1048576 bytes the bundle would be larger than the 1048576 that the receiver takes" {
		t.Errorf("the bundle lacks %q", got)
	}
	// The last one there is, which is the same.
	q.Package = ""
	to = f.receiver(expert.Receiver{URL: f.hook.URL, Hand: expert.ByAttached})
	q.Receiver = to
	c = f.ask(person("ada"), q)
	f.run()
	c, _ = f.want(c.ID, action.Verified)
	if got := f.bundle(c)["machines/web.example-00000000/package.zip"]; len(got) != 1<<20 {
		t.Errorf("the last package has %d bytes", len(got))
	}
	// Somebody who may not have packages gets none, and may not ask for one.
	weak := person("eve")
	weak.Rights = []access.Right{access.ViewOperations}
	c = f.ask(weak, q)
	if c.Package != expert.NoPackage {
		t.Errorf("who may not have packages gets %s", c.Package)
	}
	q.Package = expert.Latest
	if _, _, err := f.experts.Ask(access.WithPrincipal(t.Context(), weak), weak, q); !errs.Is(err, errs.Denied) {
		t.Errorf("who may not have packages asks for one: %v", err)
	}
}

// TestATimelineShrinksToFit has more events than fit.
func TestATimelineShrinksToFit(t *testing.T) {
	f := setup(t)
	f.device(1, "web.example", 0)
	f.alert(1, 1, "Odd")
	var events []*event.Event
	for i := range 6000 {
		// Text that does not compress.
		events = append(events, &event.Event{Table: event.DeviceEvents, Action: "Noise", Time: noon.Add(-9 * time.Minute).Add(time.Duration(i) * time.Millisecond),
			Initiating: &event.Process{PID: 10, Start: noon.Add(-time.Hour), CommandLine: fmt.Sprintf("%x %x", i*7919*104729, i*15485863*i), Image: event.File{Name: "bash", Size: -1}}})
	}
	f.rows.Add(tenant, event.Origin{DeviceID: string(dev(1)), DeviceName: "web.example", ReportID: 1000}, events...)
	to := f.receiver(expert.Receiver{URL: f.hook.URL, Hand: expert.ByAttached, MaxBytes: 64 << 10})
	c := f.ask(person("ada"), expert.Question{About: expert.About{Alert: alertID(1)}, Text: "Well?", Receiver: to})
	f.run()
	c, _ = f.want(c.ID, action.Verified)
	files := f.bundle(c)
	if n := strings.Count(files["machines/web.example-00000000/timeline.jsonl"], "\n"); n != 500 || c.Bundle.Size > 64<<10 {
		t.Errorf("%d events in %d bytes", n, c.Bundle.Size)
	}
	if got := lacks(t, files); !strings.Contains(got, "the timeline of web.example: only the 500 events nearest to 2026-11-21T11:50:00Z are told") {
		t.Errorf("the bundle lacks %q", got)
	}
}

// TestACaseHoldsWhatItsAskerSees asks about an incident of two device groups as somebody of
// one of them, and about things of the other.
func TestACaseHoldsWhatItsAskerSees(t *testing.T) {
	f := setup(t)
	f.device(1, "ours.example", 1)
	f.device(2, "theirs.example", 2)
	a1 := f.alert(1, 1, "Ours")
	f.alert(2, 2, "Theirs")
	got, err := f.alerts.Get(t.Context(), tenant, a1.ID)
	if err != nil {
		t.Fatal(err)
	}
	inc := got.Incident
	if _, err := f.incidents.Move(t.Context(), person("root"), []ident.AlertID{alertID(2)}, inc); err != nil {
		t.Fatal(err)
	}
	to := f.receiver(expert.Receiver{URL: f.hook.URL, Hand: expert.ByAttached})
	ada := person("ada", 1)
	c := f.ask(ada, expert.Question{About: expert.About{Incident: inc}, Text: "Well?", Receiver: to})
	whole := f.ask(person("root"), expert.Question{About: expert.About{Incident: inc}, Text: "All of it?", Receiver: to})
	f.run()
	c, _ = f.want(c.ID, action.Verified)
	files := f.bundle(c)
	all := strings.Join(append(keys(files), values(files)...), "\n")
	if files["machines/ours.example-00000000/machine.json"] == "" || strings.Contains(all, "heirs") || strings.Contains(all, string(dev(2))) || strings.Contains(all, string(alertID(2))) {
		t.Errorf("the bundle of who sees one group has %v", keys(files))
	}
	whole, _ = f.want(whole.ID, action.Verified)
	if files := f.bundle(whole); files["machines/theirs.example-00000000/machine.json"] == "" || files["machines/ours.example-00000000/machine.json"] == "" {
		t.Errorf("the bundle of who sees all has %v", keys(files))
	}
	ctx := access.WithPrincipal(t.Context(), ada)
	if _, err := f.experts.Case(ctx, tenant, c.ID); err != nil {
		t.Errorf("her own case: %v", err)
	}
	if _, err := f.experts.Case(ctx, tenant, whole.ID); !errs.Is(err, errs.NotFound) {
		t.Errorf("a case with a machine that she does not see: %v", err)
	}
	if p, err := f.experts.Cases(ctx, tenant, filter.Query{}); err != nil || len(p.Items) != 1 {
		t.Errorf("she sees %d cases, %v", len(p.Items), err)
	}
	if _, err := f.experts.Revoke(ctx, ada, whole.ID); !errs.Is(err, errs.NotFound) {
		t.Errorf("revoking it: %v", err)
	}
	if _, err := f.experts.Case(t.Context(), "bbbbbbbb-0000-4000-8000-000000000002", c.ID); !errs.Is(err, errs.NotFound) {
		t.Errorf("from another tenant: %v", err)
	}
	for what, about := range map[string]expert.About{"alert": {Alert: alertID(2)}, "machine": {Device: dev(2)}, "incident": {Incident: 77}} {
		if _, _, err := f.experts.Ask(ctx, ada, expert.Question{About: about, Text: "?", Receiver: to}); !errs.Is(err, errs.NotFound) {
			t.Errorf("asking about the %s of another group: %v", what, err)
		}
	}
	// A receiver of one group gets nothing of the other.
	theirs := f.receiver(expert.Receiver{URL: f.hook.URL, Groups: []int64{2}})
	if _, _, err := f.experts.Ask(ctx, ada, expert.Question{About: expert.About{Alert: alertID(1)}, Text: "?", Receiver: theirs}); !errs.Is(err, errs.Denied) {
		t.Errorf("a receiver of another group: %v", err)
	}
}

// TestSomebodyHasToAgree lets a case wait for approval: it is not made before, and ends when
// it is refused.
func TestSomebodyHasToAgree(t *testing.T) {
	f := setup(t)
	f.device(1, "web.example", 0)
	f.alert(1, 1, "Odd")
	to := f.receiver(expert.Receiver{URL: f.hook.URL, Hand: expert.ByAttached})
	if _, err := f.actions.CreatePolicy(t.Context(), person("root"), action.Policy{Name: "outside", Enabled: true, Kinds: []action.Kind{action.AskExpert}}); err != nil {
		t.Fatal(err)
	}
	q := expert.Question{About: expert.About{Alert: alertID(1)}, Text: "Well?", Receiver: to}
	yes, no, late := f.ask(person("ada"), q), f.ask(person("ada"), q), f.ask(person("ada"), q)
	f.run()
	if c, _ := f.want(yes.ID, action.Requested); c.Bundle != nil || len(f.hook.got()) != 0 {
		t.Error("something was made before anybody agreed")
	}
	if _, err := f.actions.Approve(t.Context(), person("ada"), yes.ID, "mine"); !errs.Is(err, errs.Denied) {
		t.Errorf("the asker agrees: %v", err)
	}
	if _, err := f.actions.Approve(t.Context(), person("bob"), yes.ID, "fine"); err != nil {
		t.Fatal(err)
	}
	if _, err := f.actions.Reject(t.Context(), person("bob"), no.ID, "not this"); err != nil {
		t.Fatal(err)
	}
	f.run()
	f.want(yes.ID, action.Verified)
	f.want(no.ID, action.Cancelled)
	f.now = f.now.Add(8 * 24 * time.Hour)
	if err := f.dispatch.Sweep(t.Context(), tenant); err != nil {
		t.Fatal(err)
	}
	f.run()
	f.want(late.ID, action.Expired)
	if len(f.hook.got()) != 1 {
		t.Errorf("%d calls", len(f.hook.got()))
	}
	// The agent is never told of any of it.
	f.agent(1, "")
}

// TestACaseIsWithdrawn cancels a case while its receiver is down, and one that waits.
func TestACaseIsWithdrawn(t *testing.T) {
	f := setup(t)
	f.device(1, "web.example", 0)
	f.alert(1, 1, "Odd")
	to := f.receiver(expert.Receiver{URL: f.hook.URL})
	f.hook.say(500, "")
	q := expert.Question{About: expert.About{Alert: alertID(1)}, Text: "Well?", Receiver: to}
	sent := f.ask(person("ada"), q)
	f.run()
	f.want(sent.ID, action.Applied)
	q.Package = expert.Collect
	waits := f.ask(person("ada"), q)
	f.run()
	f.want(waits.ID, action.Delivered)
	for _, c := range []*expert.Case{sent, waits} {
		if _, err := f.actions.Cancel(t.Context(), person("ada"), c.ID, "no more"); err != nil {
			t.Fatal(err)
		}
	}
	f.hook.say(200, "")
	f.now = f.now.Add(time.Hour)
	calls := len(f.hook.got())
	if err := f.experts.Work(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.run()
	c, a := f.want(sent.ID, action.Cancelled)
	f.want(waits.ID, action.Cancelled)
	if len(f.hook.got()) != calls || !c.Taken.IsZero() || a.State.Status() != action.StCancel {
		t.Errorf("a case that was withdrawn was handed over: %d calls", len(f.hook.got())-calls)
	}
	// Its link was in calls that failed: whoever read it there has nothing.
	var told struct{ Bundle struct{ URL string } }
	if err := json.Unmarshal(f.hook.got()[0].body, &told); err != nil || told.Bundle.URL == "" {
		t.Fatalf("%v, %+v", err, told)
	}
	if _, _, err := f.experts.Redeem(t.Context(), told.Bundle.URL[strings.LastIndex(told.Bundle.URL, "/")+1:], "x"); !errs.Is(err, errs.NotFound) {
		t.Errorf("the link of a case that was withdrawn: %v", err)
	}
}

// TestAReceiverThatIsGoneIsGivenUp closes the receiver's server: the case fails after a day
// with the reason, and no earlier.
func TestAReceiverThatIsGoneIsGivenUp(t *testing.T) {
	f := setup(t)
	f.device(1, "web.example", 0)
	f.alert(1, 1, "Odd")
	to := f.receiver(expert.Receiver{URL: f.hook.URL})
	f.hook.Close()
	c := f.ask(person("ada"), expert.Question{About: expert.About{Alert: alertID(1)}, Text: "Well?", Receiver: to})
	for range 23 {
		f.run()
		f.want(c.ID, action.Applied)
		f.now = f.now.Add(time.Hour)
	}
	f.now = f.now.Add(2 * time.Hour)
	f.run()
	_, a := f.want(c.ID, action.Failed)
	if a.Error != "IR team did not take it: the receiver cannot be reached" {
		t.Errorf("it failed with %q", a.Error)
	}
}

// TestHostileTexts has names and texts that would break out of where they are put.
func TestHostileTexts(t *testing.T) {
	f := setup(t)
	f.device(1, "../../../etc/cron.d/x\r\nBcc: eve@evil.example", 0)
	f.alert(1, 1, "Odd\r\nBcc: eve@evil.example\r\n\r\n<b>")
	to := f.receiver(expert.Receiver{Mail: []string{"ir@expert.example"}, Hand: expert.ByAttached, Plain: true})
	q := expert.Question{About: expert.About{Alert: alertID(1)}, Text: "Well?\r\n.\r\nQUIT\r\n", Receiver: to}
	c := f.ask(person("ada"), q)
	f.run()
	f.want(c.ID, action.Verified)
	if len(f.box.got()) != 1 {
		t.Fatalf("%d mails", len(f.box.got()))
	}
	m := read(t, f.box.got()[0])
	if m.head.Get("Bcc") != "" || !strings.Contains(m.text, "QUIT") {
		t.Errorf("headers %v, text %q", m.head, m.text)
	}
	files := unpack(t, m.file)
	for name := range files {
		if strings.Contains(name, "..") || strings.Count(name, "/") > 2 {
			t.Errorf("a file is %q", name)
		}
	}
	if !bytes.Contains([]byte(files["case.json"]), []byte("cron.d")) {
		t.Error("the true name is nowhere")
	}
	for what, change := range map[string]func(*expert.Question){
		"a contact of two lines":     func(q *expert.Question) { q.Contact = "a@b.example\r\nBcc: x@y.example" },
		"no question":                func(q *expert.Question) { q.Text = " \n" },
		"a question that is no text": func(q *expert.Question) { q.Text = "\xff" },
		"a question with a zero":     func(q *expert.Question) { q.Text = "a\x00b" },
		"a long question":            func(q *expert.Question) { q.Text = strings.Repeat("ü", 4001) },
		"about nothing":              func(q *expert.Question) { q.About = expert.About{} },
		"about two things":           func(q *expert.Question) { q.About.Device = dev(1) },
		"a package of no kind":       func(q *expert.Question) { q.Package = "Everything" },
		"an endless wait":            func(q *expert.Question) { q.Patience = 1000 * time.Hour },
		"half a time":                func(q *expert.Question) { q.From = noon },
		"a year":                     func(q *expert.Question) { q.From, q.To = noon.AddDate(-1, 0, 0), noon },
		"time backwards":             func(q *expert.Question) { q.From, q.To = noon, noon.Add(-time.Hour) },
	} {
		bad := q
		change(&bad)
		if _, _, err := f.experts.Ask(t.Context(), person("ada"), bad); !errs.Is(err, errs.Invalid) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestReceiversAreChecked refuses receivers that would lose or leak a case.
func TestReceiversAreChecked(t *testing.T) {
	f := setup(t)
	mail := []string{"ir@expert.example"}
	for what, r := range map[string]expert.Receiver{
		"nowhere to":                {},
		"two ways":                  {Mail: mail, URL: "https://a.example/"},
		"http":                      {URL: "http://a.example/"},
		"a user in the address":     {URL: "https://u:p@a.example/"},
		"an address of two lines":   {Mail: []string{"a@b.example\r\nBcc: c@d.example"}},
		"an open attachment":        {Mail: mail, Hand: expert.ByAttached},
		"a private key":             {Mail: mail, Keys: []string{"AGE-SECRET-KEY-1QQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQ"}},
		"a key that is none":        {Mail: mail, Keys: []string{"age1xyz"}},
		"two keys in one":           {Mail: mail, Keys: []string{"age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p\nage1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"}},
		"a huge attachment":         {Mail: mail, Hand: expert.ByAttached, Plain: true, MaxBytes: 1 << 30},
		"next to nothing":           {URL: "https://a.example/", MaxBytes: 1},
		"a link for ever":           {Mail: mail, Life: 10000 * time.Hour},
		"a base that is no address": {Mail: mail, Base: "javascript:alert(1)"},
		"another handing over":      {Mail: mail, Hand: "Pigeon"},
	} {
		r.Name = what
		if _, err := f.experts.CreateReceiver(t.Context(), person("root"), r); !errs.Is(err, errs.Invalid) {
			t.Errorf("%s: %v", what, err)
		}
	}
	id := f.receiver(expert.Receiver{URL: f.hook.URL, Secret: "s3cret", Keys: []string{" age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p "}})
	r, err := f.experts.Receiver(t.Context(), tenant, id)
	if err != nil || strings.Contains(r.Secret, "s3cret") || r.Secret == "" {
		t.Errorf("the secret is kept as %q, %v", r.Secret, err)
	}
	f.hook.say(418, "")
	if _, err := f.experts.TestReceiver(t.Context(), person("root"), id); err == nil || !strings.Contains(err.Error(), "418") {
		t.Errorf("a test that is refused: %v", err)
	}
	f.hook.say(200, "hello")
	if said, err := f.experts.TestReceiver(t.Context(), person("root"), id); err != nil || said != "200 OK: hello" {
		t.Errorf("a test: %q, %v", said, err)
	}
	// A new address does not get what was signed for the old one.
	r, err = f.experts.UpdateReceiver(t.Context(), person("root"), id, func(r *expert.Receiver) error {
		r.URL = "https://elsewhere.example/"
		return nil
	})
	if err != nil || r.Secret != "" {
		t.Errorf("after the address changed the secret is %q, %v", r.Secret, err)
	}
	if err := f.experts.DeleteReceiver(t.Context(), person("root"), id); err != nil {
		t.Fatal(err)
	}
	f.device(1, "web.example", 0)
	if _, _, err := f.experts.Ask(t.Context(), person("ada"), expert.Question{About: expert.About{Device: dev(1)}, Text: "?", Receiver: id}); !errs.Is(err, errs.NotFound) {
		t.Errorf("asking nobody: %v", err)
	}
}
