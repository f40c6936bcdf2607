package wire

import (
	"encoding/json"
	"errors"
	"runtime"
	"slices"
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

// A body of 8 MiB may not leave its compressor's window behind in an agent of 60 MB.
func TestEncodingASectionKeepsNoMemory(t *testing.T) {
	live := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := live()
	item, err := json.Marshal(strings.Repeat("x", 8000))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := EncodeSection(&SectionBody{Put: slices.Repeat([]json.RawMessage{item}, 1000)}); err != nil {
		t.Fatal(err)
	}
	if after := live(); after > before+1<<20 {
		t.Errorf("%d KiB more are live after it", (after-before)>>10)
	}
}

func TestWhatDoesNotFitIsCounted(t *testing.T) {
	large := json.RawMessage(`"` + strings.Repeat("x", MaxSectionItem) + `"`)
	fit, left := FitSection([]json.RawMessage{json.RawMessage(`1`), large, json.RawMessage(`2`)})
	if left != 1 || len(fit) != 2 || string(fit[1]) != "2" {
		t.Errorf("%d fit, %d left out", len(fit), left)
	}
	if fit, left = FitSection(slices.Repeat([]json.RawMessage{json.RawMessage(`1`)}, MaxSectionItems+5)); left != 5 || len(fit) != MaxSectionItems {
		t.Errorf("%d fit, %d left out", len(fit), left)
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
