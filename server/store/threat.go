package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/indicator"
)

// Threats is the indicator.DefinitionStore, IOCStore, IndicatorStore and Feed of this
// database. This file holds what the three nouns share: revisions, ids, totals, quotas
// and deletion; each noun has a file of its own.
type Threats struct{ s *Store }

var (
	_ indicator.DefinitionStore = Threats{}
	_ indicator.IOCStore        = Threats{}
	_ indicator.IndicatorStore  = Threats{}
	_ indicator.Feed            = Threats{}
)

// Threats returns the store of definitions, IOCs and indicators.
func (s *Store) Threats() Threats { return Threats{s} }

// threat is what the shared statements need to know of a noun.
type threat struct {
	*table
	noun  indicator.Noun
	ids   string // column of ti_counter with the last id given
	total string // column of ti_counter with the number of rows
}

// bump starts the tenant's next revision.
func bump(ctx context.Context, q querier, tenant ident.TenantID) (indicator.Revision, error) {
	if _, err := q.ExecContext(ctx, `INSERT INTO ti_counter (tenant) VALUES (?) ON CONFLICT DO NOTHING`, string(tenant)); err != nil {
		return 0, err
	}
	var rev indicator.Revision
	err := q.QueryRowContext(ctx, `UPDATE ti_counter SET revision = revision + 1 WHERE tenant = ? RETURNING revision`, string(tenant)).Scan(&rev)
	return rev, err
}

// take reserves n ids and returns the first.
func (t *threat) take(ctx context.Context, q querier, tenant ident.TenantID, n int) (int64, error) {
	var last int64
	err := q.QueryRowContext(ctx, "UPDATE ti_counter SET "+t.ids+" = "+t.ids+" + ? WHERE tenant = ? RETURNING "+t.ids, n, string(tenant)).Scan(&last)
	return last - int64(n) + 1, err
}

// count adds n rows to a total and checks the quota of it. The total includes rows that
// have expired; only when it exceeds the quota is it worth counting exactly.
func (t *threat) count(ctx context.Context, q querier, tenant ident.TenantID, total string, n int64, limit int, unexpired string, args ...any) error {
	var have int64
	err := q.QueryRowContext(ctx, "UPDATE ti_counter SET "+total+" = "+total+" + ? WHERE tenant = ? RETURNING "+total, n, string(tenant)).Scan(&have)
	if err != nil || have <= int64(limit) {
		return err
	}
	err = q.QueryRowContext(ctx, "SELECT count(*) FROM "+t.name+" WHERE tenant = ? AND "+unexpired, append([]any{string(tenant)}, args...)...).Scan(&have)
	if err != nil || have <= int64(limit) {
		return err
	}
	return errs.New("store."+t.name, errs.Exhausted, errs.QuotaExceeded, "the quota of %s is used up: %d of %d", total, have, limit)
}

// uncount takes n rows off a total.
func uncount(ctx context.Context, q querier, tenant ident.TenantID, total string, n int64) error {
	_, err := q.ExecContext(ctx, "UPDATE ti_counter SET "+total+" = "+total+" - ? WHERE tenant = ?", n, string(tenant))
	return err
}

const notExpired = "(expires IS NULL OR expires > ?)"

// find returns one row's document, or nil.
func find[T any](ctx context.Context, q querier, t *threat, where string, args ...any) (*T, error) {
	v, err := one[T](ctx, q, t.table, where, args...)
	if errs.Is(err, errs.NotFound) {
		return nil, nil
	}
	return v, err
}

