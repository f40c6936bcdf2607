package access_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/store"
)

const ownURL = "https://vedette.example"

type fixture struct {
	store     *store.Store
	dir       *access.Directory
	authority *access.Authority
	first     *access.First
	now       time.Time
}

func setup(t *testing.T) *fixture {
	t.Helper()
	s, err := store.Open(t.Context(), store.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	f := &fixture{store: s, now: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)}
	f.dir = access.NewDirectory(access.DirectoryConfig{
		Tenants: s.Access(), Applications: s.Access(), People: s.Access(), SecretKey: s.Key().Derive("client-secret"), Clock: f.clock,
	})
	f.authority = f.openAuthority(t, ownURL)
	if f.first, err = f.dir.Bootstrap(t.Context(), "Vedette"); err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *fixture) clock() time.Time { return f.now }

func (f *fixture) openAuthority(t *testing.T, urls ...string) *access.Authority {
	t.Helper()
	a, err := access.OpenAuthority(t.Context(), access.AuthorityConfig{
		Keys: f.store.Access(), Applications: f.store.Access(), People: f.store.Access(), URLs: urls, Clock: f.clock,
	})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func (f *fixture) issue(t *testing.T, a *access.Authority, resource string) string {
	t.Helper()
	tok, err := a.Issue(access.Grant{Application: f.first.Application, Resource: resource, Version: access.V2})
	if err != nil {
		t.Fatal(err)
	}
	return tok.Text
}

func wantRefused(t *testing.T, a *access.Authority, token, why string) {
	t.Helper()
	_, err := a.Verify(t.Context(), token)
	var e *errs.E
	if !errors.As(err, &e) || e.Kind != errs.Unauthenticated || e.Code != errs.Unauthorized || !strings.Contains(e.Detail, why) {
		t.Errorf("got %v, want a refusal that says %q", err, why)
	}
}

func TestVerify(t *testing.T) {
	f := setup(t)
	good := f.issue(t, f.authority, ownURL+"/")
	if _, err := f.authority.Verify(t.Context(), good); err != nil {
		t.Fatal(err)
	}
	if _, err := f.authority.Issue(access.Grant{Application: f.first.Application, Resource: "https://other.example"}); !errs.Is(err, errs.Invalid) {
		t.Errorf("a token for a foreign resource: %v", err)
	}

	// An authority with the same keys and one audience more issues what this one refuses.
	wide := f.openAuthority(t, ownURL, "https://other.example")
	wantRefused(t, f.authority, f.issue(t, wide, "https://other.example"), "another audience")
	elsewhere := f.openAuthority(t, "https://elsewhere.example", ownURL)
	wantRefused(t, f.authority, f.issue(t, elsewhere, ownURL), "another issuer")

	parts := strings.Split(good, ".")
	header := func(h string) string { return base64.RawURLEncoding.EncodeToString([]byte(h)) }
	wantRefused(t, f.authority, header(`{"alg":"none"}`)+"."+parts[1]+".", "malformed")
	wantRefused(t, f.authority, parts[0]+"."+parts[1]+"."+parts[2][:len(parts[2])-8]+"AAAAAAAA", "not signed")
	wantRefused(t, f.authority, parts[0]+"."+strings.Replace(parts[1], "A", "B", 1)+"."+parts[2], "")
	wantRefused(t, f.authority, "", "malformed")
	wantRefused(t, f.authority, strings.Repeat("a", 1<<20), "malformed")
	wantRefused(t, f.authority, f.forged(t, jose.HS256, []byte("a secret that somebody guessed!!!!!")), "malformed")
	stranger, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	wantRefused(t, f.authority, f.forged(t, jose.RS256, stranger), "signed")

	f.now = f.now.Add(access.TokenLife)
	wantRefused(t, f.authority, good, "expired")
	f.now = f.now.Add(-2 * time.Hour)
	wantRefused(t, f.authority, good, "not valid yet")
}

// forged signs the claims of a good token with another key under the good key's id.
func (f *fixture) forged(t *testing.T, alg jose.SignatureAlgorithm, key any) string {
	t.Helper()
	kid := f.authority.JWKS().Keys[0].KeyID
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, (&jose.SignerOptions{}).WithHeader("kid", kid))
	if err != nil {
		t.Fatal(err)
	}
	good, err := jwt.ParseSigned(f.issue(t, f.authority, ownURL), []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		t.Fatal(err)
	}
	var c map[string]any
	if err := good.UnsafeClaimsWithoutVerification(&c); err != nil {
		t.Fatal(err)
	}
	text, err := jwt.Signed(s).Claims(c).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestDisablingEndsTokens(t *testing.T) {
	f := setup(t)
	token := f.issue(t, f.authority, ownURL)
	if err := f.dir.Disable(t.Context(), f.first.Tenant.ID, f.first.Application.ID); err != nil {
		t.Fatal(err)
	}
	wantRefused(t, f.authority, token, "may no longer sign in")
}

func TestKeysRotate(t *testing.T) {
	f := setup(t)
	other := f.openAuthority(t, ownURL) // another node
	before := f.issue(t, f.authority, ownURL)
	f.now = f.now.Add(30 * 24 * time.Hour)
	late := f.issue(t, f.authority, ownURL) // signed by the old key just before it is changed
	if err := f.authority.Maintain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := len(f.authority.JWKS().Keys); n != 2 {
		t.Fatalf("%d keys after rotation, want the new and the old one", n)
	}
	fresh := f.issue(t, f.authority, ownURL)
	for name, a := range map[string]*access.Authority{"rotated": f.authority, "other node": other} {
		for _, token := range []string{late, fresh} {
			if _, err := a.Verify(t.Context(), token); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		wantRefused(t, a, before, "expired")
	}
	f.now = f.now.Add(3 * time.Hour)
	if err := f.authority.Maintain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := len(f.authority.JWKS().Keys); n != 1 {
		t.Errorf("%d keys when all tokens of the old one have expired, want 1", n)
	}
}

// TestSecretsAreNotOnDisk looks for what must never be stored, in every file there is.
func TestSecretsAreNotOnDisk(t *testing.T) {
	dir := t.TempDir()
	s, err := store.Open(t.Context(), store.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	d := access.NewDirectory(access.DirectoryConfig{Tenants: s.Access(), Applications: s.Access(), People: s.Access(), SecretKey: s.Key().Derive("client-secret")})
	first, err := d.Bootstrap(t.Context(), "Vedette")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := access.OpenAuthority(t.Context(), access.AuthorityConfig{Keys: s.Access(), Applications: s.Access(), People: s.Access()}); err != nil {
		t.Fatal(err)
	}
	keys, err := s.Access().SigningKeys(t.Context())
	if err != nil || len(keys) != 1 {
		t.Fatalf("%d keys, %v", len(keys), err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) < 2 {
		t.Fatalf("files %v, %v", files, err)
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		secrets := map[string]string{
			"client secret": first.Secret, "password": first.Password, "signing key": string(keys[0].Private),
			"signing key in base64": base64.StdEncoding.EncodeToString(keys[0].Private)[:64],
		}
		for what, text := range secrets {
			if strings.Contains(string(b), text) {
				t.Errorf("%s holds the %s", filepath.Base(name), what)
			}
		}
	}
}

func TestBootstrapIsAtomicAndOnce(t *testing.T) {
	f := setup(t)
	if again, err := f.dir.Bootstrap(t.Context(), "Vedette"); again != nil || err != nil {
		t.Errorf("second bootstrap: %v, %v", again, err)
	}
	s, err := store.Open(t.Context(), store.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	d := access.NewDirectory(access.DirectoryConfig{Tenants: s.Access(), Applications: s.Access(), People: s.Access(), SecretKey: make([]byte, 32)})
	full := errors.New("the disk is full")
	err = s.Atomic(t.Context(), func(ctx context.Context) error {
		if _, err := d.Bootstrap(ctx, "Vedette"); err != nil {
			return err
		}
		return full
	})
	if !errors.Is(err, full) {
		t.Fatal(err)
	}
	if all, err := s.Access().Tenants(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("tenants after a bootstrap that failed: %v, %v", all, err)
	}
}

func TestPeople(t *testing.T) {
	f := setup(t)
	ctx, tenant := t.Context(), f.first.Tenant.ID
	if _, _, err := f.dir.NewPerson(ctx, tenant, "ADMIN", "", nil); !errs.Is(err, errs.Conflict) {
		t.Errorf("a login that differs in case only: %v", err)
	}
	if _, _, err := f.dir.NewPerson(ctx, tenant, "short", "secret", nil); !errs.Is(err, errs.Invalid) {
		t.Errorf("a short password: %v", err)
	}
	if err := f.dir.SetPassword(ctx, tenant, f.first.Admin.ID, "correct horse battery"); err != nil {
		t.Fatal(err)
	}
	if _, err := f.dir.SignIn(ctx, tenant, "Admin", "correct horse battery"); err != nil {
		t.Error(err)
	}
	for login, password := range map[string]string{"admin": f.first.Password, "nobody": "correct horse battery", "": ""} {
		if _, err := f.dir.SignIn(ctx, tenant, login, password); !errs.Is(err, errs.Unauthenticated) {
			t.Errorf("%q signs in with another password: %v", login, err)
		}
	}
	if _, err := f.dir.SignIn(ctx, "other", "admin", "correct horse battery"); !errs.Is(err, errs.Unauthenticated) {
		t.Errorf("in another tenant: %v", err)
	}
}

// What was begun with a right ends when the right does.
func TestWhoWasAllowedIsLookedAtAgain(t *testing.T) {
	f := setup(t)
	ctx, tenant := t.Context(), f.first.Tenant.ID
	app := &access.Principal{Actor: ident.Actor{Kind: ident.ActorApp, ID: string(f.first.Application.ID), Tenant: tenant}, Roles: append([]string{"Gone.Since"}, f.first.Application.Roles...)}
	if now, err := f.authority.Renew(ctx, app, f.now); err != nil || slices.Contains(now.Roles, "Gone.Since") || !slices.Equal(now.Roles, f.first.Application.Roles) {
		t.Errorf("an application: %+v, %v", now, err)
	}
	app.Tenant = "other"
	if _, err := f.authority.Renew(ctx, app, f.now); !errs.Is(err, errs.Unauthenticated) {
		t.Errorf("an application of another tenant: %v", err)
	}
	app.Tenant = tenant
	if err := f.dir.Disable(ctx, tenant, f.first.Application.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := f.authority.Renew(ctx, app, f.now); !errs.Is(err, errs.Unauthenticated) {
		t.Errorf("an application that was disabled: %v", err)
	}
	admin := &access.Principal{Actor: ident.Actor{Kind: ident.ActorUser, ID: string(f.first.Admin.ID), Tenant: tenant}, Scopes: []string{"Machine.LiveResponse"}, Portal: true}
	since := f.now
	f.now = f.now.Add(time.Minute)
	if now, err := f.authority.Renew(ctx, admin, since); err != nil || !now.Can(access.MachineLive) || !now.Portal {
		t.Errorf("a person: %+v, %v", now, err)
	}
	if err := f.dir.SetPassword(ctx, tenant, f.first.Admin.ID, "correct horse battery"); err != nil {
		t.Fatal(err)
	}
	if _, err := f.authority.Renew(ctx, admin, since); !errs.Is(err, errs.Unauthenticated) {
		t.Errorf("a person whose password was changed: %v", err)
	}
	if _, err := f.authority.Renew(ctx, admin, f.now); err != nil {
		t.Errorf("what began after that: %v", err)
	}
	admin.ID = "nobody"
	if _, err := f.authority.Renew(ctx, admin, f.now); !errs.Is(err, errs.Unauthenticated) {
		t.Errorf("nobody: %v", err)
	}
}
