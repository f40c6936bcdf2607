package launch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// self is this program, also when its file was replaced since it was started.
const self = "/proc/self/exe"

// Before is what a process does to itself before it becomes the program. The zero value is
// nothing.
type Before struct {
	Root string `json:"root,omitempty"` // the directory that becomes its root, "" for none
	// Bare takes from it what it could gain: no program gives it further privileges, it has
	// the lowest priority, leaves no core, writes no file, and is bounded by Memory and Processor.
	Bare      bool   `json:"bare,omitempty"`
	Memory    uint64 `json:"memory,omitempty"`    // bytes of address space, with Bare
	Processor uint64 `json:"processor,omitempty"` // seconds of processor time, with Bare
}

// orders are what Main is told.
type orders struct {
	Before
	Report int `json:"report,omitempty"` // the descriptor that says why the program could not be executed
}

// Command returns the command that becomes a program, to be started with Start or Run. A
// name without a slash is looked for where path says, a list as in PATH; the first argument
// of the program is the name as it was given.
func (b Before) Command(ctx context.Context, path, name string, args ...string) *exec.Cmd {
	file, err := Find(path, name)
	cmd := exec.CommandContext(ctx, self)
	cmd.Args = append([]string{"vedette-agent", Name, encode(orders{Before: b}), file, name}, args...)
	if err != nil {
		cmd.Err = err
	}
	return cmd
}

// Command is Before.Command of nothing.
func Command(ctx context.Context, path, name string, args ...string) *exec.Cmd {
	return Before{}.Command(ctx, path, name, args...)
}

func encode(o orders) string {
	raw, _ := json.Marshal(o) // of plain values: cannot fail
	return string(raw)
}

// Find returns the file of a program: name itself when it has a slash, else the first one
// that can be executed in the directories of path. The error wraps exec.ErrNotFound.
func Find(path, name string) (string, error) {
	if strings.Contains(name, "/") {
		return name, nil
	}
	for dir := range strings.SplitSeq(path, ":") {
		file := dir + "/" + name
		var st unix.Stat_t
		const anybody = 0o111
		if strings.HasPrefix(dir, "/") && unix.Stat(file, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFREG && st.Mode&anybody != 0 {
			return file, nil
		}
	}
	return "", &exec.Error{Name: name, Err: exec.ErrNotFound}
}

// Start starts a command of Command and returns once the program has been executed. An error
// is why it was not, such as *exec.Error with syscall.EPERM where it may not run; nothing is
// left to be waited for then. When the command's context ends first, Start returns and
// Wait says so.
func Start(cmd *exec.Cmd) error { return StartBy(cmd, cmd.Start) }

// StartBy is Start with a function that calls the command's Start.
func StartBy(cmd *exec.Cmd, start func() error) error {
	if cmd.Err != nil {
		return cmd.Err
	}
	o := orders{}
	if len(cmd.Args) < 5 || cmd.Args[1] != Name || json.Unmarshal([]byte(cmd.Args[2]), &o) != nil {
		return errors.New("launch: the command is not one of Command")
	}
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	const first = 3 // of ExtraFiles
	o.Report = first + len(cmd.ExtraFiles)
	cmd.ExtraFiles = append(cmd.ExtraFiles[:len(cmd.ExtraFiles):len(cmd.ExtraFiles)], w)
	cmd.Args[2] = encode(o)
	err = start()
	w.Close()
	if err != nil {
		return err
	}
	// The end of the pipe is the program's beginning, or the process's end.
	said, err := io.ReadAll(io.LimitReader(r, 64))
	if len(said) == 0 && err == nil {
		return nil
	}
	if err == nil {
		n, nerr := strconv.ParseUint(string(said), 10, 16)
		if err = syscall.Errno(n); nerr != nil {
			err = fmt.Errorf("launch: the process said %q", said)
		}
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait() // its end is known
	return &exec.Error{Name: cmd.Args[4], Err: err}
}

// Run starts a command and waits for its end.
func Run(cmd *exec.Cmd) error {
	if err := Start(cmd); err != nil {
		return err
	}
	return cmd.Wait()
}

// Begin becomes the program, and does not return, in a process that Start started; in
// any other it does nothing. A program that launches calls it first in its main, a test
// program in its TestMain.
func Begin() {
	if len(os.Args) > 1 && os.Args[1] == Name {
		os.Exit(Main(os.Args[2:]))
	}
}

// failed is the exit code of a process that could not become its program.
const failed = 126

// Main becomes the program that args name, which are those after Name. It returns only when
// it cannot, with the exit code.
func Main(args []string) int {
	var o orders
	if len(args) < 3 || json.Unmarshal([]byte(args[0]), &o) != nil {
		fmt.Fprintln(os.Stderr, "started by the agent alone")
		return failed
	}
	if o.Report > 0 {
		unix.CloseOnExec(o.Report)
	}
	err := o.prepare()
	if err == nil {
		err = unix.Exec(args[1], args[2:], os.Environ())
	}
	var no syscall.Errno
	if !errors.As(err, &no) {
		no = unix.EINVAL
	}
	if o.Report > 0 {
		_, _ = unix.Write(o.Report, []byte(strconv.Itoa(int(no)))) // nobody listens any more
	}
	return failed
}

func (b Before) prepare() error {
	if b.Root != "" {
		if err := unix.Chroot(b.Root); err != nil {
			return err
		}
		if err := unix.Chdir("/"); err != nil {
			return err
		}
	}
	if !b.Bare {
		return nil
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	_ = unix.Setpriority(unix.PRIO_PROCESS, 0, 19) // it is bounded all the same
	limits := map[int]uint64{unix.RLIMIT_CORE: 0, unix.RLIMIT_FSIZE: 0}
	if b.Memory > 0 {
		limits[unix.RLIMIT_AS] = b.Memory
	}
	if b.Processor > 0 {
		limits[unix.RLIMIT_CPU] = b.Processor
	}
	for what, most := range limits {
		if err := unix.Setrlimit(what, &unix.Rlimit{Cur: most, Max: most}); err != nil {
			return err
		}
	}
	return nil
}
