package gateway

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"connectrpc.com/connect"

	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/wire/wirepb"
)

var codes = map[errs.Kind]connect.Code{
	errs.Internal: connect.CodeInternal, errs.Invalid: connect.CodeInvalidArgument, errs.NotFound: connect.CodeNotFound,
	errs.Conflict: connect.CodeFailedPrecondition, errs.Denied: connect.CodePermissionDenied,
	errs.Unauthenticated: connect.CodeUnauthenticated, errs.Limited: connect.CodeResourceExhausted,
	errs.Timeout: connect.CodeDeadlineExceeded, errs.Unavailable: connect.CodeUnavailable,
	errs.Unsupported: connect.CodeUnimplemented, errs.Exhausted: connect.CodeResourceExhausted,
}

// fault turns an error of the server into what the agent reads: kind, code, detail and
// when to try again, and nothing of the cause.
func fault(err error) error {
	var c *connect.Error
	if errors.As(err, &c) {
		return err
	}
	var e *errs.E
	if !errors.As(err, &e) {
		switch {
		case errors.Is(err, context.Canceled):
			return connect.NewError(connect.CodeCanceled, errors.New("the call was cancelled"))
		case errors.Is(err, context.DeadlineExceeded):
			return connect.NewError(connect.CodeDeadlineExceeded, errors.New("the call took too long"))
		}
		e = &errs.E{}
	}
	text := e.Detail
	if text == "" || e.Kind == errs.Internal {
		text = e.Kind.String()
	}
	out := connect.NewError(codes[e.Kind], errors.New(text))
	if d, err := connect.NewErrorDetail(&wirepb.Fault{Code: string(e.Code), RetryAfter: int64(spread(e.Retry))}); err == nil {
		out.AddDetail(d)
	}
	return out
}

// spread lengthens a pause by up to a half, so that devices do not come back all at once.
func spread(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return d + rand.N(d/2+1)
}

// translator turns the errors of all handlers, and counts calls.
type translator struct{ g *Gateway }

var _ connect.Interceptor = (*translator)(nil)

// WrapUnary turns the error of a unary call.
func (t *translator) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, r connect.AnyRequest) (connect.AnyResponse, error) {
		resp, err := next(ctx, r)
		t.g.metrics.called(r.Spec().Procedure, err)
		if err != nil {
			return nil, fault(err)
		}
		return resp, nil
	}
}

// WrapStreamingClient changes nothing: the server calls nobody.
func (t *translator) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return next
}

// WrapStreamingHandler turns the error of a stream.
func (t *translator) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return func(ctx context.Context, c connect.StreamingHandlerConn) error {
		err := next(ctx, c)
		t.g.metrics.called(c.Spec().Procedure, err)
		if err != nil {
			return fault(err)
		}
		return nil
	}
}
