package live

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/creack/pty"

	"github.com/vedette-edr/vedette/agent/launch"
	"github.com/vedette-edr/vedette/wire"
)

// searchPath is what programs of a session are looked for in.
const searchPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// environment is what programs of a session get: nothing of the agent's own.
func environment(more ...string) []string {
	return append([]string{"PATH=" + searchPath, "HOME=/root", "USER=root", "LOGNAME=root", "SHELL=/bin/sh", "LANG=C.UTF-8"}, more...)
}

// refusedArguments are what scripts' arguments may not contain, as published.
const refusedArguments = ";&|!$"

// arguments splits what a script is given. No shell ever sees it.
func arguments(text string) ([]string, error) {
	if strings.ContainsAny(text, refusedArguments) {
		return nil, fmt.Errorf("the arguments of a script may not have any of %s", strings.Join(strings.Split(refusedArguments, ""), " "))
	}
	words, err := wire.SplitLine(text)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, w := range words {
		out = append(out, w.Text)
	}
	return out, nil
}

// script fetches a file of the library to be run, and says how.
func (s *space) script(ctx context.Context, name string) ([]string, error) {
	if err := plainName(name); err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.runs++
	dir := filepath.Join(s.dir, fmt.Sprintf("script-%d", s.runs))
	s.mu.Unlock()
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, name)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o700)
	if err != nil {
		return nil, err
	}
	err = s.live.conf.Server.Fetch(ctx, s.id, name, f)
	head := make([]byte, 4)
	if err == nil {
		n, rerr := f.ReadAt(head, 0)
		if head = head[:n]; rerr != nil && !errors.Is(rerr, io.EOF) {
			err = rerr
		}
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	if strings.HasPrefix(string(head), "#!") || string(head) == "\x7fELF" {
		return []string{path}, nil
	}
	// Written for a program that its name tells.
	by := map[string]string{".py": "python3", ".pl": "perl", ".rb": "ruby", ".ps1": "pwsh"}[filepath.Ext(name)]
	if by == "" {
		by = "sh"
	}
	return []string{by, path}, nil
}

// execute runs a program in a group of its own until it, and not what it left behind,
// ends. When ctx ends the whole group does.
func (s *space) execute(ctx context.Context, argv []string, stdout, stderr io.Writer) (exit int, err error) {
	s.mu.Lock()
	s.runs++
	name := fmt.Sprintf("run-%d", s.runs)
	s.mu.Unlock()
	g, err := s.group.child(name)
	if err != nil {
		return 0, err
	}
	defer func() { _ = g.dir.Close() }() // the session's end removes it
	var cmd *exec.Cmd
	for try := 0; ; try++ {
		cmd = launch.Command(ctx, searchPath, argv[0], argv[1:]...)
		cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = environment(), s.here().in(), stdout, stderr
		cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: g.fd(), Setsid: true}
		cmd.Cancel = func() error { return destroyGroup(g.path) }
		// What it left behind may hold the pipes for ever.
		cmd.WaitDelay = 2 * time.Second
		if err = launch.Start(cmd); !errors.Is(err, syscall.ETXTBSY) || try == 20 {
			break
		}
		// Another thread of the agent was just starting a program, with the descriptor that
		// the script was written by; it is closed in an instant.
		time.Sleep(5 * time.Millisecond)
	}
	if err != nil {
		return 0, fmt.Errorf("%s: %w", visible(filepath.Base(argv[len(argv)-1])), err)
	}
	err = cmd.Wait()
	if errors.Is(err, exec.ErrWaitDelay) && ctx.Err() == nil {
		err = nil
	}
	var exited *exec.ExitError
	if errors.As(err, &exited) && ctx.Err() == nil {
		if ws, ok := exited.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
			return 128 + int(ws.Signal()), nil
		}
		return exited.ExitCode(), nil
	}
	if ctx.Err() != nil {
		return 0, context.Cause(ctx)
	}
	return 0, err
}

// runScript is the command run.
func (s *session) runScript(j *job, l *line) error {
	if err := l.only(1, 1); err != nil {
		return err
	}
	text := l.flags["parameters"]
	if l.has("args") {
		text = l.flags["args"]
	}
	args, err := arguments(text)
	if err != nil {
		return err
	}
	argv, err := s.script(j.ctx, l.args[0])
	if err != nil {
		return err
	}
	exit, err := s.execute(j.ctx, append(argv, args...), j.out, j.out)
	if err == nil && exit != 0 {
		err = &exitError{exit}
	}
	return err
}

// shell opens a shell in a terminal of its own.
func (s *session) shell(j *job) error {
	size := &pty.Winsize{Cols: 80, Rows: 24}
	select {
	case n := <-j.size:
		size = winsize(n)
	default:
	}
	s.mu.Lock()
	s.runs++
	name := fmt.Sprintf("run-%d", s.runs)
	s.mu.Unlock()
	g, err := s.group.child(name)
	if err != nil {
		return err
	}
	defer func() { _ = g.dir.Close() }() // the session's end removes it
	program := "/bin/sh"
	if _, err := os.Stat("/bin/bash"); err == nil {
		program = "/bin/bash"
	}
	cmd := launch.Command(context.Background(), searchPath, program, "-i")
	cmd.Env, cmd.Dir = environment("TERM=xterm-256color", "HISTFILE=/dev/null"), s.here().in()
	var terminal *os.File
	err = launch.StartBy(cmd, func() (err error) {
		terminal, err = pty.StartWithAttrs(cmd, size, &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: g.fd(), Setsid: true, Setctty: true})
		return err
	})
	if err != nil {
		if terminal != nil {
			_ = terminal.Close() // nobody has the other side
		}
		return err
	}
	copied, ended := make(chan struct{}), make(chan struct{})
	var how error // once it ended
	go func() {
		defer close(copied)
		buf := make([]byte, wire.MaxLiveOutput)
		for {
			n, err := terminal.Read(buf)
			if n > 0 {
				if _, werr := j.out.Write(buf[:n]); werr != nil {
					return
				}
			}
			if err != nil {
				return // EIO once nobody has the other side any more
			}
		}
	}()
	go func() {
		defer close(ended)
		how = cmd.Wait()
	}()
	for {
		select {
		case n := <-j.size:
			// A terminal that is gone needs no size.
			_ = pty.Setsize(terminal, winsize(n))
			continue
		case p := <-j.input:
			_, _ = terminal.Write(p) // it fails once the shell has ended, which is told next
			continue
		case <-ended:
			err = how
		case <-j.ctx.Done():
			err = errors.Join(context.Cause(j.ctx), destroyGroup(g.path))
			<-ended
		}
		break
	}
	// What the shell left behind may hold the terminal; its last words are read already.
	select {
	case <-copied:
	case <-time.After(200 * time.Millisecond):
	}
	_ = terminal.Close() // it was a terminal
	<-copied
	var exited *exec.ExitError
	if errors.As(err, &exited) && j.ctx.Err() == nil {
		return &exitError{exited.ExitCode()}
	}
	return err
}

func winsize(n [2]uint32) *pty.Winsize {
	return &pty.Winsize{Cols: uint16(min(n[0], 1000)), Rows: uint16(min(n[1], 1000))}
}
