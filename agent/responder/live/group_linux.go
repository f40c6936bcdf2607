package live

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vedette-edr/vedette/agent/kernfs"
)

// group is a control group: the processes of a session, or of one command of it. A process
// cannot leave it by forking, by a session of its own or by losing its parent.
type group struct {
	path  string
	dir   *os.File      // of the group
	mount *kernfs.Mount // held by the outermost
}

// groupsOf is where the groups of an instance's sessions are.
func groupsOf(m *kernfs.Mount, instance string) string {
	return filepath.Join(m.Path, "vedette-live-"+instance)
}

// newGroup makes the group of a session.
func newGroup(instance, name string) (*group, error) {
	m, err := kernfs.Cgroup()
	if err != nil {
		return nil, fmt.Errorf("live: control groups: %w", err)
	}
	top := groupsOf(m, instance)
	if err := os.Mkdir(top, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		m.Close()
		return nil, fmt.Errorf("live: control groups: %w", err)
	}
	g, err := openGroup(filepath.Join(top, name))
	if err != nil {
		m.Close()
		return nil, err
	}
	g.mount = m
	return g, nil
}

func openGroup(path string) (*group, error) {
	if err := os.Mkdir(path, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("live: control groups: %w", err)
	}
	d, err := os.OpenFile(path, os.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, fmt.Errorf("live: control groups: %w", err)
	}
	return &group{path: path, dir: d}, nil
}

// child makes a group within g.
func (g *group) child(name string) (*group, error) { return openGroup(filepath.Join(g.path, name)) }

// fd is for clone into the group.
func (g *group) fd() int { return int(g.dir.Fd()) }

// killPatience bounds how long dying may take: a process in an uninterruptible wait dies
// when that ends.
const killPatience = 10 * time.Second

// destroy ends every process of g and of the groups within it, waits until they are gone,
// and removes g. What is left after a while is an error, and so named.
func (g *group) destroy() error {
	defer func() {
		_ = g.dir.Close() // it was only opened
		g.mount.Close()
	}()
	return destroyGroup(g.path)
}

func destroyGroup(path string) error {
	ctx, cancel := context.WithTimeout(context.Background(), killPatience)
	defer cancel()
	for pause := time.Millisecond; ; pause = min(2*pause, 100*time.Millisecond) {
		if err := killGroup(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if !populated(path) {
			break
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("live: processes %v of the session do not end", members(path))
		case <-time.After(pause):
		}
	}
	return removeGroup(path)
}

// killGroup kills what is in the group now. Kernels before 5.14 have no file for it.
func killGroup(path string) error {
	err := os.WriteFile(filepath.Join(path, "cgroup.kill"), []byte("1"), 0)
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	// Frozen, it cannot fork faster than it is killed; where that is missing too, the
	// caller's loop has to win.
	_ = os.WriteFile(filepath.Join(path, "cgroup.freeze"), []byte("1"), 0)
	for _, pid := range members(path) {
		if err := unix.Kill(pid, unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
			return err
		}
	}
	_ = os.WriteFile(filepath.Join(path, "cgroup.freeze"), []byte("0"), 0)
	return nil
}

// members lists the processes of a group and of those within it.
func members(path string) []int {
	var out []int
	_ = filepath.WalkDir(path, func(p string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			return nil
		}
		raw, _ := os.ReadFile(filepath.Join(p, "cgroup.procs")) // nothing where it went meanwhile
		for _, f := range strings.Fields(string(raw)) {
			if pid, err := strconv.Atoi(f); err == nil && pid > 0 {
				out = append(out, pid)
			}
		}
		return nil
	})
	return out
}

func populated(path string) bool {
	raw, err := os.ReadFile(filepath.Join(path, "cgroup.events"))
	return err == nil && bytes.Contains(raw, []byte("populated 1"))
}

// removeGroup removes a group that is empty, the innermost first.
func removeGroup(path string) error {
	var dirs []string
	_ = filepath.WalkDir(path, func(p string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			dirs = append(dirs, p)
		}
		return nil
	})
	slices.Reverse(dirs)
	var first error
	for _, d := range dirs {
		if err := unix.Rmdir(d); err != nil && !errors.Is(err, unix.ENOENT) && first == nil {
			first = fmt.Errorf("live: control group %s: %w", filepath.Base(d), err)
		}
	}
	return first
}

// sweepGroups ends what sessions of an agent that was killed have left.
func sweepGroups(instance string) error {
	m, err := kernfs.Cgroup()
	if err != nil {
		return nil // no session can have been
	}
	defer m.Close()
	if _, err := os.Stat(groupsOf(m, instance)); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return destroyGroup(groupsOf(m, instance))
}
