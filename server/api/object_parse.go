package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/vedette-edr/vedette/server/errs"
)

// maxJSONDepth bounds the nesting of a request body.
const maxJSONDepth = 64

// ParseObject decodes a body that must be one JSON object. A byte order mark is passed
// over; a member given twice is refused.
func ParseObject(data []byte) (*Object, error) {
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	if len(bytes.TrimSpace(data)) == 0 {
		return nil, badBody("it is empty; a JSON object is needed")
	}
	p := &jsonParser{data: data, line: 1, dec: json.NewDecoder(bytes.NewReader(data))}
	p.dec.UseNumber()
	// The decoder's own offsets are wrong when tokens are read, so syntax is checked first.
	var raw json.RawMessage
	if err := json.Unmarshal(data, &raw); err != nil {
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			return nil, badBody("%s: %s", p.place(max(syntax.Offset-1, 0)), syntax.Error())
		}
		return nil, badBody("%v", err)
	}
	v, err := p.value("", 0)
	if err != nil {
		return nil, err
	}
	o, ok := v.v.(*Object)
	if !ok {
		return nil, badBody("line %d, column %d: a JSON object is needed, not %s", v.line, v.col, v.kind())
	}
	return o, nil
}

func badBody(format string, args ...any) error {
	return errs.New("api.ParseObject", errs.Invalid, errs.InvalidRequestBody, "Request body is incorrect: "+format, args...)
}

type jsonParser struct {
	data []byte
	dec  *json.Decoder
	// Where counting stopped, so that places are found in one pass over the body.
	line, lineStart, counted int
}

// position turns a byte offset, never smaller than the last one, into line and column.
func (p *jsonParser) position(offset int64) (line, col int) {
	end := min(int(offset), len(p.data))
	for ; p.counted < end; p.counted++ {
		if p.data[p.counted] == '\n' {
			p.line++
			p.lineStart = p.counted + 1
		}
	}
	return p.line, end - p.lineStart + 1
}

func (p *jsonParser) place(offset int64) string {
	line, col := p.position(offset)
	return fmt.Sprintf("line %d, column %d", line, col)
}

// start is the offset at which the next token begins.
func (p *jsonParser) start() int64 {
	i := p.dec.InputOffset()
	for i < int64(len(p.data)) && strings.IndexByte(" \t\r\n,:", p.data[i]) >= 0 {
		i++
	}
	return i
}

func (p *jsonParser) value(path string, depth int) (*jsonValue, error) {
	at := p.start()
	t, err := p.dec.Token()
	if err != nil {
		return nil, badBody("%s: %v", p.place(at), err)
	}
	out := &jsonValue{v: t}
	out.line, out.col = p.position(at)
	delim, ok := t.(json.Delim)
	if !ok {
		return out, nil
	}
	if depth >= maxJSONDepth {
		return nil, badBody("line %d, column %d: nested more than %d deep", out.line, out.col, maxJSONDepth)
	}
	if delim == '{' {
		out.v, err = p.object(path, depth)
	} else {
		out.v, err = p.array(path, depth)
	}
	return out, err
}

func (p *jsonParser) object(path string, depth int) (*Object, error) {
	o := &Object{members: map[string]*jsonValue{}, path: path}
	for p.dec.More() {
		at := p.start()
		t, err := p.dec.Token()
		if err != nil {
			return nil, badBody("%s: %v", p.place(at), err)
		}
		name, _ := t.(string)
		if _, twice := o.members[name]; twice {
			return nil, badBody("%s: %s is given twice", p.place(at), name)
		}
		if o.members[name], err = p.value(join(path, name), depth+1); err != nil {
			return nil, err
		}
	}
	_, err := p.dec.Token()
	return o, err
}

func (p *jsonParser) array(path string, depth int) ([]*jsonValue, error) {
	list := []*jsonValue{}
	for p.dec.More() {
		v, err := p.value(path+"["+strconv.Itoa(len(list))+"]", depth+1)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	_, err := p.dec.Token()
	return list, err
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}
