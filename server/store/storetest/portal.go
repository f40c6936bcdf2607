package storetest

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/preference"
)

// Sessions tests an access.SessionStore. open returns an empty one.
func Sessions(t *testing.T, open func(testing.TB) access.SessionStore) {
	ada, bob := ident.UserID(guid(1)), ident.UserID(guid(2))
	session := func(hash string, p ident.UserID, at time.Duration) *access.Session {
		return &access.Session{Hash: hash, Tenant: tenantA, Person: p, From: "192.0.2.1", Browser: "<b>", Created: base.Add(at), Seen: base.Add(at), Expires: base.Add(at + time.Hour)}
	}
	there := func(t *testing.T, ctx context.Context, s access.SessionStore, hash string, want bool) {
		t.Helper()
		_, err := s.Session(ctx, hash)
		if want {
			check(t, err)
		} else {
			wantKind(t, hash, err, errs.NotFound)
		}
	}
	t.Run("sessions", func(t *testing.T) {
		s, ctx := open(t), t.Context()
		one := session("1", ada, 0)
		check(t, s.CreateSession(ctx, one, 3))
		wantKind(t, "created twice", s.CreateSession(ctx, one, 3), errs.Conflict)
		got, err := s.Session(ctx, "1")
		check(t, err)
		wantEqual(t, "session", got, one)
		there(t, ctx, s, "2", false)
		seen := base.Add(20 * time.Minute)
		check(t, s.TouchSession(ctx, "1", seen))
		check(t, s.TouchSession(ctx, "gone", seen))
		there(t, ctx, s, "gone", false)
		got, err = s.Session(ctx, "1")
		check(t, err)
		if !got.Seen.Equal(seen) {
			t.Errorf("touched at %v, seen at %v", seen, got.Seen)
		}
		check(t, s.EndSession(ctx, "1"))
		check(t, s.EndSession(ctx, "1"))
		there(t, ctx, s, "1", false)
	})
	t.Run("the-oldest-beyond-the-bound-end", func(t *testing.T) {
		s, ctx := open(t), t.Context()
		check(t, s.CreateSession(ctx, session("other", bob, -time.Hour), 2))
		for i, hash := range []string{"a", "b", "c"} {
			check(t, s.CreateSession(ctx, session(hash, ada, time.Duration(i)*time.Minute), 2))
		}
		there(t, ctx, s, "a", false)
		there(t, ctx, s, "b", true)
		there(t, ctx, s, "c", true)
		there(t, ctx, s, "other", true)
	})
	t.Run("sessions-of-a-person", func(t *testing.T) {
		s, ctx := open(t), t.Context()
		for i, hash := range []string{"a", "b", "c"} {
			check(t, s.CreateSession(ctx, session(hash, ada, time.Duration(i)*time.Minute), 9))
		}
		check(t, s.CreateSession(ctx, session("d", bob, 0), 9))
		check(t, s.TouchSession(ctx, "a", base.Add(time.Hour)))
		names := func(tenant ident.TenantID, p ident.UserID) (out []string) {
			all, err := s.PersonSessions(ctx, tenant, p)
			check(t, err)
			for _, x := range all {
				out = append(out, x.Hash)
			}
			return out
		}
		wantEqual(t, "sessions", names(tenantA, ada), []string{"a", "c", "b"})
		wantEqual(t, "sessions of another tenant", names(tenantB, ada), []string(nil))
		check(t, s.EndSessions(ctx, tenantB, ada, ""))
		check(t, s.EndSessions(ctx, tenantA, ada, "c"))
		wantEqual(t, "what is left", names(tenantA, ada), []string{"c"})
		wantEqual(t, "of somebody else", names(tenantA, bob), []string{"d"})
		check(t, s.EndSessions(ctx, tenantA, ada, ""))
		wantEqual(t, "in the end", names(tenantA, ada), []string(nil))
	})
	t.Run("sessions-expire", func(t *testing.T) {
		s, ctx := open(t), t.Context()
		check(t, s.CreateSession(ctx, session("old", ada, -time.Hour), 9))
		check(t, s.CreateSession(ctx, session("idle", ada, -30*time.Minute), 9))
		check(t, s.CreateSession(ctx, session("new", ada, 0), 9))
		check(t, s.ExpireSessions(ctx, base, base.Add(-10*time.Minute)))
		there(t, ctx, s, "old", false)
		there(t, ctx, s, "idle", false)
		there(t, ctx, s, "new", true)
	})
}

// Preferences tests a preference.Store. open returns an empty one.
func Preferences(t *testing.T, open func(testing.TB) preference.Store) {
	ada, bob := ident.UserID(guid(1)), ident.UserID(guid(2))
	t.Run("preferences", func(t *testing.T) {
		s, ctx := open(t), t.Context()
		put := func(tenant ident.TenantID, p ident.UserID, name, value string) error {
			return s.PutPreference(ctx, tenant, p, name, json.RawMessage(value), 2)
		}
		check(t, put(tenantA, ada, "a", `{"ä":[1,"<b>"]}`))
		check(t, put(tenantA, ada, "b", `1`))
		wantKind(t, "one too many", put(tenantA, ada, "c", `1`), errs.Exhausted)
		check(t, put(tenantA, ada, "b", `"new"`))
		check(t, put(tenantA, bob, "a", `2`))
		check(t, put(tenantB, ada, "a", `3`))
		all, err := s.Preferences(ctx, tenantA, ada)
		check(t, err)
		wantEqual(t, "preferences", all, map[string]json.RawMessage{"a": json.RawMessage(`{"ä":[1,"<b>"]}`), "b": json.RawMessage(`"new"`)})
		check(t, s.DeletePreference(ctx, tenantA, ada, "a"))
		check(t, s.DeletePreference(ctx, tenantA, ada, "a"))
		all, err = s.Preferences(ctx, tenantA, ada)
		check(t, err)
		wantEqual(t, "what is left", all, map[string]json.RawMessage{"b": json.RawMessage(`"new"`)})
		all, err = s.Preferences(ctx, tenantA, bob)
		check(t, err)
		wantEqual(t, "of somebody else", all, map[string]json.RawMessage{"a": json.RawMessage(`2`)})
	})
}
