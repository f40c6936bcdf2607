package remediate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vedette-edr/vedette/agent/hash"
	"github.com/vedette-edr/vedette/agent/persistence"
	"github.com/vedette-edr/vedette/agent/quarantine"
	"github.com/vedette-edr/vedette/agent/responder"
)

// TestMain lets this program stand for an agent that is killed.
func TestMain(m *testing.M) {
	if os.Getenv("REMEDIATE_TEST_KILL") != "" {
		os.Exit(killedAgent())
	}
	os.Exit(m.Run())
}

// doomed is what a killedAgent is told.
type doomed struct {
	Dir, State, Command string
	At                  int // the step, counted from 0, at which it is killed; -1 for never
	Target              Target
}

// killedAgent removes a file and kills itself at a step, without a moment to tidy up. It
// prints the steps that it came to.
func killedAgent() int {
	var d doomed
	if err := json.Unmarshal([]byte(os.Getenv("REMEDIATE_TEST_KILL")), &d); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	n := 0
	fault := func(step string) {
		fmt.Println("step " + step)
		if n == d.At {
			_ = unix.Kill(os.Getpid(), unix.SIGKILL)
			select {}
		}
		n++
	}
	pool := hash.NewPool(hash.Config{})
	v, err := quarantine.Open(quarantine.Config{Dir: filepath.Join(d.State, "quarantine"), Fault: fault})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	r, err := New(Config{Dir: filepath.Join(d.State, "remediation"), Vault: v, Pool: pool, Own: []string{d.State}, Roots: []string{d.Dir}, Fault: fault,
		Persistence: func() *persistence.Finder { return &persistence.Finder{Root: d.Dir} }})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	raw, _ := json.Marshal(d.Target)
	res := (&Handler{r}).Handle(context.Background(), responder.Command{ID: d.Command, Kind: KindQuarantine, Params: raw})
	fmt.Println("result " + string(res.State))
	return 0
}

// TestAnAgentKilledAtAnyStepLosesNothing kills the agent at every step of stopping and
// quarantining a program that runs, has two names and is started by cron. The next agent, which
// gets the same command, ends it: one item in the vault, nothing that runs, nothing that
// starts it; and the file comes back as it was.
func TestAnAgentKilledAtAnyStepLosesNothing(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	for at, more := 0, true; more; at++ {
		t.Run(strconv.Itoa(at), func(t *testing.T) { more = killedAt(t, at) })
	}
}

func killedAt(t *testing.T, at int) (more bool) {
	d := newDevice(t)
	evil, digest := d.program("opt/evil", "/bin/sleep")
	if err := unix.Chmod(evil, 0o2751); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setxattr(evil, "user.note", []byte("kept"), 0); err != nil && !errors.Is(err, unix.ENOTSUP) {
		t.Fatal(err)
	}
	second := filepath.Join(d.dir, "opt/second")
	if err := os.Link(evil, second); err != nil {
		t.Fatal(err)
	}
	then := time.Now().Add(-time.Hour).Truncate(time.Second)
	if err := os.Chtimes(evil, then, then); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(evil)
	if err != nil {
		t.Fatal(err)
	}
	cron := d.put("etc/cron.d/evil", []byte("* * * * * root /bin/true\n* * * * * root "+evil+"\n"), 0o644)
	before, err := os.ReadFile(cron)
	if err != nil {
		t.Fatal(err)
	}
	pid, ended := d.start(evil, "600")
	target := Target{SHA1: digest, Size: int64(len(content)), Paths: []string{evil}}
	order := doomed{Dir: d.dir, State: d.state, Command: "kill-" + strconv.Itoa(at), At: at, Target: target}
	raw, err := json.Marshal(order)
	if err != nil {
		t.Fatal(err)
	}
	agent := exec.Command("/proc/self/exe")
	agent.Env = append(os.Environ(), "REMEDIATE_TEST_KILL="+string(raw))
	out, err := agent.Output()
	steps := strings.Fields(strings.ReplaceAll(string(out), "step ", ""))
	var exit *exec.ExitError
	killed := errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL
	if err != nil && !killed {
		t.Fatalf("%v: %s", err, out)
	}
	if !killed && !strings.Contains(string(out), "result verified") {
		t.Fatalf("%s", out)
	}
	if killed {
		t.Logf("killed at %s", steps[len(steps)-1])
	}

	// The next agent takes the command up again.
	h := d.handler()
	params, err := json.Marshal(target)
	if err != nil {
		t.Fatal(err)
	}
	r := h.Handle(t.Context(), responder.Command{ID: order.Command, Kind: KindQuarantine, Params: params})
	if r.State != responder.Verified {
		t.Errorf("it says %s: %s %s", r.State, r.Detail, r.Evidence)
	}
	select {
	case err := <-ended:
		if err == nil || !strings.Contains(err.Error(), "killed") {
			t.Errorf("the program ended with %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Errorf("process %d lives", pid)
	}
	for _, p := range []string{evil, second} {
		if _, err := os.Lstat(p); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", p, err)
		}
	}
	if got, err := os.ReadFile(cron); err != nil || string(got) != "* * * * * root /bin/true\n" {
		t.Errorf("cron has %q, %v", got, err)
	}
	if items := h.Remediator.cfg.Vault.Items(); len(items) != 1 || items[0].State != quarantine.Quarantined || items[0].Mode != 0o2751 || items[0].Taking {
		t.Errorf("the vault holds %+v", items)
	}
	if left, err := filepath.Glob(filepath.Join(d.vault.Dir, "*")); err != nil || len(left) != 3 { // the key, a manifest, its content
		t.Errorf("in the vault are %q, %v", left, err)
	}

	// And everything comes back.
	if r, _ := d.do(h, KindRestore, Wanted{SHA1: digest}); r.State != responder.Verified {
		t.Errorf("giving it back: %s: %s %s", r.State, r.Detail, r.Evidence)
	}
	for _, p := range []string{evil, second} {
		got, err := os.ReadFile(p)
		st, serr := os.Stat(p)
		if err != nil || serr != nil || string(got) != string(content) || st.Sys().(*syscall.Stat_t).Mode&0o7777 != 0o2751 || !st.ModTime().Equal(then) {
			t.Errorf("%s came back otherwise: %v, %v, %v %v", p, err, serr, st.Mode(), st.ModTime())
		}
	}
	if got, err := os.ReadFile(cron); err != nil || string(got) != string(before) {
		t.Errorf("cron came back as %q, %v", got, err)
	}
	return killed
}
