package funcs

import (
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/vedette-edr/vedette/kql/types"
)

func str(s string) types.Value { return types.NewString(s) }
func long(i int) types.Value   { return types.NewLong(int64(i)) }
func dyn(d any) types.Value    { return types.NewDynamic(d) }
func text(f func(string) string) Impl {
	return func(_ *Ctx, a []types.Value) types.Value { return str(f(a[0].S)) }
}

func stringFuncs() []entry {
	return []entry{
		{sig: "strlen(source:string) long", doc: "Length in characters.", eval: func(_ *Ctx, a []types.Value) types.Value { return long(utf8.RuneCountInString(a[0].S)) }},
		{sig: "string_size(source:string) long", doc: "Length in UTF-8 bytes.", eval: func(_ *Ctx, a []types.Value) types.Value { return long(len(a[0].S)) }},
		{sig: "tolower(source:string) string", doc: "Lower case.", eval: text(strings.ToLower)},
		{sig: "toupper(source:string) string", doc: "Upper case.", eval: text(strings.ToUpper)},
		{sig: "strcat(value:any...) string", nulls: true, doc: "Texts joined.", eval: func(c *Ctx, a []types.Value) types.Value { return join("", a) }},
		{sig: "strcat_delim(delimiter:string, value:any...) string", nulls: true, doc: "Texts joined by a delimiter.", eval: func(c *Ctx, a []types.Value) types.Value { return join(a[0].S, a[1:]) }},
		{sig: "strcat_array(array:dynamic, delimiter:string) string", nulls: true, alias: []string{"array_strcat"}, doc: "Elements of an array joined by a delimiter.", eval: func(_ *Ctx, a []types.Value) types.Value {
			arr, _ := a[0].D.([]any)
			vals := make([]types.Value, len(arr))
			for i, e := range arr {
				vals[i] = dyn(e)
			}
			return join(a[1].S, vals)
		}},
		{sig: "strrep(value:any, multiplier:long, delimiter:string?) string", doc: "Text repeated, 1 to 1024 times.", eval: func(_ *Ctx, a []types.Value) types.Value {
			n, sep, s := min(max(a[1].I, 0), 1024), "", a[0].Text()
			if len(a) > 2 {
				sep = a[2].S
			}
			if n == 0 || int(n)*(len(s)+len(sep)) > MaxString {
				return str("")
			}
			return str(strings.Repeat(s+sep, int(n)-1) + s)
		}},
		{sig: "repeat(value:any, count:long) dynamic", doc: "Array that holds value count times.", eval: func(_ *Ctx, a []types.Value) types.Value {
			if a[1].I < 0 || a[1].I > MaxArray {
				return types.Null(types.Dynamic)
			}
			out := make([]any, a[1].I)
			for i := range out {
				out[i] = types.Payload(a[0])
			}
			return dyn(out)
		}},
		{sig: "substring(source:string, start:long, length:long?) string", doc: "Part of a text by character positions from 0; a negative start counts from the end.", eval: substring},
		{sig: "indexof(source:any, lookup:any, start:long?, length:long?, occurrence:long?) long", doc: "Position of the first occurrence, -1 when absent.", eval: indexOf},
		{sig: "indexof_regex(source:any, regex:string, start:long?, length:long?, occurrence:long?) long", doc: "Position of the first match, -1 when absent.", eval: indexOfRegex},
		{sig: "countof(source:string, search:string, kind:string?) long", doc: "Occurrences of a text or, with kind \"regex\", matches of a pattern.", eval: countOf},
		{sig: "replace_string(text:string, lookup:string, rewrite:string) string", doc: "All occurrences replaced.", eval: func(_ *Ctx, a []types.Value) types.Value {
			if a[1].S == "" || strings.Count(a[0].S, a[1].S)*len(a[2].S) > MaxString {
				return a[0]
			}
			return str(strings.ReplaceAll(a[0].S, a[1].S, a[2].S))
		}},
		{sig: "replace_strings(text:string, lookups:dynamic, rewrites:dynamic) string", doc: "Several texts replaced at once.", eval: replaceStrings},
		{sig: "replace_regex(text:string, lookup:string, rewrite:string) string", alias: []string{"replace"}, doc: "All matches of a pattern replaced; \\1 is the first group.", eval: replaceRegex},
		{sig: "reverse(value:any) string", doc: "Characters in reverse order.", eval: func(_ *Ctx, a []types.Value) types.Value {
			r := []rune(a[0].Text())
			for i, j := 0, len(r)-1; i < j; i, j = i+1, j-1 {
				r[i], r[j] = r[j], r[i]
			}
			return str(string(r))
		}},
		{sig: "trim(regex:string, source:string) string", doc: "Leading and trailing matches removed.", eval: trim(true, true)},
		{sig: "trim_start(regex:string, source:string) string", doc: "Leading matches removed.", eval: trim(true, false)},
		{sig: "trim_end(regex:string, source:string) string", doc: "Trailing matches removed.", eval: trim(false, true)},
		{sig: "split(source:string, delimiter:string, index:long?) dynamic", doc: "Array of the parts between delimiters; with an index, an array of that part.", eval: split},
		{sig: "extract(regex:string, group:long, source:string, type:typeof?)", doc: "Group of the first match, as the given type.", nulls: true, eval: extract},
		{sig: "extract_all(regex:string, groups:any, source:string?) dynamic", alias: []string{"extractall"}, doc: "Array of all matches; of arrays when there are several groups.", eval: extractAll},
		{sig: "regex_quote(text:string) string", doc: "Text with the special characters of patterns escaped.", eval: text(regexp.QuoteMeta)},
		{sig: "isempty(value:any) bool", nulls: true, doc: "Whether a text is empty or a value null.", eval: func(_ *Ctx, a []types.Value) types.Value { return boolean(empty(a[0])) }},
		{sig: "isnotempty(value:any) bool", alias: []string{"notempty"}, nulls: true, doc: "Whether a text is not empty and a value not null.", eval: func(_ *Ctx, a []types.Value) types.Value { return boolean(!empty(a[0])) }},
		{sig: "strcmp(a:string, b:string) long", doc: "-1, 0 or 1 as the first text sorts before, with or after the second.", eval: func(_ *Ctx, a []types.Value) types.Value { return long(strings.Compare(a[0].S, a[1].S)) }},
		{sig: "isascii(source:string) bool", doc: "Whether all characters are ASCII.", eval: func(_ *Ctx, a []types.Value) types.Value {
			return boolean(strings.IndexFunc(a[0].S, func(r rune) bool { return r > 127 }) < 0)
		}},
		{sig: "isutf8(source:string) bool", doc: "Whether the text is valid UTF-8.", eval: func(_ *Ctx, a []types.Value) types.Value { return boolean(utf8.ValidString(a[0].S)) }},
		{sig: "url_encode(url:string) string", doc: "Text escaped for a URL; a space becomes a plus sign.", eval: text(func(s string) string { return escapeURL(s, "+") })},
		{sig: "url_encode_component(url:string) string", doc: "Text escaped for a part of a URL; a space becomes %20.", eval: text(func(s string) string { return escapeURL(s, "%20") })},
		{sig: "url_decode(url:string) string", doc: "Text with URL escapes undone.", eval: text(func(s string) string {
			return unescapeURL(s)
		})},
		{sig: "unicode_codepoints_from_string(value:string) dynamic", alias: []string{"to_utf8"}, doc: "Array of the code points of a text.", eval: func(_ *Ctx, a []types.Value) types.Value {
			out := []any{}
			for _, r := range a[0].S {
				out = append(out, int64(r))
			}
			return dyn(out)
		}},
		{sig: "unicode_codepoints_to_string(value:any...) string", alias: []string{"make_string"}, doc: "Text made of code points.", eval: func(_ *Ctx, a []types.Value) types.Value {
			var b strings.Builder
			for _, v := range a {
				list, ok := v.D.([]any)
				if !ok {
					list = []any{types.Payload(v)}
				}
				for _, e := range list {
					if i, ok := e.(int64); ok && i >= 0 && i <= utf8.MaxRune && b.Len() < MaxString {
						b.WriteRune(rune(i))
					}
				}
			}
			return str(b.String())
		}},
		{sig: "translate(search:string, replacement:string, source:string) string", doc: "Characters of one list replaced by those of another.", eval: func(_ *Ctx, a []types.Value) types.Value {
			from, to := []rune(a[0].S), []rune(a[1].S)
			if len(to) == 0 {
				return a[2]
			}
			return str(strings.Map(func(r rune) rune {
				for i, f := range from {
					if f == r {
						return to[min(i, len(to)-1)]
					}
				}
				return r
			}, a[2].S))
		}},
		{sig: "has_any_index(source:string, terms:dynamic) long", doc: "Index of the first term of the list that the text has, -1 when none.", eval: func(_ *Ctx, a []types.Value) types.Value {
			for i, t := range Terms(a[1:]) {
				if HasTerm(Fold(a[0].S), Fold(t)) {
					return long(i)
				}
			}
			return long(-1)
		}},
	}
}

