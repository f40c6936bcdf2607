package collect

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// bpf lists the programs that were loaded into the kernel's virtual machine, what they are
// attached to, and their maps.
func (d *device) bpf(t *Task) error {
	tab, err := t.Table("BpfPrograms.csv", "Id", "Name", "Type", "Tag", "LoadedAt", "UserName", "Maps")
	if err != nil {
		return err
	}
	defer tab.end()
	for id := ebpf.ProgramID(0); ; {
		if id, err = ebpf.ProgramGetNextID(id); err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				break
			}
			return err
		}
		if err := d.bpfProgram(t, tab, id); err != nil {
			return err
		}
	}
	if err := tab.Close(); err != nil {
		return err
	}
	return errors.Join(d.bpfLinks(t), d.bpfMaps(t))
}

func (d *device) bpfProgram(t *Task, tab *Table, id ebpf.ProgramID) error {
	p, err := ebpf.NewProgramFromID(id)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			t.Note(err, "program %d", id)
		}
		return nil
	}
	defer p.Close()
	info, err := p.Info()
	if err != nil {
		t.Note(err, "program %d", id)
		return nil
	}
	loaded, user, maps := "", "", ""
	if at, ok := info.LoadTime(); ok {
		loaded = when(d.bootTime().Add(at))
	}
	if uid, ok := info.CreatedByUID(); ok {
		user = d.user(uid)
	}
	if ids, ok := info.MapIDs(); ok {
		maps = strings.Trim(fmt.Sprint(ids), "[]")
	}
	return tab.Row(itoa(uint32(id)), info.Name, info.Type.String(), info.Tag, loaded, user, maps)
}

func (d *device) bpfLinks(t *Task) error {
	tab, err := t.Table("BpfLinks.csv", "Id", "Type", "ProgramId", "Detail")
	if err != nil {
		return err
	}
	defer tab.end()
	it := new(link.Iterator)
	defer it.Close()
	for it.Next() {
		info, err := it.Link.Info()
		if err != nil {
			if !errors.Is(err, fs.ErrNotExist) {
				t.Note(err, "link %d", it.ID)
			}
			continue
		}
		detail := ""
		switch {
		case info.Tracing() != nil:
			v := info.Tracing()
			detail = fmt.Sprintf("attach type %d, object %d, function id %d", v.AttachType, v.TargetObjectId, v.TargetBtfId)
		case info.Cgroup() != nil:
			v := info.Cgroup()
			detail = fmt.Sprintf("cgroup %d, attach type %d", v.CgroupId, v.AttachType)
		case info.XDP() != nil:
			detail = fmt.Sprintf("interface %d", info.XDP().Ifindex)
		case info.RawTracepoint() != nil:
			detail = info.RawTracepoint().Name
		case info.UprobeMulti() != nil:
			detail = info.UprobeMulti().File
		case info.PerfEvent() != nil && info.PerfEvent().Kprobe() != nil:
			detail = info.PerfEvent().Kprobe().Function
		case info.PerfEvent() != nil && info.PerfEvent().Uprobe() != nil:
			detail = info.PerfEvent().Uprobe().File
		case info.TCX() != nil:
			detail = fmt.Sprintf("interface %d", info.TCX().Ifindex)
		}
		if err := tab.Row(itoa(uint32(it.ID)), fmt.Sprint(linkType(info.Type)), itoa(uint32(info.Program)), detail); err != nil {
			return err
		}
	}
	if err := it.Err(); err != nil && !errors.Is(err, unix.EINVAL) { // a kernel before 5.8 has no list
		t.Note(err, "links")
	}
	return tab.Close()
}

func linkType(n link.Type) string {
	names := map[link.Type]string{link.RawTracepointType: "raw tracepoint", link.TracingType: "tracing", link.CgroupType: "cgroup", link.IterType: "iterator",
		link.NetNsType: "network namespace", link.XDPType: "xdp", link.PerfEventType: "perf event", link.KprobeMultiType: "kprobe multi", link.TCXType: "tcx",
		link.UprobeMultiType: "uprobe multi", link.NetfilterType: "netfilter", link.NetkitType: "netkit"}
	if s := names[n]; s != "" {
		return s
	}
	return itoa(uint32(n))
}

func (d *device) bpfMaps(t *Task) error {
	tab, err := t.Table("BpfMaps.csv", "Id", "Name", "Type", "KeySize", "ValueSize", "MaxEntries")
	if err != nil {
		return err
	}
	defer tab.end()
	for id := ebpf.MapID(0); ; {
		if id, err = ebpf.MapGetNextID(id); err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				return tab.Close()
			}
			return err
		}
		m, err := ebpf.NewMapFromID(id)
		if err != nil {
			if !errors.Is(err, fs.ErrNotExist) {
				t.Note(err, "map %d", id)
			}
			continue
		}
		info, err := m.Info()
		m.Close()
		if err != nil {
			t.Note(err, "map %d", id)
			continue
		}
		if err := tab.Row(itoa(uint32(id)), info.Name, info.Type.String(), itoa(info.KeySize), itoa(info.ValueSize), itoa(info.MaxEntries)); err != nil {
			return err
		}
	}
}
