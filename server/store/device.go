package store

import (
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/vedette-edr/vedette/server/device"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/filter"
	"github.com/vedette-edr/vedette/server/ident"
)

// Devices is the device.Store of this database. What Touch changes lives in columns
// alone, so that a sign of life rewrites no document.
type Devices struct{ s *Store }

var _ device.Store = Devices{}

// Devices returns the store of devices.
func (s *Store) Devices() Devices { return Devices{s} }

// deviceCells is what scanDevice reads.
const deviceCells = "doc, seen, data, skew, external_ip, grp, regrouped, risk"

const deviceSelect = "SELECT " + deviceCells + " FROM device WHERE "

var deviceTable = table{
	name: "device", what: "device", schema: device.Stored, key: "id", order: "id", cells: deviceCells,
	scope:  "device.grp IN " + groups,
	clocks: []string{"lastSeen", "firstSeen"}, solid: []string{"id"},
	columns: columns{
		"id": "id", "computerDnsName": "name", "version": "version", "deviceValue": "value", "aadDeviceId": "aad",
		"firstSeen": "first", "lastSeen": "seen", "exposureLevel": "exposure", "onboardingStatus": "CASE WHEN offboarded = 1 THEN 'canbeonboarded' ELSE 'onboarded' END",
		"lastIpAddress": "last_ip", "lastExternalIpAddress": "nullif(external_ip, '')", "osPlatform": "platform", "osBuild": "build",
		"agentVersion": "agent", "riskScore": "risk", "rbacGroupId": "grp", "state": "state",
	},
	lists: map[string]rows{
		"machineTags": {table: "device_tag", owner: "device", columns: columns{filter.Element.Name: "tag"}},
		"ipAddresses": {table: "device_address", owner: "device", columns: columns{
			"ipAddress": "ip", "macAddress": "mac", "type": "type", "operationalStatus": "status"}},
	},
}

// risks are the published spellings of the column risk.
var risks = map[string]device.Risk{
	"none": device.NoRisk, "informational": "Informational", "low": "Low", "medium": "Medium", "high": "High",
}

