package store

import (
	"context"
	"database/sql"
	"errors"
	"math"

	"github.com/vedette-edr/vedette/server/audit"
	"github.com/vedette-edr/vedette/server/ident"
)

// Audit is the audit.Store of this database.
type Audit struct{ s *Store }

var _ audit.Store = Audit{}

// Audit returns the store of the audit record.
func (s *Store) Audit() Audit { return Audit{s} }

// AppendAudit implements audit.Store.
func (v Audit) AppendAudit(ctx context.Context, tenant ident.TenantID, next func(last audit.Record) audit.Record) (audit.Record, error) {
	var out audit.Record
	err := v.s.update(ctx, "store.AppendAudit", func(ctx context.Context, q querier) error {
		var last audit.Record
		var doc string
		err := q.QueryRowContext(ctx, `SELECT doc FROM audit WHERE tenant = ? ORDER BY seq DESC LIMIT 1`, string(tenant)).Scan(&doc)
		switch {
		case errors.Is(err, sql.ErrNoRows):
		case err != nil:
			return err
		default:
			r, err := decode[audit.Record](doc)
			if err != nil {
				return err
			}
			last = *r
		}
		out = next(last)
		if doc, err = encode(out); err != nil {
			return err
		}
		_, err = q.ExecContext(ctx, `INSERT INTO audit (tenant, seq, at, doc) VALUES (?, ?, ?, ?)`,
			string(tenant), out.Seq, nanos(out.At), doc)
		return err
	})
	return out, err
}

// AuditRecords implements audit.Store.
func (v Audit) AuditRecords(ctx context.Context, tenant ident.TenantID, after int64, limit int) ([]audit.Record, error) {
	var out []audit.Record
	err := v.s.view(ctx, "store.AuditRecords", func(ctx context.Context, q querier) error {
		rows, err := q.QueryContext(ctx, `SELECT doc FROM audit WHERE tenant = ? AND seq > ? ORDER BY seq LIMIT ?`, string(tenant), after, limit)
		if err != nil {
			return err
		}
		docs, err := documents[audit.Record](rows)
		for _, r := range docs {
			out = append(out, *r)
		}
		return err
	})
	return out, err
}

// LatestAudit implements audit.Store.
func (v Audit) LatestAudit(ctx context.Context, tenant ident.TenantID, before int64, limit int) ([]audit.Record, error) {
	if before <= 0 {
		before = math.MaxInt64
	}
	var out []audit.Record
	err := v.s.view(ctx, "store.LatestAudit", func(ctx context.Context, q querier) error {
		rows, err := q.QueryContext(ctx, `SELECT doc FROM audit WHERE tenant = ? AND seq < ? ORDER BY seq DESC LIMIT ?`, string(tenant), before, limit)
		if err != nil {
			return err
		}
		docs, err := documents[audit.Record](rows)
		for _, r := range docs {
			out = append(out, *r)
		}
		return err
	})
	return out, err
}
