package antivirus

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"

	"golang.org/x/sys/unix"

	"github.com/vedette-edr/vedette/agent/process"
	"github.com/vedette-edr/vedette/agent/scan"
)

var ruleName = regexp.MustCompile(`\.yara?$`)

// rules opens the device's own rules and those of the library. What is open is the
// caller's to close.
func (h *Handler) rules(ctx context.Context, id string, names []string) (out []scan.Rules, problems []string) {
	for _, dir := range h.cfg.RuleDirs {
		entries, err := os.ReadDir(dir)
		if err != nil {
			continue // there are none
		}
		for _, e := range entries {
			if !ruleName.MatchString(e.Name()) {
				continue
			}
			f, err := trusted(filepath.Join(dir, e.Name()))
			if err != nil {
				problems = append(problems, process.Text(err.Error()))
				continue
			}
			out = append(out, scan.Rules{Name: process.Text(e.Name()), File: f})
		}
	}
	for _, name := range names {
		f, err := h.fetch(ctx, id, name)
		if err != nil {
			problems = append(problems, process.Text(fmt.Sprintf("library: %s: %v", name, err)))
			continue
		}
		out = append(out, scan.Rules{Name: name, File: f})
	}
	return out, problems
}

// trusted opens a file that nobody but root could have written.
func trusted(path string) (*os.File, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG || st.Uid != 0 || st.Mode&0o022 != 0 {
		unix.Close(fd)
		return nil, errors.Join(fmt.Errorf("%s is no file that belongs to root alone", path), err)
	}
	return os.NewFile(uintptr(fd), path), nil
}

// fetch brings a file of rules from the server, into memory.
func (h *Handler) fetch(ctx context.Context, id, name string) (*os.File, error) {
	if h.cfg.Server == nil {
		return nil, errors.New("the server has none for this agent")
	}
	fd, err := unix.MemfdCreate("vedette-rules", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	f := os.NewFile(uintptr(fd), "rules")
	if err := h.cfg.Server.Fetch(ctx, id, name, &bounded{f, 16 << 20}); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

type bounded struct {
	f    *os.File
	left int
}

// Write implements io.Writer.
func (b *bounded) Write(p []byte) (int, error) {
	if b.left -= len(p); b.left < 0 {
		return 0, errors.New("it is larger than rules may be")
	}
	return b.f.Write(p)
}
