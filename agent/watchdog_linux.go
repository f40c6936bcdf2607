package agent

import (
	"github.com/vedette-edr/vedette/agent/enforce/file"
	"github.com/vedette-edr/vedette/agent/launch"
)

// Watchdog is what a second process does that an agent starts while programs wait for its
// leave to run: it kills an agent that hangs.
func Watchdog() error { return file.Watch() }

// Launch is what a process does that an agent starts to become a program of the device. It
// returns, with the exit code, only when it cannot.
func Launch(args []string) int { return launch.Main(args) }
