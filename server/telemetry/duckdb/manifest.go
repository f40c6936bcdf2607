package duckdb

import (
	"database/sql"
	"encoding/binary"
	"fmt"
	"net/url"
	"time"

	_ "modernc.org/sqlite" // the driver behind the manifest

	"github.com/vedette-edr/vedette/journal"
	"github.com/vedette-edr/vedette/server/ident"
)

// manifest is the truth about what is in the store besides the journal: which segments
// there are, up to where the journal is in them, and which sequences each device has
// committed. Every change is one transaction.
type manifest struct {
	db    *sql.DB
	cuts  int   // rows of the table seen_log
	maxID int64 // greatest segment id ever given
}

// segment is one Parquet file, immutable once published.
type segment struct {
	id     int64
	tenant ident.TenantID
	table  string
	level  int // 0 as cut, then merged by minute, hour, day
	rows   int64
	bytes  int64
	// Bounds in ticks of the rows' Timestamp and IngestionTime, both ends included.
	minTime, maxTime     int64
	minIngest, maxIngest int64
	columns              string // names in file order, separated by spaces
}

// name is the path below the tenant's directory.
func (s *segment) name() string { return fmt.Sprintf("%s/%012d.parquet", s.table, s.id) }

// commit is one sequence that a cut brings into segments.
type commit struct {
	stream
	sequence, hash uint64
}

const manifestSchema = `
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS segment (
	id INTEGER PRIMARY KEY, tenant TEXT NOT NULL, tbl TEXT NOT NULL, level INTEGER NOT NULL,
	rows INTEGER NOT NULL, bytes INTEGER NOT NULL, min_time INTEGER NOT NULL, max_time INTEGER NOT NULL,
	min_ingest INTEGER NOT NULL, max_ingest INTEGER NOT NULL, columns TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS seen (
	tenant TEXT NOT NULL, device TEXT NOT NULL, incarnation INTEGER NOT NULL, state BLOB NOT NULL,
	PRIMARY KEY (tenant, device, incarnation)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS seen_log (cut INTEGER PRIMARY KEY AUTOINCREMENT, commits BLOB NOT NULL);
`

// manifestVersion is written into new manifests; another one is refused.
const manifestVersion = 1

func openManifest(path string) (*manifest, error) {
	q := url.Values{"_pragma": {"journal_mode(WAL)", "synchronous(FULL)", "busy_timeout(10000)"}, "_txlock": {"immediate"}}
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: path}).EscapedPath()+"?"+q.Encode())
	if err != nil {
		return nil, fmt.Errorf("manifest: %w", err)
	}
	db.SetMaxOpenConns(1)
	m := &manifest{db: db}
	if err := m.prepare(); err != nil {
		_ = db.Close()
		return nil, fmt.Errorf("manifest %s: %w", path, err)
	}
	return m, nil
}

func (m *manifest) prepare() error {
	if _, err := m.db.Exec(manifestSchema); err != nil {
		return err
	}
	if _, err := m.db.Exec(`INSERT INTO meta VALUES ('version', ?), ('segment', 0), ('offset', 0), ('last_id', 0)
		ON CONFLICT DO NOTHING`, manifestVersion); err != nil {
		return err
	}
	var version int
	if err := m.db.QueryRow(`SELECT value FROM meta WHERE key = 'version'`).Scan(&version); err != nil {
		return err
	}
	if version != manifestVersion {
		return fmt.Errorf("version %d, this program knows %d", version, manifestVersion)
	}
	if err := m.db.QueryRow(`SELECT value FROM meta WHERE key = 'last_id'`).Scan(&m.maxID); err != nil {
		return err
	}
	return m.db.QueryRow(`SELECT count(*) FROM seen_log`).Scan(&m.cuts)
}

// position returns up to where the journal is in segments.
func (m *manifest) position() (p journal.Position, err error) {
	err = m.db.QueryRow(`SELECT (SELECT value FROM meta WHERE key = 'segment'),
		(SELECT value FROM meta WHERE key = 'offset')`).Scan(&p.Segment, &p.Offset)
	return p, err
}

