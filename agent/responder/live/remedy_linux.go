package live

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vedette-edr/vedette/agent/quarantine"
	"github.com/vedette-edr/vedette/agent/responder/remediate"
)

// remedy is one thing that remediate did in this session.
type remedy struct {
	At   time.Time
	Kind string // file, process, service, scheduledtask
	What string
	How  string
	Undo string // what undo is told; "" for what cannot be undone
}

func (s *space) note(r remedy) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r.At = time.Now().UTC()
	s.done = append(s.done, r)
}

// removalID is the id of one removal of the session in the device's records.
func (s *space) removalID() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.runs++
	return fmt.Sprintf("%s-%d", s.id, s.runs)
}

func (s *space) remediate(ctx context.Context, l *line, w io.Writer) error {
	if len(l.args) == 1 && l.args[0] == "list" {
		return s.remedies(w, l)
	}
	if err := l.only(2, 2); err != nil {
		return err
	}
	switch kind, what := l.args[0], l.args[1]; kind {
	case "file":
		return s.remediateFile(ctx, what, w)
	case "process":
		return s.remediateProcess(ctx, what, w)
	case "service":
		return s.remediateService(ctx, what, w)
	case "scheduledtask":
		return s.remediateTask(ctx, what, w)
	case "registry", "startupfolder":
		return errWindows(kind, "see persistence")
	}
	return fmt.Errorf("usage: remediate %s", l.command.Usage)
}

func (s *space) remedies(w io.Writer, l *line) error {
	t := &table{columns: []string{"at", "kind", "what", "how", "undo"}}
	s.mu.Lock()
	for _, r := range s.done {
		t.add(r.At, r.Kind, r.What, r.How, r.Undo)
	}
	s.mu.Unlock()
	return t.write(w, l.json)
}

// remediateFile takes a file, and its copies, into quarantine.
func (s *space) remediateFile(ctx context.Context, name string, w io.Writer) error {
	f, st, err := s.here().regular(name, strict)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // it was only read
	return s.takeFile(ctx, f, st, w)
}

func (s *space) takeFile(ctx context.Context, f *os.File, st *unix.Stat_t, w io.Writer) error {
	if s.live.conf.Remediator == nil {
		return errors.New("this agent has no quarantine")
	}
	sums, err := digest(ctx, f)
	if err != nil {
		return err
	}
	where := nameOf(int(f.Fd()))
	out := s.live.conf.Remediator.Remove(ctx, s.removalID(), remediate.Target{SHA1: sums[0], SHA256: sums[1], Paths: []string{where}, Size: st.Size},
		quarantine.Reason{Note: "live response session " + s.id})
	if out.Refused != nil {
		return out.Refused
	}
	for _, p := range out.Evidence.Processes {
		if _, err := fmt.Fprintf(w, "process %d %s: %s %s\n", p.PID, visible(p.Name), p.State, visible(p.Detail)); err != nil {
			return err
		}
	}
	for _, p := range out.Evidence.Files {
		if _, err := fmt.Fprintf(w, "file %s: %s %s %s\n", visible(p.Path), p.State, p.Item, visible(p.Detail)); err != nil {
			return err
		}
		if p.Item != "" {
			s.note(remedy{Kind: "file", What: p.Path, How: p.State, Undo: "undo file " + p.Item})
		}
	}
	for _, e := range out.Evidence.Entries {
		if _, err := fmt.Fprintf(w, "%s %s: %s %s\n", e.Kind, visible(e.Path), e.State, visible(e.Detail)); err != nil {
			return err
		}
	}
	if !out.Whole {
		return fmt.Errorf("not all of it is gone: %s", strings.Join(out.Problems, "; "))
	}
	return nil
}

// remediateProcess ends a process and takes its image. A pid alone could be another
// process by then: the descriptor is not.
func (s *space) remediateProcess(ctx context.Context, id string, w io.Writer) error {
	pid, err := strconv.Atoi(id)
	if err != nil || pid < 1 {
		return fmt.Errorf("%q is no process id", visible(id))
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return fmt.Errorf("process %d: %w", pid, err)
	}
	defer func() { _ = unix.Close(fd) }() // it was only opened
	dir := "/proc/" + strconv.Itoa(pid)
	p, ok := readProc(uint32(pid), bootTime())
	switch {
	case !ok:
		return fmt.Errorf("process %d: %w", pid, unix.ESRCH)
	case pid == 1 || pid == os.Getpid():
		return fmt.Errorf("process %d is the machine's first or the agent's own: it stays", pid)
	case p.image == "" && p.line == "":
		return fmt.Errorf("process %d is the kernel's own", pid)
	}
	image, imageErr := os.Open(dir + "/exe")
	if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil {
		return fmt.Errorf("process %d: %w", pid, err)
	}
	if err := gone(ctx, fd); err != nil {
		return fmt.Errorf("process %d: %w", pid, err)
	}
	s.note(remedy{Kind: "process", What: fmt.Sprintf("%d %s", pid, p.image), How: "killed"})
	if _, err := fmt.Fprintf(w, "process %d %s was killed\n", pid, visible(p.name)); err != nil {
		return err
	}
	if imageErr != nil {
		return fmt.Errorf("its image cannot be read: %w", imageErr)
	}
	defer func() { _ = image.Close() }() // it was only read
	var st unix.Stat_t
	if err := unix.Fstat(int(image.Fd()), &st); err != nil {
		return err
	}
	if err := s.takeFile(ctx, image, &st, w); err != nil {
		_, err = fmt.Fprintf(w, "its image %s stays: %s\n", visible(p.image), visible(err.Error()))
		return err
	}
	return nil
}

