package ebpf

import (
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/vedette-edr/vedette/schema/event"
)

// actor is who a record names, nil for nobody: a packet or a connection whose owner was
// not seen. old says that the record's actor was noted before the record was made.
func (n *normaliser) actor(w *bpfWho, old bool) *event.Process {
	if w.Pid == 0 {
		return nil
	}
	r := n.ref(w)
	r.Old = old
	return n.table.Find(r)
}

func (n *normaliser) socket(b []byte) bool {
	e, _ := view[bpfSocketEvent](b)
	if e == nil {
		return false
	}
	kind := bpfEventType(e.Header.Type)
	// An attempt has no local port yet, except that of a datagram socket connected earlier.
	fresh := kind == bpfEventTypeEVENT_LISTEN || kind == bpfEventTypeEVENT_CONNECT && e.LocalPort == 0
	ev := &event.Event{
		Table: event.NetworkEvents, Time: n.clock.wall(e.Header.Time), Boot: int64(e.Header.Time),
		Network: n.network(e), Initiating: n.actor(&e.Header.Who, !fresh),
	}
	var f fields
	switch kind {
	case bpfEventTypeEVENT_CONNECT:
		ev.Action = "ConnectionAttempt"
	case bpfEventTypeEVENT_CONNECTED:
		ev.Action = "ConnectionSuccess"
	case bpfEventTypeEVENT_CONNECT_FAILED:
		ev.Action = "ConnectionFailed"
		if e.Err != 0 {
			f.str("Error", unix.ErrnoName(unix.Errno(e.Err)))
		} else {
			f.str("Error", "Closed") // by its owner, before an answer came
		}
	case bpfEventTypeEVENT_ACCEPT:
		ev.Action = "InboundConnectionAccepted"
	case bpfEventTypeEVENT_LISTEN:
		ev.Action = "ListeningConnectionCreated"
		ev.Network.RemoteIP, ev.Network.RemoteURL = "", ""
	}
	ev.Additional = f.String()
	n.emit(ev)
	return true
}

func (n *normaliser) network(e *bpfSocketEvent) *event.Network {
	remote := netip.AddrFrom16(e.Remote).Unmap()
	return &event.Network{
		RemoteIP: remote.String(), RemotePort: e.RemotePort, RemoteURL: n.names.of(remote, n.cfg.Now()),
		LocalIP: localIP(e), LocalPort: e.LocalPort, Protocol: protocol(e.Protocol),
	}
}

// localIP is "" before the kernel chose one, which it does after the attempt is reported.
func localIP(e *bpfSocketEvent) string {
	if e.Local == [16]byte{} && e.LocalPort == 0 {
		return ""
	}
	return netip.AddrFrom16(e.Local).Unmap().String()
}

func protocol(p uint16) string {
	switch p {
	case unix.IPPROTO_TCP, unix.IPPROTO_MPTCP:
		return "Tcp"
	case unix.IPPROTO_UDP, unix.IPPROTO_UDPLITE:
		return "Udp"
	case unix.IPPROTO_ICMP, unix.IPPROTO_ICMPV6:
		return "Icmp"
	case unix.IPPROTO_SCTP:
		return "Sctp"
	}
	return ""
}
