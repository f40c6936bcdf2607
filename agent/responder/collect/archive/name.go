package archive

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds of the names of entries, in bytes: what every file system and unpacker takes.
const (
	maxPart = 120
	maxPath = 400
)

// names gives out paths that differ for file systems which do not tell cases apart.
type names struct{ taken map[string]int }

func newNames() *names { return &names{taken: map[string]int{fold(ManifestName): 1}} }

// unique makes a path of its own out of a folder and a name, each of which may have parts.
func (n *names) unique(folder, name string) string {
	path := safePath(folder + "/" + name)
	dir, base := "", path
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		dir, base = path[:i+1], path[i+1:]
	}
	stem, ext := base, ""
	if i := strings.LastIndexByte(base, '.'); i > 0 {
		stem, ext = base[:i], base[i:]
	}
	// taken is also the number that the next one of the name gets.
	try := path
	for n.taken[fold(try)] > 0 {
		try = fmt.Sprintf("%s%s~%d%s", dir, stem, n.taken[fold(path)], ext)
		n.taken[fold(path)]++
	}
	n.taken[fold(try)] = 1
	return try
}

func fold(s string) string { return strings.ToLower(s) }

// safePath makes each part of a path harmless. Parts that climb or stand still are left out.
func safePath(path string) string {
	var parts []string
	for p := range strings.SplitSeq(path, "/") {
		if p == "" || p == "." {
			continue
		}
		parts = append(parts, safePart(p))
	}
	for len(strings.Join(parts, "/")) > maxPath && len(parts) > 2 {
		// What is left out in the middle is still told apart by its hash.
		i := len(parts) / 2
		merged := short(parts[i-1]+"/"+parts[i], "")
		parts = append(append(parts[:i-1:i-1], merged), parts[i+1:]...)
	}
	if len(parts) == 0 {
		return "_"
	}
	return strings.Join(parts, "/")
}

// safePart writes what cannot stand in a file's name, anywhere, as %XX of its bytes.
func safePart(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		bad := r == utf8.RuneError && n <= 1 || !unicode.IsPrint(r) || strings.ContainsRune(`<>:"|?*\%`, r)
		if bad {
			for _, c := range []byte(s[i : i+n]) {
				fmt.Fprintf(&b, "%%%02X", c)
			}
		} else {
			b.WriteString(s[i : i+n])
		}
		i += n
	}
	out := b.String()
	// Windows drops dots and blanks at the end, and takes some names for devices.
	if last := out[len(out)-1]; last == '.' || last == ' ' {
		out = fmt.Sprintf("%s%%%02X", out[:len(out)-1], last)
	}
	if stem, _, _ := strings.Cut(out, "."); reserved(strings.ToUpper(strings.TrimSpace(stem))) {
		out = "_" + out
	}
	if len(out) > maxPart {
		return short(s, out)
	}
	return out
}

// short names a part by the beginning of shown and the hash of the whole.
func short(whole, shown string) string {
	h := sha256.Sum256([]byte(whole))
	mark := hex.EncodeToString(h[:8])
	if len(shown) > maxPart-len(mark)-1 {
		shown = strings.ToValidUTF8(shown[:maxPart-len(mark)-1], "")
	}
	return shown + "~" + mark
}

func reserved(name string) bool {
	switch name {
	case "CON", "PRN", "AUX", "NUL":
		return true
	}
	if len(name) != 4 || name[3] < '0' || name[3] > '9' {
		return false
	}
	return strings.HasPrefix(name, "COM") || strings.HasPrefix(name, "LPT")
}
