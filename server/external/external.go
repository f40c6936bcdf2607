// Package external fetches the files that queries name by address (externaldata), for the
// server as a whole: query workers have no network.
//
// Whoever may hunt may write an address, so this is a way to make the server send requests.
// It is shut unless the administrator lists hosts or a directory. A host that is listed is
// asked over HTTPS alone; wherever its name leads, and wherever it redirects to, the address
// that is connected to is checked in the dialer, after the name was resolved: loopback,
// private, link-local (metadata services) and other special networks are refused, but for
// those that the administrator names. Credentials are sent to nobody, proxies are not used.
//
// It reads no formats: package kql/external does. Start at Files.Open.
package external

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/vedette-edr/vedette/server/errs"
)

// Config says which files may be read. The zero value allows none.
type Config struct {
	// Hosts are the hosts that may be asked: "lists.example.com", "*.example.com" for
	// everything below a domain, each with ":port" when it is not 443.
	Hosts []string
	// Networks are special networks, such as private ones, in which hosts may be all the
	// same. 169.254.0.0/16 and fe80::/10 cannot be allowed.
	Networks []netip.Prefix
	// Dir is the directory whose files may be read by names relative to it; "" for none.
	Dir string
	// Timeout bounds one file from the connection to its last byte; 0 means 30 s.
	Timeout time.Duration
	// TLS is for hosts with certificates of their own; nil for the system's authorities.
	TLS *tls.Config
	// Resolver answers names; nil for the system's.
	Resolver *net.Resolver
}

// Files opens files by address. It is safe for concurrent use.
type Files struct {
	hosts   []host
	allowed []netip.Prefix
	root    *os.Root // nil for no directory
	timeout time.Duration
	client  *http.Client
}

type host struct {
	name  string // lower case, without the leading "*."
	port  string
	below bool
}

// maxRedirects bounds the redirects of one file.
const maxRedirects = 5

// New checks a configuration and opens its directory.
func New(c Config) (*Files, error) {
	f := &Files{allowed: c.Networks, timeout: c.Timeout}
	if f.timeout <= 0 {
		f.timeout = 30 * time.Second
	}
	for _, s := range c.Hosts {
		h, err := parseHost(s)
		if err != nil {
			return nil, err
		}
		f.hosts = append(f.hosts, h)
	}
	if c.Dir != "" {
		root, err := os.OpenRoot(c.Dir)
		if err != nil {
			return nil, fmt.Errorf("directory of external data: %w", err)
		}
		f.root = root
	}
	dialer := &net.Dialer{Timeout: 10 * time.Second, Resolver: c.Resolver, Control: f.checkAddress}
	f.client = &http.Client{
		Transport: &http.Transport{
			DialContext: dialer.DialContext, TLSClientConfig: c.TLS, ForceAttemptHTTP2: true, TLSHandshakeTimeout: 10 * time.Second,
			ResponseHeaderTimeout: 15 * time.Second, MaxResponseHeaderBytes: 64 << 10, MaxIdleConns: 8, IdleConnTimeout: 30 * time.Second,
		},
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			if len(via) > maxRedirects {
				return fmt.Errorf("more than %d redirects", maxRedirects)
			}
			// What the query's address may hold is no business of the next host.
			r.Header.Del("Referer")
			return f.checkURL(r.URL)
		},
	}
	return f, nil
}

// Close closes the directory and idle connections.
func (f *Files) Close() error {
	f.client.CloseIdleConnections()
	if f.root == nil {
		return nil
	}
	return f.root.Close()
}

// Enabled reports whether any file at all may be read.
func (f *Files) Enabled() bool { return len(f.hosts) > 0 || f.root != nil }

