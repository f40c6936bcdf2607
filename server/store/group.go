package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"github.com/vedette-edr/vedette/server/device/group"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
)

// Groups is the group.Store of this database.
type Groups struct{ s *Store }

var _ group.Store = Groups{}

// Groups returns the store of device groups.
func (s *Store) Groups() Groups { return Groups{s} }

// rankOrder has the group without a rank, the default one, last.
const rankOrder = " ORDER BY CASE WHEN id = 0 THEN 1 ELSE 0 END, rank, id"

func groupsOf(ctx context.Context, q querier, tenant ident.TenantID) ([]*group.Group, error) {
	rows, err := q.QueryContext(ctx, "SELECT doc FROM device_group WHERE tenant = ?"+rankOrder, string(tenant))
	if err != nil {
		return nil, err
	}
	return documents[group.Group](rows)
}

// Groups implements group.Store.
func (v Groups) Groups(ctx context.Context, tenant ident.TenantID) ([]*group.Group, int64, error) {
	var out []*group.Group
	var generation int64
	err := v.s.view(ctx, "store.Groups", func(ctx context.Context, q querier) (err error) {
		if out, err = groupsOf(ctx, q, tenant); err != nil {
			return err
		}
		err = q.QueryRowContext(ctx, `SELECT generation FROM device_group_state WHERE tenant = ?`, string(tenant)).Scan(&generation)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		return err
	})
	return out, generation, err
}

// UpdateGroups implements group.Store. change runs once and must not call the store.
func (v Groups) UpdateGroups(ctx context.Context, tenant ident.TenantID, change func(*group.Set) error) error {
	const op = "store.UpdateGroups"
	return v.s.update(ctx, op, func(ctx context.Context, q querier) error {
		_, err := q.ExecContext(ctx, `INSERT INTO device_group_state (tenant, generation, sorted, last_id) VALUES (?, 0, 0, 0) ON CONFLICT DO NOTHING`, string(tenant))
		if err != nil {
			return err
		}
		var set group.Set
		err = q.QueryRowContext(ctx, `UPDATE device_group_state SET generation = generation + 1 WHERE tenant = ? RETURNING last_id`, string(tenant)).Scan(&set.LastID)
		if err != nil {
			return err
		}
		if set.Groups, err = groupsOf(ctx, q, tenant); err != nil {
			return err
		}
		if err := change(&set); err != nil {
			return callerError{err}
		}
		if _, err := q.ExecContext(ctx, `DELETE FROM device_group WHERE tenant = ?`, string(tenant)); err != nil {
			return err
		}
		for _, g := range set.Groups {
			g.Tenant = tenant
			doc, err := encode(g)
			if err != nil {
				return err
			}
			_, err = q.ExecContext(ctx, `INSERT INTO device_group (tenant, id, name, rank, doc) VALUES (?, ?, ?, ?, ?)`, string(tenant), g.ID, fold(g.Name), g.Rank, doc)
			if isDuplicate(err) {
				return &errs.E{Op: op, Kind: errs.Conflict, Code: errs.BadRequest, Detail: "a device group of this name exists", Err: err}
			}
			if err != nil {
				return err
			}
		}
		_, err = q.ExecContext(ctx, `UPDATE device_group_state SET last_id = ? WHERE tenant = ?`, set.LastID, string(tenant))
		return err
	})
}

// Unsorted implements group.Store.
func (v Groups) Unsorted(ctx context.Context) ([]ident.TenantID, error) {
	return v.s.tenants(ctx, "store.Unsorted", `SELECT tenant FROM device_group_state WHERE sorted < generation ORDER BY tenant`)
}

// Sorted implements group.Store.
func (v Groups) Sorted(ctx context.Context, tenant ident.TenantID, generation int64) error {
	return v.s.update(ctx, "store.Sorted", func(ctx context.Context, q querier) error {
		_, err := q.ExecContext(ctx, `UPDATE device_group_state SET sorted = ? WHERE tenant = ? AND sorted < ?`, generation, string(tenant), generation)
		return err
	})
}

const traitColumns = "SELECT id, name, tags, platform, distribution, grp FROM device WHERE tenant = ? AND "

func scanTraits(scan func(...any) error) (group.Traits, error) {
	var t group.Traits
	var name, tags, platform, distribution *string
	if err := scan(&t.ID, &name, &tags, &platform, &distribution, &t.Group); err != nil {
		return t, err
	}
	for to, from := range map[*string]*string{&t.Name: name, &t.Platform: platform, &t.Distribution: distribution} {
		if from != nil {
			*to = *from
		}
	}
	if tags == nil {
		return t, nil
	}
	return t, json.Unmarshal([]byte(*tags), &t.Tags)
}

