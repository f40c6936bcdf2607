package funcs

import (
	"encoding/xml"
	"strings"

	"github.com/vedette-edr/vedette/kql/types"
)

const maxXMLDepth = 100

// parseXML reads a document as parse_xml shows it: attributes under "@name", text under
// "#text" where there is more than text, repeated elements as arrays.
func parseXML(s string) (any, bool) {
	dec := xml.NewDecoder(strings.NewReader(s))
	for {
		tok, err := dec.Token()
		if err != nil {
			return nil, false
		}
		if start, ok := tok.(xml.StartElement); ok {
			v, ok := xmlElement(dec, start, 0)
			if !ok {
				return nil, false
			}
			b := types.NewBag()
			b.Set(start.Name.Local, v)
			return b, true
		}
	}
}

func xmlElement(dec *xml.Decoder, start xml.StartElement, depth int) (any, bool) {
	if depth > maxXMLDepth {
		return nil, false
	}
	b := types.NewBag()
	for _, a := range start.Attr {
		b.Set("@"+a.Name.Local, a.Value)
	}
	var text strings.Builder
	for {
		tok, err := dec.Token()
		if err != nil {
			return nil, false
		}
		switch t := tok.(type) {
		case xml.StartElement:
			v, ok := xmlElement(dec, t, depth+1)
			if !ok {
				return nil, false
			}
			name := t.Name.Local
			old, has := b.Get(name)
			if arr, ok := old.([]any); ok {
				v = append(arr, v)
			} else if has {
				v = []any{old, v}
			}
			b.Set(name, v)
		case xml.CharData:
			text.Write(t)
		case xml.EndElement:
			s := strings.TrimSpace(text.String())
			if len(b.Keys) == 0 {
				return s, true
			}
			if s != "" {
				b.Set("#text", s)
			}
			return b, true
		}
	}
}