// segments returns every published segment, oldest first.
func (m *manifest) segments() ([]*segment, error) {
	rows, err := m.db.Query(`SELECT id, tenant, tbl, level, rows, bytes, min_time, max_time, min_ingest, max_ingest, columns
		FROM segment ORDER BY id`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []*segment
	// Thousands of segments share few lists of columns.
	shared := map[string]string{}
	for rows.Next() {
		s := &segment{}
		if err := rows.Scan(&s.id, &s.tenant, &s.table, &s.level, &s.rows, &s.bytes,
			&s.minTime, &s.maxTime, &s.minIngest, &s.maxIngest, &s.columns); err != nil {
			return nil, err
		}
		if c, ok := shared[s.columns]; ok {
			s.columns = c
		} else {
			shared[s.columns] = s.columns
		}
		all = append(all, s)
	}
	return all, rows.Err()
}

// streams returns what every device has committed.
func (m *manifest) streams() (map[stream]*seen, error) {
	all := map[stream]*seen{}
	rows, err := m.db.Query(`SELECT tenant, device, incarnation, state FROM seen`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var k stream
		var incarnation int64
		var state []byte
		if err := rows.Scan(&k.tenant, &k.device, &incarnation, &state); err != nil {
			return nil, err
		}
		k.incarnation = uint64(incarnation)
		if all[k], err = decodeSeen(state); err != nil {
			return nil, fmt.Errorf("sequences of device %s: %w", k.device, err)
		}
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	return all, m.replayLog(all)
}

// replayLog applies the commits that were not yet folded into the table seen.
func (m *manifest) replayLog(all map[stream]*seen) error {
	rows, err := m.db.Query(`SELECT commits FROM seen_log ORDER BY cut`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var b []byte
		if err := rows.Scan(&b); err != nil {
			return err
		}
		d := &decoder{b: b}
		for len(d.b) > 0 {
			k := stream{ident.TenantID(d.text()), ident.DeviceID(d.text()), d.uvarint()}
			seq := d.uvarint()
			hash := d.take(8)
			if d.bad {
				return fmt.Errorf("log of commits: %w", errRecord)
			}
			if all[k] == nil {
				all[k] = &seen{}
			}
			all[k].add(seq, binary.LittleEndian.Uint64(hash))
		}
	}
	return rows.Err()
}

// foldAfter is the number of cuts after which the log of commits is folded.
const foldAfter = 256

// change is one transaction.
type change struct {
	add, drop []*segment
	position  *journal.Position // nil leaves it
	commits   []commit
	// whole returns the encoded state of every stream that changed since the last fold;
	// it is called when the log is due to be folded.
	whole func() map[stream][]byte
}

// apply commits c.
func (m *manifest) apply(c *change) (err error) {
	tx, err := m.db.Begin()
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = tx.Rollback()
		}
	}()
	last := m.maxID
	for _, s := range c.add {
		last = max(last, s.id)
		if _, err = tx.Exec(`INSERT INTO segment VALUES (?,?,?,?,?,?,?,?,?,?,?)`, s.id, s.tenant, s.table, s.level,
			s.rows, s.bytes, s.minTime, s.maxTime, s.minIngest, s.maxIngest, s.columns); err != nil {
			return err
		}
	}
	if _, err = tx.Exec(`UPDATE meta SET value = ? WHERE key = 'last_id'`, last); err != nil {
		return err
	}
	for _, s := range c.drop {
		if _, err = tx.Exec(`DELETE FROM segment WHERE id = ?`, s.id); err != nil {
			return err
		}
	}
	if c.position != nil {
		if _, err = tx.Exec(`UPDATE meta SET value = CASE key WHEN 'segment' THEN ? ELSE ? END
			WHERE key IN ('segment', 'offset')`, int64(c.position.Segment), c.position.Offset); err != nil {
			return err
		}
	}
	cuts := m.cuts
	if len(c.commits) > 0 && c.whole != nil && cuts >= foldAfter {
		cuts = 0
		err = fold(tx, c.whole())
	} else if len(c.commits) > 0 {
		cuts++
		_, err = tx.Exec(`INSERT INTO seen_log (commits) VALUES (?)`, encodeCommits(c.commits))
	}
	if err != nil {
		return err
	}
	if err = tx.Commit(); err != nil {
		return err
	}
	m.maxID, m.cuts = last, cuts
	return nil
}

func fold(tx *sql.Tx, whole map[stream][]byte) error {
	for k, state := range whole {
		if _, err := tx.Exec(`INSERT INTO seen VALUES (?,?,?,?) ON CONFLICT DO UPDATE SET state = excluded.state`,
			k.tenant, k.device, int64(k.incarnation), state); err != nil {
			return err
		}
	}
	_, err := tx.Exec(`DELETE FROM seen_log`)
	return err
}

func encodeCommits(commits []commit) []byte {
	var b []byte
	for _, c := range commits {
		b = putText(b, string(c.tenant))
		b = putText(b, string(c.device))
		b = binary.AppendUvarint(b, c.incarnation)
		b = binary.AppendUvarint(b, c.sequence)
		b = binary.LittleEndian.AppendUint64(b, c.hash)
	}
	return b
}

// expired returns the segments whose newest row came in before the instant, in ticks.
func expired(all []*segment, before int64) (old []*segment) {
	for _, s := range all {
		if s.maxIngest < before {
			old = append(old, s)
		}
	}
	return old
}

// close ends the use of the manifest.
func (m *manifest) close() error { return m.db.Close() }

// tickDuration converts a duration to ticks.
func tickDuration(d time.Duration) int64 { return int64(d / 100) }
