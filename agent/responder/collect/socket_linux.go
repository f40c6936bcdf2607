package collect

import (
	"cmp"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/vedette-edr/vedette/agent/netlink"
)

var native = binary.NativeEndian

// owner is a process that holds a socket.
type owner struct {
	pid  uint32
	name string
	exe  string
}

// owners says which processes hold which socket, by its inode.
func (d *device) owners(t *Task) (map[string][]owner, error) {
	pids, err := d.pids()
	if err != nil {
		return nil, err
	}
	out := map[string][]owner{}
	for _, pid := range pids {
		if err := t.ctx.Err(); err != nil {
			return nil, err
		}
		s, ok := d.procStat(pid)
		if !ok {
			continue
		}
		exe, _ := os.Readlink(d.path("proc/" + itoa(pid) + "/exe"))
		fds, _ := d.descriptors(pid)
		for _, fd := range fds {
			target, err := os.Readlink(d.path(fmt.Sprintf("proc/%d/fd/%d", pid, fd)))
			if err != nil || !strings.HasPrefix(target, "socket:[") {
				continue
			}
			inode := strings.Trim(target[len("socket:"):], "[]")
			o := owner{pid, s.Comm, exe}
			if !slices.Contains(out[inode], o) {
				out[inode] = append(out[inode], o)
			}
		}
	}
	return out, nil
}

// cells are the columns of a socket's owners.
func cells(list []owner) (pids, names, exes string) {
	var p, n, e []string
	for _, o := range list {
		p = append(p, itoa(o.pid))
		n = append(n, o.name)
		e = append(e, o.exe)
	}
	slices.Sort(n)
	slices.Sort(e)
	return strings.Join(p, " "), strings.Join(slices.Compact(n), " "), strings.Join(slices.Compact(e), " ")
}

// socket is one socket of the internet families.
type socket struct {
	protocol, state string
	local, remote   netip.AddrPort
	iface           uint32
	received, sent  uint32 // bytes waiting
	uid             uint32
	inode           string
}

// tcpStates are the kernel's states (net/tcp_states.h), under their names in netstat.
var tcpStates = []string{"", "ESTABLISHED", "SYN_SENT", "SYN_RECV", "FIN_WAIT1", "FIN_WAIT2", "TIME_WAIT", "CLOSE", "CLOSE_WAIT", "LAST_ACK", "LISTENING", "CLOSING", "SYN_RECV"}

func stateOf(protocol string, n byte) string {
	switch {
	case strings.HasPrefix(protocol, "TCP") && int(n) < len(tcpStates):
		return tcpStates[n]
	case n == 1:
		return "CONNECTED"
	}
	return ""
}

