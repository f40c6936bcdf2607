package sqlgen

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/vedette-edr/vedette/kql/types"
)

// get reads a member or element of JSON text.
func (g *gen) get(x, key sx) (sx, bool) {
	k := key.konst
	if k == nil || k.Null {
		return sx{}, false
	}
	doc, loose := x.s, false
	if x.raw != "" {
		// Text that is no JSON has no member, so it need not become a JSON string first.
		doc, loose = x.raw, true
	}
	switch {
	case k.Type == types.String:
		if _, err := strconv.Atoi(k.S); err == nil || k.S == "" || strings.ContainsAny(k.S, "\x00") {
			return sx{}, false
		}
		// A JSON pointer, in which only these two characters are special.
		ptr := "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(k.S)
		if x.doc != "" {
			doc, loose, ptr = x.doc, x.loose, x.ptr+ptr
		}
		return sx{s: member(doc, ptr, loose), doc: doc, ptr: ptr, loose: loose}, true
	case k.Type.Integral() && k.I >= 0:
		return sx{s: member(doc, fmt.Sprintf("$[%d]", k.I), loose)}, true
	case k.Type.Integral():
		return sx{s: member(doc, fmt.Sprintf("$[#%d]", k.I), loose)}, true
	}
	return sx{}, false
}

// member writes the JSON text at a path of a document, NULL for null. Text that is no
// JSON makes DuckDB fail, which TRY takes for NULL.
func member(doc, path string, loose bool) string {
	return "nullif(CAST(" + try("json_extract("+doc+", "+quote(path)+")", loose) + " AS VARCHAR), 'null')"
}

func try(s string, loose bool) string {
	if loose {
		return "TRY(" + s + ")"
	}
	return s
}

// memberText writes a dynamic as text without quotes, NULL for null.
func memberText(x sx) string {
	if x.doc != "" {
		return try("json_extract_string("+x.doc+", "+quote(x.ptr)+")", x.loose)
	}
	return "json_extract_string(" + x.s + ", '$')"
}

// plainText reports whether x is a constant text that only a JSON string can be, or true
// or false: numbers, lists and bags have more than one spelling.
func plainText(x sx) bool {
	return x.konst != nil && x.t == types.String && x.konst.S != "" && !strings.ContainsRune("{[-+.0123456789\"", rune(x.konst.S[0]))
}
