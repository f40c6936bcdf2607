package external

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"strings"

	"github.com/vedette-edr/vedette/kql/types"
)

// records splits a file of a format.
func (r *reader) records(f format, in io.Reader) error {
	b := bufio.NewReaderSize(in, 64<<10)
	if head, _ := b.Peek(3); string(head) == "\xef\xbb\xbf" {
		_, _ = b.Discard(3)
	}
	switch {
	case f.name == "tsve":
		return r.escaped(b)
	case f.comma != 0:
		return r.separated(b, f.comma)
	case f.name == "txt":
		return r.lines(b)
	case f.name == "raw":
		all, err := io.ReadAll(b)
		if err != nil {
			return err
		}
		return r.fields([]string{string(all)})
	}
	return r.objects(b)
}

// fields emits a record of texts in order of the columns; a mapping may name others.
func (r *reader) fields(list []string) error {
	r.record++
	if r.record == 1 && r.opt.skip {
		return nil
	}
	row := make([]types.Value, len(r.x.Cols))
	for i, c := range r.x.Cols {
		at := i
		if r.opt.mapping != nil {
			at = r.opt.mapping[i].ordinal
		}
		row[i] = types.Null(c.Type)
		if at >= 0 && at < len(list) {
			row[i] = text(list[at], c.Type)
		}
	}
	return r.emit(row)
}

func (r *reader) separated(b io.Reader, comma rune) error {
	c := csv.NewReader(b)
	c.Comma, c.LazyQuotes, c.FieldsPerRecord, c.ReuseRecord = comma, true, -1, true
	for {
		list, err := c.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		var bad *csv.ParseError
		if errors.As(err, &bad) {
			r.record++
			return r.fail("%v", bad.Err)
		}
		if err != nil {
			return err
		}
		if err := r.fields(list); err != nil {
			return err
		}
	}
}

// lines reads a text whose lines are records of one field.
func (r *reader) lines(b *bufio.Reader) error {
	return eachLine(b, func(s string) error { return r.fields([]string{s}) })
}

// escaped reads tabs between fields in which \t, \n, \r and \\ stand for characters.
func (r *reader) escaped(b *bufio.Reader) error {
	unescape := strings.NewReplacer(`\t`, "\t", `\n`, "\n", `\r`, "\r", `\\`, `\`)
	return eachLine(b, func(s string) error {
		list := strings.Split(s, "\t")
		for i := range list {
			list[i] = unescape.Replace(list[i])
		}
		return r.fields(list)
	})
}

func eachLine(b *bufio.Reader, f func(string) error) error {
	for {
		s, err := b.ReadString('\n')
		if err != nil && err != io.EOF {
			return err
		}
		end := err == io.EOF
		if end && s == "" {
			return nil
		}
		if err := f(strings.TrimSuffix(strings.TrimSuffix(s, "\n"), "\r")); err != nil {
			return err
		}
		if end {
			return nil
		}
	}
}

// objects reads JSON: objects one after the other, or an array of them.
func (r *reader) objects(b *bufio.Reader) error {
	first, err := firstByte(b)
	if err != nil {
		if err == io.EOF {
			return nil
		}
		return err
	}
	d := json.NewDecoder(b)
	array := first == '['
	if array {
		if _, err := d.Token(); err != nil {
			return r.broken(err)
		}
	}
	for {
		if array && !d.More() {
			if _, err := d.Token(); err != nil {
				return r.broken(err)
			}
			array = false
		}
		var raw json.RawMessage
		if err := d.Decode(&raw); err == io.EOF && !array {
			return nil
		} else if err != nil {
			return r.broken(err)
		}
		if err := r.object(raw); err != nil {
			return err
		}
	}
}

// firstByte is the first byte that is no white space; it stays unread.
func firstByte(b *bufio.Reader) (byte, error) {
	for {
		c, err := b.ReadByte()
		if err != nil {
			return 0, err
		}
		if c != ' ' && c != '\t' && c != '\r' && c != '\n' {
			return c, b.UnreadByte()
		}
	}
}

func (r *reader) broken(err error) error {
	var bad *json.SyntaxError
	if errors.As(err, &bad) || errors.Is(err, io.ErrUnexpectedEOF) {
		r.record++
		return r.fail("it is no JSON: %v", err)
	}
	return err
}

// object emits an object, whose members go to the columns of their names.
func (r *reader) object(raw json.RawMessage) error {
	r.record++
	if r.record == 1 && r.opt.skip {
		return nil
	}
	v, ok := types.ParseJSON(string(raw))
	if !ok {
		return r.fail("it is no JSON that can be read: nested too deep, perhaps")
	}
	row := make([]types.Value, len(r.x.Cols))
	bag, isBag := v.(*types.Bag)
	for i, c := range r.x.Cols {
		var member any
		switch {
		case r.opt.mapping != nil:
			member = r.opt.mapping[i].walk(v)
		case isBag:
			member, _ = bag.Get(c.Name)
		case len(row) == 1:
			member = v
		}
		row[i] = types.Convert(types.NewDynamic(member), c.Type)
		if c.Type == types.String && member == nil {
			row[i] = types.NewString("")
		}
	}
	return r.emit(row)
}
