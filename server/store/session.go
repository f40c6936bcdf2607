package store

import (
	"context"
	"time"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
)

var sessionTable = table{name: "portal_session", what: "session"}

var _ access.SessionStore = Access{}

// CreateSession implements access.SessionStore.
func (v Access) CreateSession(ctx context.Context, s *access.Session, most int) error {
	const op = "store.CreateSession"
	return v.s.update(ctx, op, func(ctx context.Context, q querier) error {
		err := v.insert(ctx, op, "session",
			`INSERT INTO portal_session (hash, tenant, person, seen, expires, doc) VALUES (?, ?, ?, ?, ?, ?)`, s,
			s.Hash, string(s.Tenant), string(s.Person), nanos(s.Seen), nanos(s.Expires))
		if err != nil {
			return err
		}
		_, err = q.ExecContext(ctx, `DELETE FROM portal_session WHERE tenant = ? AND person = ? AND hash NOT IN
			(SELECT hash FROM portal_session WHERE tenant = ? AND person = ? ORDER BY expires DESC, hash LIMIT ?)`,
			string(s.Tenant), string(s.Person), string(s.Tenant), string(s.Person), most)
		return err
	})
}

// Session implements access.SessionStore.
func (v Access) Session(ctx context.Context, hash string) (*access.Session, error) {
	return fetch[access.Session](ctx, v.s, &sessionTable, "hash = ?", hash)
}

// TouchSession implements access.SessionStore.
func (v Access) TouchSession(ctx context.Context, hash string, seen time.Time) error {
	return v.s.update(ctx, "store.TouchSession", func(ctx context.Context, q querier) error {
		s, err := one[access.Session](ctx, q, &sessionTable, "hash = ?", hash)
		if errs.Is(err, errs.NotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		s.Seen = seen
		doc, err := encode(s)
		if err != nil {
			return err
		}
		_, err = q.ExecContext(ctx, `UPDATE portal_session SET seen = ?, doc = ? WHERE hash = ?`, nanos(seen), doc, hash)
		return err
	})
}

// EndSession implements access.SessionStore.
func (v Access) EndSession(ctx context.Context, hash string) error {
	return v.s.update(ctx, "store.EndSession", func(ctx context.Context, q querier) error {
		_, err := q.ExecContext(ctx, `DELETE FROM portal_session WHERE hash = ?`, hash)
		return err
	})
}

// ExpireSessions implements access.SessionStore.
func (v Access) ExpireSessions(ctx context.Context, now, idle time.Time) error {
	return v.s.update(ctx, "store.ExpireSessions", func(ctx context.Context, q querier) error {
		_, err := q.ExecContext(ctx, `DELETE FROM portal_session WHERE expires <= ? OR seen <= ?`, nanos(now), nanos(idle))
		return err
	})
}

// PersonSessions implements access.SessionStore.
func (v Access) PersonSessions(ctx context.Context, tenant ident.TenantID, person ident.UserID) ([]*access.Session, error) {
	return fetchAll[access.Session](ctx, v.s, &sessionTable, "WHERE tenant = ? AND person = ? ORDER BY seen DESC, expires DESC, hash", string(tenant), string(person))
}

// EndSessions implements access.SessionStore.
func (v Access) EndSessions(ctx context.Context, tenant ident.TenantID, person ident.UserID, but string) error {
	return v.s.update(ctx, "store.EndSessions", func(ctx context.Context, q querier) error {
		_, err := q.ExecContext(ctx, `DELETE FROM portal_session WHERE tenant = ? AND person = ? AND hash <> ?`, string(tenant), string(person), but)
		return err
	})
}
