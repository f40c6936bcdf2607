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

// migrations reads NNNN_name.sql in the order of their numbers, which may have gaps.
func migrations(files fs.FS) ([]migration, error) {
	entries, err := fs.ReadDir(files, "migrations")
	if err != nil {
		return nil, err
	}
	var out []migration
	last := 0
	for _, e := range entries {
		number, name, ok := strings.Cut(strings.TrimSuffix(e.Name(), ".sql"), "_")
		v, err := strconv.Atoi(number)
		if !ok || err != nil || len(number) != 4 || v <= last {
			return nil, fmt.Errorf("migration %s: want a number of four digits above %04d", e.Name(), last)
		}
		last = v
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
		newest := steps[len(steps)-1].version
		for v := range done {
			if v > newest {
				return errs.New("store.migrate", errs.Unavailable, errs.ServiceDegraded,
					"the data directory was written by a newer release: schema %d, this one knows %d", v, newest)
			}
		}
		for _, m := range steps {
			if sum, ok := done[m.version]; ok {
				if sum != m.sum {
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

// applied returns the hashes of the steps that made the database, by their number.
func applied(ctx context.Context, q querier) (map[int]string, error) {
	if ok, err := hasTable(ctx, q, "migration"); err != nil || !ok {
		return nil, err
	}
	rows, err := q.QueryContext(ctx, `SELECT version, sum FROM migration`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	sums := map[int]string{}
	for rows.Next() {
		var version int
		var sum string
		if err := rows.Scan(&version, &sum); err != nil {
			return nil, err
		}
		sums[version] = sum
	}
	return sums, rows.Err()
}
