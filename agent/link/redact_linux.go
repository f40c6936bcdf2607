package link

import (
	"os"
	"strings"
	"unsafe"
)

// wipe overwrites the token in the memory that the kernel shows as /proc/PID/cmdline: the
// strings of os.Args lie in it.
func wipe(token string) {
	for _, a := range os.Args {
		for from := 0; ; {
			i := strings.Index(a[from:], token)
			if i < 0 {
				break
			}
			at := unsafe.Slice(unsafe.StringData(a), len(a))[from+i : from+i+len(token)]
			for k := range at {
				at[k] = 'x'
			}
			from += i + len(token)
		}
	}
}
