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

// sections cuts the variable parts off b; it reports false when b ends before they do.
func sections(b []byte, lens ...uint32) ([][]byte, bool) {
	parts := make([][]byte, len(lens))
	for i, n := range lens {
		if uint64(n) > uint64(len(b)) {
			return nil, false
		}
		parts[i], b = b[:n], b[n:]
	}
	return parts, true
}

// walked turns the components of a path, leaf first and each ended by a NUL, into a path.
// The bytes are as the kernel has them. A path that was cut lacks its beginning, which shows as "…".
func walked(b []byte, cut bool) string {
	b = bytes.TrimSuffix(b, []byte{0})
	if len(b) == 0 {
		return "/"
	}
	out := make([]byte, 0, len(b)+8)
	if cut {
		out = append(out, "/…"...)
	}
	for len(b) > 0 {
		i := bytes.LastIndexByte(b, 0)
		out = append(out, '/')
		out = append(out, b[i+1:]...)
		b = b[:max(i, 0)]
	}
	return string(out)
}

// cString reads up to the first NUL.
func cString(b []byte) string {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	return string(b)
}

func comm(c *[16]int8) string {
	b := unsafe.Slice((*byte)(unsafe.Pointer(c)), len(c))
	return process.Text(cString(b))
}

// base is the last element of an absolute path.
func base(p string) string { return p[strings.LastIndexByte(p, '/')+1:] }
