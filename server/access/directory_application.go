package access

import (
	"context"
	"crypto/sha1" //nolint:gosec // certificates are named by it, nothing is proven with it
	"crypto/subtle"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"io"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
)

// Bounds of an application: secrets and certificates, enough to change one without a gap,
// and what a list may hold.
const (
	maxSecrets   = 8
	maxRedirects = 20
	maxName      = 256 // bytes
)

// usedGrain is how exactly it is kept when an application or secret was last used, so
// that not every token is a write.
const usedGrain = time.Minute

// ApplicationRequest is an application to be made, or what it is to become.
type ApplicationRequest struct {
	Name      string
	Roles     []Permission  // what it may do itself; none for a public one
	Delegated []Permission  // what people may delegate to it; nil for the same as Roles
	Public    bool          // it cannot keep a secret
	Redirects []string      // https, http on a loopback host, or a private-use scheme
	Life      time.Duration // of its first secret; 0 for ever
}

func (r *ApplicationRequest) apply(a *Application) error {
	const op = "access.Application"
	var err error
	if a.Name, err = properName("the application's name", r.Name); err != nil {
		return err
	}
	if r.Public && len(r.Roles) > 0 {
		return errs.New(op, errs.Invalid, errs.InvalidInput, "a public application keeps no secret and acts for people alone: it has delegated permissions only")
	}
	if a.Roles, err = permissionNames("roles", r.Roles); err != nil {
		return err
	}
	a.Delegated = nil
	if r.Delegated != nil {
		if a.Delegated, err = permissionNames("delegated", r.Delegated); err != nil {
			return err
		}
		for i, p := range r.Delegated {
			if p.Delegated() == "" {
				return errs.New(op, errs.Invalid, errs.InvalidInput, "delegated[%d]: people cannot delegate %s", i, p)
			}
		}
		if a.Delegated == nil {
			a.Delegated = []string{}
		}
	}
	if len(r.Redirects) > maxRedirects {
		return errs.New(op, errs.Invalid, errs.InvalidInput, "redirects: %d addresses, at most %d", len(r.Redirects), maxRedirects)
	}
	for i, s := range r.Redirects {
		if err := checkRedirect(s); err != nil {
			return errs.New(op, errs.Invalid, errs.InvalidInput, "redirects[%d]: %s", i, err)
		}
	}
	a.Public, a.Redirects = r.Public, slices.Clone(r.Redirects)
	return nil
}

// checkRedirect refuses addresses that would hand a code to whoever listens.
func checkRedirect(s string) error {
	u, err := url.Parse(s)
	if err != nil || len(s) > 2048 || !u.IsAbs() || u.Fragment != "" || u.User != nil {
		return errs.New("", errs.Invalid, "", "it is not an absolute address without fragment")
	}
	switch u.Scheme {
	case "https":
		if u.Host != "" {
			return nil
		}
	case "http":
		if loopback(u.Hostname()) {
			return nil
		}
	case "javascript", "data", "file", "vbscript", "blob", "about", "ftp", "ws", "wss":
	default:
		// A private-use scheme (RFC 8252 §7.1) belongs to a program on the person's machine.
		if strings.Contains(u.Scheme, ".") || strings.HasPrefix(u.Scheme, "msal") || strings.HasPrefix(u.Scheme, "ms-appx") {
			return nil
		}
	}
	return errs.New("", errs.Invalid, "", "it is neither https, nor http on a loopback address, nor a private-use scheme with a dot")
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}

// Redirect returns the address that a person is sent back to: what was asked for, when it
// is registered, or the only one registered when nothing was asked for. On a loopback host
// any port is taken, since programs cannot choose theirs in advance (RFC 8252 §7.3).
func (a *Application) Redirect(asked string) (string, bool) {
	if asked == "" {
		if len(a.Redirects) == 1 {
			return a.Redirects[0], true
		}
		return "", false
	}
	for _, r := range a.Redirects {
		if r == asked || sameLoopback(r, asked) {
			return asked, true
		}
	}
	return "", false
}

