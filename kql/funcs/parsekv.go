package funcs

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/vedette-edr/vedette/kql/types"
)

// kvOptions are those of the operator parse-kv.
type kvOptions struct {
	keys       []string
	pair, kv   string
	quotes     []string // each of one or two characters: what opens and what closes
	escapes    []string
	greedy     bool
	delimiters bool // pair and kv say what parts; without, every character that is no letter or digit does
}

// parseKV answers the value of each key that a text has, the first where there are several.
func parseKV(s string, o kvOptions) *types.Bag {
	b := types.NewBag()
	for i := 0; i < len(s); {
		key, end, ok := o.keyAt(s, i)
		if !ok {
			_, n := utf8.DecodeRuneInString(s[i:])
			i += n
			continue
		}
		v, next := o.valueAt(s, end)
		if _, has := b.Get(key); !has {
			b.Set(key, v)
		}
		i = next
	}
	return b
}

// keyAt reports the key that begins at i of s, quoted or not, and where its value begins.
func (o kvOptions) keyAt(s string, i int) (key string, end int, ok bool) {
	if i > 0 {
		// A key stands behind a delimiter, or behind white space after one.
		before := strings.TrimRight(s[:i], " \t")
		if o.delimiters {
			ok = before == "" || strings.HasSuffix(s[:i], o.pair) || strings.HasSuffix(before, strings.TrimSpace(o.pair)) && strings.TrimSpace(o.pair) != ""
		} else {
			r, _ := utf8.DecodeLastRuneInString(s[:i])
			ok = !word(r)
		}
		if !ok {
			return "", 0, false
		}
	}
	for _, k := range o.keys {
		for _, q := range append([]string{""}, o.quotes...) {
			rest, found := s[i:], true
			if q != "" {
				rest, found = strings.CutPrefix(rest, opening(q))
			}
			if found {
				rest, found = strings.CutPrefix(rest, k)
			}
			if found && q != "" {
				rest, found = strings.CutPrefix(rest, closing(q))
			}
			if !found {
				continue
			}
			trimmed := strings.TrimLeft(rest, " \t")
			if o.delimiters {
				if r, has := strings.CutPrefix(trimmed, strings.TrimSpace(o.kv)); has && strings.TrimSpace(o.kv) != "" {
					return k, len(s) - len(r), true
				}
				if r, has := strings.CutPrefix(rest, o.kv); has {
					return k, len(s) - len(r), true
				}
				continue
			}
			if r, n := utf8.DecodeRuneInString(trimmed); n > 0 && !word(r) && !o.opens(trimmed) {
				return k, len(s) - len(trimmed) + n, true
			}
			if len(trimmed) < len(rest) {
				return k, len(s) - len(trimmed), true
			}
		}
	}
	return "", 0, false
}

// valueAt answers the value that begins at i of s and where the next pair may begin.
func (o kvOptions) valueAt(s string, i int) (v string, next int) {
	rest := s[i:]
	trimmed := strings.TrimLeft(rest, " \t")
	at := len(s) - len(trimmed)
	for _, q := range o.quotes {
		if body, ok := strings.CutPrefix(trimmed, opening(q)); ok {
			if text, n, closed := o.unquote(body, closing(q)); closed {
				return strings.TrimSpace(text), at + len(opening(q)) + n
			}
		}
	}
	if !o.delimiters {
		end := strings.IndexFunc(trimmed, func(r rune) bool { return !word(r) })
		if end < 0 {
			end = len(trimmed)
		}
		return trimmed[:end], at + end
	}
	if o.greedy {
		// The value runs on until a pair of another key begins.
		for k := at; k < len(s); k++ {
			if strings.HasPrefix(s[k:], o.pair) {
				if n := k + len(o.pair); n < len(s) && o.anyKeyAt(s, n) {
					return strings.TrimSpace(s[at:k]), n
				}
			}
		}
		return strings.TrimSpace(s[at:]), len(s)
	}
	// A delimiter of white space ends an empty value too.
	if strings.TrimSpace(o.pair) == "" {
		if strings.HasPrefix(rest, o.pair) {
			return "", i + len(o.pair)
		}
		at, trimmed = i, rest
	}
	text, _, found := strings.Cut(trimmed, o.pair)
	next = at + len(text)
	if found {
		next += len(o.pair)
	}
	return strings.TrimSpace(text), next
}

// anyKeyAt reports whether something like a key, listed or not, begins at i.
func (o kvOptions) anyKeyAt(s string, i int) bool {
	before, _, ok := strings.Cut(s[i:], o.kv)
	return ok && before != "" && !strings.Contains(before, o.pair)
}

func (o kvOptions) opens(s string) bool {
	for _, q := range o.quotes {
		if strings.HasPrefix(s, opening(q)) {
			return true
		}
	}
	return false
}

// unquote reads up to the closing quote; n counts the bytes read, the quote included.
func (o kvOptions) unquote(s, end string) (text string, n int, ok bool) {
	var b strings.Builder
scan:
	for i := 0; i < len(s); {
		for _, e := range o.escapes {
			if e != "" && strings.HasPrefix(s[i:], e) && i+len(e) < len(s) {
				_, w := utf8.DecodeRuneInString(s[i+len(e):])
				b.WriteString(s[i+len(e) : i+len(e)+w])
				i += len(e) + w
				continue scan
			}
		}
		if strings.HasPrefix(s[i:], end) {
			return b.String(), i + len(end), true
		}
		b.WriteByte(s[i])
		i++
	}
	return "", 0, false
}

// parseKVRegex takes the pairs from the two groups of a pattern.
func parseKVRegex(c *Ctx, s, pattern string) *types.Bag {
	b := types.NewBag()
	re := c.Regexp(pattern)
	if re == nil || re.NumSubexp() != 2 {
		return b
	}
	for _, m := range re.FindAllStringSubmatch(s, MaxArray) {
		k := strings.TrimSpace(m[1])
		if _, has := b.Get(k); !has {
			b.Set(k, strings.TrimSpace(m[2]))
		}
	}
	return b
}

func opening(q string) string {
	_, n := utf8.DecodeRuneInString(q)
	return q[:n]
}

func closing(q string) string {
	_, n := utf8.DecodeLastRuneInString(q)
	return q[len(q)-n:]
}

func word(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) || r == '_' }

// parseKVCall reads the options that the binder hands over as a bag.
func parseKVCall(c *Ctx, a []types.Value) types.Value {
	opt, _ := a[1].D.(*types.Bag)
	if opt == nil {
		return c.null()
	}
	texts := func(name string) []string {
		v, _ := opt.Get(name)
		list, _ := v.([]any)
		var out []string
		for _, e := range list {
			if s, ok := e.(string); ok && s != "" {
				out = append(out, s)
			}
		}
		return out
	}
	first := func(name, def string) string {
		if l := texts(name); len(l) > 0 {
			return l[0]
		}
		return def
	}
	if re := first("regex", ""); re != "" {
		return dyn(parseKVRegex(c, a[0].S, re))
	}
	o := kvOptions{keys: texts("keys"), quotes: texts("quote"), escapes: texts("escape"), greedy: first("greedy", "") == "true",
		pair: first("pair_delimiter", " "), kv: first("kv_delimiter", "=")}
	o.delimiters = len(texts("pair_delimiter"))+len(texts("kv_delimiter")) > 0
	return dyn(parseKV(a[0].S, o))
}
