package store

import (
	"context"
	"database/sql"
	"io/fs"
	"time"

	"github.com/vedette-edr/vedette/server/ident"
)

// KeepDeletions changes how many deletions of a tenant are kept.
func (s *Store) KeepDeletions(n int64) { s.keepDeletions = n }

// Read gives tests the read pool.
func (s *Store) Read() *sql.DB { return s.read }

// CheckMigrations reads migration files as Open does.
func CheckMigrations(files fs.FS) error {
	_, err := migrations(files)
	return err
}

// CountTook makes the last count of a tenant's spread one that took so long.
func (s *Store) CountTook(ctx context.Context, tenant ident.TenantID, d time.Duration) error {
	return s.update(ctx, "test", func(ctx context.Context, q querier) error {
		_, err := q.ExecContext(ctx, `UPDATE spread_state SET cost = ? WHERE tenant = ?`, int64(d), string(tenant))
		return err
	})
}

// Counted waits for the counts that nobody waits for.
func (s *Store) Counted() { s.counting.behind.Wait() }
