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

var statusPage = template.Must(template.New("status").Parse(statusHTML))

// status is the page of the server's own state, for whoever cannot or need not sign in. It
// has no script and loads nothing; its policy forbids both.
func (p *Portal) status(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		h.Set("Allow", "GET, HEAD")
		http.Error(w, "This page can only be read.", http.StatusMethodNotAllowed)
		return
	}
	h.Set("Cache-Control", "no-store")
	summary := p.Health.Ask(r.Context())
	if !p.Trusted(r) {
		summary = summary.Brief()
	}
	// Whole or not at all: half a page could hide the part that is in trouble.
	var body bytes.Buffer
	if err := statusPage.Execute(&body, struct {
		Version string
		Built   bool
		Summary health.Summary
	}{p.Version, p.assets.built(), summary}); err != nil {
		http.Error(w, "The page could not be made.", http.StatusInternalServerError)
		return
	}
	h.Set("Content-Type", "text/html; charset=utf-8")
	w.Write(body.Bytes())
}
