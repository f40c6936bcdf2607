// Package address keeps the device from talking to blocked addresses: kernel programs at
// connect and sendmsg of every socket below a cgroup refuse with EPERM, whatever the
// program, network namespace or route, and report who tried what. What comes in from them
// is dropped where it begins: the first packet of a connection, and datagrams.
//
// It decides nothing: package enforce says which addresses and ranges are blocked, watched
// or allowed, and package name which addresses blocked names lead to. Raw sockets are not
// its affair; sessions that exist when their peer becomes blocked are ended.
//
// The invariants: an allowed address is never blocked, however many rules block it;
// 127.0.0.1, ::1, the unspecified addresses, the server and the agent itself are never
// blocked at all; nothing stays behind when the process ends, however it ends. Start at
// New, then Blocker.Replace and Blocker.Change; bpf/ holds the kernel side.
package address

//go:generate sh -c "clang --version | head -n1 > bpf/CLANG"
//go:generate go run github.com/cilium/ebpf/cmd/bpf2go -tags linux -no-global-types -target amd64,arm64 -output-stem address -type address -type range -type rule -type learned -type who -type refusal -type tally bpf bpf/address.bpf.c -- -O2 -g -mcpu=v3 -Wall -Werror -I../bpf -I../../sensor/ebpf/bpf -I/usr/include/x86_64-linux-gnu
