package store

import (
	"context"
	"io"
	"os"
	"sync"
	"time"
)

// warming reads the database's file from front to back after a start, so that the first
// scan of an index finds the kernel's cache filled: an index's pages lie scattered over the
// file, and reading 72,000 of them one by one takes as long as all of 4.6 GB in order.
//
// The file stays open until SQLite has closed it: closing any descriptor of a file gives up
// all POSIX locks that the process has on it, SQLite's too.
type warming struct {
	file *os.File // nil where nothing is read
	stop context.CancelFunc
	done sync.WaitGroup
}

const (
	warmStep = 1 << 20
	warmRate = 512 // steps a second at most: requests need the disk too
)

// warm reads no more than limit bytes, the last ones of the file, which are the latest. A
// file that cannot be read is the business of who needs it.
func warm(path string, limit int64) *warming {
	ctx, stop := context.WithCancel(context.Background())
	w := &warming{stop: stop}
	f, err := os.Open(path)
	if err != nil {
		return w
	}
	w.file = f
	w.done.Go(func() { w.read(ctx, limit) })
	return w
}

func (w *warming) read(ctx context.Context, limit int64) {
	st, err := w.file.Stat()
	if err != nil {
		return
	}
	tick := time.NewTicker(time.Second / warmRate)
	defer tick.Stop()
	buf := make([]byte, warmStep)
	for at := max(0, st.Size()-limit); at < st.Size(); at += warmStep {
		if _, err := w.file.ReadAt(buf, at); err != nil && err != io.EOF {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// halt ends the reading.
func (w *warming) halt() {
	w.stop()
	w.done.Wait()
}

// close gives up the file, once nothing else of this process has it open.
func (w *warming) close() {
	if w.file != nil {
		_ = w.file.Close() // it was only read
	}
}
