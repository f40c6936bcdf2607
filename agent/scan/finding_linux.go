package scan

import (
	"os"

	"golang.org/x/sys/unix"

	"github.com/vedette-edr/vedette/agent/enforce/file"
	"github.com/vedette-edr/vedette/agent/hash"
)

// Engines, as findings name them.
const (
	EngineSignature = "Signature" // our own
	EngineIndicator = "Indicator"
	EngineClamAV    = "ClamAV"
	EngineYARA      = "YARA"
)

// Finding is what an engine found in an Object.
type Finding struct {
	Engine string
	Threat string // the engine's name for it
	// Member is the path within an archive, "" for the file itself; archives within
	// archives are apart by '!'.
	Member    string
	Indicator int64       // id; 0 for none
	Action    file.Action // what the indicator wants; file.None without one
	Silent    bool        // no alert is wanted
	Sums      hash.Sums   // of the member, where it was read
}

// Object is one thing to look at: a file, or memory of a process.
type Object struct {
	Path   string // as the agent's mount namespace names it; of memory the program's
	File   *os.File
	Stat   unix.Stat_t
	PID    uint32 // of a process that runs it, or whose memory it is; 0 for none
	Memory bool
}

// Seen is an Object with what was found in it.
type Seen struct {
	Object   *Object
	Sums     hash.Sums // "" in each where they were not needed
	Findings []Finding
}