func empty(v types.Value) bool {
	if v.Null {
		return true
	}
	if v.Type == types.Dynamic {
		return v.Text() == ""
	}
	return v.Type == types.String && v.S == ""
}

func join(sep string, vals []types.Value) types.Value {
	var b strings.Builder
	for i, v := range vals {
		if i > 0 {
			b.WriteString(sep)
		}
		b.WriteString(v.Text())
		if b.Len() > MaxString {
			return str(b.String()[:MaxString])
		}
	}
	return str(b.String())
}

func substring(_ *Ctx, a []types.Value) types.Value {
	r := []rune(a[0].S)
	n := int64(len(r))
	start := a[1].I
	if start < 0 {
		start = max(start+n, 0)
	}
	start = min(start, n)
	end := n
	if len(a) > 2 && a[2].I >= 0 && a[2].I < n-start {
		end = start + a[2].I
	}
	return str(string(r[start:end]))
}

// found picks the wanted occurrence among byte offsets of matches in source: start and
// length bound where a match may begin. next finds the first match at or behind an offset
// and where the search goes on.
func found(c *Ctx, source string, a []types.Value, next func(s string) (at, end int)) types.Value {
	n := int64(utf8.RuneCountInString(source))
	start, end, occ := int64(0), n, int64(1)
	if len(a) > 2 {
		if start = a[2].I; start < 0 {
			start += n
		}
	}
	if start < 0 {
		return c.null()
	}
	start = min(start, n)
	if len(a) > 3 && a[3].I >= 0 && a[3].I < n-start {
		end = start + a[3].I
	}
	if len(a) > 4 {
		occ = a[4].I
	}
	if occ < 1 {
		return c.null()
	}
	rest := string([]rune(source)[start:])
	for pos := start; ; occ-- {
		at, stop := next(rest)
		if at < 0 {
			return long(-1)
		}
		hit := pos + int64(utf8.RuneCountInString(rest[:at]))
		if hit >= end && hit > start {
			return long(-1)
		}
		if occ == 1 {
			return types.NewLong(hit)
		}
		if stop == at {
			_, w := utf8.DecodeRuneInString(rest[at:])
			if stop += w; w == 0 {
				return long(-1)
			}
		}
		pos += int64(utf8.RuneCountInString(rest[:stop]))
		rest = rest[stop:]
	}
}

