package live

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vedette-edr/vedette/agent/launch"
	"github.com/vedette-edr/vedette/agent/process"
	"github.com/vedette-edr/vedette/agent/procfs"
)

// proc is what /proc says of one process.
type proc struct {
	pid, parent int64
	uid         uint32
	name, state string
	started     time.Time
	memory      int64 // bytes resident
	image, line string
}

// bootTime is when the kernel started, by which processes count.
func bootTime() time.Time {
	raw, err := os.ReadFile("/proc/stat")
	if err != nil {
		return time.Time{}
	}
	for l := range strings.Lines(string(raw)) {
		if rest, ok := strings.CutPrefix(l, "btime "); ok {
			if n, err := strconv.ParseInt(strings.TrimSpace(rest), 10, 64); err == nil {
				return time.Unix(n, 0)
			}
		}
	}
	return time.Time{}
}

func readProc(pid uint32, boot time.Time) (p proc, ok bool) {
	dir := "/proc/" + strconv.FormatUint(uint64(pid), 10)
	stat, ok := procfs.ReadStat(pid)
	if !ok {
		return p, false
	}
	p = proc{pid: int64(pid), name: stat.Comm, state: stat.State, parent: int64(stat.PPID), memory: stat.Resident, started: boot.Add(stat.Start).UTC()}
	var st unix.Stat_t
	if unix.Stat(dir, &st) == nil {
		p.uid = st.Uid
	}
	p.image, _ = os.Readlink(dir + "/exe") // kernel threads have none
	if raw, err := os.ReadFile(dir + "/cmdline"); err == nil {
		p.line = strings.Join(process.SplitArgs(raw), " ")
	}
	return p, true
}

func (s *space) processes(ctx context.Context, l *line, w io.Writer) error {
	if err := l.only(0, 1); err != nil {
		return err
	}
	only, name := int64(0), l.flags["name"]
	id := l.flags["pid"]
	if len(l.args) == 1 {
		id = l.args[0]
	}
	if id != "" {
		n, err := strconv.ParseInt(id, 10, 64)
		switch {
		case err == nil:
			only = n
		case l.has("pid"):
			return fmt.Errorf("%q is no process id", visible(id))
		default:
			name = id
		}
	}
	t := &table{columns: []string{"pid", "parent", "user", "name", "state", "started", "memory", "image", "command_line"}}
	boot := bootTime()
	for _, pid := range procfs.All() {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if only != 0 && int64(pid) != only {
			continue
		}
		p, ok := readProc(pid, boot)
		if !ok || name != "" && p.name != name && filepath.Base(p.image) != name {
			continue
		}
		t.add(p.pid, p.parent, s.live.userName(p.uid), p.name, p.state, p.started, p.memory, p.image, p.line)
	}
	if (only != 0 || name != "") && len(t.rows) == 0 {
		return errors.New("there is no such process")
	}
	return t.write(w, l.json)
}

// states are those of sockets (net/tcp_states.h).
var states = []string{"", "Established", "SynSent", "SynReceived", "FinWait1", "FinWait2", "TimeWait", "Closed", "CloseWait", "LastAck", "Listen", "Closing"}

func connections(ctx context.Context, l *line, w io.Writer) error {
	if err := l.only(0, 0); err != nil {
		return err
	}
	owner := sockets(ctx)
	t := &table{columns: []string{"protocol", "local_address", "local_port", "remote_address", "remote_port", "state", "pid", "process"}}
	for _, protocol := range []string{"tcp", "tcp6", "udp", "udp6"} {
		f, err := os.Open("/proc/net/" + protocol)
		if err != nil {
			continue // no such protocol here
		}
		sc := bufio.NewScanner(f)
		sc.Scan() // the heading
		for sc.Scan() && len(t.rows) < maxEntries {
			c := strings.Fields(sc.Text())
			if len(c) < 10 {
				continue
			}
			local, lerr := socketAddress(c[1])
			remote, rerr := socketAddress(c[2])
			n, serr := strconv.ParseUint(c[3], 16, 8)
			if lerr != nil || rerr != nil || serr != nil || int(n) >= len(states) {
				continue
			}
			state := states[n]
			if strings.HasPrefix(protocol, "udp") && state == "Closed" {
				state = "Bound"
			}
			var pid, who any
			if o, ok := owner[c[9]]; ok {
				pid, who = int64(o.pid), o.name
			}
			t.add(protocol, local.Addr().String(), int64(local.Port()), remote.Addr().String(), int64(remote.Port()), state, pid, who)
		}
		_ = f.Close() // it was only read
	}
	return t.write(w, l.json)
}

// socketAddress reads an address of /proc/net: words in the order of the machine's bytes.
func socketAddress(s string) (netip.AddrPort, error) {
	host, port, _ := strings.Cut(s, ":")
	raw, err := hex.DecodeString(host)
	if err != nil || len(raw)%4 != 0 {
		return netip.AddrPort{}, errors.New("no address")
	}
	for i := 0; i < len(raw); i += 4 {
		binary.BigEndian.PutUint32(raw[i:], binary.NativeEndian.Uint32(raw[i:]))
	}
	a, ok := netip.AddrFromSlice(raw)
	n, err := strconv.ParseUint(port, 16, 16)
	if !ok || err != nil {
		return netip.AddrPort{}, errors.New("no address")
	}
	return netip.AddrPortFrom(a.Unmap(), uint16(n)), nil
}

