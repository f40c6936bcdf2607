package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vedette-edr/vedette/client"
)

// liveSession is an open session of a test.
type liveSession struct {
	t     *testing.T
	live  *client.Live
	out   map[int]string
	ends  map[int]*client.LiveEvent
	lines map[int]string
	last  int
	over  string
	next  chan *client.LiveEvent
}

func openLive(t *testing.T, s *server, device, level string) *liveSession {
	t.Helper()
	live, err := s.OpenLive(t.Context(), device, "a test", level)
	if err != nil {
		t.Fatal(err)
	}
	l := &liveSession{t: t, live: live, out: map[int]string{}, ends: map[int]*client.LiveEvent{}, lines: map[int]string{}, next: make(chan *client.LiveEvent, 1000)}
	go func() {
		defer close(l.next)
		for {
			e, err := live.Receive(context.Background())
			if err != nil {
				return
			}
			l.next <- e
		}
	}()
	t.Cleanup(func() { _ = live.Close() })
	ready := false
	l.until("the device", func(e *client.LiveEvent) bool { ready = ready || e.Type == "ready"; return ready })
	return l
}

// until takes in what the session shows until seen is satisfied.
func (l *liveSession) until(what string, seen func(*client.LiveEvent) bool) {
	l.t.Helper()
	// A search of the whole device may take its two minutes, remediation two of them.
	wait := max(patience, 5*time.Minute)
	limit := time.After(wait)
	for {
		select {
		case e, ok := <-l.next:
			if !ok {
				if l.over == "" {
					l.over = "the socket closed"
				}
				if seen(&client.LiveEvent{Type: "closed"}) {
					return
				}
				l.t.Fatalf("the session ended (%s) before %s; it said %q", l.over, what, l.out[l.last])
			}
			switch e.Type {
			case "started":
				l.last, l.lines[e.Run] = e.Run, e.Line
			case "output":
				l.out[e.Run] += string(e.Data)
			case "end":
				l.ends[e.Run] = e
			case "closed":
				l.over = e.Reason
			}
			if seen(e) {
				return
			}
		case <-limit:
			l.t.Fatalf("waited %s for %s; it said %q", wait, what, l.out[l.last])
		}
	}
}

func (l *liveSession) begin(line string) int {
	l.t.Helper()
	if err := l.live.Send(l.t.Context(), client.LiveInput{Type: "run", Line: line, Columns: 91, Rows: 37}); err != nil {
		l.t.Fatal(err)
	}
	run := 0
	l.until("the beginning of "+line, func(e *client.LiveEvent) bool {
		if e.Type == "started" && e.Line == line {
			run = e.Run
		}
		return run != 0
	})
	return run
}

func (l *liveSession) run(line string) (string, *client.LiveEvent) {
	l.t.Helper()
	run := l.begin(line)
	l.until("the end of "+line, func(*client.LiveEvent) bool { return l.ends[run] != nil })
	return l.out[run], l.ends[run]
}

func (l *liveSession) ok(line string) (string, *client.LiveEvent) {
	l.t.Helper()
	out, end := l.run(line)
	if end.Status != "completed" {
		l.t.Fatalf("%s: %s %s\n%s", line, end.Status, end.Error, out)
	}
	return out, end
}

func (l *liveSession) types(run int, text string) {
	l.t.Helper()
	if err := l.live.Type(l.t.Context(), run, []byte(text)); err != nil {
		l.t.Fatal(err)
	}
}

func (l *liveSession) says(run int, text string) {
	l.t.Helper()
	l.until(fmt.Sprintf("%q", text), func(*client.LiveEvent) bool { return strings.Contains(l.out[run], text) })
}

// processesOf counts the processes whose command line begins so.
func processesOf(args ...string) int {
	want, n := strings.Join(args, "\x00"), 0
	dirs, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, d := range dirs {
		if raw, err := os.ReadFile(d); err == nil && strings.HasPrefix(string(raw), want) {
			n++
		}
	}
	return n
}

