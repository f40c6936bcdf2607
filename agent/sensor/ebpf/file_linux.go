package ebpf

import (
	"path"
	"strings"

	"github.com/vedette-edr/vedette/agent/process"
	"github.com/vedette-edr/vedette/schema/event"
)

func (n *normaliser) file(b []byte) bool {
	e, rest := view[bpfFileEvent](b)
	if e == nil {
		return false
	}
	s, ok := sections(rest, e.NameLen, e.DirLen, e.Name2Len, e.Dir2Len)
	if !ok {
		return false
	}
	cut := e.Header.Flags&flagPathCut != 0
	now, before := joined(s[0], s[1], cut), ""
	action := "FileCreated"
	switch bpfEventType(e.Header.Type) {
	case bpfEventTypeEVENT_MODIFY:
		action = "FileModified"
	case bpfEventTypeEVENT_DELETE:
		action = "FileDeleted"
	case bpfEventTypeEVENT_RENAME:
		action, before, now = "FileRenamed", now, joined(s[2], s[3], cut)
	}
	ev := n.begin(&e.Header, event.FileEvents, action)
	if by := ev.Initiating.Image.Path; n.leftOut(now, by) && (before == "" || n.leftOut(before, by)) {
		n.excluded.Add(1)
		return true
	}
	ev.File = named(now)
	if before != "" {
		ev.Previous = named(before)
	}
	n.emit(ev)
	return true
}

func named(p string) *event.File {
	return &event.File{Name: process.Text(base(p)), Path: process.Text(p), Size: -1}
}

// joined puts a name, as a program gave it to the kernel, after the directory that it
// starts from: the current one, that of a descriptor, or the program's root. Symbolic links
// in the name stay as they are.
func joined(name, dir []byte, cut bool) string {
	at := walked(dir, cut)
	if len(name) == 0 {
		return at
	}
	return path.Clean(strings.TrimSuffix(at, "/") + "/" + cString(name))
}

// Exclusion names file events that are not reported: those at or below Path that Program
// causes. Both are absolute and free of symbolic links; a Program of "" is everybody, which
// blinds the sensor there, also to an attacker.
type Exclusion struct {
	Path    string
	Program string
}

func (n *normaliser) leftOut(p, by string) bool {
	for _, x := range n.cfg.Exclude {
		if x.Program != "" && x.Program != by {
			continue
		}
		if rest, ok := strings.CutPrefix(p, x.Path); ok && (rest == "" || rest[0] == '/' || strings.HasSuffix(x.Path, "/")) {
			return true
		}
	}
	return false
}
