package wire

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestLinesAreSplit(t *testing.T) {
	w := func(text string) LiveWord { return LiveWord{Text: text} }
	q := func(text string) LiveWord { return LiveWord{Text: text, Quoted: true} }
	for line, want := range map[string][]LiveWord{
		"":                                      nil,
		"  dir \t /tmp ":                        {w("dir"), w("/tmp")},
		`dir "a b" 'c "d'`:                      {w("dir"), q("a b"), q(`c "d`)},
		`cat "x\ny\\z\"\q"`:                     {w("cat"), q("x\ny\\z\"\\q")},
		`cat 'x\n'`:                             {w("cat"), q(`x\n`)},
		`cat ""`:                                {w("cat"), q("")},
		`run x.sh -parameters "-a b" > o.txt &`: {w("run"), w("x.sh"), w("-parameters"), q("-a b"), w(">"), w("o.txt"), w("&")},
		`processes>o&`:                          {w("processes"), w(">"), w("o"), w("&")},
		`cat "a>b&c"`:                           {w("cat"), q("a>b&c")},
		`a"b"c`:                                 {q("abc")},
	} {
		got, err := SplitLine(line)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%s: %v\n%s", line, err, diff)
		}
	}
	for _, line := range []string{`"`, `'a`, `cat "a\"`, strings.Repeat("x", MaxLiveLine+1)} {
		if _, err := SplitLine(line); err == nil {
			t.Errorf("%.10q was taken", line)
		}
	}
}

func TestCommandsAreUniqueAndExplained(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range LiveCommands() {
		if seen[c.Name] || c.Help == "" {
			t.Errorf("%s is there twice, or has no help", c.Name)
		}
		seen[c.Name] = true
	}
	for _, name := range strings.Fields("cd cls clear connect connections dir drivers fg fileinfo findfile getfile help jobs persistence processes registry scheduledtasks services startupfolders status trace") {
		if c, ok := FindLiveCommand(name); !ok || !LiveBasic.Allows(c) {
			t.Errorf("the published basic command %s is missing", name)
		}
	}
	for _, name := range strings.Fields("analyze collect isolate release run library putfile remediate scan undo") {
		if c, ok := FindLiveCommand(name); !ok || LiveBasic.Allows(c) || !LiveAdvanced.Allows(c) {
			t.Errorf("the published advanced command %s is missing, or basic", name)
		}
	}
}
