package ebpf

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/cilium/ebpf"

	"github.com/vedette-edr/vedette/schema/event"
)

// listening tells the kernel programs who listened before they were there, so that what
// these processes accept has an owner. found are the processes of the start-up snapshot.
func listening(m *ebpf.Map, found []*event.Process, c *clock) error {
	owner := make(map[string]*event.Process) // by the text of a descriptor's link
	views := make(map[uint32]uint32)         // one pid for each network namespace
	for _, p := range found {
		dir := fmt.Sprintf("/proc/%d/", p.PID)
		if ns, ok := nsNumber(dir + "ns/net"); ok {
			if _, seen := views[ns]; !seen {
				views[ns] = p.PID
			}
		}
		fds, err := os.ReadDir(dir + "fd")
		if err != nil {
			continue // gone
		}
		for _, fd := range fds {
			l, err := os.Readlink(dir + "fd/" + fd.Name())
			if err == nil && strings.HasPrefix(l, "socket:[") && owner[l] == nil {
				owner[l] = p
			}
		}
	}
	for ns, pid := range views {
		for _, table := range []string{"tcp", "tcp6"} {
			if err := readListeners(fmt.Sprintf("/proc/%d/net/%s", pid, table), func(l bpfListener, socket string) error {
				p := owner[socket]
				if p == nil {
					return nil
				}
				l.Netns = ns
				err := m.Update(l, who(p, c), ebpf.UpdateNoExist)
				if errors.Is(err, ebpf.ErrKeyExist) {
					return nil
				}
				return err
			}); err != nil {
				return err
			}
		}
	}
	return nil
}

func nsNumber(link string) (uint32, bool) {
	l, err := os.Readlink(link)
	if err != nil {
		return 0, false
	}
	_, l, _ = strings.Cut(l, "[")
	n, err := strconv.ParseUint(strings.TrimSuffix(l, "]"), 10, 32)
	return uint32(n), err == nil
}

// readListeners calls f for each listening socket of a table such as /proc/net/tcp. A table
// that is gone with its process has none.
func readListeners(name string, f func(l bpfListener, socket string) error) error {
	file, err := os.Open(name)
	if err != nil {
		return nil
	}
	defer file.Close()
	sc := bufio.NewScanner(file)
	for sc.Scan() {
		v := strings.Fields(sc.Text())
		const local, state, inode, listen = 1, 3, 9, "0A"
		if len(v) <= inode || v[state] != listen {
			continue
		}
		l, ok := parseLocal(v[local])
		if !ok {
			continue
		}
		if err := f(l, "socket:["+v[inode]+"]"); err != nil {
			return err
		}
	}
	return nil
}

// parseLocal reads ADDRESS:PORT in hexadecimal, the address in words of the machine's order.
func parseLocal(s string) (l bpfListener, ok bool) {
	addr, port, _ := strings.Cut(s, ":")
	n, err := strconv.ParseUint(port, 16, 16)
	if err != nil {
		return l, false
	}
	l.Port = uint32(n)
	b, err := hex.DecodeString(addr)
	if err != nil || len(b) != 4 && len(b) != 16 {
		return l, false
	}
	for i := 0; i < len(b); i += 4 {
		binary.NativeEndian.PutUint32(b[i:], binary.BigEndian.Uint32(b[i:]))
	}
	if len(b) == 4 {
		l.Local = [16]byte{10: 0xff, 11: 0xff}
	}
	copy(l.Local[16-len(b):], b)
	return l, true
}

// who is p as the kernel programs note an actor.
func who(p *event.Process, c *clock) bpfWho {
	w := bpfWho{
		Start: uint64(p.Start.UnixNano() - c.boot.Load()), Pid: p.PID, Tid: p.PID, Ppid: p.Parent.PID,
		Loginuid: ^uint32(0), Session: ^uint32(0),
	}
	if uid, err := strconv.ParseUint(p.Account.SID, 10, 32); err == nil {
		w.Uid, w.Euid = uint32(uid), uint32(uid)
	}
	return w
}
