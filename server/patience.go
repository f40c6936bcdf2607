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
	piece int64         // bytes of a body that buy it the same time again; 0 for none
	write time.Duration // for each piece of an answer
}

// usual is the patience with clients on real networks, which bring feeds of vulnerabilities
// of gigabytes.
var usual = patience{body: time.Minute, piece: 4 << 20, write: 2 * time.Minute}

// with keeps clients that send or take next to nothing from holding a connection, and
// what its handler has in memory, for ever.
func (p patience) with(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := http.NewResponseController(w)
		if r.Body != nil && r.Body != http.NoBody {
			b := &patientBody{ReadCloser: r.Body, control: c, patience: p}
			b.wait()
			r.Body = b
		}
		next.ServeHTTP(&patientWriter{ResponseWriter: w, control: c, most: p.write}, r)
	})
}

// patientBody puts the deadline off as the body comes, and takes it off once it is read:
// from then on the server reads only to notice that the client went away, which a deadline
// would look like.
type patientBody struct {
	io.ReadCloser
	patience
	control *http.ResponseController
	read    int64 // since the deadline was set
}

func (b *patientBody) wait() {
	b.read = 0
	_ = b.control.SetReadDeadline(time.Now().Add(b.body)) // an error says that there are no deadlines: nothing can be bounded
}

// Read implements io.Reader.
func (b *patientBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.read += int64(n)
	switch {
	case err == io.EOF:
		_ = b.control.SetReadDeadline(time.Time{})
	case err == nil && b.piece > 0 && b.read >= b.piece:
		b.wait()
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
