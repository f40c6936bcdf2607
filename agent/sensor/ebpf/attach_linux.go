package ebpf

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/vedette-edr/vedette/agent/kernfs"
	"github.com/vedette-edr/vedette/agent/sensor"
)

// attachAll loads and attaches every program on its own.
func (s *Sensor) attachAll(obj *objects) []attached {
	var at places
	if trace := s.place("tracefs", "mount tracefs at /sys/kernel/tracing", kernfs.Trace); trace != nil {
		defer trace.Close()
		at.trace = trace.Path
	}
	if cg := s.place("cgroup2", "mount cgroup2 at /sys/fs/cgroup", kernfs.Cgroup); cg != nil {
		defer cg.Close()
		at.cgroup = cg.Path
		if s.cfg.CgroupPath != "" {
			at.cgroup = s.cfg.CgroupPath
		} else if !kernfs.Initial("cgroup") {
			s.found.set(sensor.Facility{
				Name: "cgroup2", State: sensor.Degraded, Remedy: "run the agent in the host's cgroup namespace (--cgroupns=host)",
				Detail: "the agent runs in a cgroup namespace of its own: attempts and DNS of programs outside of it are not seen",
			})
		}
	}
	return s.attachTo(obj, at)
}

// place finds a file system that programs are attached through, nil when there is none.
func (s *Sensor) place(name, remedy string, find func() (*kernfs.Mount, error)) *kernfs.Mount {
	if slices.Contains(s.cfg.Disable, name) {
		s.found.missing(name, "enable it in the agent's configuration", errDisabled)
		return nil
	}
	m, err := find()
	if err != nil {
		s.found.missing(name, remedy, err)
		return nil
	}
	s.found.working(name)
	return m
}

func (s *Sensor) attachTo(obj *objects, at places) []attached {
	var done []attached
	works := make(map[string]int)
	fails := make(map[string][]error)
	var order []string
	for _, p := range programs() {
		if !p.here() {
			continue
		}
		if works[p.facility] == 0 && fails[p.facility] == nil {
			order = append(order, p.facility)
		}
		a, err := s.attachOne(obj, at, p)
		if err != nil {
			fails[p.facility] = append(fails[p.facility], err)
			continue
		}
		works[p.facility]++
		done = append(done, a)
	}
	var t bpfTuning
	for _, name := range order {
		f := verdict(name, works[name], fails[name])
		if name == facilityConnect && f.State == sensor.Missing && works["bpf:tcp"] > 0 {
			t.AttemptAtSyn = 1
			f.State = sensor.Degraded
			f.Detail += "; TCP attempts are reported once they are routed, UDP ones when they name their destination"
		}
		if name == "bpf:dns" && works[name] < 2 {
			t.UdpAtConnect = 1
		}
		s.found.set(f)
	}
	if err := obj.maps.Maps[bpfMapSettings].Put(uint32(0), t); err != nil {
		s.found.missing("bpf:settings", "", err)
	}
	return done
}

func (s *Sensor) attachOne(obj *objects, at places, p program) (attached, error) {
	if slices.Contains(s.cfg.Disable, p.facility) {
		return attached{}, errDisabled
	}
	prog, ps, err := obj.load(p.name)
	if err != nil {
		return attached{}, fmt.Errorf("%s: %w", p.name, err)
	}
	l, err := attach(prog, ps, at)
	if err != nil {
		prog.Close()
		return attached{}, fmt.Errorf("%s: %w", p.name, err)
	}
	return attached{name: p.name, prog: prog, link: l}, nil
}

var errDisabled = errors.New("disabled by configuration")

