// Package file keeps blocked files from being run: the kernel asks (fanotify permission
// events) before a file of a marked file system is executed, and a file that is known to be
// blocked can be opened by nobody any more. What the kernel does not ask about (memfd,
// network and user-space file systems, scripts given to an interpreter by name) is judged
// when the sensors report it, and ended.
//
// It decides nothing: Config.Decide says what is wanted of a file with some digests. It
// does not watch file content that is merely written.
//
// The invariants: a file is judged by the descriptor that the kernel will run, never by its
// name; no program waits longer than Config.Patience, and none at all for an agent that
// hangs or was stopped, because a second process kills that agent, whereupon the kernel
// lets all go (Watch); the agent's own program always runs. Start at New and Guard.Run.
package file
