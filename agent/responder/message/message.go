package message

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Kind is the kind of command that Handler carries out.
const Kind = "notifyuser"

// Bounds of a message, in characters.
const (
	maxText  = 1000
	maxTitle = 100
)

// Params are the parameters of the kind.
type Params struct {
	Title string `json:"title,omitempty"` // "" for a usual one
	Text  string `json:"text"`
	Level string `json:"level,omitempty"` // low, normal or critical; "" for normal
}

const usualTitle = "Message from your administrators"

func (p Params) normal() (Params, error) {
	for _, t := range []struct {
		what, text string
		most       int
	}{{"text", p.Text, maxText}, {"title", p.Title, maxTitle}} {
		if !utf8.ValidString(t.text) || utf8.RuneCountInString(t.text) > t.most {
			return p, fmt.Errorf("the %s is longer than %d characters or not UTF-8", t.what, t.most)
		}
	}
	if strings.TrimSpace(p.Text) == "" {
		return p, errors.New("the text is empty")
	}
	if p.Title == "" {
		p.Title = usualTitle
	}
	switch p.Level {
	case "":
		p.Level = "normal"
	case "low", "normal", "critical":
	default:
		return p, fmt.Errorf("level %q is not low, normal or critical", p.Level)
	}
	p.Title, p.Text = plain(p.Title, false), plain(p.Text, true)
	return p, nil
}

// plain leaves nothing that a terminal would obey.
func plain(s string, lines bool) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' && lines {
			return r
		}
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}

// terminalText is the message as a terminal shows it, wherever its cursor stands.
func (p Params) terminalText() string {
	return "\r\n\a*** " + p.Title + " ***\r\n" + strings.ReplaceAll(p.Text, "\n", "\r\n") + "\r\n\r\n"
}

// Place is where a message was to be shown.
type Place struct {
	User   string `json:"user,omitempty"`
	Where  string `json:"where"` // a terminal, the address of a bus, a file
	Shown  bool   `json:"shown"`
	Detail string `json:"detail,omitempty"`
}

// Evidence is where a message was shown, and where it could not be.
type Evidence struct {
	Desktops  []Place `json:"desktops,omitempty"`
	Terminals []Place `json:"terminals,omitempty"`
	Logons    []Place `json:"logons,omitempty"` // to come
}

func shown(list []Place) (n int) {
	for _, p := range list {
		if p.Shown {
			n++
		}
	}
	return n
}