// Within implements group.Store.
func (v Groups) Within(ctx context.Context, tenant ident.TenantID) ([]ident.DeviceID, error) {
	var out []ident.DeviceID
	err := v.s.view(ctx, "store.Within", func(ctx context.Context, q querier) error {
		return eachRow(ctx, q, "SELECT id FROM device WHERE tenant = ?"+deviceTable.visible(ctx)+" ORDER BY id", []any{string(tenant)}, func(scan func(...any) error) error {
			var id ident.DeviceID
			err := scan(&id)
			out = append(out, id)
			return err
		})
	})
	return out, err
}

// Traits implements group.Store.
func (v Groups) Traits(ctx context.Context, tenant ident.TenantID, after ident.DeviceID, limit int) ([]group.Traits, error) {
	var out []group.Traits
	err := v.s.view(ctx, "store.Traits", func(ctx context.Context, q querier) error {
		rows, err := q.QueryContext(ctx, traitColumns+"id > ?"+deviceTable.visible(ctx)+" ORDER BY id LIMIT ?", string(tenant), string(after), limit)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			t, err := scanTraits(rows.Scan)
			if err != nil {
				return err
			}
			out = append(out, t)
		}
		return rows.Err()
	})
	return out, err
}

// Move implements group.Store. assign must not call the store.
func (v Groups) Move(ctx context.Context, tenant ident.TenantID, ids []ident.DeviceID, assign func(group.Traits) int64) ([]ident.DeviceID, error) {
	var moved []ident.DeviceID
	err := v.s.update(ctx, "store.Move", func(ctx context.Context, q querier) error {
		moved = nil
		n, err := scopedIndicators(ctx, q, tenant)
		if err != nil {
			return err
		}
		for _, id := range ids {
			t, err := scanTraits(q.QueryRowContext(ctx, traitColumns+"id = ?", string(tenant), string(id)).Scan)
			if errors.Is(err, sql.ErrNoRows) {
				continue
			}
			if err != nil {
				return err
			}
			to := assign(t)
			if to == t.Group {
				continue
			}
			if _, err := q.ExecContext(ctx, `UPDATE device SET grp = ?, regrouped = regrouped + ? WHERE tenant = ? AND id = ?`,
				to, int64(n), string(tenant), string(id)); err != nil {
				return err
			}
			moved = append(moved, id)
		}
		if len(moved) == 0 {
			return nil
		}
		return touchSpread(ctx, q, tenant)
	})
	return moved, err
}

// ofBatch is how many devices one query of Of names.
const ofBatch = 500

// Of implements group.Store.
func (v Groups) Of(ctx context.Context, tenant ident.TenantID, ids []ident.DeviceID) (map[ident.DeviceID]int64, error) {
	ids = slices.Compact(slices.Sorted(slices.Values(ids)))
	out := make(map[ident.DeviceID]int64, len(ids))
	err := v.s.view(ctx, "store.GroupsOf", func(ctx context.Context, q querier) error {
		for batch := range slices.Chunk(ids, ofBatch) {
			args := []any{string(tenant)}
			for _, id := range batch {
				args = append(args, string(id))
			}
			rows, err := q.QueryContext(ctx, "SELECT id, grp FROM device WHERE tenant = ? AND id IN ("+
				strings.TrimSuffix(strings.Repeat("?, ", len(batch)), ", ")+")", args...)
			if err != nil {
				return err
			}
			_, err = collect(rows, func(scan func(...any) error) (struct{}, error) {
				var id ident.DeviceID
				var g int64
				err := scan(&id, &g)
				out[id] = g
				return struct{}{}, err
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	return out, err
}

// Sizes implements group.Store.
func (v Groups) Sizes(ctx context.Context, tenant ident.TenantID) (map[int64]int64, error) {
	out := map[int64]int64{}
	err := v.s.view(ctx, "store.GroupSizes", func(ctx context.Context, q querier) error {
		rows, err := q.QueryContext(ctx, `SELECT grp, count(*) FROM device WHERE tenant = ? GROUP BY grp`, string(tenant))
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var id, n int64
			if err := rows.Scan(&id, &n); err != nil {
				return err
			}
			out[id] = n
		}
		return rows.Err()
	})
	return out, err
}
