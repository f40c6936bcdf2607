package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"

	"github.com/vedette-edr/vedette/server/errs"
)

// WriteJSON answers with v as compact JSON under the OData headers.
func WriteJSON(w http.ResponseWriter, r *Request, status int, v any) error {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return &errs.E{Op: "api.WriteJSON", Kind: errs.Internal, Err: err}
	}
	body := bytes.TrimSuffix(buf.Bytes(), []byte("\n"))
	ODataHeaders(w, r)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	// A write fails only when the client is gone: nobody is left to tell.
	_, _ = w.Write(body)
	return nil
}

// ODataHeaders sets the headers of a JSON answer, for handlers that write their body
// themselves.
func ODataHeaders(w http.ResponseWriter, r *Request) {
	metadata := "minimal"
	if r.NoMetadata() {
		metadata = "none"
	}
	w.Header().Set("Content-Type", "application/json; odata.metadata="+metadata+"; odata.streaming=true; charset=utf-8")
	w.Header().Set("OData-Version", "4.0")
}

// WriteEmpty answers without a body and without a Content-Type, which some clients take
// for the promise of one.
func WriteEmpty(w http.ResponseWriter, status int) error {
	w.Header().Set("OData-Version", "4.0")
	w.WriteHeader(status)
	return nil
}

// WriteText answers with plain text, as OData does for /$count.
func WriteText(w http.ResponseWriter, status int, text string) error {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("OData-Version", "4.0")
	w.WriteHeader(status)
	_, _ = strings.NewReader(text).WriteTo(w)
	return nil
}

type errorBody struct {
	Error errorDetail `json:"error"`
}

// errorDetail keeps the published order of keys: a client searches the bytes.
type errorDetail struct {
	Code    errs.Code `json:"code"`
	Message string    `json:"message"`
	Target  string    `json:"target"`
}

// WriteError answers with err in the published form. Only Detail and Code of an errs.E
// reach the caller.
func WriteError(w http.ResponseWriter, r *Request, err error) {
	status := statusOf(err)
	if status == statusClientGone {
		w.WriteHeader(status)
		return
	}
	body := errorBody{errorDetail{Code: codeOf(err, status), Message: messageOf(err, status), Target: r.Correlation}}
	var e *errs.E
	if errors.As(err, &e) && e.Retry > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(e.Retry.Seconds()))))
	}
	if status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
	}
	_ = WriteJSON(w, r, status, body)
}

// statusClientGone is logged when the caller went away first; nobody reads it.
const statusClientGone = 499

var statuses = map[errs.Kind]int{
	errs.Internal:        http.StatusInternalServerError,
	errs.Invalid:         http.StatusBadRequest,
	errs.NotFound:        http.StatusNotFound,
	errs.Conflict:        http.StatusConflict,
	errs.Denied:          http.StatusForbidden,
	errs.Unauthenticated: http.StatusUnauthorized,
	errs.Limited:         http.StatusTooManyRequests,
	errs.Timeout:         http.StatusGatewayTimeout,
	errs.Unavailable:     http.StatusServiceUnavailable,
	errs.Unsupported:     http.StatusBadRequest,
	errs.Exhausted:       http.StatusInsufficientStorage,
}

// statusOf is the one place where kinds become HTTP.
func statusOf(err error) int {
	var e *errs.E
	var tooLarge *http.MaxBytesError
	var method *methodError
	switch {
	case errors.As(err, &method):
		return http.StatusMethodNotAllowed
	case errors.As(err, &tooLarge):
		return http.StatusRequestEntityTooLarge
	case errors.Is(err, context.Canceled):
		return statusClientGone
	case errors.As(err, &e):
		// The published API answers a second action of a kind with 400, never 409.
		if e.Code == errs.ActiveRequestAlreadyExists {
			return http.StatusBadRequest
		}
		return statuses[e.Kind]
	case errors.Is(err, context.DeadlineExceeded):
		return http.StatusGatewayTimeout
	}
	return http.StatusInternalServerError
}

func codeOf(err error, status int) errs.Code {
	var e *errs.E
	if errors.As(err, &e) && e.Code != "" {
		return e.Code
	}
	switch status {
	case http.StatusBadRequest, http.StatusMethodNotAllowed, http.StatusConflict:
		return errs.BadRequest
	case http.StatusRequestEntityTooLarge:
		return errs.InvalidRequestBody
	case http.StatusUnauthorized:
		return errs.Unauthorized
	case http.StatusForbidden:
		return errs.Forbidden
	case http.StatusNotFound:
		return errs.NotFoundCode
	case http.StatusTooManyRequests:
		return errs.TooManyRequests
	case http.StatusServiceUnavailable:
		return errs.ServiceDegraded
	case http.StatusInsufficientStorage:
		return errs.QuotaExceeded
	}
	return errs.InternalServerError
}

func messageOf(err error, status int) string {
	var e *errs.E
	var tooLarge *http.MaxBytesError
	var method *methodError
	switch {
	case errors.As(err, &method):
		return method.Error()
	case errors.As(err, &tooLarge):
		return fmt.Sprintf("the request body is larger than %d bytes", tooLarge.Limit)
	case errors.As(err, &e) && e.Detail != "":
		return e.Detail
	case status == http.StatusInternalServerError:
		return "an internal error occurred; the server's log has it under the target of this error"
	}
	return http.StatusText(status)
}

// methodError says that the path is there, but not for this method.
type methodError struct{ method, allowed string }

// Error is what the caller is told.
func (e *methodError) Error() string {
	return fmt.Sprintf("the method %s is not allowed here; allowed: %s", e.method, e.allowed)
}

// panicError carries what a handler panicked with, and from where, into the log.
type panicError struct {
	value any
	stack []byte
}

// Error is for the log alone.
func (e *panicError) Error() string { return fmt.Sprintf("panic: %v\n%s", e.value, e.stack) }

// recorder remembers what was answered.
type recorder struct {
	http.ResponseWriter
	status int // 0 until the header is written
	bytes  int64
}

// WriteHeader implements http.ResponseWriter.
func (w *recorder) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *recorder) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(p)
	w.bytes += int64(n)
	return n, err
}

// Unwrap lets http.ResponseController reach the real writer.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }
