package odata

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vedette-edr/vedette/server/api"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/filter"
)

// DateTime renders as an Edm.DateTimeOffset in UTC with seven digits of fraction, as the
// published API does; the zero time as null.
type DateTime time.Time

// MarshalJSON implements json.Marshaler.
func (d DateTime) MarshalJSON() ([]byte, error) {
	t := time.Time(d)
	if t.IsZero() {
		return []byte("null"), nil
	}
	return []byte(t.UTC().Format(`"2006-01-02T15:04:05.0000000Z"`)), nil
}

// WriteCollection answers with one page of a list. context is what follows scheme and
// host in @odata.context, such as /api/$metadata#Alerts. render makes the entity, the
// struct that Spec.Entity showed to Parse.
func WriteCollection[T, E any](w http.ResponseWriter, r *api.Request, context string, o Options, page filter.Page[T], render func(T) E) error {
	var b bytes.Buffer
	b.WriteByte('{')
	if !r.NoMetadata() {
		b.WriteString(`"@odata.context":`)
		if err := encode(&b, r.BaseURL()+context+selected(o.Select)); err != nil {
			return err
		}
		b.WriteByte(',')
	}
	if o.Query.Count {
		b.WriteString(`"@odata.count":` + strconv.FormatInt(page.Total, 10) + ",")
	}
	b.WriteString(`"value":[`)
	if !o.none {
		for i, item := range page.Items {
			if i > 0 {
				b.WriteByte(',')
			}
			if err := encodeEntity(&b, render(item), o.Select); err != nil {
				return err
			}
		}
	}
	b.WriteByte(']')
	if next := o.next(r, len(page.Items), page.More, page.Next); next != "" {
		b.WriteString(`,"@odata.nextLink":`)
		if err := encode(&b, next); err != nil {
			return err
		}
	}
	b.WriteByte('}')
	return write(w, r, http.StatusOK, &b)
}

// WriteEntity answers with one entity.
func WriteEntity(w http.ResponseWriter, r *api.Request, status int, context string, entity any) error {
	return WriteSelected(w, r, status, context, entity, nil)
}

// WriteSelected answers with the named keys of one entity, all of them when sel is nil.
func WriteSelected(w http.ResponseWriter, r *api.Request, status int, context string, entity any, sel []string) error {
	var b, e bytes.Buffer
	if err := encodeEntity(&e, entity, sel); err != nil {
		return err
	}
	b.WriteByte('{')
	if !r.NoMetadata() {
		b.WriteString(`"@odata.context":`)
		if err := encode(&b, r.BaseURL()+context); err != nil {
			return err
		}
		if e.Len() > len("{}") {
			b.WriteByte(',')
		}
	}
	b.Write(e.Bytes()[1:])
	return write(w, r, status, &b)
}

// next is the link to the page after this one, "" when the list ends here. $top bounds
// the whole list, so what is left of it goes along. A list that gives a token is gone on
// with by it, so that rows which come in meanwhile move nothing.
func (o Options) next(r *api.Request, rows int, more bool, token string) string {
	if !more || o.none || rows == 0 || o.given && o.left == 0 {
		return ""
	}
	q := url.Values{}
	for name, value := range r.Query {
		q.Set(name, value)
	}
	if token != "" {
		q.Del("$skip")
		q.Set("$skiptoken", token)
	} else {
		q.Set("$skip", strconv.Itoa(o.Query.Skip+rows))
	}
	if o.given {
		q.Set("$top", strconv.Itoa(o.left))
	}
	return r.BaseURL() + r.URL.EscapedPath() + "?" + strings.ReplaceAll(q.Encode(), "%24", "$")
}

func selected(sel []string) string {
	if len(sel) == 0 {
		return ""
	}
	return "(" + strings.Join(sel, ",") + ")"
}

func write(w http.ResponseWriter, r *api.Request, status int, b *bytes.Buffer) error {
	api.ODataHeaders(w, r)
	w.Header().Set("Content-Length", strconv.Itoa(b.Len()))
	w.WriteHeader(status)
	// A write fails only when the client is gone: nobody is left to tell.
	_, _ = b.WriteTo(w)
	return nil
}

// encode appends v as compact JSON without the escapes that only HTML needs.
func encode(b *bytes.Buffer, v any) error {
	enc := json.NewEncoder(b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return &errs.E{Op: "odata.encode", Kind: errs.Internal, Err: err}
	}
	b.Truncate(b.Len() - 1)
	return nil
}

// encodeEntity appends a struct, or those of its keys that are selected, in its order.
func encodeEntity(b *bytes.Buffer, entity any, sel []string) error {
	if sel == nil {
		return encode(b, entity)
	}
	var whole bytes.Buffer
	if err := encode(&whole, entity); err != nil {
		return err
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(whole.Bytes(), &members); err != nil {
		return &errs.E{Op: "odata.encodeEntity", Kind: errs.Internal, Err: err}
	}
	b.WriteByte('{')
	n := 0
	for _, key := range keys(entity) {
		value, ok := members[key]
		if !ok || !slices.Contains(sel, key) {
			continue
		}
		if n++; n > 1 {
			b.WriteByte(',')
		}
		if err := encode(b, key); err != nil {
			return err
		}
		b.WriteByte(':')
		b.Write(value)
	}
	b.WriteByte('}')
	return nil
}
