package expert_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"io"
	"mime"
	"mime/multipart"
	"os"
	"path"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/emersion/go-smtp"

	"github.com/vedette-edr/vedette/server/action"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/expert"
	"github.com/vedette-edr/vedette/server/ident"
)

// TestACaseGoesByMailSealed asks about an alert, and reads the mail, the seal and the bundle
// as the expert would: with other programs than made them.
func TestACaseGoesByMailSealed(t *testing.T) {
	f := setup(t)
	key, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	f.device(1, "web.example", 0)
	f.alert(1, 1, "Secret\r\nBcc: eve@evil.example")
	to := f.receiver(expert.Receiver{Mail: []string{"ir@expert.example"}, Hand: expert.ByAttached, Keys: []string{key.Recipient().String()}})
	c := f.ask(person("ada"), expert.Question{About: expert.About{Alert: alertID(1)}, Text: "Is this\nan intrusion?", Contact: "ada@soc.example", Receiver: to})
	f.run()
	c, a := f.want(c.ID, action.Verified)

	mails := f.box.got()
	if len(mails) != 1 {
		t.Fatalf("%d mails", len(mails))
	}
	m := read(t, mails[0])
	if got := m.head.Get("Reply-To"); !strings.Contains(got, "ada@soc.example") {
		t.Errorf("Reply-To %q", got)
	}
	if m.head.Get("Bcc") != "" || len(m.head["Subject"]) != 1 {
		t.Errorf("headers %v", m.head)
	}
	for _, secret := range []string{"Secret", "intrusion", "web.example"} {
		if bytes.Contains(mails[0], []byte(secret)) || strings.Contains(m.text, secret) {
			t.Errorf("%q is beside the seal", secret)
		}
	}
	if !strings.HasSuffix(m.name, ".zip.age") || m.name != c.Bundle.Name {
		t.Errorf("the attachment is %q, the bundle %q", m.name, c.Bundle.Name)
	}
	sum := sha256.Sum256(m.file)
	if got := hex.EncodeToString(sum[:]); got != c.Bundle.SHA256 || !strings.Contains(m.text, got) || int64(len(m.file)) != c.Bundle.Size {
		t.Errorf("%d bytes with %s came; the case says %+v", len(m.file), got, c.Bundle)
	}
	open, err := age.Decrypt(bytes.NewReader(m.file), key)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := io.ReadAll(open)
	if err != nil {
		t.Fatal(err)
	}
	files := unpack(t, plain)
	folder := "machines/web.example-00000000/"
	for _, name := range []string{"README.txt", "case.json", "alerts/" + string(alertID(1)) + ".json", "alerts/" + string(alertID(1)) + ".tree.json",
		folder + "machine.json", folder + "timeline.jsonl", folder + "timeline.csv"} {
		if files[name] == "" {
			t.Errorf("there is no %s among %v", name, keys(files))
		}
	}
	if strings.Contains(strings.Join(values(files), "\n"), "between us") {
		t.Error("what the team says among itself went out")
	}
	var told struct {
		Question, Contact, AskedBy string
		Lacks                      []struct{ What, Why string }
	}
	if err := json.Unmarshal([]byte(files["case.json"]), &told); err != nil {
		t.Fatal(err)
	}
	if told.Question != "Is this\nan intrusion?" || told.Contact != "ada@soc.example" || told.AskedBy != "ada" {
		t.Errorf("case.json says %+v", told)
	}
	if got := lacks(t, files); got != "the investigation package of web.example: none was collected" {
		t.Errorf("the bundle lacks %q", got)
	}
	// The timeline: three events around the alert, none of two days before.
	var actions []string
	for line := range strings.Lines(files[folder+"timeline.jsonl"]) {
		var e map[string]any
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		actions = append(actions, e["Table"].(string)+" "+e["ActionType"].(string))
	}
	if got := strings.Join(actions, ", "); got != "DeviceProcessEvents ProcessCreated, DeviceFileEvents FileCreated, DeviceNetworkEvents ConnectionAttempt" {
		t.Errorf("the timeline has %s", got)
	}
	rows, err := csv.NewReader(strings.NewReader(files[folder+"timeline.csv"])).ReadAll()
	if err != nil || len(rows) != 4 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	for _, row := range rows[1:] {
		for i, cell := range row {
			if strings.IndexAny(cell, "=+@-\t\r") == 0 {
				t.Errorf("%s: %q is a formula", rows[0][i], cell)
			}
		}
	}
	if !strings.Contains(files[folder+"timeline.csv"], `'=cmd|'/c calc'!A1`) || !strings.Contains(files[folder+"timeline.csv"], "a\n\"\"b\"\",=1+1") {
		t.Errorf("the command line is not as it was:\n%s", files[folder+"timeline.csv"])
	}
	if got := files["alerts/"+string(alertID(1))+".tree.json"]; !strings.Contains(got, "bash") || !strings.Contains(got, "curl") {
		t.Errorf("the tree is %s", got)
	}
	// What the receiver said is the proof, and everything is in the record.
	last := a.Steps[len(a.Steps)-1]
	if c.Answer == "" || c.Attempts != 1 || !strings.Contains(string(last.Evidence), `"answer":"`+c.Answer) || !strings.Contains(c.Answer, "queued") {
		t.Errorf("answer %q, attempts %d, evidence %s", c.Answer, c.Attempts, last.Evidence)
	}
	f.recorded("expert.receiver.create", "action.request", "expert.ask", "action.result", "action.result")
}