// TestLiveResponse has a session with a real agent: files come as they are, scripts run,
// a terminal is one, and nothing is left when it ends.
func TestLiveResponse(t *testing.T) {
	s := startServer(t)
	a := startAgent(t, s, "")
	d := s.onlyDevice(t)
	whole, dir := t, t.TempDir() // processes that a part starts outlive it
	content := make([]byte, 3_000_000)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(content) // never fails
	must(t, os.WriteFile(filepath.Join(dir, "evidence\nof"), content, 0o600))
	must(t, os.WriteFile(filepath.Join(dir, "empty"), nil, 0o600))
	must(t, syscall.Mkfifo(filepath.Join(dir, "fifo"), 0o600))
	script := filepath.Join(t.TempDir(), "hello.sh")
	must(t, os.WriteFile(script, []byte("#!/bin/sh\necho \"hello $1 from $(pwd)\"\nexit 4\n"), 0o600))
	s.cli(t, "library", "upload", script, "--description", "says hello")

	l := openLive(t, s, d.ID, "")
	l.ok("cd " + dir)
	if out, _ := l.ok("dir"); !strings.Contains(out, `evidence\nof`) {
		t.Errorf("dir: %q", out)
	}
	_, end := l.ok(`getfile "evidence\nof"`)
	var got bytes.Buffer
	if len(end.Files) != 1 || end.Files[0].Name != "evidence_of" {
		t.Fatalf("files: %+v", end.Files)
	}
	must(t, s.LiveFile(t.Context(), l.live.Session.ID, end.Files[0].Index, &got))
	if !bytes.Equal(got.Bytes(), content) {
		t.Errorf("%d bytes came, which are not those of the file", got.Len())
	}
	if _, end := l.ok("getfile empty"); len(end.Files) != 1 || end.Files[0].Size != 0 {
		t.Errorf("an empty file: %+v", end.Files)
	}
	if _, end := l.run("getfile fifo"); end.Status != "failed" || !strings.Contains(end.Error, "FIFO") {
		t.Errorf("a FIFO: %+v", end)
	}
	if out, end := l.run("run hello.sh -parameters world"); !strings.Contains(out, "hello world from "+dir) || end.Exit != 4 {
		t.Errorf("run: %q, %+v", out, end)
	}
	if out, _ := l.ok("library"); !strings.Contains(out, "hello.sh") || !strings.Contains(out, "says hello") {
		t.Errorf("library: %q", out)
	}
	if out, _ := l.ok("processes -name vedette-agent -output json"); !json.Valid([]byte(out)) || !strings.Contains(out, a.instance) {
		t.Errorf("processes: %s", out)
	}
	if _, err := s.OpenLive(t.Context(), d.ID, "", ""); err == nil || !strings.Contains(err.Error(), "ActiveRequestAlreadyExists") {
		t.Errorf("a second session: %v", err)
	}
	remediated(t, l, dir)

	shell := l.begin("shell")
	l.types(shell, "tty; stty size\n")
	l.says(shell, "/dev/pts/")
	l.says(shell, "37 91")
	must(t, l.live.Send(t.Context(), client.LiveInput{Type: "resize", Run: shell, Columns: 132, Rows: 50}))
	l.types(shell, "stty size\n")
	l.says(shell, "50 132")
	nap := "86" + strconv.Itoa(os.Getpid())
	l.types(shell, "setsid sleep "+nap+" & (nohup sleep "+nap+" >/dev/null 2>&1 &) ; (setsid sh -c 'sleep "+nap+" & sleep "+nap+"' &) ; echo all' 'begun\n")
	l.says(shell, "all begun")
	await(t, "the sleepers", func() error {
		if n := processesOf("sleep", nap); n < 4 {
			return fmt.Errorf("%d", n)
		}
		return nil
	})
	must(t, l.live.Send(t.Context(), client.LiveInput{Type: "close"}))
	l.until("the end", func(e *client.LiveEvent) bool { return e.Type == "closed" })
	await(t, "every process of the session to end", func() error {
		if n := processesOf("sleep", nap); n != 0 {
			return fmt.Errorf("%d are left", n)
		}
		return nil
	})
	var n *client.LiveSession
	await(t, "the device's word on the end", func() (err error) {
		if n, err = s.LiveSession(t.Context(), l.live.Session.ID); err == nil && (n.State != "Ended" || !strings.HasPrefix(n.Outcome, "verified")) {
			err = fmt.Errorf("%+v", n)
		}
		return err
	})
	recorded(t, s, n.ID, "hello world from "+dir)

	t.Run("one command by the command line", func(t *testing.T) {
		save := t.TempDir()
		out := s.cli(t, "live", d.ID, "-c", "cd "+dir, "-c", `getfile "evidence\nof"`, "-c", "pwd", "--save", save)
		got, err := os.ReadFile(filepath.Join(save, "evidence_of"))
		if err != nil || !bytes.Equal(got, content) || !strings.Contains(out, dir) {
			t.Errorf("%v, %d bytes, %q", err, len(got), out)
		}
		if out := s.cli(t, "live", "list"); strings.Count(out, "Ended") < 2 {
			t.Errorf("list: %s", out)
		}
		if out := s.cli(t, "live", "replay", n.ID, "--speed", "0"); !strings.Contains(out, "all begun") {
			t.Errorf("replay: %s", out)
		}
	})
	t.Run("an agent that is killed", func(t *testing.T) {
		l := openLive(t, s, d.ID, "")
		shell := l.begin("shell")
		l.types(shell, "setsid sleep "+nap+"9 & echo be' 'gun\n")
		l.says(shell, "be gun")
		a.kill()
		l.until("the end", func(e *client.LiveEvent) bool { return e.Type == "closed" })
		a.restart(whole)
		await(t, "its leftovers to end", func() error {
			if n := processesOf("sleep", nap+"9"); n != 0 {
				return fmt.Errorf("%d are left", n)
			}
			return nil
		})
		await(t, "another session", func() error {
			out, err := exec.Command(bin("vedette"), "--profile", s.profilePath(), "live", d.ID, "-c", "pwd").CombinedOutput()
			if err != nil {
				return fmt.Errorf("%w: %s", err, out)
			}
			return nil
		})
	})
	t.Run("a server that is killed", func(t *testing.T) {
		l := openLive(t, s, d.ID, "basic")
		if _, end := l.run("shell"); end.Status != "denied" {
			t.Errorf("a shell in a basic session: %+v", end)
		}
		s.kill()
		s.start(whole)
		n, err := s.LiveSession(t.Context(), l.live.Session.ID)
		if err != nil || n.State != "Ended" || !n.Transcript {
			t.Errorf("%+v, %v", n, err)
		}
	})
}

