package funcs_test

import (
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"

	"github.com/vedette-edr/vedette/kql/funcs"
)

// What a pattern matches has what is required of it, of whatever texts are made of the
// pattern's own pieces.
func TestRequiredNeverRulesOutAMatch(t *testing.T) {
	for _, p := range []string{
		`stratum2?\+(tcp|udp|ssl)://|--donate-level|--nicehash\b|--coin[= ](monero|xmr)`, `(?i)\.(docx?|xlsx?|key|sql)$`, `^\S*(?:sh|python[0-9.]*|perl)(?: -\S+)* (/\S+)`,
		`a(?i)key(?-i)B`, `(ab)+cd?`, `(ab)*cd{2,}`, `(xy){0,3}z`, `[kK]ey|lock`, `(?i)straße|mask`, "ab\uFFFDcd", `(foo|ba[rz])(qux|)end`, `(?s).*ab.+`, `\x{212A}ey`, `(?U)ab+?c`, `^$`, ``, `(a|b)c(de|fg)`, `\Qa.b\E+`,
	} {
		re := regexp.MustCompile(p)
		n := funcs.Required(p)
		pieces := append(strings.FieldsFunc(p, func(r rune) bool { return strings.ContainsRune(`()|[]?*+\$^:{}-`, r) }),
			"", "-", "--", ".", "/", " ", "+", "a", "b", "c", "ab", "cd", "key", "KEY", "\u212Aey", "\u017Fql", "B", "\xff", "z", "xyz", "end", "ſ", "SQL", "sh /", "://", "de", "fg")
		rnd := rand.New(rand.NewPCG(7, uint64(len(p))))
		matched := 0
		for range 30_000 {
			var s strings.Builder
			for range rnd.IntN(7) {
				s.WriteString(pieces[rnd.IntN(len(pieces))])
			}
			if re.MatchString(s.String()) {
				matched++
				if !n.In(s.String()) {
					t.Fatalf("%q matches %q, which was ruled out by %v", p, s.String(), n)
				}
			}
		}
		if matched == 0 {
			t.Errorf("%q matched nothing that was tried", p)
		}
	}
}

func TestRequiredRulesOut(t *testing.T) {
	for p, s := range map[string]string{
		`--donate-level|--nicehash`:                     "gcc --some --flags",
		`(?i)\.(docx|xlsx)$`:                            "file.o",
		`^\S*(?:sh|python[0-9.]*)(?: -\S+)* (/\S+)`:     "gcc --some /tmp/file",
		`^/(etc|run)/(modules-load|modprobe)\.d/[^/]+$`: "/home/ann/modules",
	} {
		if n := funcs.Required(p); n == nil || n.In(s) {
			t.Errorf("%q: %v does not rule out %q", p, n, s)
		}
	}
}
