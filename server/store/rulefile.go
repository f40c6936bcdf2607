package store

import (
	"context"

	"github.com/vedette-edr/vedette/server/detect/behavior"
	"github.com/vedette-edr/vedette/server/ident"
)

var _ behavior.FileStore = Detections{}

var ruleFileTable = table{name: "rule_file", what: "rule file"}

// RuleFiles implements behavior.FileStore.
func (d Detections) RuleFiles(ctx context.Context, tenant ident.TenantID) ([]*behavior.RuleFile, error) {
	return fetchAll[behavior.RuleFile](ctx, d.s, &ruleFileTable, "WHERE tenant = ? ORDER BY id", string(tenant))
}

// PutRuleFile implements behavior.FileStore.
func (d Detections) PutRuleFile(ctx context.Context, f *behavior.RuleFile) error {
	return d.s.update(ctx, "store.PutRuleFile", func(ctx context.Context, q querier) error {
		doc, err := encode(f)
		if err != nil {
			return err
		}
		var enabled any
		if f.Enabled != nil {
			enabled = flag(*f.Enabled)
		}
		_, err = q.ExecContext(ctx, `INSERT INTO rule_file (tenant, id, name, enabled, doc) VALUES (?, ?, ?, ?, ?)
			ON CONFLICT (tenant, id) DO UPDATE SET name = excluded.name, enabled = excluded.enabled, doc = excluded.doc`,
			string(f.Tenant), f.ID, f.Name, enabled, doc)
		return err
	})
}

// DeleteRuleFile implements behavior.FileStore.
func (d Detections) DeleteRuleFile(ctx context.Context, tenant ident.TenantID, id string) error {
	return d.s.update(ctx, "store.DeleteRuleFile", func(ctx context.Context, q querier) error {
		r, err := q.ExecContext(ctx, `DELETE FROM rule_file WHERE tenant = ? AND id = ?`, string(tenant), id)
		if err != nil {
			return err
		}
		if n, err := r.RowsAffected(); err != nil || n > 0 {
			return err
		}
		return notFound("store.rule_file", "the rule file")
	})
}
