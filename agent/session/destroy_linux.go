package session

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/vedette-edr/vedette/agent/netlink"
)

var native = binary.NativeEndian

// Layout of struct inet_diag_sockid and its neighbours (linux/inet_diag.h).
const (
	idSize      = 48
	requestSize = 8 + idSize // struct inet_diag_req_v2
	answerID    = 4          // offset of the id in struct inet_diag_msg
)

// Protocol is a transport whose sessions can be ended.
type Protocol byte

// The protocols. A session of UDP is a connected socket.
const (
	TCP Protocol = unix.IPPROTO_TCP
	UDP Protocol = unix.IPPROTO_UDP
)

// states selects sockets with a peer. Of TCP: not listening, not closed. A connected
// datagram socket counts as established.
func (p Protocol) states() uint32 {
	if p == UDP {
		return 1 << 1
	}
	return 1<<1 | 1<<2 | 1<<3 | 1<<4 | 1<<5 | 1<<8 | 1<<9 | 1<<11
}

// Destroy ends the sessions of the calling thread's network namespace whose peer is
// chosen, and returns how many it ended. Sockets that went meanwhile do not count; a
// kernel without CONFIG_INET_DIAG_DESTROY gives EOPNOTSUPP.
func Destroy(chosen func(remote netip.AddrPort) bool, protocols ...Protocol) (int, error) {
	return destroyAll(byRemote(chosen), protocols)
}

// choice says whether the session between two ends is to be ended.
type choice func(local, remote netip.AddrPort) bool

func byRemote(chosen func(netip.AddrPort) bool) choice {
	return func(_, remote netip.AddrPort) bool { return chosen(remote) }
}

func destroyAll(chosen choice, protocols []Protocol) (int, error) {
	c, err := netlink.Dial(unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	n := 0
	for _, p := range protocols {
		for _, family := range []byte{unix.AF_INET, unix.AF_INET6} {
			k, err := destroy(c, p, family, chosen)
			n += k
			if err != nil {
				return n, err
			}
		}
	}
	return n, nil
}

func destroy(c *netlink.Conn, p Protocol, family byte, chosen choice) (n int, err error) {
	sockets, err := c.Dump(netlink.Message{
		Type: unix.SOCK_DIAG_BY_FAMILY, Flags: unix.NLM_F_REQUEST,
		Data: request(p, family, make([]byte, idSize)), What: "list sockets",
	})
	if err != nil {
		return 0, err
	}
	for _, s := range sockets {
		if len(s.Data) < answerID+idSize {
			continue
		}
		id := s.Data[answerID : answerID+idSize]
		if !chosen(own(family, id), peer(family, id)) {
			continue
		}
		_, err := c.Do(netlink.Message{
			Type: unix.SOCK_DESTROY, Flags: unix.NLM_F_REQUEST | unix.NLM_F_ACK,
			Data: request(p, family, id), What: "destroy session",
		})
		switch {
		case err == nil:
			n++
		case !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.ESTALE):
			return n, fmt.Errorf("session with %v: %w", peer(family, id), err)
		}
	}
	return n, nil
}

func request(p Protocol, family byte, id []byte) []byte {
	b := make([]byte, 0, requestSize)
	b = append(b, family, byte(p), 0, 0)
	b = native.AppendUint32(b, p.states())
	return append(b, id...)
}

func own(family byte, id []byte) netip.AddrPort {
	port := binary.BigEndian.Uint16(id)
	if family == unix.AF_INET {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(id[4:8])), port)
	}
	return netip.AddrPortFrom(netip.AddrFrom16([16]byte(id[4:20])).Unmap(), port)
}

func peer(family byte, id []byte) netip.AddrPort {
	port := binary.BigEndian.Uint16(id[2:])
	if family == unix.AF_INET {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(id[20:24])), port)
	}
	return netip.AddrPortFrom(netip.AddrFrom16([16]byte(id[20:36])).Unmap(), port)
}
