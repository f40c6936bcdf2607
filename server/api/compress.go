package api

import (
	"net/http"
	"strings"

	"github.com/klauspost/compress/gzip"
)

// compressed is an answer to a page of the portal, in gzip where it is text. Scripts are
// answered as they always were. What an attacker may have put into an answer is never
// compressed together with a secret: the proof of a session comes by another way.
type compressed struct {
	http.ResponseWriter
	zip *gzip.Writer // nil until a body is written that is worth it
	set bool         // the header was written
}

// compressing returns the writer for an answer to r, and what has to be called when the
// answer is whole.
func compressing(w http.ResponseWriter, r *Request) (http.ResponseWriter, func() error) {
	if r.Caller == nil || !r.Caller.Portal || r.Method == http.MethodHead || !strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		return w, func() error { return nil }
	}
	c := &compressed{ResponseWriter: w}
	return c, func() error {
		if c.zip == nil {
			return nil
		}
		return c.zip.Close()
	}
}

// WriteHeader implements http.ResponseWriter.
func (c *compressed) WriteHeader(status int) {
	if !c.set {
		c.set = true
		h := c.Header()
		kind := h.Get("Content-Type")
		text := strings.HasPrefix(kind, "application/json") || strings.HasPrefix(kind, "text/")
		if text && status >= http.StatusOK && status != http.StatusNoContent && status != http.StatusNotModified && h.Get("Content-Encoding") == "" {
			h.Del("Content-Length")
			h.Set("Content-Encoding", "gzip")
			h.Add("Vary", "Accept-Encoding")
			c.zip, _ = gzip.NewWriterLevel(c.ResponseWriter, gzip.BestSpeed) // the level is one that exists
		}
	}
	c.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (c *compressed) Write(p []byte) (int, error) {
	if !c.set {
		c.WriteHeader(http.StatusOK)
	}
	if c.zip == nil {
		return c.ResponseWriter.Write(p)
	}
	return c.zip.Write(p)
}

// Flush implements http.Flusher.
func (c *compressed) Flush() {
	if c.zip != nil {
		_ = c.zip.Flush() // the client is gone: nobody to tell
	}
	_ = http.NewResponseController(c.ResponseWriter).Flush()
}

// Unwrap lets http.ResponseController reach the real writer.
func (c *compressed) Unwrap() http.ResponseWriter { return c.ResponseWriter }