type socketOwner struct {
	pid  uint32
	name string
}

// sockets finds which process has a socket, by inode.
func sockets(ctx context.Context) map[string]socketOwner {
	out := map[string]socketOwner{}
	for _, pid := range procfs.All() {
		if ctx.Err() != nil {
			return out
		}
		dir := fmt.Sprintf("/proc/%d/fd/", pid)
		d, err := os.Open(dir)
		if err != nil {
			continue // it ended
		}
		names, _ := d.Readdirnames(-1)
		_ = d.Close() // it was only read
		name := ""
		for _, n := range names {
			target, err := os.Readlink(dir + n)
			inode, ok := strings.CutPrefix(target, "socket:[")
			if err != nil || !ok {
				continue
			}
			if name == "" {
				raw, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
				name = strings.TrimSuffix(string(raw), "\n")
			}
			out[strings.TrimSuffix(inode, "]")] = socketOwner{pid, name}
		}
	}
	return out
}

func drivers(_ context.Context, l *line, w io.Writer) error {
	if err := l.only(0, 0); err != nil {
		return err
	}
	raw, err := os.ReadFile("/proc/modules")
	if errors.Is(err, fs.ErrNotExist) {
		err = nil // a kernel that loads none
	}
	if err != nil {
		return fmt.Errorf("the kernel shows no modules: %w", err)
	}
	t := &table{columns: []string{"name", "size", "uses", "used_by", "state"}}
	for row := range strings.Lines(string(raw)) {
		f := strings.Fields(row)
		if len(f) < 5 {
			continue
		}
		size, _ := strconv.ParseInt(f[1], 10, 64)
		uses, _ := strconv.ParseInt(f[2], 10, 64)
		t.add(f[0], size, uses, strings.Trim(f[3], ",-"), f[4])
	}
	return t.write(w, l.json)
}

// systemd reports whether systemd runs this machine.
func systemd() bool {
	_, err := os.Stat("/run/systemd/system")
	return err == nil
}

// helper runs a program of the system in the session's group and returns its output.
func (s *space) helper(ctx context.Context, name string, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, shortly)
	defer cancel()
	cmd := launch.Command(ctx, searchPath, name, args...)
	cmd.Env, cmd.Dir, cmd.WaitDelay = []string{"PATH=" + searchPath, "LC_ALL=C"}, "/", time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: s.group.fd(), Setsid: true}
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &bounded{w: &out, left: 16 << 20}, &bounded{w: &problems, left: 4 << 10}
	if err := launch.Run(cmd); err != nil {
		return nil, fmt.Errorf("%s: %w: %s", name, err, visible(strings.TrimSpace(problems.String())))
	}
	return out.Bytes(), nil
}

// bounded passes some bytes on and drops the rest.
type bounded struct {
	w    io.Writer
	left int64
	cut  bool
}

// Write implements io.Writer.
func (b *bounded) Write(p []byte) (int, error) {
	n := len(p)
	if int64(n) > b.left {
		p, b.cut = p[:b.left], true
	}
	b.left -= int64(len(p))
	if len(p) > 0 {
		if _, err := b.w.Write(p); err != nil {
			return 0, err
		}
	}
	return n, nil
}

func (s *space) services(ctx context.Context, l *line, w io.Writer) error {
	if err := l.only(0, 1); err != nil {
		return err
	}
	t := &table{columns: []string{"name", "load", "active", "state", "description"}}
	wanted := func(name string) bool {
		return len(l.args) == 0 || name == l.args[0] || strings.TrimSuffix(name, ".service") == l.args[0]
	}
	if systemd() {
		raw, err := s.helper(ctx, "systemctl", "list-units", "--type=service", "--all", "--no-pager", "--output=json")
		if err != nil {
			return err
		}
		var units []struct{ Unit, Load, Active, Sub, Description string }
		if err := json.Unmarshal(raw, &units); err != nil {
			return fmt.Errorf("systemctl: %w", err)
		}
		for _, u := range units {
			if wanted(u.Unit) {
				t.add(u.Unit, u.Load, u.Active, u.Sub, u.Description)
			}
		}
	} else {
		entries, err := os.ReadDir("/etc/init.d")
		if err != nil {
			return fmt.Errorf("neither systemd nor /etc/init.d is on this device: %w", err)
		}
		for _, e := range entries {
			if wanted(e.Name()) && e.Type().IsRegular() {
				t.add(e.Name(), "script", "", "", "/etc/init.d/"+e.Name())
			}
		}
	}
	if len(l.args) > 0 && len(t.rows) == 0 {
		return errors.New("there is no such service")
	}
	return t.write(w, l.json)
}
