package store

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"github.com/vedette-edr/vedette/server/errs"
)

//go:embed migrations/*.sql
var migrationFiles embed.FS

// migration is one step of the schema. A step that was released never changes; the
// database remembers its hash and refuses to open when it did.
type migration struct {
	version int
	name    string
	sql     string
	sum     string
}

// migrations reads NNNN_name.sql, numbered from 1 without gaps.
func migrations(files fs.FS) ([]migration, error) {
	entries, err := fs.ReadDir(files, "migrations")
	if err != nil {
		return nil, err
	}
	var out []migration
	for i, e := range entries {
		number, name, ok := strings.Cut(strings.TrimSuffix(e.Name(), ".sql"), "_")
		v, err := strconv.Atoi(number)
		if !ok || err != nil || v != i+1 {
			return nil, fmt.Errorf("migration %s: want number %04d", e.Name(), i+1)
		}
		text, err := fs.ReadFile(files, "migrations/"+e.Name())
		if err != nil {
			return nil, err
		}
		sum := sha256.Sum256(text)
		out = append(out, migration{v, name, string(text), hex.EncodeToString(sum[:])})
	}
	return out, nil
}

func (s *Store) migrate(ctx context.Context) error {
	steps, err := migrations(migrationFiles)
	if err != nil {
		return err
	}
	return s.update(ctx, "store.migrate", func(ctx context.Context, q querier) error {
		done, err := applied(ctx, q)
		if err != nil {
			return err
		}
		if len(done) > len(steps) {
			return errs.New("store.migrate", errs.Unavailable, errs.ServiceDegraded,
				"the data directory was written by a newer release: schema %d, this one knows %d", len(done), len(steps))
		}
		for i, m := range steps {
			if i < len(done) {
				if done[i] != m.sum {
					return fmt.Errorf("migration %04d_%s differs from the one that made this database", m.version, m.name)
				}
				continue
			}
			if _, err := q.ExecContext(ctx, m.sql); err != nil {
				return fmt.Errorf("migration %04d_%s: %w", m.version, m.name, err)
			}
			if _, err := q.ExecContext(ctx, `INSERT INTO migration (version, name, sum, applied) VALUES (?, ?, ?, ?)`,
				m.version, m.name, m.sum, stamp(s.now())); err != nil {
				return err
			}
		}
		return nil
	})
}

// applied returns the hashes of the steps that made the database, in order.
func applied(ctx context.Context, q querier) ([]string, error) {
	if ok, err := hasTable(ctx, q, "migration"); err != nil || !ok {
		return nil, err
	}
	rows, err := q.QueryContext(ctx, `SELECT sum FROM migration ORDER BY version`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var sums []string
	for rows.Next() {
		var sum string
		if err := rows.Scan(&sum); err != nil {
			return nil, err
		}
		sums = append(sums, sum)
	}
	return sums, rows.Err()
}
