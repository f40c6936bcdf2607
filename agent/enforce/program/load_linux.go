package program

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/rlimit"

	"github.com/vedette-edr/vedette/agent/kernfs"
)

// Attachment is one program of an object and where on a cgroup it goes.
type Attachment struct {
	Program string // its name in the object
	At      ebpf.AttachType
}

// Programs are loaded programs with their maps. They are not safe for concurrent use.
type Programs struct {
	*ebpf.Collection
	order []Attachment
	links []io.Closer
}

var instanceForm = regexp.MustCompile(`^[A-Za-z0-9_-]{1,32}$`)

// Load loads the programs of spec, whose variables are set; nothing is attached yet. Names
// in the kernel begin with the instance, so that one can see whose they are. order is the
// order in which Attach goes.
func Load(instance string, spec *ebpf.CollectionSpec, order []Attachment) (*Programs, error) {
	if !instanceForm.MatchString(instance) {
		return nil, fmt.Errorf("instance %q: letters, digits, - and _, at most 32", instance)
	}
	// Needed before 5.11 only, and a failure shows as a table that cannot be made.
	_ = rlimit.RemoveMemlock()
	for _, p := range spec.Programs {
		_, name, found := strings.Cut(p.Name, "_")
		if !found {
			name = p.Name
		}
		p.Name = objectName(instance, name)
	}
	for _, m := range spec.Maps {
		m.Name = objectName(instance, m.Name)
	}
	all, err := ebpf.NewCollection(spec)
	if err != nil {
		var ve *ebpf.VerifierError
		if errors.As(err, &ve) && len(ve.Log) > 1 {
			err = fmt.Errorf("%w (%s)", ve.Cause, strings.Join(ve.Log[max(0, len(ve.Log)-2):], "; "))
		}
		return nil, err
	}
	return &Programs{Collection: all, order: order}, nil
}

// objectName begins with the instance and leaves room for what tells objects of one
// instance apart; the kernel cuts names at 15 bytes.
func objectName(instance, name string) string {
	const most, own = 15, 8
	if len(name) > own {
		name = name[:own]
	}
	if n := most - 1 - len(name); len(instance) > n {
		instance = instance[:n]
	}
	return strings.ReplaceAll(instance, "-", "_") + "_" + name
}

// Attach puts the programs on a cgroup, "" for the root of all. On an error none stays;
// attached programs stay where they are.
func (p *Programs) Attach(cgroup string) error {
	if len(p.links) > 0 {
		return nil
	}
	if cgroup == "" {
		m, err := kernfs.Cgroup()
		if err != nil {
			return err
		}
		defer m.Close()
		cgroup = m.Path
	}
	for _, a := range p.order {
		l, err := link.AttachCgroup(link.CgroupOptions{Path: cgroup, Attach: a.At, Program: p.Collection.Programs[a.Program]})
		if err != nil {
			p.Detach()
			return fmt.Errorf("attach %s: %w", a.Program, err)
		}
		p.links = append(p.links, l)
	}
	return nil
}

// Detach takes the programs off. The maps stay, for what is still to be read.
func (p *Programs) Detach() {
	for _, l := range p.links {
		l.Close()
	}
	p.links = nil
}

// Close detaches and frees the programs and maps.
func (p *Programs) Close() {
	p.Detach()
	p.Collection.Close()
}

// Counter reads one number of an array of counters.
func Counter(m *ebpf.Map, i uint32) uint64 {
	var n uint64
	// The table is an array: a look-up below its end cannot fail while it is open.
	_ = m.Lookup(i, &n)
	return n
}

// Absent is err, or nil when err says that a key is not there.
func Absent(err error) error {
	if errors.Is(err, ebpf.ErrKeyNotExist) {
		return nil
	}
	return err
}
