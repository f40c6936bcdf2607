// Package quarantine takes files out of circulation and can give them back.
//
// It does not judge: its callers say which file, and why. It does not end the processes
// that run or hold a file either.
//
// A Vault is a directory in which each file is two: its content, sealed (AES-256-GCM in
// chunks, under a key of its own), so that nothing can run, open or scan it by accident;
// and its manifest, which says what it was. The invariants: a file leaves its place only
// after its sealed content and manifest are on the disk; what is taken is the file behind
// a descriptor, never whatever a path names by then; what is given back is byte for byte
// what was taken, and never overwrites anything. Start at Open, Vault.Take and
// Vault.Restore.
package quarantine
