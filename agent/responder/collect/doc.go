// Package collect makes the investigation package of a device: who started what, what
// runs, who is logged on and what is set to start again, as one ZIP that is handed to the
// server.
//
// It reads and changes nothing of the device, at a low priority, and asks programs of the
// device only for what no file or kernel interface says. What the package has is a list of
// data points (points_*.go), each with a time and a size that it may take: one that hangs
// is left behind and the next begins. The package says of each how it fared, and of each
// file whether it was cut. Secrets stay on the device: of passwords, private keys and
// environments only what tells their kind.
//
// The invariant: a command is Verified when the server has a package whose every file has
// the hash that its manifest states. Start at Handler.Handle, then Point.
package collect
