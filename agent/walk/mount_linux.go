package walk

import (
	"fmt"
	"os"

	"github.com/vedette-edr/vedette/agent/mount"
)

// Mounts lists the mounts of the agent's mount namespace; of several at one path the last
// one counts, which hides the others.
func Mounts() ([]mount.Mount, error) {
	raw, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("walk: %w", err)
	}
	return visible(mount.Parse(raw)), nil
}

// visible leaves out what another mount hides.
func visible(all []mount.Mount) []mount.Mount {
	at := map[string]int{}
	var out []mount.Mount
	for _, m := range all {
		if i, ok := at[m.Point]; ok {
			out[i] = m
			continue
		}
		at[m.Point] = len(out)
		out = append(out, m)
	}
	return out
}
