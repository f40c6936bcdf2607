package store

import (
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"net/netip"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/vedette-edr/vedette/server/device"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
)

// Devices is the device.Store of this database. What Touch changes lives in columns
// alone, so that a sign of life rewrites no document.
type Devices struct{ s *Store }

var _ device.Store = Devices{}

// Devices returns the store of devices.
func (s *Store) Devices() Devices { return Devices{s} }

const deviceSelect = "SELECT doc, seen, data, skew, external_ip, grp, regrouped FROM device WHERE "

// deviceTable is what scope needs to know of devices.
var deviceTable = table{name: "device", what: "device", scope: "device.grp IN " + groups}

// scanDevice reads a row of deviceSelect; the columns overrule the document.
func scanDevice(scan func(...any) error) (*device.Device, error) {
	var doc, ip string
	var seen, data *int64
	var skew, group, regrouped int64
	if err := scan(&doc, &seen, &data, &skew, &ip, &group, &regrouped); err != nil {
		return nil, err
	}
	d, err := decode[device.Device](doc)
	if err != nil {
		return nil, err
	}
	d.LastSeen, d.LastData, d.Offset, d.ExternalIP = instant(seen), instant(data), time.Duration(skew), ip
	d.Group, d.Regrouped = group, uint64(regrouped)
	return d, nil
}

func oneDevice(ctx context.Context, q querier, where string, args ...any) (*device.Device, error) {
	d, err := scanDevice(q.QueryRowContext(ctx, deviceSelect+where+deviceTable.visible(ctx), args...).Scan)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, notFound("store.device", "the device")
	}
	return d, err
}

// deviceColumns are the values from name on, in the order of the statements.
func deviceColumns(d *device.Device) ([]any, error) {
	ips, err := list(addresses(d), func(s string) string { return s })
	if err != nil {
		return nil, err
	}
	tags, err := list(d.Tags, func(s string) string { return s })
	if err != nil {
		return nil, err
	}
	doc, err := encode(d)
	if err != nil {
		return nil, err
	}
	label, _, _ := strings.Cut(d.Name, ".")
	return []any{
		text(d.Name), text(label), hex.EncodeToString(d.Fingerprint[:]), stamp(d.LastSeen), stamp(d.LastData),
		int64(d.Offset), d.ExternalIP, ips, tags, text(d.Platform), text(d.Inventory.Distribution), d.Group, doc,
	}, nil
}

// addresses lists what device.Device.HasIP looks through, but for the external address,
// which has a column of its own.
func addresses(d *device.Device) []string {
	var out []string
	for _, n := range d.Inventory.Interfaces {
		for _, p := range n.Addresses {
			if q, err := netip.ParsePrefix(p); err == nil {
				out = append(out, q.Addr().Unmap().String())
			}
		}
	}
	if a, err := netip.ParseAddr(d.LastIP); err == nil {
		out = append(out, a.Unmap().String())
	}
	return out
}

