package rootfs

import (
	"strings"

	"github.com/vedette-edr/vedette/agent/mount"
)

// below returns the mounts at or below a root, with their points as paths below it.
func below(all []mount.Mount, root string) []mount.Mount {
	if root == "/" {
		return all
	}
	var out []mount.Mount
	for _, m := range all {
		switch rest, ok := strings.CutPrefix(m.Point, root); {
		case !ok:
			continue
		case rest == "":
			m.Point = "/"
		case rest[0] == '/':
			m.Point = rest
		default:
			continue
		}
		out = append(out, m)
	}
	return out
}
