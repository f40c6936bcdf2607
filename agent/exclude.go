package agent

import (
	"fmt"
	"path/filepath"
	"strings"
)

// exclusion is one value of Config.Exclude, taken apart.
type exclusion struct{ path, program string }

// parseExclusions reads PATH and PATH=PROGRAM. The kernel names files by where they are,
// so symbolic links are followed as far as the paths exist; the path as it was written
// counts too, for names that a program gives and that are gone when they are reported.
func parseExclusions(texts []string) ([]exclusion, error) {
	var out []exclusion
	for _, text := range texts {
		path, program := text, ""
		if i := strings.LastIndex(text, "=/"); i >= 0 {
			path, program = text[:i], text[i+1:]
		}
		if !filepath.IsAbs(path) {
			return nil, fmt.Errorf("excluded path %q: an absolute PATH or PATH=PROGRAM is needed", text)
		}
		if real, err := filepath.EvalSymlinks(program); program != "" && err == nil {
			program = real
		}
		path = filepath.Clean(path)
		out = append(out, exclusion{path, program})
		if real, err := filepath.EvalSymlinks(path); err == nil && real != path {
			out = append(out, exclusion{real, program})
		}
	}
	return out, nil
}
