package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vedette-edr/vedette/server/errs"
)

// Object is a JSON object of a request body whose members are read by name. Names are
// case-sensitive, as in the published API, unless Fold was called; members that nobody
// reads are ignored. The methods return errs.Invalid that names the member and its place.
//
// A member that is null counts as absent for RequireString, while Has sees it.
type Object struct {
	members map[string]*jsonValue
	folded  map[string]*jsonValue // by lower-case name; nil when case matters
	path    string                // of the object in the body, "" for the body itself
}

// jsonValue is a decoded value: nil, bool, string, json.Number, []*jsonValue or *Object.
type jsonValue struct {
	v    any
	line int
	col  int
}

// JSON reads the body, which must be one JSON object.
func (r *Request) JSON() (*Object, error) {
	data, err := io.ReadAll(r.Body)
	if err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return nil, err
		}
		return nil, &errs.E{Op: "api.Request.JSON", Kind: errs.Invalid, Code: errs.InvalidRequestBody, Detail: "the request body ended early", Err: err}
	}
	return ParseObject(data)
}

func (v *jsonValue) kind() string {
	switch v.v.(type) {
	case nil:
		return "null"
	case bool:
		return "a boolean"
	case string:
		return "a string"
	case json.Number:
		return "a number"
	case []*jsonValue:
		return "an array"
	}
	return "an object"
}

// Fold makes names match in any case and returns o. Clients of PATCH routes send either;
// of two that differ in case alone, the one that stands later counts.
func (o *Object) Fold() *Object {
	o.folded = make(map[string]*jsonValue, len(o.members))
	for name, v := range o.members {
		name = strings.ToLower(name)
		if was, ok := o.folded[name]; !ok || was.line < v.line || was.line == v.line && was.col < v.col {
			o.folded[name] = v
		}
	}
	return o
}

// Alias lets the member called name, where it is there, be read as another, and returns o.
// Older forms of a body name the same thing differently.
func (o *Object) Alias(name, as string) *Object {
	if v, ok := o.find(name); ok && !o.Has(as) {
		o.members[as] = v
		if o.folded != nil {
			o.folded[strings.ToLower(as)] = v
		}
	}
	return o
}

// Names returns the names of the members as they were sent, sorted.
func (o *Object) Names() []string { return slices.Sorted(maps.Keys(o.members)) }

func (o *Object) find(name string) (*jsonValue, bool) {
	if o.folded != nil {
		v, ok := o.folded[strings.ToLower(name)]
		return v, ok
	}
	v, ok := o.members[name]
	return v, ok
}

// Has reports whether the member is there, be it null.
func (o *Object) Has(name string) bool {
	_, ok := o.find(name)
	return ok
}

// IsNull reports whether the member is there and null.
func (o *Object) IsNull(name string) bool {
	v, ok := o.find(name)
	return ok && v.v == nil
}

func (o *Object) wrong(name string, v *jsonValue, want string) error {
	return badBody("line %d, column %d: %s must be %s, not %s", v.line, v.col, join(o.path, name), want, v.kind())
}

// missing is the published error for a required member that is not there.
func (o *Object) missing(name string) error {
	return errs.New("api.Object", errs.Invalid, errs.MissingRequiredParameter, "Required parameter %s is missing", join(o.path, name))
}

// String returns a string member, "" when it is absent or null.
func (o *Object) String(name string) (string, error) {
	v, ok := o.find(name)
	if !ok || v.v == nil {
		return "", nil
	}
	s, ok := v.v.(string)
	if !ok {
		return "", o.wrong(name, v, "a string")
	}
	return s, nil
}

// RequireString returns a string member that must be there and hold more than space.
func (o *Object) RequireString(name string) (string, error) {
	s, err := o.String(name)
	if err == nil && strings.TrimSpace(s) == "" {
		return "", o.missing(name)
	}
	return s, err
}

// Bool returns a boolean member, false when it is absent or null. The strings "true" and
// "false" in any case count, because published samples send them.
func (o *Object) Bool(name string) (bool, error) {
	v, ok := o.find(name)
	if !ok || v.v == nil {
		return false, nil
	}
	switch b := v.v.(type) {
	case bool:
		return b, nil
	case string:
		if strings.EqualFold(b, "true") || strings.EqualFold(b, "false") {
			return strings.EqualFold(b, "true"), nil
		}
	}
	return false, o.wrong(name, v, "a boolean")
}

// Int returns an integer member, 0 when it is absent or null. A string of digits counts.
func (o *Object) Int(name string) (int64, error) {
	v, ok := o.find(name)
	if !ok || v.v == nil {
		return 0, nil
	}
	text := ""
	switch n := v.v.(type) {
	case json.Number:
		text = n.String()
	case string:
		text = n
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, o.wrong(name, v, "an integer")
	}
	return n, nil
}

// Time returns a date-time member in UTC, the zero time when it is absent or null.
func (o *Object) Time(name string) (time.Time, error) {
	v, ok := o.find(name)
	if !ok || v.v == nil {
		return time.Time{}, nil
	}
	s, ok := v.v.(string)
	if !ok {
		return time.Time{}, o.wrong(name, v, "a date-time string")
	}
	t, ok := ParseTime(s)
	if !ok {
		return time.Time{}, badBody("line %d, column %d: %s: %q is not a date-time such as 2020-12-12T00:00:00Z", v.line, v.col, join(o.path, name), s)
	}
	return t, nil
}

// Strings returns a member that is an array of strings, nil when it is absent or null.
func (o *Object) Strings(name string) ([]string, error) {
	list, err := o.list(name)
	if err != nil || list == nil {
		return nil, err
	}
	out := make([]string, len(list))
	for i, e := range list {
		s, ok := e.v.(string)
		if !ok {
			return nil, o.wrong(fmt.Sprintf("%s[%d]", name, i), e, "a string")
		}
		out[i] = s
	}
	return out, nil
}

// Texts is Strings for lists of ids, which clients send as strings or as numbers.
func (o *Object) Texts(name string) ([]string, error) {
	list, err := o.list(name)
	if err != nil || list == nil {
		return nil, err
	}
	out := make([]string, len(list))
	for i, e := range list {
		switch v := e.v.(type) {
		case string:
			out[i] = v
		case json.Number:
			out[i] = v.String()
		default:
			return nil, o.wrong(fmt.Sprintf("%s[%d]", name, i), e, "a string or a number")
		}
	}
	return out, nil
}

// Objects returns a member that is an array of objects, nil when it is absent or null.
func (o *Object) Objects(name string) ([]*Object, error) {
	list, err := o.list(name)
	if err != nil || list == nil {
		return nil, err
	}
	out := make([]*Object, len(list))
	for i, e := range list {
		x, ok := e.v.(*Object)
		if !ok {
			return nil, o.wrong(fmt.Sprintf("%s[%d]", name, i), e, "an object")
		}
		out[i] = x
	}
	return out, nil
}

func (o *Object) list(name string) ([]*jsonValue, error) {
	v, ok := o.find(name)
	if !ok || v.v == nil {
		return nil, nil
	}
	list, ok := v.v.([]*jsonValue)
	if !ok {
		return nil, o.wrong(name, v, "an array")
	}
	return list, nil
}

// Object returns a member that is an object, an empty one when it is absent or null.
func (o *Object) Object(name string) (*Object, error) {
	v, ok := o.find(name)
	if !ok || v.v == nil {
		return &Object{}, nil
	}
	x, ok := v.v.(*Object)
	if !ok {
		return nil, o.wrong(name, v, "an object")
	}
	return x, nil
}
