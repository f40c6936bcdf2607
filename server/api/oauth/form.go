package oauth

import (
	"encoding/base64"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// form is the parameters of a request: the body's first, then the query's.
type form map[string]string

// malformed is why a form cannot be read, for people.
type malformed string

func (m malformed) Error() string { return string(m) }

// readForm reads the parameters whatever the method and the Content-Type. A parameter
// that comes twice with different values is refused, because nobody could say which of
// the two was meant.
func readForm(r *http.Request) (form, error) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxForm+1))
	if err != nil {
		return nil, malformed("The request body could not be read.")
	}
	if len(body) > maxForm {
		return nil, malformed("The request body is too large.")
	}
	f := form{}
	if err := f.add(string(body)); err != nil {
		return nil, err
	}
	query := form{}
	if err := query.add(r.URL.RawQuery); err != nil {
		return nil, err
	}
	for k, v := range query {
		if _, ok := f[k]; !ok {
			f[k] = v
		}
	}
	return f, nil
}

// add parses key=value pairs. Clients end lines and leave stray separators; both are let
// pass.
func (f form) add(s string) error {
	s = strings.Trim(s, "\r\n\t &")
	if strings.HasPrefix(s, "{") {
		return malformed("The request body must be a form (key=value&…), not JSON.")
	}
	for pair := range strings.SplitSeq(s, "&") {
		if pair == "" {
			continue
		}
		k, v, _ := strings.Cut(pair, "=")
		k, err := url.QueryUnescape(strings.TrimSpace(k))
		if err != nil {
			return malformed("The name of a parameter is not properly encoded.")
		}
		if v, err = url.QueryUnescape(v); err != nil {
			return malformed("The value of the parameter '" + clip(k) + "' is not properly encoded.")
		}
		k = strings.ToLower(k)
		if old, ok := f[k]; ok && old != v {
			return malformed("The parameter '" + clip(k) + "' is given twice with different values.")
		}
		f[k] = v
	}
	return nil
}

// basic adds what HTTP Basic says of the client where the form does not. The standard has
// id and secret form-encoded inside; clients that do not are understood unless the two
// readings differ and only one can be right.
func (f form) basic(r *http.Request) error {
	scheme, cred, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Basic") {
		return nil
	}
	raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(cred))
	id, secret, ok := strings.Cut(string(raw), ":")
	if err != nil || !ok {
		return malformed("The Authorization header is malformed.")
	}
	for k, v := range map[string]string{"client_id": id, "client_secret": secret} {
		if plain, err := url.QueryUnescape(v); err == nil {
			v = plain
		}
		if f[k] == "" {
			f[k] = v
		}
	}
	return nil
}

func clip(s string) string {
	if len(s) > 128 {
		s = s[:128] + "…"
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}
