package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vedette-edr/vedette/agent/sensor"
	"github.com/vedette-edr/vedette/agent/utmp"
	"github.com/vedette-edr/vedette/schema/event"
)

// tail reads what is appended to a file of utmp records.
type tail struct {
	path   string
	failed bool // btmp: every record is a refused logon
	offset int64
	inode  uint64
}

// runUtmp follows wtmp and btmp until ctx ends.
func (s *Sensor) runUtmp(ctx context.Context, sink sensor.Sink) error {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return fmt.Errorf("inotify: %w", err)
	}
	in := os.NewFile(uintptr(fd), "inotify")
	defer in.Close()
	if _, err := unix.InotifyAddWatch(fd, s.cfg.LogDir, unix.IN_MODIFY|unix.IN_CREATE|unix.IN_MOVED_TO); err != nil {
		return fmt.Errorf("watch %s: %w", s.cfg.LogDir, err)
	}
	files := []*tail{
		{path: filepath.Join(s.cfg.LogDir, "wtmp")},
		{path: filepath.Join(s.cfg.LogDir, "btmp"), failed: true},
	}
	var missing []string
	for _, f := range files {
		if err := f.skip(); err != nil {
			missing = append(missing, f.path)
		}
	}
	detail := "logons come from wtmp and btmp: su, sudo, cron and sessions without a terminal are not seen"
	if len(missing) > 0 {
		detail += "; not there yet: " + strings.Join(missing, ", ")
	}
	s.report(sensor.Facility{Name: facUtmp, State: sensor.Degraded, Detail: detail, Remedy: "let the agent read audit"})

	stop := context.AfterFunc(ctx, func() { _ = in.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	open := map[string]utmp.Record{} // by line
	buf := make([]byte, 64<<10)
	for ctx.Err() == nil {
		deadline := time.Time{}
		if len(open) > 0 {
			deadline = time.Now().Add(2 * time.Second)
		}
		_ = in.SetReadDeadline(deadline)
		if ctx.Err() != nil {
			return nil
		}
		_, err := in.Read(buf)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, os.ErrDeadlineExceeded):
			for _, e := range s.gone(open) {
				sink.Emit(e)
			}
			continue
		case err != nil:
			return fmt.Errorf("inotify: %w", err)
		}
		// What the notification says does not matter, and so neither does an overflow of
		// them: the files are read from where the last read stopped.
		for _, f := range files {
			records, err := f.read()
			if err != nil && !errors.Is(err, os.ErrNotExist) {
				now := s.cfg.Now()
				sink.Lost(event.Gap{Source: "utmp", Reason: err.Error(), From: now, To: now})
			}
			for _, r := range records {
				if e := s.utmpEvent(r, f.failed, open); e != nil {
					sink.Emit(e)
				}
			}
		}
	}
	return nil
}

// skip starts at the end of the file: what is older belongs to no run of the agent.
func (t *tail) skip() error {
	var st unix.Stat_t
	if err := unix.Stat(t.path, &st); err != nil {
		return err
	}
	t.inode, t.offset = st.Ino, st.Size-st.Size%utmp.Size
	return nil
}

// read returns the whole records since the last read. A file that was replaced or cut is
// read from its beginning.
func (t *tail) read() ([]utmp.Record, error) {
	f, err := os.Open(t.path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return nil, err
	}
	if st.Ino != t.inode || st.Size < t.offset {
		t.inode, t.offset = st.Ino, 0
	}
	var out []utmp.Record
	b := make([]byte, utmp.Size)
	for {
		if _, err := f.ReadAt(b, t.offset); err != nil {
			if errors.Is(err, io.EOF) {
				return out, nil
			}
			return out, err
		}
		t.offset += utmp.Size
		out = append(out, utmp.Parse(b))
	}
}

// gone ends the sessions whose process is no more: sshd writes no record of the end where
// there is no utmp file that holds the beginning.
func (s *Sensor) gone(open map[string]utmp.Record) []*event.Event {
	var events []*event.Event
	for line, r := range open {
		if r.PID == 0 || !errors.Is(unix.Kill(int(r.PID), 0), unix.ESRCH) {
			continue
		}
		end := utmp.Record{Type: utmp.Dead, Line: line, Time: s.cfg.Now().UTC()}
		if e := s.utmpEvent(end, false, open); e != nil {
			events = append(events, e)
		}
	}
	return events
}

// utmpEvent makes a logon event of a record; open holds the sessions that go on, by line.
func (s *Sensor) utmpEvent(r utmp.Record, failed bool, open map[string]utmp.Record) *event.Event {
	action := "LogonSuccess"
	switch {
	case failed:
		action = "LogonFailed"
	case r.Type == utmp.User:
		if len(open) < maxTracked {
			open[r.Line] = r
		}
	case r.Type == utmp.Dead:
		was, ok := open[r.Line]
		if !ok {
			return nil
		}
		delete(open, r.Line)
		was.Time = r.Time
		r, action = was, "Logoff"
	default:
		return nil
	}
	l := &event.Logon{RemoteDevice: r.Host}
	if r.Addr.IsValid() {
		l.RemoteIP = r.Addr.String()
		if l.RemoteDevice == l.RemoteIP {
			l.RemoteDevice = ""
		}
	}
	remote := r.Host != "" && !strings.HasPrefix(r.Host, ":") || r.Addr.IsValid()
	ssh := strings.HasPrefix(r.Line, "ssh")
	switch {
	case ssh:
		l.Type, l.Protocol = network, "ssh"
	case remote:
		l.Type = remoteInteractive
	default:
		l.Type = interactive
	}
	if failed {
		l.Failure = failCredentials
	}
	e := &event.Event{
		Table: event.LogonEvents, Action: action, Time: r.Time, Logon: l,
		Account: &event.Account{Name: r.User, Domain: s.cfg.Host},
	}
	db := s.cfg.Accounts.DB()
	if u, ok := db.ByName(r.User); ok {
		e.Account.SID = itoa(u.UID)
		l.LocalAdmin = db.Admin(u.Name)
	}
	if s.cfg.Lookup != nil {
		e.Initiating = s.cfg.Lookup(r.PID)
	}
	if l.Protocol == "" && e.Initiating != nil {
		l.Protocol = protocolOf(e.Initiating.Image.Path)
	}
	if b, err := json.Marshal(map[string]any{"Terminal": r.Line, "IsLocalLogon": !remote && !ssh, "Source": "utmp"}); err == nil {
		e.Additional = string(b)
	}
	s.stamp(e)
	return e
}
