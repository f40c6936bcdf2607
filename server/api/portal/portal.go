// Package portal serves what a browser sees of the server. Until the portal proper exists
// that is one page: the server's state and where its APIs are.
//
// The page has no script and loads nothing; its policy forbids both.
package portal

import (
	"bytes"
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
		h.Set("Cache-Control", "no-store")
		summary := c.Health.Ask(r.Context())
		if !c.Trusted(r) {
			summary = summary.Brief()
		}
		// Whole or not at all: half a page could hide the part that is in trouble.
		var body bytes.Buffer
		if err := page.Execute(&body, struct {
			Config
			Summary health.Summary
		}{c, summary}); err != nil {
			http.Error(w, "The page could not be made.", http.StatusInternalServerError)
			return
		}
		h.Set("Content-Type", "text/html; charset=utf-8")
		w.Write(body.Bytes())
	})
}
