package live

import (
	"errors"
	"fmt"
	"strings"

	"github.com/vedette-edr/vedette/wire"
)

// line is a command line, taken apart.
type line struct {
	command    wire.LiveCommand
	args       []string
	flags      map[string]string // by name without the dash
	json       bool
	save       string // the name of the file that the output becomes; "" for the console
	background bool
}

// parseLine takes a line apart. flags lists the parameters of each command: a name, with =
// where it takes a value.
func parseLine(text string, flags func(command string) []string) (*line, error) {
	words, err := wire.SplitLine(text)
	if err != nil {
		return nil, err
	}
	if len(words) == 0 {
		return nil, errors.New("there is no command")
	}
	l := &line{flags: map[string]string{}}
	known := false
	if l.command, known = wire.FindLiveCommand(strings.ToLower(words[0].Text)); !known {
		return nil, fmt.Errorf("there is no command %q; see help", words[0].Text)
	}
	allowed := map[string]bool{"output": true}
	for _, f := range flags(l.command.Name) {
		name, takes := strings.CutSuffix(f, "=")
		allowed[name] = takes
	}
	words = words[1:]
	for len(words) > 0 {
		w := words[0]
		words = words[1:]
		plain := !w.Quoted
		switch {
		case plain && w.Text == "&":
			if len(words) > 0 {
				return nil, errors.New("& stands at the end of a line")
			}
			l.background = true
		case plain && w.Text == ">":
			if len(words) == 0 || l.save != "" {
				return nil, errors.New("one name of a file stands after >")
			}
			l.save, words = words[0].Text, words[1:]
		case plain && len(w.Text) > 1 && w.Text[0] == '-':
			name := strings.ToLower(w.Text[1:])
			takes, ok := allowed[name]
			if !ok {
				return nil, fmt.Errorf("%s has no parameter %s; see help %s", l.command.Name, w.Text, l.command.Name)
			}
			if !takes {
				l.flags[name] = ""
				break
			}
			if len(words) == 0 {
				return nil, fmt.Errorf("%s needs a value", w.Text)
			}
			l.flags[name], words = words[0].Text, words[1:]
		default:
			l.args = append(l.args, w.Text)
		}
	}
	return l, l.form()
}

// form reads how the answer is to look; json may stand alone as the last word of commands
// that list things.
func (l *line) form() error {
	switch l.flags["output"] {
	case "json":
		l.json = true
	case "", "table":
	default:
		return errors.New("-output is json or table")
	}
	if n := len(l.args); n > 0 && l.args[n-1] == "json" && listing[l.command.Name] {
		l.json, l.args = true, l.args[:n-1]
	}
	return nil
}

// listing are the commands that take json as a word: none of them has a name of something
// as its only argument that could be json.
var listing = map[string]bool{"connections": true, "drivers": true, "jobs": true, "persistence": true, "processes": true, "scheduledtasks": true, "services": true}

// only refuses more or fewer arguments than between least and most.
func (l *line) only(least, most int) error {
	if n := len(l.args); n < least || n > most {
		return fmt.Errorf("usage: %s %s", l.command.Name, l.command.Usage)
	}
	return nil
}

func (l *line) has(flag string) bool { _, ok := l.flags[flag]; return ok }
