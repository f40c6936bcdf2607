package store

import (
	"context"
	"time"

	"github.com/vedette-edr/vedette/server/detect/custom"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/filter"
	"github.com/vedette-edr/vedette/server/ident"
)

var customTable = table{
	name: "custom_detection", what: "detection rule", schema: custom.Fields, key: "id", order: "id",
	columns: columns{"id": "id", "displayName": "name", "isEnabled": "enabled", "createdDateTime": "created", "lastModifiedDateTime": "modified"},
}

// Detections is the custom.Store, custom.AnswerStore and behavior.FileStore of this database.
type Detections struct{ s *Store }

var (
	_ custom.Store       = Detections{}
	_ custom.AnswerStore = Detections{}
)

// Detections returns the store of detection rules.
func (s *Store) Detections() Detections { return Detections{s} }

// customColumns are the values of name, enabled, period, due, created, modified, doc.
func customColumns(r *custom.Rule) ([]any, error) {
	doc, err := encode(r)
	var due any
	if r.Enabled && !r.Next.IsZero() {
		due = stamp(r.Next)
	}
	return []any{fold(r.Name), flag(r.Enabled), text(string(r.Period)), due, stamp(r.Created), stamp(r.Modified), doc}, err
}

// CreateRule implements custom.Store.
func (d Detections) CreateRule(ctx context.Context, r *custom.Rule) error {
	return d.s.update(ctx, "store.CreateRule", func(ctx context.Context, q querier) error {
		if err := d.free(ctx, q, r); err != nil {
			return err
		}
		// Deleted rules keep their ids: alerts and links go on naming them.
		err := q.QueryRowContext(ctx, `INSERT INTO custom_counter (tenant, last) VALUES (?, 1)
			ON CONFLICT (tenant) DO UPDATE SET last = custom_counter.last + 1 RETURNING last`, string(r.Tenant)).Scan(&r.ID)
		if err != nil {
			return err
		}
		cols, err := customColumns(r)
		if err != nil {
			return err
		}
		_, err = q.ExecContext(ctx, `INSERT INTO custom_detection (tenant, id, name, enabled, period, due, created, modified, doc)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`, append([]any{string(r.Tenant), r.ID}, cols...)...)
		return err
	})
}

// free refuses a name that another rule has.
func (d Detections) free(ctx context.Context, q querier, r *custom.Rule) error {
	var n int
	err := q.QueryRowContext(ctx, `SELECT count(*) FROM custom_detection WHERE tenant = ? AND name = ? AND id <> ?`,
		string(r.Tenant), fold(r.Name), r.ID).Scan(&n)
	if err == nil && n > 0 {
		err = callerError{errs.New("store.custom_detection", errs.Conflict, errs.BadRequest, "another detection rule is called %q", r.Name)}
	}
	return err
}

// Rule implements custom.Store.
func (d Detections) Rule(ctx context.Context, tenant ident.TenantID, id int64) (*custom.Rule, error) {
	return fetch[custom.Rule](ctx, d.s, &customTable, "tenant = ? AND id = ?", string(tenant), id)
}

// Rules implements custom.Store.
func (d Detections) Rules(ctx context.Context, tenant ident.TenantID, query filter.Query) (filter.Page[*custom.Rule], error) {
	return fetchPage[custom.Rule](ctx, d.s, &customTable, tenant, query)
}

// UpdateRule implements custom.Store. change runs once and must not call the store.
func (d Detections) UpdateRule(ctx context.Context, tenant ident.TenantID, id int64, change func(*custom.Rule) error) (*custom.Rule, error) {
	var out *custom.Rule
	err := d.s.update(ctx, "store.UpdateRule", func(ctx context.Context, q querier) error {
		r, err := one[custom.Rule](ctx, q, &customTable, "tenant = ? AND id = ?", string(tenant), id)
		if err != nil {
			return err
		}
		if err := change(r); err != nil {
			return callerError{err}
		}
		r.Tenant, r.ID = tenant, id
		if err := d.free(ctx, q, r); err != nil {
			return err
		}
		cols, err := customColumns(r)
		if err != nil {
			return err
		}
		out = r
		_, err = q.ExecContext(ctx, `UPDATE custom_detection SET name = ?, enabled = ?, period = ?, due = ?, created = ?, modified = ?, doc = ?
			WHERE tenant = ? AND id = ?`, append(cols, string(tenant), id)...)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// DeleteRule implements custom.Store.
func (d Detections) DeleteRule(ctx context.Context, tenant ident.TenantID, id int64) error {
	return d.s.update(ctx, "store.DeleteRule", func(ctx context.Context, q querier) error {
		r, err := q.ExecContext(ctx, `DELETE FROM custom_detection WHERE tenant = ? AND id = ?`, string(tenant), id)
		if err != nil {
			return err
		}
		if n, err := r.RowsAffected(); err != nil || n > 0 {
			return err
		}
		return notFound("store.custom_detection", "the detection rule")
	})
}

// DueRules implements custom.Store.
func (d Detections) DueRules(ctx context.Context, now time.Time, limit int) ([]*custom.Rule, error) {
	return fetchAll[custom.Rule](ctx, d.s, &customTable, "WHERE due <= ? ORDER BY due LIMIT ?", stamp(now), limit)
}

var answerTable = table{name: "custom_response", what: "response"}

// AddAnswers implements custom.AnswerStore.
func (d Detections) AddAnswers(ctx context.Context, as []*custom.Answer) error {
	return d.s.update(ctx, "store.AddAnswers", func(ctx context.Context, q querier) error {
		for _, a := range as {
			doc, err := encode(a)
			if err != nil {
				return err
			}
			if _, err := q.ExecContext(ctx, `INSERT INTO custom_response (tenant, alert, place, at, done, doc) VALUES (?, ?, ?, ?, 0, ?)
				ON CONFLICT DO NOTHING`, string(a.Tenant), string(a.Alert), a.Place, stamp(a.At), doc); err != nil {
				return err
			}
		}
		return nil
	})
}

// OpenAnswers implements custom.AnswerStore.
func (d Detections) OpenAnswers(ctx context.Context, limit int) ([]*custom.Answer, error) {
	return fetchAll[custom.Answer](ctx, d.s, &answerTable, "WHERE done = 0 ORDER BY at, alert, place LIMIT ?", limit)
}

// EndAnswer implements custom.AnswerStore.
func (d Detections) EndAnswer(ctx context.Context, a *custom.Answer) error {
	return d.s.update(ctx, "store.EndAnswer", func(ctx context.Context, q querier) error {
		doc, err := encode(a)
		if err != nil {
			return err
		}
		_, err = q.ExecContext(ctx, `UPDATE custom_response SET done = 1, doc = ? WHERE tenant = ? AND alert = ? AND place = ?`,
			doc, string(a.Tenant), string(a.Alert), a.Place)
		return err
	})
}
