// Package isolate cuts a device off the network, all but its server, and brings it back.
//
// One nftables table of family inet, named after the agent's instance, drops what enters,
// leaves or crosses the device in IPv4 and IPv6. It lets through: loopback; the server's
// pinned addresses and ports, begun by the device only; DHCP with broadcast or multicast
// requests; neighbour and router discovery and multicast listener reports; the ICMP errors
// that path MTU discovery needs. Names must be resolved before: DNS is cut too. Live TCP
// sessions to anywhere else are destroyed.
//
// On kernels from 6.9 on the agent owns the table: even root's nft cannot change it while
// the agent lives, and it stays when the agent is killed. On older ones Watch puts it back.
// Neither the agent's end nor a restart releases: only Release does. Limits: raw packet
// sockets, interfaces moved to another network namespace and guests that are bridged to
// the link pass by these rules; a server behind a tunnel or a translation that ends after
// them is cut off too, which the handler's probe notices and undoes.
//
// The invariant: Verify says Verified only if it reached the server, saw its own probes to
// other addresses counted as dropped, and found the table as it was made.
// Start at Isolator in isolate_linux.go; the rules are in rule_linux.go.
package isolate
