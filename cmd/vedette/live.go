package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/vedette-edr/vedette/client"
	"github.com/vedette-edr/vedette/cmd/vedette/screen"
)

type liveCommand struct {
	Open       liveOpen       `cmd:"" default:"withargs" help:"Open a session with a device: a console, or the commands given."`
	List       liveList       `cmd:"" help:"List sessions, the newest first."`
	Get        liveGet        `cmd:"" help:"Show a session."`
	Log        liveLog        `cmd:"" help:"List the commands of a session."`
	Transcript liveTranscript `cmd:"" help:"Save what a session showed, in the asciicast format."`
	Replay     liveReplay     `cmd:"" help:"Show a session again as it was."`
	End        liveEnd        `cmd:"" help:"End a session of somebody."`
}

type liveOpen struct {
	Device  string   `arg:"" help:"Device: id or name."`
	Comment string   `short:"m" help:"Why; it goes into the audit log."`
	Level   string   `help:"basic for a session that only looks; otherwise as much as you may." enum:",basic,advanced" default:""`
	Command []string `short:"c" help:"Carry out this command and leave; may be given several times. The first that fails is the last." sep:"none"`
	Save    string   `help:"Directory for files that the session brings." type:"existingdir" default:"."`
}

func (l *liveOpen) Run(s *session) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	d, err := c.Machine(s.ctx, l.Device)
	if err != nil {
		return err
	}
	live, err := c.OpenLive(s.ctx, d.ID, l.Comment, l.Level)
	if err != nil {
		return err
	}
	defer func() { _ = live.Close() }() // it is over
	// An interrupt is for the command on the device, not for this program.
	ctx, cancel := context.WithCancel(context.WithoutCancel(s.ctx))
	defer cancel()
	k := &liveConsole{session: s, client: c, live: live, ctx: ctx, save: l.Save, folder: "/", ended: make(chan *client.LiveEvent, 1), ready: make(chan struct{}), over: make(chan struct{})}
	go k.listen()
	select {
	case <-k.ready:
	case <-k.over:
		return k.why
	}
	if len(l.Command) > 0 {
		for _, line := range l.Command {
			if err := k.run(line); err != nil {
				return err
			}
		}
		return k.leave()
	}
	return k.interact()
}

// liveConsole is the terminal of a session.
type liveConsole struct {
	*session
	client *client.Client
	live   *client.Live
	ctx    context.Context
	save   string

	ready chan struct{}
	over  chan struct{} // closed after the last event; then why is set
	why   error
	ended chan *client.LiveEvent // of the run in the foreground

	mu     sync.Mutex
	folder string
	front  int            // the run in the foreground; 0 for none
	shell  bool           // it has a terminal
	drawn  *screen.Writer // what a shell draws on the terminal; nil while there is none
}

// show writes what a run said. A shell draws on the terminal, and everything else is text.
func (k *liveConsole) show(e *client.LiveEvent) {
	k.mu.Lock()
	drawn := k.drawn
	if k.front != e.Run {
		drawn = nil
	}
	k.mu.Unlock()
	var w io.Writer = k.out.w
	if drawn != nil {
		w = drawn
	}
	_, _ = w.Write(e.Data) // a terminal that is gone is noticed by its input
}

// listen shows what the session shows.
func (k *liveConsole) listen() {
	defer close(k.over)
	for {
		e, err := k.live.Receive(k.ctx)
		switch {
		case errors.Is(err, io.EOF):
			return
		case err != nil:
			k.why = err
			return
		}
		switch e.Type {
		case "waiting":
			fmt.Fprintln(k.errs, "Waiting for the device…")
		case "ready":
			fmt.Fprintf(k.errs, "Connected to %s: %s session %s. help lists commands, exit leaves.\n", e.Session.DeviceName, e.Session.Level, e.Session.ID)
			close(k.ready)
		case "started":
			k.mu.Lock()
			k.front = e.Run
			if k.shell && k.out.tty != nil {
				k.drawn = screen.Drawing(k.out.tty)
			}
			k.mu.Unlock()
		case "output":
			k.show(e)
		case "directory":
			k.mu.Lock()
			k.folder = e.Directory
			k.mu.Unlock()
		case "end":
			k.end(e)
		case "closed":
			fmt.Fprintln(k.errs, "The session is over:", e.Reason)
		}
	}
}

