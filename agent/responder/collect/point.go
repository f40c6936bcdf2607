package collect

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/vedette-edr/vedette/agent/responder/collect/archive"
)

// Point is one data point of the package. Take brings it into the package; what it cannot
// read whole it notes by Task.Note, and goes on. It may be left behind when its time is up
// and must not assume that it is waited for.
type Point struct {
	Folder string
	Name   string
	Source string            // command, paths or kernel interface, for the summary
	Time   time.Duration     // that it may take; 0 for a minute
	Bytes  int64             // that it may bring; 0 for 64 MiB
	Take   func(*Task) error // ErrAbsent where the device has no such thing
}

// ErrAbsent is what Take returns where the device has no such thing.
var ErrAbsent = errors.New("this device has none")

const (
	pointTime  = time.Minute
	pointBytes = 64 << 20
	// grace is how long a point that was told to end is waited for.
	grace = 2 * time.Second
	// maxNotes bounds what the summary says of one point.
	maxNotes = 20
)

// Task is one point being taken. It is safe for concurrent use.
type Task struct {
	ctx   context.Context
	point Point
	w     *archive.Writer

	mu    sync.Mutex
	over  bool // left behind
	open  []*File
	notes []string
	more  int    // notes that were left out
	code  string // of the first note that has one
	files int
	bytes int64
}

// Context ends when the point's time is up.
func (t *Task) Context() context.Context { return t.ctx }

