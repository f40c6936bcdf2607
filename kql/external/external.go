// Package external reads the files that externaldata names: it decompresses them, splits
// them into records by their format, and makes rows of the declared columns.
//
// It fetches nothing and decides nothing about who may read what: whoever answers the
// scan hands it an Open. What comes from there is hostile: everything is read as a stream,
// and bounded after decompression. Formats are those that Kusto's documentation of
// externaldata lists as texts (csv, tsv, tsve, psv, scsv, sohsv, txt, raw, json,
// multijson); binary ones (parquet, avro, orc, w3clogfile) are refused in words.
//
// Start at Read.
package external

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path"
	"strconv"
	"strings"

	"github.com/vedette-edr/vedette/kql/plan"
	"github.com/vedette-edr/vedette/kql/types"
)

// Open opens the file at an address, as it is stored. Its error is shown to whoever asks
// the query.
type Open func(ctx context.Context, uri string) (io.ReadCloser, error)

// Limits bound the files of one externaldata together; zero means the default.
type Limits struct {
	Bytes int64 // after decompression, and before; default 100 MiB
	Rows  int   // default 1,000,000
}

// Code is the code of errors, beside those of package bind.
const Code = "KQL0110"

// Error says what is wrong with a file of externaldata.
type Error struct {
	Address plan.Address
	Record  int  // from 1; 0 when it is about the whole file
	TooMuch bool // the file is sound, and more than may be read
	Text    string
	Err     error // what Open said, or nil
}

// Error renders place, code and file.
func (e *Error) Error() string {
	at := ""
	if e.Record > 0 {
		at = fmt.Sprintf(" record %d:", e.Record)
	}
	return fmt.Sprintf("%d:%d: %s: externaldata %q:%s %s", e.Address.Line, e.Address.Column, Code, e.Address.URI, at, e.Text)
}

// Unwrap returns what Open said.
func (e *Error) Unwrap() error { return e.Err }

// format is how a file splits into records.
type format struct {
	name  string
	comma rune // of the separated formats, else 0
}

var formats = map[string]format{
	"csv": {"csv", ','}, "tsv": {"tsv", '\t'}, "tsve": {"tsve", '\t'}, "psv": {"psv", '|'}, "scsv": {"scsv", ';'}, "sohsv": {"sohsv", 1},
	"txt": {name: "txt"}, "raw": {name: "raw"},
	"json": {name: "json"}, "multijson": {name: "json"}, "singlejson": {name: "json"},
}

// properties that change nothing about the rows, or only for who ingests them.
var ignored = map[string]bool{
	"creationtimepattern": true, "zippattern": true, "validationpolicy": true, "ingestionmappingtype": true,
}

// options are the properties of an externaldata, understood.
type options struct {
	format  string // "" asks the file's name
	skip    bool
	mapping []mapped
}

// Read hands sink the rows of every file of x in order, one value for each of x.Cols. A
// row is the sink's to keep. The error is an *Error, or the sink's own.
func Read(ctx context.Context, x *plan.External, open Open, lim Limits, sink func([]types.Value) error) error {
	if lim.Bytes <= 0 {
		lim.Bytes = 100 << 20
	}
	if lim.Rows <= 0 {
		lim.Rows = 1_000_000
	}
	if len(x.Addresses) == 0 {
		return nil
	}
	opt, err := understand(x)
	if err != nil {
		return &Error{Address: x.Addresses[0], Text: err.Error()}
	}
	r := &reader{ctx: ctx, x: x, opt: opt, sink: sink, bytes: lim.Bytes, rows: lim.Rows, lim: lim}
	for _, a := range x.Addresses {
		r.at, r.record = a, 0
		if err := r.file(open); err != nil {
			return err
		}
	}
	return nil
}

