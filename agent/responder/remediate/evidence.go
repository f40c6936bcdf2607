package remediate

import "github.com/vedette-edr/vedette/agent/persistence"

// What became of a file, a process or an entry.
const (
	Taken    = "quarantined"
	Unlinked = "unlinked" // a further name of a file that was taken
	Kept     = "sealed"   // it had no name any more; its content is kept
	Stopped  = "stopped"
	Removed  = "removed"
	Restored = "restored"
	Left     = "left" // Detail says why
)

// File is one place of the file.
type File struct {
	Path   string `json:"path"`
	State  string `json:"state"`
	Item   string `json:"item,omitempty"` // id in the quarantine
	Size   int64  `json:"size"`           // bytes
	Detail string `json:"detail,omitempty"`
}

// Process is one process that ran the file.
type Process struct {
	PID    uint32 `json:"pid"`
	Name   string `json:"name"`
	Via    string `json:"via"` // image, library, script
	State  string `json:"state"`
	Detail string `json:"detail,omitempty"`
}

// Entry is one place that started the file by itself.
type Entry struct {
	Kind   persistence.Kind `json:"kind"`
	Path   string           `json:"path"`
	Lines  []int            `json:"lines,omitempty"`
	State  string           `json:"state"`
	Detail string           `json:"detail,omitempty"`
}

// Search says how far the file was looked for.
type Search struct {
	Files    int64  `json:"files"`  // met
	Read     int64  `json:"read"`   // whose content was read
	Bytes    int64  `json:"bytes"`  // of these
	BySize   bool   `json:"bySize"` // the size is known, and all local file systems were looked at
	Complete bool   `json:"complete"`
	Detail   string `json:"detail,omitempty"`
}

// Evidence is the evidence of both kinds of command.
type Evidence struct {
	SHA1      string    `json:"sha1,omitempty"`
	SHA256    string    `json:"sha256,omitempty"`
	MD5       string    `json:"md5,omitempty"`
	Files     []File    `json:"files"`
	Processes []Process `json:"processes,omitempty"`
	Entries   []Entry   `json:"persistence,omitempty"`
	Search    *Search   `json:"search,omitempty"`
	Cut       int       `json:"cut,omitempty"` // rows that are left out of these lists
}

// maxRows bounds each list, so that the evidence fits into a result.
const maxRows = 500

func (e *Evidence) bound() {
	cut := func(n int) int {
		e.Cut += max(0, n-maxRows)
		return min(n, maxRows)
	}
	e.Files = e.Files[:cut(len(e.Files))]
	e.Processes = e.Processes[:cut(len(e.Processes))]
	e.Entries = e.Entries[:cut(len(e.Entries))]
}
