package live

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vedette-edr/vedette/agent/kernfs"
	"github.com/vedette-edr/vedette/agent/procfs"
	"github.com/vedette-edr/vedette/agent/responder"
	"github.com/vedette-edr/vedette/wire"
	"github.com/vedette-edr/vedette/wire/wirepb"
)

const sessionID = "11111111-2222-4333-8444-555555555555"

// depot is the server's side of files, in memory.
type depot struct {
	mu      sync.Mutex
	library map[string]string
	files   map[int]string
	names   map[int]string
}

func (d *depot) Upload(_ context.Context, _ string, index int, name string, f *os.File) error {
	raw, err := io.ReadAll(io.NewSectionReader(f, 0, 1<<40))
	d.mu.Lock()
	defer d.mu.Unlock()
	d.files[index], d.names[index] = string(raw), name
	return err
}

func (d *depot) Fetch(_ context.Context, _, name string, w io.Writer) error {
	d.mu.Lock()
	text, ok := d.library[name]
	d.mu.Unlock()
	if !ok {
		return fmt.Errorf("the library has no %s", name)
	}
	_, err := io.WriteString(w, text)
	return err
}

func (d *depot) Progress(string, responder.Progress) {}

// pipe is a session's stream without a network.
type pipe struct {
	up   chan *wirepb.LiveUp
	down chan *wirepb.LiveDown
	done chan struct{}
	once sync.Once
}

func newPipe() *pipe {
	return &pipe{up: make(chan *wirepb.LiveUp, 1000), down: make(chan *wirepb.LiveDown), done: make(chan struct{})}
}

func (p *pipe) Send(m *wirepb.LiveUp) error {
	select {
	case p.up <- m:
		return nil
	case <-p.done:
		return io.ErrClosedPipe
	}
}

func (p *pipe) Receive() (*wirepb.LiveDown, error) {
	select {
	case m := <-p.down:
		return m, nil
	case <-p.done:
		return nil, io.EOF
	}
}

func (p *pipe) Close() { p.once.Do(func() { close(p.done) }) }

// console is a session with whoever types into it.
type console struct {
	t     *testing.T
	live  *Live
	depot *depot
	pipe  *pipe
	next  uint32
	out   map[uint32]string
	ends  map[uint32]*wirepb.LiveEnd
	ended chan responder.Result
}

func newLive(t *testing.T, state string, d *depot, p *pipe) *Live {
	t.Helper()
	l, err := New(Config{Server: d, StateDir: state, Instance: "test-" + filepath.Base(state) + strconv.Itoa(os.Getpid()), Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
		Open: func(context.Context, string) (Stream, error) { return p, nil }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := sweepGroups(l.conf.Instance); err != nil {
			t.Error(err)
		}
	})
	return l
}

func open(t *testing.T, level wire.LiveLevel) *console {
	t.Helper()
	d := &depot{library: map[string]string{}, files: map[int]string{}, names: map[int]string{}}
	p := newPipe()
	c := &console{t: t, depot: d, pipe: p, live: newLive(t, t.TempDir(), d, p), out: map[uint32]string{}, ends: map[uint32]*wirepb.LiveEnd{}, ended: make(chan responder.Result, 1)}
	params, _ := json.Marshal(wire.LiveSession{Level: level, User: "ana"})
	go func() {
		c.ended <- c.live.Handlers()[0].Handle(context.Background(), responder.Command{ID: sessionID, Kind: wire.KindLiveSession, Params: params})
	}()
	t.Cleanup(func() { p.Close() })
	return c
}

// begin types a line and does not wait for it.
func (c *console) begin(line string) uint32 {
	c.next++
	c.pipe.down <- &wirepb.LiveDown{Run: c.next, Line: line, Columns: 90, Rows: 33}
	return c.next
}

// until waits for something that the device says.
func (c *console) until(what string, seen func() bool) {
	c.t.Helper()
	limit := time.After(20 * time.Second)
	for !seen() {
		select {
		case m := <-c.pipe.up:
			c.out[m.Run] += string(m.Output)
			if m.End != nil {
				c.ends[m.Run] = m.End
			}
		case <-time.After(20 * time.Millisecond): // what is waited for may not be said
		case <-limit:
			c.t.Fatalf("not within 20 s: %s; it said %v", what, c.out)
		}
	}
}

// run types a line and returns what it wrote and how it ended.
func (c *console) run(line string) (string, *wirepb.LiveEnd) {
	c.t.Helper()
	id := c.begin(line)
	c.until("the end of "+line, func() bool { return c.ends[id] != nil })
	return c.out[id], c.ends[id]
}

