// Package netlink is a request socket of the kernel's netlink families: it sends requests
// and collects their answers.
//
// It knows no family: what is in a message is its user's affair, in agent/responder/isolate
// (nftables) and agent/session (sock_diag). It does not listen to announcements. The
// invariant: what Do returns answers what it was given, and an error names the request
// that failed. Start at Dial, then Conn.Do.
package netlink
