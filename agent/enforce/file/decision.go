package file

import "github.com/vedette-edr/vedette/agent/hash"

// Action is what is to be done about a file.
type Action uint8

// The actions.
const (
	None      Action = iota
	Allow            // run, whatever else is said of it
	Audit            // run, and report it
	Warn             // run, tell who ran it, and report it
	Block            // do not run, nor open once known, and report it
	Remediate        // as Block; also end what runs it and put it into quarantine
)

func (a Action) blocks() bool { return a >= Block }

// Decision is what is wanted of a file.
type Decision struct {
	Action Action
	ID     int64 // of the indicator; 0 for None
	Silent bool  // no alert is wanted
}

// Decide says what is wanted of a file with these digests. It returns quickly.
type Decide func(hash.Sums) Decision

// Stats counts what a Guard did.
type Stats struct {
	Asked       uint64 // permission events
	Denied      uint64
	Late        uint64 // let go because no answer was found in time; judged afterwards
	Killed      uint64 // processes ended
	Quarantined uint64 // files
	Marked      int    // file systems
}
