package remediate

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vedette-edr/vedette/mounttest"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/vedette-edr/vedette/agent/hash"
	"github.com/vedette-edr/vedette/agent/inventory/software"
	"github.com/vedette-edr/vedette/agent/quarantine"
	"github.com/vedette-edr/vedette/agent/responder"
)

func TestWhatMustStayIsRefused(t *testing.T) {
	d := newDevice(t)
	owned, digest := d.program("usr/bin/tool", "/bin/true")
	raw, _ := os.ReadFile(owned)
	elsewhere := d.put("tmp/tool", raw, 0o755)
	shipped := software.Owner{Package: "coreutils"}
	d.conf.Owners = func(_ context.Context, paths []string) (map[string]software.Owner, error) {
		out := map[string]software.Owner{}
		if slices.Contains(paths, owned) {
			out[owned] = shipped
		}
		return out, nil
	}
	_, ended := d.start(elsewhere) // true ends by itself; it must not be waited for
	<-ended
	r, _ := d.do(d.handler(), KindQuarantine, Target{SHA1: digest})
	if r.State != responder.Refused || !strings.Contains(r.Detail, "coreutils") {
		t.Errorf("a package's file: %s: %s", r.State, r.Detail)
	}
	for _, p := range []string{owned, elsewhere} {
		if st, err := os.Stat(p); err != nil || st.Mode().Perm() != 0o755 {
			t.Errorf("%s: %v %v", p, st, err)
		}
	}
	// What stands in the place of a package's file is no reason to spare its copies.
	shipped.MD5 = strings.Repeat("0", 32)
	r, e := d.do(d.handler(), KindQuarantine, Target{SHA1: digest})
	if r.State != responder.Applied || !strings.Contains(r.Detail, "installed again") {
		t.Errorf("a changed file of a package: %s: %s\n%s", r.State, r.Detail, r.Evidence)
	}
	gone(t, elsewhere)
	if _, err := os.Stat(owned); err != nil {
		t.Error(err)
	}
	_ = e

	own, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	d.put("tmp/agent", own, 0o755)
	if r, _ := d.do(d.handler(), KindQuarantine, Target{SHA1: digestOf(own)}); r.State != responder.Refused {
		t.Errorf("the agent's own program: %s: %s", r.State, r.Detail)
	}
	for name, target := range map[string]Target{
		"no digest": {}, "a short digest": {SHA1: "abc"}, "the empty file": {SHA1: emptySHA1}, "the empty file by SHA-256": {SHA256: emptySHA256},
		"a relative path": {SHA1: digest, Paths: []string{"etc"}}, "a negative size": {SHA1: digest, Size: -1},
	} {
		if r, _ := d.do(d.handler(), KindQuarantine, target); r.State != responder.Refused || r.Detail == "" {
			t.Errorf("%s: %s: %s", name, r.State, r.Detail)
		}
	}
	if r, _ := d.do(d.handler(), KindQuarantine, Target{SHA1: strings.Repeat("1", 40)}); r.State != responder.Failed || !strings.Contains(r.Detail, "no file") {
		t.Errorf("a file that is nowhere: %s: %s", r.State, r.Detail)
	}
	if r, _ := d.do(d.handler(), KindRestore, Wanted{SHA1: strings.Repeat("1", 40)}); r.State != responder.Refused {
		t.Errorf("nothing to restore: %s: %s", r.State, r.Detail)
	}
}

func TestAFullVaultChangesNothing(t *testing.T) {
	d := newDevice(t)
	path, digest := d.program("opt/evil", "/bin/sleep")
	before := look(t, path)
	pid, ended := d.start(path, "600")
	d.vault.MaxBytes = 1000
	r, _ := d.do(d.handler(), KindQuarantine, Target{SHA1: digest})
	if r.State != responder.Failed || !strings.Contains(r.Detail, "room") {
		t.Errorf("%s: %s\n%s", r.State, r.Detail, r.Evidence)
	}
	if diff := cmp.Diff(before, look(t, path)); diff != "" {
		t.Error(diff)
	}
	select {
	case err := <-ended:
		t.Fatalf("the process ended: %v", err)
	default:
	}
	await(t, "the process to go on", func() bool {
		raw, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		return bytes.Contains(raw, []byte(") S "))
	})
}

// TestADiskThatFillsUp has the vault on a file system of 256 KiB.
func TestADiskThatFillsUp(t *testing.T) {
	d := newDevice(t)
	small := filepath.Join(d.state, "quarantine")
	if err := os.MkdirAll(small, 0o700); err != nil {
		t.Fatal(err)
	}
	mounttest.At(t, small, "tmpfs", "size=256k")
	d.vault.Reserve = 1
	content := make([]byte, 250_000)
	rand.Read(content)
	path := d.put("tmp/evil", content, 0o755)
	before := look(t, path)
	h := d.handler()
	r, _ := d.do(h, KindQuarantine, Target{SHA1: digestOf(content)})
	if r.State != responder.Failed || !strings.Contains(r.Detail, "no space") && !strings.Contains(r.Detail, "room") {
		t.Errorf("%s: %s", r.State, r.Detail)
	}
	if diff := cmp.Diff(before, look(t, path)); diff != "" {
		t.Error(diff)
	}
}

