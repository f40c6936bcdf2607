package ebpf

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"

	"github.com/vedette-edr/vedette/agent/kernfs"
)

// program says how one kernel program becomes a facility.
type program struct {
	name     string // in the object
	facility string
	arch     string // the only architecture that has the system call; "" for all
}

// attached is a program at work.
type attached struct {
	name string
	prog *ebpf.Program
	link io.Closer
}

// facilityConnect reports attempts; without it the TCP state program does, a little later.
const facilityConnect = "bpf:connect"

// facilityModule reports attempts to load a kernel module.
const facilityModule = "bpf:module"

// programs lists every program, in the order of loading. Those of one facility stand or
// fall alone: the facility is Degraded when only some of them work.
func programs() []program {
	return []program{
		{name: "on_exec", facility: "bpf:exec"},
		{name: "on_fork", facility: "bpf:fork"},
		{name: "on_exit", facility: "bpf:exit"},
		{name: "on_connect4", facility: facilityConnect},
		{name: "on_connect6", facility: facilityConnect},
		{name: "on_sendmsg4", facility: "bpf:udp"},
		{name: "on_sendmsg6", facility: "bpf:udp"},
		{name: "on_state", facility: "bpf:tcp"},
		{name: "on_egress", facility: "bpf:dns"},
		{name: "on_ingress", facility: "bpf:dns"},
		{name: "on_openat", facility: "bpf:file"},
		{name: "on_openat2", facility: "bpf:file"},
		{name: "on_open", facility: "bpf:file", arch: "amd64"},
		{name: "on_creat", facility: "bpf:file", arch: "amd64"},
		{name: "enter_unlink", facility: "bpf:file", arch: "amd64"},
		{name: "leave_unlink", facility: "bpf:file", arch: "amd64"},
		{name: "enter_unlinkat", facility: "bpf:file"},
		{name: "leave_unlinkat", facility: "bpf:file"},
		{name: "enter_rename", facility: "bpf:file", arch: "amd64"},
		{name: "leave_rename", facility: "bpf:file", arch: "amd64"},
		{name: "enter_renameat", facility: "bpf:file"},
		{name: "leave_renameat", facility: "bpf:file"},
		{name: "enter_renameat2", facility: "bpf:file"},
		{name: "leave_renameat2", facility: "bpf:file"},
		{name: "on_ptrace", facility: "bpf:ptrace"},
		{name: "on_vm_writev", facility: "bpf:ptrace"},
		{name: "on_memfd", facility: "bpf:memfd"},
		{name: "on_mmap", facility: "bpf:wx"},
		{name: "on_mprotect", facility: "bpf:wx"},
		{name: "on_pkey_mprotect", facility: "bpf:wx"},
		{name: "on_finit_module", facility: facilityModule},
		{name: "on_init_module", facility: facilityModule},
		{name: "on_io_uring", facility: "bpf:io_uring"},
	}
}

func (p program) here() bool { return p.arch == "" || p.arch == runtime.GOARCH }

// objects are the maps, shared by programs that are loaded one by one.
type objects struct {
	spec *ebpf.CollectionSpec
	maps *ebpf.Collection
	btf  *btf.Cache // the kernel's types, read once
}

func (o *objects) close() {
	if o != nil && o.maps != nil {
		o.maps.Close()
	}
}

// prepare creates the maps as cfg wants them.
func prepare(cfg Config) (*objects, error) {
	if page := os.Getpagesize(); cfg.RingBytes < page || cfg.RingBytes&(cfg.RingBytes-1) != 0 {
		return nil, fmt.Errorf("RingBytes is %d: must be a power of two of at least %d", cfg.RingBytes, page)
	}
	spec, err := loadBpf()
	if err != nil {
		return nil, err
	}
	spec.Maps[bpfMapEvents].MaxEntries = uint32(cfg.RingBytes)
	cpus, err := ebpf.PossibleCPU()
	if err != nil {
		return nil, err
	}
	spec.Maps[bpfMapScratches].MaxEntries = uint32(cpus)
	self := uint32(os.Getpid())
	if !kernfs.Initial("pid") {
		self = 0 // our number is another process's there; it must not hide that one
	}
	set := map[string]any{
		bpfVarSelfPid:       self,
		bpfVarWakeBytes:     uint32(min(64<<10, cfg.RingBytes/4)),
		bpfVarSecretLengths: secretLengths(),
	}
	if cfg.CgroupPath != "" {
		id, level, err := cgroupFilter(cfg.CgroupPath)
		if err != nil {
			return nil, err
		}
		set[bpfVarFilterCgroup], set[bpfVarFilterLevel] = id, level
	}
	for name, v := range set {
		if err := spec.Variables[name].Set(v); err != nil {
			return nil, fmt.Errorf("setting %s: %w", name, err)
		}
	}
	only := spec.Copy()
	clear(only.Programs)
	maps, err := ebpf.NewCollection(only)
	if err != nil {
		return nil, err
	}
	if err := putSecrets(maps.Maps[bpfMapSecrets]); err != nil {
		maps.Close()
		return nil, err
	}
	return &objects{spec: spec, maps: maps, btf: btf.NewCache()}, nil
}

// load loads one program against the shared maps.
func (o *objects) load(name string) (*ebpf.Program, *ebpf.ProgramSpec, error) {
	ps := o.spec.Programs[name]
	if ps == nil {
		return nil, nil, fmt.Errorf("no program %s in the object", name)
	}
	one := o.spec.Copy()
	for n := range one.Programs {
		if n != name {
			delete(one.Programs, n)
		}
	}
	col, err := ebpf.NewCollectionWithOptions(one, ebpf.CollectionOptions{MapReplacements: o.maps.Maps, Cache: o.btf})
	if err != nil {
		var ve *ebpf.VerifierError
		if errors.As(err, &ve) && len(ve.Log) > 1 {
			return nil, nil, fmt.Errorf("%w (%s)", ve.Cause, strings.Join(ve.Log[max(0, len(ve.Log)-2):], "; "))
		}
		return nil, nil, err
	}
	prog := col.DetachProgram(name)
	col.Close()
	return prog, ps, nil
}
