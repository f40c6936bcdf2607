package wire

import "encoding/json"

// isObject reports whether s is one JSON object that does not nest too deeply.
func isObject(s string) bool {
	for i := 0; ; i++ {
		if i == len(s) {
			return false
		}
		if c := s[i]; c == ' ' || c == '\t' || c == '\n' || c == '\r' {
			continue
		} else if c != '{' {
			return false
		}
		break
	}
	depth, quoted := 0, false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			if depth++; depth > maxDepth {
				return false
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return json.Valid([]byte(s))
}
