package isolate

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Layout of struct inet_diag_sockid and its neighbours (linux/inet_diag.h).
const (
	idSize      = 48
	requestSize = 8 + idSize // struct inet_diag_req_v2
	answerID    = 4          // offset of the id in struct inet_diag_msg
)

// A session is any TCP state with a peer: not listening, not closed.
const sessionStates = 1<<1 | 1<<2 | 1<<3 | 1<<4 | 1<<5 | 1<<8 | 1<<9 | 1<<11

// destroySessions ends every TCP session of this network namespace that keep does not
// hold on to, at both ends of our side. It returns how many it ended. Sockets that went
// meanwhile do not count; a kernel without CONFIG_INET_DIAG_DESTROY gives EOPNOTSUPP.
func destroySessions(keep func(remote netip.AddrPort) bool) (int, error) {
	c, err := dial(unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return 0, err
	}
	defer c.close()
	n := 0
	for _, family := range []byte{unix.AF_INET, unix.AF_INET6} {
		sockets, err := c.dump(message{
			typ: unix.SOCK_DIAG_BY_FAMILY, flags: unix.NLM_F_REQUEST,
			data: request(family, sessionStates, make([]byte, idSize)), what: "list sockets",
		})
		if err != nil {
			return n, err
		}
		for _, s := range sockets {
			if len(s.data) < answerID+idSize {
				continue
			}
			id := s.data[answerID : answerID+idSize]
			if keep(peer(family, id)) {
				continue
			}
			_, err := c.do(message{
				typ: unix.SOCK_DESTROY, flags: unix.NLM_F_REQUEST | unix.NLM_F_ACK,
				data: request(family, sessionStates, id), what: "destroy session",
			})
			switch {
			case err == nil:
				n++
			case !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.ESTALE):
				return n, fmt.Errorf("session with %v: %w", peer(family, id), err)
			}
		}
	}
	return n, nil
}

func request(family byte, states uint32, id []byte) []byte {
	b := make([]byte, 0, requestSize)
	b = append(b, family, unix.IPPROTO_TCP, 0, 0)
	b = native.AppendUint32(b, states)
	return append(b, id...)
}

func peer(family byte, id []byte) netip.AddrPort {
	port := binary.BigEndian.Uint16(id[2:])
	if family == unix.AF_INET {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(id[20:24])), port)
	}
	return netip.AddrPortFrom(netip.AddrFrom16([16]byte(id[20:36])).Unmap(), port)
}
