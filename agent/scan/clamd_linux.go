package scan

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vedette-edr/vedette/agent/process"
	"github.com/vedette-edr/vedette/agent/procfs"
)

// clamdSockets are where distributions have clamd listen.
var clamdSockets = []string{
	"/run/clamav/clamd.ctl", "/var/run/clamav/clamd.ctl", "/run/clamd.scan/clamd.sock", "/var/run/clamd.scan/clamd.sock",
	"/run/clamav/clamd.sock", "/run/clamd/clamd.sock",
}

// maxClamd bounds the files that clamd is asked about; its own default is lower.
const maxClamd = 512 << 20

// clamd asks a ClamAV daemon, which gets files by descriptor and may read nothing else.
type clamd struct {
	path    string
	pid     int    // of the daemon; 0 when it is not known
	version string // of engine and signatures
	before  time.Duration
}

// findClamd returns nil where no daemon listens; an error where one does and does not
// answer.
func findClamd(ctx context.Context, paths []string) (*clamd, error) {
	for _, p := range paths {
		if st, err := os.Stat(p); err != nil || st.Mode()&os.ModeSocket == 0 {
			continue
		}
		c := &clamd{path: p}
		answer, err := c.ask(ctx, "zVERSION\x00", nil)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p, err)
		}
		c.version = process.Text(answer)
		c.before = c.time()
		return c, nil
	}
	return nil, nil
}

// clamdPatience bounds one question; a large archive takes a while.
const clamdPatience = 3 * time.Minute

// ask sends a command, and a file's descriptor if there is one, and reads the answer.
func (c *clamd) ask(ctx context.Context, command string, f *os.File) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, clamdPatience)
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", c.path)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	u := conn.(*net.UnixConn) // what was dialled
	if c.pid == 0 {
		c.pid = peer(u)
	}
	if _, err := u.Write([]byte(command)); err != nil {
		return "", err
	}
	if f != nil {
		if _, _, err := u.WriteMsgUnix([]byte{0}, unix.UnixRights(int(f.Fd())), nil); err != nil {
			return "", err
		}
	}
	answer, err := bufio.NewReaderSize(u, 4096).ReadSlice(0)
	if err != nil {
		return "", errors.Join(err, ctx.Err())
	}
	return strings.TrimSuffix(string(answer), "\x00"), nil
}

func peer(u *net.UnixConn) int {
	raw, err := u.SyscallConn()
	if err != nil {
		return 0
	}
	pid := 0
	_ = raw.Control(func(fd uintptr) {
		if c, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			pid = int(c.Pid)
		}
	})
	return pid
}

// scan asks about one file.
func (c *clamd) scan(ctx context.Context, o *Object) ([]Finding, error) {
	answer, err := c.ask(ctx, "zFILDES\x00", o.File)
	if err != nil {
		return nil, err
	}
	_, verdict, _ := strings.Cut(answer, ": ")
	switch {
	case verdict == "OK":
		return nil, nil
	case strings.HasSuffix(verdict, " FOUND"):
		return []Finding{{Engine: EngineClamAV, Threat: process.Text(strings.TrimSuffix(verdict, " FOUND"))}}, nil
	}
	return nil, fmt.Errorf("clamd: %s", process.Text(answer))
}

// time is the processor time that the daemon has spent, 0 when it is not known.
func (c *clamd) time() time.Duration {
	if c.pid <= 0 {
		return 0
	}
	stat, _ := procfs.ReadStat(uint32(c.pid)) // one that is gone spends nothing
	return stat.Used
}

// spent is what the daemon spent since it was asked for last.
func (c *clamd) spent() time.Duration {
	now := c.time()
	d := now - c.before
	c.before = now
	return max(0, d)
}