// selected renders a Which for a table that has a definition column only when it is the
// one of IOCs.
func (t *threat) selected(ctx context.Context, q querier, tenant ident.TenantID, w indicator.Which) (string, []any, error) {
	op := "store.delete." + t.name
	where, args := "tenant = ?", []any{string(tenant)}
	if w.By != "" {
		where, args = where+" AND created_by = ?", append(args, fold(w.By))
	}
	if w.Definition != 0 {
		where, args = where+" AND definition = ?", append(args, int64(w.Definition))
	}
	if w.IDs == nil {
		return where, args, nil
	}
	if len(w.IDs) > maxParams {
		return "", nil, errs.New(op, errs.Invalid, errs.MaximumBatchSizeExceeded, "%d ids are named, at most %d", len(w.IDs), maxParams)
	}
	for _, id := range w.IDs {
		var there int
		err := q.QueryRowContext(ctx, "SELECT 1 FROM "+t.name+" WHERE "+where+" AND id = ?", append(args[:len(args):len(args)], id)...).Scan(&there)
		if errors.Is(err, sql.ErrNoRows) {
			return "", nil, errs.New(op, errs.NotFound, errs.ResourceNotFound, "%s %d was not found", t.what, id)
		}
		if err != nil {
			return "", nil, err
		}
	}
	where += " AND id IN (" + strings.TrimSuffix(strings.Repeat("?, ", len(w.IDs)), ", ") + ")"
	for _, id := range w.IDs {
		args = append(args, id)
	}
	return where, args, nil
}

// remove deletes the rows that where selects and notes their ids under the revision.
func (v Threats) remove(ctx context.Context, q querier, t *threat, tenant ident.TenantID, rev indicator.Revision, where string, args []any) error {
	r, err := q.ExecContext(ctx, "INSERT INTO ti_deletion (tenant, revision, noun, id) SELECT tenant, "+
		fmt.Sprintf("%d, %d", rev, t.noun)+", id FROM "+t.name+" WHERE "+where, args...)
	if err != nil {
		return err
	}
	n, err := r.RowsAffected()
	if err != nil {
		return err
	}
	if _, err := q.ExecContext(ctx, "DELETE FROM "+t.name+" WHERE "+where, args...); err != nil {
		return err
	}
	if err := v.forgetTallies(ctx, q, t, tenant, rev); err != nil {
		return err
	}
	if err := uncount(ctx, q, tenant, t.total, n); err != nil {
		return err
	}
	return v.forget(ctx, q, tenant, n)
}

// keptDeletions bounds ti_deletion per tenant. When it is exceeded all are forgotten, and
// readers that are behind start over.
const keptDeletions = 1_000_000

func (v Threats) forget(ctx context.Context, q querier, tenant ident.TenantID, n int64) error {
	var have int64
	err := q.QueryRowContext(ctx, `UPDATE ti_counter SET deletions = deletions + ? WHERE tenant = ? RETURNING deletions`, n, string(tenant)).Scan(&have)
	if err != nil || have <= v.s.keepDeletions {
		return err
	}
	if _, err := q.ExecContext(ctx, `DELETE FROM ti_deletion WHERE tenant = ?`, string(tenant)); err != nil {
		return err
	}
	_, err = q.ExecContext(ctx, `UPDATE ti_counter SET deletions = 0, forgotten = revision WHERE tenant = ?`, string(tenant))
	return err
}

// any reports whether where selects a row.
func (t *threat) any(ctx context.Context, q querier, where string, args []any) (bool, error) {
	var there int
	err := q.QueryRowContext(ctx, "SELECT 1 FROM "+t.name+" WHERE "+where+" LIMIT 1", args...).Scan(&there)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return there == 1, err
}

// stampColumns are the values of created, created_by, created_by_name, modified, modified_by.
func stampColumns(s indicator.Stamps) []any {
	return []any{stamp(s.Created), text(s.CreatedBy), text(s.CreatedByName), stamp(s.Modified), text(s.ModifiedBy)}
}

// insertRow renders INSERT for the columns tenant, id, revision and those named.
func insertRow(table, names string) string {
	n := strings.Count(names, ",") + 1
	return "INSERT INTO " + table + " (tenant, id, revision, " + names + ") VALUES (?, ?, ?" + strings.Repeat(", ?", n) + ")"
}

// updateRow renders UPDATE of revision and the columns named, for one tenant and id.
func updateRow(table, names string) string {
	return "UPDATE " + table + " SET revision = ?, " + strings.ReplaceAll(names, ",", " = ?,") + " = ? WHERE tenant = ? AND id = ?"
}

// quotaNow is the time by which a quota counts.
func quotaNow(q indicator.Quota, clock func() time.Time) int64 {
	if q.Now.IsZero() {
		return nanos(clock())
	}
	return nanos(q.Now)
}
