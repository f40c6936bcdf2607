package store

import (
	"context"
	"time"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
)

var signInTable = table{name: "sign_in_grant", what: "sign-in"}

var _ access.SignInStore = Access{}

// CreateSignIn implements access.SignInStore.
func (v Access) CreateSignIn(ctx context.Context, s *access.SignIn) error {
	return v.insert(ctx, "store.CreateSignIn", "sign-in",
		`INSERT INTO sign_in_grant (hash, kind, tenant, person, family, expires, doc) VALUES (?, ?, ?, ?, ?, ?, ?)`, s,
		s.Hash, string(s.Kind), string(s.Tenant), string(s.Person), s.Family, nanos(s.Expires))
}

// TakeSignIn implements access.SignInStore.
func (v Access) TakeSignIn(ctx context.Context, kind access.SignInKind, hash string, now time.Time) (*access.SignIn, error) {
	const op = "store.TakeSignIn"
	var out *access.SignIn
	reused := false
	err := v.s.update(ctx, op, func(ctx context.Context, q querier) error {
		s, err := one[access.SignIn](ctx, q, &signInTable, "hash = ? AND kind = ? AND expires > ?", hash, string(kind), nanos(now))
		if errs.Is(err, errs.NotFound) {
			return errs.New(op, errs.Unauthenticated, access.SignInUnknown, "the code or refresh token is not known, or expired")
		}
		if err != nil {
			return err
		}
		if reused = !s.Used.IsZero(); reused {
			_, err := q.ExecContext(ctx, `DELETE FROM sign_in_grant WHERE family = ?`, s.Family)
			return err
		}
		used := *s
		used.Used = now
		doc, err := encode(&used)
		if err != nil {
			return err
		}
		_, err = q.ExecContext(ctx, `UPDATE sign_in_grant SET doc = ? WHERE hash = ?`, doc, hash)
		out = s
		return err
	})
	if err != nil {
		return nil, err
	}
	if reused {
		return nil, errs.New(op, errs.Unauthenticated, access.SignInReused, "the code or refresh token was used before: sign in again")
	}
	return out, nil
}

// EndSignIns implements access.SignInStore.
func (v Access) EndSignIns(ctx context.Context, tenant ident.TenantID, person ident.UserID) error {
	return v.s.update(ctx, "store.EndSignIns", func(ctx context.Context, q querier) error {
		_, err := q.ExecContext(ctx, `DELETE FROM sign_in_grant WHERE tenant = ? AND person = ?`, string(tenant), string(person))
		return err
	})
}

// ExpireSignIns implements access.SignInStore.
func (v Access) ExpireSignIns(ctx context.Context, before time.Time) error {
	return v.s.update(ctx, "store.ExpireSignIns", func(ctx context.Context, q querier) error {
		_, err := q.ExecContext(ctx, `DELETE FROM sign_in_grant WHERE expires <= ?`, nanos(before))
		return err
	})
}
