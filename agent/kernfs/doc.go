// Package kernfs finds the file systems through which the kernel is asked and told things
// (cgroup2, tracefs), and mounts them privately where nobody did.
//
// A private mount hangs nowhere: no process sees it and it goes with its descriptor, so
// that the agent changes nothing on the device by looking. The package reads nothing
// below the roots that it returns. Initial says whether these are the whole machine's.
// Start at Cgroup and Trace.
package kernfs
