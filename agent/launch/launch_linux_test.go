package launch

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/vedette-edr/vedette/mounttest"

	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) {
	Begin()
	os.Exit(m.Run())
}

const path = "/usr/bin:/bin"

func TestAProgramGetsWhatItWasGiven(t *testing.T) {
	extra, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer extra.Close()
	if _, err := extra.WriteString("extra"); err != nil {
		t.Fatal(err)
	}
	type outcome struct {
		out, bad string
		code     int
	}
	args := []string{"-c", `echo "$0 $1 $WORD $PWD"; cat /proc/self/fd/3; ls /proc/$$/fd; cat; echo oops >&2; exit 7`, "zero", "-one two"}
	try := func(cmd *exec.Cmd, run func(*exec.Cmd) error) outcome {
		var out, bad bytes.Buffer
		cmd.Env, cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr = []string{"WORD=word"}, "/usr", strings.NewReader("in"), &out, &bad
		cmd.ExtraFiles = []*os.File{extra}
		var exit *exec.ExitError
		if err := run(cmd); !errors.As(err, &exit) {
			t.Fatal(err)
		}
		return outcome{out.String(), bad.String(), exit.ExitCode()}
	}
	got, want := try(Command(t.Context(), path, "sh", args...), Run), try(exec.Command("sh", args...), (*exec.Cmd).Run)
	if got != want || !strings.HasPrefix(got.out, "zero -one two word /usr\nextra") || got.code != 7 {
		t.Errorf("launched %+v, started %+v", got, want)
	}
}

func TestWhyAProgramDidNotBegin(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return p
	}
	busy := write("busy", "#!/bin/sh\n", 0o755)
	w, err := os.OpenFile(busy, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	for name, want := range map[string]error{
		filepath.Join(dir, "none"):                 unix.ENOENT,
		write("closed", "#!/bin/sh\n", 0o644):      unix.EACCES,
		write("words", "hello", 0o755):             unix.ENOEXEC,
		busy:                                       unix.ETXTBSY,
		write("odd", "#!/does/not/exist\n", 0o755): unix.ENOENT,
		"no-such-program":                          exec.ErrNotFound,
		dir:                                        unix.EACCES,
	} {
		cmd := Command(t.Context(), path, name)
		cmd.Stdout = io.Discard
		var said *exec.Error
		if err := Start(cmd); !errors.Is(err, want) || !errors.As(err, &said) || said.Name != name {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
	}
	if err := Start(exec.Command("/bin/true")); err == nil {
		t.Error("a command of others is started")
	}
}

func TestBareProgramsCanGainNothing(t *testing.T) {
	var out bytes.Buffer
	cmd := Before{Bare: true, Memory: 1 << 30, Processor: 5}.Command(t.Context(), path, "sh", "-c", `grep NoNewPrivs /proc/self/status; ulimit -f -c -t; ulimit -v; nice`)
	cmd.Stdout = &out
	if err := Run(cmd); err != nil {
		t.Fatal(err)
	}
	var values []string
	for line := range strings.Lines(out.String()) {
		f := strings.Fields(line)
		values = append(values, f[len(f)-1])
	}
	if got := strings.Join(values, " "); !strings.HasPrefix(got, "1 ") || !strings.HasSuffix(got, " 1048576 19") {
		t.Errorf("%q", out.String())
	}
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	root := t.TempDir()
	err := Start(Before{Root: root}.Command(t.Context(), "", "/bin/sh"))
	if !errors.Is(err, unix.ENOENT) {
		t.Errorf("below an empty root: %v", err)
	}
}

func TestAContextEndsAProgram(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cmd := Command(ctx, path, "sleep", "600")
	if err := Start(cmd); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := cmd.Wait(); !errors.Is(err, context.Canceled) {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			t.Error(err)
		}
	}
}

// TestTheAnswerIsGivenByThisProcess starts programs of a file system about which the kernel
// asks this very process, and whose answer needs all of its threads to stop first: a child
// that executed them itself would wait for ever.
func TestTheAnswerIsGivenByThisProcess(t *testing.T) {
	dir := mounttest.Tmpfs(t, "mode=755")
	script := func(name string) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, []byte("#!/bin/sh\nexit 9\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		return p
	}
	good, evil := script("good"), script("evil")
	fd, err := unix.FanotifyInit(unix.FAN_CLASS_CONTENT|unix.FAN_CLOEXEC, unix.O_RDONLY|unix.O_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	group := os.NewFile(uintptr(fd), "fanotify")
	if err := unix.FanotifyMark(fd, unix.FAN_MARK_ADD|unix.FAN_MARK_FILESYSTEM, unix.FAN_OPEN_EXEC_PERM, unix.AT_FDCWD, dir); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	t.Cleanup(func() { group.Close(); wg.Wait() })
	wg.Go(func() {
		buf := make([]byte, 4096)
		for {
			p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
			if n, err := unix.Poll(p, 100); err != nil && !errors.Is(err, unix.EINTR) {
				return
			} else if n <= 0 {
				if t.Context().Err() != nil {
					return
				}
				continue
			}
			n, err := unix.Read(fd, buf)
			if err != nil {
				return
			}
			for b := buf[:n]; len(b) >= int(unsafe.Sizeof(unix.FanotifyEventMetadata{})); {
				m := (*unix.FanotifyEventMetadata)(unsafe.Pointer(&b[0]))
				b = b[m.Event_len:]
				runtime.GC() // stops the world, twice
				name, _ := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", m.Fd))
				r := unix.FanotifyResponse{Fd: m.Fd, Response: unix.FAN_ALLOW}
				if strings.HasSuffix(name, "evil") {
					r.Response = unix.FAN_DENY
				}
				var out bytes.Buffer
				_ = binary.Write(&out, binary.NativeEndian, r)
				_, _ = unix.Write(fd, out.Bytes())
				unix.Close(int(m.Fd))
			}
		}
	})
	began := time.Now()
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			var exit *exec.ExitError
			if i%2 == 0 {
				if err := Run(Command(t.Context(), "", evil)); !errors.Is(err, syscall.EPERM) {
					t.Errorf("what may not run: %v", err)
				}
			} else if err := Run(Command(t.Context(), "", good)); !errors.As(err, &exit) || exit.ExitCode() != 9 {
				t.Errorf("what may run: %v", err)
			}
		})
	}
	all.Wait()
	t.Logf("20 programs in %s", time.Since(began))
}