func indexOf(c *Ctx, a []types.Value) types.Value {
	find := a[1].Text()
	return found(c, a[0].Text(), a, func(s string) (int, int) {
		i := strings.Index(s, find)
		_, w := utf8.DecodeRuneInString(s[max(i, 0):])
		return i, i + w
	})
}

func indexOfRegex(c *Ctx, a []types.Value) types.Value {
	re := c.Regexp(a[1].S)
	if re == nil || len(a) > 2 && a[2].I < 0 {
		return c.null()
	}
	return found(c, a[0].Text(), a, func(s string) (int, int) {
		loc := re.FindStringIndex(s)
		if loc == nil {
			return -1, 0
		}
		return loc[0], loc[1]
	})
}

func countOf(c *Ctx, a []types.Value) types.Value {
	if len(a) > 2 && a[2].S == "regex" {
		re := c.Regexp(a[1].S)
		if re == nil {
			return c.null()
		}
		return long(len(re.FindAllStringIndex(a[0].S, -1)))
	}
	n := 0
	if a[1].S == "" {
		return long(0)
	}
	for s := a[0].S; ; n++ {
		// Plain matches may overlap.
		i := strings.Index(s, a[1].S)
		if i < 0 {
			return long(n)
		}
		_, w := utf8.DecodeRuneInString(s[i:])
		s = s[i+w:]
	}
}

func replaceStrings(_ *Ctx, a []types.Value) types.Value {
	from, ok := a[1].D.([]any)
	to, ok2 := a[2].D.([]any)
	if !ok || !ok2 || len(from) != len(to) {
		return str("")
	}
	// The texts are looked for in turn, each in what the ones before it left alone: what
	// one replacement wrote no other reads. A rewrite that is no text leaves its match.
	type piece struct {
		s    string
		done bool
	}
	pieces, size := []piece{{s: a[0].S}}, len(a[0].S)
	for i := range from {
		f, ok := from[i].(string)
		if !ok || f == "" {
			continue
		}
		t, ok := to[i].(string)
		if !ok {
			t = f
		}
		var next []piece
		for _, p := range pieces {
			if p.done {
				next = append(next, p)
				continue
			}
			for {
				before, after, found := strings.Cut(p.s, f)
				if !found {
					break
				}
				if size += len(t) - len(f); size > MaxString {
					return a[0]
				}
				next = append(next, piece{s: before}, piece{t, true})
				p.s = after
			}
			next = append(next, p)
		}
		pieces = next
	}
	var b strings.Builder
	for _, p := range pieces {
		b.WriteString(p.s)
	}
	return str(b.String())
}

