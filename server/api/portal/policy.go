package portal

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"golang.org/x/time/rate"

	"github.com/vedette-edr/vedette/server/api"
	"github.com/vedette-edr/vedette/server/errs"
)

// secure sets what every answer carries, a page's own policy aside.
func secure(h http.Header) {
	h.Set("Content-Security-Policy", "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY") // for browsers that do not know frame-ancestors
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), microphone=(), geolocation=(), payment=(), usb=()")
}

// policy is what the portal's page may do: run the server's own scripts, talk to the
// server, show its own images. Nothing inline runs; style elements need the nonce, which
// the style library of the page stamps on its own. Attributes that style are allowed: the
// editor and the terminal write some, and they can load nothing.
func policy(nonce string) string {
	return strings.Join([]string{
		"default-src 'none'", "script-src 'self'", "worker-src 'self'", "connect-src 'self'", "img-src 'self' data:", "font-src 'self'",
		"style-src 'self'", "style-src-elem 'self' 'nonce-" + nonce + "'", "style-src-attr 'unsafe-inline'",
		"manifest-src 'self'", "base-uri 'none'", "form-action 'self'", "frame-ancestors 'none'", "object-src 'none'",
		"report-uri /portal/report",
	}, "; ")
}

// page answers the portal's one page, whatever its address: the page itself reads it.
func (p *Portal) page(w http.ResponseWriter, r *http.Request) {
	var raw [16]byte
	if _, err := io.ReadFull(p.Rand, raw[:]); err != nil {
		http.Error(w, "The page could not be made.", http.StatusInternalServerError)
		return
	}
	nonce := base64.StdEncoding.EncodeToString(raw[:])
	h := w.Header()
	h.Set("Content-Security-Policy", policy(nonce))
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	if r.Method == http.MethodHead {
		return
	}
	w.Write(p.assets.page(nonce, p.inlined(r)))
}

// reports bounds what browsers can make the server log.
type reports struct{ limit *rate.Limiter }

func newReports() *reports { return &reports{rate.NewLimiter(rate.Every(time.Second), 20)} }

// maxReport bounds a report, in bytes.
const maxReport = 16 << 10

// report takes what a browser says of a page that broke its policy. Anybody may send one,
// so that it is counted and logged in bounds, and believed by nobody.
func (p *Portal) report(w http.ResponseWriter, r *api.Request, _ string) error {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxReport+1))
	if err != nil || len(body) > maxReport {
		return errs.New("portal.report", errs.Invalid, errs.InvalidRequestBody, "a report has %d bytes at most", maxReport)
	}
	var v struct {
		Report struct {
			Directive string `json:"effective-directive"`
			Blocked   string `json:"blocked-uri"`
			Document  string `json:"document-uri"`
			Source    string `json:"source-file"`
			Line      int    `json:"line-number"`
		} `json:"csp-report"`
	}
	if err := json.Unmarshal(body, &v); err != nil {
		return errs.New("portal.report", errs.Invalid, errs.InvalidRequestBody, "the report is not JSON")
	}
	p.Reported()
	if p.reports.limit.AllowN(p.Clock(), 1) {
		c := v.Report
		p.Log.Warn("a page broke its policy", "directive", clip(c.Directive), "blocked", clip(c.Blocked), "page", clip(c.Document),
			"source", fmt.Sprintf("%s:%d", clip(c.Source), c.Line))
	}
	return api.WriteEmpty(w, http.StatusNoContent)
}

func clip(s string) string {
	if len(s) > 200 {
		s = s[:200]
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}
