// Package screen keeps a terminal of a person from obeying what a device says.
//
// Texts of devices are hostile: an escape sequence in a file's name or contents renames the
// window, fills the clipboard, makes a link that lies, or has the terminal answer a question
// by typing, as if the person had. Text lets nothing through but text and colours, and spells
// out the rest; it is what everything that the command line prints goes through. Drawing is
// for a program on a device that a person runs in their terminal: it draws, and that is all.
//
// Both are lists of what is let through, not of what is not: terminals invent sequences.
// The portal's console keeps the same rules (web/src/pages/live/plain.ts and terminal.ts).
package screen

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// Restore gives a terminal back whose program left it in any state: the usual screen, no
// mouse, the cursor, no colour.
const Restore = "\x1b[?1049l\x1b[!p\x1b[?25h\x1b[?7h\x1b[?2004l\x1b(B\x0f\x1b[0m"

// most bounds the parameters of a control sequence, in bytes; none that draws has more.
const most = 256

// Turns reports whether a character turns the reading order around, so that a name written
// with it reads as another one.
func Turns(r rune) bool {
	return r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 || r == 0x200e || r == 0x200f || r == 0x061c
}

// Spell writes a character that a terminal would obey, or that nobody sees, as what it is.
func Spell(r rune) string {
	switch {
	case r < 0x20:
		return "^" + string(r+0x40)
	case r == 0x7f:
		return "^?"
	}
	return fmt.Sprintf("<U+%04X>", r)
}

// harmless reports whether a terminal writes a character as it is.
func harmless(r rune) bool {
	return r >= 0x20 && r < 0x7f || r >= 0xa0 && !Turns(r) && r != 0xfeff && r != 0x200b
}

// Line is a text of a device in one line, with nothing in it that a terminal obeys.
func Line(s string) string {
	out := make([]byte, 0, len(s))
	for _, r := range s { // bytes that are no character come as U+FFFD
		if harmless(r) {
			out = utf8.AppendRune(out, r)
		} else {
			out = append(out, Spell(r)...)
		}
	}
	return string(out)
}

// Writer passes on what is fit for a terminal. It is for one goroutine.
type Writer struct {
	w    io.Writer
	draw bool
	held []byte // the beginning of a character or a sequence
	skip bool   // within a string for the terminal, which is passed over
	out  []byte
}

// Text returns a writer that lets text and colours through, and spells out everything else.
func Text(w io.Writer) *Writer { return &Writer{w: w} }

// Drawing returns a writer that lets through what draws: cursor, colours, scrolling, the
// alternate screen. What is not let through is left out.
func Drawing(w io.Writer) *Writer { return &Writer{w: w, draw: true} }

// Write implements io.Writer. A sequence may come in pieces.
func (w *Writer) Write(p []byte) (int, error) {
	w.held = append(w.held, p...)
	return len(p), w.pass(false)
}

// Flush passes on what was held back because more of it might have come.
func (w *Writer) Flush() error { return w.pass(true) }

func (w *Writer) pass(last bool) error {
	w.out = w.out[:0]
	i := 0
	for i < len(w.held) {
		n := w.step(w.held[i:], last)
		if n == 0 {
			break // the rest is to come
		}
		i += n
	}
	w.held = append(w.held[:0], w.held[i:]...)
	if len(w.out) == 0 {
		return nil
	}
	_, err := w.w.Write(w.out)
	return err
}

// step takes the first character or sequence of b, and returns how long it was; 0 while it
// is not whole.
func (w *Writer) step(b []byte, last bool) int {
	r, n := rune(b[0]), 1
	if r >= utf8.RuneSelf {
		if !last && !utf8.FullRune(b) {
			return 0
		}
		r, n = utf8.DecodeRune(b)
	}
	switch {
	case w.skip:
		return w.pastString(b, r, n, last)
	case harmless(r):
		w.out = utf8.AppendRune(w.out, r) // a byte that is no character as U+FFFD: alone, some terminals obey it
		return n
	case r == '\n' || r == '\t':
		w.out = append(w.out, byte(r))
		return n
	case r == '\r':
		if !last && len(b) == 1 && !w.draw {
			return 0
		}
		if w.draw || len(b) > 1 && b[1] == '\n' {
			w.out = append(w.out, '\r')
		} else {
			w.out = append(w.out, "^M"...) // alone it would write over what stands in the line
		}
		return n
	case r == '\x1b':
		if w.draw {
			return w.sequence(b, last)
		}
		return w.colour(b, last)
	case w.draw:
		if r == '\b' || r == '\x0e' || r == '\x0f' {
			w.out = append(w.out, byte(r))
		} else if Turns(r) {
			w.out = utf8.AppendRune(w.out, utf8.RuneError)
		}
		return n
	}
	w.out = append(w.out, Spell(r)...)
	return n
}

