// Package launch starts programs of the device on the agent's behalf.
//
// While the agent controls what may run, the kernel asks it before a program is executed.
// A child that the Go runtime starts executes its program before the runtime lets go of the
// thread and the lock that it was started with, and until then the process cannot be
// stopped for a garbage collection: an agent that executed a program of the device itself
// could wait for its own answer, for ever. So the agent executes nothing but its own
// program, which the kernel never asks about, and that becomes the program wanted, in a
// process of its own, which may wait for as long as it takes.
//
// The invariant: no other package of the agent starts a foreign program while the agent
// runs. Programs that may wait for nothing of the kind, such as the watchdog, are the
// agent's own. Start at Command and Start.
package launch

// Name is the first argument that makes the agent's program call Main.
const Name = "launch"