func TestAFileThatIsSwappedMeanwhile(t *testing.T) {
	d := newDevice(t)
	path, digest := d.program("tmp/evil", "/bin/true")
	precious := d.put("etc/precious", []byte("keep me"), 0o644)
	h := d.handler()
	// Between find and take the name becomes a link to something else.
	hunt := h.Remediator.find(t.Context(), Target{SHA1: digest, Size: d.sizes[digest]})
	defer hunt.close()
	if len(hunt.found) != 1 {
		t.Fatalf("found %d", len(hunt.found))
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(precious, path); err != nil {
		t.Fatal(err)
	}
	rec, err := h.Remediator.ledger.load("swap")
	if err != nil {
		t.Fatal(err)
	}
	out := &Outcome{}
	j := &removal{r: h.Remediator, ctx: t.Context(), rec: rec, out: out, ids: map[inode]bool{}, items: map[inode]string{}, spared: map[string]bool{}}
	if !j.round(hunt) || out.Evidence.Files[0].State != Kept {
		t.Errorf("%+v", out)
	}
	if got, err := os.ReadFile(precious); err != nil || string(got) != "keep me" {
		t.Errorf("%q %v", got, err)
	}
	if st, err := os.Stat(precious); err != nil || st.Mode().Perm() != 0o644 {
		t.Errorf("%v %v", st.Mode(), err)
	}
	if to, err := os.Readlink(path); err != nil || to != precious {
		t.Errorf("the link: %q %v", to, err)
	}
}

func TestRestoreOverwritesNothingAndHeedsIndicators(t *testing.T) {
	d := newDevice(t)
	path, digest := d.program("tmp/evil", "/bin/true")
	if r, _ := d.do(d.handler(), KindQuarantine, Target{SHA1: digest}); r.State != responder.Verified {
		t.Fatalf("%s: %s", r.State, r.Detail)
	}
	d.conf.Blocked = func(hash.Sums) (int64, bool) { return 7, true }
	if r, _ := d.do(d.handler(), KindRestore, Wanted{SHA1: digest}); r.State != responder.Refused || !strings.Contains(r.Detail, "indicator 7") {
		t.Errorf("%s: %s", r.State, r.Detail)
	}
	d.conf.Blocked = nil
	d.put("tmp/evil", []byte("another"), 0o644)
	if r, _ := d.do(d.handler(), KindRestore, Wanted{SHA1: digest}); r.State != responder.Failed || !strings.Contains(r.Detail, "another file") {
		t.Errorf("%s: %s", r.State, r.Detail)
	}
	if got, _ := os.ReadFile(path); string(got) != "another" {
		t.Errorf("it is %q", got)
	}
}

func TestSparseGiantsAndSpecialFilesDoNotHoldItUp(t *testing.T) {
	d := newDevice(t)
	giant := d.put("tmp/giant", nil, 0o644)
	if err := os.Truncate(giant, 10<<30); err != nil {
		t.Fatal(err)
	}
	d.put("tmp/nothing", nil, 0o644)
	if err := unix.Mkfifo(filepath.Join(d.dir, "tmp/pipe"), 0o666); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mknod(filepath.Join(d.dir, "tmp/device"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 8))); err != nil {
		t.Log("no device files here:", err)
	}
	if err := os.Symlink("/", filepath.Join(d.dir, "tmp/root")); err != nil {
		t.Fatal(err)
	}
	path, digest := d.program("tmp/evil", "/bin/true")
	begin := time.Now()
	r, e := d.do(d.handler(), KindQuarantine, Target{SHA1: digest})
	if r.State != responder.Verified || !e.Search.BySize || !e.Search.Complete {
		t.Errorf("%s: %s %+v", r.State, r.Detail, e.Search)
	}
	gone(t, path)
	if took := time.Since(begin); took > time.Minute {
		t.Errorf("it took %v", took)
	}
	r, e = d.do(d.handler(), KindQuarantine, Target{SHA1: strings.Repeat("2", 40)})
	if r.State != responder.Failed || e.Search.Complete || !strings.Contains(r.Detail, "256 MiB") {
		t.Errorf("the giant that was not read is not told: %s: %s %+v", r.State, r.Detail, e.Search)
	}
	// Asked for by name it does not fit, which is said.
	large := d.put("tmp/large", nil, 0o644)
	if err := os.Truncate(large, 300<<20); err != nil {
		t.Fatal(err)
	}
	d.vault.MaxBytes = 100 << 20
	r, _ = d.do(d.handler(), KindQuarantine, Target{SHA1: digestOf(make([]byte, 300<<20)), Paths: []string{large}})
	if r.State != responder.Failed || !strings.Contains(r.Detail, "room") {
		t.Errorf("a file larger than the vault: %s: %s", r.State, r.Detail)
	}
	if st, err := os.Stat(large); err != nil || st.Mode().Perm() != 0o644 {
		t.Errorf("%v %v", st, err)
	}
}