// Create implements device.Store.
func (v Devices) Create(ctx context.Context, d *device.Device) error {
	const op = "store.CreateDevice"
	return v.s.update(ctx, op, func(ctx context.Context, q querier) error {
		cols, err := deviceColumns(d)
		if err != nil {
			return err
		}
		_, err = q.ExecContext(ctx, `INSERT INTO device (id, tenant, name, label, fingerprint, seen, data, skew,
			external_ip, ips, tags, platform, distribution, grp, doc) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			append([]any{string(d.ID), string(d.Tenant)}, cols...)...)
		if isDuplicate(err) {
			return &errs.E{Op: op, Kind: errs.Conflict, Detail: "a device of this id exists", Err: err}
		}
		return err
	})
}

// Get implements device.Store.
func (v Devices) Get(ctx context.Context, tenant ident.TenantID, id ident.DeviceID) (*device.Device, error) {
	return v.one(ctx, "tenant = ? AND id = ?", string(tenant), string(id))
}

// Locate implements device.Store.
func (v Devices) Locate(ctx context.Context, id ident.DeviceID) (*device.Device, error) {
	return v.one(ctx, "id = ?", string(id))
}

func (v Devices) one(ctx context.Context, where string, args ...any) (*device.Device, error) {
	var out *device.Device
	err := v.s.view(ctx, "store.Device", func(ctx context.Context, q querier) (err error) {
		out, err = oneDevice(ctx, q, where, args...)
		return err
	})
	return out, err
}

// Update implements device.Store. change runs once and must not call the store.
func (v Devices) Update(ctx context.Context, tenant ident.TenantID, id ident.DeviceID, change func(*device.Device) error) (*device.Device, error) {
	var out *device.Device
	err := v.s.update(ctx, "store.UpdateDevice", func(ctx context.Context, q querier) error {
		d, err := oneDevice(ctx, q, "tenant = ? AND id = ?", string(tenant), string(id))
		if err != nil {
			return err
		}
		before, regrouped := d.Group, d.Regrouped
		if err := change(d); err != nil {
			return callerError{err}
		}
		if d.Group != before {
			n, err := scopedIndicators(ctx, q, tenant)
			if err != nil {
				return err
			}
			regrouped += n
		}
		d.Tenant, d.ID, d.Regrouped = tenant, id, regrouped
		cols, err := deviceColumns(d)
		if err != nil {
			return err
		}
		_, err = q.ExecContext(ctx, `UPDATE device SET name = ?, label = ?, fingerprint = ?, seen = ?, data = ?, skew = ?,
			external_ip = ?, ips = ?, tags = ?, platform = ?, distribution = ?, grp = ?, doc = ?, regrouped = ? WHERE tenant = ? AND id = ?`,
			append(cols, int64(d.Regrouped), string(tenant), string(id))...)
		out = d
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// List implements device.Store.
func (v Devices) List(ctx context.Context, tenant ident.TenantID, query device.Query) ([]*device.Device, error) {
	where, args := deviceWhere(tenant, query)
	where += deviceTable.visible(ctx) + " ORDER BY id"
	if query.Limit > 0 {
		where, args = where+" LIMIT ?", append(args, query.Limit)
	}
	var out []*device.Device
	err := v.s.view(ctx, "store.Devices", func(ctx context.Context, q querier) error {
		rows, err := q.QueryContext(ctx, deviceSelect+where, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			d, err := scanDevice(rows.Scan)
			if err != nil {
				return err
			}
			out = append(out, d)
		}
		return rows.Err()
	})
	return out, err
}

// deviceWhere renders what device.Query.Match says.
func deviceWhere(tenant ident.TenantID, q device.Query) (string, []any) {
	where, args := "tenant = ?", []any{string(tenant)}
	and := func(cond string, values ...any) { where, args = where+" AND "+cond, append(args, values...) }
	if q.Name != "" {
		and("(name = ? OR label = ?)", fold(q.Name), fold(q.Name))
	}
	if q.Tag != "" {
		and(anyElement("tags", "= ?"), q.Tag)
	}
	if q.TagPrefix != "" {
		// LIKE would not mind the case of ASCII letters; a tag's case counts.
		and(anyElement("tags", ">= ? AND substr(element.value, 1, ?) = ?"), q.TagPrefix, utf8.RuneCountInString(q.TagPrefix), q.TagPrefix)
	}
	if q.IP != "" {
		a, err := netip.ParseAddr(q.IP)
		if err != nil {
			and(truth(false))
		} else {
			ip := a.Unmap().String()
			and("("+anyElement("ips", "= ?")+" OR external_ip = ? OR external_ip = ?)", ip, ip, "::ffff:"+ip)
		}
	}
	if q.Fingerprint != nil {
		and("fingerprint = ?", hex.EncodeToString(q.Fingerprint[:]))
	}
	if !q.SeenSince.IsZero() {
		and("seen >= ?", nanos(q.SeenSince))
	}
	if !q.SeenBefore.IsZero() {
		and("(seen < ? OR seen IS NULL)", nanos(q.SeenBefore))
	}
	if q.Group != nil {
		and("grp = ?", *q.Group)
	}
	if q.After != "" {
		and("id > ?", string(q.After))
	}
	return where, args
}

// Touch implements device.Store.
func (v Devices) Touch(ctx context.Context, contacts []device.Contact) error {
	return v.s.update(ctx, "store.Touch", func(ctx context.Context, q querier) error {
		for _, c := range contacts {
			var skew any
			if c.Offset != nil {
				skew = int64(*c.Offset)
			}
			seen, data := stamp(c.Seen), stamp(c.Data)
			_, err := q.ExecContext(ctx, `UPDATE device SET
				seen = CASE WHEN seen IS NULL OR seen < ? THEN ? ELSE seen END,
				data = CASE WHEN data IS NULL OR data < ? THEN ? ELSE data END,
				skew = coalesce(?, skew),
				external_ip = CASE WHEN ? = '' THEN external_ip ELSE ? END
				WHERE tenant = ? AND id = ?`,
				seen, seen, data, data, skew, c.ExternalIP, c.ExternalIP, string(c.Tenant), string(c.Device))
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// scopedIndicators is 1 when the tenant has indicators for some device groups alone, so
// that a device which changes its group needs others than it has, else 0.
func scopedIndicators(ctx context.Context, q querier, tenant ident.TenantID) (uint64, error) {
	var n uint64
	err := q.QueryRowContext(ctx, `SELECT count(*) FROM (SELECT 1 FROM indicator WHERE tenant = ? AND group_ids IS NOT NULL LIMIT 1) AS scoped`, string(tenant)).Scan(&n)
	return n, err
}