// connections lists the sockets of every network namespace with who holds them.
func (d *device) connections(t *Task) error {
	held, err := d.owners(t)
	if err != nil {
		return err
	}
	tab, err := t.Table("ActiveNetConnections.csv", "NetworkNamespace", "Protocol", "State", "LocalAddress", "LocalPort", "RemoteAddress", "RemotePort", "Interface",
		"UserName", "ReceiveQueue", "SendQueue", "Inode", "ProcessId", "ProcessName", "Executable")
	if err != nil {
		return err
	}
	defer tab.end()
	err = d.eachNamespace(t, func(ns namespace) error {
		list, err := d.sockets(t, ns)
		if err != nil {
			return err
		}
		for _, s := range list {
			pids, names, exes := cells(held[s.inode])
			iface := ""
			if s.iface != 0 {
				iface = itoa(s.iface)
			}
			if err := tab.Row(ns.name, s.protocol, s.state, s.local.Addr().String(), itoa(s.local.Port()), s.remote.Addr().String(), itoa(s.remote.Port()), iface,
				d.user(s.uid), itoa(s.received), itoa(s.sent), s.inode, pids, names, exes); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return tab.Close()
}

// sockets asks the kernel's socket diagnostics for TCP and UDP of the calling thread's
// namespace, and /proc for the rest, or for all where there are no diagnostics.
func (d *device) sockets(t *Task, ns namespace) ([]socket, error) {
	pid := "self"
	if ns.pid != 0 {
		pid = itoa(ns.pid)
	} else if d.Root != "/" {
		pid = "1"
	}
	var out []socket
	for _, p := range []struct {
		name  string
		proto byte
		files []string // below /proc/PID/net
	}{
		{"TCP", unix.IPPROTO_TCP, []string{"tcp", "tcp6"}}, {"UDP", unix.IPPROTO_UDP, []string{"udp", "udp6"}},
		{"UDPLITE", 0, []string{"udplite", "udplite6"}}, {"RAW", 0, []string{"raw", "raw6"}}, {"ICMP", 0, []string{"icmp", "icmp6"}},
	} {
		if p.proto != 0 {
			list, err := diagnose(p.name, p.proto)
			if err == nil {
				out = append(out, list...)
				continue
			}
			if !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.EPROTONOSUPPORT) {
				t.Note(err, "socket diagnostics of %s in %s; /proc is read instead", p.name, ns.name)
			}
		}
		for _, file := range p.files {
			out = append(out, listed(p.name, string(d.read("proc/"+pid+"/net/"+file, 32<<20)))...)
		}
	}
	slices.SortStableFunc(out, func(a, b socket) int {
		return cmp.Or(cmp.Compare(a.protocol, b.protocol), a.local.Compare(b.local), a.remote.Compare(b.remote))
	})
	return out, nil
}

// Sizes of the structures of linux/inet_diag.h.
const (
	diagID   = 4
	diagTail = diagID + 48
	diagSize = diagTail + 20
)

// diagnose lists the sockets of a protocol.
func diagnose(name string, proto byte) ([]socket, error) {
	c, err := netlink.Dial(unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	var out []socket
	for _, family := range []byte{unix.AF_INET, unix.AF_INET6} {
		req := append([]byte{family, proto, 0, 0, 0xff, 0xff, 0xff, 0xff}, make([]byte, 48)...)
		answers, err := c.Dump(netlink.Message{Type: unix.SOCK_DIAG_BY_FAMILY, Flags: unix.NLM_F_REQUEST, Data: req, What: "list sockets"})
		if err != nil {
			return out, err
		}
		for _, a := range answers {
			if len(a.Data) < diagSize {
				continue
			}
			id, tail := a.Data[diagID:diagTail], a.Data[diagTail:]
			s := socket{protocol: name, state: stateOf(name, a.Data[1]), iface: native.Uint32(id[36:]),
				received: native.Uint32(tail[4:]), sent: native.Uint32(tail[8:]), uid: native.Uint32(tail[12:]), inode: itoa(native.Uint32(tail[16:]))}
			sport, dport := binary.BigEndian.Uint16(id), binary.BigEndian.Uint16(id[2:])
			if family == unix.AF_INET {
				s.local = netip.AddrPortFrom(netip.AddrFrom4([4]byte(id[4:8])), sport)
				s.remote = netip.AddrPortFrom(netip.AddrFrom4([4]byte(id[20:24])), dport)
			} else {
				s.protocol += "6"
				s.local = netip.AddrPortFrom(netip.AddrFrom16([16]byte(id[4:20])), sport)
				s.remote = netip.AddrPortFrom(netip.AddrFrom16([16]byte(id[20:36])), dport)
			}
			out = append(out, s)
		}
	}
	return out, nil
}

// listed reads a file of /proc/PID/net (proc_pid_net(5)).
func listed(protocol, text string) []socket {
	var out []socket
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 10 || !strings.HasSuffix(f[0], ":") {
			continue
		}
		local, ok1 := hexAddrPort(f[1])
		remote, ok2 := hexAddrPort(f[2])
		state, err := strconv.ParseUint(f[3], 16, 8)
		if !ok1 || !ok2 || err != nil {
			continue
		}
		name := protocol
		if len(f[1]) > 13 {
			name += "6"
		}
		sent, received, _ := strings.Cut(f[4], ":")
		s := socket{protocol: name, state: stateOf(name, byte(state)), local: local, remote: remote, inode: f[9]}
		n, _ := strconv.ParseUint(sent, 16, 32)
		m, _ := strconv.ParseUint(received, 16, 32)
		u, _ := strconv.ParseUint(f[7], 10, 32)
		s.sent, s.received, s.uid = uint32(n), uint32(m), uint32(u)
		out = append(out, s)
	}
	return out
}

// hexAddrPort reads an address of /proc: words of the machine's own byte order.
func hexAddrPort(text string) (netip.AddrPort, bool) {
	addr, port, _ := strings.Cut(text, ":")
	raw, err := hex.DecodeString(addr)
	n, err2 := strconv.ParseUint(port, 16, 16)
	if err != nil || err2 != nil || len(raw) != 4 && len(raw) != 16 {
		return netip.AddrPort{}, false
	}
	for i := 0; i < len(raw); i += 4 {
		native.PutUint32(raw[i:], binary.BigEndian.Uint32(raw[i:]))
	}
	a, _ := netip.AddrFromSlice(raw)
	return netip.AddrPortFrom(a, uint16(n)), true
}

// localSockets lists the sockets that do not leave the device, and those that see all of
// its traffic.
func (d *device) localSockets(t *Task) error {
	held, err := d.owners(t)
	if err != nil {
		return err
	}
	tab, err := t.Table("UnixSockets.csv", "Type", "State", "Path", "References", "Inode", "ProcessId", "ProcessName", "Executable")
	if err != nil {
		return err
	}
	defer tab.end()
	self := "proc/self/net/"
	if d.Root != "/" {
		self = "proc/1/net/"
	}
	kinds := map[string]string{"0001": "stream", "0002": "datagram", "0005": "seqpacket"}
	states := map[string]string{"01": "unconnected", "02": "connecting", "03": "connected", "04": "disconnecting"}
	for line := range strings.Lines(string(d.read(self+"unix", 32<<20))) {
		f := strings.Fields(line)
		if len(f) < 7 || !strings.HasSuffix(f[0], ":") {
			continue
		}
		state := states[f[5]]
		if flags, err := strconv.ParseUint(f[3], 16, 32); err == nil && flags&0x10000 != 0 {
			state = "listening"
		}
		name := ""
		if len(f) > 7 {
			name = strings.Join(f[7:], " ")
		}
		pids, names, exes := cells(held[f[6]])
		if err := tab.Row(cmp.Or(kinds[f[4]], f[4]), state, name, f[1], f[6], pids, names, exes); err != nil {
			return err
		}
	}
	if err := tab.Close(); err != nil {
		return err
	}
	tab, err = t.Table("PacketSockets.csv", "Type", "Protocol", "Interface", "Running", "UserName", "Inode", "ProcessId", "ProcessName", "Executable")
	if err != nil {
		return err
	}
	defer tab.end()
	for line := range strings.Lines(string(d.read(self+"packet", 4<<20))) {
		f := strings.Fields(line)
		if len(f) < 9 || f[0] == "sk" {
			continue
		}
		kind := map[string]string{"3": "raw", "2": "datagram", "10": "packet"}[f[2]]
		uid, _ := strconv.ParseUint(f[7], 10, 32)
		pids, names, exes := cells(held[f[8]])
		if err := tab.Row(cmp.Or(kind, f[2]), "0x"+f[3], f[4], f[5], d.user(uint32(uid)), f[8], pids, names, exes); err != nil {
			return err
		}
	}
	return tab.Close()
}
