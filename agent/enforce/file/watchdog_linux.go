package file

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The watchdog gets these descriptors: the shared page, and a pipe that ends when the
// agent does.
const (
	pageFd = 3
	pipeFd = 4
)

// How long the agent may show no life, in looks of the watchdog: its own looks are
// counted, and not the clock, so that a machine that slept is not taken for one that hung.
const (
	every    = 500 * time.Millisecond
	lifeless = 10
)

// dog is the agent's end of its watchdog.
type dog struct {
	page []byte // a counter
	pipe *os.File
	cmd  *exec.Cmd
	done chan struct{}
}

// unleash starts the watchdog.
func unleash(cmd *exec.Cmd) (*dog, error) {
	fd, err := unix.MemfdCreate("vedette-alive", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	shared := os.NewFile(uintptr(fd), "alive")
	defer shared.Close()
	if err := shared.Truncate(int64(os.Getpagesize())); err != nil {
		return nil, err
	}
	page, err := unix.Mmap(fd, 0, os.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, os.NewSyscallError("mmap", err)
	}
	binary.NativeEndian.PutUint64(page[8:], uint64(os.Getpid()))
	r, w, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, unix.Munmap(page))
	}
	defer r.Close()
	d := &dog{page: page, pipe: w, cmd: cmd, done: make(chan struct{})}
	cmd.ExtraFiles = []*os.File{shared, r}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(err, w.Close(), unix.Munmap(page))
	}
	go func() {
		_ = cmd.Wait() // however it ended, another is started
		close(d.done)
	}()
	return d, nil
}

func (d *dog) beat() { atomic.AddUint64((*uint64)(unsafe.Pointer(&d.page[0])), 1) }

func (d *dog) ended() bool {
	select {
	case <-d.done:
		return true
	default:
		return false
	}
}

// close sends the watchdog away. Its page stays mapped: who beats at this moment may.
func (d *dog) close() { d.pipe.Close() }

// Watch is the watchdog's work, in a process that the agent started with its descriptors:
// it returns when the agent ends, and kills an agent that shows no life, so that the
// kernel lets go of the programs which wait for its answer.
func Watch() error {
	page, err := unix.Mmap(pageFd, 0, os.Getpagesize(), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return fmt.Errorf("watchdog: not started by an agent: %w", err)
	}
	pid := int(binary.NativeEndian.Uint64(page[8:]))
	if pid != os.Getppid() {
		return nil // it has ended already
	}
	agent, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return os.NewSyscallError("pidfd_open", err)
	}
	life := (*uint64)(unsafe.Pointer(&page[0]))
	last, still := atomic.LoadUint64(life), 0
	for {
		p := []unix.PollFd{{Fd: pipeFd, Events: unix.POLLIN}, {Fd: int32(agent), Events: unix.POLLIN}}
		n, err := unix.Poll(p, int(every/time.Millisecond))
		if err != nil && err != unix.EINTR {
			return os.NewSyscallError("poll", err)
		}
		if n > 0 {
			return nil
		}
		now := atomic.LoadUint64(life)
		if now != last {
			last, still = now, 0
			continue
		}
		if still++; still >= lifeless {
			fmt.Fprintf(os.Stderr, "watchdog: the agent (%d) shows no life; killing it, so that nothing waits for it\n", pid)
			return os.NewSyscallError("pidfd_send_signal", unix.PidfdSendSignal(agent, unix.SIGKILL, nil, 0))
		}
	}
}
