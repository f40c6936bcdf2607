package agent

import (
	"context"
	"errors"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestALockIsWaitedForAndThenRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	// Another program, so that nothing of this process can let it pass.
	hold := exec.Command("flock", path, "sh", "-c", "echo; read x")
	out, err := hold.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	in, err := hold.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := hold.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); hold.Wait() })
	if _, err := out.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	if _, err := lock(ctx, path, 10*time.Millisecond); err == nil || !strings.Contains(err.Error(), "another agent") {
		t.Fatalf("while another has it: %v", err)
	}
	stopped, stop := context.WithCancel(ctx)
	stop()
	if _, err := lock(stopped, path, time.Minute); !errors.Is(err, context.Canceled) {
		t.Fatalf("when the agent is told to stop: %v", err)
	}
	got := make(chan error, 1)
	go func() {
		unlock, err := lock(ctx, path, time.Minute)
		if err == nil {
			unlock()
		}
		got <- err
	}()
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-got; err != nil {
		t.Errorf("after the other ended: %v", err)
	}
}
