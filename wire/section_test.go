package wire

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

func TestSectionComesBackAsItWas(t *testing.T) {
	in := &SectionBody{Put: []json.RawMessage{[]byte(`{"name":"<a&b>"}`)}, Remove: []string{SectionKey([]byte("x"))}}
	raw, err := EncodeSection(in)
	if err != nil {
		t.Fatal(err)
	}
	out, err := DecodeSection(raw)
	if err != nil || len(out.Put) != 1 || out.Remove[0] != in.Remove[0] {
		t.Fatalf("got %+v, %v", out, err)
	}
	if a, b := SectionDigest([]string{"b", "a", "b"}), SectionDigest([]string{"a", "b"}); a != b {
		t.Error("the digest depends on order or repetition")
	}
}

func TestHostileSectionsAreRefused(t *testing.T) {
	enc, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	pack := func(s string) []byte { return enc.EncodeAll([]byte(s), nil) }
	for name, body := range map[string][]byte{
		"no zstd":       []byte("{}"),
		"no JSON":       pack("{"),
		"bomb":          pack(`{"put":["` + strings.Repeat("x", 64<<20) + `"]}`),
		"large item":    pack(`{"put":["` + strings.Repeat("x", MaxSectionItem) + `"]}`),
		"many items":    pack(`{"put":[` + strings.Repeat("1,", MaxSectionItems) + `1]}`),
		"no key":        pack(`{"remove":["../../x"]}`),
		"key too short": pack(`{"remove":["00"]}`),
	} {
		var f *FormatError
		if _, err := DecodeSection(body); !errors.As(err, &f) {
			t.Errorf("%s: got %v, want a FormatError", name, err)
		}
	}
}
