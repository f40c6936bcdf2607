package ebpf

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/vedette-edr/vedette/agent/sensor"
)

// ledger keeps what was found of each facility.
type ledger struct {
	mu   sync.Mutex
	list []sensor.Facility
}

func (l *ledger) set(f sensor.Facility) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.list {
		if l.list[i].Name == f.Name {
			l.list[i] = f
			return
		}
	}
	l.list = append(l.list, f)
}

func (l *ledger) working(name string) { l.set(sensor.Facility{Name: name, State: sensor.Working}) }

func (l *ledger) missing(name, remedy string, err error) {
	l.set(sensor.Facility{Name: name, State: sensor.Missing, Detail: err.Error(), Remedy: remedy})
}

func (l *ledger) all() []sensor.Facility {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.list)
}

// cgroupFilter returns the id of the cgroup at path and its depth under the root of its
// hierarchy, which is how the kernel programs recognise it and everything below it.
func cgroupFilter(path string) (id uint64, level uint32, err error) {
	path = filepath.Clean(path)
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return 0, 0, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	for dir := path; ; dir = filepath.Dir(dir) {
		var sf unix.Statfs_t
		if err := unix.Statfs(dir, &sf); err != nil {
			return 0, 0, &os.PathError{Op: "statfs", Path: dir, Err: err}
		}
		if int64(sf.Type) != unix.CGROUP2_SUPER_MAGIC {
			break
		}
		if dir == "/" {
			return 0, 0, errors.New("cgroup path leads to no mount")
		}
		level++
	}
	if level == 0 {
		return 0, 0, fmt.Errorf("%s is in no cgroup2 hierarchy", path)
	}
	return st.Ino, level - 1, nil
}

// pidsIn returns the processes of the cgroup at path and of those below it.
func pidsIn(path string) (map[uint32]bool, error) {
	pids := make(map[uint32]bool)
	err := filepath.WalkDir(path, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.Name() != "cgroup.procs" {
			return err
		}
		b, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		for f := range strings.FieldsSeq(string(b)) {
			if n, err := strconv.ParseUint(f, 10, 32); err == nil {
				pids[uint32(n)] = true
			}
		}
		return nil
	})
	return pids, err
}
