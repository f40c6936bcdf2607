package ebpf

import (
	"encoding/json"
	"strconv"
)

// fields builds the JSON object of AdditionalFields, "" when nothing was added.
type fields struct{ b []byte }

func (f *fields) key(k string) {
	if len(f.b) == 0 {
		f.b = append(f.b, '{')
	} else {
		f.b = append(f.b, ',')
	}
	f.b = strconv.AppendQuote(f.b, k)
	f.b = append(f.b, ':')
}

func (f *fields) str(k, v string) {
	f.key(k)
	q, _ := json.Marshal(v) // a string always marshals
	f.b = append(f.b, q...)
}

func (f *fields) num(k string, v uint64) {
	f.key(k)
	f.b = strconv.AppendUint(f.b, v, 10)
}

func (f *fields) yes(k string) {
	f.key(k)
	f.b = append(f.b, "true"...)
}

func (f *fields) raw(k string, v []byte) {
	f.key(k)
	f.b = append(f.b, v...)
}

func (f *fields) String() string {
	if len(f.b) == 0 {
		return ""
	}
	return string(append(f.b, '}'))
}

// more adds a string field to a finished object.
func more(object, k, v string) string {
	var f fields
	if object != "" {
		f.b = []byte(object[:len(object)-1])
	}
	f.str(k, v)
	return f.String()
}
