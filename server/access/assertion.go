package access

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/vedette-edr/vedette/server/errs"
)

// AssertionWrong is the reason for which a client assertion is refused.
const AssertionWrong errs.Code = "AssertionWrong"

// Bounds of a client assertion: how long one may be good for, and how many ids of used
// ones are remembered. Within its life an id is taken once.
const (
	assertionLife = 24 * time.Hour
	clockSkew     = 5 * time.Minute
	maxAssertions = 100_000
)

// assertionAlgorithms are those that client libraries sign with.
var assertionAlgorithms = []jose.SignatureAlgorithm{jose.RS256, jose.PS256, jose.ES256, jose.ES384, jose.ES512}

// acceptableKey reports whether assertions may be signed with a key of this kind.
func acceptableKey(key any) bool {
	switch k := key.(type) {
	case *rsa.PublicKey:
		return k.N.BitLen() >= 2048 && k.N.BitLen() <= 8192
	case *ecdsa.PublicKey:
		return k.Curve == elliptic.P256() || k.Curve == elliptic.P384() || k.Curve == elliptic.P521()
	}
	return false
}

// assertions remembers which assertions were used, until they expire.
type assertions struct {
	mu   sync.Mutex
	used map[string]time.Time
}

// take reports whether the assertion was not used before.
func (a *assertions) take(key string, expires, now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.used == nil {
		a.used = map[string]time.Time{}
	}
	if end, ok := a.used[key]; ok && now.Before(end) {
		return false
	}
	if len(a.used) >= maxAssertions {
		for k, end := range a.used {
			if !now.Before(end) {
				delete(a.used, k)
			}
		}
		// An id that is forgotten could be used twice: rather refuse new ones.
		if len(a.used) >= maxAssertions {
			return false
		}
	}
	a.used[key] = expires
	return true
}

// CheckAssertion reports whether text is a JWT by which the application proves itself
// (RFC 7523 §2.2): signed with one of its certificates, for one of the audiences, alive,
// and not used before. The error says why not.
func (d *Directory) CheckAssertion(a *Application, text string, audiences []string) error {
	const op = "access.CheckAssertion"
	refuse := func(why string, err error) error {
		return &errs.E{Op: op, Kind: errs.Unauthenticated, Code: AssertionWrong, Detail: "the client assertion is " + why, Err: err}
	}
	if len(text) > maxToken {
		return refuse("malformed", nil)
	}
	t, err := jwt.ParseSigned(text, assertionAlgorithms)
	if err != nil || len(t.Headers) != 1 {
		return refuse("malformed", err)
	}
	now := d.now()
	key := a.assertionKey(t.Headers[0], now)
	if key == nil {
		return refuse("signed with no certificate that is registered and alive", nil)
	}
	c, err := x509.ParseCertificate(key.Certificate)
	if err != nil {
		return errs.Wrap(op, err)
	}
	var claims jwt.Claims
	if err := t.Claims(c.PublicKey, &claims); err != nil {
		return refuse("not signed by its certificate", err)
	}
	switch {
	case !strings.EqualFold(claims.Issuer, string(a.ID)) || !strings.EqualFold(claims.Subject, string(a.ID)):
		return refuse("of another issuer or subject than the application", nil)
	case !slices.ContainsFunc(claims.Audience, func(s string) bool {
		return slices.ContainsFunc(audiences, func(want string) bool { return strings.EqualFold(TrimResource(s), TrimResource(want)) })
	}):
		return refuse("for another audience than this endpoint", nil)
	case claims.Expiry == nil || !now.Before(claims.Expiry.Time().Add(clockSkew)):
		return refuse("expired", nil)
	case claims.Expiry.Time().After(now.Add(assertionLife + clockSkew)):
		return refuse("good for longer than a day", nil)
	case claims.NotBefore != nil && now.Add(clockSkew).Before(claims.NotBefore.Time()):
		return refuse("not valid yet", nil)
	}
	id := claims.ID
	if id == "" {
		sum := sha256.Sum256([]byte(text))
		id = hex.EncodeToString(sum[:])
	}
	if len(id) > 256 || !d.assertions.take(string(a.ID)+"/"+id, claims.Expiry.Time().Add(clockSkew), now) {
		return refuse("one that was used before", nil)
	}
	return nil
}

// assertionKey finds the certificate that a header names, by x5t, x5t#S256 or kid; with no
// name it is the only one there is.
func (a *Application) assertionKey(h jose.Header, now time.Time) *ClientKey {
	var names []string
	for _, k := range []jose.HeaderKey{"x5t", "x5t#S256"} {
		if s, ok := h.ExtraHeaders[k].(string); ok {
			if raw, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(s, "=")); err == nil {
				names = append(names, hex.EncodeToString(raw))
			}
		}
	}
	if h.KeyID != "" {
		names = append(names, strings.ToLower(h.KeyID))
	}
	for i := range a.Keys {
		k := &a.Keys[i]
		if !now.Before(k.Expires) {
			continue
		}
		long := sha256.Sum256(k.Certificate)
		if len(names) == 0 && len(a.Keys) == 1 || slices.Contains(names, k.ID) || slices.Contains(names, hex.EncodeToString(long[:])) {
			return k
		}
	}
	return nil
}
