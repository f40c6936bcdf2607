package agent

import "github.com/vedette-edr/vedette/agent/enforce/file"

// Watchdog is what a second process does that an agent starts while programs wait for its
// leave to run: it kills an agent that hangs.
func Watchdog() error { return file.Watch() }
