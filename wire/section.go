package wire

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/klauspost/compress/zstd"
)

// Bounds of a section of the inventory.
const (
	MaxSectionItems = 20_000   // items of one section
	MaxSectionItem  = 8 << 10  // bytes of one item's JSON
	MaxSectionBody  = 16 << 20 // bytes of a body's JSON
)

// Sections of the inventory that ReportInventory carries.
const (
	SectionSoftware      = "software"
	SectionConfiguration = "configuration"
	SectionHardware      = "hardware"
	SectionCertificates  = "certificates"
	SectionExtensions    = "extensions"
)

// SectionBody changes a section: what is removed by key goes first, then what is put. On
// the empty section it is all of it.
type SectionBody struct {
	Put    []json.RawMessage `json:"put,omitempty"`
	Remove []string          `json:"remove,omitempty"` // SectionKey of items
}

// SectionKey names an item of a section by its content: 32 hexadecimal digits. item is
// compact JSON, and the same bytes on both sides.
func SectionKey(item []byte) string {
	sum := sha256.Sum256(item)
	return hex.EncodeToString(sum[:16])
}

// FitSection returns the items that a section may have, in their order, and how many are
// left out: what is larger than MaxSectionItem, and what comes after MaxSectionItems.
func FitSection(items []json.RawMessage) (fit []json.RawMessage, left int) {
	fit = slices.DeleteFunc(slices.Clone(items), func(item json.RawMessage) bool { return len(item) > MaxSectionItem })
	fit = fit[:min(len(fit), MaxSectionItems)]
	return fit, len(items) - len(fit)
}

// SectionDigest is over a section as a set: the order of keys does not matter, and a key
// that is there twice counts once. keys is not changed.
func SectionDigest(keys []string) [32]byte {
	sorted := slices.Compact(slices.Sorted(slices.Values(keys)))
	h := sha256.New()
	for _, k := range sorted {
		h.Write([]byte(k))
		h.Write([]byte{'\n'})
	}
	return [32]byte(h.Sum(nil))
}

// EncodeSection makes a body of ReportInventory. It fails when the body is larger than the
// other side takes.
func EncodeSection(b *SectionBody) ([]byte, error) {
	raw, err := json.Marshal(b)
	if err != nil {
		return nil, err
	}
	if len(raw) > MaxSectionBody {
		return nil, &FormatError{Place: "section", Why: fmt.Sprintf("%d bytes, more than %d", len(raw), MaxSectionBody)}
	}
	// A body is sent rarely and may be large: an encoder that outlives it would keep what
	// it needed for the largest.
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedDefault), zstd.WithWindowSize(window))
	if err != nil {
		return nil, err
	}
	return enc.EncodeAll(raw, nil), enc.Close()
}

// DecodeSection reads a body, which is hostile: its size unpacked, the number of its items
// and the size of each are bounded. Errors are *FormatError.
func DecodeSection(body []byte) (*SectionBody, error) {
	dec, err := zstd.NewReader(bytes.NewReader(nil), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(MaxSectionBody))
	if err != nil {
		return nil, err
	}
	defer dec.Close()
	raw, err := dec.DecodeAll(body, nil)
	if err != nil {
		return nil, &FormatError{Place: "section", Why: err.Error()}
	}
	var b SectionBody
	if err := json.Unmarshal(raw, &b); err != nil {
		return nil, &FormatError{Place: "section", Why: err.Error()}
	}
	if len(b.Put) > MaxSectionItems || len(b.Remove) > MaxSectionItems {
		return nil, &FormatError{Place: "section", Why: fmt.Sprintf("%d items put and %d removed, more than %d", len(b.Put), len(b.Remove), MaxSectionItems)}
	}
	for i, item := range b.Put {
		if len(item) > MaxSectionItem {
			return nil, &FormatError{Place: fmt.Sprintf("put[%d]", i), Why: fmt.Sprintf("%d bytes, more than %d", len(item), MaxSectionItem)}
		}
	}
	for i, key := range b.Remove {
		if k, err := hex.DecodeString(key); err != nil || len(k) != 16 {
			return nil, &FormatError{Place: fmt.Sprintf("remove[%d]", i), Why: "no key"}
		}
	}
	return &b, nil
}
