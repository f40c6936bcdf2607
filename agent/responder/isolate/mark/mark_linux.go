package mark

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/vedette-edr/vedette/agent/kernfs"
)

// Config says whose sockets get which mark.
type Config struct {
	Instance string   // of the agent; names of kernel objects begin with it
	Mark     uint32   // not 0
	Programs []string // absolute paths of executables
	Cgroups  []string // absolute paths below the root of the cgroup2 hierarchy
}

// Marker marks sockets until it is closed. It is safe for concurrent use.
type Marker struct {
	cfg Config

	mu       sync.Mutex
	all      *ebpf.Collection
	root     *kernfs.Mount
	everyone io.Closer            // mark_program on the root
	cgroups  map[string]io.Closer // mark_cgroup on those that are there
	there    map[uint64]io.Closer // the same by the cgroup's inode
	programs map[string]bpfProgram
}

// New begins to mark. Programs and cgroups that are not there are waited for: Refresh looks.
func New(cfg Config) (*Marker, error) {
	spec, err := loadBpf()
	if err != nil {
		return nil, err
	}
	if err := spec.Variables[bpfVarMark].Set(cfg.Mark); err != nil {
		return nil, err
	}
	for _, p := range spec.Programs {
		p.Name = name(cfg.Instance, strings.TrimPrefix(p.Name, "mark_"))
	}
	for _, m := range spec.Maps {
		m.Name = name(cfg.Instance, m.Name)
	}
	m := &Marker{cfg: cfg, there: map[uint64]io.Closer{}, programs: map[string]bpfProgram{}}
	if m.all, err = ebpf.NewCollection(spec); err != nil {
		return nil, fmt.Errorf("marking sockets: %w", err)
	}
	if m.root, err = kernfs.Cgroup(); err != nil {
		m.Close()
		return nil, fmt.Errorf("marking sockets: %w", err)
	}
	if len(cfg.Programs) > 0 {
		m.everyone, err = link.AttachCgroup(link.CgroupOptions{Path: m.root.Path, Attach: ebpf.AttachCGroupInetSockCreate, Program: m.all.Programs[bpfProgMarkProgram]})
		if err != nil {
			m.Close()
			return nil, fmt.Errorf("marking sockets: %w", err)
		}
	}
	m.Refresh()
	return m, nil
}

// name begins with the instance; the kernel cuts names at 15 bytes.
func name(instance, of string) string {
	const most, own = 15, 8
	if len(of) > own {
		of = of[:own]
	}
	if n := most - 1 - len(of); len(instance) > n {
		instance = instance[:n]
	}
	return strings.ReplaceAll(instance, "-", "_") + "_" + of
}

// Close ends the marking; sockets keep the mark they have.
func (m *Marker) Close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.everyone != nil {
		m.everyone.Close()
		m.everyone = nil
	}
	for k, l := range m.there {
		l.Close()
		delete(m.there, k)
	}
	m.root.Close()
	m.all.Close()
}

// Refresh looks whether programs were replaced, and services began anew, since.
func (m *Marker) Refresh() {
	m.mu.Lock()
	defer m.mu.Unlock()
	table := m.all.Maps[bpfMapPrograms]
	for _, p := range m.cfg.Programs {
		now, err := identify(p)
		was, known := m.programs[p]
		if known && (err != nil || now != was) {
			// Nobody else's rights: another listed name may lead to the same file.
			delete(m.programs, p)
			if !m.listed(was) {
				_ = table.Delete(was) // one that is not there needs no deletion
			}
		}
		if err == nil && (!known || now != was) && table.Put(now, uint8(1)) == nil {
			m.programs[p] = now
		}
	}
	seen := map[uint64]bool{}
	m.cgroups = map[string]io.Closer{}
	for _, c := range m.cfg.Cgroups {
		at := path.Join(m.root.Path, c)
		var st unix.Stat_t
		if unix.Stat(at, &st) != nil {
			continue
		}
		seen[st.Ino] = true
		if m.there[st.Ino] == nil {
			l, err := link.AttachCgroup(link.CgroupOptions{Path: at, Attach: ebpf.AttachCGroupInetSockCreate, Program: m.all.Programs[bpfProgMarkCgroup]})
			if err != nil {
				continue // Missing says so
			}
			m.there[st.Ino] = l
		}
		m.cgroups[c] = m.there[st.Ino]
	}
	for ino, l := range m.there {
		if !seen[ino] {
			l.Close()
			delete(m.there, ino)
		}
	}
}

func (m *Marker) listed(p bpfProgram) bool {
	for _, q := range m.programs {
		if q == p {
			return true
		}
	}
	return false
}

// Missing lists the programs and cgroups that are not on this device, or of which nothing
// can be marked.
func (m *Marker) Missing() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []string
	for _, p := range m.cfg.Programs {
		if _, ok := m.programs[p]; !ok {
			out = append(out, p)
		}
	}
	for _, c := range m.cfg.Cgroups {
		if m.cgroups[c] == nil {
			out = append(out, c)
		}
	}
	return slices.Clip(out)
}

// identify returns what the kernel knows the file of an executable by.
func identify(p string) (bpfProgram, error) {
	var st unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, p, 0, unix.STATX_INO|unix.STATX_TYPE|unix.STATX_MODE, &st); err != nil {
		return bpfProgram{}, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG || st.Mode&0o111 == 0 {
		return bpfProgram{}, errors.Join(fs.ErrInvalid, errors.New("no executable file"))
	}
	return bpfProgram{Ino: st.Ino, Dev: st.Dev_major<<20 | st.Dev_minor}, nil
}