// gone waits until a killed process has ended.
func gone(ctx context.Context, pidfd int) error {
	for end := time.Now().Add(killPatience); ; {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}, 100)
		switch {
		case n > 0:
			return nil
		case err != nil && !errors.Is(err, unix.EINTR):
			return err
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case time.Now().After(end):
			return errors.New("it was killed and has not ended yet")
		}
	}
}

// unitName refuses what systemctl could take for something else than a service.
func unitName(name string) (string, error) {
	if name == "" || name[0] == '-' || strings.ContainsAny(name, "/*?[ \n") || len(name) > 255 {
		return "", fmt.Errorf("%q is no name of a service", visible(name))
	}
	if !strings.HasSuffix(name, ".service") {
		name += ".service"
	}
	return name, nil
}

func (s *space) remediateService(ctx context.Context, name string, w io.Writer) error {
	unit, err := unitName(name)
	if err != nil {
		return err
	}
	if !systemd() {
		return errors.New("only services of systemd can be stopped, and this device does not run it")
	}
	if strings.HasPrefix(unit, "vedette-agent") || strings.HasPrefix(unit, "systemd-") || strings.HasPrefix(unit, "dbus") {
		return fmt.Errorf("%s is the agent's own or the system's: it stays", unit)
	}
	raw, err := s.helper(ctx, "systemctl", "show", "--property=MainPID,LoadState,UnitFileState", "--", unit)
	if err != nil {
		return err
	}
	if strings.Contains(string(raw), "LoadState=not-found") {
		return fmt.Errorf("there is no service %s", unit)
	}
	var image *os.File
	for row := range strings.Lines(string(raw)) {
		if pid, ok := strings.CutPrefix(strings.TrimSpace(row), "MainPID="); ok && pid != "0" {
			image, _ = os.Open("/proc/" + pid + "/exe") // without it the image stays, which is told
		}
	}
	if _, err := s.helper(ctx, "systemctl", "disable", "--now", "--", unit); err != nil {
		return err
	}
	s.note(remedy{Kind: "service", What: unit, How: "stopped and disabled", Undo: "undo service " + unit})
	if _, err := fmt.Fprintf(w, "%s was stopped and disabled\n", unit); err != nil {
		return err
	}
	if image == nil {
		_, err = fmt.Fprintln(w, "it was not running: its image stays")
		return err
	}
	defer func() { _ = image.Close() }() // it was only read
	var st unix.Stat_t
	if err := unix.Fstat(int(image.Fd()), &st); err != nil {
		return err
	}
	if err := s.takeFile(ctx, image, &st, w); err != nil {
		_, err = fmt.Fprintf(w, "its image stays: %s\n", visible(err.Error()))
		return err
	}
	return nil
}

// remediateTask takes the file of a scheduled task into quarantine.
func (s *space) remediateTask(ctx context.Context, name string, w io.Writer) error {
	if s.live.conf.Vault == nil {
		return errors.New("this agent has no quarantine")
	}
	h, st, err := s.here().find(name, strict)
	if err != nil {
		return err
	}
	defer func() { _ = h.Close() }() // it was only opened
	where := nameOf(int(h.Fd()))
	switch {
	case kindOf(st) != "file":
		return fmt.Errorf("%s is a %s and not a regular file", visible(where), kindOf(st))
	case !isTask(where):
		return fmt.Errorf("%s is not the file of a scheduled task; see scheduledtasks", visible(where))
	}
	if s.live.conf.Owned != nil {
		pkg, err := s.live.conf.Owned(ctx, where)
		if err != nil {
			return err
		}
		if pkg != "" {
			return fmt.Errorf("%s belongs to the package %s: it stays", visible(where), pkg)
		}
	}
	item, err := s.live.conf.Vault.Take(ctx, quarantine.Source{File: h, Path: where}, quarantine.Reason{Command: s.id, Note: "scheduled task"})
	if err != nil && !errors.Is(err, quarantine.ErrNotThere) {
		return err
	}
	s.note(remedy{Kind: "scheduledtask", What: where, How: "removed", Undo: "undo scheduledtask " + item.ID})
	_, err = fmt.Fprintf(w, "%s was removed; undo scheduledtask %s gives it back\n", visible(where), item.ID)
	return err
}

