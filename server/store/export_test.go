package store

import (
	"database/sql"
	"io/fs"
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
