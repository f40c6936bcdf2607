package audit

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// The audit netlink protocol, as far as it is spoken here (linux/audit.h).
const (
	groupReadLog = 1 // AUDIT_NLGRP_READLOG

	msgGet     = 1000
	msgSet     = 1001
	msgAddRule = 1011
	msgDelRule = 1012

	statusEnabled = 1 // AUDIT_STATUS_ENABLED

	filterTask  = 1 // AUDIT_FILTER_TASK
	actionNever = 0 // AUDIT_NEVER
	ruleSize    = 12 + 4*64*4 + 4

	receiveBuffer = 4 << 20 // bytes; a record is about 300
)

var native = binary.NativeEndian

// status is the part of struct audit_status that matters here.
type status struct {
	Enabled uint32 // 0 off, 1 on, 2 on and locked
	PID     uint32 // of the audit daemon, 0 for none
	Lost    uint32 // records the kernel dropped since boot, for want of room in its queue
}

func (s status) unowned() bool { return s.PID == 0 && s.Enabled == 0 }

// dial opens an audit netlink socket. Groups is a bit mask; 0 makes a control socket.
func dial(groups uint32) (*os.File, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_AUDIT)
	if err != nil {
		return nil, fmt.Errorf("audit socket: %w", err)
	}
	if groups != 0 {
		// A burst of logons must not be lost while the agent is starved of the processor.
		if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBuffer) != nil {
			_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer)
		}
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: groups}); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("audit group: %w", err)
	}
	return os.NewFile(uintptr(fd), "audit"), nil
}

// receive reads one datagram of the kernel into buf. ENOBUFS means that records were lost.
func receive(f *os.File, buf []byte) (typ uint16, payload []byte, err error) {
	conn, err := f.SyscallConn()
	if err != nil {
		return 0, nil, err
	}
	for {
		var n int
		var from unix.Sockaddr
		var rerr error
		err = conn.Read(func(fd uintptr) bool {
			n, from, rerr = unix.Recvfrom(int(fd), buf, 0)
			return !errors.Is(rerr, unix.EAGAIN)
		})
		if err != nil {
			return 0, nil, err
		}
		if errors.Is(rerr, unix.EINTR) {
			continue
		}
		if rerr != nil {
			return 0, nil, rerr
		}
		// Only the kernel has port 0; another process could have sent to our port.
		if sa, ok := from.(*unix.SockaddrNetlink); !ok || sa.Pid != 0 || n < unix.NLMSG_HDRLEN {
			continue
		}
		// The header's length is not trusted: kernels disagree whether it counts the header.
		return native.Uint16(buf[4:6]), buf[unix.NLMSG_HDRLEN:n], nil
	}
}

// control is a request-and-answer connection to the audit system.
type control struct {
	f   *os.File
	seq uint32
}

func openControl() (*control, error) {
	f, err := dial(0)
	if err != nil {
		return nil, err
	}
	return &control{f: f}, nil
}

func (c *control) Close() error { return c.f.Close() }

// request sends one message and returns the first answer of type want, or, when want is
// 0, nil once the kernel has acknowledged.
func (c *control) request(typ uint16, flags uint16, body []byte, want uint16) ([]byte, error) {
	c.seq++
	msg := make([]byte, unix.NLMSG_HDRLEN, unix.NLMSG_HDRLEN+len(body))
	native.PutUint32(msg[0:], uint32(unix.NLMSG_HDRLEN+len(body)))
	native.PutUint16(msg[4:], typ)
	native.PutUint16(msg[6:], unix.NLM_F_REQUEST|flags)
	native.PutUint32(msg[8:], c.seq)
	msg = append(msg, body...)
	deadline := time.Now().Add(5 * time.Second)
	if err := c.f.SetDeadline(deadline); err != nil {
		return nil, err
	}
	conn, err := c.f.SyscallConn()
	if err != nil {
		return nil, err
	}
	var serr error
	err = conn.Write(func(fd uintptr) bool {
		serr = unix.Sendto(int(fd), msg, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
		return !errors.Is(serr, unix.EAGAIN)
	})
	if err = errors.Join(err, serr); err != nil {
		return nil, err
	}
	buf := make([]byte, 16<<10)
	for {
		got, payload, err := receive(c.f, buf)
		if err != nil {
			return nil, err
		}
		if native.Uint32(buf[8:12]) != c.seq {
			continue
		}
		switch {
		case got == unix.NLMSG_ERROR && len(payload) >= 4:
			if code := int32(native.Uint32(payload)); code != 0 {
				return nil, unix.Errno(-code)
			}
			if want == 0 {
				return nil, nil
			}
		case want != 0 && got == want:
			return append([]byte(nil), payload...), nil
		}
	}
}

func (c *control) status() (status, error) {
	b, err := c.request(msgGet, 0, nil, msgGet)
	if err != nil {
		return status{}, fmt.Errorf("audit status: %w", err)
	}
	if len(b) < 28 {
		return status{}, fmt.Errorf("audit status: %w", errMalformed)
	}
	return status{Enabled: native.Uint32(b[4:]), PID: native.Uint32(b[12:]), Lost: native.Uint32(b[24:])}, nil
}

// enable sets only the enabled flag: the daemon's pid is never touched.
func (c *control) enable(on uint32) error {
	body := make([]byte, 40) // struct audit_status up to backlog_wait_time
	native.PutUint32(body[0:], statusEnabled)
	native.PutUint32(body[4:], on)
	if _, err := c.request(msgSet, unix.NLM_F_ACK, body, 0); err != nil {
		return fmt.Errorf("audit enable: %w", err)
	}
	return nil
}

// taskNever adds (or deletes) the rule "task,never": no new process gets an audit context.
// Without it, enabling audit slows every system call of every process made from then on;
// with it, system calls are as unaudited as they were before anybody enabled audit.
func (c *control) taskNever(typ uint16) error {
	body := make([]byte, ruleSize)
	native.PutUint32(body[0:], filterTask)
	native.PutUint32(body[4:], actionNever)
	_, err := c.request(typ, unix.NLM_F_ACK, body, 0)
	return err
}

// await blocks until a record arrives, the deadline passes or ctx ends.
func await(ctx context.Context, f *os.File, buf []byte, deadline time.Time) (uint16, []byte, error) {
	if err := f.SetReadDeadline(deadline); err != nil {
		return 0, nil, err
	}
	// Whoever ends ctx moves the deadline into the past afterwards, so that looking after
	// setting it leaves no moment in which the end is missed.
	if ctx.Err() != nil {
		return 0, nil, ctx.Err()
	}
	typ, p, err := receive(f, buf)
	if ctx.Err() != nil {
		return 0, nil, ctx.Err()
	}
	return typ, p, err
}
