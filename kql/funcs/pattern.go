package funcs

import "strings"

// Pattern writes a regular expression of Kusto's dialect, which is that of Rust's regex
// crate, in the RE2 syntax that both engines read alike: \uXXXX, \UXXXXXXXX and \u{X…}
// become \x{X…}, and (?<name>…) becomes (?P<name>…). What needs no change is returned as
// it is.
func Pattern(p string) string {
	if !strings.Contains(p, `\u`) && !strings.Contains(p, `\U`) && !strings.Contains(p, "(?<") {
		return p
	}
	var b strings.Builder
	for i := 0; i < len(p); {
		switch {
		case p[i] == '\\' && i+1 < len(p):
			n := 0
			switch p[i+1] {
			case 'u':
				n = 4
			case 'U':
				n = 8
			}
			rest := p[i+2:]
			switch {
			case n > 0 && strings.HasPrefix(rest, "{"):
				b.WriteString(`\x`)
				i += 2
			case n > 0 && len(rest) >= n && isHex(rest[:n]):
				b.WriteString(`\x{` + rest[:n] + `}`)
				i += 2 + n
			default:
				b.WriteString(p[i : i+2])
				i += 2
			}
		case strings.HasPrefix(p[i:], "(?<") && i+3 < len(p) && p[i+3] != '=' && p[i+3] != '!':
			b.WriteString("(?P<")
			i += 3
		default:
			b.WriteByte(p[i])
			i++
		}
	}
	return b.String()
}

func isHex(s string) bool { return strings.Trim(s, "0123456789abcdefABCDEF") == "" }
