package duckdb

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"github.com/vedette-edr/vedette/kql/types"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/telemetry"
	"github.com/vedette-edr/vedette/server/telemetry/duckdb/frame"
)

// The details of errors, as the published service words them.
const (
	textTimeout   = "Query exceeded the timeout period."
	textResources = "Query stopped due to excessive resource consumption."
	textSize      = "Query execution has exceeded the allowed result size. Optimize your query by limiting the number of results, and try again."
	textBroken    = "An unexpected error occurred during query execution. Please try again in a few minutes."
)

// errDied says that a worker ended without having been killed by its watcher.
var errDied = errors.New("the worker died")

// startTimeout bounds how long a worker may take to come up.
const startTimeout = 30 * time.Second

// watchEvery is how often a running worker's memory and CPU time are looked at.
const watchEvery = 20 * time.Millisecond

// process is one worker. It is used by one goroutine at a time; kill may be called by any.
type process struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *frame.Reader
	stderr *tail
	tenant ident.TenantID
	party  party  // whose query it runs
	data   string // the segment directory as the worker sees it
	outDir string // the directory to write to as the worker sees it
	lacks  string
	idle   *time.Timer
	served int // requests answered

	once sync.Once
	gone chan struct{} // closed when the process was waited for
}

// startProcess starts a worker in the best sandbox that can be had.
func startProcess(cfg *WorkerConfig, root, data, out string) (*process, error) {
	setup := frame.Setup{
		Data: data, Out: out, Memory: cfg.Memory * 7 / 10, Threads: cfg.Threads, Places: cfg.Places,
		// Address space is more than memory: the Go runtime and every thread reserve some.
		AddressSpace: cfg.Memory + 3<<30,
	}
	var refused error
	for _, box := range boxes(cfg) {
		boxed := setup
		boxed.Root, boxed.UID, boxed.GID = root, box.uid, box.gid
		w, err := launch(cfg, &boxed, box.attr)
		if err == nil {
			w.data, w.outDir = "/data", "/out"
			return w, nil
		}
		refused = err
	}
	w, err := cage(cfg, setup)
	if err != nil {
		refused = errors.Join(refused, err)
	}
	if w == nil {
		if w, err = launch(cfg, &setup, nil); err != nil {
			return nil, errors.Join(err, refused)
		}
		w.data, w.outDir = data, out
	}
	if w.lacks != "" {
		w.lacks += ", "
	}
	w.lacks += "namespaces (no network, no other processes)"
	if refused != nil {
		w.lacks += ": " + refused.Error()
	}
	return w, nil
}

// cage starts a worker as root does where namespaces cannot be had, as in a container:
// nobody, with the tenant's segments for a file system. A worker that is to write runs no
// query of a user; it gets none, and neither does one whose server is not root.
func cage(cfg *WorkerConfig, setup frame.Setup) (*process, error) {
	if !isRoot() || setup.Out != "" {
		return nil, nil
	}
	setup.Cage, setup.UID, setup.GID = true, cfg.UID, cfg.GID
	return launch(cfg, &setup, nil)
}

// box is a sandbox that may be had: how the process is started and who it becomes.
type box struct {
	attr     *syscall.SysProcAttr
	uid, gid int
}

// launch starts a worker and waits for its hello. attr is nil for no sandbox.
func launch(cfg *WorkerConfig, setup *frame.Setup, attr *syscall.SysProcAttr) (*process, error) {
	arg, err := json.Marshal(setup)
	if err != nil {
		return nil, err
	}
	args := append(append([]string(nil), cfg.Command[1:]...), string(arg))
	cmd := exec.Command(cfg.Command[0], args...)
	// Nothing of the server's environment, which may hold secrets.
	cmd.Env = []string{"GOTRACEBACK=none", "MALLOC_ARENA_MAX=2"}
	cmd.Dir = "/"
	w := &process{cmd: cmd, stderr: &tail{}, gone: make(chan struct{})}
	cmd.Stderr = w.stderr
	if w.in, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	w.out = frame.NewReader(stdout)
	cmd.SysProcAttr = attr
	if err := startLocked(cmd); err != nil {
		return nil, fmt.Errorf("start worker: %w", err)
	}
	slow := time.AfterFunc(startTimeout, w.kill)
	defer slow.Stop()
	var hello frame.Hello
	k, b, err := w.out.Next()
	if err == nil && k != frame.KindHello {
		err = frame.ErrMalformed
	}
	if err == nil {
		err = json.Unmarshal(b, &hello)
	}
	if err == nil && hello.Error != "" {
		err = errors.New(hello.Error)
	}
	if err != nil {
		w.kill()
		return nil, fmt.Errorf("worker did not come up: %w: %s", err, w.stderr)
	}
	w.lacks = hello.Lacks
	return w, nil
}

// kill ends the process and waits for it.
func (w *process) kill() {
	w.once.Do(func() {
		if w.idle != nil {
			w.idle.Stop()
		}
		_ = w.cmd.Process.Kill()
		_ = w.in.Close()
		// The error says how it ended, which is known: it was killed, or it died before.
		_ = w.cmd.Wait()
		close(w.gone)
	})
	<-w.gone
}

