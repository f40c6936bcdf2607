// Package name keeps programs on the device from reaching blocked domains and URLs: kernel
// programs read names where they are sent in the clear (DNS queries, TLS client hellos,
// HTTP requests) and do not let pass what names something blocked; addresses to which
// blocked names are known to lead are blocked for as long as the answer is good.
//
// It decides nothing: package enforce says which names are blocked, watched or allowed. It
// does not decrypt: names inside DNS over TLS or HTTPS, encrypted client hellos and QUIC
// are not seen, nor are the paths of https URLs. See docs/sensor.md for the limits.
//
// The invariants: the narrowest rule decides, a longer path before a shorter one, a URL
// before its domain, a name before its parents; nothing stays behind when the process
// ends, however it ends; the agent's own traffic is never held up. Start at New, then
// Blocker.Replace and Blocker.Change; bpf/ holds the kernel side.
package name

//go:generate sh -c "clang --version | head -n1 > bpf/CLANG"
//go:generate go run github.com/cilium/ebpf/cmd/bpf2go -tags linux -no-global-types -target amd64,arm64 -output-stem name -type key -type rule -type who -type sighting -type tally bpf bpf/name.bpf.c -- -O2 -g -mcpu=v3 -Wall -Werror -I../bpf -I../../sensor/ebpf/bpf -I/usr/include/x86_64-linux-gnu
