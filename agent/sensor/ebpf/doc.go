// Package ebpf is the agent's primary Linux sensor: small kernel programs that see
// processes, connections, DNS and files at the moment they happen, and the normaliser that
// turns what they send into events of the hunting schema.
//
// Start reading at Sensor.Run; bpf/ holds the kernel side. Each program is loaded and
// attached on its own, and what the kernel refuses becomes a sensor.Facility. What the
// kernel could not hand over is counted there and reported as a Gap.
//
// The package blocks nothing and decides nothing about what is suspicious. events.md lists
// what it reports under which names, and what it is known not to see.
package ebpf

//go:generate sh -c "clang --version | head -n1 > bpf/CLANG"
//go:generate go run github.com/cilium/ebpf/cmd/bpf2go -tags linux -no-global-types -target amd64,arm64 -output-stem sensor -type event_type -type who -type header -type exec_event -type fork_event -type exit_event -type socket_event -type dns_event -type file_event -type memory_event -type ptrace_event -type iouring_event -type counter -type tuning -type secret_name -type listener bpf bpf/sensor.bpf.c -- -O2 -g -mcpu=v3 -Wall -Werror -I/usr/include/x86_64-linux-gnu