func (k *liveConsole) end(e *client.LiveEvent) {
	k.mu.Lock()
	front := k.front == e.Run
	if front {
		k.front = 0
		if k.drawn != nil {
			_, _ = io.WriteString(k.out.tty, screen.Restore) // like what was drawn
			k.drawn = nil
		}
	}
	k.mu.Unlock()
	if w, ok := k.out.w.(*screen.Writer); ok {
		_ = w.Flush() // what a run began and did not end
	}
	for _, f := range e.Files {
		if path, err := k.fetch(f); err != nil {
			fmt.Fprintf(k.errs, "%s could not be saved: %v\n", f.Name, err)
		} else {
			fmt.Fprintf(k.errs, "saved %s, %d bytes\n", path, f.Size)
		}
	}
	if front {
		k.ended <- e
		return
	}
	fmt.Fprintf(k.errs, "job %d: %s\n", e.Run, strings.TrimSuffix(e.Status+": "+e.Error, ": "))
}

// fetch saves a file of the session under a name that is not taken.
func (k *liveConsole) fetch(f client.LiveFile) (string, error) {
	name := filepath.Base(filepath.Clean("/" + f.Name))
	if name == "/" || name == "." {
		name = "file"
	}
	for n := 0; ; n++ {
		path := filepath.Join(k.save, name)
		if n > 0 {
			path += "." + strconv.Itoa(n)
		}
		// What comes from a device may be malware: nobody else reads it, nothing runs it.
		out, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if errors.Is(err, os.ErrExist) && n < 1000 {
			continue
		}
		if err != nil {
			return "", err
		}
		err = errors.Join(k.client.LiveFile(k.ctx, k.live.Session.ID, f.Index, out), out.Close())
		if err != nil {
			_ = os.Remove(path) // half of it is of no use
		}
		return path, err
	}
}

// start sends a line.
func (k *liveConsole) start(line string) error {
	k.mu.Lock()
	k.shell = strings.TrimSpace(line) == "shell"
	k.mu.Unlock()
	in := client.LiveInput{Type: "run", Line: line}
	if w, h, err := term.GetSize(int(os.Stdin.Fd())); err == nil {
		in.Columns, in.Rows = w, h
	}
	return k.live.Send(k.ctx, in)
}

// run carries out a line and waits for its end.
func (k *liveConsole) run(line string) error {
	if err := k.start(line); err != nil {
		return err
	}
	select {
	case e := <-k.ended:
		if e.Status != "completed" && e.Status != "background" {
			return fmt.Errorf("%s: %s", line, strings.TrimSuffix(e.Status+": "+e.Error, ": "))
		}
		return nil
	case <-k.over:
		return errors.Join(errors.New("the session ended"), k.why)
	}
}

func (k *liveConsole) leave() error {
	if err := k.live.Send(k.ctx, client.LiveInput{Type: "close"}); err != nil {
		return err
	}
	<-k.over
	return nil
}

func (k *liveConsole) prompt() {
	k.mu.Lock()
	defer k.mu.Unlock()
	fmt.Fprintf(k.errs, "%s> ", k.folder)
}

// foreground returns the run in the foreground, 0 for none, and whether it has a terminal.
func (k *liveConsole) foreground() (run int, shell bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.front, k.shell
}