// usage is what a query took.
type usage struct {
	user, kernel time.Duration
	memory       int64
	bytes        int64 // of rows
}

// run sends one request and hands the rows to sink. When ctx is done it kills the worker
// and returns the cause; after any error the worker may only be killed. Of the limits it
// watches CPU and memory.
func (w *process) run(ctx context.Context, q *frame.Request, l telemetry.Limits, sink telemetry.Sink) (usage, error) {
	if w.idle != nil {
		w.idle.Stop()
	}
	watch := newWatcher(w, l)
	var watching sync.WaitGroup
	done := make(chan struct{})
	watching.Go(func() { watch.run(ctx, done) })
	bytes, err := w.talk(q, sink)
	close(done)
	watching.Wait()
	if watch.err != nil {
		err = watch.err
	}
	watch.used.bytes = bytes
	w.served++
	return watch.used, err
}

// talk is the exchange of one request; it returns the bytes of rows that came.
func (w *process) talk(q *frame.Request, sink telemetry.Sink) (bytes int64, err error) {
	const op = "duckdb.Query"
	broken := func(err error) error {
		return &errs.E{Op: op, Kind: errs.Limited, Detail: textResources, Err: fmt.Errorf("%w: %w: %s", errDied, err, w.stderr)}
	}
	if err := frame.WriteJSON(w.in, frame.KindRequest, q); err != nil {
		if errors.Is(err, frame.ErrMalformed) {
			return 0, errs.New(op, errs.Limited, "", textResources)
		}
		return 0, broken(err)
	}
	row := make([]types.Value, len(q.Columns))
	for {
		k, b, err := w.out.Next()
		if err != nil {
			return bytes, broken(err)
		}
		switch {
		case k == frame.KindRows && len(q.Columns) > 0 && sink != nil:
			bytes += int64(len(b))
			for len(b) > 0 {
				if b, err = frame.ReadRow(b, q.Columns, row); err != nil {
					return bytes, &errs.E{Op: op, Detail: textBroken, Err: err}
				}
				if err := sink(row); err != nil {
					return bytes, err
				}
			}
		case k == frame.KindDone:
			var d frame.Done
			if err := json.Unmarshal(b, &d); err != nil {
				return bytes, &errs.E{Op: op, Detail: textBroken, Err: err}
			}
			return bytes, failure(op, &d)
		default:
			return bytes, &errs.E{Op: op, Detail: textBroken, Err: frame.ErrMalformed}
		}
	}
}

// failure is the error of a request that the worker could not carry out.
func failure(op string, d *frame.Done) error {
	cause := errors.New(d.Error)
	switch d.Failure {
	case frame.FailNone:
		return nil
	case frame.FailMemory, frame.FailFiles:
		return &errs.E{Op: op, Kind: errs.Limited, Detail: textResources, Err: cause}
	case frame.FailRows, frame.FailBytes:
		return &errs.E{Op: op, Kind: errs.Limited, Detail: textSize, Err: cause}
	}
	return &errs.E{Op: op, Detail: textBroken, Err: cause}
}

// watcher kills a worker that takes too much.
type watcher struct {
	w     *process
	l     telemetry.Limits
	begin usage
	used  usage
	err   error // why it was killed
}

func newWatcher(w *process, l telemetry.Limits) *watcher {
	begin, _ := readUsage(w.cmd.Process.Pid)
	return &watcher{w: w, l: l, begin: begin}
}

func (v *watcher) run(ctx context.Context, done <-chan struct{}) {
	const op = "duckdb.Query"
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		select {
		case <-done:
			v.look()
			return
		case <-ctx.Done():
			v.err = context.Cause(ctx)
			if ctx.Err() == context.Canceled {
				v.err = &errs.E{Op: op, Kind: errs.Timeout, Detail: "The query was cancelled.", Err: ctx.Err()}
			}
		case <-tick.C:
			v.look()
			if v.used.memory > v.l.Memory || v.used.user+v.used.kernel > v.l.CPU {
				v.err = &errs.E{Op: op, Kind: errs.Limited, Detail: textResources,
					Err: fmt.Errorf("%d MiB resident, %v of CPU", v.used.memory>>20, v.used.user+v.used.kernel)}
			}
		}
		if v.err != nil {
			v.look()
			v.w.kill()
			<-done
			return
		}
	}
}

func (v *watcher) look() {
	now, err := readUsage(v.w.cmd.Process.Pid)
	if err != nil {
		return
	}
	v.used.user = now.user - v.begin.user
	v.used.kernel = now.kernel - v.begin.kernel
	v.used.memory = max(v.used.memory, now.memory)
}

// tail keeps the end of what a worker says on its standard error.
type tail struct {
	mu sync.Mutex
	b  []byte
}

// Write implements io.Writer.
func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, b...)
	if over := len(t.b) - 2048; over > 0 {
		t.b = append(t.b[:0], t.b[over:]...)
	}
	return len(b), nil
}

// String returns what was kept.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.b)
}
