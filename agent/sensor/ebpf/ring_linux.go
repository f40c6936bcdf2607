package ebpf

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/ringbuf"
	"golang.org/x/sys/unix"
)

// kernelRing reads the kernel's records. It waits in the runtime's own poller and never in a
// system call: forty waits a second that each hold a processor of the runtime until its
// monitor takes it back cost more than the records of a quiet device.
type kernelRing struct {
	rd   *ringbuf.Reader
	file *os.File // the map, for its readiness alone
	conn syscall.RawConn
	rec  ringbuf.Record
}

func newRing(m *ebpf.Map) (*kernelRing, error) {
	rd, err := ringbuf.NewReader(m)
	if err != nil {
		return nil, fmt.Errorf("ebpf: reading the ring: %w", err)
	}
	// A deadline that is over: the reader returns what there is and does not wait.
	rd.SetDeadline(time.Unix(1, 0))
	r := &kernelRing{rd: rd}
	fd, err := unix.FcntlInt(uintptr(m.FD()), unix.F_DUPFD_CLOEXEC, 0)
	if err == nil {
		err = unix.SetNonblock(fd, true)
		r.file = os.NewFile(uintptr(fd), "ring")
	}
	if err == nil {
		err = r.file.SetReadDeadline(time.Time{}) // fails where the poller did not take it
	}
	if err == nil {
		r.conn, err = r.file.SyscallConn()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("ebpf: waiting for the ring: %w", err), r.close())
	}
	return r, nil
}

// next returns the next record, which is the caller's until the next call, or nil when
// there is none now.
func (r *kernelRing) next() ([]byte, error) {
	err := r.rd.ReadInto(&r.rec)
	switch {
	case err == nil:
		return r.rec.RawSample, nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, nil
	}
	return nil, fmt.Errorf("ebpf: reading the ring: %w", err)
}

// until sets when wait returns at the latest. It is safe beside wait.
func (r *kernelRing) until(t time.Time) error { return r.file.SetReadDeadline(t) }

// wait returns when the kernel says that the ring is worth reading, or at the time that
// until set.
func (r *kernelRing) wait() error {
	asked := false
	err := r.conn.Read(func(uintptr) bool {
		// The first call is before waiting: what arrived since the ring was read to its end
		// may have said so already. The second is after.
		done := asked || r.rd.AvailableBytes() > 0
		asked = true
		return done
	})
	if err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		return nil
	}
	return fmt.Errorf("ebpf: waiting for the ring: %w", err)
}

func (r *kernelRing) close() error {
	err := r.rd.Close()
	if r.file != nil {
		err = errors.Join(err, r.file.Close())
	}
	return err
}
