package screen_test

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/vedette-edr/vedette/cmd/vedette/screen"
)

func text(s string) string {
	var b bytes.Buffer
	w := screen.Text(&b)
	_, _ = w.Write([]byte(s))
	_ = w.Flush()
	return b.String()
}

func drawing(s string) string {
	var b bytes.Buffer
	w := screen.Drawing(&b)
	_, _ = w.Write([]byte(s))
	_ = w.Flush()
	return b.String()
}

func TestTextIsTextAndColours(t *testing.T) {
	for said, want := range map[string]string{
		"plain text\n": "plain text\n", "a\r\nb\tc": "a\r\nb\tc", "café 日本 😀": "café 日本 😀", "\x1b[1;31mred\x1b[0m": "\x1b[1;31mred\x1b[0m", "\x1b[m": "\x1b[m", "\x1b[38:2::1:2:3m": "\x1b[38:2::1:2:3m",
		"\x1b]0;title\a": "^[]0;title^G", "\x1b]52;c;eA==\x1b\\": "^[]52;c;eA==^[\\", "\x1b[2J\x1b[H": "^[[2J^[[H", "\x1b[6n": "^[[6n", "\x1bP$q\"p\x1b\\": "^[P$q\"p^[\\", "\x1b": "^[", "\x1b[": "^[[",
		"real\rfake": "real^Mfake", "end\r": "end^M", "a\bb": "a^Hb", "\x05": "^E", "\u009b31m": "<U+009B>31m", "\x9b31m": "\ufffd31m", "x\u202egnp.exe": "x<U+202E>gnp.exe", "zero\u200bwidth": "zero<U+200B>width", "\x7f": "^?",
		"\x1b[" + strings.Repeat("1;", 60) + "m": "^[[" + strings.Repeat("1;", 60) + "m",
	} {
		if got := text(said); got != want {
			t.Errorf("%q is shown as %q, want %q", said, got, want)
		}
	}
	if got := screen.Line("/tmp/a\nb\x1b[31m"); got != "/tmp/a^Jb^[[31m" {
		t.Errorf("a line: %q", got)
	}
}

func TestAShellDraws(t *testing.T) {
	for _, s := range []string{"\x1b[H\x1b[2J", "\x1b[?1049h", "\x1b[?25l", "\x1b[1;24r", "\x1b[10;20H", "\x1b[K", "\x1b[1;31m", "\x1b(0lqk\x1b(B", "a\bb", "progress\r", "\x1b7\x1b8", "\x1bM", "\x1b[3X", "\x1b[?2004h", "\x1b[!p", "\x1b[2 q", "café\n", "\x0elqk\x0f", "\x1b[4h"} {
		if got := drawing(s); got != s {
			t.Errorf("%q is drawn as %q", s, got)
		}
	}
	for said, want := range map[string]string{
		"a\x1b]0;title\ab": "ab", "a\x1b]52;c;eA==\x1b\\b": "ab", "a\x1b]8;;https://evil.example/\x1b\\b": "ab", "a\x1bP$q\"p\x1b\\b": "ab", "a\x1b_apc\x1b\\b": "ab", "a\x1b^pm\x1b\\b": "ab", "a\x1bXsos\x1b\\b": "ab", "a\x1bktitle\x1b\\b": "ab",
		"a\x1b]0;never ended\nb": "a\nb", "a\x1b]0;t\x1b[1mb": "a\x1b[1mb", "a\x1b]0;t\x18b": "ab",
		"a\x1b[6nb": "ab", "a\x1b[cb": "ab", "a\x1b[>cb": "ab", "a\x1b[21tb": "ab", "a\x1b[?1003hb": "ab", "a\x1b[?1004hb": "ab", "a\x1b[>4;2mb": "ab", "a\x1b[?996nb": "ab", "a\x1b[3Jb": "ab", "a\x1b[1;2;3;4;5Tb": "ab", "a\x1b[?1$pb": "ab", "a\x1b[1*yb": "ab",
		"a\x1bcb": "ab", "a\x1bZb": "ab", "a\x1b#8b": "ab", "a\x1b%Gb": "ab", "a\x05b": "ab", "a\ab": "ab", "a\u009b6nb": "a6nb", "a\x9b6nb": "a\ufffd6nb", "a\u202eb": "a\ufffdb", "a\x1b[6\nnb": "a\nnb", "a\x1b\x1b]0;t\ab": "ab",
	} {
		if got := drawing(said); got != want {
			t.Errorf("%q is drawn as %q, want %q", said, got, want)
		}
	}
}

