package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"time"

	"modernc.org/sqlite"
	sqlitelib "modernc.org/sqlite/lib"

	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/filter"
)

// This file is all that knows SQLite. Elsewhere statements keep to what PostgreSQL runs
// too: BIGINT and TEXT columns, ON CONFLICT, partial indexes, NULLS FIRST and LAST. Text
// compares byte by byte, which PostgreSQL does in the collation "C".

const (
	driver = "sqlite"
	// beginWrite takes the write lock at once: a transaction that starts by reading could
	// not take it later once another process has written.
	beginWrite = "BEGIN IMMEDIATE"
)

func writeDSN(path string) string {
	return dsn(path, "journal_mode(WAL)", "synchronous(FULL)", "journal_size_limit(67108864)", "cache_size(-65536)")
}

func dsn(path string, pragmas ...string) string {
	q := url.Values{"_pragma": append([]string{"busy_timeout(10000)", "trusted_schema(0)"}, pragmas...)}
	return (&url.URL{Scheme: "file", Opaque: url.PathEscape(path), RawQuery: q.Encode()}).String()
}

func openReaders(path string, n int) (*sql.DB, error) {
	db, err := sql.Open(driver, dsn(path, "query_only(1)", "cache_size(-8192)"))
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(n)
	db.SetMaxIdleConns(n)
	return db, nil
}

// element is what someElement's condition calls the elements.
const element = "element.value"

// someElement renders "the condition holds for some element of the JSON array column".
func someElement(column, condition string) string {
	return fmt.Sprintf("EXISTS (SELECT 1 FROM json_each(%s) AS element WHERE %s)", column, condition)
}

// arrayLength renders the number of elements of a JSON array column, 0 for null.
func arrayLength(column string) string { return "coalesce(json_array_length(" + column + "), 0)" }

// position renders where ? is in a text column, in characters from 0, -1 for nowhere.
func position(column string) string { return "(instr(" + column + ", ?) - 1)" }

var timeParts = map[filter.Fn]string{
	filter.Year: "%Y", filter.Month: "%m", filter.Day: "%d", filter.Hour: "%H", filter.Minute: "%M", filter.Second: "%S",
}

// timePart renders a part of a time column, in UTC. Integer division rounds towards zero,
// so the remainder is taken off first, which is negative before 1970.
func timePart(f filter.Fn, column string) string {
	const second = "1000000000"
	return "CAST(strftime('" + timeParts[f] + "', (" + column + " - ((" + column + " % " + second + ") + " + second + ") % " + second + ") / " +
		second + ", 'unixepoch') AS INTEGER)"
}

// hasTable reports whether the database has a table of that name.
func hasTable(ctx context.Context, q querier, name string) (bool, error) {
	var n int
	err := q.QueryRowContext(ctx, `SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = ?`, name).Scan(&n)
	return n > 0, err
}

// callerError is an error of the caller's own function, which goes back as it is.
type callerError struct{ error }

func (e callerError) Unwrap() error { return e.error }

// classify gives an error of the database its kind and op; errors that have a kind keep it.
func classify(op string, err error) error {
	var own callerError
	var known *errs.E
	var se *sqlite.Error
	switch {
	case err == nil || op == "" && errors.As(err, &known):
		return err
	case errors.As(err, &own):
		return own.error
	case errors.As(err, &known):
		return errs.Wrap(op, err)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return &errs.E{Op: op, Kind: errs.Timeout, Detail: "the control store did not answer in time", Err: err}
	case errors.Is(err, sql.ErrConnDone), err.Error() == "sql: database is closed":
		return errs.Wrap(op, errClosed())
	case errors.As(err, &se):
		return classifySQLite(op, se)
	}
	if op == "" {
		return err
	}
	return errs.Wrap(op, err)
}

func classifySQLite(op string, e *sqlite.Error) error {
	out := &errs.E{Op: op, Err: e}
	switch e.Code() & 0xff { // the low byte is the class, the rest its detail
	case sqlitelib.SQLITE_FULL:
		out.Kind, out.Code, out.Detail, out.Retry = errs.Unavailable, errs.StoreFull, "the disk of the control store is full", 10*time.Second
	case sqlitelib.SQLITE_BUSY, sqlitelib.SQLITE_LOCKED:
		out.Kind, out.Code, out.Detail, out.Retry = errs.Unavailable, errs.ServiceDegraded, "the control store is busy", time.Second
	case sqlitelib.SQLITE_IOERR, sqlitelib.SQLITE_READONLY, sqlitelib.SQLITE_CANTOPEN, sqlitelib.SQLITE_CORRUPT, sqlitelib.SQLITE_NOTADB:
		out.Kind, out.Code, out.Detail, out.Retry = errs.Unavailable, errs.ServiceDegraded, "the control store cannot be read or written", 10*time.Second
	case sqlitelib.SQLITE_INTERRUPT:
		out.Kind, out.Detail = errs.Timeout, "the control store did not answer in time"
	}
	return out
}

// isDuplicate reports whether err says that a unique key is taken.
func isDuplicate(err error) bool {
	var se *sqlite.Error
	if !errors.As(err, &se) {
		return false
	}
	return se.Code() == sqlitelib.SQLITE_CONSTRAINT_UNIQUE || se.Code() == sqlitelib.SQLITE_CONSTRAINT_PRIMARYKEY
}
