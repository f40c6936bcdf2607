// Package fileless ends programs that no file system has: those of memory files (memfd) and
// of deleted files, which nobody is asked about before they run.
//
// A program in the kernel sends them SIGKILL when they are executed, before their first
// instruction. It is for as long as execution is restricted: container runtimes and programs
// that were upgraded while they run use the same means with good reason. Start at Start.
package fileless

//go:generate sh -c "clang --version | head -n1 > bpf/CLANG"
//go:generate go run github.com/cilium/ebpf/cmd/bpf2go -tags linux -no-global-types -target amd64,arm64 -output-stem fileless -type ended bpf bpf/fileless.bpf.c -- -O2 -g -mcpu=v3 -Wall -Werror -I../../sensor/ebpf/bpf -I/usr/include/x86_64-linux-gnu
