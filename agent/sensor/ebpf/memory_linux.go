package ebpf

import (
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/vedette-edr/vedette/agent/process"
	"github.com/vedette-edr/vedette/schema/event"
)

// vmWritev is VM_WRITEV of bpf/memory.h.
const vmWritev = 0x10000

func (n *normaliser) ptrace(b []byte) bool {
	e, _ := view[bpfPtraceEvent](b)
	if e == nil {
		return false
	}
	action := "PTraceDetected"
	var f fields
	if e.Request == vmWritev {
		action = "WriteProcessMemoryApiCall"
		f.str("Syscall", "process_vm_writev")
	} else {
		f.str("Request", ptraceName(e.Request))
	}
	f.num("TargetProcessId", uint64(e.Target))
	ev := n.begin(&e.Header, event.DeviceEvents, action)
	ev.Process = n.table.Lookup(e.Target)
	if ev.Process != nil {
		f.str("TargetProcess", ev.Process.Image.Path)
	}
	ev.Additional = f.String()
	n.emit(ev)
	return true
}

func ptraceName(r uint64) string {
	switch r {
	case unix.PTRACE_POKETEXT:
		return "PTRACE_POKETEXT"
	case unix.PTRACE_POKEDATA:
		return "PTRACE_POKEDATA"
	case 13: // PTRACE_SETREGS, which arm64 does not have
		return "PTRACE_SETREGS"
	case unix.PTRACE_ATTACH:
		return "PTRACE_ATTACH"
	case unix.PTRACE_SETREGSET:
		return "PTRACE_SETREGSET"
	case unix.PTRACE_SEIZE:
		return "PTRACE_SEIZE"
	}
	return strconv.FormatUint(r, 10)
}

func (n *normaliser) writableCode(b []byte) bool {
	e, _ := view[bpfMemoryEvent](b)
	if e == nil {
		return false
	}
	ev := n.begin(&e.Header, event.DeviceEvents, "WritableExecutableMemory")
	var f fields
	if e.Mapped != 0 {
		f.str("Syscall", "mmap")
	} else {
		f.str("Syscall", "mprotect")
	}
	f.str("Address", "0x"+strconv.FormatUint(e.Addr, 16))
	f.num("Length", e.Len)
	ev.Additional = f.String()
	n.emit(ev)
	return true
}

func (n *normaliser) memfd(b []byte) bool {
	e, rest := view[bpfFileEvent](b)
	if e == nil {
		return false
	}
	s, ok := sections(rest, e.NameLen)
	if !ok {
		return false
	}
	ev := n.begin(&e.Header, event.DeviceEvents, "MemoryFileCreated")
	name := process.Text(cString(s[0]))
	ev.File = &event.File{Name: name, Path: "/memfd:" + name, Size: -1}
	var f fields
	f.num("Flags", uint64(e.Detail))
	ev.Additional = f.String()
	n.emit(ev)
	return true
}

func (n *normaliser) module(b []byte) bool {
	e, rest := view[bpfFileEvent](b)
	if e == nil {
		return false
	}
	s, ok := sections(rest, e.DirLen)
	if !ok {
		return false
	}
	ev := n.begin(&e.Header, event.DeviceEvents, "KernelModuleLoad")
	var f fields
	if e.Detail != 0 {
		f.str("Syscall", "init_module")
	} else {
		f.str("Syscall", "finit_module")
		if len(s[0]) > 0 {
			ev.File = named(walked(s[0], e.Header.Flags&flagPathCut != 0))
		}
	}
	f.str("Status", "Attempted")
	ev.Additional = f.String()
	n.emit(ev)
	return true
}

func (n *normaliser) ioUring(b []byte) bool {
	e, _ := view[bpfIouringEvent](b)
	if e == nil {
		return false
	}
	ev := n.begin(&e.Header, event.DeviceEvents, "IoUringCreated")
	var f fields
	f.num("Entries", uint64(e.Entries))
	ev.Additional = f.String()
	n.emit(ev)
	return true
}
