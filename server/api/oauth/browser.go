package oauth

import (
	"context"
	"crypto/subtle"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
)

// Browser is what the portal knows of the browser that the page is shown in. Both are nil
// where there is no portal: people sign in with a password alone then.
type Browser struct {
	// Visitor returns who signs in, or is signed in, to the portal with the browser of r.
	Visitor func(r *http.Request) (Visitor, error)
	// Ways returns the identity providers of a tenant, each of which leads back to the page
	// of this server with the path and query to. An address that is too long to come back
	// to is errs.Invalid.
	Ways func(ctx context.Context, tenant ident.TenantID, to string) ([]Way, error)
}

// Visitor is somebody with a session in the portal, or nobody.
type Visitor struct {
	Session *access.Session // nil for nobody
	Person  *access.Person
	Proof   string // known to pages of the session alone
	// Unfinished says that somebody signed in as far as to a second factor.
	Unfinished bool
}

// Way is an identity provider.
type Way struct {
	Name    string
	Address string // within this server
}

// sessionField is the proof of the session that the page was shown for.
const sessionField = "vedette_session"

// elsewhere reports whether a browser that came from another site asks for the page: it does
// not bring the session of the portal along (SameSite=Strict) before it asks again from here.
func (b *Browser) elsewhere(r *http.Request) bool {
	return b.Visitor != nil && r.Method == http.MethodGet && r.Header.Get("Sec-Fetch-Site") == "cross-site"
}

// visitor returns who is signed in with the browser and may go on as that for app: nobody
// where the program wants people to sign in anew, or more recently.
func (b *Browser) visitor(r *http.Request, f form, app *access.Application, now time.Time) (Visitor, error) {
	if b.Visitor == nil {
		return Visitor{}, nil
	}
	v, err := b.Visitor(r)
	if err != nil || v.Session == nil {
		return v, err
	}
	age, bad := strconv.Atoi(f["max_age"])
	if v.Person.Tenant != app.Tenant || f["prompt"] == "login" || bad == nil && now.Sub(v.Session.Created) > time.Duration(age)*time.Second {
		return Visitor{}, nil
	}
	return v, nil
}

// offer adds to a page what the browser makes possible beside the password.
func (h *Handler) offer(r *http.Request, f form, app *access.Application, d *pageData) error {
	v, err := h.browser.visitor(r, f, app, h.now())
	if err != nil {
		return err
	}
	switch {
	case v.Session != nil:
		d.Person, d.Proof = v.Person.Login, v.Proof
	case v.Unfinished:
		d.Portal, d.Note = h.authority.URL()+"/", "You have not finished signing in to the portal. Do that, then load this page again."
	}
	if h.browser.Ways == nil {
		return nil
	}
	// Two slashes in front would name another host.
	d.Ways, err = h.browser.Ways(r.Context(), app.Tenant, "/"+strings.TrimLeft(r.URL.EscapedPath(), "/")+"?"+r.URL.RawQuery)
	if errs.Is(err, errs.Invalid) {
		d.Portal, d.Note = h.authority.URL()+"/", "To sign in by an identity provider, sign in to the portal first, then load this page again."
		return nil
	}
	return err
}

// goOn lets the person in who is signed in to the portal with the browser, and was shown to
// be on the page.
func (h *Handler) goOn(r *http.Request, s *submission, q *request) error {
	v, err := h.browser.visitor(r, s.form, s.app, h.now())
	if err != nil {
		return err
	}
	if v.Session == nil || subtle.ConstantTimeCompare([]byte(v.Proof), []byte(s.form[sessionField])) != 1 {
		return failure{status: http.StatusForbidden, err: "invalid_grant", code: 50089, text: "The session in the portal is over, or of somebody else now. Please sign in again."}
	}
	q.login, q.person, s.signIn.Provider = v.Person.Login, v.Person, v.Session.Provider
	return nil
}

// refusals are why somebody comes back from an identity provider without having signed in,
// by the code that the portal puts into the address.
var refusals = map[string]string{
	string(access.SignInStale):     "This sign-in was not begun in this browser, or too long ago. Try again.",
	string(access.AccountUnknown):  "You have no account here. Ask an administrator for one.",
	string(access.AccountTaken):    "An account of your name exists, and this identity provider does not vouch for it. Ask an administrator.",
	string(access.AccountDisabled): "Your account is disabled.",
}

// refusal is the reason that an address gives, "" for none.
func refusal(f form) string {
	code, came := f["signin"]
	if text := refusals[code]; text != "" || !came {
		return text
	}
	return "The identity provider did not let you in. An administrator finds the reason in the audit log."
}