// ok is run of what must succeed.
func (c *console) ok(line string) string {
	c.t.Helper()
	out, end := c.run(line)
	if end.Status != completed {
		c.t.Fatalf("%s: %s %s\n%s", line, end.Status, end.Error, out)
	}
	return out
}

// fails is run of what must not.
func (c *console) fails(line, why string) {
	c.t.Helper()
	out, end := c.run(line)
	if end.Status != failed || !strings.Contains(end.Error, why) {
		c.t.Errorf("%s: %s %q, want one about %q\n%s", line, end.Status, end.Error, why, out)
	}
}

func (c *console) close() responder.Result {
	c.t.Helper()
	c.pipe.down <- &wirepb.LiveDown{Close: true}
	select {
	case r := <-c.ended:
		return r
	case <-time.After(20 * time.Second):
		c.t.Fatal("the session does not end")
	}
	return responder.Result{}
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
}

func TestCommandsOfFiles(t *testing.T) {
	c := open(t, wire.LiveAdvanced)
	dir := t.TempDir()
	nasty := "new\nline \x1b[31m"
	write(t, filepath.Join(dir, "plain.txt"), "hello\nworld\x1b]0;x\x07\n")
	write(t, filepath.Join(dir, nasty), "x")
	write(t, filepath.Join(dir, "empty"), "")
	if err := errors.Join(os.Symlink("/etc/shadow", filepath.Join(dir, "link")), unix.Mkfifo(filepath.Join(dir, "fifo"), 0o600),
		unix.Mknod(filepath.Join(dir, "device"), unix.S_IFCHR|0o600, int(unix.Mkdev(1, 5)))); err != nil {
		t.Fatal(err)
	}
	big, err := os.Create(filepath.Join(dir, "big"))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(big.Truncate(10<<30), big.Close()); err != nil {
		t.Fatal(err)
	}
	c.ok("cd " + dir)
	if got := c.ok("pwd"); strings.TrimSpace(got) != dir {
		t.Errorf("pwd: %q", got)
	}
	if got := c.ok("dir"); !strings.Contains(got, `new\nline \x1b[31m`) || strings.ContainsRune(got, 0x1b) || !strings.Contains(got, "link -> /etc/shadow") {
		t.Errorf("dir: %q", got)
	}
	var rows []struct{ Name, Type string }
	if err := json.Unmarshal([]byte(c.ok("dir -output json")), &rows); err != nil || len(rows) != 7 {
		t.Errorf("dir -output json: %v, %d rows", err, len(rows))
	}
	if got := c.ok("cat plain.txt"); got != "hello\nworld^[]0;x^G\n" {
		t.Errorf("cat: %q", got)
	}
	if got := c.ok("cat plain.txt -lines 1"); got != "hello\n" {
		t.Errorf("cat -lines: %q", got)
	}
	c.fails("getfile big", "at most")
}

