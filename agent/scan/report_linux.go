package scan

import (
	"time"

	"github.com/vedette-edr/vedette/agent/enforce/file"
	"github.com/vedette-edr/vedette/agent/hash"
)

// Kind is how much is looked at.
type Kind string

// The published kinds.
const (
	Quick Kind = "Quick" // what runs, what starts by itself, temporary files and downloads
	Full  Kind = "Full"  // every local file system too
)

// Config is what a Scanner needs. Members marked so may be left out.
type Config struct {
	Pool *hash.Pool // shared with the sensors
	// Decide says what indicators want of a file; Indicators whether there are any.
	Decide     file.Decide
	Indicators func() bool
	// Autoruns are the paths that what starts by itself names.
	Autoruns func() []string
	// Homes are the home directories of people.
	Homes func() []string
	// Skip are directories that are not entered: the agent's own.
	Skip []string
	// Roots replace the places of both kinds; nil for the device's.
	Roots []string
	// Processes replaces the processes that are looked at; nil for all but this one.
	Processes func() []uint32
	Clamd     []string         // sockets; nil for the usual ones
	YARA      []string         // programs; nil for the usual ones
	Now       func() time.Time // nil for time.Now
}

// Job is one scan.
type Job struct {
	Kind    Kind
	Percent int     // of one processor that may be used, 1 to 100; 0 for 50
	Rules   []Rules // of YARA; the files stay the caller's
	Gate    *Gate   // where it can be held; nil for nowhere
	// Found is told of each object in which something was found. The object is closed
	// afterwards.
	Found func(Seen)
	// Progress is told now and then how far it is: percent is -1 where it is not known.
	Progress func(percent int, text string, r Report)
}

// Engine says whether an engine took part.
type Engine struct {
	Name    string `json:"name"`
	Used    bool   `json:"used"`
	Version string `json:"version,omitempty"`
	Detail  string `json:"detail,omitempty"` // why it was not used, or what of it was not
}

// Report is what a scan came to.
type Report struct {
	Kind      Kind      `json:"scanType"`
	Began     time.Time `json:"began"`
	Ended     time.Time `json:"ended"`
	Files     int64     `json:"files"`     // looked at
	Bytes     int64     `json:"bytes"`     // of these, as they lie on the disk
	Members   int64     `json:"members"`   // of archives
	Processes int       `json:"processes"` // whose memory was looked at
	Memory    int64     `json:"memory"`    // bytes of it
	Threats   int       `json:"threats"`   // objects in which something was found
	Engines   []Engine  `json:"engines"`
	// What was not looked at, or not fully.
	TooLarge  int64    `json:"tooLarge,omitempty"`
	Bounded   int64    `json:"bounded,omitempty"` // archives beyond the bounds
	Encrypted int64    `json:"encrypted,omitempty"`
	Damaged   int64    `json:"damaged,omitempty"` // members and archives that cannot be read
	Unread    int64    `json:"unread,omitempty"`  // files, directories and memory
	Foreign   int64    `json:"foreign,omitempty"` // file systems of the network, the kernel or user space
	Problems  []string `json:"problems,omitempty"`
	// Processor time, that of helpers included.
	CPU      float64 `json:"cpuSeconds"`
	Share    float64 `json:"cpuShare"` // of one processor, while it was not held
	Limit    float64 `json:"cpuLimit"`
	Complete bool    `json:"complete"`
}

const maxProblems = 20

func (r *Report) problem(text string) {
	if len(r.Problems) < maxProblems {
		r.Problems = append(r.Problems, text)
	}
}
