package live

import (
	"context"
	"errors"
	"io"
	"os"
	"sync"
	"time"

	"github.com/vedette-edr/vedette/wire"
)

// The states of a job.
const (
	running   = "running"
	completed = "completed"
	failed    = "failed"
	cancelled = "cancelled"
	timedOut  = "timeout"
	behind    = "background"
)

// job is one command of a session, as long as the session lasts.
type job struct {
	id       uint32
	text     string
	begun    time.Time
	ctx      context.Context
	cancel   context.CancelCauseFunc
	out      *output
	done     chan struct{}  // closed when it ended
	moved    chan struct{}  // closed when it went to the background
	terminal bool           // it takes input
	input    chan []byte    // for its terminal
	size     chan [2]uint32 // columns and rows of the terminal
	files    []uint32       // that it brought up

	mu      sync.Mutex
	state   string
	problem string
	exit    int
	ended   time.Time
	away    bool // moved is closed
}

// The causes of an end.
var (
	errCancelled = errors.New("cancelled")
	errTimeout   = errors.New("the command took too long")
	errClosed    = errors.New("the session ended")
)

func (j *job) background() {
	j.mu.Lock()
	defer j.mu.Unlock()
	if !j.away {
		j.away = true
		close(j.moved)
	}
}

func (j *job) status() (state, problem string, ended time.Time) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.state, j.problem, j.ended
}

// finish notes how the command ended.
func (j *job) finish(err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.ended, j.state = time.Now(), completed
	var exit *exitError
	switch cause := context.Cause(j.ctx); {
	case errors.As(err, &exit):
		j.exit, j.state, j.problem = exit.code, failed, exit.Error()
	case err == nil:
	case errors.Is(cause, errTimeout):
		j.state, j.problem = timedOut, errTimeout.Error()
	case errors.Is(cause, errCancelled), errors.Is(cause, errClosed):
		j.state, j.problem = cancelled, cause.Error()
	default:
		j.state, j.problem = failed, err.Error()
	}
}

// kept is how much of a background job's output waits for somebody to look.
const kept = 1 << 20

// output is where a command writes. It goes to the console, or waits, or becomes a file.
type output struct {
	mu    sync.Mutex
	sink  func([]byte) error // nil while nobody looks
	shown uint32             // the run that sink is of
	tail  []byte
	lost  int64
	file  *os.File // when it is to become one
	bytes int64
}

// maxSaved bounds the file that output becomes.
const maxSaved = 256 << 20

var errSaved = errors.New("the output is larger than 256 MB")

// Write implements io.Writer.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.bytes += int64(len(p))
	if o.file != nil {
		if o.bytes > maxSaved {
			return 0, errSaved
		}
		return o.file.Write(p)
	}
	if o.sink == nil {
		o.tail = append(o.tail, p...)
		if over := len(o.tail) - kept; over > 0 {
			o.lost += int64(over)
			o.tail = append([]byte(nil), o.tail[over:]...)
		}
		return len(p), nil
	}
	return len(p), pieces(p, o.sink)
}

func pieces(p []byte, sink func([]byte) error) error {
	for len(p) > 0 {
		n := min(len(p), wire.MaxLiveOutput)
		if err := sink(p[:n]); err != nil {
			return err
		}
		p = p[n:]
	}
	return nil
}

// detach lets the output wait, unless another run shows it by now.
func (o *output) detach(run uint32) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.shown == run {
		o.sink = nil
	}
}

// attach lets the output go to sink, which is that of a run; what has waited goes first.
func (o *output) attach(run uint32, sink func([]byte) error) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.sink, o.shown = sink, run
	tail, lost := o.tail, o.lost
	o.tail, o.lost = nil, 0
	if lost > 0 {
		if err := sink([]byte("… (the output before this was too long to keep)\n")); err != nil {
			return err
		}
	}
	return pieces(tail, sink)
}

// peek returns what waits, without taking it.
func (o *output) peek() []byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]byte(nil), o.tail...)
}

// clean makes control characters of what passes visible, but for the ends of lines.
type clean struct {
	w    io.Writer
	held bool // the first byte of what may be a control character of two
}

// Write implements io.Writer.
func (c *clean) Write(p []byte) (int, error) {
	b := make([]byte, 0, len(p)+16)
	for _, x := range p {
		if c.held {
			c.held = false
			if x >= 0x80 && x < 0xa0 {
				b = append(b, '^', '^', x-0x40)
				continue
			}
			b = append(b, 0xc2)
		}
		switch {
		case x == 0xc2:
			c.held = true
		case x == '\n' || x == '\t':
			b = append(b, x)
		case x == '\r':
		case x < ' ':
			b = append(b, '^', x+'@')
		case x == 0x7f:
			b = append(b, '^', '?')
		default:
			b = append(b, x)
		}
	}
	if _, err := c.w.Write(b); err != nil {
		return 0, err
	}
	return len(p), nil
}
