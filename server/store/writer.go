package store

import (
	"context"
	"database/sql"
	"errors"
	"sync"

	"github.com/vedette-edr/vedette/server/errs"
)

// maxBatch bounds how many writes share one commit, and so how long the last waits.
const maxBatch = 256

// writer owns the one connection that writes. Each write is a savepoint of its own; all
// that wait when the connection is free share a transaction and its fsync.
type writer struct {
	db   *sql.DB
	conn *sql.Conn
	sql  *statements // on conn
	jobs chan *job
	quit chan struct{}
	once sync.Once
	done sync.WaitGroup
}

type job struct {
	do    func(querier) error
	err   error
	panic any
	done  chan struct{}
}

func openWriter(ctx context.Context, path string) (*writer, error) {
	db, err := sql.Open(driver, writeDSN(path))
	if err != nil {
		return nil, err
	}
	conn, err := db.Conn(ctx)
	if err != nil {
		_ = db.Close()
		return nil, err
	}
	w := &writer{db: db, conn: conn, sql: newStatements(conn), jobs: make(chan *job), quit: make(chan struct{})}
	w.done.Go(w.run)
	return w, nil
}

// do queues a write and waits until it is on stable storage or has failed. A context
// that ends while the write waits takes it out of the queue; once it runs, its outcome
// is awaited, because it can no longer be said to not have happened.
func (w *writer) do(ctx context.Context, do func(querier) error) error {
	j := &job{do: do, done: make(chan struct{})}
	select {
	case w.jobs <- j:
	case <-ctx.Done():
		return ctx.Err()
	case <-w.quit:
		return errClosed()
	}
	<-j.done
	if j.panic != nil {
		panic(j.panic)
	}
	return j.err
}

func errClosed() error {
	return errs.New("store", errs.Unavailable, errs.ServiceDegraded, "the control store is closed")
}

func (w *writer) run() {
	for {
		select {
		case j := <-w.jobs:
			w.commit(w.collect(j))
		case <-w.quit:
			return
		}
	}
}

// collect takes every write that waits now; none is waited for.
func (w *writer) collect(first *job) []*job {
	batch := []*job{first}
	for len(batch) < maxBatch {
		select {
		case j := <-w.jobs:
			batch = append(batch, j)
		default:
			return batch
		}
	}
	return batch
}

func (w *writer) commit(batch []*job) {
	err := w.transact(batch)
	for _, j := range batch {
		if j.err == nil && j.panic == nil {
			j.err = err
		}
		close(j.done)
	}
}

// transact runs the batch and commits it. A write's own failure is left in its job; the
// result is the failure of the transaction, which is everybody's.
func (w *writer) transact(batch []*job) error {
	ctx := context.Background()
	if _, err := w.sql.ExecContext(ctx, beginWrite); err != nil {
		return err
	}
	for _, j := range batch {
		j.run(ctx, w.sql)
		var lost errTxnLost
		if errors.As(j.err, &lost) {
			w.rollback()
			return j.err
		}
	}
	if _, err := w.sql.ExecContext(ctx, "COMMIT"); err != nil {
		w.rollback()
		return err
	}
	return nil
}

// rollback ends a transaction that may have ended by itself, which is then an error.
func (w *writer) rollback() {
	_, _ = w.sql.ExecContext(context.Background(), "ROLLBACK")
}

func (j *job) run(ctx context.Context, q querier) {
	defer func() { j.panic = recover() }()
	j.err = savepoint(ctx, q, "job", func() error { return j.do(q) })
}

// close waits for the commit under way; writes that still queue are refused.
func (w *writer) close() error {
	w.once.Do(func() { close(w.quit) })
	w.done.Wait()
	w.sql.close()
	err := w.conn.Close()
	if e := w.db.Close(); err == nil {
		err = e
	}
	if errors.Is(err, sql.ErrConnDone) {
		return nil
	}
	return err
}