func understand(x *plan.External) (options, error) {
	var o options
	for name, value := range x.Props {
		switch key := strings.ToLower(name); {
		case key == "format":
			o.format = strings.ToLower(value)
			if _, ok := formats[o.format]; !ok {
				return o, fmt.Errorf("the format %q is not supported; supported are csv, tsv, tsve, psv, scsv, sohsv, txt, raw, json and multijson", value)
			}
		case key == "ignorefirstrecord":
			b, err := strconv.ParseBool(value)
			if err != nil {
				return o, fmt.Errorf("ignoreFirstRecord is true or false, not %q", value)
			}
			o.skip = b
		case key == "ingestionmapping":
			m, err := mapping(value, x.Cols)
			if err != nil {
				return o, err
			}
			o.mapping = m
		case !ignored[key]:
			return o, fmt.Errorf("there is no property %q; those that count are format, ignoreFirstRecord and ingestionMapping", name)
		}
	}
	return o, nil
}

// reader reads the files of one externaldata.
type reader struct {
	ctx   context.Context
	x     *plan.External
	opt   options
	sink  func([]types.Value) error
	lim   Limits
	bytes int64 // left
	rows  int   // left

	at     plan.Address
	record int // of the file that is read
}

func (r *reader) fail(format string, args ...any) error {
	return &Error{Address: r.at, Record: r.record, Text: fmt.Sprintf(format, args...)}
}

// sunk marks an error of the sink, which is nobody's fault in the file.
type sunk struct{ error }

func (r *reader) file(open Open) error {
	f, err := open(r.ctx, r.at.URI)
	if err != nil {
		return &Error{Address: r.at, Text: err.Error(), Err: err}
	}
	defer f.Close()
	err = r.unpack(f, func(name string, b io.Reader) error {
		return r.records(r.formatOf(name), &bounded{r: b, left: &r.bytes})
	})
	var own *Error
	var s sunk
	switch {
	case err == nil:
		return nil
	case errors.As(err, &s):
		return s.error
	case errors.As(err, &own):
		return own
	case errors.Is(err, errBytes):
		return &Error{Address: r.at, Record: r.record, TooMuch: true, Text: fmt.Sprintf("more than %d MiB", r.lim.Bytes>>20)}
	case r.ctx.Err() != nil:
		return &Error{Address: r.at, Record: r.record, Text: "it took too long", Err: context.Cause(r.ctx)}
	}
	return &Error{Address: r.at, Record: r.record, Text: err.Error(), Err: err}
}

// formatOf is the format that the query names, else that of the file's name, else csv.
func (r *reader) formatOf(name string) format {
	if r.opt.format != "" {
		return formats[r.opt.format]
	}
	if f, ok := formats[strings.TrimPrefix(strings.ToLower(path.Ext(name)), ".")]; ok {
		return f
	}
	return formats["csv"]
}

// baseName is the file's name in an address, without what compression adds to it.
func baseName(uri string) string {
	name := uri
	if u, err := url.Parse(uri); err == nil && u.Path != "" {
		name = u.Path
	}
	name = path.Base(name)
	for _, ext := range []string{".gz", ".zip"} {
		if len(name) > len(ext) && strings.EqualFold(name[len(name)-len(ext):], ext) {
			name = name[:len(name)-len(ext)]
		}
	}
	return name
}

var errBytes = errors.New("too many bytes")

// bounded reads until a common allowance is used up.
type bounded struct {
	r    io.Reader
	left *int64
}

// Read implements io.Reader.
func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if *b.left -= int64(n); *b.left < 0 {
		return 0, errBytes
	}
	return n, err
}

// emit hands a record's row on.
func (r *reader) emit(row []types.Value) error {
	if r.record&255 == 0 {
		if err := r.ctx.Err(); err != nil {
			return err
		}
	}
	if r.rows--; r.rows < 0 {
		return &Error{Address: r.at, Record: r.record, TooMuch: true, Text: fmt.Sprintf("more than %d records", r.lim.Rows)}
	}
	if err := r.sink(row); err != nil {
		return sunk{err}
	}
	return nil
}

// text makes a value of a field: an empty one is null, or the empty string.
func text(s string, t types.Type) types.Value {
	s = strings.ToValidUTF8(s, "\uFFFD")
	switch {
	case t == types.String:
		return types.NewString(s)
	case s == "":
		return types.Null(t)
	case t == types.Dynamic:
		return types.ParseDynamic(s)
	}
	return types.ParseAs(s, t)
}
