// Package portal serves what a browser sees of the server. Until the portal proper exists
// that is one page: the server's state and where its APIs are.
//
// The page has no script and loads nothing; its policy forbids both.
package portal

import (
	_ "embed"
	"html/template"
	"net/http"

	"github.com/vedette-edr/vedette/server/health"
)

//go:embed status.html
var statusHTML string

var page = template.Must(template.New("status").Parse(statusHTML))

// Config says what the page shows.
type Config struct {
	Version string
	Health  *health.Registry
	// Trusted reports whether a request may see what is behind a part's state.
	Trusted func(*http.Request) bool
}

// Handler serves the status page at / and 404 elsewhere.
func Handler(c Config) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		if r.URL.Path != "/" {
			http.Error(w, "There is nothing at this address. The server's own page is /.", http.StatusNotFound)
			return
		}
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			h.Set("Allow", "GET, HEAD")
			http.Error(w, "This page can only be read.", http.StatusMethodNotAllowed)
			return
		}
		h.Set("Content-Type", "text/html; charset=utf-8")
		h.Set("Cache-Control", "no-store")
		summary := c.Health.Ask(r.Context())
		if !c.Trusted(r) {
			summary = summary.Brief()
		}
		page.Execute(w, struct {
			Config
			Summary health.Summary
		}{c, summary})
	})
}
