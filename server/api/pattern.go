package api

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// segment is one compiled piece of a pattern. The zero args mean that it has none.
type segment struct {
	literal string // "" for a variable
	name    string // of the variable
	args    []arg
}

// arg is one OData argument: key is "" when the pattern gives it by position.
type arg struct{ key, name string }

// weight orders segments that match the same text: the more specific one wins.
func (s segment) weight() int {
	switch {
	case s.literal == "":
		return 0
	case len(s.args) == 0:
		return 2
	}
	return 1
}

// shape is what two patterns share when they match the same paths.
func (s segment) shape() string {
	if s.literal == "" {
		return "{}"
	}
	keys := make([]string, len(s.args))
	for i, a := range s.args {
		keys[i] = strings.ToLower(a.key) + "="
	}
	slices.Sort(keys)
	return strings.ToLower(s.literal) + "(" + strings.Join(keys, ",") + ")"
}

func compile(pattern string) ([]segment, error) {
	if !strings.HasPrefix(pattern, "/") {
		return nil, fmt.Errorf("pattern %q does not start with a slash", pattern)
	}
	var out []segment
	for text := range strings.SplitSeq(strings.TrimPrefix(pattern, "/"), "/") {
		if text == "" {
			if pattern == "/" {
				break
			}
			return nil, fmt.Errorf("pattern %q has an empty segment", pattern)
		}
		s, err := compileSegment(text)
		if err != nil {
			return nil, fmt.Errorf("pattern %q: %w", pattern, err)
		}
		out = append(out, s)
	}
	return out, nil
}

func compileSegment(text string) (segment, error) {
	if name, ok := variable(text); ok {
		return segment{name: name}, nil
	}
	literal, list, ok := cutArgs(text)
	if !ok {
		if strings.ContainsAny(text, "{}()") {
			return segment{}, fmt.Errorf("segment %q is neither literal nor variable", text)
		}
		return segment{literal: text}, nil
	}
	s := segment{literal: literal}
	for part := range strings.SplitSeq(list, ",") {
		key, value, named := strings.Cut(part, "=")
		if !named {
			key, value = "", part
		}
		name, ok := variable(value)
		if !ok {
			return segment{}, fmt.Errorf("argument %q is not a variable", part)
		}
		s.args = append(s.args, arg{key: key, name: name})
	}
	if len(s.args) > 1 && slices.ContainsFunc(s.args, func(a arg) bool { return a.key == "" }) {
		return segment{}, fmt.Errorf("segment %q: several arguments must all be named", text)
	}
	return s, nil
}

func variable(text string) (string, bool) {
	name, ok := strings.CutPrefix(text, "{")
	if !ok {
		return "", false
	}
	name, ok = strings.CutSuffix(name, "}")
	return name, ok && name != "" && !strings.ContainsAny(name, "{}(),=")
}

// cutArgs splits name(list).
func cutArgs(text string) (name, list string, ok bool) {
	open := strings.IndexByte(text, '(')
	if open <= 0 || !strings.HasSuffix(text, ")") {
		return text, "", false
	}
	return text[:open], text[open+1 : len(text)-1], true
}

// match adds the variables of s to vars and reports whether text is of its form.
func (s segment) match(text string, vars map[string]string) bool {
	if s.literal == "" {
		vars[s.name] = text
		return true
	}
	if len(s.args) == 0 {
		return strings.EqualFold(s.literal, text)
	}
	name, list, ok := cutArgs(text)
	if !ok || !strings.EqualFold(name, s.literal) {
		return false
	}
	given := splitArgs(list)
	if len(given) != len(s.args) {
		return false
	}
	for _, a := range s.args {
		i := slices.IndexFunc(given, func(g arg) bool {
			return strings.EqualFold(g.key, a.key) || a.key == "" && strings.EqualFold(g.key, a.name)
		})
		if i < 0 {
			return false
		}
		vars[a.name] = given[i].name
	}
	return true
}

// splitArgs reads "1", "'x'" or "a=1,b='y,z'"; the values are unquoted.
func splitArgs(list string) []arg {
	var out []arg
	quoted, start := false, 0
	for i := 0; i <= len(list); i++ {
		if i < len(list) && list[i] == '\'' {
			quoted = !quoted
		}
		if i < len(list) && (quoted || list[i] != ',') {
			continue
		}
		part := strings.TrimSpace(list[start:i])
		start = i + 1
		key, value := "", part
		if eq := strings.IndexByte(part, '='); eq > 0 && !strings.Contains(part[:eq], "'") {
			key, value = strings.TrimSpace(part[:eq]), strings.TrimSpace(part[eq+1:])
		}
		out = append(out, arg{key: key, name: unquote(value)})
	}
	return out
}

// unquote takes the single quotes off an OData string and halves the doubled ones.
func unquote(s string) string {
	if len(s) >= 2 && s[0] == '\'' && s[len(s)-1] == '\'' {
		return strings.ReplaceAll(s[1:len(s)-1], "''", "'")
	}
	return s
}

// segments splits an escaped path: empty segments are dropped, each is unescaped, and the
// version after a leading "api" is left out.
func segments(escaped string) ([]string, error) {
	var out []string
	for text := range strings.SplitSeq(escaped, "/") {
		if text == "" {
			continue
		}
		s, err := url.PathUnescape(text)
		if err != nil {
			return nil, err
		}
		if len(out) == 1 && strings.EqualFold(out[0], "api") && strings.EqualFold(s, "v1.0") {
			continue
		}
		out = append(out, s)
	}
	return out, nil
}