// interact reads lines, and bytes while a shell has the terminal.
func (k *liveConsole) interact() error {
	keys := make(chan []byte)
	go func() {
		defer close(keys)
		buf := make([]byte, 4096)
		for {
			n, err := os.Stdin.Read(buf)
			if n > 0 {
				keys <- bytes.Clone(buf[:n])
			}
			if err != nil {
				return
			}
		}
	}()
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, liveSignals()...)
	defer signal.Stop(signals)
	var raw *term.State
	cooked := func() {
		if raw != nil {
			_ = term.Restore(int(os.Stdin.Fd()), raw) // there is nothing to be done about it
			raw = nil
		}
	}
	defer cooked()
	var held []byte
	busy, left := false, false // a line was sent and has not ended; there is no more input
	next := func() error {
		for !busy {
			line, rest, found := bytes.Cut(held, []byte("\n"))
			if !found {
				if left {
					return k.leave()
				}
				return nil
			}
			held = rest
			switch text := strings.TrimSpace(string(line)); text {
			case "":
				k.prompt()
			case "exit", "quit", "disconnect":
				return k.leave()
			default:
				if err := k.start(text); err != nil {
					return err
				}
				busy = true
				if text == "shell" && term.IsTerminal(int(os.Stdin.Fd())) {
					raw, _ = term.MakeRaw(int(os.Stdin.Fd())) // without it keys come by lines
				}
			}
		}
		return nil
	}
	k.prompt()
	for {
		var err error
		select {
		case <-k.over:
			return k.why
		case e := <-k.ended:
			cooked()
			busy = false
			if e.Error != "" {
				fmt.Fprintln(k.errs, e.Error)
			}
			if e.Status == "background" {
				fmt.Fprintf(k.errs, "job %d goes on in the background\n", e.Run)
			}
			k.prompt()
			err = next()
		case sig := <-signals:
			run, _ := k.foreground()
			err = k.signalled(sig, run)
		case b, ok := <-keys:
			if !ok {
				keys, left, held = nil, true, append(held, '\n')
				err = next()
				break
			}
			if run, shell := k.foreground(); shell && busy {
				if run != 0 { // before it has begun there is nobody to type for
					err = k.live.Type(k.ctx, run, b)
				}
				break
			}
			held = append(held, b...)
			err = next()
		}
		if err != nil {
			return err
		}
	}
}

type liveList struct {
	Device string `help:"Only of this device, by its id."`
	Top    int    `help:"At most so many." default:"50"`
}

func (l *liveList) Run(s *session) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	q := client.List{Top: l.Top}
	if l.Device != "" {
		q.Filter = "machineId eq '" + strings.ReplaceAll(l.Device, "'", "''") + "'"
	}
	items, err := c.LiveSessions(s.ctx, q)
	if err != nil {
		return err
	}
	cells := make([][]string, len(items))
	for i, n := range items {
		cells[i] = []string{when(n.Created), n.DeviceName, n.Level, n.By, n.State, strconv.Itoa(n.Commands), n.Reason, n.ID}
	}
	return s.out.rows(items, []string{"CREATED", "DEVICE", "LEVEL", "BY", "STATE", "COMMANDS", "ENDED BECAUSE", "ID"}, cells)
}

type liveID struct {
	ID string `arg:"" help:"Id of the session."`
}

func showLive(n *client.LiveSession) [][2]string {
	out := [][2]string{{"Id", n.ID}, {"Device", n.DeviceName + " " + n.Device}, {"Level", n.Level}, {"By", n.By}, {"Comment", n.Comment}, {"State", n.State},
		{"Created", when(n.Created)}, {"Started", when(n.Started)}, {"Ended", when(n.Ended)}, {"Reason", n.Reason}, {"Outcome", n.Outcome}, {"Commands", strconv.Itoa(n.Commands)}}
	for _, f := range n.Files {
		out = append(out, [2]string{"File " + strconv.Itoa(f.Index), fmt.Sprintf("%s, %d bytes, SHA-256 %s", f.Name, f.Size, f.SHA256)})
	}
	return out
}

type liveGet struct{ liveID }

func (l *liveGet) Run(s *session) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	n, err := c.LiveSession(s.ctx, l.ID)
	if err != nil {
		return err
	}
	return s.out.one(n, showLive(n))
}

type liveEnd struct{ liveID }

func (l *liveEnd) Run(s *session) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	n, err := c.EndLiveSession(s.ctx, l.ID)
	if err != nil {
		return err
	}
	return s.out.one(n, showLive(n))
}

type liveLog struct{ liveID }