// remediated takes a program into quarantine that runs, and gives it back.
func remediated(t *testing.T, l *liveSession, dir string) {
	t.Helper()
	program := filepath.Join(dir, "malware")
	raw, err := os.ReadFile("/bin/sleep")
	must(t, err)
	raw = append(raw, "of nobody's package"...)
	must(t, os.WriteFile(program, raw, 0o755))
	cmd := exec.Command(program, "1000")
	must(t, cmd.Start())
	out, _ := l.ok("remediate file " + program)
	if err := cmd.Wait(); err == nil {
		t.Error("it was not stopped")
	}
	if _, err := os.Stat(program); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it is still there (%v): %s", err, out)
	}
	l.ok("undo file " + program)
	if got, err := os.ReadFile(program); err != nil || !bytes.Equal(got, raw) {
		t.Errorf("it came back as %d bytes: %v", len(got), err)
	}
	const eicar = `X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR` + `-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*`
	must(t, os.WriteFile(filepath.Join(dir, "eicar"), []byte(eicar), 0o600))
	if out, _ := l.ok("analyze file eicar"); !strings.Contains(out, "Malicious") {
		t.Errorf("analyze: %s", out)
	}
	if out, _ := l.ok("analyze file " + program); !strings.Contains(out, "Clean") {
		t.Errorf("analyze: %s", out)
	}
}