// Note says what of the point is not whole. err may be nil.
func (t *Task) Note(err error, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if err != nil {
		text += ": " + err.Error()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.code == "" && err != nil {
		t.code = code(err)
	}
	if len(t.notes) == maxNotes {
		t.more++
		return
	}
	t.notes = append(t.notes, text)
}

// File is a file of the package that a task writes. The task closes it when it is not.
type File struct {
	*archive.Entry
	t *Task
}

// end is Close on the way out of a point that failed already, or closed the file.
func (f *File) end() { _ = f.Close() }

// errPointFull is what ends the files of a point that has brought too much.
var errPointFull = errors.New("the size limit of the data point is reached")

// Write implements io.Writer.
func (f *File) Write(b []byte) (int, error) {
	if err := f.t.ctx.Err(); err != nil {
		return 0, err
	}
	f.t.mu.Lock()
	left := f.t.limit() - f.t.bytes
	n := min(int64(len(b)), max(left, 0))
	f.t.bytes += n
	f.t.mu.Unlock()
	k, err := f.Entry.Write(b[:n])
	if err == nil && n < int64(len(b)) {
		f.Cut("%v", errPointFull)
		err = errPointFull
	}
	return k, err
}

func (t *Task) limit() int64 {
	if t.point.Bytes > 0 {
		return t.point.Bytes
	}
	return pointBytes
}

// Create begins a file in the point's folder.
func (t *Task) Create(name string, info archive.Info) (*File, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.over {
		return nil, context.DeadlineExceeded
	}
	if info.Source == "" {
		info.Source = t.point.Source
	}
	e, err := t.w.Create(t.point.Folder, name, info)
	if err != nil {
		return nil, err
	}
	f := &File{Entry: e, t: t}
	t.open = append(t.open, f)
	t.files++
	return f, nil
}

// Text writes a small file.
func (t *Task) Text(name, source, text string) error {
	f, err := t.Create(name, archive.Info{Source: source})
	if err != nil {
		return err
	}
	_, err = io.WriteString(f, text)
	return errors.Join(err, f.Close())
}

// Table is a CSV file of a task.
type Table struct {
	*archive.Table
	file *File
}

// Table begins a table in the point's folder.
func (t *Task) Table(name string, columns ...string) (*Table, error) {
	f, err := t.Create(name, archive.Info{})
	if err != nil {
		return nil, err
	}
	table, err := archive.NewTable(f, columns...)
	if err != nil {
		return nil, err
	}
	return &Table{table, f}, nil
}

// Close ends the table.
func (t *Table) Close() error { return errors.Join(t.Flush(), t.file.Close()) }

// end is Close on the way out of a point that failed already, or closed the table. What it
// fails with then is the writer's Err, which ends the package.
func (t *Table) end() { _ = t.Close() }

// Cut notes that the table is not whole.
func (t *Table) Cut(format string, args ...any) {
	t.file.Cut(format, args...)
	t.file.t.Note(nil, format, args...)
}

// finish closes what the task has open and fences it off. cut is why files that were open
// are not whole, "" when they are.
func (t *Task) finish(cut string) {
	t.mu.Lock()
	t.over = true
	open := t.open
	t.mu.Unlock()
	for _, f := range open {
		if cut != "" {
			f.Cut("%s", cut)
		}
		_ = f.Close() // what it fails with is the writer's Err
	}
}

// take carries out one point and says how it fared.
func (h *Handler) take(ctx context.Context, p Point, w *archive.Writer, end time.Time) archive.Outcome {
	started := h.cfg.Now()
	o := archive.Outcome{Folder: p.Folder, Point: p.Name, Source: p.Source, Started: started, Code: "0"}
	d := p.Time
	if d == 0 {
		d = pointTime
	}
	if d = min(d, end.Sub(started)); d <= 0 {
		o.Status, o.Code, o.Detail = archive.TimedOut, "timeout", fmt.Sprintf("not begun: the package has taken its %v", maxTime)
		return o
	}
	pctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	t := &Task{ctx: pctx, point: p, w: w}
	done := make(chan error, 1)
	go func() {
		// The thread stays locked, and so its priority ends with it.
		runtime.LockOSThread()
		yieldOthers()
		defer func() {
			if v := recover(); v != nil {
				h.cfg.Log.Error("a data point failed", "point", p.Name, "panic", v, "stack", string(debug.Stack()))
				done <- fmt.Errorf("internal error: %v", v)
			}
		}()
		done <- p.Take(t)
	}()
	err := error(nil)
	cut := ""
	select {
	case err = <-done:
	case <-pctx.Done():
		select {
		case err = <-done:
		case <-time.After(grace):
			err = pctx.Err()
		}
	}
	if err != nil {
		cut = err.Error()
	}
	t.finish(cut)
	t.judge(&o, err, d)
	o.Duration = h.cfg.Now().Sub(started)
	return o
}

// judge fills in how a task fared.
func (t *Task) judge(o *archive.Outcome, err error, d time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	o.Files, o.Bytes = t.files, t.bytes
	if t.more > 0 {
		t.notes = append(t.notes, fmt.Sprintf("and %d more", t.more))
	}
	o.Detail = strings.Join(t.notes, "; ")
	switch {
	case errors.Is(err, ErrAbsent) && t.files == 0 && len(t.notes) == 0:
		o.Status, o.Detail = archive.NotAvailable, err.Error()
	case errors.Is(err, context.DeadlineExceeded):
		o.Status, o.Code = archive.TimedOut, "timeout"
		o.Detail = strings.TrimSuffix(fmt.Sprintf("stopped after %v; %s", d, o.Detail), "; ")
	case errors.Is(err, errPointFull), errors.Is(err, archive.ErrFull):
		o.Status, o.Code = archive.Partial, "limit"
		o.Detail = strings.TrimSuffix(err.Error()+"; "+o.Detail, "; ")
	case err != nil && !errors.Is(err, ErrAbsent):
		o.Status, o.Code = archive.Failed, code(err)
		o.Detail = strings.TrimSuffix(err.Error()+"; "+o.Detail, "; ")
	case len(t.notes) > 0:
		o.Status = archive.Partial
		if t.code != "" {
			o.Code = t.code
		} else {
			o.Code = "limit"
		}
	default:
		o.Status = archive.Succeeded
	}
}

// code is the summary's word for an error.
func code(err error) string {
	var no syscall.Errno
	var exit *exec.ExitError
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	case errors.As(err, &exit):
		return fmt.Sprintf("exit:%d", exit.ExitCode())
	case errors.As(err, &no):
		return errnoName(no)
	case errors.Is(err, fs.ErrNotExist):
		return "ENOENT"
	}
	return "error"
}
