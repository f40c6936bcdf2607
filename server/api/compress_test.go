package api_test

import (
	"compress/gzip"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/api"
	"github.com/vedette-edr/vedette/server/ident"
)

// pages is who comes with the cookie of a portal, and with a token who has none.
type pages struct{ caller *access.Principal }

// Resume implements api.Sessions.
func (p pages) Resume(r *http.Request) (*access.Principal, error) {
	if len(r.CookiesNamed("session")) > 0 {
		return p.caller, nil
	}
	return nil, nil
}

// scripts is who comes with any token: the same person, by a program.
type scripts struct{ caller *access.Principal }

// Authenticate implements api.Authenticator.
func (s scripts) Authenticate(context.Context, string, string) (*access.Principal, error) {
	p := *s.caller
	p.Portal = false
	return &p, nil
}

func TestPagesOfThePortalAreAnsweredInGzipAndScriptsAreNot(t *testing.T) {
	who := &access.Principal{Actor: ident.Actor{Kind: ident.ActorUser, ID: "ada"}, Scopes: []string{"Alert.Read"}, Rights: []access.Right{access.ViewOperations}, Portal: true}
	long := strings.Repeat("x", 10_000)
	route := func(path string, h api.Handler) api.Route {
		return api.Route{Method: "GET", Pattern: path, Need: []access.Permission{access.AlertRead}, Handle: h}
	}
	router, err := api.New(api.Config{Auth: scripts{who}, Sessions: pages{who}}, []api.Route{
		route("/api/text", func(w http.ResponseWriter, r *api.Request) error { return api.WriteJSON(w, r, http.StatusOK, long) }),
		route("/api/none", func(w http.ResponseWriter, _ *api.Request) error { return api.WriteEmpty(w, http.StatusNoContent) }),
		route("/api/file", func(w http.ResponseWriter, _ *api.Request) error {
			w.Header().Set("Content-Type", "application/zip")
			_, err := io.WriteString(w, long)
			return err
		}),
	})
	if err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct {
		path, accept string
		page, zipped bool
	}{
		"a page":                        {"/api/text", "gzip, br", true, true},
		"a page that takes none":        {"/api/text", "", true, false},
		"a script":                      {"/api/text", "gzip", false, false},
		"a page's empty answer":         {"/api/none", "gzip", true, false},
		"a page's file":                 {"/api/file", "gzip", true, false},
		"a page's answer of no success": {"/api/nothing", "gzip", true, false},
	} {
		r := httptest.NewRequest("GET", c.path, nil)
		r.Header.Set("Accept-Encoding", c.accept)
		if c.page {
			r.AddCookie(&http.Cookie{Name: "session", Value: "x"})
		} else {
			r.Header.Set("Authorization", "Bearer x")
		}
		w := httptest.NewRecorder()
		router.ServeHTTP(w, r)
		if got := w.Header().Get("Content-Encoding") == "gzip"; got != c.zipped {
			t.Errorf("%s: compressed is %v, headers %v", what, got, w.Header())
			continue
		}
		if !c.zipped {
			continue
		}
		zr, err := gzip.NewReader(w.Body)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if b, err := io.ReadAll(zr); err != nil || string(b) != `"`+long+`"` {
			t.Errorf("%s: %d bytes, %v", what, len(b), err)
		}
		if w.Header().Get("Content-Length") != "" || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s: headers %v", what, w.Header())
		}
	}
}