// TestAnAgentThatEndsInTheMiddleLosesNothing has it end right after something was taken and
// before that was written down.
func TestAnAgentThatEndsInTheMiddleLosesNothing(t *testing.T) {
	d := newDevice(t)
	path, digest := d.program("opt/evil", "/bin/true")
	before := look(t, path)
	cron := d.put("etc/crontab", []byte("* * * * * root "+path+"\n"), 0o644)
	unit := d.put("etc/systemd/system/evil.service", []byte("[Service]\nExecStart="+path+"\n"), 0o644)
	h := d.handler()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	const command = "5cf5a1c5-3f4b-4b3c-9b65-9a30b3a1b2c3"
	if _, err := h.Remediator.cfg.Vault.Take(t.Context(), quarantine.Source{File: f, Path: path}, quarantine.Reason{Command: command}); err != nil {
		t.Fatal(err)
	}
	run := func(kind string, params any) responder.Result {
		raw, err := json.Marshal(params)
		if err != nil {
			t.Fatal(err)
		}
		return d.handler().Handle(t.Context(), responder.Command{ID: command, Kind: kind, Params: raw})
	}
	if r := run(KindQuarantine, Target{SHA1: digest, Size: d.sizes[digest]}); r.State != responder.Verified || !strings.Contains(string(r.Evidence), "already") {
		t.Fatalf("again: %s: %s\n%s", r.State, r.Detail, r.Evidence)
	}
	gone(t, unit)
	if got, _ := os.ReadFile(cron); len(got) != 0 {
		t.Errorf("the crontab is %q", got)
	}
	// The unit was taken, and that was not written down.
	l := d.handler().Remediator.ledger
	rec, err := l.load(command)
	if err != nil {
		t.Fatal(err)
	}
	blanked := 0
	for i := range rec.Changes {
		if rec.Changes[i].Whole {
			rec.Changes[i].Item, blanked = "", blanked+1
		}
	}
	if blanked != 1 || len(rec.Items) != 1 {
		t.Fatalf("the ledger has %+v", rec)
	}
	rec.Items = nil
	if err := l.save(rec); err != nil {
		t.Fatal(err)
	}
	if r := run(KindRestore, Wanted{SHA1: digest}); r.State != responder.Verified {
		t.Fatalf("restore: %s: %s\n%s", r.State, r.Detail, r.Evidence)
	}
	if diff := cmp.Diff(before, look(t, path)); diff != "" {
		t.Error(diff)
	}
	for p, want := range map[string]string{cron: "* * * * * root " + path + "\n", unit: "[Service]\nExecStart=" + path + "\n"} {
		if got, err := os.ReadFile(p); err != nil || string(got) != want {
			t.Errorf("%s is %q, %v", p, got, err)
		}
	}
}

// TestAFileIsNotGivenBackThroughALinkOfAUser has a user turn the directory elsewhere.
func TestAFileIsNotGivenBackThroughALinkOfAUser(t *testing.T) {
	d := newDevice(t)
	path, digest := d.program("home/ann/dir/evil", "/bin/true")
	second := filepath.Join(d.dir, "home/ann/other/evil")
	if err := os.MkdirAll(filepath.Dir(second), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(path, second); err != nil {
		t.Fatal(err)
	}
	if r, _ := d.do(d.handler(), KindQuarantine, Target{SHA1: digest}); r.State != responder.Verified {
		t.Fatalf("%s: %s", r.State, r.Detail)
	}
	precious := filepath.Join(d.dir, "etc/cron.d")
	if err := os.MkdirAll(precious, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{filepath.Dir(path), filepath.Dir(second)} {
		if err := os.Remove(dir); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(precious, dir); err != nil {
			t.Fatal(err)
		}
		if err := os.Lchown(dir, 1000, 1000); err != nil {
			t.Fatal(err)
		}
	}
	if r, _ := d.do(d.handler(), KindRestore, Wanted{SHA1: digest}); r.State != responder.Failed || !strings.Contains(r.Detail, "link") {
		t.Errorf("%s: %s", r.State, r.Detail)
	}
	if left, _ := os.ReadDir(precious); len(left) != 0 {
		t.Errorf("it was made in %q", left)
	}
	// A link of root's own, in a directory of root's, is a name like any other.
	if err := os.Remove(filepath.Dir(path)); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(precious, filepath.Dir(path)); err != nil {
		t.Fatal(err)
	}
	// The second name leads through the user's link still: it is left, and told.
	r, e := d.do(d.handler(), KindRestore, Wanted{SHA1: digest})
	if r.State != responder.Applied || len(e.Files) != 2 || e.Files[0].State != Restored || e.Files[1].State != Left {
		t.Errorf("%s: %s\n%s", r.State, r.Detail, r.Evidence)
	}
}
