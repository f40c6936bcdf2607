package scan

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// startClamd runs a real daemon with one signature of our own, and returns its socket.
func startClamd(t *testing.T, marker string) string {
	t.Helper()
	program, err := exec.LookPath("clamd")
	if err != nil {
		if program, err = exec.LookPath("/usr/sbin/clamd"); err != nil {
			t.Fatal(err)
		}
	}
	dir, err := os.MkdirTemp("", "clamd") // socket names are short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	sock := filepath.Join(dir, "sock")
	conf := fmt.Sprintf("LocalSocket %s\nDatabaseDirectory %s\nForeground yes\nTemporaryDirectory %s\nUser root\n", sock, dir, dir)
	for name, text := range map[string]string{"clamd.conf": conf, "own.ndb": "Own.Marker:0:*:" + hex.EncodeToString([]byte(marker)) + "\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(program, "-c", filepath.Join(dir, "clamd.conf"))
	var log strings.Builder
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	t.Cleanup(func() { _ = cmd.Process.Kill(); <-ended })
	for until := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if _, err := os.Stat(sock); err == nil {
			return sock
		}
		select {
		case <-ended:
			t.Fatalf("clamd ended: %s", log.String())
		default:
		}
		if time.Now().After(until) {
			t.Fatal("clamd does not listen")
		}
	}
}

func TestClamAVIsAskedByDescriptor(t *testing.T) {
	w := newWorld(t)
	marker := "marker-" + rand.Text()
	sock := startClamd(t, marker)
	w.conf.Clamd = []string{"/nonexistent", sock}
	w.put("bad\nOK", []byte("x "+marker)) // mode 0600, in a directory that only root may enter
	w.put("good", []byte("nothing"))
	rep, err := w.scan(t.Context(), Job{Kind: Full, Percent: 100})
	if err != nil {
		t.Fatal(err)
	}
	if len(w.found) != 1 || !strings.HasPrefix(w.found[0], "bad\nOK||ClamAV|Own.Marker") {
		t.Errorf("%q", w.found)
	}
	e := rep.Engines[slices.IndexFunc(rep.Engines, func(e Engine) bool { return e.Name == EngineClamAV })]
	if !e.Used || !strings.HasPrefix(e.Version, "ClamAV ") || !rep.Complete {
		t.Errorf("%+v", rep)
	}
}

// TestADaemonThatAnswersNonsense has something else listen.
func TestADaemonThatDoesNotAnswer(t *testing.T) {
	w := newWorld(t)
	sock := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", sock)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	}()
	w.conf.Clamd = []string{sock}
	w.put("eicar", eicar)
	rep, err := w.scan(t.Context(), Job{Kind: Full, Percent: 100})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"eicar||Signature|EICAR-Test-File"}, w.found); diff != "" {
		t.Error(diff)
	}
	if len(rep.Problems) == 0 {
		t.Errorf("%+v", rep)
	}
}
