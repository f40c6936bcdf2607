package outbound

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"
)

// ClientConfig is how NewClient's client reaches others. The zero value reaches public
// addresses with certificates of the system's authorities.
type ClientConfig struct {
	Guard   Guard
	TLS     *tls.Config   // nil for the system's authorities
	Timeout time.Duration // of a whole call, its body included; 0 means 15 s
	MaxBody int64         // bytes of an answer; 0 means 1 MiB
}

// ErrTooLarge is what reading an answer ends with that has more bytes than allowed.
var ErrTooLarge = errors.New("the answer is larger than is read")

// NewClient returns a client for documents of other machines: over HTTPS alone, through the
// guard, without proxies and credentials. It follows no redirects: whoever was named is
// asked, and nobody whom they name. An answer that is too large fails while it is read.
func NewClient(c ClientConfig) *http.Client {
	if c.Timeout == 0 {
		c.Timeout = 15 * time.Second
	}
	if c.MaxBody == 0 {
		c.MaxBody = 1 << 20
	}
	dialer := &net.Dialer{Timeout: 10 * time.Second, Control: c.Guard.Control}
	transport := &http.Transport{
		DialContext: dialer.DialContext, TLSClientConfig: c.TLS, ForceAttemptHTTP2: true, TLSHandshakeTimeout: 10 * time.Second,
		ResponseHeaderTimeout: c.Timeout, MaxResponseHeaderBytes: 64 << 10, MaxIdleConns: 16, IdleConnTimeout: 30 * time.Second,
	}
	return &http.Client{Timeout: c.Timeout, Transport: bounded{transport, c.MaxBody},
		CheckRedirect: func(r *http.Request, _ []*http.Request) error {
			return fmt.Errorf("it redirects to %s, which is not followed", r.URL.Redacted())
		}}
}

// bounded refuses what is not HTTPS, and bounds answers.
type bounded struct {
	*http.Transport
	most int64
}

// RoundTrip implements http.RoundTripper.
func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme != "https" {
		return nil, &url.Error{Op: r.Method, URL: r.URL.Redacted(), Err: errors.New("it is not reached over https")}
	}
	res, err := b.Transport.RoundTrip(r)
	if err == nil {
		res.Body = &limited{res.Body, b.most}
	}
	return res, err
}

type limited struct {
	io.ReadCloser
	left int64
}

// Read implements io.Reader.
func (l *limited) Read(p []byte) (int, error) {
	if l.left < 0 {
		return 0, ErrTooLarge
	}
	// One byte more than allowed tells an answer that is too large from one that just fits.
	n, err := l.ReadCloser.Read(p[:min(int64(len(p)), l.left+1)])
	if l.left -= int64(n); l.left < 0 {
		return n - 1, ErrTooLarge
	}
	return n, err
}