func keys(m map[string]string) (out []string) {
	for k := range m {
		out = append(out, k)
	}
	return out
}

func values(m map[string]string) (out []string) {
	for _, v := range m {
		out = append(out, v)
	}
	return out
}

// recorded checks the verbs of the audit record, but for those of hunting.
func (f *fixture) recorded(want ...string) {
	f.t.Helper()
	rs, err := f.log.Records(f.t.Context(), tenant, 0, 1000)
	if err != nil {
		f.t.Fatal(err)
	}
	var got []string
	for _, r := range rs {
		if r.Verb != "hunt.run" {
			got = append(got, r.Verb)
		}
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		f.t.Errorf("recorded %v, want %v", got, want)
	}
}

// TestAWebHookGetsTheBundleSigned sends to a web hook that fails at first, and checks form,
// signature and key of the call without the code that made them.
func TestAWebHookGetsTheBundleSigned(t *testing.T) {
	f := setup(t)
	f.device(1, "web.example", 0)
	f.alert(1, 1, "Odd")
	to := f.receiver(expert.Receiver{URL: f.hook.URL + "/cases", Secret: "s3cret", Hand: expert.ByAttached})
	f.hook.say(500, "no")
	c := f.ask(person("ada"), expert.Question{About: expert.About{Device: dev(1)}, Text: "Well?", Receiver: to})
	f.run()
	c, a := f.want(c.ID, action.Applied)
	if c.Attempts != 1 || !strings.Contains(c.Waiting, "500") || a.Progress == nil || !strings.Contains(a.Progress.Detail, "500") || a.State.Status() != action.InProgress {
		t.Errorf("after a 500: %d attempts, %q, %+v", c.Attempts, c.Waiting, a.Progress)
	}
	f.hook.say(202, "ticket 4711\r\n")
	f.now = f.now.Add(time.Minute)
	f.run()
	c, _ = f.want(c.ID, action.Verified)
	if c.Answer != "202 Accepted: ticket 4711" || c.Attempts != 2 {
		t.Errorf("answer %q after %d attempts", c.Answer, c.Attempts)
	}
	calls := f.hook.got()
	if len(calls) != 2 {
		t.Fatalf("%d calls", len(calls))
	}
	if k := calls[0].head.Get("Idempotency-Key"); k == "" || k != calls[1].head.Get("Idempotency-Key") {
		t.Errorf("the calls have the keys %q and %q", k, calls[1].head.Get("Idempotency-Key"))
	}
	got := calls[1]
	at, sum, _ := strings.Cut(strings.TrimPrefix(got.head.Get("Vedette-Signature"), "t="), ",v1=")
	h := hmac.New(sha256.New, []byte("s3cret"))
	h.Write([]byte(at + "."))
	h.Write(got.body)
	if hex.EncodeToString(h.Sum(nil)) != sum {
		t.Error("the signature does not fit")
	}
	kind, params, err := mime.ParseMediaType(got.head.Get("Content-Type"))
	if err != nil || kind != "multipart/form-data" {
		t.Fatalf("%q, %v", kind, err)
	}
	form, err := multipart.NewReader(bytes.NewReader(got.body), params["boundary"]).ReadForm(1 << 20)
	if err != nil {
		t.Fatal(err)
	}
	part := func(name string) []byte {
		t.Helper()
		if len(form.File[name]) != 1 {
			t.Fatalf("parts %v", form.File)
		}
		in, err := form.File[name][0].Open()
		if err != nil {
			t.Fatal(err)
		}
		defer in.Close()
		b, err := io.ReadAll(in)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	var told struct {
		Type, ID, Question string
		About              struct{ MachineID string }
		Bundle             struct {
			SHA256 string
			Size   int64
			URL    string
		}
	}
	if err := json.Unmarshal(part("case"), &told); err != nil {
		t.Fatal(err)
	}
	bundle := part("bundle")
	bsum := sha256.Sum256(bundle)
	if told.Type != "ExpertCase" || told.ID != string(c.ID) || told.Question != "Well?" || told.About.MachineID != string(dev(1)) || told.Bundle.URL != "" ||
		told.Bundle.SHA256 != hex.EncodeToString(bsum[:]) || told.Bundle.Size != int64(len(bundle)) {
		t.Errorf("the hook was told %+v", told)
	}
	if files := unpack(t, bundle); files["alerts/"+string(alertID(1))+".json"] == "" {
		t.Errorf("the alerts of the machine are not in %v", keys(files))
	}
}

// TestALinkEnds follows the link of a case: while it is good, forged, taken back, and over.
func TestALinkEnds(t *testing.T) {
	f := setup(t)
	f.device(1, "web.example", 0)
	f.alert(1, 1, "Odd")
	to := f.receiver(expert.Receiver{Mail: []string{"ir@expert.example"}, Base: "https://outside.example/", Life: 2 * time.Hour})
	q := expert.Question{About: expert.About{Alert: alertID(1)}, Text: "Well?", Receiver: to}
	one := f.ask(person("ada"), q)
	f.run()
	f.want(one.ID, action.Verified)
	m := read(t, f.box.got()[0])
	if m.name != "" || !strings.Contains(m.text, "Well?") || !strings.Contains(m.head.Get("Subject"), "Odd") {
		t.Errorf("the mail is %+v", m)
	}
	link := ""
	for line := range strings.Lines(m.text) {
		if strings.HasPrefix(line, "https://outside.example"+expert.BundlePath) {
			link = strings.TrimSpace(line)
		}
	}
	ticket := path.Base(link)
	follow := func(ticket string) ([]byte, error) {
		t.Helper()
		_, in, err := f.experts.Redeem(t.Context(), ticket, "192.0.2.9")
		if err != nil {
			return nil, err
		}
		defer in.Close()
		b, err := io.ReadAll(in)
		if err != nil {
			t.Fatal(err)
		}
		return b, nil
	}
	b, err := follow(ticket)
	if err != nil {
		t.Fatal(err)
	}
	unpack(t, b)
	if c, _ := f.state(one.ID); c.Fetched != 1 || c.Fetches[0].From != "192.0.2.9" || !c.Fetches[0].At.Equal(f.now) {
		t.Errorf("the case says of its fetching %d, %+v", c.Fetched, c.Fetches)
	}
	for what, forged := range map[string]string{"nothing": "", "a letter": "x", "another end": ticket[:len(ticket)-4] + "AAAA", "another beginning": "AAAA" + ticket[4:]} {
		if _, err := follow(forged); !errs.Is(err, errs.NotFound) {
			t.Errorf("a link with %s: %v", what, err)
		}
	}
	f.now = f.now.Add(2 * time.Hour)
	if _, err := follow(ticket); !errs.Is(err, errs.NotFound) {
		t.Errorf("a link that is over: %v", err)
	}
	f.now = f.now.Add(-time.Hour)
	if _, err := f.experts.Revoke(t.Context(), person("ada"), one.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := follow(ticket); !errs.Is(err, errs.NotFound) {
		t.Errorf("a link that was taken back: %v", err)
	}
	if _, err := f.experts.Revoke(t.Context(), person("ada"), one.ID); !errs.Is(err, errs.Conflict) {
		t.Errorf("taking it back again: %v", err)
	}
	if _, err := f.experts.Revoke(t.Context(), person("ada"), ident.ActionID("5f3ad3a4-0000-4000-8000-00000000ffff")); !errs.Is(err, errs.NotFound) {
		t.Errorf("taking back a link of no case: %v", err)
	}
	// A case that nobody took has no link, whoever made a note of it.
	f.box.say(&smtp.SMTPError{Code: 550, Message: "go away"})
	two := f.ask(person("ada"), q)
	f.run()
	c, a := f.want(two.ID, action.Failed)
	if !strings.Contains(a.Error, "did not take it") || c.Bundle == nil || a.State.Status() != action.StFailed {
		t.Errorf("a mail that is refused: %q, %+v", a.Error, c.Bundle)
	}
}

// TestFilesInTheWay keeps the promise about the bundle's files when the disk refuses: the case
// waits and is tried again, and fails with the reason in the end.
func TestABundleThatCannotBeMadeIsTriedAgain(t *testing.T) {
	f := setup(t)
	f.device(1, "web.example", 0)
	f.alert(1, 1, "Odd")
	to := f.receiver(expert.Receiver{URL: f.hook.URL, Hand: expert.ByAttached})
	tmp := path.Join(f.dir, "blob", "tmp")
	if err := os.RemoveAll(tmp); err != nil {
		t.Fatal(err)
	}
	c := f.ask(person("ada"), expert.Question{About: expert.About{Alert: alertID(1)}, Text: "Well?", Receiver: to})
	f.run()
	c, _ = f.want(c.ID, action.Delivered)
	if c.Tries != 1 || c.Waiting == "" {
		t.Errorf("after a failure: %d tries, %q", c.Tries, c.Waiting)
	}
	if err := os.Mkdir(tmp, 0o700); err != nil {
		t.Fatal(err)
	}
	f.run()
	f.want(c.ID, action.Delivered) // not yet due
	f.now = f.now.Add(time.Minute)
	f.run()
	f.want(c.ID, action.Verified)

	if err := os.RemoveAll(tmp); err != nil {
		t.Fatal(err)
	}
	c = f.ask(person("ada"), expert.Question{About: expert.About{Alert: alertID(1)}, Text: "And now?", Receiver: to})
	for range 6 {
		f.run()
		f.now = f.now.Add(time.Hour)
	}
	_, a := f.want(c.ID, action.Failed)
	if !strings.Contains(a.Error, "could not be made") {
		t.Errorf("it failed with %q", a.Error)
	}
}
