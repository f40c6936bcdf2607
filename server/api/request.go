package api

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/errs"
)

// Request is a request that was matched to a route, its caller known and allowed.
type Request struct {
	*http.Request                   // its Body is bounded; its context carries the Principal
	Caller        *access.Principal // nil on an open route
	Query         Query
	Correlation   string // GUID of this request: the target of its error, and in the log

	route string
	vars  map[string]string
	base  string
}

// Var returns a variable of the route's pattern, unescaped and unquoted.
func (r *Request) Var(name string) string { return r.vars[name] }

// Counting reports whether the path ends in OData's /$count: the number of a collection's
// members is asked for, and not the members.
func (r *Request) Counting() bool { return strings.HasSuffix(r.route, CountSegment) }

// CountSegment ends the pattern of a route that answers the number of a collection.
const CountSegment = "/$count"

// Source is the published requestSource of what is asked for by this request.
func (r *Request) Source() string {
	if r.Caller != nil && r.Caller.Portal {
		return "Portal"
	}
	return "PublicApi"
}

// BaseURL returns scheme and host for absolute links, without a slash at the end.
func (r *Request) BaseURL() string {
	if r.base != "" {
		return r.base
	}
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	return scheme + "://" + r.Host
}

// NoMetadata reports whether the client asked for odata.metadata=none, which leaves the
// @odata annotations out of the answer.
func (r *Request) NoMetadata() bool {
	accept := strings.ToLower(strings.ReplaceAll(r.Header.Get("Accept"), " ", ""))
	return strings.Contains(accept, "odata.metadata=none")
}

// Query is the parameters of a URL by name in lower case.
type Query map[string]string

// Get returns the parameter called name in any case, "" when it is not there.
func (q Query) Get(name string) string { return q[strings.ToLower(name)] }

// Has reports whether the parameter called name in any case is there, empty or not.
func (q Query) Has(name string) bool {
	_, ok := q[strings.ToLower(name)]
	return ok
}

// ParseQuery reads the part of a URL behind the question mark. Stray ampersands are
// passed over, '+' is a space, and a semicolon is data, as in the published API; a
// parameter that is given twice is errs.Invalid.
func ParseQuery(raw string) (Query, error) {
	const op = "api.ParseQuery"
	q := Query{}
	for pair := range strings.SplitSeq(raw, "&") {
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(name)
		if err != nil {
			return nil, &errs.E{Op: op, Kind: errs.Invalid, Code: errs.BadRequest, Detail: "a parameter's name in the URL is not properly escaped", Err: err}
		}
		value, err = url.QueryUnescape(value)
		if err != nil {
			return nil, &errs.E{Op: op, Kind: errs.Invalid, Code: errs.BadRequest, Detail: "the value of " + name + " in the URL is not properly escaped", Err: err}
		}
		name = strings.ToLower(name)
		if _, ok := q[name]; ok {
			return nil, errs.New(op, errs.Invalid, errs.ODataError, "the parameter %s is given more than once", name)
		}
		q[name] = value
	}
	return q, nil
}
