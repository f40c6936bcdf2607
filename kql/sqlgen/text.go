package sqlgen

import (
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/vedette-edr/vedette/kql/funcs"
	"github.com/vedette-edr/vedette/kql/plan"
	"github.com/vedette-edr/vedette/kql/types"
)

// nativeText writes the string functions and operators.
func (g *gen) nativeText(c *plan.Call, a []sx, pred bool) (sx, bool) {
	out := func(format string, args ...any) (sx, bool) { return sx{s: fmt.Sprintf(format, args...)}, true }
	// A NULL operand makes a test NULL, which a predicate takes for false as it should;
	// a value needs the false itself.
	test := func(s string) (sx, bool) {
		if !pred && a[0].null {
			return sx{s: "coalesce(" + s + ", false)"}, true
		}
		return sx{s: s}, true
	}
	name := c.Fn.Name
	low := func(x sx, cs bool) string {
		if x.konst != nil {
			if cs {
				return quote(x.konst.S)
			}
			return quote(funcs.Fold(x.konst.S))
		}
		if cs {
			return x.s
		}
		return "lower(" + x.s + ")"
	}
	base, cs := strings.CutSuffix(name, "_cs")
	switch base {
	case "=~":
		return out("(lower(%s) = %s)", g.str(a[0]).s, low(g.str(a[1]), false))
	case "contains", "startswith", "endswith":
		if a[1].konst == nil {
			a[1] = g.str(a[1])
		} else if a[1].konst.S == "" {
			return out("true")
		}
		fn := map[string]string{"contains": "contains", "startswith": "starts_with", "endswith": "suffix"}[base]
		return test(fmt.Sprintf("%s(%s, %s)", fn, low(a[0], cs), low(a[1], cs)))
	case "has", "hasprefix", "hassuffix":
		if a[1].konst == nil {
			return sx{}, false
		}
		term := a[1].konst.S
		if !cs {
			term = funcs.Fold(term)
		}
		if term == "" {
			return out("true")
		}
		if s, ok := hasTerm(low(a[0], cs), term, a[0].simple, base != "hassuffix", base != "hasprefix"); ok {
			return test(s)
		}
		return sx{}, false
	case "has_any", "has_all":
		s, ok := hasMany(base, low(a[0], false), a[1:])
		if !ok {
			return sx{}, false
		}
		return test(s)
	case "matches regex":
		if _, ok := asPattern(a[1]); ok {
			if a[0].null {
				a[0] = g.str(a[0])
			}
			return out("regexp_matches(%s, %s)", a[0].s, a[1].s)
		}
		return sx{}, false
	}
	switch name {
	case "tolower":
		return sx{s: "lower(" + a[0].s + ")", null: a[0].null}, true
	case "toupper":
		// DuckDB alone has a capital sharp s; a text that holds one keeps it in neither.
		if len(a[0].s) > maxTwice {
			return sx{}, false
		}
		return sx{s: "CASE WHEN contains(" + a[0].s + ", 'ß') THEN " + g.foreign(name, c.T, a).s + " ELSE upper(" + a[0].s + ") END", null: a[0].null}, true
	case "strlen":
		return out("CAST(length(%s) AS BIGINT)", g.str(a[0]).s)
	case "string_size":
		return out("CAST(strlen(%s) AS BIGINT)", g.str(a[0]).s)
	case "strcat":
		parts := make([]string, len(a))
		for i := range a {
			parts[i] = g.convert(a[i], types.String).s
		}
		return out("concat(%s)", strings.Join(parts, ", "))
	case "substring":
		if k := a[1].konst; k == nil || k.Null || k.I < 0 || len(a) > 2 && (a[2].konst == nil || a[2].konst.I < 0) {
			return sx{}, false
		}
		if len(a) > 2 {
			return sx{s: fmt.Sprintf("substr(%s, %d, %d)", a[0].s, a[1].konst.I+1, a[2].konst.I), null: a[0].null}, true
		}
		return sx{s: fmt.Sprintf("substr(%s, %d)", a[0].s, a[1].konst.I+1), null: a[0].null}, true
	case "extract":
		re, ok := asPattern(a[0])
		if !ok || c.T != types.String || a[1].konst == nil || a[1].konst.Null {
			return sx{}, false
		}
		if n := a[1].konst.I; n < 0 || n > int64(re.NumSubexp()) || n > 9 {
			return sx{}, false
		}
		return sx{s: fmt.Sprintf("regexp_extract(%s, %s, %d)", a[2].s, a[0].s, a[1].konst.I), null: true}, true
	case "replace_string":
		if a[1].konst != nil && a[1].konst.S != "" && a[2].konst != nil && len(a[2].konst.S) <= 2*len(a[1].konst.S)+64 {
			return sx{s: fmt.Sprintf("replace(%s, %s, %s)", a[0].s, a[1].s, a[2].s), null: a[0].null}, true
		}
	case "hash_md5", "hash_sha1", "hash_sha256":
		if a[0].t == types.String {
			return out("%s(%s)", strings.TrimPrefix(name, "hash_"), g.str(a[0]).s)
		}
	}
	return sx{}, false
}

// boundary is what may stand beside a term: the end of the text or no letter or digit.
const notTerm = `[^\pL\p{Nd}]`

func bounded(term string, left, right bool) string {
	p := regexp.QuoteMeta(term)
	first, _ := utf8.DecodeRuneInString(term)
	last, _ := utf8.DecodeLastRuneInString(term)
	if left && funcs.IsTermRune(first) {
		p = "(?:^|" + notTerm + ")" + p
	}
	if right && funcs.IsTermRune(last) {
		p += "(?:$|" + notTerm + ")"
	}
	return p
}

// hasTerm tests a term; a plain search first, which is fast and rarely true.
func hasTerm(x, term string, simple, left, right bool) (string, bool) {
	if strings.Contains(term, "\x00") || !utf8.ValidString(term) {
		return "", false
	}
	re := "regexp_matches(" + x + ", " + quote(bounded(term, left, right)) + ")"
	if !simple {
		return re, true
	}
	return "(contains(" + x + ", " + quote(term) + ") AND " + re + ")", true
}

// perPattern bounds the alternatives of one pattern, because RE2 bounds its memory.
const perPattern = 200

func hasMany(op, x string, terms []sx) (string, bool) {
	var words []string
	for _, t := range terms {
		if t.konst == nil {
			return "", false
		}
		if arr, ok := t.konst.D.([]any); ok {
			for _, e := range arr {
				words = append(words, funcs.Fold(types.NewDynamic(e).Text()))
			}
		} else if !t.konst.Null {
			words = append(words, funcs.Fold(t.konst.Text()))
		}
	}
	for _, w := range words {
		if w == "" || strings.Contains(w, "\x00") || !utf8.ValidString(w) || len(w) > 500 {
			return "", false
		}
	}
	var parts []string
	if op == "has_all" {
		for _, w := range words {
			parts = append(parts, "regexp_matches("+x+", "+quote(bounded(w, true, true))+")")
		}
		if parts == nil {
			return "true", true
		}
		return "(" + strings.Join(parts, " AND ") + ")", true
	}
	for len(words) > 0 {
		n := min(len(words), perPattern)
		alts := make([]string, n)
		for i, w := range words[:n] {
			alts[i] = bounded(w, true, true)
		}
		parts = append(parts, "regexp_matches("+x+", "+quote(strings.Join(alts, "|"))+")")
		words = words[n:]
	}
	if parts == nil {
		return "false", true
	}
	return "(" + strings.Join(parts, " OR ") + ")", true
}
