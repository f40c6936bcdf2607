package agent

import (
	"github.com/vedette-edr/vedette/agent/enforce/file"
	"github.com/vedette-edr/vedette/agent/responder/restrict"
)

// Watchdog is what a second process does that an agent starts while programs wait for its
// leave to run: it kills an agent that hangs.
func Watchdog() error { return file.Watch() }

// Probe is what a process does that an agent starts to learn whether a program may run. It
// returns the exit code.
func Probe(args []string) int { return restrict.ProbeMain(args) }