// What may come out at all, by the grammar of ECMA-48 and not by the code that is tested.
var (
	colours = regexp.MustCompile(`\x1b\[[0-9;:]*m`)
	draws   = regexp.MustCompile(`\x1b(\[[0-9;:]*[A-MPSTXZ@` + "`" + `abdefgmrsu]|\[4[hl]|\[\?(1|6|7|12|25|47|104[789]|2004|2026)[hl]|\[!p|\[[0-9]* q|[()*+][0AB]|[78DEHM=>])`)
	control = regexp.MustCompile(`[\x00-\x08\x0b-\x1f\x7f\x{80}-\x{9f}\x{202a}-\x{202e}\x{2066}-\x{2069}]`)
)

func check(t *testing.T, said []byte, cuts []int) {
	t.Helper()
	for _, kind := range []string{"text", "drawing"} {
		var whole, pieces bytes.Buffer
		one, many := screen.Text(&whole), screen.Text(&pieces)
		allowed := colours
		if kind == "drawing" {
			one, many, allowed = screen.Drawing(&whole), screen.Drawing(&pieces), draws
		}
		_, _ = one.Write(said)
		_ = one.Flush()
		from := 0
		for _, c := range cuts {
			if c > from && c < len(said) {
				_, _ = many.Write(said[from:c])
				from = c
			}
		}
		_, _ = many.Write(said[from:])
		_ = many.Flush()
		if whole.String() != pieces.String() {
			t.Fatalf("%s of %q at once is %q, in pieces at %v %q", kind, said, whole.String(), cuts, pieces.String())
		}
		left := allowed.ReplaceAllString(whole.String(), "")
		left = strings.ReplaceAll(left, "\r\n", "\n")
		if kind == "drawing" {
			left = strings.NewReplacer("\r", "", "\b", "", "\x0e", "", "\x0f", "").Replace(left)
		}
		if found := control.FindString(left); found != "" || !utf8.ValidString(left) {
			t.Fatalf("%s of %q lets %q through: %q", kind, said, found, whole.String())
		}
	}
}

// Every control sequence that there can be, with the parameters that mean something.
func TestNoSequenceIsObeyedThatDoesNotDraw(t *testing.T) {
	for _, prefix := range []string{"", "?", ">", "=", "<"} {
		for _, params := range []string{"", "0", "1", "2", "3", "4", "5", "6", "14", "18", "21", "22;0", "996", "1000", "1004", "1006", "2048", "8;50;100", "1;1;1;1;1"} {
			for _, mid := range []string{"", " ", "!", `"`, "#", "$", "%", "&", "'", "(", ")", "*", "+", ",", "-", ".", "/"} {
				for final := byte('@'); final <= '~'; final++ {
					s := fmt.Sprintf("\x1b[%s%s%s%c", prefix, params, mid, final)
					check(t, []byte(s), []int{1, 2, 3})
				}
			}
		}
	}
	for c := byte(0); c < 0x80; c++ {
		check(t, []byte{'a', 0x1b, c, 'b', '\n', 'c'}, []int{2})
		check(t, []byte{'a', 0x1b, c, '0', '\n', 'c'}, []int{3})
	}
}

func FuzzScreen(f *testing.F) {
	for _, s := range []string{"\x1b]0;t\a", "\x1b[31", "\x1b[3\x1b[6n", "é\xc3", "\x1bP\x1b\x1b\\", "\r\r\n", "\x1b(\x1b[c", "\x1b]\x1b]\n", "\xe2\x80\xae", "\x1b[999999999999;m", "\x1b[?25\x1b]x\ah"} {
		f.Add([]byte(s), uint8(1), uint8(3))
	}
	f.Fuzz(func(t *testing.T, said []byte, a, b uint8) { check(t, said, []int{int(a), int(a) + int(b)}) })
}
