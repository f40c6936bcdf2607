package responder

import (
	"context"
	"encoding/json"
	"io"
	"os"
)

// Server is what a Handler may ask of the server while it carries out a command. Every
// method is safe for concurrent use and fails only when ctx ends or the server refuses:
// what is broken off is taken up again where it was.
type Server interface {
	// Upload hands the whole content of f over as the file that a command yielded, to be
	// saved as name. index tells the files of one command apart, from 0. A file of the same
	// index takes the place of the one before. The caller closes f.
	Upload(ctx context.Context, command string, index int, name string, f *os.File) error
	// Fetch writes the file of the server that a command names, whole and checked against
	// its hash: what reached w counts only when the error is nil.
	Fetch(ctx context.Context, command, name string, w io.Writer) error
	// Progress tells people how far a command is. It returns at once, and what it says may
	// be lost or overtaken.
	Progress(command string, p Progress)
}

// Progress is how far a command is.
type Progress struct {
	Percent int             `json:"percent"`          // 0 to 100, -1 where it is not known
	Detail  string          `json:"detail,omitempty"` // for people
	Numbers json.RawMessage `json:"numbers,omitempty"`
}