func sameLoopback(registered, asked string) bool {
	r, err := url.Parse(registered)
	if err != nil || r.Scheme != "http" || !loopback(r.Hostname()) {
		return false
	}
	u, err := url.Parse(asked)
	return err == nil && u.Scheme == "http" && u.User == nil && u.Fragment == "" && u.Hostname() == r.Hostname() &&
		strings.TrimSuffix(u.Path, "/") == strings.TrimSuffix(r.Path, "/") && u.RawQuery == r.RawQuery
}

func permissionNames(place string, ps []Permission) ([]string, error) {
	var out []string
	for i, p := range ps {
		if !p.Known() {
			return nil, errs.New("access.Application", errs.Invalid, errs.InvalidInput, "%s[%d]: unknown permission %q", place, i, clip(string(p)))
		}
		if !slices.Contains(out, string(p)) {
			out = append(out, string(p))
		}
	}
	return out, nil
}

// properName trims a name and refuses one that is empty, too long, or cannot be shown.
func properName(place, s string) (string, error) {
	s = strings.TrimSpace(s)
	if s == "" || len(s) > maxName || !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl) {
		return "", errs.New("access.properName", errs.Invalid, errs.InvalidInput, "%s is empty, longer than %d bytes, not UTF-8 or has control characters", place, maxName)
	}
	return s, nil
}

