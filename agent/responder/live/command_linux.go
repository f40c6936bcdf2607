package live

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vedette-edr/vedette/agent/responder"
	"github.com/vedette-edr/vedette/wire"
)

// flagsOf lists the parameters of a command beside -output: those with = take a value.
func flagsOf(command string) []string {
	switch command {
	case "cat":
		return []string{"lines="}
	case "dir":
		return []string{"full_path"}
	case "findfile":
		return []string{"path=", "auto"}
	case "getfile", "fileinfo":
		return []string{"auto"}
	case "processes":
		return []string{"pid=", "name="}
	case "putfile":
		return []string{"overwrite", "keep"}
	case "run":
		return []string{"parameters=", "args="}
	case "analyze", "remediate", "undo":
		return []string{"auto"}
	}
	return nil
}

// errWindows is the answer of commands about what other systems have.
func errWindows(what, instead string) error {
	return fmt.Errorf("this device runs Linux, which has no %s; %s", what, instead)
}

// command carries out one command of the console.
func (s *session) command(j *job, l *line) error {
	switch l.command.Name {
	case "cls":
		_, err := io.WriteString(j.out, "\x1b[2J\x1b[H")
		return err
	case "connect":
		host, err := os.Hostname()
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(j.out, "Session %s on %s for %s, level %s.\n", s.id, visible(host), visible(s.user), s.level)
		return err
	case "help":
		return s.help(j.out, l)
	case "jobs":
		return s.listJobs(j.out, l)
	case "status":
		return s.jobStatus(j.out, l)
	case "fg":
		return s.foreground(j, l)
	case "trace":
		return s.setTrace(j.out, l)
	case "cd":
		err := s.changeFolder(l)
		if err == nil {
			s.tellFolder()
		}
		return err
	case "pwd":
		_, err := fmt.Fprintln(j.out, visible(s.here().name()))
		return err
	case "getfile":
		return s.getFile(j, l)
	case "run":
		return s.runScript(j, l)
	case "shell":
		return s.shell(j)
	case "registry":
		return errWindows("registry", "see fileinfo and cat for files of settings")
	case "startupfolders":
		return errWindows("startup folders", "see persistence")
	case "isolate", "release":
		return errors.New("isolate and release the device with the response action: it is approved, recorded and proven there")
	case "collect":
		return s.other(j, "collectinvestigationpackage", nil)
	case "scan":
		return s.other(j, "runantivirusscan", map[string]string{"scanType": "Quick"})
	}
	ask, ok := s.questions()[l.command.Name]
	if !ok {
		return fmt.Errorf("this agent does not carry out %s", l.command.Name)
	}
	return ask(j.ctx, l, j.out)
}

// question is a command that needs nothing of the console but to write to it.
type question func(ctx context.Context, l *line, w io.Writer) error

func (s *space) questions() map[string]question {
	return map[string]question{
		"cat": s.cat, "dir": s.list, "fileinfo": s.fileInfo, "findfile": s.findFile,
		"connections": connections, "drivers": drivers, "processes": s.processes, "services": s.services,
		"scheduledtasks": s.scheduledTasks, "persistence": s.persistence,
		"putfile": s.putFile, "analyze": s.analyze, "remediate": s.remediate, "undo": s.undo,
	}
}

func (s *session) help(w io.Writer, l *line) error {
	if err := l.only(0, 1); err != nil {
		return err
	}
	if len(l.args) == 1 {
		c, ok := wire.FindLiveCommand(l.args[0])
		if !ok {
			return fmt.Errorf("there is no command %q", visible(l.args[0]))
		}
		_, err := fmt.Fprintf(w, "%s\n\nUsage: %s %s\n", c.Help, c.Name, c.Usage)
		return err
	}
	t := &table{columns: []string{"command", "parameters", "help"}}
	for _, c := range wire.LiveCommands() {
		if s.level.Allows(c) {
			t.add(c.Name, c.Usage, c.Help)
		}
	}
	if err := t.write(w, l.json); err != nil || l.json {
		return err
	}
	_, err := io.WriteString(w, "\nA line may end in > NAME, which makes the output a file for you, and in &, which lets the command run on in the background.\n")
	return err
}