// Open opens the file at an address: https://…, or with a directory a relative path or
// file:///path, which is relative too. Its errors are errs.E with details for the person
// who wrote the address: errs.Unsupported when the server is not configured for such
// files, errs.Denied when it is and this one is not allowed, errs.Invalid for the rest.
// Cancelling ctx ends the reading.
func (f *Files) Open(ctx context.Context, uri string) (io.ReadCloser, error) {
	const op = "external.Open"
	if !f.Enabled() {
		return nil, errs.New(op, errs.Unsupported, errs.DisabledFeature, "externaldata is not available on this server: its administrator lists no hosts and no directory")
	}
	u, err := url.Parse(uri)
	switch {
	case err != nil:
		return nil, errs.New(op, errs.Invalid, errs.BadRequest, "it is no address")
	case u.Scheme == "https" || u.Scheme == "http":
		if err := f.checkURL(u); err != nil {
			return nil, err
		}
		return f.fetch(ctx, u)
	case u.Scheme == "file" && u.Host == "":
		return f.local(strings.TrimLeft(u.Path, "/"))
	case u.Scheme == "" && u.Host == "":
		return f.local(uri)
	}
	return nil, errs.New(op, errs.Invalid, errs.BadRequest, "files are read over https or from the server's own directory, not by %q", u.Scheme)
}

func (f *Files) local(name string) (io.ReadCloser, error) {
	const op = "external.local"
	if f.root == nil {
		return nil, errs.New(op, errs.Unsupported, errs.DisabledFeature, "files of the server are not read: its administrator names no directory for them")
	}
	// The root keeps to the directory, whatever .. and links say. A pipe would be waited
	// for, so what is no file is not opened.
	st, err := f.root.Stat(name)
	if err == nil && !st.Mode().IsRegular() {
		err = fs.ErrNotExist
	}
	var file *os.File
	if err == nil {
		file, err = f.root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	}
	if err != nil {
		return nil, &errs.E{Op: op, Kind: errs.Invalid, Code: errs.BadRequest, Detail: "there is no such file in the directory of external data", Err: err}
	}
	return file, nil
}

func (f *Files) fetch(ctx context.Context, u *url.URL) (io.ReadCloser, error) {
	const op = "external.fetch"
	ctx, cancel := context.WithTimeout(ctx, f.timeout)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		cancel()
		return nil, errs.New(op, errs.Invalid, errs.BadRequest, "it is no address")
	}
	r.Header.Set("User-Agent", "vedette")
	resp, err := f.client.Do(r)
	if err == nil && resp.StatusCode != http.StatusOK {
		_ = resp.Body.Close()
		err = errs.New(op, errs.Invalid, errs.BadRequest, "the host answered %s", resp.Status)
	}
	if err != nil {
		cancel()
		return nil, f.explain(ctx, op, err)
	}
	return &body{resp.Body, ctx, func(err error) error { return f.explain(ctx, op, err) }, cancel}, nil
}

// explain words what went wrong without what the network looks like from here.
func (f *Files) explain(ctx context.Context, op string, err error) error {
	e := &errs.E{Op: op, Kind: errs.Invalid, Code: errs.BadRequest, Detail: "the host cannot be reached, or the transfer broke off", Err: err}
	var known *errs.E
	var dns *net.DNSError
	var cert *tls.CertificateVerificationError
	switch {
	case errors.As(err, &known):
		e.Kind, e.Code, e.Detail = known.Kind, known.Code, known.Detail
	case errors.As(err, &cert):
		e.Detail = "the host's certificate is not trusted"
	case ctx.Err() != nil:
		e.Detail = fmt.Sprintf("the host did not answer within %v", f.timeout)
	case errors.As(err, &dns):
		e.Detail = "the host's name cannot be resolved"
	}
	return e
}

type body struct {
	io.ReadCloser
	ctx     context.Context // of the request
	explain func(error) error
	cancel  context.CancelFunc
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	// A host may end an answer because the request for it was given up: that end is none.
	if given := b.ctx.Err(); err != nil && given != nil {
		err = b.explain(given)
	} else if err != nil && !errors.Is(err, io.EOF) {
		err = b.explain(err)
	}
	return n, err
}

// Close ends the request.
func (b *body) Close() error {
	b.cancel()
	return b.ReadCloser.Close()
}