func clip(s string) string {
	if len(s) > 64 {
		s = s[:64] + "…"
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

// NewApplication registers an application with one secret, whose text is returned and not
// kept. An unknown role is errs.Invalid.
func (d *Directory) NewApplication(ctx context.Context, tenant ident.TenantID, name string, roles []Permission) (*Application, string, error) {
	return d.RegisterApplication(ctx, tenant, ApplicationRequest{Name: name, Roles: roles})
}

// RegisterApplication registers an application. The text of its first secret is returned
// and not kept; a public one has none.
func (d *Directory) RegisterApplication(ctx context.Context, tenant ident.TenantID, r ApplicationRequest) (*Application, string, error) {
	const op = "access.RegisterApplication"
	a := &Application{Tenant: tenant, Created: d.now().UTC()}
	if err := r.apply(a); err != nil {
		return nil, "", errs.Wrap(op, err)
	}
	id, err := d.guid()
	if err != nil {
		return nil, "", errs.Wrap(op, err)
	}
	a.ID = ident.AppID(id)
	text := ""
	if !a.Public {
		var s Secret
		if text, s, err = d.secret("", r.Life); err != nil {
			return nil, "", errs.Wrap(op, err)
		}
		a.Secrets = []Secret{s}
	}
	if err := d.apps.CreateApplication(ctx, a); err != nil {
		return nil, "", errs.Wrap(op, err)
	}
	return a, text, nil
}

// ChangeApplication makes an application what r says; its secrets stay.
func (d *Directory) ChangeApplication(ctx context.Context, tenant ident.TenantID, id ident.AppID, r ApplicationRequest) (*Application, error) {
	a, err := d.apps.UpdateApplication(ctx, tenant, id, r.apply)
	return a, errs.Wrap("access.ChangeApplication", err)
}

// Application returns one application of a tenant or errs.NotFound.
func (d *Directory) Application(ctx context.Context, tenant ident.TenantID, id ident.AppID) (*Application, error) {
	const op = "access.Application"
	a, err := d.apps.Application(ctx, id)
	if err == nil && a.Tenant != tenant {
		return nil, errs.New(op, errs.NotFound, errs.ResourceNotFound, "the application was not found")
	}
	return a, errs.Wrap(op, err)
}

// DeleteApplication forgets an application; its tokens are void from now on.
func (d *Directory) DeleteApplication(ctx context.Context, tenant ident.TenantID, id ident.AppID) error {
	return errs.Wrap("access.DeleteApplication", d.apps.DeleteApplication(ctx, tenant, id))
}

// AddSecret gives an application one more secret and returns its text, which is not kept.
// life is how long it is good for, 0 for ever.
func (d *Directory) AddSecret(ctx context.Context, tenant ident.TenantID, id ident.AppID, name string, life time.Duration) (string, Secret, error) {
	const op = "access.AddSecret"
	if len(name) > maxName || !utf8.ValidString(name) || life < 0 {
		return "", Secret{}, errs.New(op, errs.Invalid, errs.InvalidInput, "the secret's name is longer than %d bytes or not UTF-8, or its life is negative", maxName)
	}
	text, s, err := d.secret(name, life)
	if err != nil {
		return "", s, errs.Wrap(op, err)
	}
	_, err = d.apps.UpdateApplication(ctx, tenant, id, func(a *Application) error {
		switch {
		case a.Public:
			return errs.New(op, errs.Conflict, errs.BadRequest, "a public application has no secrets")
		case len(a.Secrets) >= maxSecrets:
			return errs.New(op, errs.Conflict, errs.BadRequest, "an application has at most %d secrets: remove one first", maxSecrets)
		}
		a.Secrets = append(a.Secrets, s)
		return nil
	})
	if err != nil {
		return "", s, errs.Wrap(op, err)
	}
	return text, s, nil
}

// RemoveSecret takes one secret from an application; errs.NotFound when it has none of
// that id. Tokens that were issued for it live out their hour.
func (d *Directory) RemoveSecret(ctx context.Context, tenant ident.TenantID, id ident.AppID, secret string) error {
	const op = "access.RemoveSecret"
	_, err := d.apps.UpdateApplication(ctx, tenant, id, func(a *Application) error {
		n := len(a.Secrets)
		a.Secrets = slices.DeleteFunc(a.Secrets, func(s Secret) bool { return s.ID == secret })
		if len(a.Secrets) == n || secret == "" {
			return errs.New(op, errs.NotFound, errs.ResourceNotFound, "the secret was not found")
		}
		return nil
	})
	return errs.Wrap(op, err)
}

// AddCertificate lets an application prove itself with a certificate, given as PEM or DER.
// It is taken at its word: no chain is checked, as whoever may add it may add a secret.
func (d *Directory) AddCertificate(ctx context.Context, tenant ident.TenantID, id ident.AppID, name string, raw []byte) (ClientKey, error) {
	const op = "access.AddCertificate"
	if _, err := d.Application(ctx, tenant, id); err != nil {
		return ClientKey{}, errs.Wrap(op, err)
	}
	if block, _ := pem.Decode(raw); block != nil {
		raw = block.Bytes
	}
	c, err := x509.ParseCertificate(raw)
	if err != nil || len(raw) > 16<<10 || len(name) > maxName || !utf8.ValidString(name) {
		return ClientKey{}, &errs.E{Op: op, Kind: errs.Invalid, Code: errs.InvalidInput, Detail: "certificate: it is not one in PEM or DER of at most 16 KiB", Err: err}
	}
	if !acceptableKey(c.PublicKey) {
		return ClientKey{}, errs.New(op, errs.Invalid, errs.InvalidInput, "certificate: its key is neither RSA of 2048 bits or more nor of the curves P-256, P-384, P-521")
	}
	sum := sha1.Sum(c.Raw) //nolint:gosec // the published x5t
	k := ClientKey{ID: hex.EncodeToString(sum[:]), Name: name, Certificate: c.Raw, Created: d.now().UTC(), Expires: c.NotAfter.UTC()}
	_, err = d.apps.UpdateApplication(ctx, tenant, id, func(a *Application) error {
		switch {
		case a.Public:
			return errs.New(op, errs.Conflict, errs.BadRequest, "a public application has no certificates")
		case slices.ContainsFunc(a.Keys, func(o ClientKey) bool { return o.ID == k.ID }):
			return errs.New(op, errs.Conflict, errs.BadRequest, "the application has this certificate already")
		case len(a.Keys) >= maxSecrets:
			return errs.New(op, errs.Conflict, errs.BadRequest, "an application has at most %d certificates", maxSecrets)
		}
		a.Keys = append(a.Keys, k)
		return nil
	})
	return k, errs.Wrap(op, err)
}

// ListApplications returns the applications of a tenant, oldest first.
func (d *Directory) ListApplications(ctx context.Context, tenant ident.TenantID) ([]*Application, error) {
	as, err := d.apps.Applications(ctx, tenant)
	return as, errs.Wrap("access.ListApplications", err)
}

// Disable keeps an application from signing in and makes its tokens invalid.
func (d *Directory) Disable(ctx context.Context, tenant ident.TenantID, id ident.AppID) error {
	_, err := d.apps.UpdateApplication(ctx, tenant, id, func(a *Application) error {
		if a.Disabled.IsZero() {
			a.Disabled = d.now().UTC()
		}
		return nil
	})
	return errs.Wrap("access.Disable", err)
}

// Enable lets an application sign in again.
func (d *Directory) Enable(ctx context.Context, tenant ident.TenantID, id ident.AppID) error {
	_, err := d.apps.UpdateApplication(ctx, tenant, id, func(a *Application) error {
		a.Disabled = time.Time{}
		return nil
	})
	return errs.Wrap("access.Enable", err)
}

// CheckSecret reports whether text is a secret of the application, as an error that says
// why not.
func (d *Directory) CheckSecret(a *Application, text string) error {
	const op = "access.CheckSecret"
	if text == "" {
		return errs.New(op, errs.Unauthenticated, SecretMissing, "no client secret was given")
	}
	got := d.hash(text)
	why := SecretWrong
	for _, s := range a.Secrets {
		if subtle.ConstantTimeCompare(got, s.Hash) != 1 {
			continue
		}
		if s.Expires.IsZero() || d.now().Before(s.Expires) {
			return nil
		}
		why = SecretExpired
	}
	return errs.New(op, errs.Unauthenticated, why, "the client secret is wrong or expired")
}

// Used notes that an application got a token with a secret, "" for without one. It writes
// at most once a minute for each.
func (d *Directory) Used(ctx context.Context, a *Application, secret string) error {
	now := d.now().UTC().Truncate(usedGrain)
	var hash []byte
	if secret != "" {
		hash = d.hash(secret)
	}
	mark := func(a *Application) bool {
		news := a.Used.Before(now)
		if news {
			a.Used = now
		}
		for i := range a.Secrets {
			if s := &a.Secrets[i]; hash != nil && subtle.ConstantTimeCompare(hash, s.Hash) == 1 && s.Used.Before(now) {
				s.Used, news = now, true
			}
		}
		return news
	}
	// a is the caller's copy: what it does not know yet is news to the store.
	c := *a
	c.Secrets = slices.Clone(a.Secrets)
	if !mark(&c) {
		return nil
	}
	_, err := d.apps.UpdateApplication(ctx, a.Tenant, a.ID, func(a *Application) error { mark(a); return nil })
	return errs.Wrap("access.Used", err)
}

func (d *Directory) secret(name string, life time.Duration) (string, Secret, error) {
	raw := make([]byte, 32)
	if _, err := io.ReadFull(d.rand, raw); err != nil {
		return "", Secret{}, err
	}
	id, err := d.guid()
	if err != nil {
		return "", Secret{}, err
	}
	text := base64.RawURLEncoding.EncodeToString(raw)
	s := Secret{ID: id, Name: name, Hash: d.hash(text), Hint: text[:3], Created: d.now().UTC()}
	if life > 0 {
		s.Expires = s.Created.Add(life)
	}
	return text, s, nil
}
