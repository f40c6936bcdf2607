package message

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"html"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"
)

// Bounds of what users may have the agent do.
const (
	maxBuses  = 64 // in all
	maxOf     = 4  // of one user
	busTime   = 5 * time.Second
	maxAnswer = 1 << 20 // bytes that a bus may send
	maxEnv    = 256 << 10
)

// bus is a session bus.
type bus struct {
	uid  uint32
	addr string // of a Unix socket, @ before one in the abstract space
}

// desktops shows the message on each session bus, all at once: none waits for another.
func (h *Handler) desktops(ctx context.Context, p Params) []Place {
	buses := h.buses()
	out := make([]Place, len(buses))
	var wg sync.WaitGroup
	for i, b := range buses {
		wg.Go(func() {
			out[i] = Place{User: cmp.Or(h.cfg.Users(b.uid), strconv.Itoa(int(b.uid))), Where: plain(b.addr, false)}
			if err := show(ctx, b, p); err != nil {
				out[i].Detail = plain(err.Error(), false)
				return
			}
			out[i].Shown = true
		})
	}
	wg.Wait()
	return out
}

// buses lists the session buses of users: where the user's manager has it, and where their
// programs say that it is.
func (h *Handler) buses() []bus {
	var out []bus
	of := map[uint32]int{}
	add := func(b bus) {
		if len(out) < maxBuses && of[b.uid] < maxOf && !slices.Contains(out, b) {
			of[b.uid]++
			out = append(out, b)
		}
	}
	dirs, _ := filepath.Glob(filepath.Join(h.cfg.Run, "user/[0-9]*")) // a malformed pattern is its only error
	for _, d := range dirs {
		uid, err := strconv.ParseUint(filepath.Base(d), 10, 32)
		if err != nil {
			continue
		}
		at := filepath.Join(d, "bus")
		if st, err := os.Lstat(at); err == nil && st.Mode()&os.ModeSocket != 0 {
			add(bus{uint32(uid), at})
		}
	}
	procs, _ := filepath.Glob(filepath.Join(h.cfg.Proc, "[0-9]*"))
	for _, p := range procs {
		var st unix.Stat_t
		if unix.Stat(p, &st) != nil || of[st.Uid] >= maxOf {
			continue
		}
		env, err := os.Open(filepath.Join(p, "environ"))
		if err != nil {
			continue
		}
		raw, err := io.ReadAll(io.LimitReader(env, maxEnv))
		env.Close()
		if err != nil {
			continue
		}
		for v := range bytes.SplitSeq(raw, []byte{0}) {
			if value, ok := bytes.CutPrefix(v, []byte("DBUS_SESSION_BUS_ADDRESS=")); ok {
				for _, at := range socketsOf(string(value)) {
					if h.cfg.Run+"/user/"+strconv.Itoa(int(st.Uid))+"/bus" != at {
						add(bus{st.Uid, at})
					}
				}
			}
		}
	}
	return out
}

// socketsOf returns the Unix sockets of a D-Bus address. Others, which start programs or
// leave the device, are none of the agent's business.
func socketsOf(address string) (out []string) {
	for one := range strings.SplitSeq(address, ";") {
		rest, ok := strings.CutPrefix(one, "unix:")
		if !ok {
			continue
		}
		for kv := range strings.SplitSeq(rest, ",") {
			name, value, _ := strings.Cut(kv, "=")
			value, err := url.PathUnescape(value)
			if err != nil || len(value) > 100 || strings.ContainsRune(value, 0) {
				continue
			}
			switch {
			case name == "path" && filepath.IsAbs(value):
				out = append(out, filepath.Clean(value))
			case name == "abstract" && value != "":
				out = append(out, "@"+value)
			}
		}
	}
	return out
}

// The published names of notifications.
const (
	notifications = "org.freedesktop.Notifications"
	notifyPath    = "/org/freedesktop/Notifications"
)

// show has the desktop of a bus show the message.
func show(ctx context.Context, b bus, p Params) error {
	ctx, cancel := context.WithTimeout(ctx, busTime)
	defer cancel()
	raw, err := dialAs(b)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { raw.Close() })
	defer stop()
	c, err := dbus.NewConn(&bounded{UnixConn: raw, left: maxAnswer}, dbus.WithContext(ctx))
	if err != nil {
		return errors.Join(err, raw.Close())
	}
	defer c.Close()
	if err := c.Auth([]dbus.Auth{dbus.AuthExternal(strconv.Itoa(int(b.uid)))}); err != nil {
		return err
	}
	if err := c.Hello(); err != nil {
		return err
	}
	urgency := byte(1)
	switch p.Level {
	case "low":
		urgency = 0
	case "critical":
		urgency = 2
	}
	var id uint32
	// The body may be read as markup.
	err = c.Object(notifications, notifyPath).CallWithContext(ctx, notifications+".Notify", 0, "Vedette", uint32(0), "dialog-information",
		p.Title, html.EscapeString(p.Text), []string{}, map[string]dbus.Variant{"urgency": dbus.MakeVariant(urgency)}, int32(-1)).Store(&id)
	if err != nil {
		return err
	}
	if id == 0 {
		return errors.New("the desktop gave the message no number")
	}
	return nil
}

// dialAs connects as the user whose bus it is, and to that user alone: with a bus of a
// user root would be somebody who may do everything.
func dialAs(b bus) (*net.UnixConn, error) {
	type result struct {
		fd  int
		err error
	}
	done := make(chan result, 1)
	go func() {
		// The thread keeps the user's identity, and so it ends with this goroutine.
		runtime.LockOSThread()
		fd, err := connectAs(b)
		done <- result{fd, err}
	}()
	r := <-done
	if r.err != nil {
		return nil, r.err
	}
	f := os.NewFile(uintptr(r.fd), "bus")
	defer f.Close()
	c, err := net.FileConn(f)
	if err != nil {
		return nil, err
	}
	u, ok := c.(*net.UnixConn)
	if !ok {
		return nil, errors.Join(errors.New("no Unix socket"), c.Close())
	}
	return u, u.SetDeadline(time.Now().Add(busTime))
}

func connectAs(b bus) (int, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	fail := func(what string, err error) (int, error) {
		unix.Close(fd)
		return -1, os.NewSyscallError(what, err)
	}
	if os.Geteuid() != int(b.uid) {
		// Of this thread alone, which the C library's and Go's functions of that name are not.
		if _, _, e := unix.RawSyscall(unix.SYS_SETGROUPS, 0, 0, 0); e != 0 {
			return fail("setgroups", e)
		}
		const nogroup = 65534 // what is the user's alone needs no group
		if _, _, e := unix.RawSyscall(unix.SYS_SETRESGID, nogroup, nogroup, nogroup); e != 0 {
			return fail("setresgid", e)
		}
		id := uintptr(b.uid)
		if _, _, e := unix.RawSyscall(unix.SYS_SETRESUID, id, id, id); e != 0 {
			return fail("setresuid", e)
		}
	}
	// Not waiting: a socket whose queue is full says so at once.
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: b.addr}); err != nil {
		return fail("connect", err)
	}
	peer, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return fail("peer", err)
	}
	if peer.Uid != b.uid {
		unix.Close(fd)
		return -1, fmt.Errorf("the bus is of user %d", peer.Uid)
	}
	return fd, nil
}

// bounded reads no more than so much: the bus is a user's program.
type bounded struct {
	*net.UnixConn
	left int
}

// Read implements io.Reader.
func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errors.New("the bus sent too much")
	}
	n, err := b.UnixConn.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}