// verdict sums up the programs of one facility.
func verdict(name string, works int, fails []error) sensor.Facility {
	f := sensor.Facility{Name: name, State: sensor.Working}
	if len(fails) == 0 {
		return f
	}
	if _, err := os.Stat("/proc/modules"); name == facilityModule && errors.Is(err, fs.ErrNotExist) {
		return f // a kernel without modules: nobody can load one, and the calls are not traced
	}
	f.State, f.Detail = sensor.Degraded, strings.ReplaceAll(errors.Join(fails...).Error(), "\n", "; ")
	f.Remedy = "use a kernel with BTF and CONFIG_FTRACE_SYSCALLS, and mount tracefs and cgroup2"
	if works == 0 {
		f.State = sensor.Missing
	}
	if errors.Is(fails[0], errDisabled) {
		f.Detail, f.Remedy = errDisabled.Error(), "enable it in the agent's configuration"
	}
	return f
}

// detach takes the programs off; what they put into the ring stays there. The programs
// stay loaded, for their statistics. Each link waits for the kernel to be done with its
// program, about 50 ms, so they are closed at once.
func detach(progs []attached) {
	var wg sync.WaitGroup
	for i := range progs {
		l := progs[i].link
		if l == nil {
			continue
		}
		progs[i].link = nil
		wg.Go(func() { l.Close() })
	}
	wg.Wait()
}

// places are where programs are attached; "" when the device has no such place.
type places struct {
	trace  string
	cgroup string
}

var errNoTraceFS = errors.New("tracefs is not to be had")
var errNoCgroup = errors.New("cgroup2 is not to be had")

// attach attaches prog where its section says.
func attach(prog *ebpf.Program, ps *ebpf.ProgramSpec, at places) (io.Closer, error) {
	kind, rest, _ := strings.Cut(ps.SectionName, "/")
	switch kind {
	case "raw_tracepoint":
		return link.AttachRawTracepoint(link.RawTracepointOptions{Name: rest, Program: prog})
	case "tp_btf":
		return link.AttachTracing(link.TracingOptions{Program: prog})
	case "tracepoint":
		if at.trace == "" {
			return nil, errNoTraceFS
		}
		return attachTracepoint(at.trace, rest, prog)
	default:
		if at.cgroup == "" {
			return nil, errNoCgroup
		}
		return link.AttachCgroup(link.CgroupOptions{Path: at.cgroup, Attach: ps.AttachType, Program: prog})
	}
}

// attachTracepoint does what link.Tracepoint does, but with a tracefs that need not be
// mounted at one of the usual places.
func attachTracepoint(tracefs, event string, prog *ebpf.Program) (io.Closer, error) {
	b, err := os.ReadFile(filepath.Join(tracefs, "events", event, "id"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the kernel has no tracepoint %s", event)
	}
	if err != nil {
		return nil, fmt.Errorf("the kernel has no tracepoint %s: %w", event, err)
	}
	id, err := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 64)
	if err != nil {
		return nil, fmt.Errorf("id of tracepoint %s: %w", event, err)
	}
	attr := unix.PerfEventAttr{
		Type: unix.PERF_TYPE_TRACEPOINT, Config: id, Sample_type: unix.PERF_SAMPLE_RAW, Sample: 1, Wakeup: 1,
	}
	fd, err := unix.PerfEventOpen(&attr, -1, 0, -1, unix.PERF_FLAG_FD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("perf event of tracepoint %s: %w", event, err)
	}
	pe := perfEvent(fd)
	l, err := link.AttachRawLink(link.RawLinkOptions{Target: fd, Program: prog, Attach: ebpf.AttachPerfEvent})
	if err == nil {
		return both{l, pe}, nil
	}
	// Before 5.15 a perf event takes a program by ioctl only.
	if e := unix.IoctlSetInt(fd, unix.PERF_EVENT_IOC_SET_BPF, prog.FD()); e != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("attaching to tracepoint %s: %w", event, err)
	}
	if e := unix.IoctlSetInt(fd, unix.PERF_EVENT_IOC_ENABLE, 0); e != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("enabling tracepoint %s: %w", event, e)
	}
	return pe, nil
}

type perfEvent int

func (p perfEvent) Close() error { return unix.Close(int(p)) }

type both struct{ a, b io.Closer }

func (c both) Close() error { return errors.Join(c.a.Close(), c.b.Close()) }
