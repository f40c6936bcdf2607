package link

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/google/go-cmp/cmp"

	"github.com/vedette-edr/vedette/wire"
	"github.com/vedette-edr/vedette/wire/wirepb"
)

const tokenVar = "VEDETTE_LINK_TOKEN_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(tokenVar) != "" {
		own := TakeToken(os.Args[2])
		fmt.Println(own)
		_, _ = os.Stdin.Read(make([]byte, 1)) // until the test has looked
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestATokenIsWipedFromTheCommandLine(t *testing.T) {
	if _, err := os.Stat("/proc/self/cmdline"); errors.Is(err, fs.ErrNotExist) {
		t.Skip("this system shows no command lines in /proc")
	}
	const token = "vet_Zm9vYmFyYmF6"
	cmd := exec.Command(os.Args[0], "--enroll-token", token, "--enroll-token="+token)
	cmd.Env = append(os.Environ(), tokenVar+"=1")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = in.Close(); _ = cmd.Wait() }()
	said := make([]byte, len(token))
	if _, err := out.Read(said); err != nil || string(said) != token {
		t.Fatalf("the agent itself has %q: %v", said, err)
	}
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(line, []byte(token)) || !bytes.Contains(line, []byte("--enroll-token")) {
		t.Errorf("the command line is %q", line)
	}
}

func TestServersAreUnderstood(t *testing.T) {
	for server, want := range map[string]string{
		"https://vedette.example.net":       "vedette.example.net 443",
		"https://vedette.example.net:8443/": "vedette.example.net 8443",
		"192.0.2.1:8443":                    "192.0.2.1 8443",
		"https://[2001:db8::1]:443":         "2001:db8::1 443",
		"http://vedette.example.net":        "error",
		"vedette.example.net":               "error",
		"https://host:99999":                "error",
		"":                                  "error",
	} {
		host, port, err := splitServer(server)
		got := fmt.Sprint(host, " ", port)
		if err != nil {
			got = "error"
		}
		if got != want {
			t.Errorf("%q: %s, want %s", server, got, want)
		}
	}
}

func TestAddressesOutliveANameThatNoLongerResolves(t *testing.T) {
	dir := t.TempDir()
	d, err := newDialer("https://localhost:1234", dir)
	if err != nil {
		t.Fatal(err)
	}
	found, err := d.addresses(t.Context())
	if err != nil || len(found) == 0 {
		t.Fatalf("localhost: %v, %v", found, err)
	}
	b, err := os.ReadFile(filepath.Join(dir, "addresses.json"))
	if err != nil {
		t.Fatal(err)
	}
	b = bytes.Replace(b, []byte("localhost"), []byte("gone.invalid"), 1)
	if err := os.WriteFile(filepath.Join(dir, "addresses.json"), b, 0o600); err != nil {
		t.Fatal(err)
	}
	gone, err := newDialer("https://gone.invalid:1234", dir)
	if err != nil {
		t.Fatal(err)
	}
	got, err := gone.addresses(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(found, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Error(diff)
	}
}

func TestTheLedgerRemembersUntilALifetimeIsOver(t *testing.T) {
	dir := t.TempDir()
	now := time.Now()
	command := func(id string, life time.Duration) *wire.Command {
		return &wire.Command{ID: id, Expires: now.Add(life)}
	}
	a, b := command("a", time.Hour), command("b", 2*time.Hour)
	e := &wirepb.Envelope{Body: []byte("body")}
	g, err := openLedger(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []*wire.Command{a, b} {
		if fresh, err := g.take(c, e); !fresh || err != nil {
			t.Fatalf("%s: %v, %v", c.ID, fresh, err)
		}
	}
	if fresh, _ := g.take(a, e); fresh {
		t.Error("a command was taken twice")
	}
	if err := g.done(a, []byte("done"), now); err != nil {
		t.Fatal(err)
	}
	g, err = openLedger(dir) // as after kill -9
	if err != nil {
		t.Fatal(err)
	}
	if fresh, _ := g.take(a, e); fresh {
		t.Error("a finished command was taken again after a restart")
	}
	if open := g.unfinished(); len(open) != 1 || string(open[0].envelope.Body) != "body" || open[0].begun {
		t.Errorf("%d commands are unfinished", len(open))
	}
	if owed := g.owed(); len(owed) != 1 || owed[0].command != "a" || string(owed[0].result) != "done" {
		t.Errorf("owed: %v", owed)
	}
	g.handed("a")
	if err := g.begin("b"); err != nil {
		t.Fatal(err)
	}
	if g, err = openLedger(dir); err != nil {
		t.Fatal(err)
	}
	if open := g.unfinished(); len(open) != 1 || !open[0].begun {
		t.Error("a command that had begun is not known to have")
	}
	if len(g.owed()) != 0 {
		t.Error("a result that was handed over is still owed")
	}
	if diff := cmp.Diff([]string{"a", "b"}, g.ids(now)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"b"}, g.ids(now.Add(time.Hour))); diff != "" {
		t.Error(diff)
	}
	if err := g.done(b, []byte("done"), now.Add(90*time.Minute)); err != nil {
		t.Fatal(err)
	}
	if g.has("a") || !g.has("b") {
		t.Error("the ledger forgets the wrong commands")
	}
}

func TestPausesGrowAreSpreadAndObeyTheServer(t *testing.T) {
	b := &backoff{min: time.Second, max: 10 * time.Second}
	for i, most := range []time.Duration{1, 2, 4, 8, 10, 10} {
		most *= time.Second
		if d := b.next(0); d < most/2 || d > most {
			t.Errorf("pause %d is %v, not between %v and %v", i, d, most/2, most)
		}
	}
	if d := b.next(30 * time.Second); d != 30*time.Second {
		t.Errorf("asked for 30 s, pauses %v", d)
	}
	if d := b.next(1000 * time.Hour); d != time.Hour {
		t.Errorf("asked for a thousand hours, pauses %v", d)
	}
	b.reset()
	if d := b.next(0); d > time.Second {
		t.Errorf("pauses %v after a success", d)
	}
}

func TestFaultsAreReadFromErrors(t *testing.T) {
	e := connect.NewError(connect.CodeUnavailable, errors.New("full"))
	d, err := connect.NewErrorDetail(&wirepb.Fault{Code: "StoreFull", RetryAfter: int64(time.Second)})
	if err != nil {
		t.Fatal(err)
	}
	e.AddDetail(d)
	if got := FaultOf(fmt.Errorf("push: %w", e)); got != (Fault{Code: "StoreFull", Retry: time.Second}) {
		t.Errorf("got %+v", got)
	}
	if got := FaultOf(errors.New("x")); got != (Fault{}) {
		t.Errorf("got %+v", got)
	}
}

func TestTheStateDirectoryIsTheAgentsAlone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	if _, err := newDialer("127.0.0.1:1", dir); err != nil {
		t.Fatal(err)
	}
	if i, err := os.Stat(dir); err != nil || i.Mode().Perm() != 0o700 {
		t.Errorf("mode %v: %v", i.Mode(), err)
	}
	if err := (&Identity{}).save(dir); err != nil {
		t.Fatal(err)
	}
	if i, err := os.Stat(filepath.Join(dir, identityFile)); err != nil || i.Mode().Perm() != 0o600 {
		t.Errorf("mode %v: %v", i.Mode(), err)
	}
}