func TestGetFileRefusesWhatIsNoFile(t *testing.T) {
	c := open(t, wire.LiveBasic)
	dir := t.TempDir()
	nasty := "new\nline"
	content := strings.Repeat("0123456789abcdef", 10_000)
	write(t, filepath.Join(dir, nasty), content)
	write(t, filepath.Join(dir, "empty"), "")
	if err := errors.Join(unix.Mkfifo(filepath.Join(dir, "fifo"), 0o600),
		unix.Mknod(filepath.Join(dir, "device"), unix.S_IFCHR|0o600, int(unix.Mkdev(1, 5))), os.Symlink("missing", filepath.Join(dir, "dangling"))); err != nil {
		t.Fatal(err)
	}
	big, err := os.Create(filepath.Join(dir, "big"))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(big.Truncate(10<<30), big.Close()); err != nil {
		t.Fatal(err)
	}
	c.ok("cd " + dir)
	c.ok(`getfile "new\nline"`)
	c.ok("getfile empty")
	if c.depot.files[1] != content || c.depot.names[1] != nasty || c.depot.files[2] != "" || c.depot.names[2] != "empty" {
		t.Errorf("what came: %v, %d and %d bytes", c.depot.names, len(c.depot.files[1]), len(c.depot.files[2]))
	}
	c.fails("getfile fifo", "is a FIFO")
	c.fails("getfile device", "is a character device")
	c.fails("getfile .", "is a directory")
	c.fails("getfile big", "at most 3221225472")
	c.fails("getfile dangling", "no such file")
	c.fails("getfile missing", "no such file")
	c.fails("getfile /proc/self/fd/1", "too many levels") // a magic link
	c.fails("getfile", "usage")
	c.fails("cat fifo", "is a FIFO")
	c.fails("fileinfo missing", "no such file")
	if got := c.ok("fileinfo fifo -output json"); !strings.Contains(got, `"type": "FIFO"`) {
		t.Errorf("fileinfo of a FIFO: %s", got)
	}
	sum, err := exec.Command("sha256sum", filepath.Join(dir, nasty)).Output()
	if err != nil {
		t.Fatal(err)
	}
	if got := c.ok(`fileinfo "new\nline"`); !strings.Contains(got, strings.TrimPrefix(strings.Fields(string(sum))[0], `\`)) {
		t.Errorf("fileinfo: %s", got)
	}
	if got := c.ok("findfile new* -path " + dir); !strings.Contains(got, `new\nline`) {
		t.Errorf("findfile: %s", got)
	}
	// Output becomes a file.
	c.ok("dir -output json > list.json")
	if n := len(c.depot.files); c.depot.names[n] != "list.json" && !strings.Contains(fmt.Sprint(c.depot.names), "list.json") {
		t.Errorf("names: %v", c.depot.names)
	}
	for index, name := range c.depot.names {
		if name == "list.json" && !json.Valid([]byte(c.depot.files[index])) {
			t.Errorf("list.json: %q", c.depot.files[index])
		}
	}
	c.fails("dir > ../x", "no name of a file")
}

func TestABasicSessionOnlyLooks(t *testing.T) {
	c := open(t, wire.LiveBasic)
	c.depot.library["x.sh"] = "touch " + filepath.Join(t.TempDir(), "ran")
	for _, line := range []string{"run x.sh", "putfile x.sh", "shell", "remediate process 1", "undo file x", "analyze file /bin/sh", "scan", "collect"} {
		c.fails(line, "advanced level")
	}
	if got := c.ok("help"); strings.Contains(got, "putfile") || !strings.Contains(got, "getfile") {
		t.Errorf("help: %s", got)
	}
	c.fails("format c:", "there is no command")
	c.fails("dir -x", "has no parameter")
	c.fails(`dir "`, "quotation mark")
	c.fails(`registry HKLM\x`, "runs Linux")
}

func TestPutFile(t *testing.T) {
	c := open(t, wire.LiveAdvanced)
	dir := t.TempDir()
	c.depot.library["tool"] = "first"
	c.ok("cd " + dir)
	c.ok("putfile tool")
	c.fails("putfile tool", "-overwrite")
	c.depot.library["tool"] = "second"
	c.ok("putfile tool -overwrite -keep")
	if raw, err := os.ReadFile(filepath.Join(dir, "tool")); string(raw) != "second" || err != nil {
		t.Errorf("%q, %v", raw, err)
	}
	c.fails("putfile ../tool", "no name of a file")
	c.fails("putfile missing", "the library has no missing")
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, "evil")); err != nil {
		t.Fatal(err)
	}
	c.depot.library["evil"] = "x"
	c.fails("putfile evil -overwrite", "is a link")
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 2 {
		t.Errorf("left: %v, %v", left, err)
	}
}

