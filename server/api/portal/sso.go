package portal

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/api"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/sso"
)

// Callback is the path to which identity providers send people back.
const Callback = "/portal/sso/callback"

// start is the path at which a browser leaves for one.
const start = "/portal/sso/start"

// maxTo bounds the address of a page that somebody wanted to see before they signed in.
const maxTo = 2048

func (p *Portal) offered(ctx context.Context, tenant ident.TenantID) ([]providerEntity, error) {
	all, err := p.SSO.Offered(ctx, tenant)
	out := make([]providerEntity, 0, len(all))
	for _, x := range all {
		out = append(out, providerEntity{string(x.ID), x.Name})
	}
	return out, err
}

// Way is an identity provider that people can sign in by, and the path that leads there.
type Way struct{ Name, Address string }

// Ways returns the identity providers of a tenant. Each leads back to the page of this
// server at to, which is errs.Invalid where it is none that can be come back to.
func (p *Portal) Ways(ctx context.Context, tenant ident.TenantID, to string) ([]Way, error) {
	all, err := p.SSO.Offered(ctx, tenant)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	if local(to) == "/" {
		return nil, errs.New("portal.Ways", errs.Invalid, errs.InvalidInput, "the address to come back to is longer than %d bytes, or not of this server", maxTo)
	}
	var out []Way
	for _, x := range all {
		q := url.Values{"provider": {string(x.ID)}, "tenant": {string(tenant)}, "to": {to}}
		out = append(out, Way{x.Name, start + "?" + q.Encode()})
	}
	return out, nil
}

// providers tells who people of a tenant can sign in by.
func (p *Portal) providers(w http.ResponseWriter, r *api.Request, _ string) error {
	tenant, err := p.Directory.HomeOf(r.Context(), r.URL.Query().Get("tenant"), "")
	if err != nil {
		return err
	}
	all, err := p.offered(r.Context(), tenant.ID)
	if err != nil {
		return err
	}
	return api.WriteJSON(w, r, http.StatusOK, map[string]any{"value": all})
}

// leave sends a browser to an identity provider. It is opened as a page, so that an error
// is one of the sign-in page.
func (p *Portal) leave(w http.ResponseWriter, r *api.Request, _ string) error {
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" && site != "none" {
		return errs.New("portal.leave", errs.Denied, errs.Forbidden, "the request comes from another site")
	}
	q := r.URL.Query()
	to := local(q.Get("to"))
	tenant, err := p.Directory.HomeOf(r.Context(), q.Get("tenant"), "")
	if err != nil {
		return p.turnedAway(w, r, to, err)
	}
	var d *sso.Departure
	err = p.counted(r, func() (err error) {
		d, err = p.SSO.Begin(r.Context(), tenant.ID, ident.ProviderID(strings.ToLower(q.Get("provider"))), p.Origin(r.Request)+Callback, to)
		return err
	})
	if err != nil {
		return p.turnedAway(w, r, to, err)
	}
	// Not Strict: the provider's page is another site, and the browser has to bring it back.
	setCookie(w, r.Request, flowCookie, d.Flow, sso.FlowLife, http.SameSiteLaxMode)
	return redirect(w, d.Address)
}

// arrive takes in who comes back from an identity provider.
func (p *Portal) arrive(w http.ResponseWriter, r *api.Request, _ string) error {
	q := r.URL.Query()
	sealed := cookieText(r.Request, flowCookie)
	setCookie(w, r.Request, flowCookie, "", -time.Second, http.SameSiteLaxMode)
	var in *sso.Arrival
	err := p.counted(r, func() (err error) {
		in, err = p.SSO.Finish(r.Context(), sealed, sso.Answer{State: q.Get("state"), Code: q.Get("code"), Issuer: q.Get("iss"),
			Error: q.Get("error"), Description: q.Get("error_description")})
		return err
	})
	if in == nil {
		in = &sso.Arrival{}
	}
	to := local(in.To)
	if err != nil {
		if in.Provider != nil {
			_ = p.refused(r, Attempt{Tenant: in.Provider.Tenant, Verb: "session.open", From: remoteIP(r.Request), Error: detail(err),
				Actor: ident.Actor{Kind: ident.ActorUser, Tenant: in.Provider.Tenant}}, err)
		}
		return p.turnedAway(w, r, to, err)
	}
	if in.Made {
		p.Attempted(r.Context(), Attempt{Tenant: in.Person.Tenant, Verb: "user.vouched", From: remoteIP(r.Request), Detail: in.Provider.Name + " vouches for " + in.Person.Login,
			Actor: ident.Actor{Kind: ident.ActorUser, ID: string(in.Person.ID), Name: in.Person.Login, Tenant: in.Person.Tenant}})
	}
	if in.Step != access.Admitted {
		err = p.suspend(w, r.Request, in.Admission)
	} else {
		_, _, _, err = p.open(w, r, in.Admission)
	}
	if err != nil {
		return p.turnedAway(w, r, to, err)
	}
	return redirect(w, to)
}

// counted runs a try, whose failures are bounded for each address: each costs a call of the
// provider, a line of the log, or a record.
func (p *Portal) counted(r *api.Request, try func() error) error {
	give, wait := p.attempts.Take("sso/" + remoteIP(r.Request))
	if give == nil {
		return &errs.E{Op: "portal.counted", Kind: errs.Limited, Code: errs.TooManyRequests, Retry: wait, Detail: "there were too many attempts to sign in: wait a moment and try again"}
	}
	err := try()
	if err == nil {
		give()
	}
	return err
}

// redirect sends a browser elsewhere, with GET.
func redirect(w http.ResponseWriter, to string) error {
	w.Header().Set("Location", to)
	w.WriteHeader(http.StatusSeeOther)
	return nil
}

// turnedAway shows the sign-in page with the reason, as a code of a fixed set: what somebody
// else wrote is for the record and the log.
func (p *Portal) turnedAway(w http.ResponseWriter, r *api.Request, to string, err error) error {
	if !errs.Is(err, errs.Limited) {
		p.Log.Warn("single sign-on", "correlation", r.Correlation, "err", err)
	}
	var e *errs.E
	code := "ProviderFailed"
	if errors.As(err, &e) && e.Code != "" {
		code = string(e.Code)
	}
	u, perr := url.Parse(to)
	if perr != nil {
		u = &url.URL{Path: "/"}
	}
	q := u.Query()
	q.Set("signin", code)
	u.RawQuery = q.Encode()
	return redirect(w, u.String())
}

func detail(err error) string {
	var e *errs.E
	if errors.As(err, &e) && e.Detail != "" {
		return clip(e.Detail)
	}
	return errs.KindOf(err).String()
}

// local is an address within the portal, and "/" for what is none: nobody is sent elsewhere
// after signing in.
func local(to string) string {
	u, err := url.Parse(to)
	if err != nil || len(to) > maxTo || !strings.HasPrefix(to, "/") || strings.HasPrefix(to, "//") || strings.ContainsAny(to, "\\\r\n\t") ||
		u.Host != "" || u.Scheme != "" || strings.HasPrefix(u.Path, "/portal/") || strings.HasPrefix(u.Path, "//") {
		return "/"
	}
	q := u.Query()
	if q.Has("signin") { // of a try before
		q.Del("signin")
		u.RawQuery = q.Encode()
	}
	return u.String()
}
