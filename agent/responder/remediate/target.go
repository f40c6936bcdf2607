package remediate

import (
	"errors"
	"regexp"
	"slices"
	"strings"

	"github.com/vedette-edr/vedette/agent/hash"
)

// Target is the file by its digest: one of SHA1 and SHA256, in lower-case hexadecimal.
type Target struct {
	SHA1   string   `json:"sha1,omitempty"`
	SHA256 string   `json:"sha256,omitempty"`
	Paths  []string `json:"paths,omitempty"` // where it was seen
	Size   int64    `json:"size,omitempty"`  // bytes; 0 when it is not known
	// Near looks at Paths and at what runs alone: further copies are not searched for.
	Near bool `json:"-"`
}

// Digests of nothing: every empty file of the device would be meant.
const (
	emptySHA1   = "da39a3ee5e6b4b0d3255bfef95601890afd80709"
	emptySHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
)

// maxPaths bounds the places that a command may name.
const maxPaths = 256

var (
	sha1Form   = regexp.MustCompile(`^[0-9a-f]{40}$`)
	sha256Form = regexp.MustCompile(`^[0-9a-f]{64}$`)
)

func (t *Target) check() error {
	t.SHA1, t.SHA256 = strings.ToLower(t.SHA1), strings.ToLower(t.SHA256)
	switch {
	case t.SHA1 == "" && t.SHA256 == "":
		return errors.New("neither sha1 nor sha256 is given")
	case t.SHA1 != "" && !sha1Form.MatchString(t.SHA1):
		return errors.New("sha1 is no SHA-1 in hexadecimal")
	case t.SHA256 != "" && !sha256Form.MatchString(t.SHA256):
		return errors.New("sha256 is no SHA-256 in hexadecimal")
	case t.SHA1 == emptySHA1 || t.SHA256 == emptySHA256:
		return errors.New("it is the digest of an empty file: every empty file of the device would be taken")
	case len(t.Paths) > maxPaths:
		return errors.New("too many paths are given")
	case t.Size < 0:
		return errors.New("size is negative")
	}
	for _, p := range t.Paths {
		if !strings.HasPrefix(p, "/") || len(p) > 4096 || strings.ContainsRune(p, 0) {
			return errors.New("a path is not absolute, too long, or no path")
		}
	}
	return nil
}

// matches reports whether a file with these digests is meant.
func (t *Target) matches(s hash.Sums) bool {
	return s.SHA256 != "" && (t.SHA1 == "" || s.SHA1 == t.SHA1) && (t.SHA256 == "" || s.SHA256 == t.SHA256)
}

// size reports whether a file of n bytes can be the one.
func (t *Target) size(n int64, sizes []int64) bool {
	if n == 0 {
		return false
	}
	if len(sizes) > 0 {
		return slices.Contains(sizes, n)
	}
	return t.Size == 0 || n == t.Size
}