func (l *liveLog) Run(s *session) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	items, err := c.LiveCommands(s.ctx, l.ID)
	if err != nil {
		return err
	}
	cells := make([][]string, len(items))
	for i, n := range items {
		took := ""
		if n.Seconds != nil {
			took = strconv.FormatFloat(*n.Seconds, 'f', 1, 64)
		}
		cells[i] = []string{strconv.Itoa(n.Run), when(n.Begun), took, n.Status, strconv.FormatInt(n.Output, 10), n.Line, n.Error}
	}
	return s.out.rows(items, []string{"RUN", "BEGUN", "SECONDS", "STATUS", "BYTES", "COMMAND", "ERROR"}, cells)
}

type liveTranscript struct {
	liveID
	File string `arg:"" type:"path" help:"File to write; it must not be there yet."`
}

func (l *liveTranscript) Run(s *session) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	f, err := os.OpenFile(l.File, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if err := errors.Join(c.LiveTranscript(s.ctx, l.ID, f), f.Close()); err != nil {
		_ = os.Remove(l.File) // half of it is of no use
		return err
	}
	return s.out.one(map[string]string{"file": l.File}, [][2]string{{"File", l.File}})
}

type liveReplay struct {
	ID    string        `arg:"" help:"Id of the session, or a file of the asciicast format."`
	Speed float64       `help:"How many times as fast; 0 for without pauses." default:"1"`
	Pause time.Duration `help:"The longest pause that is kept." default:"2s"`
}

func (l *liveReplay) Run(s *session) error {
	if f, err := os.Open(l.ID); err == nil {
		defer func() { _ = f.Close() }() // it was only read
		return l.play(s, f, nil)
	}
	c, err := s.client()
	if err != nil {
		return err
	}
	commands, err := c.LiveCommands(s.ctx, l.ID)
	if err != nil {
		return err
	}
	pr, pw := io.Pipe()
	go func() { pw.CloseWithError(c.LiveTranscript(s.ctx, l.ID, pw)) }()
	defer func() { _ = pr.Close() }() // which ends the one who writes
	return l.play(s, pr, commands)
}

// play shows what an asciicast of version 2 holds, with its pauses. On a terminal what a shell
// drew is drawn again, and everything else is text; the server's record of the commands says
// where a shell began, because a device can show what looks like a command.
func (l *liveReplay) play(s *session, r io.Reader, commands []client.LiveCommand) error {
	out, shell := s.out.w, io.Writer(nil)
	if s.out.tty != nil {
		shell = screen.Drawing(s.out.tty)
		defer func() { _, _ = io.WriteString(s.out.tty, screen.Restore) }() // the last word
	}
	sc := bufio.NewScanner(r)
	sc.Buffer(nil, 16<<20)
	last := 0.0
	for n := 1; sc.Scan(); n++ {
		if n == 1 {
			var head struct{ Version int }
			if err := json.Unmarshal(sc.Bytes(), &head); err != nil || head.Version != 2 {
				return errors.New("this is no asciicast of version 2")
			}
			continue
		}
		var e []json.RawMessage
		var at float64
		var kind, data string
		if json.Unmarshal(sc.Bytes(), &e) != nil || len(e) != 3 || json.Unmarshal(e[0], &at) != nil || json.Unmarshal(e[1], &kind) != nil || json.Unmarshal(e[2], &data) != nil {
			return fmt.Errorf("line %d of the transcript is no event", n)
		}
		if kind != "o" {
			continue
		}
		if l.Speed > 0 {
			t := time.NewTimer(min(time.Duration((at-last)/l.Speed*float64(time.Second)), l.Pause))
			select {
			case <-t.C:
			case <-s.ctx.Done():
				t.Stop()
				return nil
			}
		}
		last = at
		if shell != nil && len(commands) > 0 && data == "> "+commands[0].Line+"\r\n" {
			if out != s.out.w {
				_, _ = io.WriteString(s.out.tty, screen.Restore) // what is wrong with the terminal shows below
			}
			out = s.out.w
			if commands[0].Line == "shell" {
				out = shell
			}
			commands = commands[1:]
		}
		if _, err := io.WriteString(out, data); err != nil {
			return err
		}
	}
	return sc.Err()
}
