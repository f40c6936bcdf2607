package netlink

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sys/unix"
)

var native = binary.NativeEndian

// Message is one netlink message, to send or received.
type Message struct {
	Type  uint16
	Flags uint16
	Data  []byte // what follows the netlink header
	What  string // names the message in errors
}

// Conn is a netlink socket of the network namespace that it was dialled in. Requests are
// answered while they are sent, so that reading never has to wait: whatever there is to
// read is there when sendmsg returns. It is safe for concurrent use.
type Conn struct {
	mu   sync.Mutex
	fd   int // -1 once closed
	port uint32
	seq  uint32
}

// Dial opens a socket of a protocol (unix.NETLINK_NETFILTER, …). The caller closes it.
func Dial(protocol int) (*Conn, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, protocol)
	if err != nil {
		return nil, fmt.Errorf("netlink socket: %w", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("netlink bind: %w", err)
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("netlink name: %w", err)
	}
	c := &Conn{fd: fd}
	if sa, ok := name.(*unix.SockaddrNetlink); ok {
		c.port = sa.Pid
	}
	return c, nil
}

// Port is the address that the kernel gave the socket.
func (c *Conn) Port() uint32 { return c.port }

// Close closes the socket; closing again does nothing.
func (c *Conn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fd < 0 {
		return nil
	}
	fd := c.fd
	c.fd = -1
	return unix.Close(fd)
}

// Do sends the messages in one write. It returns every message the kernel answered with,
// up to the end of a dump, and the first error, named after the message it answers.
func (c *Conn) Do(msgs ...Message) ([]Message, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fd < 0 {
		return nil, errors.New("netlink: closed")
	}
	var out []byte
	first := c.seq + 1
	dump := false
	for _, m := range msgs {
		c.seq++
		out = appendMessage(out, m, c.seq)
		dump = dump || m.Flags&unix.NLM_F_DUMP == unix.NLM_F_DUMP
	}
	if err := unix.Sendto(c.fd, out, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil, fmt.Errorf("netlink send: %w", err)
	}
	var answers []Message
	var failed error
	torn := false
	buf := make([]byte, 64<<10)
	for {
		// A dump goes on while it is read, and each part is there when the last was read.
		n, _, err := unix.Recvfrom(c.fd, buf, unix.MSG_DONTWAIT)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EAGAIN):
			if dump && failed == nil {
				return answers, errors.New("netlink: a dump ended early")
			}
			if failed == nil && torn {
				failed = errTorn
			}
			return answers, failed
		case err != nil:
			return answers, fmt.Errorf("netlink receive: %w", err)
		}
		for b := buf[:n]; len(b) >= unix.NLMSG_HDRLEN; {
			size := int(native.Uint32(b))
			if size < unix.NLMSG_HDRLEN || size > len(b) {
				return answers, errors.New("netlink: malformed answer")
			}
			flags := native.Uint16(b[6:])
			typ, seq, data := native.Uint16(b[4:]), native.Uint32(b[8:]), b[unix.NLMSG_HDRLEN:size]
			b = b[min(len(b), align(size)):]
			if i := int(seq) - int(first); i < 0 || i >= len(msgs) {
				continue
			}
			torn = torn || flags&unix.NLM_F_DUMP_INTR != 0
			switch {
			case typ == unix.NLMSG_DONE:
				dump = false
			case typ == unix.NLMSG_ERROR && len(data) >= 4:
				if code := int32(native.Uint32(data)); code != 0 && failed == nil {
					failed = fmt.Errorf("%s: %w", msgs[seq-first].What, unix.Errno(-code))
					dump = false
				}
			default:
				answers = append(answers, Message{Type: typ, Data: append([]byte(nil), data...)})
			}
		}
	}
}

// errTorn says that what was listed changed while it was listed.
var errTorn = errors.New("netlink: the listing changed while it was read")

// Dump lists, and starts again when the list changed meanwhile.
func (c *Conn) Dump(m Message) (answers []Message, err error) {
	m.Flags |= unix.NLM_F_DUMP
	for range 20 {
		if answers, err = c.Do(m); !errors.Is(err, errTorn) {
			break
		}
	}
	return answers, err
}

func appendMessage(out []byte, m Message, seq uint32) []byte {
	size := unix.NLMSG_HDRLEN + len(m.Data)
	out = native.AppendUint32(out, uint32(size))
	out = native.AppendUint16(out, m.Type)
	out = native.AppendUint16(out, m.Flags)
	out = native.AppendUint32(out, seq)
	out = native.AppendUint32(out, 0)
	out = append(out, m.Data...)
	return append(out, make([]byte, align(size)-size)...)
}

func align(n int) int { return (n + 3) &^ 3 }

// Attr encodes one netlink attribute.
func Attr(typ uint16, data ...[]byte) []byte {
	size := 4
	for _, d := range data {
		size += len(d)
	}
	out := native.AppendUint16(make([]byte, 0, align(size)), uint16(size))
	out = native.AppendUint16(out, typ)
	for _, d := range data {
		out = append(out, d...)
	}
	return append(out, make([]byte, align(size)-size)...)
}

// Nested encodes an attribute that holds attributes.
func Nested(typ uint16, data ...[]byte) []byte { return Attr(typ|unix.NLA_F_NESTED, data...) }

// Attrs calls f for each attribute of b and stops at the first malformed one.
func Attrs(b []byte, f func(typ uint16, data []byte)) {
	for len(b) >= 4 {
		size := int(native.Uint16(b))
		if size < 4 || size > len(b) {
			return
		}
		f(native.Uint16(b[2:])&^(unix.NLA_F_NESTED|unix.NLA_F_NET_BYTEORDER), b[4:size])
		b = b[min(len(b), align(size)):]
	}
}
