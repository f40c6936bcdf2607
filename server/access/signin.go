package access

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"io"
	"time"

	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
)

// How long what a sign-in left behind is good for: a code until the program fetches its
// token, a refresh token as in Entra ID.
const (
	CodeLife    = 5 * time.Minute
	RefreshLife = 90 * 24 * time.Hour
)

// The reasons for which a code or refresh token is refused.
const (
	SignInUnknown  errs.Code = "SignInUnknown"  // unknown, expired, or ended
	SignInReused   errs.Code = "SignInReused"   // used before: all that it led to has ended
	SignInMismatch errs.Code = "SignInMismatch" // of another application or redirect address
	ProofWrong     errs.Code = "ProofWrong"     // the PKCE verifier does not fit
)

// SignInKind tells what may be done with a SignIn.
type SignInKind string

// The kinds.
const (
	AuthorizationCode SignInKind = "code"
	RefreshToken      SignInKind = "refresh"
)

// SignIn is an authorization code or refresh token: that a person signed in for an
// application. Its text is known to the program alone.
type SignIn struct {
	Hash        string // hexadecimal keyed hash of the text
	Kind        SignInKind
	Tenant      ident.TenantID
	Person      ident.UserID
	Application ident.AppID
	Family      string // ties together all that one sign-in led to
	Resource    string
	Scopes      []string // delegated permissions asked for by name; nil for all
	OpenID      bool     // an identity token is wanted
	Offline     bool     // a refresh token is wanted
	Nonce       string   // for the identity token
	Redirect    string   // of a code: where it was sent
	Challenge   string   // of a code: SHA-256 of the PKCE verifier, base64url; "" for none
	// Provider vouched for the person, and what it led to lasts no longer than it does; ""
	// for none.
	Provider ident.ProviderID `json:",omitempty"`
	Created  time.Time
	Expires  time.Time
	Used     time.Time // zero while it may be used
}

// SignInStore keeps codes and refresh tokens.
type SignInStore interface {
	// CreateSignIn keeps a new one.
	CreateSignIn(ctx context.Context, s *SignIn) error
	// TakeSignIn uses one up and returns it. One that is unknown, of another kind or expired
	// is errs.Unauthenticated with code SignInUnknown; one that was used before is
	// SignInReused, and everything of its family is forgotten: somebody else has it too.
	TakeSignIn(ctx context.Context, kind SignInKind, hash string, now time.Time) (*SignIn, error)
	// EndSignIns forgets all of a person.
	EndSignIns(ctx context.Context, tenant ident.TenantID, person ident.UserID) error
	// ExpireSignIns forgets what expired before a time.
	ExpireSignIns(ctx context.Context, before time.Time) error
}

// KeepsSignIns reports whether codes and refresh tokens are given at all.
func (d *Directory) KeepsSignIns() bool { return d.signIns != nil }

// Begin keeps a code or refresh token for a person who signed in, and returns its text.
// Hash, Family, Created and Expires are filled in; a Family that is set is kept.
func (d *Directory) Begin(ctx context.Context, s SignIn) (string, error) {
	const op = "access.Begin"
	if d.signIns == nil {
		return "", errs.New(op, errs.Unsupported, errs.DisabledFeature, "sign-ins are not kept here")
	}
	raw := make([]byte, 32)
	if _, err := io.ReadFull(d.rand, raw); err != nil {
		return "", errs.Wrap(op, err)
	}
	text := base64.RawURLEncoding.EncodeToString(raw)
	s.Hash, s.Created = d.signInHash(s.Kind, text), d.now().UTC()
	life := RefreshLife
	if s.Kind == AuthorizationCode {
		life = CodeLife
	}
	s.Expires, s.Used = s.Created.Add(life), time.Time{}
	if s.Family == "" {
		var err error
		if s.Family, err = d.guid(); err != nil {
			return "", errs.Wrap(op, err)
		}
	}
	return text, errs.Wrap(op, d.signIns.CreateSignIn(ctx, &s))
}

func (d *Directory) signInHash(kind SignInKind, text string) string {
	return hex.EncodeToString(d.hash(string(kind) + "/" + text))
}

// RedeemCode uses up an authorization code. verifier is what the code's challenge was made
// of (RFC 7636); redirect what the person was sent back to. It returns the person too.
func (d *Directory) RedeemCode(ctx context.Context, a *Application, code, redirect, verifier string) (*SignIn, *Person, error) {
	const op = "access.RedeemCode"
	s, p, err := d.take(ctx, a, AuthorizationCode, code)
	if err != nil {
		return nil, nil, errs.Wrap(op, err)
	}
	if s.Redirect != redirect {
		return nil, nil, errs.New(op, errs.Unauthenticated, SignInMismatch, "the code was sent to another address")
	}
	if s.Challenge != "" || verifier != "" {
		sum := sha256.Sum256([]byte(verifier))
		got := base64.RawURLEncoding.EncodeToString(sum[:])
		if len(verifier) < 43 || len(verifier) > 128 || subtle.ConstantTimeCompare([]byte(got), []byte(s.Challenge)) != 1 {
			return nil, nil, errs.New(op, errs.Unauthenticated, ProofWrong, "the code verifier does not fit the challenge")
		}
	}
	return s, p, nil
}

// Refresh uses up a refresh token. The caller gives the program another one of the same
// Family.
func (d *Directory) Refresh(ctx context.Context, a *Application, token string) (*SignIn, *Person, error) {
	s, p, err := d.take(ctx, a, RefreshToken, token)
	return s, p, errs.Wrap("access.Refresh", err)
}

func (d *Directory) take(ctx context.Context, a *Application, kind SignInKind, text string) (*SignIn, *Person, error) {
	const op = "access.take"
	unknown := errs.New(op, errs.Unauthenticated, SignInUnknown, "the code or refresh token is not known, or expired")
	if d.signIns == nil || len(text) > 256 {
		return nil, nil, unknown
	}
	s, err := d.signIns.TakeSignIn(ctx, kind, d.signInHash(kind, text), d.now().UTC())
	if err != nil {
		return nil, nil, err
	}
	if s.Application != a.ID || s.Tenant != a.Tenant {
		return nil, nil, errs.New(op, errs.Unauthenticated, SignInMismatch, "the code or refresh token is of another application")
	}
	p, err := d.people.Person(ctx, s.Tenant, s.Person)
	if errs.Is(err, errs.NotFound) {
		return nil, nil, unknown
	}
	if err != nil {
		return nil, nil, err
	}
	if !p.Disabled.IsZero() || p.Changed.After(s.Created) {
		return nil, nil, unknown
	}
	switch ok, err := d.vouches.last(ctx, s.Tenant, s.Provider); {
	case err != nil:
		return nil, nil, err
	case !ok:
		return nil, nil, unknown
	}
	return s, p, nil
}

// Maintain forgets codes and refresh tokens that have expired. It is called now and then.
func (d *Directory) Maintain(ctx context.Context) error {
	if d.signIns == nil {
		return nil
	}
	return errs.Wrap("access.Maintain", d.signIns.ExpireSignIns(ctx, d.now().UTC()))
}

// endSignIns ends what a person signed in to, after which programs must ask again.
func (d *Directory) endSignIns(ctx context.Context, tenant ident.TenantID, id ident.UserID) error {
	if d.signIns == nil {
		return nil
	}
	return d.signIns.EndSignIns(ctx, tenant, id)
}
