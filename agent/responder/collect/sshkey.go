package collect

import (
	"crypto/sha256"
	"encoding/base64"
	"strings"
)

// sshKey is a key in a file of OpenSSH, without what is secret of it.
type sshKey struct {
	line        int
	kind        string // authorized, public, private, known host
	algorithm   string
	fingerprint string // SHA256:… as ssh-keygen -l prints it
	comment     string
	options     string // what the key may do, of an authorized one
}

// sshKeys reads the keys of a file (sshd(8), AUTHORIZED_KEYS FILE FORMAT).
func sshKeys(base, text string) []sshKey {
	if strings.Contains(text, "PRIVATE KEY-----") {
		k := sshKey{line: 1, kind: "private", comment: "the content is left out"}
		if strings.Contains(text, "ENCRYPTED") {
			k.comment = "encrypted; the content is left out"
		}
		return []sshKey{k}
	}
	kind := "authorized"
	switch {
	case strings.HasSuffix(base, ".pub"):
		kind = "public"
	case strings.HasPrefix(base, "known_hosts"), base == "ssh_known_hosts":
		kind = "known host"
	case !strings.HasPrefix(base, "authorized_keys"):
		return nil
	}
	var out []sshKey
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		f := words(line)
		for i, w := range f {
			if !algorithm(w) || i+1 >= len(f) {
				continue
			}
			raw, err := base64.StdEncoding.DecodeString(f[i+1])
			if err != nil {
				break
			}
			sum := sha256.Sum256(raw)
			out = append(out, sshKey{line: n, kind: kind, algorithm: w, fingerprint: "SHA256:" + base64.RawStdEncoding.EncodeToString(sum[:]),
				comment: strings.Join(f[i+2:], " "), options: strings.Join(f[:i], " ")})
			break
		}
	}
	return out
}

func algorithm(w string) bool {
	return strings.HasPrefix(w, "ssh-") || strings.HasPrefix(w, "ecdsa-sha2-") || strings.HasPrefix(w, "sk-")
}

// words splits at blanks that are not in quotation marks.
func words(line string) []string {
	var out []string
	quoted, start := false, -1
	for i := 0; i <= len(line); i++ {
		blank := i == len(line) || !quoted && (line[i] == ' ' || line[i] == '\t')
		switch {
		case blank && start >= 0:
			out = append(out, line[start:i])
			start = -1
		case !blank && start < 0:
			start = i
		}
		if i < len(line) && line[i] == '"' && (i == 0 || line[i-1] != '\\') {
			quoted = !quoted
		}
	}
	return out
}
