package antivirus

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/vedette-edr/vedette/agent/hash"
	"github.com/vedette-edr/vedette/agent/quarantine"
	"github.com/vedette-edr/vedette/agent/responder"
	"github.com/vedette-edr/vedette/agent/responder/remediate"
	"github.com/vedette-edr/vedette/agent/scan"
	"github.com/vedette-edr/vedette/schema/event"
)

const id = "5cf5a1c5-3f4b-4b3c-9b65-9a30b3a1b2c3"

// eicar is written in two parts, so that no scanner takes this program for it.
var eicar = []byte(`X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR-STANDARD-` + `ANTIVIRUS-TEST-FILE!$H+H*`)

// server stands for the management server: a library, and a place where progress is said.
type server struct {
	mu      sync.Mutex
	library map[string]string
	said    []responder.Progress
}

func (s *server) Upload(context.Context, string, int, string, *os.File) error { return nil }

func (s *server) Fetch(_ context.Context, command, name string, w io.Writer) error {
	text, ok := s.library[name]
	if !ok || command != id {
		return errors.New("no such file")
	}
	_, err := io.WriteString(w, text)
	return err
}

func (s *server) Progress(_ string, p responder.Progress) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.said = append(s.said, p)
}

type world struct {
	*testing.T
	dir    string
	conf   scan.Config
	server server
	h      *Handler
	events []*event.Event
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{T: t, dir: t.TempDir()}
	state := t.TempDir()
	pool := hash.NewPool(hash.Config{})
	t.Cleanup(pool.Close)
	v, err := quarantine.Open(quarantine.Config{Dir: filepath.Join(state, "quarantine")})
	if err != nil {
		t.Fatal(err)
	}
	r, err := remediate.New(remediate.Config{Dir: filepath.Join(state, "remediation"), Vault: v, Pool: pool, Own: []string{state}, Roots: []string{w.dir}})
	if err != nil {
		t.Fatal(err)
	}
	w.conf = scan.Config{Pool: pool, Roots: []string{w.dir}, Clamd: []string{"/nonexistent"}, Processes: func() []uint32 { return nil }}
	w.h = New(Config{Scanner: scan.New(w.conf), Remediator: r, Server: &w.server, RuleDirs: []string{filepath.Join(state, "rules")},
		Emit: func(e *event.Event) { w.events = append(w.events, e) }})
	return w
}

func (w *world) put(name string, content []byte) string {
	w.Helper()
	p := filepath.Join(w.dir, name)
	if err := os.WriteFile(p, content, 0o644); err != nil {
		w.Fatal(err)
	}
	return p
}

func (w *world) do(params string) (responder.Result, Evidence) {
	w.Helper()
	r := w.h.Handle(w.Context(), responder.Command{ID: id, Kind: KindScan, Params: json.RawMessage(params)})
	var e Evidence
	if len(r.Evidence) > 0 {
		if err := json.Unmarshal(r.Evidence, &e); err != nil {
			w.Fatal(err)
		}
	}
	return r, e
}

func TestAThreatIsReportedAndTaken(t *testing.T) {
	w := newWorld(t)
	p := w.put("eicar.com", eicar)
	w.put("good", []byte("good"))
	r, e := w.do(`{"scanType":"Quick","cpuLimit":100}`)
	if r.State != responder.Verified || e.Threats != 1 || len(e.Found) != 1 || e.Found[0].Action != "Quarantined" || e.Found[0].Item == "" {
		t.Fatalf("%s: %s\n%s", r.State, r.Detail, r.Evidence)
	}
	if _, err := os.Lstat(p); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it is still there: %v", err)
	}
	if len(w.events) != 2 || w.events[0].Action != "AntivirusDetection" || w.events[1].Action != "AntivirusScanCompleted" {
		t.Fatalf("%+v", w.events)
	}
	got := w.events[0]
	// The digests that the test file is known by.
	if got.File.SHA1 != "3395856ce81f2b7382dee72602f798b642f14140" || got.File.MD5 != "44d88612fea8a8f36de82e1278abb02f" || got.File.Path != p {
		t.Errorf("%+v", got.File)
	}
	var more map[string]any
	if err := json.Unmarshal([]byte(got.Additional), &more); err != nil {
		t.Fatal(err)
	}
	if more["Action"] != "Quarantined" || more["WasRemediated"] != true || more["ReportSource"] != "Scan" || more["ScanId"] != id || more["ThreatName"] != "Signature:EICAR-Test-File" {
		t.Errorf("%v", more)
	}
}

