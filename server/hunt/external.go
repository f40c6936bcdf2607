package hunt

import (
	"context"
	"errors"
	"io"

	"github.com/vedette-edr/vedette/kql/external"
	"github.com/vedette-edr/vedette/kql/plan"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/telemetry"
)

// Opener opens the files that queries name by address (package server/external). Its
// errors are errs.E whose details are shown to the caller.
type Opener interface {
	Open(ctx context.Context, uri string) (io.ReadCloser, error)
}

// external answers telemetry.Query.External, nil when there is nobody who opens files.
func (s *Service) external() func(context.Context, *plan.External, telemetry.Sink) error {
	if s.files == nil {
		return nil
	}
	open := func(ctx context.Context, uri string) (io.ReadCloser, error) {
		f, err := s.files.Open(ctx, uri)
		if err != nil {
			return nil, shown{err}
		}
		return shownReader{f}, nil
	}
	return func(ctx context.Context, x *plan.External, sink telemetry.Sink) error {
		err := external.Read(ctx, x, open, external.Limits{}, sink)
		var own *external.Error
		if !errors.As(err, &own) {
			return err
		}
		e := &errs.E{Op: "hunt.external", Kind: errs.Invalid, Code: errs.BadRequest, Detail: own.Error(), Err: err}
		var known *errs.E
		if errors.As(own.Err, &known) {
			e.Kind, e.Code = known.Kind, known.Code
		}
		return e
	}
}

// shown is an error whose text is the detail that may be shown.
type shown struct{ error }

// Error returns the detail.
func (s shown) Error() string {
	var e *errs.E
	if errors.As(s.error, &e) && e.Detail != "" {
		return e.Detail
	}
	return "it cannot be read"
}

// Unwrap returns the whole error, for the log.
func (s shown) Unwrap() error { return s.error }

type shownReader struct{ io.ReadCloser }

// Read implements io.Reader.
func (r shownReader) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	if err != nil && err != io.EOF {
		err = shown{err}
	}
	return n, err
}
