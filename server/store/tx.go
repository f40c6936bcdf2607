package store

import (
	"context"
	"database/sql"
	"fmt"
	"sync/atomic"

	"github.com/vedette-edr/vedette/server/errs"
)

// querier is what statements run on: the writer's connection, a reader, a transaction.
type querier interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// txn is the write transaction that a context carries.
type txn struct {
	store *Store
	q     querier
	depth int
	over  atomic.Bool
}

type txnKey struct{}

// Atomic runs do in one write transaction: the methods of this store that are called with
// do's context, reads included, take part in it, and all of it is kept when do returns
// nil and none of it otherwise. do runs once, on the goroutine that serves every writer:
// it must be brief, must wait for nothing, and must not call the store with another
// context than the one it is given. Atomic within Atomic nests.
func (s *Store) Atomic(ctx context.Context, do func(ctx context.Context) error) error {
	return s.update(ctx, "", func(ctx context.Context, _ querier) error { return do(ctx) })
}

// update runs do in a write transaction, joining the one that ctx carries. op names the
// caller in errors; "" leaves do's error as it is.
func (s *Store) update(ctx context.Context, op string, do func(context.Context, querier) error) error {
	if t := s.txn(ctx); t != nil {
		return classify(op, t.nest(ctx, do))
	}
	return classify(op, s.write.do(ctx, func(q querier) error {
		t := &txn{store: s, q: q}
		defer t.over.Store(true)
		// The connection is shared with the other writes of this commit: a caller that
		// goes away must not interrupt it.
		return do(context.WithValue(context.WithoutCancel(ctx), txnKey{}, t), q)
	}))
}

// view runs do on the transaction that ctx carries, or else on a snapshot of the store.
func (s *Store) view(ctx context.Context, op string, do func(context.Context, querier) error) error {
	if t := s.txn(ctx); t != nil {
		return classify(op, do(ctx, t.q))
	}
	tx, err := s.read.BeginTx(ctx, nil)
	if err != nil {
		return classify(op, err)
	}
	defer func() { _ = tx.Rollback() }() // it wrote nothing
	return classify(op, do(ctx, tx))
}

// txn returns the live transaction of s that ctx carries, or nil.
func (s *Store) txn(ctx context.Context) *txn {
	t, ok := ctx.Value(txnKey{}).(*txn)
	if !ok || t.store != s || t.over.Load() {
		return nil
	}
	return t
}

// nest runs do so that its failure undoes its own writes and no more.
func (t *txn) nest(ctx context.Context, do func(context.Context, querier) error) error {
	t.depth++
	defer func() { t.depth-- }()
	return savepoint(ctx, t.q, fmt.Sprintf("nested%d", t.depth), func() error { return do(ctx, t.q) })
}

// errTxnLost marks that the enclosing transaction itself is gone.
type errTxnLost struct{ error }

func (e errTxnLost) Unwrap() error { return e.error }

// savepoint runs do between SAVEPOINT and RELEASE, and undoes it when it fails or panics.
func savepoint(ctx context.Context, q querier, name string, do func() error) (err error) {
	if _, err := q.ExecContext(ctx, "SAVEPOINT "+name); err != nil {
		return errTxnLost{err}
	}
	undo := func() error {
		_, e := q.ExecContext(ctx, "ROLLBACK TO "+name)
		if e == nil {
			_, e = q.ExecContext(ctx, "RELEASE "+name)
		}
		return e
	}
	done := false
	defer func() {
		if !done {
			_ = undo() // do panicked; the panic goes on
		}
	}()
	err = do()
	done = true
	if err != nil {
		// Some errors (disk full, I/O) make the database undo the whole transaction.
		if e := undo(); e != nil {
			return errTxnLost{err}
		}
		return err
	}
	if _, err := q.ExecContext(ctx, "RELEASE "+name); err != nil {
		return errTxnLost{err}
	}
	return nil
}

func notFound(op, what string) error {
	return errs.New(op, errs.NotFound, errs.ResourceNotFound, "%s was not found", what)
}
