// Package frame is the protocol between the store and its query workers: frames over the
// worker's standard input and output, each a length, a kind and a payload.
//
// The worker begins with Hello. The store sends one Request at a time; the worker answers
// it with any number of Rows and then one Done. There is no cancel: a worker that is to
// stop is killed. A worker may be taken over by what it reads, so every length and every
// cell it sends is checked.
//
// Start with Request and Reader.
package frame

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/vedette-edr/vedette/kql/types"
)

// Kind says what a frame's payload is.
type Kind byte

// The kinds of frame.
const (
	KindHello   Kind = 'H' // worker: JSON of Hello
	KindRequest Kind = 'Q' // store: JSON of Request
	KindRows    Kind = 'R' // worker: rows, one after the other
	KindDone    Kind = 'D' // worker: JSON of Done
)

// MaxFrame is the largest payload in bytes.
const MaxFrame = 32 << 20

// ErrMalformed says that the other side does not keep to the protocol.
var ErrMalformed = errors.New("malformed frame")

// Setup is what a worker is told when it starts, as JSON in its last argument.
type Setup struct {
	// Data is the directory of the tenant's segments, Out one to write to ("" for none),
	// and Root an empty directory to build the view of a sandboxed worker in. With Root,
	// the worker's view is only /data and /out; without, it sees these paths.
	Data, Out, Root string
	UID, GID        int   // to become; 0 stays
	Cage            bool  // without Root: make Data the root directory, which takes less than a sandbox
	Memory          int64 // DuckDB's memory limit in bytes
	AddressSpace    int64 // RLIMIT_AS; 0 for none
	Threads         int
	Places          string // file for geo_info_from_ip_address, opened before the process is shut in; "" for none
}

// Hello is the worker's first word.
type Hello struct {
	Lacks string // what of the sandbox could not be had; "" for nothing
	Error string // why the worker cannot work
}

// Request is one statement to run.
type Request struct {
	SQL     string
	Columns []types.Type // of the result
	Rows    int          // most rows to return
	Bytes   int64        // most bytes of rows to return
}

// Failure classes what went wrong in a worker.
type Failure string

// The failures.
const (
	FailNone   Failure = ""
	FailQuery  Failure = "query"  // DuckDB refused or failed the statement
	FailMemory Failure = "memory" // the memory limit was reached
	FailFiles  Failure = "files"  // more files would have to be open than the system allows
	FailRows   Failure = "rows"   // more rows than asked for
	FailBytes  Failure = "bytes"  // more bytes than asked for
)

// Done ends the answer to a request.
type Done struct {
	Failure Failure
	Error   string // for the log
}

// Write sends one frame.
func Write(w io.Writer, k Kind, payload []byte) error {
	if len(payload) > MaxFrame {
		return fmt.Errorf("%w: %d bytes", ErrMalformed, len(payload))
	}
	head := binary.LittleEndian.AppendUint32(make([]byte, 0, 5), uint32(len(payload)))
	if _, err := w.Write(append(head, byte(k))); err != nil {
		return err
	}
	_, err := w.Write(payload)
	return err
}

// WriteJSON sends v as a frame.
func WriteJSON(w io.Writer, k Kind, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return Write(w, k, b)
}

// Reader reads frames.
type Reader struct {
	r   *bufio.Reader
	buf []byte
}

// NewReader returns a reader of r.
func NewReader(r io.Reader) *Reader { return &Reader{r: bufio.NewReaderSize(r, 64<<10)} }

// Next returns the next frame; the payload is valid until the following call.
func (r *Reader) Next() (Kind, []byte, error) {
	var head [5]byte
	if _, err := io.ReadFull(r.r, head[:]); err != nil {
		return 0, nil, err
	}
	n := binary.LittleEndian.Uint32(head[:])
	if n > MaxFrame {
		return 0, nil, fmt.Errorf("%w: %d bytes", ErrMalformed, n)
	}
	if cap(r.buf) < int(n) {
		r.buf = make([]byte, n)
	}
	r.buf = r.buf[:n]
	_, err := io.ReadFull(r.r, r.buf)
	return Kind(head[4]), r.buf, err
}
