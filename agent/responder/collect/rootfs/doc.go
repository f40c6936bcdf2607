// Package rootfs reads the files of a device that may be an attacker's, or of a directory
// that stands for one: through descriptors, confined to the root, and without a trace.
//
// Only regular files are opened for reading, since opening anything else may have effects
// or never return; times of access stay as they were where the kernel allows it; symbolic
// links are followed only where the caller says so, and then never out of the root or
// through /proc; file systems of a network and automount points are not entered, because
// they may hang or be mounted by it. Nothing is written. Start at Open.
package rootfs
