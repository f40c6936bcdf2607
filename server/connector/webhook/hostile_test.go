package webhook

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/notify"
	"github.com/vedette-edr/vedette/server/outbound"
)

// calling returns a client that trusts a server and may reach it.
func calling(t *testing.T, s *httptest.Server) *Client {
	t.Helper()
	c := New(Config{Guard: outbound.Guard{Allowed: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}, TLS: s.Client().Transport.(*http.Transport).TLSClientConfig, Clock: time.Now})
	t.Cleanup(c.Close)
	return c
}

type memory struct{ *bytes.Reader }

func (memory) Close() error { return nil }

// TestALargeFileIsRefusedEarly sends 32 MiB to receivers that say no before they have read it,
// and close: over HTTP/1.1, where the answer may come while the rest is on its way, and HTTP/2.
func TestALargeFileIsRefusedEarly(t *testing.T) {
	content := bytes.Repeat([]byte("x"), 32<<20)
	for _, two := range []bool{false, true} {
		s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Connection", "close")
			w.WriteHeader(http.StatusRequestEntityTooLarge)
		}))
		s.EnableHTTP2 = two
		s.StartTLS()
		t.Cleanup(s.Close)
		_, err := calling(t, s).Post(t.Context(), notify.Hook{URL: s.URL, Key: "k", Body: []byte("{}"), Secret: []byte("s"), File: &notify.File{
			Name: "b.zip", Type: "application/zip", Size: int64(len(content)),
			Open: func() (io.ReadSeekCloser, error) { return memory{bytes.NewReader(content)}, nil }}})
		if !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), "413") {
			t.Errorf("HTTP/2 %v: %v", two, err)
		}
	}
}

// TestAnAnswerThatDoesNotEnd calls receivers that say nothing, or go on for ever.
func TestAnAnswerThatDoesNotEnd(t *testing.T) {
	over := make(chan struct{})
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/endless" {
			for r.Context().Err() == nil {
				if _, err := w.Write(bytes.Repeat([]byte("ticket "), 1<<10)); err != nil {
					return
				}
			}
			return
		}
		select {
		case <-over:
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(s.Close)
	t.Cleanup(func() { close(over) })
	c := calling(t, s)
	answer, err := c.Post(t.Context(), notify.Hook{URL: s.URL + "/endless", Key: "k", Body: []byte("{}"), Answer: 100})
	if err != nil || len(answer) > 200 || !strings.HasPrefix(answer, "200 OK: ticket") {
		t.Errorf("%q, %v", answer, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := c.Post(ctx, notify.Hook{URL: s.URL + "/silent", Key: "k", Body: []byte("{}")}); !errs.Is(err, errs.Unavailable) && !errs.Is(err, errs.Timeout) {
		t.Errorf("silent: %v", err)
	}
}

// TestWhatIsNoServer calls a port that speaks no HTTP and one that closes at once.
func TestWhatIsNoServer(t *testing.T) {
	s := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(s.Close)
	c := calling(t, s)
	for name, say := range map[string]string{"nothing": "", "garbage": "\x00\x01SSH-2.0-OpenSSH\r\n", "no number": "HTTP/1.1 abc\r\n\r\n"} {
		l, err := tls.Listen("tcp", "127.0.0.1:0", s.TLS)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		go func() {
			for {
				conn, err := l.Accept()
				if errors.Is(err, net.ErrClosed) {
					return
				}
				if err == nil {
					_, _ = io.WriteString(conn, say) // whoever listens
					conn.Close()
				}
			}
		}()
		_, err = c.Post(t.Context(), notify.Hook{URL: "https://" + l.Addr().String(), Key: "k", Body: []byte("{}")})
		if !errs.Is(err, errs.Unavailable) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
