package store

import (
	"context"

	"github.com/vedette-edr/vedette/server/history"
)

// Histories is the history.Store of this database.
type Histories struct{ s *Store }

var _ history.Store = Histories{}

// Histories returns the store of histories.
func (s *Store) Histories() Histories { return Histories{s} }

// AppendHistory implements history.Store.
func (h Histories) AppendHistory(ctx context.Context, o history.Object, entries ...history.Entry) error {
	return h.s.update(ctx, "store.AppendHistory", func(ctx context.Context, q querier) error {
		var seq int64
		err := q.QueryRowContext(ctx, `SELECT coalesce(max(seq), 0) FROM history WHERE tenant = ? AND noun = ? AND object = ?`,
			string(o.Tenant), o.Noun, o.ID).Scan(&seq)
		if err != nil {
			return err
		}
		for _, e := range entries {
			seq++
			e.Seq = seq
			doc, err := encode(e)
			if err != nil {
				return err
			}
			if _, err := q.ExecContext(ctx, `INSERT INTO history (tenant, noun, object, seq, doc) VALUES (?, ?, ?, ?, ?)`,
				string(o.Tenant), o.Noun, o.ID, seq, doc); err != nil {
				return err
			}
		}
		return nil
	})
}

// History implements history.Store.
func (h Histories) History(ctx context.Context, o history.Object, after int64, limit int) ([]history.Entry, error) {
	var out []history.Entry
	err := h.s.view(ctx, "store.History", func(ctx context.Context, q querier) error {
		rows, err := q.QueryContext(ctx, `SELECT doc FROM history WHERE tenant = ? AND noun = ? AND object = ? AND seq > ? ORDER BY seq LIMIT ?`,
			string(o.Tenant), o.Noun, o.ID, after, limit)
		if err != nil {
			return err
		}
		docs, err := documents[history.Entry](rows)
		for _, e := range docs {
			out = append(out, *e)
		}
		return err
	})
	return out, err
}