func (s *session) listJobs(w io.Writer, l *line) error {
	s.jobMu.Lock()
	var all []*job
	for _, j := range s.jobs {
		all = append(all, j)
	}
	s.jobMu.Unlock()
	slices.SortFunc(all, func(a, b *job) int { return int(a.id) - int(b.id) })
	t := &table{columns: []string{"id", "status", "started", "ended", "command"}}
	for _, j := range all {
		state, _, end := j.status()
		var over any
		if !end.IsZero() {
			over = end.UTC()
		}
		t.add(int64(j.id), state, j.begun.UTC(), over, j.text)
	}
	return t.write(w, l.json)
}

// jobOf finds the job that a line names.
func (s *session) jobOf(l *line) (*job, error) {
	if err := l.only(1, 1); err != nil {
		return nil, err
	}
	id, err := strconv.ParseUint(l.args[0], 10, 32)
	if err != nil {
		return nil, fmt.Errorf("%q is no id of a job; see jobs", visible(l.args[0]))
	}
	s.jobMu.Lock()
	defer s.jobMu.Unlock()
	j := s.jobs[uint32(id)]
	if j == nil {
		return nil, fmt.Errorf("there is no job %d; see jobs", id)
	}
	return j, nil
}

func (s *session) jobStatus(w io.Writer, l *line) error {
	j, err := s.jobOf(l)
	if err != nil {
		return err
	}
	state, problem, _ := j.status()
	if _, err := fmt.Fprintf(w, "%d: %s, %s\n", j.id, visible(j.text), strings.TrimSuffix(state+": "+problem, ": ")); err != nil {
		return err
	}
	_, err = (&clean{w: w}).Write(j.out.peek())
	return err
}

// foreground shows a job's output until it ends, or until it is sent away again.
func (s *session) foreground(j *job, l *line) error {
	t, err := s.jobOf(l)
	if err != nil {
		return err
	}
	if t == j || t.terminal {
		return errors.New("that job cannot be brought to the foreground")
	}
	if err := t.out.attach(j.id, s.console(j.id)); err != nil {
		return err
	}
	select {
	case <-t.done:
	case <-j.moved:
		t.out.detach(j.id)
		return nil
	case <-j.ctx.Done():
		t.cancel(context.Cause(j.ctx))
		<-t.done
	}
	if state, problem, _ := t.status(); state != completed {
		return fmt.Errorf("%s: %s", state, problem)
	}
	return nil
}

func (s *session) setTrace(w io.Writer, l *line) error {
	if err := l.only(0, 1); err != nil {
		return err
	}
	s.jobMu.Lock()
	defer s.jobMu.Unlock()
	switch {
	case len(l.args) == 0:
		s.trace = !s.trace
	case l.args[0] == "on", l.args[0] == "off":
		s.trace = l.args[0] == "on"
	default:
		return errors.New("usage: trace [on|off]")
	}
	_, err := fmt.Fprintf(w, "trace is %s\n", map[bool]string{true: "on", false: "off"}[s.trace])
	return err
}

// other carries out a command of another kind, and says what became of it.
func (s *session) other(j *job, kind string, params any) error {
	if s.live.conf.Do == nil {
		return fmt.Errorf("this agent does not carry out %s", kind)
	}
	raw, err := json.Marshal(params)
	if err != nil {
		return err
	}
	if params == nil {
		raw = nil
	}
	r := s.live.conf.Do(j.ctx, responder.Command{ID: s.id, Kind: kind, Params: raw})
	if _, err := fmt.Fprintf(j.out, "%s\n", visible(strings.TrimSuffix(string(r.State)+": "+r.Detail, ": "))); err != nil {
		return err
	}
	if kind == "collectinvestigationpackage" && r.State == responder.Verified {
		j.mu.Lock()
		j.files = append(j.files, 0)
		j.mu.Unlock()
	}
	if r.State == responder.Failed || r.State == responder.Refused {
		return errors.New(r.Detail)
	}
	return nil
}

// exitError says that a process ended with something else than 0.
type exitError struct{ code int }

// Error says the code.
func (e *exitError) Error() string { return fmt.Sprintf("exit code %d", e.code) }

// shortly bounds what helpers of the system may take.
const shortly = 30 * time.Second
