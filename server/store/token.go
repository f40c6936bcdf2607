package store

import (
	"context"
	"encoding/hex"
	"time"

	"github.com/vedette-edr/vedette/server/device"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
)

var tokenTable = table{name: "enrolment_token", what: "enrolment token"}

// Tokens is the device.TokenStore of this database.
type Tokens struct{ s *Store }

var _ device.TokenStore = Tokens{}

// Tokens returns the store of enrolment tokens.
func (s *Store) Tokens() Tokens { return Tokens{s} }

// AddToken implements device.TokenStore.
func (v Tokens) AddToken(ctx context.Context, t *device.Token) error {
	const op = "store.AddToken"
	return v.s.update(ctx, op, func(ctx context.Context, q querier) error {
		doc, err := encode(t)
		if err != nil {
			return err
		}
		_, err = q.ExecContext(ctx, `INSERT INTO enrolment_token (hash, tenant, created, doc) VALUES (?, ?, ?, ?)`,
			hex.EncodeToString(t.Hash[:]), string(t.Tenant), nanos(t.Created), doc)
		if isDuplicate(err) {
			return &errs.E{Op: op, Kind: errs.Conflict, Detail: "this enrolment token exists", Err: err}
		}
		return err
	})
}

// UseToken implements device.TokenStore.
func (v Tokens) UseToken(ctx context.Context, hash [32]byte, now time.Time) (*device.Token, error) {
	const op = "store.UseToken"
	refuse := func(why string) error {
		return errs.New(op, errs.Unauthenticated, errs.TokenInvalid, "the enrolment token is %s", why)
	}
	return v.change(ctx, op, "hash = ?", []any{hex.EncodeToString(hash[:])}, func(t *device.Token) error {
		switch {
		case t == nil:
			return refuse("unknown")
		case t.Revoked:
			return refuse("revoked")
		case !t.Expires.IsZero() && !now.Before(t.Expires):
			return refuse("expired")
		case t.Limit > 0 && t.Uses >= t.Limit:
			return refuse("used up")
		}
		t.Uses++
		return nil
	})
}

// Tokens implements device.TokenStore.
func (v Tokens) Tokens(ctx context.Context, tenant ident.TenantID) ([]*device.Token, error) {
	var out []*device.Token
	err := v.s.view(ctx, "store.Tokens", func(ctx context.Context, q querier) error {
		rows, err := q.QueryContext(ctx, `SELECT doc FROM enrolment_token WHERE tenant = ? ORDER BY created, hash`, string(tenant))
		if err != nil {
			return err
		}
		out, err = documents[device.Token](rows)
		return err
	})
	return out, err
}

// RevokeToken implements device.TokenStore.
func (v Tokens) RevokeToken(ctx context.Context, tenant ident.TenantID, hash [32]byte) error {
	const op = "store.RevokeToken"
	args := []any{string(tenant), hex.EncodeToString(hash[:])}
	_, err := v.change(ctx, op, "tenant = ? AND hash = ?", args, func(t *device.Token) error {
		if t == nil {
			return notFound(op, "the enrolment token")
		}
		t.Revoked = true
		return nil
	})
	return err
}

// change gives do the token that where selects, nil when there is none, and keeps what do
// made of it.
func (v Tokens) change(ctx context.Context, op, where string, args []any, do func(*device.Token) error) (*device.Token, error) {
	var out *device.Token
	err := v.s.update(ctx, op, func(ctx context.Context, q querier) error {
		t, err := one[device.Token](ctx, q, &tokenTable, where, args...)
		if err != nil && !errs.Is(err, errs.NotFound) {
			return err
		}
		if err := do(t); err != nil {
			return callerError{err}
		}
		doc, err := encode(t)
		if err != nil {
			return err
		}
		_, err = q.ExecContext(ctx, `UPDATE enrolment_token SET doc = ? WHERE hash = ?`, doc, hex.EncodeToString(t.Hash[:]))
		out = t
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}
