package detection

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// Suffixes of the files of a rule and of its test.
const (
	ruleSuffix = ".yaml"
	testSuffix = ".test.yaml"
)

// Loaded is a rule as it was found, sound or not.
type Loaded struct {
	Path     string    // of its file
	Name     string    // of the rule, or of the file when it cannot be read
	Compiled *Compiled // nil when it cannot run
	Problem  error     // why it cannot run or must not: Problems of the rule, or its red tests
	Outcomes []Outcome // of its tests
}

// Ready reports whether the rule may be enabled: it is sound and its tests are green.
func (l *Loaded) Ready() bool { return l.Compiled != nil && l.Problem == nil }

// Load reads one rule and its tests from their texts. It always returns something: what is
// wrong is its Problem.
func Load(name string, rule, test []byte, a *Attack) *Loaded {
	l := &Loaded{Path: name, Name: strings.TrimSuffix(path.Base(name), ruleSuffix)}
	r, err := Parse(rule)
	if err != nil {
		l.Problem = err
		return l
	}
	l.Name = cmp.Or(r.Name, l.Name)
	c, err := Compile(r, a)
	if err != nil {
		l.Problem = err
		return l
	}
	l.Compiled = c
	if test == nil {
		l.Problem = errors.New("there is no test file beside it: NAME" + testSuffix)
		return l
	}
	f, err := ParseTests(test)
	if err != nil {
		l.Problem = fmt.Errorf("its test file: %w", err)
		return l
	}
	l.Outcomes = f.Run(c)
	if err := Red(l.Outcomes); err != nil {
		l.Problem = fmt.Errorf("its tests are red: %w", err)
	}
	return l
}

// LoadAll reads every rule below dir of a file system, in the order of their paths. A rule
// whose id or name another has already is not ready. The error is one of reading files.
func LoadAll(files fs.FS, dir string, a *Attack) ([]*Loaded, error) {
	var out []*Loaded
	ids, names := map[string]string{}, map[string]string{}
	err := fs.WalkDir(files, dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(p, ruleSuffix) || strings.HasSuffix(p, testSuffix) {
			return err
		}
		rule, err := read(files, p)
		if err != nil {
			return err
		}
		test, err := read(files, strings.TrimSuffix(p, ruleSuffix)+testSuffix)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		l := Load(p, rule, test, a)
		if c := l.Compiled; c != nil {
			for _, k := range []struct {
				what, value string
				seen        map[string]string
			}{{"id", c.ID, ids}, {"name", c.Name, names}} {
				if other, taken := k.seen[k.value]; taken {
					l.Problem = errors.Join(l.Problem, fmt.Errorf("%s has the same %s", other, k.what))
				}
				k.seen[k.value] = p
			}
			if want := c.Name + ruleSuffix; path.Base(p) != want {
				l.Problem = errors.Join(l.Problem, fmt.Errorf("the file's name is not that of the rule, %s", want))
			}
		}
		out = append(out, l)
		return nil
	})
	slices.SortFunc(out, func(x, y *Loaded) int { return strings.Compare(x.Path, y.Path) })
	return out, err
}

// read reads a file of bounded size: a directory of a user may hold anything.
func read(files fs.FS, p string) ([]byte, error) {
	info, err := fs.Stat(files, p)
	if err != nil {
		return nil, err
	}
	if info.Size() > MaxFile {
		return nil, fmt.Errorf("%s has %d bytes, at most %d are allowed", p, info.Size(), MaxFile)
	}
	return fs.ReadFile(files, p)
}
