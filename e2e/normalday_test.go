package e2e

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// seclude mounts, in the mount namespace it runs in, copies of the directories that a normal day
// writes to over themselves, and becomes bash with what follows.
const seclude = `mount -t tmpfs -o suid,exec,dev tmpfs "$1"
for d in etc usr var root home opt; do
	mkdir -p "$1/$d/up" "$1/$d/work"
	mount -t overlay -o "lowerdir=/$d,upperdir=$1/$d/up,workdir=$1/$d/work" overlay "/$d"
done
mount -t tmpfs tmpfs /run
mkdir -p /run/lock "$1/day"
exec bash "$2" "$1/day" "$3" "$4"`

// TestNormalDay lets a day of ordinary work happen under a real agent: packages, compilers,
// git, editors, backups, log rotation, ssh, cron. Two alerts are the most that it may raise.
func TestNormalDay(t *testing.T) {
	const allowed = 2
	rules := shippedRules(t)
	s := startServer(t)
	startAgent(t, s, "")
	s.onlyDevice(t)

	archive := tarball(t)
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write(archive) }))
	t.Cleanup(web.Close)
	script, err := filepath.Abs("testdata/normalday.sh")
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	day := exec.Command("unshare", "--mount", "--propagation", "private", "sh", "-ec", seclude, "sh",
		t.TempDir(), script, web.URL, fmt.Sprint(freePort(t)))
	day.WaitDelay = 10 * time.Second // whatever a program leaves behind holds its output open
	out, err := day.CombinedOutput()
	if err != nil && !errors.Is(err, exec.ErrWaitDelay) {
		t.Fatalf("the day went wrong: %v\n%s", err, out)
	}
	took := time.Since(began)

	// What comes after the day arrives after it.
	marker := unique("the-day-is-over-")
	command(t, "true", marker)
	s.huntUntil(t, "the day's telemetry", "DeviceProcessEvents | where ProcessCommandLine has '"+marker+"'", func(rows []map[string]any) bool { return len(rows) > 0 })
	own := s.family(t, began)
	if len(own) < 300 {
		t.Errorf("the day is %d processes, too few to be one", len(own))
	}
	raised, others := map[string]int{}, map[string]int{}
	total := 0
	for _, a := range s.alerts(t) {
		rule := ruleOf(rules, a.Title)
		if !own.did(&a) {
			others[rule]++
			t.Logf("not of the day: %s: %s:%s", rule, a.Title, a.about())
			continue
		}
		total++
		raised[rule]++
		t.Logf("%s: %s:%s", rule, a.Title, a.about())
	}
	r := s.hunt(t, fmt.Sprintf("union withsource=T DeviceProcessEvents, DeviceFileEvents, DeviceNetworkEvents, DeviceLogonEvents, DeviceEvents | where Timestamp >= datetime(%s) | count", began.UTC().Format(time.RFC3339Nano)))
	t.Logf("a day of %s and %d processes (%v events with all else that ran here) raised %d alerts: %v; by others on this machine: %v",
		took.Round(time.Second), len(own), r.Results[0]["Count"], total, raised, others)
	if total > allowed {
		t.Errorf("a normal day raised %d alerts, %d are allowed", total, allowed)
	}
}

// tarball is a small archive of sources.
func tarball(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for i := range 20 {
		text := fmt.Sprintf("file %d\n", i)
		if err := w.WriteHeader(&tar.Header{Name: fmt.Sprintf("src/f%d.txt", i), Mode: 0o644, Size: int64(len(text))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
