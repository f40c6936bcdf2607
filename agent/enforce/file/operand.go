package file

import (
	"path/filepath"
	"slices"
	"strings"
)

// syntax is how an interpreter is told what to run.
type syntax struct {
	inline []string // options after which the program stands in the arguments: no file is run
	values []string // options whose next argument is theirs
	files  []string // options whose next argument, or rest, is a file that is run
	// only says that what is run is named by files alone: operands are data.
	only bool
}

func shell() syntax {
	return syntax{inline: []string{"-c"}, values: []string{"-o", "+o", "-O", "+O"}, files: []string{"--rcfile", "--init-file"}}
}

// syntaxOf returns the syntax of an interpreter, and whether it is known.
func syntaxOf(name string) (syntax, bool) {
	switch strings.TrimRight(name, "0123456789.-") {
	case "sh", "bash", "dash", "ash", "zsh", "ksh", "mksh", "fish", "csh", "tcsh":
		return shell(), true
	case "python":
		return syntax{inline: []string{"-c", "-m"}, values: []string{"-W", "-X", "-Q", "--check-hash-based-pycs"}}, true
	case "perl":
		return syntax{inline: []string{"-e", "-E"}, values: []string{"-I"}}, true
	case "ruby":
		return syntax{inline: []string{"-e"}, values: []string{"-I", "-C", "-E", "-r"}}, true
	case "node", "nodejs":
		return syntax{inline: []string{"-e", "--eval", "-p", "--print"}, files: []string{"-r", "--require", "--import", "--loader"}}, true
	case "php":
		return syntax{inline: []string{"-r"}, values: []string{"-d", "-c"}, files: []string{"-f", "--file"}}, true
	case "lua", "luajit":
		return syntax{inline: []string{"-e"}, values: []string{"-l"}}, true
	case "awk", "gawk", "mawk":
		return syntax{values: []string{"-F", "-v"}, files: []string{"-f", "--file", "-E", "--exec"}, only: true}, true
	case "java":
		return syntax{values: []string{"-cp", "-classpath", "--class-path", "-p", "--module-path"}, files: []string{"-jar"}, only: true}, true
	}
	return syntax{}, false
}

// operands returns the files that an interpreter with these arguments was told to run. Of
// one whose syntax is not known, or that has options which are not, two are taken: the
// first may be an option's value.
func operands(interpreter string, args []string) []string {
	if len(args) > 0 && filepath.Base(args[0]) == "busybox" {
		args = args[1:]
	}
	if len(args) == 0 {
		return nil
	}
	if interpreter == "busybox" {
		interpreter = filepath.Base(args[0])
	}
	s, known := syntaxOf(interpreter)
	var out []string
	most := 1
	if !known {
		most = 2
	}
	rest := args[1:]
	for len(rest) > 0 {
		a := rest[0]
		rest = rest[1:]
		switch {
		case a == "--":
			if !s.only && len(rest) > 0 {
				out = append(out, rest[0])
			}
			return out
		case len(a) < 2 || a[0] != '-' && a[0] != '+':
			if s.only {
				return out
			}
			if a != "-" {
				out = append(out, a)
			}
			if most--; most == 0 {
				return out
			}
		case slices.Contains(s.inline, a), bundled(s.inline, a):
			return out
		case slices.Contains(s.values, a):
			rest = rest[min(1, len(rest)):]
		case slices.Contains(s.files, a):
			if len(rest) > 0 {
				out, rest = append(out, rest[0]), rest[1:]
			}
		default:
			if _, file, ok := strings.Cut(a, "="); ok && strings.HasPrefix(a, "--") {
				if slices.ContainsFunc(s.files, func(f string) bool { return strings.HasPrefix(a, f+"=") }) {
					out = append(out, file)
				}
				continue
			}
			for _, f := range s.files {
				if len(f) == 2 && strings.HasPrefix(a, f) {
					out = append(out, a[2:])
				}
			}
			if strings.HasPrefix(a, "--") && most == 1 {
				most = 2
			}
		}
	}
	return out
}

// bundled reports whether short options in one word, such as -xec, end in one of list.
func bundled(list []string, a string) bool {
	if len(a) < 3 || a[0] != '-' || a[1] == '-' {
		return false
	}
	return slices.ContainsFunc(list, func(o string) bool { return len(o) == 2 && a[len(a)-1] == o[1] })
}
