package store

import (
	"context"
	"database/sql"

	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/indicator"
)

var _ indicator.TallyStore = Threats{}

var tallyTable = table{name: "indicator_tally", what: "sighting", scope: ofDevice("indicator_tally", "device")}

// addTally adds to the row of one device, if what was seen is still known. excluded is the
// difference.
const addTally = `INSERT INTO indicator_tally (tenant, noun, id, device, matches, blocks, alerts, first, last)
	SELECT ?, ?, ?, ?, ?, ?, ?, ?, ? WHERE `

const ontoTally = ` ON CONFLICT (tenant, noun, id, device) DO UPDATE SET
	matches = indicator_tally.matches + excluded.matches, blocks = indicator_tally.blocks + excluded.blocks,
	alerts = indicator_tally.alerts + excluded.alerts,
	first = CASE WHEN excluded.first < indicator_tally.first THEN excluded.first ELSE indicator_tally.first END,
	last = CASE WHEN excluded.last > indicator_tally.last THEN excluded.last ELSE indicator_tally.last END`

const (
	knownIOC       = `EXISTS (SELECT 1 FROM ioc WHERE tenant = ? AND id = ?)`
	knownIndicator = `(EXISTS (SELECT 1 FROM indicator WHERE tenant = ? AND id = ?) OR EXISTS (SELECT 1 FROM indicator_history WHERE tenant = ? AND id = ?))`
)

// AddTallies implements indicator.TallyStore.
func (v Threats) AddTallies(ctx context.Context, ts []indicator.Tally) error {
	return v.s.update(ctx, "store.AddTallies", func(ctx context.Context, q querier) error {
		for i := range ts {
			t := &ts[i]
			known, args := knownIOC, []any{string(t.Tenant), t.ID}
			if t.Noun == indicator.AnIndicator {
				known, args = knownIndicator, append(args, args...)
			}
			_, err := q.ExecContext(ctx, addTally+known+ontoTally, append([]any{string(t.Tenant), int64(t.Noun), t.ID, string(t.Device),
				t.Matches, t.Blocks, t.Alerts, nanos(t.First), nanos(t.Last)}, args...)...)
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// Tallied implements indicator.TallyStore.
func (v Threats) Tallied(ctx context.Context, tenant ident.TenantID, noun indicator.Noun, id int64) (*indicator.Stats, error) {
	out := &indicator.Stats{}
	err := v.s.view(ctx, "store.Tallied", func(ctx context.Context, q querier) error {
		var matches, blocks, alerts, first, last sql.NullInt64
		err := q.QueryRowContext(ctx, `SELECT count(*), sum(matches), sum(blocks), sum(alerts), min(first), max(last) FROM indicator_tally
			WHERE tenant = ? AND noun = ? AND id = ?`+tallyTable.visible(ctx), string(tenant), int64(noun), id).
			Scan(&out.Devices, &matches, &blocks, &alerts, &first, &last)
		if err != nil || out.Devices == 0 {
			return err
		}
		out.Matches, out.Blocks, out.Alerts = matches.Int64, blocks.Int64, alerts.Int64
		out.First, out.Last = instant(&first.Int64), instant(&last.Int64)
		return nil
	})
	return out, err
}

// forgetTallies deletes what was seen of the rows that a revision deleted, but for those
// that expired.
func (v Threats) forgetTallies(ctx context.Context, q querier, t *threat, tenant ident.TenantID, rev indicator.Revision) error {
	kept := ""
	if t.noun == indicator.AnIndicator {
		kept = " AND NOT EXISTS (SELECT 1 FROM indicator_history WHERE indicator_history.tenant = indicator_tally.tenant AND indicator_history.id = indicator_tally.id)"
	}
	_, err := q.ExecContext(ctx, `DELETE FROM indicator_tally WHERE tenant = ? AND noun = ? AND id IN
		(SELECT id FROM ti_deletion WHERE tenant = ? AND revision = ? AND noun = ?)`+kept, string(tenant), int64(t.noun), string(tenant), rev, int64(t.noun))
	return err
}
