// Package mark marks the sockets that chosen programs make, so that netfilter can tell
// them from others.
//
// A program is the file that it executes, by its inode, or the cgroup that it is in. Only
// sockets made after New are marked; one that is handed to another process keeps its mark. The
// invariant: nothing is ever unmarked or let through by this package, so that without it
// fewer packets pass, not more. Start at New.
package mark

//go:generate sh -c "clang --version | head -n1 > bpf/CLANG"
//go:generate go run github.com/cilium/ebpf/cmd/bpf2go -tags linux -no-global-types -target amd64,arm64 -output-stem mark -type program bpf bpf/mark.bpf.c -- -O2 -g -mcpu=v3 -Wall -Werror -I../../../sensor/ebpf/bpf -I/usr/include/x86_64-linux-gnu
