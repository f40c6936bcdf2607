// Package session ends network sessions that exist already, through the kernel's socket
// diagnostics (SOCK_DESTROY): rules about new connections do not touch old ones.
//
// It prevents nothing: what may be opened anew is for its callers to rule, and they rule
// first. The invariant: only sockets that the caller chose are ended, and their owners see
// an error (ECONNABORTED) instead of silence. Start at Destroy.
package session
