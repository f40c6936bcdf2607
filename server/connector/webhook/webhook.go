// Package webhook calls web hooks: addresses on other machines that somebody asked to be
// told at.
//
// Whoever names an address makes the server send a request there, so it goes over HTTPS
// alone, to networks that package outbound lets pass, without following redirects, without
// proxies and credentials, and what is answered is read no further than its status, unless the
// call asks for the beginning of it. A
// request carries its key, the same at each attempt, and a signature when there is a
// secret. Start at Client.Post.
package webhook

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/notify"
	"github.com/vedette-edr/vedette/server/outbound"
)

// The headers of a call.
const (
	// KeyHeader is the same for every attempt of one message.
	KeyHeader = "Idempotency-Key"
	// SignatureHeader is "t=<seconds since 1970>,v1=<hex>": the HMAC-SHA256 over that number,
	// a dot and the body, with the secret as key.
	SignatureHeader = "Vedette-Signature"
)

// Config is how web hooks are called. The zero value reaches public addresses with
// certificates of the system's authorities.
type Config struct {
	Guard outbound.Guard
	TLS   *tls.Config      // nil for the system's authorities
	Clock func() time.Time // nil for time.Now
}

// Client calls web hooks. It is safe for concurrent use.
type Client struct {
	http *http.Client
	now  func() time.Time
}

var _ notify.Poster = (*Client)(nil)

// New returns a client. The caller closes it.
func New(c Config) *Client {
	dialer := &net.Dialer{Timeout: 10 * time.Second, Control: c.Guard.Control}
	w := &Client{now: c.Clock, http: &http.Client{
		Transport: &http.Transport{
			DialContext: dialer.DialContext, TLSClientConfig: c.TLS, ForceAttemptHTTP2: true, TLSHandshakeTimeout: 10 * time.Second,
			ResponseHeaderTimeout: 15 * time.Second, MaxResponseHeaderBytes: 64 << 10, MaxIdleConns: 32, IdleConnTimeout: 30 * time.Second,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	if w.now == nil {
		w.now = time.Now
	}
	return w
}

// Close closes idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// maxDrained is how much of an answer is read to keep its connection, in bytes.
const maxDrained = 64 << 10

// Post implements notify.Poster.
func (c *Client) Post(ctx context.Context, h notify.Hook) (answer string, err error) {
	const op = "webhook.Post"
	if err := notify.CheckURL("url", h.URL); err != nil {
		return "", errs.Wrap(op, err)
	}
	b, err := compose(h)
	if err != nil {
		return "", errs.Wrap(op, err)
	}
	body, err := b.open()
	if err != nil {
		return "", errs.Wrap(op, err)
	}
	defer body.Close()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.URL, body)
	if err != nil {
		return "", &errs.E{Op: op, Kind: errs.Invalid, Code: errs.InvalidURL, Detail: "the address cannot be called", Err: err}
	}
	req.ContentLength, req.GetBody = b.size, b.open
	req.Header.Set("Content-Type", b.media)
	req.Header.Set("User-Agent", "Vedette")
	req.Header.Set(KeyHeader, h.Key)
	if h.Secret != nil {
		at := strconv.FormatInt(c.now().Unix(), 10)
		sum, err := b.sign(h.Secret, at)
		if err != nil {
			return "", errs.Wrap(op, err)
		}
		req.Header.Set(SignatureHeader, "t="+at+",v1="+sum)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return "", explain(op, err)
	}
	defer resp.Body.Close()
	answer = fmt.Sprintf("%d %s", resp.StatusCode, http.StatusText(resp.StatusCode))
	// An answer that ends early is kept as far as it came: its status is what counts.
	said, _ := io.ReadAll(io.LimitReader(resp.Body, int64(h.Answer)))
	if text := strings.TrimSpace(strings.ToValidUTF8(string(said), "\uFFFD")); text != "" {
		answer += ": " + text
	}
	// What is left unread only costs the connection.
	_, _ = io.CopyN(io.Discard, resp.Body, maxDrained)
	switch s := resp.StatusCode; {
	case s >= 200 && s < 300:
		return answer, nil
	case s == http.StatusGone:
		return "", errs.New(op, errs.NotFound, errs.ResourceNotFound, "the receiver answered 410: it wants no more")
	case s == http.StatusRequestEntityTooLarge:
		return "", errs.New(op, errs.Invalid, "", "the receiver answered 413: what is sent is too large for it")
	default:
		return "", errs.New(op, errs.Unavailable, "", "the receiver answered %d %s", s, http.StatusText(s))
	}
}

// Sign returns the hexadecimal signature of a body sent at a time.
func Sign(secret []byte, at string, body []byte) string {
	m := hmac.New(sha256.New, secret)
	m.Write([]byte(at + "."))
	m.Write(body)
	return hex.EncodeToString(m.Sum(nil))
}

// explain turns a failure to reach the receiver into one that people can act on.
func explain(op string, err error) error {
	var e *errs.E
	if errors.As(err, &e) {
		return errs.Wrap(op, e)
	}
	detail := "the receiver cannot be reached"
	var dns *net.DNSError
	var cert *tls.CertificateVerificationError
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		detail = "the receiver did not answer in time"
	case errors.As(err, &dns):
		detail = fmt.Sprintf("the name %s cannot be resolved", dns.Name)
	case errors.As(err, &cert):
		detail = "the receiver's certificate is not trusted"
	}
	return &errs.E{Op: op, Kind: errs.Unavailable, Detail: detail, Err: err}
}