func TestAFileThatIsNotKeptGoesWithTheNextStart(t *testing.T) {
	c := open(t, wire.LiveAdvanced)
	dir := t.TempDir()
	c.depot.library["a"], c.depot.library["b"], c.depot.library["c"] = "x", "y", "z"
	c.ok("cd " + dir)
	c.ok("putfile a")
	c.ok("putfile b -keep")
	c.ok("putfile c")
	c.close()
	// Somebody replaced c: it is not what was put.
	if err := errors.Join(os.Remove(filepath.Join(dir, "c")), os.WriteFile(filepath.Join(dir, "d"), nil, 0o600), os.WriteFile(filepath.Join(dir, "c"), []byte("own"), 0o600)); err != nil {
		t.Fatal(err)
	}
	c.live.boot = "another start of the device"
	if err := c.live.sweepPut(); err != nil {
		t.Fatal(err)
	}
	for name, there := range map[string]bool{"a": false, "b": true, "c": true} {
		if _, err := os.Stat(filepath.Join(dir, name)); (err == nil) != there {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestScriptsRun(t *testing.T) {
	c := open(t, wire.LiveAdvanced)
	dir := t.TempDir()
	c.ok("cd " + dir)
	c.depot.library["hello.sh"] = "#!/bin/sh\necho \"$#:$1:$2\"; echo problem >&2; pwd; exit 3\n"
	c.depot.library["plain"] = "echo plain $1\n"
	out, end := c.run(`run hello.sh -parameters "one 'two three'"`)
	if !strings.Contains(out, "2:one:two three\n") || !strings.Contains(out, "problem") || !strings.Contains(out, dir) || end.Exit != 3 || end.Status != failed {
		t.Errorf("%q, %+v", out, end)
	}
	if out := c.ok("run plain -parameters x"); out != "plain x\n" {
		t.Errorf("%q", out)
	}
	for _, bad := range []string{"a;b", "a&b", "a|b", "a!", "$HOME"} {
		c.fails(fmt.Sprintf(`run plain -parameters "%s"`, bad), "may not have")
	}
	c.fails("run ../x", "no name of a file")
}

func TestJobs(t *testing.T) {
	c := open(t, wire.LiveAdvanced)
	gate := filepath.Join(t.TempDir(), "gate")
	c.depot.library["wait.sh"] = "#!/bin/sh\necho begun\nwhile [ ! -e " + gate + " ]; do sleep 0.05; done\necho over\n"
	_, end := c.run("run wait.sh &")
	if end.Status != behind {
		t.Fatalf("%+v", end)
	}
	job := c.next
	if got := c.ok("jobs"); !strings.Contains(got, "running") || !strings.Contains(got, "run wait.sh &") {
		t.Errorf("jobs: %s", got)
	}
	c.until("its output", func() bool { return strings.Contains(c.ok(fmt.Sprintf("status %d", job)), "begun") })
	fg := c.begin(fmt.Sprintf("fg %d", job))
	c.until("its output in the foreground", func() bool { return strings.Contains(c.out[fg], "begun") })
	// Away with it again, as by Ctrl+Z.
	c.pipe.down <- &wirepb.LiveDown{Run: fg, Background: true}
	c.until("it is away", func() bool { return c.ends[fg] != nil })
	fg = c.begin(fmt.Sprintf("fg %d", job))
	write(t, gate, "")
	c.until("its end", func() bool { return c.ends[fg] != nil && c.ends[fg].Status == completed })
	if !strings.Contains(c.out[fg], "over") {
		t.Errorf("fg said %q", c.out[fg])
	}
	c.until("its own end", func() bool { return c.ends[job].Status == completed })

	c.depot.library["long.sh"] = "#!/bin/sh\nsleep 1000 & sleep 1000\n"
	long := c.begin("run long.sh")
	c.fails("dir", "is in the foreground")
	c.pipe.down <- &wirepb.LiveDown{Run: long, Cancel: true}
	c.until("it is cancelled", func() bool { return c.ends[long] != nil })
	if c.ends[long].Status != cancelled {
		t.Errorf("%+v", c.ends[long])
	}
	if left := members(filepath.Join(groupsOfTest(t, c.live), sessionID)); len(left) != 0 {
		t.Errorf("processes %v outlived their command", left)
	}
}

func groupsOfTest(t *testing.T, l *Live) string {
	t.Helper()
	g, err := newGroup(l.conf.Instance, "probe")
	if err != nil {
		t.Fatal(err)
	}
	top := filepath.Dir(g.path)
	if err := g.destroy(); err != nil {
		t.Fatal(err)
	}
	return top
}

func TestAShellHasATerminal(t *testing.T) {
	c := open(t, wire.LiveAdvanced)
	dir := t.TempDir()
	c.ok("cd " + dir)
	id := c.begin("shell")
	typed := func(s string) { c.pipe.down <- &wirepb.LiveDown{Run: id, Input: []byte(s)} }
	typed("tty; stty size; echo in:$PWD\n")
	c.until("the terminal", func() bool {
		return strings.Contains(c.out[id], "/dev/pts/") && strings.Contains(c.out[id], "33 90") && strings.Contains(c.out[id], "in:"+dir)
	})
	c.pipe.down <- &wirepb.LiveDown{Run: id, Columns: 123, Rows: 45}
	typed("stty size\n")
	c.until("the new size", func() bool { return strings.Contains(c.out[id], "45 123") })
	typed("sleep 1000\n")
	typed("\x03") // Ctrl+C is the terminal's affair
	typed("echo still; exit 7\n")
	c.until("its end", func() bool { return c.ends[id] != nil })
	if e := c.ends[id]; e.Exit != 7 || !strings.Contains(c.out[id], "still") {
		t.Errorf("%+v: %q", e, c.out[id])
	}
}

// TestNothingOutlivesASession starts processes in every way that shells know to leave
// something behind, and looks for them after the session ended.
func TestNothingOutlivesASession(t *testing.T) {
	c := open(t, wire.LiveAdvanced)
	dir := t.TempDir()
	mark := "87" + strconv.Itoa(os.Getpid())
	c.depot.library["leave.sh"] = "#!/bin/sh\n" +
		"setsid sleep " + mark + "1 </dev/null >/dev/null 2>&1 &\n" +
		"nohup sleep " + mark + "2 </dev/null >/dev/null 2>&1 &\n" +
		"( ( sleep " + mark + "3 & ) & ) >/dev/null 2>&1\n" +
		"sh -c 'setsid sh -c \"sleep " + mark + "4 & exit\" & exit' \n" +
		"trap '' TERM HUP INT; sleep " + mark + "5 &\n" +
		"touch " + dir + "/done\n"
	c.ok("cd " + dir)
	c.ok("run leave.sh")
	shell := c.begin("shell")
	c.pipe.down <- &wirepb.LiveDown{Run: shell, Input: []byte("setsid sleep " + mark + "6 & disown; (setsid nohup sleep " + mark + "7 &) ; echo rea''dy\n")}
	c.until("the shell", func() bool { return strings.Contains(c.out[shell], "ready") })
	count := func() int {
		n := 0
		for _, pid := range procfs.All() {
			raw, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
			if bytes.HasPrefix(raw, []byte("sleep\x00"+mark)) {
				n++
			}
		}
		return n
	}
	c.until("all sleepers", func() bool { return count() == 7 })
	r := c.close()
	if r.State != responder.Verified {
		t.Errorf("%s: %s", r.State, r.Detail)
	}
	if n := count(); n != 0 {
		t.Errorf("%d processes outlived the session", n)
	}
	if _, err := os.Stat(filepath.Join(c.live.dir, "session", sessionID)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("its files are left: %v", err)
	}
}

func TestLeftoversOfAnAgentThatWasKilledAreEnded(t *testing.T) {
	d := &depot{library: map[string]string{}, files: map[int]string{}, names: map[int]string{}}
	l := newLive(t, t.TempDir(), d, newPipe())
	sp, err := l.space(sessionID)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sleep", "1000")
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: sp.group.fd(), Setsid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := New(l.conf); err != nil { // as the next agent does
		t.Fatal(err)
	}
	err = cmd.Wait()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Errorf("it ended with %v", err)
	}
}

func TestTheAPIsCommands(t *testing.T) {
	d := &depot{library: map[string]string{"s.sh": "#!/bin/sh\ncat put.bin; echo \"$@\"; echo bad >&2; exit 5\n", "put.bin": "payload\n"}, files: map[int]string{}, names: map[int]string{}}
	l := newLive(t, t.TempDir(), d, newPipe())
	file := filepath.Join(t.TempDir(), "evidence")
	write(t, file, "of a crime")
	do := func(id, params string) (responder.Result, []outcome) {
		r := l.Handlers()[1].Handle(t.Context(), responder.Command{ID: id, Kind: "liveresponse", Params: json.RawMessage(params)})
		var e struct{ Commands []outcome }
		if err := json.Unmarshal(r.Evidence, &e); err != nil {
			t.Fatal(err)
		}
		return r, e.Commands
	}
	put, run := `{"Kind":"PutFile","Params":[{"Key":"FileName","Value":"put.bin"}]}`, `{"Kind":"RunScript","Params":[{"Key":"ScriptName","Value":"s.sh"},{"Key":"Args","Value":"a 'b c'"}]}`
	get := func(path string) string { return `{"Kind":"GetFile","Params":[{"Key":"Path","Value":"` + path + `"}]}` }
	r, got := do("11111111-2222-4333-8444-000000000001", `{"commands":[`+put+`,`+run+`,`+get(file)+`]}`)
	if r.State != responder.Verified || len(got) != 3 || got[2].Status != "Completed" || d.files[2] != "of a crime" || d.names[2] != "evidence" {
		t.Errorf("%+v %+v %v", r, got, d.files)
	}
	var result struct {
		ScriptName   string `json:"script_name"`
		ExitCode     int    `json:"exit_code"`
		ScriptOutput string `json:"script_output"`
		ScriptErrors string `json:"script_errors"`
	}
	if err := json.Unmarshal([]byte(d.files[1]), &result); err != nil || result.ScriptName != "s.sh" || result.ExitCode != 5 || result.ScriptOutput != "payload\na b c\n" || result.ScriptErrors != "bad\n" {
		t.Errorf("%v: %s", err, d.files[1])
	}
	r, got = do("11111111-2222-4333-8444-000000000002", `{"commands":[`+get("/nowhere/at/all")+`,`+get(file)+`]}`)
	if r.State != responder.Failed || len(got) != 1 || got[0].Status != "Failed" || !strings.Contains(got[0].Errors[0], "no such file") {
		t.Errorf("%+v %+v", r, got)
	}
}

// TestAScriptIsNotRunTwice gives the handler what an agent that was killed in the middle
// of a script has left.
func TestAScriptIsNotRunTwice(t *testing.T) {
	ran := filepath.Join(t.TempDir(), "ran")
	d := &depot{library: map[string]string{"s.sh": "#!/bin/sh\necho x >> " + ran + "\n"}, files: map[int]string{}, names: map[int]string{}}
	l := newLive(t, t.TempDir(), d, newPipe())
	id := "11111111-2222-4333-8444-000000000003"
	before := &diary{file: filepath.Join(l.dir, "batch-"+id+".json"), Begun: 1}
	if err := before.save(); err != nil {
		t.Fatal(err)
	}
	r := l.Handlers()[1].Handle(t.Context(), responder.Command{ID: id, Kind: "liveresponse",
		Params: json.RawMessage(`{"commands":[{"Kind":"RunScript","Params":[{"Key":"ScriptName","Value":"s.sh"}]}]}`)})
	if _, err := os.Stat(ran); r.State != responder.Failed || !strings.Contains(r.Detail, "not run twice") || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestRemediateProcess(t *testing.T) {
	c := open(t, wire.LiveAdvanced)
	victim := exec.Command("sleep", "1000")
	if err := victim.Start(); err != nil {
		t.Fatal(err)
	}
	out := c.ok(fmt.Sprintf("remediate process %d", victim.Process.Pid))
	if err := victim.Wait(); err == nil || !strings.Contains(out, "was killed") || !strings.Contains(out, "its image") {
		t.Errorf("%v: %s", err, out)
	}
	c.fails("remediate process 1", "it stays")
	c.fails(fmt.Sprintf("remediate process %d", os.Getpid()), "it stays")
	c.fails("remediate process 2", "kernel")
	c.fails(`remediate service "-x"`, "no name of a service")
	c.fails("remediate registry x", "runs Linux")
	if got := c.ok("remediate list"); !strings.Contains(got, "killed") {
		t.Errorf("list: %s", got)
	}
}

func TestTheSystemIsShown(t *testing.T) {
	c := open(t, wire.LiveBasic)
	me := strconv.Itoa(os.Getpid())
	var rows []struct {
		PID   int `json:"pid"`
		Image string
	}
	if err := json.Unmarshal([]byte(c.ok("processes -pid "+me+" -output json")), &rows); err != nil || len(rows) != 1 || rows[0].PID != os.Getpid() {
		t.Errorf("processes: %v %+v", err, rows)
	}
	if got := c.ok("processes " + me); !strings.Contains(got, "live.test") {
		t.Errorf("processes PID: %s", got)
	}
	for _, line := range []string{"connections", "connections json", "drivers", "scheduledtasks", "persistence json", "connect", "cls", "clear", "trace on", "jobs json"} {
		if got := c.ok(line); strings.HasSuffix(line, "json") && !json.Valid([]byte(got)) {
			t.Errorf("%s: %q", line, got)
		}
	}
}

func TestADeviceThatLeavesKeepsNothingOfASession(t *testing.T) {
	c := open(t, wire.LiveAdvanced)
	dir := t.TempDir()
	c.depot.library["a"] = "x"
	c.depot.library["b"] = "y"
	c.ok("cd " + dir)
	c.ok("putfile a")
	c.ok("putfile b -keep")
	shell := c.begin("shell")
	c.pipe.down <- &wirepb.LiveDown{Run: shell, Input: []byte("sleep 1000 & echo $!; echo rea''dy\n")}
	c.until("the shell", func() bool { return strings.Contains(c.out[shell], "ready") })
	if err := c.live.Leave(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "a")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what was put for a while: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "b")); err != nil {
		t.Errorf("what was put to stay: %v", err)
	}
	m, err := kernfs.Cgroup()
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if _, err := os.Stat(groupsOf(m, c.live.conf.Instance)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("its control groups: %v", err)
	}
	if err := c.live.Leave(); err != nil {
		t.Errorf("again: %v", err)
	}
}
