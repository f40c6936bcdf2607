// Package store keeps the control plane: tenants, applications, people, keys, devices,
// alerts, actions, indicators and the audit record, in one SQLite database per server.
//
// It holds no rules: each noun's package says what its Store promises, and one file here
// per noun keeps the promise. A row is a few hot columns that lists filter and order by,
// beside the noun as a JSON document; the Go field names of the nouns are thereby part of
// the format on disk. Every method takes its tenant and sees nothing of another.
//
// The invariant: when a write returns nil it is on stable storage. Writes queue for one
// connection, which commits all that are waiting with one fsync (writer.go); reads go to
// a pool of their own and never wait for a write. What only SQLite understands is in
// dialect.go; the rest is meant to run on PostgreSQL as it stands.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/vedette-edr/vedette/server/errs"
)

// readers is the size of the read pool. Reads are short; more connections only cost memory.
const readers = 8

// Config says where the store lives.
type Config struct {
	Dir   string           // existing directory, for the server alone
	Rand  io.Reader        // nil for crypto/rand
	Clock func() time.Time // nil for time.Now
}

// Store is an open control-plane database. Its methods are safe for concurrent use.
type Store struct {
	write *writer
	read  *sql.DB
	key   *Key
	now   func() time.Time

	keepDeletions int64 // see keptDeletions
	counting      *counting
	warming       *warming // nil while it is being opened
}

// Open opens the database of c.Dir, creating it with its key file when the directory
// holds neither, and brings its schema up to date. The caller closes the Store.
func Open(ctx context.Context, c Config) (*Store, error) {
	const op = "store.Open"
	path := filepath.Join(c.Dir, "control.db")
	key, err := openKey(filepath.Join(c.Dir, "seal.key"), c.Rand, exists(path))
	if err != nil {
		return nil, errs.Wrap(op, err)
	}
	if err := private(path); err != nil {
		return nil, errs.Wrap(op, err)
	}
	s := &Store{key: key, now: c.Clock, keepDeletions: keptDeletions, counting: newCounting()}
	if s.now == nil {
		s.now = time.Now
	}
	if s.write, err = openWriter(ctx, path); err != nil {
		return nil, fmt.Errorf("%s: %w", path, errs.Wrap(op, err))
	}
	if err := s.prepare(ctx, path); err != nil {
		_ = s.Close()
		return nil, fmt.Errorf("%s: %w", path, errs.Wrap(op, err))
	}
	return s, nil
}

// private creates the database's file for its owner alone; SQLite would leave the mode to
// the umask, and gives the files beside it the mode of this one.
func private(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

func (s *Store) prepare(ctx context.Context, path string) error {
	if err := s.migrate(ctx); err != nil {
		return err
	}
	if err := s.checkKey(ctx); err != nil {
		return err
	}
	if err := s.indexAlerts(ctx); err != nil {
		return err
	}
	if err := s.reformDevices(ctx); err != nil {
		return err
	}
	var err error
	if s.read, err = openReaders(path, readers); err == nil {
		s.warming = warm(path, warmable())
	}
	return err
}

// Close finishes the writes that are queued and closes the database. Later calls of any
// method are errs.Unavailable.
func (s *Store) Close() error {
	s.counting.close()
	if s.warming != nil {
		s.warming.halt()
		defer s.warming.close()
	}
	err := s.write.close()
	if s.read != nil {
		if e := s.read.Close(); err == nil {
			err = e
		}
	}
	return errs.Wrap("store.Close", err)
}

// Key returns the installation's key, from which other parts derive their own.
func (s *Store) Key() *Key { return s.key }

// Ping reports whether the database can be read and written now, for health checks.
func (s *Store) Ping(ctx context.Context) error {
	return s.update(ctx, "store.Ping", func(ctx context.Context, q querier) error {
		_, err := q.ExecContext(ctx, `UPDATE meta SET value = ? WHERE name = 'ping'`, s.now().UTC().Format(time.RFC3339Nano))
		return err
	})
}

// meta returns a value of the meta table, "" when it is not there.
func meta(ctx context.Context, q querier, name string) (string, error) {
	var v string
	err := q.QueryRowContext(ctx, `SELECT value FROM meta WHERE name = ?`, name).Scan(&v)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return v, err
}
