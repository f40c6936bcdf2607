package hash

import (
	"errors"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// deaf mounts a file system that never answers and returns a name in it. wake ends it.
func deaf(t *testing.T) (name string, wake func()) {
	t.Helper()
	fd, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Skip("no FUSE: ", err)
	}
	dir := t.TempDir()
	opts := fmt.Sprintf("fd=%d,rootmode=40000,user_id=0,group_id=0", fd)
	if err := unix.Mount("deaf", dir, "fuse", unix.MS_NOSUID|unix.MS_NODEV, opts); err != nil {
		unix.Close(fd)
		t.Skip("cannot mount FUSE: ", err)
	}
	open := true
	wake = func() {
		if open {
			open = false
			unix.Close(fd) // every request fails now
			unix.Unmount(dir, unix.MNT_DETACH)
		}
	}
	t.Cleanup(wake)
	return filepath.Join(dir, "program"), wake
}

func TestAFileSystemThatDoesNotAnswerHoldsUpNobodyElse(t *testing.T) {
	name, wake := deaf(t)
	p := NewPool(Config{Workers: 1, Patience: 50 * time.Millisecond})
	t.Cleanup(p.Close)
	bad := ID{Dev: 1 << 40, Ino: 1, Size: 1}
	if r := ask(t, p, bad, name); !errors.Is(r.err, ErrStuck) {
		t.Fatalf("of the deaf file system: %+v", r)
	}
	if r := ask(t, p, ID{Dev: bad.Dev, Ino: 2}, name); !errors.Is(r.err, ErrStuck) {
		t.Errorf("another file there: %+v", r)
	}
	good := filepath.Join(t.TempDir(), "good")
	if r := ask(t, p, write(t, good, []byte("x")), good); r.err != nil || r.sums.MD5 != tool(t, "md5sum", good) {
		t.Errorf("elsewhere: %+v", r)
	}
	wake()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if r := ask(t, p, bad, name); !errors.Is(r.err, ErrStuck) {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the device is given up for ever")
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stuck != 0 || p.joined != 0 || len(p.running) != 0 {
		t.Errorf("%d stuck, %d joined, %d running", p.stuck, p.joined, len(p.running))
	}
}

func TestCloseDoesNotWaitForAReadThatDoesNotEnd(t *testing.T) {
	name, _ := deaf(t)
	p := NewPool(Config{Workers: 1, Patience: time.Hour})
	if err := p.Submit(ID{Size: 1}, []string{name}, func(Sums, error) {}); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { p.Close(); close(done) }()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Error("Close hangs")
	}
}

func TestCallersThatJoinAreBounded(t *testing.T) {
	p := NewPool(Config{Workers: 1, Queue: 8})
	t.Cleanup(p.Close)
	hold, held := make(chan struct{}), make(chan struct{})
	if err := p.Submit(ID{Ino: 1}, nil, func(Sums, error) { close(held); <-hold }); err != nil {
		t.Fatal(err)
	}
	<-held
	var told atomic.Int64
	taken, busy := int64(0), 0
	for i := range 1000 {
		switch err := p.Submit(ID{Ino: 2}, []string{fmt.Sprint("/absent/", i)}, func(Sums, error) { told.Add(1) }); err {
		case nil:
			taken++
		case ErrBusy:
			busy++
		default:
			t.Fatal(err)
		}
	}
	if taken != 9 || busy != 991 {
		t.Errorf("%d taken, %d refused", taken, busy)
	}
	close(hold)
	for end := time.Now().Add(20 * time.Second); told.Load() != taken; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d of %d told", told.Load(), taken)
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.joined != 0 {
		t.Errorf("%d still counted", p.joined)
	}
}