// GoRewrite turns the backslash groups of a rewrite text into those of Go.
func GoRewrite(rewrite string) string {
	var b strings.Builder
	for i := 0; i < len(rewrite); i++ {
		switch c := rewrite[i]; {
		case c == '\\' && i+1 < len(rewrite) && rewrite[i+1] >= '0' && rewrite[i+1] <= '9':
			i++
			b.WriteString("${" + rewrite[i:i+1] + "}")
		case c == '\\' && i+1 < len(rewrite):
			i++
			b.WriteByte(rewrite[i])
		case c == '$':
			b.WriteString("$$")
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

func replaceRegex(c *Ctx, a []types.Value) types.Value {
	// replace(regex, rewrite, text) is the legacy order; the binder has swapped it.
	re := c.Regexp(a[1].S)
	if re == nil {
		return c.null()
	}
	if len(a[0].S)*(len(a[2].S)+1) > 64*MaxString {
		return a[0]
	}
	return str(re.ReplaceAllString(a[0].S, GoRewrite(a[2].S)))
}

func trim(start, end bool) Impl {
	return func(c *Ctx, a []types.Value) types.Value {
		s := a[1].S
		if start {
			re := c.Regexp("^(?:" + a[0].S + ")")
			if re == nil {
				return c.null()
			}
			// An alternation such as "a|b" may match again where it cut.
			for loc := re.FindStringIndex(s); loc != nil && loc[1] > 0; loc = re.FindStringIndex(s) {
				s = s[loc[1]:]
			}
		}
		if end {
			re := c.Regexp("(?:" + a[0].S + ")$")
			if re == nil {
				return c.null()
			}
			for loc := re.FindStringIndex(s); loc != nil && loc[0] < len(s); loc = re.FindStringIndex(s) {
				s = s[:loc[0]]
			}
		}
		return str(s)
	}
}

func split(_ *Ctx, a []types.Value) types.Value {
	parts := []string{a[0].S}
	if a[1].S != "" && strings.Count(a[0].S, a[1].S) < MaxArray {
		parts = strings.Split(a[0].S, a[1].S)
	}
	if len(a) > 2 {
		i := a[2].I
		if i < 0 || i >= int64(len(parts)) {
			return dyn([]any{})
		}
		return dyn([]any{parts[i]})
	}
	out := make([]any, len(parts))
	for i, p := range parts {
		out[i] = p
	}
	return dyn(out)
}

func extract(c *Ctx, a []types.Value) types.Value {
	re := c.Regexp(a[0].S)
	if re == nil || a[1].Null {
		return c.null()
	}
	m := re.FindStringSubmatch(a[2].S)
	if m == nil || a[1].I < 0 || a[1].I >= int64(len(m)) {
		return c.null()
	}
	return types.ParseAs(m[a[1].I], c.Result)
}

func extractAll(c *Ctx, a []types.Value) types.Value {
	re, source, groups := c.Regexp(a[0].S), a[1].Text(), []int(nil)
	if re == nil {
		return c.null()
	}
	if len(a) > 2 {
		source = a[2].S
		list, _ := a[1].D.([]any)
		for _, g := range list {
			switch x := g.(type) {
			case int64:
				groups = append(groups, int(x))
			case string:
				groups = append(groups, re.SubexpIndex(x))
			}
		}
	} else {
		for i := 1; i <= re.NumSubexp(); i++ {
			groups = append(groups, i)
		}
	}
	if len(groups) == 0 {
		groups = []int{0}
	}
	all := re.FindAllStringSubmatch(source, MaxArray)
	if all == nil {
		return c.null()
	}
	out := make([]any, 0, len(all))
	for _, m := range all {
		row := []any{}
		for _, g := range groups {
			if g < 0 || g >= len(m) {
				return c.null()
			}
			row = append(row, m[g])
		}
		if len(groups) == 1 {
			out = append(out, row[0])
		} else {
			out = append(out, row)
		}
	}
	return dyn(out)
}
