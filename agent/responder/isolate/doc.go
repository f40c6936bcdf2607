// Package isolate cuts a device off the network, all but its server, and brings it back.
//
// Two nftables tables, named after the agent's instance, drop what is not allowed. That of
// family inet judges by address what enters, leaves or crosses the device. It lets through:
// loopback; the server's pinned addresses and ports, begun by the device only; DHCP with
// broadcast or multicast requests; neighbour and router discovery and multicast listener
// reports; the ICMP errors that path MTU discovery needs. Names must be resolved before: DNS is
// cut too. That of family netdev judges the same by whole frames at each device, and lets
// address resolution and port authentication (EAPOL) through besides: what packet sockets,
// guests of a bridge and devices above another send passes there alone. A device that is moved
// to another network namespace is followed, and one that comes is held from then on.
// Live TCP sessions to anywhere else are destroyed.
//
// A selective isolation allows some addresses to all programs, and some programs everything:
// their sockets are marked when they are made (package mark), and may begin, not be reached.
//
// On kernels from 6.9 on the agent owns the tables: even root's nft cannot change them while
// the agent lives, and they stay when the agent is killed. On older ones Watch puts them back.
// Neither the agent's end nor a restart releases: only Release does. Limits: packet sockets
// hear what arrives before any rule does, and on kernels before 5.16 send too; AF_XDP sockets
// and BPF programs that root loads send past netfilter; addresses on the device's own link can
// be told something by address resolution; a device that is moved to a namespace which no
// process is in and no name leads to cannot be followed, which is told; a server behind a tunnel
// or a translation that ends after the rules is cut off too, which the handler's probe notices
// and undoes.
//
// The invariant: Verify says Verified only if it reached the server, saw its own probes to
// other addresses, and its own frame, counted as dropped, and found the tables as they were made.
// Start at Isolator in isolate_linux.go; the rules are in rule_linux.go.
package isolate