func TestThePolicyDecidesWhatIsTaken(t *testing.T) {
	w := newWorld(t)
	w.server.library = map[string]string{"mine.yar": `rule mine { strings: $a = "unwanted" condition: $a }`}
	yara := w.put("unwanted", []byte("something unwanted"))
	p := w.put("eicar", eicar)
	r, e := w.do(`{"scanType":"Full","cpuLimit":100,"quarantine":"none","rules":["mine.yar"]}`)
	if r.State != responder.Verified || e.Threats != 2 || strings.Contains(string(r.Evidence), "Quarantined") {
		t.Fatalf("%s: %s\n%s", r.State, r.Detail, r.Evidence)
	}
	r, e = w.do(`{"scanType":"Full","cpuLimit":100,"rules":["mine.yar"]}`)
	if r.State != responder.Verified || e.Threats != 2 {
		t.Fatalf("%s: %s\n%s", r.State, r.Detail, r.Evidence)
	}
	if _, err := os.Stat(p); err == nil {
		t.Error("the test file was left")
	}
	if _, err := os.Stat(yara); err != nil {
		t.Errorf("what a rule found was taken: %v", err)
	}
	r, _ = w.do(`{"scanType":"Full","cpuLimit":100,"quarantine":"all","rules":["mine.yar"]}`)
	if _, err := os.Stat(yara); err == nil {
		t.Errorf("what a rule found was left: %s", r.Evidence)
	}
	if i := slices.IndexFunc(w.events, func(e *event.Event) bool { return strings.Contains(e.Additional, "YARA:mine") }); i < 0 {
		t.Error("no event about the rule")
	}
}

func TestWhatCannotBeDoneIsRefused(t *testing.T) {
	w := newWorld(t)
	for _, params := range []string{`{}`, `nonsense`, `{"scanType":"Slow"}`, `{"scanType":"Quick","cpuLimit":101}`, `{"scanType":"Quick","quarantine":"some"}`,
		`{"scanType":"Quick","rules":["missing.yar"]}`} {
		if r, _ := w.do(params); r.State != responder.Refused || r.Detail == "" {
			t.Errorf("%s: %s: %s", params, r.State, r.Detail)
		}
	}
	for _, kind := range []string{KindPause, KindResume} {
		if r := w.h.Handle(t.Context(), responder.Command{ID: id, Kind: kind}); r.State != responder.Refused {
			t.Errorf("%s without a scan: %s", kind, r.State)
		}
	}
}

func TestAScanIsHeldByCommandAndCancelled(t *testing.T) {
	w := newWorld(t)
	began, goOn := make(chan struct{}), make(chan struct{})
	var once sync.Once
	w.conf.Autoruns = func() []string {
		once.Do(func() { close(began); <-goOn })
		return nil
	}
	w.h.cfg.Scanner = scan.New(w.conf)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan responder.Result, 1)
	go func() {
		done <- w.h.Handle(ctx, responder.Command{ID: id, Kind: KindScan, Params: json.RawMessage(`{"scanType":"Quick"}`)})
	}()
	<-began
	if r := w.h.Handle(t.Context(), responder.Command{Kind: KindPause}); r.State != responder.Verified {
		t.Errorf("pause: %+v", r)
	}
	w.put("f", []byte("x"))
	close(goOn)
	cancel()
	r := <-done
	if r.State != responder.Failed || !strings.Contains(r.Detail, "ended before") {
		t.Errorf("%+v", r)
	}
	if w.events[len(w.events)-1].Action != "AntivirusScanCancelled" {
		t.Errorf("%+v", w.events)
	}
}