func (s *space) undo(ctx context.Context, l *line, w io.Writer) error {
	if len(l.args) == 1 && l.args[0] == "list" {
		return s.restorable(w, l)
	}
	if err := l.only(2, 2); err != nil {
		return err
	}
	switch kind, what := l.args[0], l.args[1]; kind {
	case "file", "scheduledtask":
		return s.restore(ctx, what, w)
	case "service":
		unit, err := unitName(what)
		if err != nil {
			return err
		}
		if _, err := s.helper(ctx, "systemctl", "enable", "--now", "--", unit); err != nil {
			return err
		}
		_, err = fmt.Fprintf(w, "%s was enabled and started\n", unit)
		return err
	case "registry":
		return errWindows(kind, "there is nothing to undo")
	case "process":
		return errors.New("a process that was killed cannot be brought back; start it anew")
	}
	return fmt.Errorf("usage: undo %s", l.command.Usage)
}

func (s *space) restorable(w io.Writer, l *line) error {
	if s.live.conf.Vault == nil {
		return errors.New("this agent has no quarantine")
	}
	t := &table{columns: []string{"item", "state", "path", "size", "sha256", "taken"}}
	for _, i := range s.live.conf.Vault.Items() {
		t.add(i.ID, string(i.State), i.Path, i.Size, i.SHA256, i.Taken)
	}
	return t.write(w, l.json)
}

// restore gives an item of the quarantine back: by its id, or the newest that was at a
// path.
func (s *space) restore(ctx context.Context, what string, w io.Writer) error {
	if s.live.conf.Vault == nil {
		return errors.New("this agent has no quarantine")
	}
	path := what
	if !filepath.IsAbs(path) {
		path = filepath.Join(s.here().name(), path)
	}
	var found *quarantine.Item
	for _, i := range s.live.conf.Vault.Items() {
		if i.ID == what || i.Path == path && i.State != quarantine.Restored {
			found = &i
		}
	}
	if found == nil {
		return fmt.Errorf("the quarantine has no %q; see undo list", visible(what))
	}
	if s.live.conf.Remediator != nil && strings.HasPrefix(found.Why.Note, "live response session ") {
		out := s.live.conf.Remediator.Restore(ctx, remediate.Wanted{Item: found.ID})
		if out.Refused != nil {
			return out.Refused
		}
		for _, p := range out.Evidence.Files {
			if _, err := fmt.Fprintf(w, "%s: %s %s\n", visible(p.Path), p.State, visible(p.Detail)); err != nil {
				return err
			}
		}
		if len(out.Problems) > 0 {
			return errors.New(strings.Join(out.Problems, "; "))
		}
		return nil
	}
	where, err := s.live.conf.Vault.Restore(ctx, found.ID, "")
	if where != "" {
		if _, werr := fmt.Fprintf(w, "%s is back\n", visible(where)); werr != nil {
			return werr
		}
	}
	return err
}

func (s *space) analyze(ctx context.Context, l *line, w io.Writer) error {
	if err := l.only(2, 2); err != nil {
		return err
	}
	var f *os.File
	var err error
	switch kind, what := l.args[0], l.args[1]; kind {
	case "file":
		f, _, err = s.here().regular(what, 0)
	case "process":
		pid, perr := strconv.Atoi(what)
		if perr != nil || pid < 1 {
			return fmt.Errorf("%q is no process id", visible(what))
		}
		f, err = os.Open("/proc/" + strconv.Itoa(pid) + "/exe")
	default:
		return fmt.Errorf("usage: analyze %s", l.command.Usage)
	}
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // it was only read
	sums, err := digest(ctx, f)
	if err != nil {
		return err
	}
	v := Verdict{Verdict: "Unknown", Reasons: []string{"this agent has nothing to judge files by"}}
	if s.live.conf.Judge != nil {
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return err
		}
		if v, err = s.live.conf.Judge(ctx, f); err != nil {
			return err
		}
	}
	t := &table{columns: []string{"path", "verdict", "reasons", "sha1", "sha256"}}
	t.add(nameOf(int(f.Fd())), v.Verdict, strings.Join(v.Reasons, "; "), sums[0], sums[1])
	return t.write(w, l.json)
}
