package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// smallDisk mounts a file system of its own for the test and returns where.
func smallDisk(t testing.TB, mib int) string {
	t.Helper()
	dir := t.TempDir()
	command(t, "mount", "-t", "tmpfs", "-o", fmt.Sprintf("size=%dm,mode=0700", mib), "vedette-e2e", dir)
	t.Cleanup(func() {
		var out []byte
		var err error
		for range 100 { // a worker may take a moment to be gone
			if out, err = exec.Command("umount", dir).CombinedOutput(); err == nil {
				return
			}
			time.Sleep(50 * time.Millisecond)
		}
		t.Errorf("umount %s: %v %s", dir, err, out)
	})
	return dir
}

// fill writes until the disk is full and returns what frees it again.
func fill(t testing.TB, dir string) (free func()) {
	t.Helper()
	name := filepath.Join(dir, "ballast")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for size := 1 << 20; size > 0; size /= 2 { // to the last byte
		for err = nil; err == nil; {
			_, err = f.Write(bytes.Repeat([]byte{1}, size))
		}
		if !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err)
		}
	}
	return func() {
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
}

// TestDiskFull fills the server's disk to the last byte under the load of devices. They
// keep what they have, the server says what is wrong and serves on, and once there is
// room both recover by themselves: nothing is lost, nothing is there twice.
func TestDiskFull(t *testing.T) {
	s := &server{dir: smallDisk(t, 96), addr: fmt.Sprintf("127.0.0.1:%d", freePort(t)), flags: []string{"--disk-reserve", "16"}}
	s.start(t)
	f := startFleet(t, s, 3, nil)
	ctx := context.Background()
	marker := unique("full")
	emitted := map[string]int{}
	emit := func(n int) {
		for _, d := range f.Devices() {
			d.Emit(d.Numbered(marker, emitted[d.Name()], n)...)
			emitted[d.Name()] += n
		}
	}
	emit(500)
	awaitEmptySpools(t, f)
	s.expectOnce(t, f, marker, emitted)

	free := fill(t, s.dir)
	await(t, "/readyz to say that the disk is full", func() error {
		if p := s.part(t, "telemetry"); p.State != "degraded" || !strings.Contains(p.Detail, "disk space") || !strings.Contains(p.Detail, "MiB") {
			return fmt.Errorf("%+v", p)
		}
		return nil
	})
	emit(500)
	for _, d := range f.Devices() {
		await(t, "the spool to keep what the server cannot", func() error {
			if st := d.Spool(); st.Spooled != 1000 || st.Batches == 0 || d.Status().Problem == "" {
				return fmt.Errorf("%+v, problem %q", st, d.Status().Problem)
			}
			return nil
		})
	}
	// What was acknowledged can be read, and reading is not all that works.
	if r := s.hunt(t, fmt.Sprintf(`DeviceProcessEvents | where ProcessCommandLine startswith "%s " | count`, marker)); r.Results[0]["Count"] != float64(1500) {
		t.Errorf("while the disk is full a hunt answers %v", r.Results)
	}
	id := f.Devices()[0].ID()
	if _, err := s.Machine(ctx, id); err != nil {
		t.Errorf("while the disk is full a device cannot be read: %v", err)
	}
	token, err := s.Token(ctx)
	if err != nil {
		t.Fatal(err)
	}
	hc, refused := s.httpClient(t), 0
	for i := range 20 {
		a := s.call(t, hc, token, "POST", "/api/machines/"+id+"/tags", fmt.Sprintf(`{"Value":"full-%d","Action":"Add"}`, i))
		switch {
		case a.status == http.StatusOK:
		case a.status == http.StatusServiceUnavailable && a.header.Get("Retry-After") != "" && strings.Contains(a.Error.Message, "full"):
			refused++
		default:
			t.Fatalf("a write to the control store: %d %s", a.status, a.body)
		}
	}
	if refused == 0 {
		t.Error("no write was refused: the disk was not full")
	}
	if p := s.part(t, "control store"); p.State != "degraded" || !strings.Contains(p.Detail, "full") {
		t.Errorf("the control store says %+v", p)
	}
	if !s.running() {
		t.Fatalf("the server ended: %v", s.err)
	}

	free()
	for _, part := range []string{"telemetry", "control store"} {
		await(t, part+" to recover", func() error {
			if p := s.part(t, part); p.State != "ok" {
				return fmt.Errorf("%+v", p)
			}
			return nil
		})
	}
	emit(100)
	awaitEmptySpools(t, f)
	s.expectOnce(t, f, marker, emitted)
	if _, err := s.Tag(ctx, id, "room again", "Add"); err != nil {
		t.Errorf("a write after the recovery: %v", err)
	}

	// And after a restart everything is still there.
	s.stop()
	s.start(t)
	s.expectOnce(t, f, marker, emitted)
}

// TestDiskFullAtTheStart starts the server on a full disk: it says so and does no harm.
func TestDiskFullAtTheStart(t *testing.T) {
	s := &server{dir: smallDisk(t, 64), addr: fmt.Sprintf("127.0.0.1:%d", freePort(t)), flags: []string{"--disk-reserve", "16"}}
	s.start(t)
	f := newFleet(t, s, 1, nil)
	d := f.Devices()[0]
	marker := unique("start")
	if err := d.Push(context.Background(), d.Numbered(marker, 0, 100)); err != nil {
		t.Fatal(err)
	}
	s.kill()
	free := fill(t, s.dir)
	p := start(t, bin("vedetted"), append([]string{"serve", "--data-dir", s.dir, "--listen", s.addr, "--rate-limit", "off"}, s.flags...)...)
	hc := s.httpClient(t)
	await(t, "the server to serve or to say why not", func() error {
		if !p.running() {
			if !strings.Contains(p.out.String(), "space") && !strings.Contains(p.out.String(), "full") {
				t.Fatalf("the server ended without saying that the disk is full: %v\n%s", p.err, p.out)
			}
			return nil
		}
		resp, err := hc.Get("https://" + s.addr + "/readyz")
		if err == nil {
			resp.Body.Close()
		}
		return err
	})
	t.Logf("on a full disk the server runs: %v", p.running())
	p.kill()
	free()
	s.start(t)
	s.expectOnce(t, f, marker, map[string]int{d.Name(): 100})
}
