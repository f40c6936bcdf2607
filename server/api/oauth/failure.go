package oauth

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/errs"
)

// failure is an answer in the error shape of Entra ID.
type failure struct {
	status int
	err    string // the OAuth error
	code   int    // AADSTS number
	text   string // without the code
	retry  time.Duration
}

// Error implements error.
func (f failure) Error() string { return f.label() + ": " + f.text }

func (f failure) label() string { return fmt.Sprintf("%s AADSTS%d", f.err, f.code) }

// body is what clients read of a failure.
type body struct {
	Error       string `json:"error"`
	Description string `json:"error_description"`
	Codes       []int  `json:"error_codes"`
	Timestamp   string `json:"timestamp"`
	Trace       string `json:"trace_id"`
	Correlation string `json:"correlation_id"`
	URI         string `json:"error_uri"`
}

func (h *Handler) fail(w http.ResponseWriter, r *http.Request, f failure) {
	trace, correlation := h.guid(), h.guid()
	if id, err := uuid.Parse(r.Header.Get("client-request-id")); err == nil {
		correlation = id.String()
	}
	now := h.now().UTC().Format("2006-01-02 15:04:05Z")
	if f.retry > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int((f.retry+time.Second-1)/time.Second)))
	}
	if f.status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Basic realm="token"`)
	}
	answer(w, f.status, noStore, body{
		Error:       f.err,
		Description: fmt.Sprintf("AADSTS%d: %s Trace ID: %s Correlation ID: %s Timestamp: %s", f.code, f.text, trace, correlation, now),
		Codes:       []int{f.code}, Timestamp: now, Trace: trace, Correlation: correlation,
		URI: h.authority.URL() + "/error?code=" + strconv.Itoa(f.code),
	})
}

func (h *Handler) guid() string {
	id, err := uuid.NewRandomFromReader(h.rand)
	if err != nil {
		return uuid.Nil.String()
	}
	return id.String()
}

func failMissing(parameter string) failure {
	return failure{status: http.StatusBadRequest, err: "invalid_request", code: 900144,
		text: "The request body must contain the following parameter: '" + parameter + "'."}
}

func failUnknownTenant(tenant string) failure {
	return failure{status: http.StatusBadRequest, err: "invalid_request", code: 90002,
		text: "Tenant '" + clip(tenant) + "' not found. Check to make sure you have the correct tenant ID."}
}

func failThrottled(wait time.Duration) failure {
	return failure{status: http.StatusTooManyRequests, err: "temporarily_unavailable", code: 50053, retry: max(wait, time.Second),
		text: "Too many failed attempts to sign in. Try again later."}
}

// credentialFailure words why an application or a person may not sign in.
func credentialFailure(err error, client string) error {
	var e *errs.E
	if !errors.As(err, &e) || e.Kind != errs.Unauthenticated {
		return err
	}
	client = clip(client)
	switch e.Code {
	case access.UnknownApplication:
		return failure{status: http.StatusBadRequest, err: "unauthorized_client", code: 700016,
			text: "Application with identifier '" + client + "' was not found in the directory."}
	case access.DisabledApplication:
		return failure{status: http.StatusBadRequest, err: "unauthorized_client", code: 7000112,
			text: "Application '" + client + "' is disabled."}
	case access.SecretMissing:
		return failure{status: http.StatusUnauthorized, err: "invalid_client", code: 7000218,
			text: "The request body must contain the following parameter: 'client_assertion' or 'client_secret'."}
	case access.SecretWrong:
		return failure{status: http.StatusUnauthorized, err: "invalid_client", code: 7000215,
			text: "Invalid client secret provided for app '" + client + "'. Ensure the secret being sent is the client secret value, not its ID."}
	case access.SecretExpired:
		return failure{status: http.StatusUnauthorized, err: "invalid_client", code: 7000222,
			text: "The provided client secret keys for app '" + client + "' are expired."}
	}
	switch e.Code {
	case access.AssertionWrong:
		return failure{status: http.StatusUnauthorized, err: "invalid_client", code: 700027,
			text: "Client assertion failed validation: " + e.Detail + "."}
	case access.SignInUnknown:
		return failure{status: http.StatusBadRequest, err: "invalid_grant", code: 700082,
			text: "The code or refresh token is not known or has expired."}
	case access.SignInReused:
		return failure{status: http.StatusBadRequest, err: "invalid_grant", code: 54005,
			text: "The code or refresh token was already redeemed. All that it led to has ended: sign in again."}
	case access.SignInMismatch:
		return failure{status: http.StatusBadRequest, err: "invalid_grant", code: 700005,
			text: "The code or refresh token is for another application or redirect address."}
	case access.ProofWrong:
		return failure{status: http.StatusBadRequest, err: "invalid_grant", code: 501481,
			text: "The code_verifier does not match the code_challenge supplied in the authorization request."}
	}
	return failure{status: http.StatusBadRequest, err: "invalid_grant", code: 50126,
		text: "Error validating credentials due to invalid username or password."}
}

// failureOf gives any error its answer; what is not the client's fault tells nothing.
func failureOf(err error) failure {
	var f failure
	if errors.As(err, &f) {
		return f
	}
	var e *errs.E
	retry := time.Second
	if errors.As(err, &e) && e.Retry > 0 {
		retry = e.Retry
	}
	return failure{status: http.StatusServiceUnavailable, err: "temporarily_unavailable", code: 90033, retry: retry,
		text: "A transient error has occurred. Please try again."}
}
