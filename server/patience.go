package server

import (
	"io"
	"net/http"
	"time"
)

// patience bounds how long a client may take over what is small. A query itself may take
// minutes, and so may its whole answer.
type patience struct {
	body  time.Duration // for a request's body
	write time.Duration // for each piece of an answer
}

// usual is the patience with clients on real networks.
var usual = patience{body: time.Minute, write: 2 * time.Minute}

// with keeps clients that send or take next to nothing from holding a connection, and
// what its handler has in memory, for ever.
func (p patience) with(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := http.NewResponseController(w)
		if r.Body != nil && r.Body != http.NoBody {
			// An error says that the connection has no deadlines: nothing can be bounded.
			_ = c.SetReadDeadline(time.Now().Add(p.body))
			r.Body = &patientBody{ReadCloser: r.Body, control: c}
		}
		next.ServeHTTP(&patientWriter{ResponseWriter: w, control: c, most: p.write}, r)
	})
}

// patientBody takes the deadline off once the body is read: from then on the server reads
// only to notice that the client went away, which a deadline would look like.
type patientBody struct {
	io.ReadCloser
	control *http.ResponseController
}

// Read implements io.Reader.
func (b *patientBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == io.EOF {
		_ = b.control.SetReadDeadline(time.Time{})
	}
	return n, err
}

// patientWriter gives each piece of an answer a time of its own.
type patientWriter struct {
	http.ResponseWriter
	control *http.ResponseController
	most    time.Duration
}

// Write implements io.Writer.
func (w *patientWriter) Write(p []byte) (int, error) {
	_ = w.control.SetWriteDeadline(time.Now().Add(w.most))
	return w.ResponseWriter.Write(p)
}

// Flush implements http.Flusher, which some handlers ask for by type.
func (w *patientWriter) Flush() {
	_ = w.control.SetWriteDeadline(time.Now().Add(w.most))
	_ = w.control.Flush()
}

// Unwrap lets http.ResponseController reach the real writer.
func (w *patientWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
