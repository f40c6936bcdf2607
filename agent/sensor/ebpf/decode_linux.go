package ebpf

import (
	"bytes"
	"strings"
	"unsafe"

	"github.com/vedette-edr/vedette/agent/process"
)

// view reads b as the structure T, which the kernel program wrote there, and returns what
// follows it; nil when b is too short. The result points into b.
func view[T any](b []byte) (*T, []byte) {
	var t *T
	n := int(unsafe.Sizeof(*t))
	if len(b) < n {
		return nil, nil
	}
	return (*T)(unsafe.Pointer(unsafe.SliceData(b))), b[n:]
}

// sections cuts the variable parts, four at most, off b; it reports false when b ends before
// they do.
func sections(b []byte, lens ...uint32) (parts [4][]byte, ok bool) {
	for i, n := range lens {
		if uint64(n) > uint64(len(b)) {
			return parts, false
		}
		parts[i], b = b[:n], b[n:]
	}
	return parts, true
}

// walked turns the components of a path, leaf first and each ended by a NUL, into a path.
// The bytes are as the kernel has them. A path that was cut lacks its beginning, which shows as "…".
func walked(b []byte, cut bool) string {
	return string(appendWalked(make([]byte, 0, len(b)+8), b, cut))
}

func appendWalked(out, b []byte, cut bool) []byte {
	b = bytes.TrimSuffix(b, []byte{0})
	if len(b) == 0 {
		return append(out, '/')
	}
	if cut {
		out = append(out, "/…"...)
	}
	for len(b) > 0 {
		i := bytes.LastIndexByte(b, 0)
		out = append(out, '/')
		out = append(out, b[i+1:]...)
		b = b[:max(i, 0)]
	}
	return out
}

// cString reads up to the first NUL.
func cString(b []byte) string { return string(cBytes(b)) }

func cBytes(b []byte) []byte {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	return b
}

// texts holds the strings that come again and again: the paths of programs and directories
// and the names of tasks. Most processes have the same few, and thousands are remembered.
type texts struct {
	known map[string]string
	path  []byte // to put one together in
}

// Bounds of texts. Whoever makes up new names all the time only empties it.
const (
	maxTexts = 1024
	maxText  = 256 // bytes of one
)

func (t *texts) of(b []byte) string {
	if s, ok := t.known[string(b)]; ok {
		return s
	}
	s := string(b)
	if len(s) <= maxText {
		if len(t.known) >= maxTexts || t.known == nil {
			t.known = make(map[string]string)
		}
		t.known[s] = s
	}
	return s
}

// walked is the function of that name.
func (t *texts) walked(b []byte, cut bool) string {
	t.path = appendWalked(t.path[:0], b, cut)
	return t.of(t.path)
}

func (t *texts) comm(c *[16]int8) string {
	return process.Text(t.of(cBytes(unsafe.Slice((*byte)(unsafe.Pointer(c)), len(c)))))
}

// base is the last element of an absolute path.
func base(p string) string { return p[strings.LastIndexByte(p, '/')+1:] }
