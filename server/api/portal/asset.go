package portal

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"html"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
)

// asset is one file of the build, in the forms in which it can be sent.
type asset struct {
	raw, br, gz []byte // nil for a form that the build does not have
	kind        string // media type
}

// assets is the build of the portal.
type assets struct {
	files map[string]*asset // by path in the address
	index []byte            // the page; nil without a build
}

// kinds is the media types of what a build holds. The system's own tables differ from
// machine to machine.
var kinds = map[string]string{
	".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".html": "text/html; charset=utf-8",
	".svg": "image/svg+xml", ".png": "image/png", ".ico": "image/x-icon", ".ttf": "font/ttf", ".woff2": "font/woff2",
	".json": "application/json", ".txt": "text/plain; charset=utf-8", ".webmanifest": "application/manifest+json",
}

// load reads the build. Whoever takes neither brotli nor gzip is sent what the latter
// holds: the server carries no third form.
func load(files fs.FS) (*assets, error) {
	a := &assets{files: map[string]*asset{}}
	if files == nil {
		return a, nil
	}
	err := fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasPrefix(path.Base(name), ".") || name == "README.txt" {
			return err
		}
		b, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		bare, form := name, path.Ext(name)
		if form == ".br" || form == ".gz" {
			bare = strings.TrimSuffix(name, form)
		}
		at := a.files["/"+bare]
		if at == nil {
			kind := kinds[path.Ext(bare)]
			if kind == "" {
				kind = mime.TypeByExtension(path.Ext(bare))
			}
			at = &asset{kind: kind}
			a.files["/"+bare] = at
		}
		switch form {
		case ".br":
			at.br = b
		case ".gz":
			at.gz = b
		default:
			at.raw = b
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("the portal's files: %w", err)
	}
	if f := a.files["/index.html"]; f != nil {
		if a.index, err = f.plain(); err != nil {
			return nil, fmt.Errorf("the portal's page: %w", err)
		}
		delete(a.files, "/index.html")
	}
	return a, nil
}

// plain is the file as it was before compression.
func (f *asset) plain() ([]byte, error) {
	if f.raw != nil {
		return f.raw, nil
	}
	if f.gz == nil {
		return nil, errors.New("it is there in brotli alone")
	}
	zr, err := gzip.NewReader(bytes.NewReader(f.gz))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(zr)
}

// built reports whether there is a portal to show.
func (a *assets) built() bool { return a.index != nil }

// page is the page with the nonce where its scripts look for it, and with data, JSON
// without a "<", which is no script; nil for none.
func (a *assets) page(nonce string, data []byte) []byte {
	more := []byte(`</title><meta name="csp-nonce" content="` + html.EscapeString(nonce) + `">`)
	if data != nil {
		more = slices.Concat(more, []byte(`<script type="application/json" id="session">`), data, []byte(`</script>`))
	}
	return bytes.Replace(a.index, []byte("</title>"), more, 1)
}

// serve answers a file of the build and reports whether there is one of that name. Names
// below /assets/ change with the content: they are kept for ever.
func (a *assets) serve(w http.ResponseWriter, r *http.Request) bool {
	f := a.files[r.URL.Path]
	if f == nil {
		return false
	}
	h := w.Header()
	if !reads(r.Method) {
		h.Set("Allow", "GET, HEAD")
		http.Error(w, "This file can only be read.", http.StatusMethodNotAllowed)
		return true
	}
	h.Set("Content-Type", f.kind)
	h.Set("Vary", "Accept-Encoding")
	h.Set("Cache-Control", "no-cache")
	if strings.HasPrefix(r.URL.Path, "/assets/") {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	var body []byte
	accept := r.Header.Get("Accept-Encoding")
	switch {
	case f.br != nil && accepts(accept, "br"):
		body = f.br
		h.Set("Content-Encoding", "br")
	case f.gz != nil && accepts(accept, "gzip"):
		body = f.gz
		h.Set("Content-Encoding", "gzip")
	default:
		// Hardly anybody: it is not kept in memory for them.
		var err error
		if body, err = f.plain(); err != nil {
			http.Error(w, "The file is damaged.", http.StatusInternalServerError)
			return true
		}
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	if r.Method != http.MethodHead {
		w.Write(body)
	}
	return true
}

// accepts reports whether an Accept-Encoding header takes a coding.
func accepts(header, coding string) bool {
	for part := range strings.SplitSeq(header, ",") {
		name, q, _ := strings.Cut(part, ";")
		if strings.EqualFold(strings.TrimSpace(name), coding) {
			return strings.ReplaceAll(strings.TrimSpace(q), " ", "") != "q=0"
		}
	}
	return false
}
