// Package errs is the server's error: a kind that decides how callers react, a stable
// code that programs read, and a detail that people read.
//
// Kinds map to HTTP in one place (package api). Codes are constants of this package and
// never change their spelling. Detail is shown to callers, so it names the place that is
// wrong and never holds internals; the wrapped Err is for the log alone.
package errs

import (
	"errors"
	"fmt"
	"time"
)

// Kind is the class of an error.
type Kind uint8

// The kinds of error. Internal is the zero value: an error that nobody classified.
const (
	Internal        Kind = iota
	Invalid              // the caller's input is wrong
	NotFound             // the thing named is not there, or not visible to the caller
	Conflict             // the state does not allow it now
	Denied               // the caller may not do it
	Unauthenticated      // who the caller is, is not known
	Limited              // too many or too much: try later
	Timeout              // it took too long
	Unavailable          // a part of the server cannot serve now: try later
	Unsupported          // it is not offered on this device, store or platform
	Exhausted            // a quota of the tenant is used up
)

var kindNames = [...]string{
	"internal", "invalid", "notfound", "conflict", "denied", "unauthenticated",
	"limited", "timeout", "unavailable", "unsupported", "exhausted",
}

// String returns the kind's name for logs.
func (k Kind) String() string {
	if int(k) >= len(kindNames) {
		return "internal"
	}
	return kindNames[k]
}

// E is an error of the server.
type E struct {
	Op     string        // where: package.Operation
	Kind   Kind          // how callers react
	Code   Code          // stable word for programs; "" takes the kind's own
	Detail string        // shown to the caller
	Retry  time.Duration // when it may be tried again; 0 when it says nothing
	Err    error         // cause, for the log alone; may be nil
}

// Error renders the whole chain for logs.
func (e *E) Error() string {
	s := e.Op
	if s != "" {
		s += ": "
	}
	s += e.Kind.String()
	if e.Detail != "" {
		s += ": " + e.Detail
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the cause.
func (e *E) Unwrap() error { return e.Err }

// New returns an error with a formatted detail.
func New(op string, k Kind, code Code, format string, args ...any) *E {
	return &E{Op: op, Kind: k, Code: code, Detail: fmt.Sprintf(format, args...)}
}

// Wrap gives err an operation and keeps its kind, code and detail. It returns nil for nil.
func Wrap(op string, err error) error {
	if err == nil {
		return nil
	}
	var e *E
	if errors.As(err, &e) {
		return &E{Op: op, Kind: e.Kind, Code: e.Code, Detail: e.Detail, Retry: e.Retry, Err: err}
	}
	return &E{Op: op, Err: err}
}

// KindOf returns the kind of the first E in err's chain, Internal when there is none.
func KindOf(err error) Kind {
	var e *E
	if errors.As(err, &e) {
		return e.Kind
	}
	return Internal
}

// Is reports whether err is of kind k; a nil error is of no kind.
func Is(err error, k Kind) bool { return err != nil && KindOf(err) == k }
