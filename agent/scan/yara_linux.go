package scan

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vedette-edr/vedette/agent/launch"
	"github.com/vedette-edr/vedette/agent/process"
)

// Bounds of one run of the yara program.
const (
	maxBatch     = 128 // files
	maxBatchSize = 256 << 20
	maxYARA      = 256 << 20 // bytes of one file
	yaraTimeout  = 120       // seconds of one file
	maxOutput    = 1 << 20
	maxRules     = 64
	maxRule      = 16 << 20 // bytes of one file of rules
)

// helper is what becomes the yara program: it gives up what it does not need before.
var helper = launch.Before{Bare: true, Memory: 2 << 30, Processor: 1800}

// nobody is the user that the helper runs as.
const nobody = 65534

// Rules is one file of YARA rules. The file stays the caller's.
type Rules struct {
	Name string
	File *os.File
}

// yara asks the yara program about batches of files. It gets descriptors alone: rules and
// files are named by the numbers of these, so that no name is ever parsed.
type yara struct {
	program string
	rules   []Rules
	version string
	spent   func(time.Duration)

	batch []*Object
	size  int64
	done  func(*Object, []Finding, error)
}

// findYARA returns nil where there is no program.
func findYARA(paths []string) string {
	for _, p := range paths {
		if st, err := os.Stat(p); err == nil && st.Mode().IsRegular() && st.Mode()&0o111 != 0 {
			return p
		}
	}
	return ""
}

// run starts the program through the helper with files from descriptor 3 on.
func (y *yara) run(ctx context.Context, files []*os.File, args ...string) (stdout, stderr []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(yaraTimeout+30)*time.Second*time.Duration(max(1, len(files)/8)))
	defer cancel()
	cmd := helper.Command(ctx, "", y.program, args...)
	var out, bad bytes.Buffer
	cmd.Stdout, cmd.Stderr = &limited{w: &out, left: maxOutput}, &limited{w: &bad, left: 64 << 10}
	cmd.ExtraFiles = files
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LC_ALL=C"}
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Credential: &syscall.Credential{Uid: nobody, Gid: nobody, NoSetGroups: false},
		// It opens what it was given anew, by its descriptor, and can write nothing.
		AmbientCaps: []uintptr{unix.CAP_DAC_READ_SEARCH},
		Cloneflags:  unix.CLONE_NEWNET | unix.CLONE_NEWIPC,
		Setpgid:     true,
	}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	err = launch.Run(cmd)
	if cmd.ProcessState != nil {
		y.spent(cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime())
	}
	return out.Bytes(), bad.Bytes(), errors.Join(err, ctx.Err())
}

// limited keeps the first bytes of what a program says.
type limited struct {
	w    io.Writer
	left int
}

// Write implements io.Writer.
func (l *limited) Write(b []byte) (int, error) {
	n := min(len(b), l.left)
	l.left -= n
	if _, err := l.w.Write(b[:n]); err != nil {
		return 0, err
	}
	return len(b), nil
}

func fdPath(n int) string { return "/proc/self/fd/" + strconv.Itoa(n) }

// check finds out which rules are good, with the reason for those that are not.
func (y *yara) check(ctx context.Context, rules []Rules) (problems []string) {
	if v, _, err := y.run(ctx, nil, "--version"); err != nil {
		return []string{fmt.Sprintf("%s does not run: %v", y.program, err)}
	} else {
		y.version = process.Text(strings.TrimSpace(string(v)))
	}
	empty, err := unix.MemfdCreate("vedette-empty", unix.MFD_CLOEXEC)
	if err != nil {
		return []string{err.Error()}
	}
	nothing := os.NewFile(uintptr(empty), "empty")
	defer nothing.Close()
	if _, err := nothing.WriteString(" "); err != nil {
		return []string{err.Error()}
	}
	for i, r := range rules {
		if i == maxRules {
			problems = append(problems, fmt.Sprintf("of %d files of rules %d are used", len(rules), maxRules))
			break
		}
		st, err := r.File.Stat()
		switch {
		case err != nil:
			problems = append(problems, fmt.Sprintf("rules %s: %v", r.Name, err))
			continue
		case st.Size() > maxRule:
			problems = append(problems, fmt.Sprintf("rules %s: larger than %d bytes", r.Name, maxRule))
			continue
		}
		if _, bad, err := y.run(ctx, []*os.File{r.File, nothing}, "-w", "-p", "1", fdPath(3), fdPath(4)); err != nil {
			text := strings.ReplaceAll(strings.TrimSpace(string(bad)), fdPath(3), r.Name)
			problems = append(problems, process.Text(fmt.Sprintf("rules %s are not used: %s (%v)", r.Name, text, err)))
			continue
		}
		y.rules = append(y.rules, r)
	}
	return problems
}

// add asks about o, sooner or later; done is told what was found. o stays open until then.
func (y *yara) add(ctx context.Context, o *Object) error {
	if o.Stat.Size == 0 || o.Stat.Size > maxYARA {
		y.done(o, nil, nil)
		return nil
	}
	y.batch = append(y.batch, o)
	y.size += o.Stat.Size
	if len(y.batch) >= maxBatch || y.size >= maxBatchSize {
		return y.flush(ctx)
	}
	return nil
}

var yaraLine = regexp.MustCompile(`^r([0-9]{1,3}):([A-Za-z_][A-Za-z0-9_]{0,127}) /proc/self/fd/([0-9]{1,6})$`)

// flush asks about what was added.
func (y *yara) flush(ctx context.Context) error {
	batch := y.batch
	y.batch, y.size = nil, 0
	if len(batch) == 0 {
		return nil
	}
	list, err := unix.MemfdCreate("vedette-list", unix.MFD_CLOEXEC)
	if err != nil {
		return os.NewSyscallError("memfd_create", err)
	}
	names := os.NewFile(uintptr(list), "list")
	defer names.Close()
	var files []*os.File
	args := []string{"--scan-list", "-e", "-w", "-p", "1", "-a", strconv.Itoa(yaraTimeout)}
	for i, r := range y.rules {
		files = append(files, r.File)
		args = append(args, "r"+strconv.Itoa(i)+":"+fdPath(2+len(files)))
	}
	files = append(files, names)
	args = append(args, fdPath(2+len(files)))
	first := 3 + len(files)
	for i, o := range batch {
		files = append(files, o.File)
		fmt.Fprintln(names, fdPath(first+i)) // into memory
	}
	out, bad, err := y.run(ctx, files, args...)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	found := make([][]Finding, len(batch))
	for line := range strings.Lines(string(out)) {
		m := yaraLine.FindStringSubmatch(strings.TrimRight(line, "\n"))
		if m == nil {
			continue
		}
		fd, _ := strconv.Atoi(m[3]) // of digits
		rule, _ := strconv.Atoi(m[1])
		if i := fd - first; i >= 0 && i < len(batch) && rule < len(y.rules) && len(found[i]) < maxFindings {
			found[i] = append(found[i], Finding{Engine: EngineYARA, Threat: m[2]})
		}
	}
	for i, o := range batch {
		var problem error
		mine := fdPath(first + i)
		for line := range strings.Lines(string(bad)) {
			if strings.Contains(line, mine+":") || strings.HasSuffix(strings.TrimSpace(line), mine) {
				problem = errors.New("yara: " + process.Text(strings.TrimSpace(strings.ReplaceAll(line, mine, o.Path))))
			}
		}
		if problem == nil && err != nil && len(bad) == 0 {
			problem = fmt.Errorf("yara: %w", err)
		}
		y.done(o, found[i], problem)
	}
	return nil
}
