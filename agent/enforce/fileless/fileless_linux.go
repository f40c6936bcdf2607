package fileless

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"path"
	"strings"
	"sync"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/ringbuf"
	"golang.org/x/sys/unix"

	"github.com/vedette-edr/vedette/agent/kernfs"
)

// Config is what Start needs.
type Config struct {
	// Cgroup narrows it to the processes below a cgroup, an absolute path below the root of the
	// cgroup2 hierarchy; "" for all, which an agent in a container must not want.
	Cgroup string
	// Ended is told of each program that was ended. It returns soon.
	Ended func(Ended)
}

// Ended is a program that was ended.
type Ended struct {
	PID  uint32
	UID  uint32
	Name string // of its file, without directories; hostile
}

// Stopper ends programs until it is closed.
type Stopper struct {
	all  *ebpf.Collection
	on   link.Link
	ring *ringbuf.Reader
	wg   sync.WaitGroup
}

// Start begins to end programs. The caller closes it.
func Start(c Config) (*Stopper, error) {
	if c.Cgroup == "" && !kernfs.Initial("pid") {
		// Seen from a container, "all" would be everybody else's programs too.
		return nil, errors.New("the agent runs in a pid namespace of its own, and not all programs of this kernel are its to end")
	}
	spec, err := loadBpf()
	if err != nil {
		return nil, err
	}
	if c.Cgroup != "" {
		id, err := cgroupID(c.Cgroup)
		if err != nil {
			return nil, err
		}
		depth := uint32(strings.Count(path.Clean(c.Cgroup), "/"))
		if err := errors.Join(spec.Variables[bpfVarScope].Set(id), spec.Variables[bpfVarDepth].Set(depth)); err != nil {
			return nil, err
		}
	}
	s := &Stopper{}
	if s.all, err = ebpf.NewCollection(spec); err != nil {
		return nil, fmt.Errorf("ending programs in memory: %w", err)
	}
	if s.ring, err = ringbuf.NewReader(s.all.Maps[bpfMapEvents]); err == nil {
		s.on, err = link.AttachRawTracepoint(link.RawTracepointOptions{Name: "sched_process_exec", Program: s.all.Programs[bpfProgEndFileless]})
	}
	if err != nil {
		return nil, fmt.Errorf("ending programs in memory: %w", errors.Join(err, s.Close()))
	}
	s.wg.Go(func() { s.follow(c.Ended) })
	return s, nil
}

// cgroupID is the number that the kernel has for a cgroup: its inode.
func cgroupID(name string) (uint64, error) {
	m, err := kernfs.Cgroup()
	if err != nil {
		return 0, err
	}
	defer m.Close()
	var st unix.Stat_t
	if err := unix.Stat(path.Join(m.Path, path.Clean("/"+name)), &st); err != nil {
		return 0, fmt.Errorf("cgroup %s: %w", name, err)
	}
	return st.Ino, nil
}

func (s *Stopper) follow(told func(Ended)) {
	var rec ringbuf.Record
	for {
		if err := s.ring.ReadInto(&rec); err != nil {
			return // closed
		}
		var e bpfEnded
		if binary.Read(bytes.NewReader(rec.RawSample), binary.NativeEndian, &e) != nil || told == nil {
			continue
		}
		name := make([]byte, 0, len(e.Name))
		for _, c := range e.Name {
			if c == 0 {
				break
			}
			name = append(name, byte(c))
		}
		told(Ended{PID: e.Pid, UID: e.Uid, Name: string(name)})
	}
}

// Close lets programs be again. What was ended before is told of first.
func (s *Stopper) Close() error {
	var err error
	if s.on != nil {
		err = s.on.Close()
	}
	if s.ring != nil {
		err = errors.Join(err, s.ring.Close())
	}
	s.wg.Wait()
	s.all.Close()
	return err
}