// recorded looks for what a session was in its transcript and its log.
func recorded(t *testing.T, s *server, id, shown string) {
	t.Helper()
	var cast bytes.Buffer
	must(t, s.LiveTranscript(t.Context(), id, &cast))
	text := ""
	for i, line := range strings.Split(strings.TrimSpace(cast.String()), "\n") {
		if i == 0 {
			var head struct{ Version, Width, Height int }
			if err := json.Unmarshal([]byte(line), &head); err != nil || head.Version != 2 || head.Width == 0 || head.Height == 0 {
				t.Errorf("header %s: %v", line, err)
			}
			continue
		}
		var e [3]any
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("event %s: %v", line, err)
		}
		if e[1] == "o" {
			text += e[2].(string)
		}
	}
	if !strings.Contains(text, shown) || !strings.Contains(text, "50 132") {
		t.Errorf("the transcript says %.2000q", text)
	}
	all, err := s.LiveCommands(t.Context(), id)
	must(t, err)
	if len(all) < 10 || all[0].Run != 1 || !strings.HasPrefix(all[0].Line, "cd ") || all[0].Status != "completed" {
		t.Errorf("log: %+v", all)
	}
	for _, c := range all {
		if c.Ended == nil {
			t.Errorf("%s has not ended", c.Line)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestRunLiveResponse asks by the published API.
func TestRunLiveResponse(t *testing.T) {
	s := startServer(t)
	startAgent(t, s, "")
	d := s.onlyDevice(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "evidence")
	must(t, os.WriteFile(file, []byte("of a crime"), 0o600))
	for name, text := range map[string]string{"tool.bin": "payload\n", "work.sh": "#!/bin/sh\ncat tool.bin\necho \"$@\"\necho trouble >&2\nexit 5\n"} {
		path := filepath.Join(t.TempDir(), name)
		must(t, os.WriteFile(path, []byte(text), 0o600))
		s.cli(t, "library", "upload", path)
	}
	type pair map[string]string
	command := func(kind string, params ...pair) map[string]any {
		return map[string]any{"type": kind, "params": params}
	}
	request := func(commands ...map[string]any) *client.Action {
		t.Helper()
		var a client.Action
		must(t, s.Do(t.Context(), http.MethodPost, "/api/machines/"+d.ID+"/runliveresponse", map[string]any{"Comment": "test", "Commands": commands}, &a))
		await(t, "the end of the action", func() error {
			got, err := s.Action(t.Context(), a.ID)
			if err == nil && (got.Status == "Pending" || got.Status == "InProgress") {
				err = errors.New(got.Status)
			}
			if err == nil {
				a = *got
			}
			return err
		})
		return &a
	}
	result := func(a *client.Action, index int) ([]byte, error) {
		link, err := s.ResultLink(t.Context(), a, index)
		if err != nil {
			return nil, err
		}
		var b bytes.Buffer
		_, err = s.Download(t.Context(), link, &b)
		return b.Bytes(), err
	}
	a := request(command("PutFile", pair{"key": "FileName", "value": "tool.bin"}),
		command("RunScript", pair{"key": "ScriptName", "value": "work.sh"}, pair{"key": "Args", "value": "one 'two three'"}),
		command("GetFile", pair{"key": "Path", "value": file}))
	if a.Status != "Succeeded" {
		t.Fatalf("%+v", a)
	}
	raw, err := result(a, 1)
	must(t, err)
	var script map[string]any
	must(t, json.Unmarshal(raw, &script))
	want := map[string]any{"script_name": "work.sh", "exit_code": 5.0, "script_output": "payload\none two three\n", "script_errors": "trouble\n"}
	if fmt.Sprint(script) != fmt.Sprint(want) {
		t.Errorf("the script's result is %s", raw)
	}
	if got, err := result(a, 2); err != nil || string(got) != "of a crime" {
		t.Errorf("the file: %q, %v", got, err)
	}
	if _, err := result(a, 0); err == nil {
		t.Error("PutFile has a result")
	}

	a = request(command("GetFile", pair{"key": "Path", "value": file}), command("GetFile", pair{"key": "Path", "value": filepath.Join(dir, "missing")}),
		command("RunScript", pair{"key": "ScriptName", "value": "work.sh"}))
	var detail struct {
		Status   string
		Commands []struct {
			CommandStatus string
			Errors        []string
		}
	}
	must(t, s.Do(t.Context(), http.MethodGet, "/api/machineactions/"+a.ID, nil, &detail))
	if c := detail.Commands; detail.Status != "Failed" || len(c) != 3 || c[0].CommandStatus != "Completed" || c[1].CommandStatus != "Failed" || len(c[1].Errors) != 1 || c[2].CommandStatus != "Created" {
		t.Errorf("%+v", detail)
	}
	if got, err := result(a, 0); err != nil || string(got) != "of a crime" {
		t.Errorf("what came before the failure: %q, %v", got, err)
	}
}