// colour lets a sequence that chooses colours through, and spells out the escape of another.
func (w *Writer) colour(b []byte, last bool) int {
	end, whole := control(b)
	if !whole && !last && end < 64 {
		return 0
	}
	if whole && b[end-1] == 'm' && end <= 64 && onlyDigits(b[2:end-1]) {
		w.out = append(w.out, b[:end]...)
		return end
	}
	w.out = append(w.out, Spell('\x1b')...)
	return 1
}

// sequence lets a sequence that draws through, and leaves another out.
func (w *Writer) sequence(b []byte, last bool) int {
	if len(b) == 1 {
		return unless(last, 1)
	}
	switch c := b[1]; c {
	case '[':
		end, whole := control(b)
		switch {
		case !whole && !last && end < most:
			return 0
		case whole && draws(b[2:end]):
			w.out = append(w.out, b[:end]...)
		}
		return end
	case ']', 'P', '_', '^', 'X', 'k': // commands of the system and of the device, messages, titles
		w.skip = true
		return 2
	case '(', ')', '*', '+': // character sets
		if len(b) == 2 {
			return unless(last, 2)
		}
		if b[2] == 'B' || b[2] == '0' || b[2] == 'A' {
			w.out = append(w.out, b[:3]...)
		}
		return 3
	case '7', '8', 'D', 'E', 'H', 'M', '=', '>':
		w.out = append(w.out, b[:2]...)
		return 2
	case '#', ' ', '%': // tests, and what changes how everything after is read
		if len(b) == 2 {
			return unless(last, 2)
		}
		return 3
	case '\x1b':
		return 1
	}
	if b[1] < 0x20 || b[1] >= 0x7f {
		return 1
	}
	return 2
}

func unless(last bool, n int) int {
	if last {
		return n
	}
	return 0
}

// pastString passes a string for the terminal over, which ends with BEL or ESC \, or is given up
// with CAN, SUB or the end of the line: one that never ends would hide all that is after it.
func (w *Writer) pastString(b []byte, r rune, n int, last bool) int {
	switch {
	case r == '\a' || r == 0x18 || r == 0x1a || r == 0x9c:
		w.skip = false
	case r == '\n':
		w.skip = false
		w.out = append(w.out, '\n')
	case r == '\x1b':
		if len(b) == 1 && !last {
			return 0
		}
		w.skip = false
		if len(b) > 1 && b[1] == '\\' {
			return 2
		}
		return w.sequence(b, last) // another sequence ends the string as well
	}
	return n
}

// control returns where a control sequence (ESC [ … final) ends, and whether it does.
func control(b []byte) (end int, whole bool) {
	if len(b) < 2 {
		return len(b), false
	}
	if b[1] != '[' {
		return 1, true
	}
	for i := 2; i < len(b); i++ {
		switch c := b[i]; {
		case c >= 0x40 && c <= 0x7e:
			return i + 1, true
		case c < 0x20 || c > 0x3f:
			return i, true // broken off
		}
		if i > most {
			return i, true
		}
	}
	return len(b), false
}

func onlyDigits(b []byte) bool {
	for _, c := range b {
		if (c < '0' || c > '9') && c != ';' && c != ':' {
			return false
		}
	}
	return true
}

// modes are the private modes that change how is drawn, and nothing of what is typed or told:
// keys of the cursor, columns, origin, wrapping, blinking, the cursor, the alternate screen,
// pasting in brackets, drawing at once.
var modes = map[string]bool{"1": true, "6": true, "7": true, "12": true, "25": true, "47": true, "1047": true, "1048": true, "1049": true, "2004": true, "2026": true}

// draws reports whether a control sequence without its beginning draws, and does nothing else.
func draws(b []byte) bool {
	if len(b) == 0 {
		return false
	}
	final, params := b[len(b)-1], string(b[:len(b)-1])
	switch params {
	case "!":
		return final == 'p'
	case "3":
		if final == 'J' {
			return false // the lines above are the person's
		}
	}
	if len(params) > 1 && params[0] == '?' && (final == 'h' || final == 'l') {
		return modes[params[1:]]
	}
	if len(params) > 0 && params[len(params)-1] == ' ' && final == 'q' {
		return strings.Trim(params, "0123456789") == " " // the form of the cursor
	}
	if !onlyDigits([]byte(params)) {
		return false
	}
	switch final {
	case 'h', 'l':
		return params == "4" // inserting
	case 'A', 'B', 'C', 'D', 'E', 'F', 'G', 'H', 'I', 'J', 'K', 'L', 'M', 'P', 'S', 'X', 'Z', '`', '@', 'a', 'b', 'd', 'e', 'f', 'g', 'm', 'r', 's', 'u':
		return true
	case 'T':
		return len(params) < 5 // with five numbers it follows the mouse
	}
	return false
}
