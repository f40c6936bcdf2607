package api

import (
	"mime"
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxFileName bounds the name of a download, in bytes: file systems take 255.
const maxFileName = 200

// Attachment sets what an answer carries that is a file: of a device, of a person, or made of
// what they say. A browser saves it under a name that is only a name, takes it for nothing
// else than media, and runs nothing of it even where it is opened.
func Attachment(h http.Header, name, media string) {
	h.Set("Content-Type", media)
	h.Set("Content-Disposition", disposition(FileName(name)))
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "sandbox; default-src 'none'; frame-ancestors 'none'")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Referrer-Policy", "no-referrer")
}

// disposition is the header that names a download. Names stand in quotation marks even
// where the standard (RFC 6266) asks for none, because clients look for them; one that is not
// plain ASCII is encoded (RFC 8187).
func disposition(name string) string {
	if strings.ContainsFunc(name, func(r rune) bool { return r > '~' }) {
		return mime.FormatMediaType("attachment", map[string]string{"filename": name})
	}
	return `attachment; filename="` + name + `"`
}

// FileName makes a name under which a file can be kept anywhere of one that a device chose. It
// names no directory and no stream, hides nothing and turns no text around, is none of the
// devices of Windows, and keeps the end, by which people and programs know what it is.
func FileName(name string) string {
	name = strings.ToValidUTF8(name, "_")
	if i := strings.LastIndexAny(name, `/\`); i >= 0 {
		name = name[i+1:]
	}
	name = strings.Map(func(r rune) rune {
		// '%' because some clients take it for an escape, the others because of Windows.
		if strings.ContainsRune(`"%*:<>?|`, r) || r != ' ' && !unicode.IsPrint(r) {
			return '_'
		}
		return r
	}, name)
	name = strings.TrimRight(name, ". ") // which Windows leaves out
	name = strings.TrimLeft(name, " ")
	if strings.HasPrefix(name, "-") { // which programs take for an option
		name = "_" + name[1:]
	}
	if len(name) > maxFileName {
		name = shortened(name)
	}
	base, _, _ := strings.Cut(name, ".")
	switch base = strings.ToUpper(strings.TrimSpace(base)); {
	case name == "" || strings.Trim(name, ".") == "":
		return "file"
	case base == "CON", base == "PRN", base == "AUX", base == "NUL",
		len(base) == 4 && (base[:3] == "COM" || base[:3] == "LPT") && base[3] >= '0' && base[3] <= '9':
		return "_" + name
	}
	return name
}

// shortened cuts a name in its middle, so that its end stays.
func shortened(name string) string {
	end := ""
	if i := strings.LastIndexByte(name, '.'); i > 0 && len(name)-i <= 16 {
		name, end = name[:i], name[i:]
	}
	keep := maxFileName - len(end)
	for keep > 0 && !utf8.RuneStart(name[keep]) {
		keep--
	}
	return name[:keep] + end
}
