//go:build !linux

package launch

// Begin does nothing: nothing is launched on this system.
func Begin() {}
