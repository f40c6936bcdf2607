package link

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"strconv"
	"time"

	"connectrpc.com/connect"

	"github.com/vedette-edr/vedette/wire"
	"github.com/vedette-edr/vedette/wire/wirepb"
	"github.com/vedette-edr/vedette/wire/wirepb/wirepbconnect"
)

// callTime bounds every call but Watch.
const callTime = time.Minute

// Client calls the server as one enrolled device.
type Client struct {
	wirepbconnect.AgentClient
	transport *http.Transport
}

// NewClient returns a client of an identity at server (https://host:port), which keeps
// what it learns of the server's addresses in dir. Link makes its own; this is for
// programs that speak the protocol without one. The caller closes it.
func NewClient(id *Identity, server, dir string) (*Client, error) {
	d, err := newDialer(server, dir)
	if err != nil {
		return nil, err
	}
	return newClient(id, d)
}

func newClient(id *Identity, d *dialer) (*Client, error) {
	conf, err := id.tls()
	if err != nil {
		return nil, err
	}
	t := transport(conf, d)
	return &Client{wirepbconnect.NewAgentClient(&http.Client{Transport: t}, "https://"+wire.AgentName, options()...), t}, nil
}

// Close ends the client's connections once their calls are over.
func (c *Client) Close() { c.transport.CloseIdleConnections() }

// transport speaks HTTP/2 to the dialer's server. The name in the URL is the protocol's,
// so it is also the TLS server name, whatever the server's address is.
func transport(conf *tls.Config, d *dialer) *http.Transport {
	return &http.Transport{
		TLSClientConfig: conf, DialContext: d.dial, ForceAttemptHTTP2: true,
		TLSHandshakeTimeout: 15 * time.Second, IdleConnTimeout: 2 * time.Minute,
		MaxIdleConnsPerHost: 2, ResponseHeaderTimeout: callTime,
		HTTP2: &http.HTTP2Config{SendPingTimeout: 20 * time.Second, PingTimeout: 15 * time.Second},
	}
}

func options() []connect.ClientOption {
	return []connect.ClientOption{
		connect.WithInterceptors(versioned{}),
		connect.WithReadMaxBytes(4 * wire.MaxMessage),
	}
}

// versioned states the protocol's version in every call.
type versioned struct{}

var versionText = strconv.Itoa(wire.Version)

// WrapUnary adds the header, and a bound on the call's time.
func (versioned) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, r connect.AnyRequest) (connect.AnyResponse, error) {
		r.Header().Set(wire.VersionHeader, versionText)
		ctx, cancel := context.WithTimeout(ctx, callTime)
		defer cancel()
		return next(ctx, r)
	}
}

// WrapStreamingClient adds the header.
func (versioned) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return func(ctx context.Context, s connect.Spec) connect.StreamingClientConn {
		c := next(ctx, s)
		c.RequestHeader().Set(wire.VersionHeader, versionText)
		return c
	}
}

// WrapStreamingHandler changes nothing: the agent answers nobody.
func (versioned) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return next
}

// Codes of faults that agents act on, spelled as the server spells them.
const (
	codeCloned    = "DeviceCloned"
	codeUnknown   = "DeviceUnknown"
	codeMalformed = "BatchMalformed"
	codeForeign   = "BatchForeign"
	codeToken     = "TokenInvalid"
)

// Fault is what the server said with an error.
type Fault struct {
	Code  string // "" when the error is not the server's, or says nothing
	Retry time.Duration
}

// EnrolAgain reports whether the server no longer accepts this identity.
func (f Fault) EnrolAgain() bool { return f.Code == codeCloned || f.Code == codeUnknown }

// FaultOf returns what the server said with err; the zero Fault when it said nothing.
func FaultOf(err error) Fault {
	var c *connect.Error
	if !errors.As(err, &c) {
		return Fault{}
	}
	for _, d := range c.Details() {
		v, err := d.Value()
		if err != nil {
			continue
		}
		if f, ok := v.(*wirepb.Fault); ok {
			return Fault{Code: f.Code, Retry: max(0, time.Duration(f.RetryAfter))}
		}
	}
	return Fault{}
}
