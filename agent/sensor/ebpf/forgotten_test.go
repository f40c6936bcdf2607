//go:build linux

package ebpf

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/vedette-edr/vedette/schema/event"
)

// Of linux/userfaultfd.h.
const (
	uffdioAPI      = 0xc018aa3f
	uffdioRegister = 0xc020aa00
	uffdioCopy     = 0xc028aa03
)

// heldUnlink deletes args[0] by a name in a page that is not there, so that the call stays in
// flight until the page is given, which is when something comes on standard input. Then it
// removes the directory args[1].
func heldUnlink(args []string) error {
	fd, _, errno := unix.Syscall(unix.SYS_USERFAULTFD, unix.O_CLOEXEC, 0, 0)
	if errno != 0 {
		return fmt.Errorf("userfaultfd: %w", errno)
	}
	api := struct{ api, features, ioctls uint64 }{api: 0xaa}
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, fd, uffdioAPI, uintptr(unsafe.Pointer(&api))); errno != 0 {
		return fmt.Errorf("UFFDIO_API: %w", errno)
	}
	size := os.Getpagesize()
	page, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return err
	}
	at := uint64(uintptr(unsafe.Pointer(&page[0])))
	reg := struct{ start, len, mode, ioctls uint64 }{start: at, len: uint64(size), mode: 1}
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, fd, uffdioRegister, uintptr(unsafe.Pointer(&reg))); errno != 0 {
		return fmt.Errorf("UFFDIO_REGISTER: %w", errno)
	}
	done := make(chan error, 1)
	go func() {
		cwd := unix.AT_FDCWD
		_, _, errno := unix.Syscall(unix.SYS_UNLINKAT, uintptr(cwd), uintptr(at), 0)
		if errno != 0 {
			done <- fmt.Errorf("unlinkat: %w", errno)
			return
		}
		done <- nil
	}()
	var fault [32]byte
	if _, err := unix.Read(int(fd), fault[:]); err != nil {
		return err
	}
	fmt.Println("in flight")
	if _, err := os.Stdin.Read(make([]byte, 1)); err != nil {
		return err
	}
	name := make([]byte, size)
	copy(name, args[0])
	cp := struct {
		dst, src, len, mode uint64
		copied              int64
	}{dst: at, src: uint64(uintptr(unsafe.Pointer(&name[0]))), len: uint64(size)}
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, fd, uffdioCopy, uintptr(unsafe.Pointer(&cp))); errno != 0 {
		return fmt.Errorf("UFFDIO_COPY: %w", errno)
	}
	if err := <-done; err != nil {
		return err
	}
	return unix.Unlinkat(unix.AT_FDCWD, args[1], unix.AT_REMOVEDIR)
}

func TestACallWhoseArgumentsWereDisplacedIsCounted(t *testing.T) {
	dir := t.TempDir()
	file, sub := filepath.Join(dir, "file"), filepath.Join(dir, "sub")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(sub, 0o700); err != nil {
		t.Fatal(err)
	}
	s := newStage(t, Config{})
	s.need("bpf:file")
	cmd := s.command(os.Args[0], file, sub)
	cmd.Env = append(os.Environ(), behaviourEnv+"=held_unlink")
	cmd.Stderr = os.Stderr
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
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatalf("%q, %v; %v", line, err, cmd.Wait())
	}
	// As thousands of calls of others would.
	m := s.sensor.objects.maps.Maps[bpfMapCalls]
	var key uint64
	displaced := 0
	for m.NextKey(nil, &key) == nil {
		if err := m.Delete(key); err != nil {
			t.Fatal(err)
		}
		displaced++
	}
	if displaced != 1 {
		t.Errorf("%d calls were in flight", displaced)
	}
	if _, err := in.Write([]byte("\n")); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(file); !os.IsNotExist(err) {
		t.Fatalf("the file was not deleted: %v", err)
	}
	s.end()
	var counted uint64
	for _, g := range s.gaps {
		if g.Source == "kernel:delete" {
			counted += g.Count
		}
	}
	seen := s.all(func(e *event.Event) bool { return e.Action == "FileDeleted" && e.File.Path == file })
	if counted != 1 || len(seen) != 0 {
		t.Errorf("%d counted and %d seen, want 1 and none; gaps %+v", counted, len(seen), s.gaps)
	}
}
