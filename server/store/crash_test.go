package store_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vedette-edr/vedette/server/audit"
	"github.com/vedette-edr/vedette/server/store"
)

// crashEnv makes the test binary write for ever into the directory it names.
const crashEnv = "VEDETTE_STORE_CRASH_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashEnv); dir != "" {
		writeForEver(dir)
	}
	os.Exit(m.Run())
}

func nextRecord(last audit.Record) audit.Record { return audit.Record{Seq: last.Seq + 1} }

// writeForEver appends records from many goroutines and prints the number of each record
// once it was acknowledged.
func writeForEver(dir string) {
	s, err := store.Open(context.Background(), store.Config{Dir: dir})
	if err != nil {
		fmt.Println("open:", err)
		os.Exit(1)
	}
	var out sync.Mutex
	for range 16 {
		go func() {
			for {
				r, err := s.Audit().AppendAudit(context.Background(), tenant, nextRecord)
				out.Lock()
				if err != nil {
					fmt.Println("append:", err)
					os.Exit(1)
				}
				fmt.Println("kept", r.Seq)
				out.Unlock()
			}
		}()
	}
	select {}
}

// TestKill kills a writing process again and again: every record that it said was kept is
// there, and the chain of records has no hole.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	var highest int64
	for round := range 8 {
		acknowledged := runAndKill(t, dir, 40+17*round)
		s := open(t, dir)
		var have int64
		for {
			page, err := s.Audit().AuditRecords(t.Context(), tenant, have, 1000)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range page {
				if r.Seq != have+1 {
					t.Fatalf("record %d is missing", have+1)
				}
				have++
			}
			if len(page) < 1000 {
				break
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		highest = max(highest, acknowledged)
		if have < highest {
			t.Fatalf("round %d: %d records are there, %d were acknowledged", round, have, highest)
		}
	}
}

// runAndKill lets a child write until it has acknowledged n records, kills it, and
// returns the highest record it acknowledged.
func runAndKill(t *testing.T, dir string, n int) int64 {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, exe)
	cmd.Env = append(os.Environ(), crashEnv+"="+dir)
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var highest int64
	lines := bufio.NewScanner(pipe)
	for seen := 0; lines.Scan(); seen++ {
		var seq int64
		if _, err := fmt.Sscanf(lines.Text(), "kept %d", &seq); err != nil {
			if strings.HasPrefix(lines.Text(), "kept") {
				continue // cut off by the kill
			}
			t.Fatalf("the child says %q", lines.Text())
		}
		highest = max(highest, seq)
		if seen == n {
			_ = cmd.Process.Kill()
		}
	}
	_ = cmd.Wait()
	if highest == 0 {
		t.Fatal("the child wrote nothing")
	}
	return highest
}
