package store

import (
	"context"
	"time"

	"github.com/vedette-edr/vedette/server/filter"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/incident"
)

var incidentTable = table{
	name: "incident", what: "incident", schema: incident.Fields, key: "id", order: "created DESC NULLS LAST, id DESC",
	// An incident is seen by whom one of its alerts is seen by.
	scope: "EXISTS (SELECT 1 FROM alert JOIN device ON device.id = alert.device AND device.tenant = alert.tenant " +
		"WHERE alert.tenant = incident.tenant AND alert.incident IN (incident.id, incident.redirect) AND device.grp IN " + groups + ")",
	columns: columns{
		"incidentId": "id", "redirectIncidentId": "redirect", "incidentName": "name", "severity": "severity", "status": "status",
		"assignedTo": "assigned", "classification": "classification", "determination": "determination", "tags": "tags",
		"createdTime": "created", "lastUpdateTime": "updated",
	},
}

// Incidents is the incident.Store and the incident.LinkStore of this database.
type Incidents struct{ s *Store }

var (
	_ incident.Store     = Incidents{}
	_ incident.LinkStore = Incidents{}
)

// Incidents returns the store of incidents.
func (s *Store) Incidents() Incidents { return Incidents{s} }

// CreateIncident implements incident.Store.
func (v Incidents) CreateIncident(ctx context.Context, i *incident.Incident) error {
	return v.s.update(ctx, "store.CreateIncident", func(ctx context.Context, q querier) error {
		n, err := nextID(ctx, q, i.Tenant, "incident")
		if err != nil {
			return err
		}
		i.ID = ident.IncidentID(n)
		args, err := incidentColumns(i)
		if err != nil {
			return err
		}
		_, err = q.ExecContext(ctx, `INSERT INTO incident (redirect, name, severity, status, assigned, classification, determination,
			tags, created, updated, doc, tenant, id) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`, args...)
		return err
	})
}

// incidentColumns are the values from redirect on, then tenant and id.
func incidentColumns(i *incident.Incident) ([]any, error) {
	doc, err := encode(i)
	if err != nil {
		return nil, err
	}
	tags, err := list(i.Tags, fold)
	return []any{
		number(int64(i.Redirect)), text(i.Name), text(string(i.Severity)), text(string(i.Status)), text(i.AssignedTo),
		text(i.Classification), text(i.Determination), tags, stamp(i.Created), stamp(i.Updated), doc, string(i.Tenant), int64(i.ID),
	}, err
}

// Incident implements incident.Store.
func (v Incidents) Incident(ctx context.Context, tenant ident.TenantID, id ident.IncidentID) (*incident.Incident, error) {
	return fetch[incident.Incident](ctx, v.s, &incidentTable, "tenant = ? AND id = ?", string(tenant), int64(id))
}

// Incidents implements incident.Store.
func (v Incidents) Incidents(ctx context.Context, tenant ident.TenantID, query filter.Query) (filter.Page[*incident.Incident], error) {
	return fetchPage[incident.Incident](ctx, v.s, &incidentTable, tenant, query)
}

// UpdateIncident implements incident.Store. change runs once and must not call the store.
func (v Incidents) UpdateIncident(ctx context.Context, tenant ident.TenantID, id ident.IncidentID, change func(*incident.Incident) error) (*incident.Incident, error) {
	var out *incident.Incident
	err := v.s.update(ctx, "store.UpdateIncident", func(ctx context.Context, q querier) error {
		i, err := one[incident.Incident](ctx, q, &incidentTable, "tenant = ? AND id = ?", string(tenant), int64(id))
		if err != nil {
			return err
		}
		if err := change(i); err != nil {
			return callerError{err}
		}
		i.Tenant, i.ID = tenant, id
		args, err := incidentColumns(i)
		if err != nil {
			return err
		}
		_, err = q.ExecContext(ctx, `UPDATE incident SET redirect = ?, name = ?, severity = ?, status = ?, assigned = ?,
			classification = ?, determination = ?, tags = ?, created = ?, updated = ?, doc = ? WHERE tenant = ? AND id = ?`, args...)
		out = i
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Link implements incident.LinkStore.
func (v Incidents) Link(ctx context.Context, tenant ident.TenantID, id ident.IncidentID, keys []incident.Key, first, last time.Time) error {
	return v.s.update(ctx, "store.Link", func(ctx context.Context, q querier) error {
		for _, k := range keys {
			_, err := q.ExecContext(ctx, `INSERT INTO incident_link (tenant, kind, key_value, incident, first_time, last_time)
				VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (tenant, kind, key_value, incident) DO UPDATE SET
				first_time = CASE WHEN excluded.first_time < incident_link.first_time THEN excluded.first_time ELSE incident_link.first_time END,
				last_time = CASE WHEN excluded.last_time > incident_link.last_time THEN excluded.last_time ELSE incident_link.last_time END`,
				string(tenant), string(k.Kind), fold(k.Value), int64(id), nanos(first), nanos(last))
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// Links implements incident.LinkStore.
func (v Incidents) Links(ctx context.Context, tenant ident.TenantID, key incident.Key, from, to time.Time, limit int) ([]incident.Link, error) {
	var out []incident.Link
	err := v.s.view(ctx, "store.Links", func(ctx context.Context, q querier) error {
		rows, err := q.QueryContext(ctx, `SELECT incident, first_time, last_time FROM incident_link
			WHERE tenant = ? AND kind = ? AND key_value = ? AND last_time >= ? AND first_time <= ? ORDER BY last_time DESC, incident DESC LIMIT ?`,
			string(tenant), string(key.Kind), fold(key.Value), nanos(from), nanos(to), limit)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var id, first, last int64
			if err := rows.Scan(&id, &first, &last); err != nil {
				return err
			}
			out = append(out, incident.Link{Incident: ident.IncidentID(id), First: instant(&first), Last: instant(&last)})
		}
		return rows.Err()
	})
	return out, err
}

// Unlink implements incident.LinkStore.
func (v Incidents) Unlink(ctx context.Context, tenant ident.TenantID, id ident.IncidentID) error {
	return v.s.update(ctx, "store.Unlink", func(ctx context.Context, q querier) error {
		_, err := q.ExecContext(ctx, `DELETE FROM incident_link WHERE tenant = ? AND incident = ?`, string(tenant), int64(id))
		return err
	})
}

// PruneLinks implements incident.LinkStore.
func (v Incidents) PruneLinks(ctx context.Context, before time.Time) error {
	return v.s.update(ctx, "store.PruneLinks", func(ctx context.Context, q querier) error {
		_, err := q.ExecContext(ctx, `DELETE FROM incident_link WHERE last_time < ?`, nanos(before))
		return err
	})
}
