package audit

import "strings"

// cut bounds a text and makes it valid UTF-8, so that it comes back from any store as it
// was hashed.
func cut(s string) string {
	if len(s) > maxText {
		s = s[:maxText]
	}
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}
