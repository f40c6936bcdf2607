package e2e

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"mime"
	"mime/multipart"
	"net"
	"net/mail"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/emersion/go-smtp"

	"github.com/vedette-edr/vedette/client"
)

// mailbox is a mail server that is out of order until it is told otherwise.
type mailbox struct {
	mu    sync.Mutex
	works bool
	tries int
	mails [][]byte
}

func (m *mailbox) Reset()                               {}
func (m *mailbox) Logout() error                        { return nil }
func (m *mailbox) Rcpt(string, *smtp.RcptOptions) error { return nil }
func (m *mailbox) Mail(string, *smtp.MailOptions) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.tries++; !m.works {
		return &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 0}, Message: "later"}
	}
	return nil
}
func (m *mailbox) Data(r io.Reader) error {
	b, err := io.ReadAll(r)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mails = append(m.mails, b)
	return err
}

// TestAnExpertIsAskedAboutADevice asks by the command line with a package of this host, kills
// the server while the mail server is out of order, and opens what comes in the end.
func TestAnExpertIsAskedAboutADevice(t *testing.T) {
	box := &mailbox{}
	postman := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return box, nil }))
	postman.Domain = "mail.example"
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = postman.Serve(l) // ends with Close
	}()
	t.Cleanup(func() { _ = postman.Close(); <-done })

	s := startServer(t)
	s.kill()
	s.flags = []string{"--smtp", "smtp+plain://" + l.Addr().String(), "--smtp-from", "edr@vedette.example"}
	s.start(t)
	startAgent(t, s, "")
	m := s.onlyDevice(t)
	key, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	s.cli(t, "expert", "receiver", "create", "IR retainer", "--mail", "ir@expert.example", "--handover", "Attachment", "--key", key.Recipient().String(), "--max-bytes", "50000000")
	marker := unique("marker-")
	s.huntUntil(t, "a program that ran", `DeviceProcessEvents | where ProcessCommandLine has "`+marker+`"`, func(rows []map[string]any) bool {
		_ = exec.Command("/bin/echo", marker).Run()
		return len(rows) > 0
	})
	var k client.ExpertCase
	if err := json.Unmarshal([]byte(s.cli(t, "-o", "json", "expert", "ask", "--device", m.Name, "--contact", "ada@soc.example", "--package", "Collect", "What is this?")), &k); err != nil {
		t.Fatal(err)
	}
	for until := time.Now().Add(10 * time.Minute); ; time.Sleep(time.Second) { // a host has much to tell
		a, err := s.Action(t.Context(), k.Machines[0].Package)
		if err != nil {
			t.Fatal(err)
		}
		if a.Status == "Succeeded" {
			break
		}
		if time.Now().After(until) || a.Status != "Pending" && a.Status != "InProgress" {
			t.Fatalf("the package is %s: %s", a.Status, s.cli(t, "expert", "show", k.ID))
		}
	}
	await(t, "the mail server to be tried", func() error {
		box.mu.Lock()
		defer box.mu.Unlock()
		if box.tries == 0 {
			return os.ErrNotExist
		}
		return nil
	})
	s.kill()
	box.mu.Lock()
	box.works = true
	box.mu.Unlock()
	s.start(t)
	await(t, "the case to be taken", func() error {
		now, err := s.ExpertCase(t.Context(), k.ID)
		if err != nil {
			return err
		}
		if k = *now; k.State != "verified" {
			return os.ErrNotExist
		}
		return nil
	})
	t.Logf("%s", s.cli(t, "expert", "show", k.ID))
	if len(box.mails) != 1 || !strings.Contains(k.Answer, "queued") || k.Bundle == nil {
		t.Fatalf("%d mails; answer %q; bundle %+v", len(box.mails), k.Answer, k.Bundle)
	}
	file := filepath.Join(t.TempDir(), "case.zip")
	if err := os.WriteFile(file, opened(t, box.mails[0], key), 0o600); err != nil {
		t.Fatal(err)
	}
	content := unpacked(t, file)
	var timeline, pack []byte
	for name, b := range content {
		switch filepath.Base(name) {
		case "timeline.jsonl":
			timeline = b
		case "package.zip":
			pack = b
		}
	}
	if !bytes.Contains(timeline, []byte(marker)) {
		t.Errorf("the program is not in the timeline of %d bytes", len(timeline))
	}
	if err := os.WriteFile(file, pack, 0o600); err != nil {
		t.Fatal(err)
	}
	if inner := unpacked(t, file); len(inner["CollectionSummaryReport.csv"]) == 0 {
		t.Errorf("the package of the device has %d files", len(inner))
	}
	for _, l := range k.Bundle.Lacks {
		if !strings.Contains(l.Why, "telemetry is missing") { // which a busy host may say in truth
			t.Errorf("the bundle lacks %s: %s", l.What, l.Why)
		}
	}
	// The action center has it, as one action of the device with its steps.
	var act client.ActionDetail
	if err := json.Unmarshal([]byte(s.cli(t, "-o", "json", "action", "show", k.ID)), &act); err != nil || act.Type != "AskExpert" || act.Status != "Succeeded" || act.MachineID != m.ID {
		t.Errorf("%+v, %v", act, err)
	}
	journey(t, "", "https://"+s.addr, s.profile, "expert", "DEVICE="+m.ID)
}

// opened takes the attachment out of a mail and its seal off.
func opened(t *testing.T, raw []byte, key age.Identity) []byte {
	t.Helper()
	m, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	_, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	for r := multipart.NewReader(m.Body, params["boundary"]); ; {
		p, err := r.NextRawPart()
		if err != nil {
			t.Fatalf("no attachment: %v", err)
		}
		if p.FileName() == "" {
			continue
		}
		plain, err := age.Decrypt(base64.NewDecoder(base64.StdEncoding, p), key)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(plain)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
}