// scanDevice reads a row of deviceCells; the columns overrule the document.
func scanDevice(scan func(...any) error) (*device.Device, error) {
	var doc, ip, risk string
	var seen, data *int64
	var skew, group, regrouped int64
	if err := scan(&doc, &seen, &data, &skew, &ip, &group, &regrouped, &risk); err != nil {
		return nil, err
	}
	d, err := decode[device.Device](doc)
	if err != nil {
		return nil, err
	}
	d.LastSeen, d.LastData, d.Offset, d.ExternalIP, d.Risk = instant(seen), instant(data), time.Duration(skew), ip, risks[risk]
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

// deviceForm numbers what deviceColumns, deviceTags and deviceAddresses write. A row of
// another form was written by another release, and is written anew when the store opens.
const deviceForm = 1

const deviceNames = "form, name, label, fingerprint, seen, data, skew, external_ip, state, reported, first, oldest, blind, exposure, " +
	"value, grp, regrouped, platform, distribution, version, build, agent, aad, last_ip, offboarded, tags, doc"

// deviceColumns are the values of deviceNames.
func deviceColumns(d *device.Device) ([]any, error) {
	tags, err := list(d.Tags, func(s string) string { return s })
	if err != nil {
		return nil, err
	}
	doc, err := encode(d)
	if err != nil {
		return nil, err
	}
	label, _, _ := strings.Cut(d.Name, ".")
	v, s := &d.Inventory, d.Signs()
	return []any{
		deviceForm, text(d.Name), text(label), hex.EncodeToString(d.Fingerprint[:]), stamp(d.LastSeen), stamp(d.LastData),
		int64(d.Offset), d.ExternalIP, text(string(s.Health())), stamp(s.Report), stamp(s.First), stamp(s.Oldest), flag(s.Blind),
		text(d.Exposure), text(string(d.Value)), d.Group, int64(d.Regrouped), text(d.Platform), text(v.Distribution), text(v.Version),
		number(v.Build), text(d.AgentVersion), text(v.AadDeviceID), text(canonicalIP(d.LastIP)), flag(d.Left()), tags, doc,
	}, nil
}

// canonicalIP is the text that addresses are looked up by; what is no address stays.
func canonicalIP(s string) string {
	if a, err := netip.ParseAddr(s); err == nil {
		return a.Unmap().String()
	}
	return s
}

// elements is the rows that a device has in tables of their own.
type elements struct {
	tags      []string
	addresses [][4]string // address, MAC, type, status
}

func elementsOf(d *device.Device) elements {
	e := elements{tags: d.Tags}
	for _, a := range d.Inventory.Addresses() {
		e.addresses = append(e.addresses, [4]string{a.IP.String(), a.MAC, a.Type, a.Status})
	}
	return e
}

// writeElements brings the rows from what they were to what they are to be. Most changes
// of a device, such as its heartbeats, leave them as they are.
func writeElements(ctx context.Context, q querier, d *device.Device, was, are elements) error {
	tenant, id := string(d.Tenant), string(d.ID)
	if !slices.Equal(was.tags, are.tags) {
		if _, err := q.ExecContext(ctx, "DELETE FROM device_tag WHERE tenant = ? AND device = ?", tenant, id); err != nil {
			return err
		}
		for _, tag := range are.tags {
			if _, err := q.ExecContext(ctx, "INSERT INTO device_tag (tenant, device, exact, tag) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
				tenant, id, tag, fold(tag)); err != nil {
				return err
			}
		}
	}
	if slices.Equal(was.addresses, are.addresses) {
		return nil
	}
	if _, err := q.ExecContext(ctx, "DELETE FROM device_address WHERE tenant = ? AND device = ?", tenant, id); err != nil {
		return err
	}
	for n, a := range are.addresses {
		if _, err := q.ExecContext(ctx, "INSERT INTO device_address (tenant, device, n, ip, mac, type, status) VALUES (?, ?, ?, ?, ?, ?, ?)",
			tenant, id, n, a[0], text(a[1]), text(a[2]), text(a[3])); err != nil {
			return err
		}
	}
	return nil
}

// reformDevices writes the rows that another release wrote as this one does.
func (s *Store) reformDevices(ctx context.Context) error {
	for {
		left := 0
		err := s.update(ctx, "store.reform", func(ctx context.Context, q querier) error {
			rows, err := q.QueryContext(ctx, deviceSelect+"form <> ? LIMIT 500", deviceForm)
			if err != nil {
				return err
			}
			old, err := scanDevices(rows)
			if err != nil {
				return err
			}
			left = len(old)
			for _, d := range old {
				if err := writeDevice(ctx, q, d); err != nil {
					return err
				}
				if err := writeElements(ctx, q, d, elements{}, elementsOf(d)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil || left == 0 {
			return err
		}
	}
}

func writeDevice(ctx context.Context, q querier, d *device.Device) error {
	cols, err := deviceColumns(d)
	if err != nil {
		return err
	}
	_, err = q.ExecContext(ctx, "UPDATE device SET "+strings.ReplaceAll(deviceNames, ",", " = ?,")+" = ? WHERE tenant = ? AND id = ?",
		append(cols, string(d.Tenant), string(d.ID))...)
	return err
}

func scanDevices(rows *sql.Rows) ([]*device.Device, error) {
	defer rows.Close()
	var out []*device.Device
	for rows.Next() {
		d, err := scanDevice(rows.Scan)
		if err != nil {
			return nil, err
		}
		out = append(out, d)
	}
	return out, rows.Err()
}

// Create implements device.Store.
func (v Devices) Create(ctx context.Context, d *device.Device) error {
	const op = "store.CreateDevice"
	return v.s.update(ctx, op, func(ctx context.Context, q querier) error {
		cols, err := deviceColumns(d)
		if err != nil {
			return err
		}
		_, err = q.ExecContext(ctx, "INSERT INTO device (id, tenant, "+deviceNames+") VALUES (?, ?"+
			strings.Repeat(", ?", len(cols))+")", append([]any{string(d.ID), string(d.Tenant)}, cols...)...)
		if isDuplicate(err) {
			return &errs.E{Op: op, Kind: errs.Conflict, Detail: "a device of this id exists", Err: err}
		}
		if err != nil {
			return err
		}
		return writeElements(ctx, q, d, elements{}, elementsOf(d))
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
		was := elementsOf(d)
		was.tags = slices.Clone(was.tags) // change may alter them where they are
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
		if err := writeDevice(ctx, q, d); err != nil {
			return err
		}
		err = writeElements(ctx, q, d, was, elementsOf(d))
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
		out, err = scanDevices(rows)
		return err
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
		and("id IN (SELECT device FROM device_tag WHERE tenant = ? AND tag = ? AND exact = ?)", string(tenant), fold(q.Tag), q.Tag)
	}
	if q.TagPrefix != "" {
		// LIKE would not mind the case of ASCII letters; a tag's case counts.
		and("id IN (SELECT device FROM device_tag WHERE tenant = ? AND tag >= ? AND tag LIKE ? ESCAPE '\\' AND substr(exact, 1, ?) = ?)",
			string(tenant), fold(q.TagPrefix), escapeLike(fold(q.TagPrefix))+"%", utf8.RuneCountInString(q.TagPrefix), q.TagPrefix)
	}
	if q.IP != "" {
		a, err := netip.ParseAddr(q.IP)
		if err != nil {
			and(truth(false))
		} else {
			ip := a.Unmap().String()
			and("(id IN (SELECT device FROM device_address WHERE tenant = ? AND ip = ?) OR last_ip = ? OR external_ip IN (?, ?))",
				string(tenant), ip, ip, ip, "::ffff:"+ip)
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

// Find implements device.Store.
func (v Devices) Find(ctx context.Context, tenant ident.TenantID, base device.Query, query filter.Query) (filter.Page[*device.Device], error) {
	t := deviceTable
	since := base.SeenSince
	base.SeenSince, base.After = time.Time{}, ""
	t.always, t.alwaysArgs = deviceWhere(tenant, base)
	if !since.IsZero() {
		// Nearly every device is seen within the time that lists go back: no index should be
		// picked for it, hence the sign.
		t.always, t.alwaysArgs = t.always+" AND +seen >= ?", append(t.alwaysArgs, nanos(since))
	}
	return fetchPageBy(ctx, v.s, &t, tenant, query, scanDevice)
}

// Touch implements device.Store.
func (v Devices) Touch(ctx context.Context, contacts []device.Contact) error {
	return v.s.update(ctx, "store.Touch", func(ctx context.Context, q querier) error {
		for _, c := range contacts {
			if err := touch(ctx, q, c); err != nil {
				return err
			}
		}
		return nil
	})
}

// touch records one contact and what it does to the device's state.
func touch(ctx context.Context, q querier, c device.Contact) error {
	var skew any
	if c.Offset != nil {
		skew = int64(*c.Offset)
	}
	seen, data := stamp(c.Seen), stamp(c.Data)
	var first, report, last, oldest *int64
	var blind int64
	err := q.QueryRowContext(ctx, `UPDATE device SET
		seen = CASE WHEN seen IS NULL OR seen < ? THEN ? ELSE seen END,
		data = CASE WHEN data IS NULL OR data < ? THEN ? ELSE data END,
		skew = coalesce(?, skew),
		external_ip = CASE WHEN ? = '' THEN external_ip ELSE ? END
		WHERE tenant = ? AND id = ? RETURNING first, reported, data, oldest, blind`,
		seen, seen, data, data, skew, c.ExternalIP, c.ExternalIP, string(c.Tenant), string(c.Device)).Scan(&first, &report, &last, &oldest, &blind)
	if errors.Is(err, sql.ErrNoRows) || err == nil && c.Data.IsZero() {
		return nil
	}
	if err != nil {
		return err
	}
	s := device.Signs{First: instant(first), Report: instant(report), Data: instant(last), Oldest: instant(oldest), Blind: blind != 0}
	state := text(string(s.Health()))
	_, err = q.ExecContext(ctx, "UPDATE device SET state = ? WHERE tenant = ? AND id = ? AND state <> ?", state, string(c.Tenant), string(c.Device), state)
	return err
}

// scopedIndicators is 1 when the tenant has indicators for some device groups alone, so
// that a device which changes its group needs others than it has, else 0.
func scopedIndicators(ctx context.Context, q querier, tenant ident.TenantID) (uint64, error) {
	var n uint64
	err := q.QueryRowContext(ctx, `SELECT count(*) FROM (SELECT 1 FROM indicator WHERE tenant = ? AND group_ids IS NOT NULL LIMIT 1) AS scoped`, string(tenant)).Scan(&n)
	return n, err
}
