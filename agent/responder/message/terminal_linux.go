package message

import (
	"bufio"
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/vedette-edr/vedette/agent/utmp"
)

// Bounds of what is read and written.
const (
	maxTerminals = 256
	maxUtmp      = 4 << 20
	maxSessions  = 1024
)

// terminals writes to the terminal of each session.
func (h *Handler) terminals(p Params) []Place {
	var out []Place
	for _, s := range h.sessions() {
		place := Place{User: plain(s.user, false), Where: plain(s.line, false)}
		place.Detail = h.write(s.line, p)
		place.Shown = place.Detail == ""
		out = append(out, place)
	}
	return out
}

// session is somebody at a terminal.
type session struct{ line, user string }

// sessions lists those of utmp, and those that logind knows where utmp is no more.
func (h *Handler) sessions() []session {
	var out []session
	add := func(line, user string) {
		known := slices.ContainsFunc(out, func(s session) bool { return s.line == line })
		if line == "" || known || len(out) >= maxTerminals {
			return
		}
		out = append(out, session{line, user})
	}
	for _, name := range []string{filepath.Join(h.cfg.Run, "utmp")} {
		raw, err := readSome(name, maxUtmp)
		if err != nil {
			continue
		}
		for r := range slices.Chunk(raw, utmp.Size) {
			if len(r) < utmp.Size {
				break
			}
			if rec := utmp.Parse(r); rec.Type == utmp.User {
				add(rec.Line, rec.User)
			}
		}
	}
	files, _ := filepath.Glob(filepath.Join(h.cfg.Run, "systemd/sessions/*")) // a malformed pattern is its only error
	for _, f := range files[:min(len(files), maxSessions)] {
		raw, err := readSome(f, 64<<10)
		if err != nil {
			continue
		}
		field := map[string]string{}
		for s := bufio.NewScanner(bytes.NewReader(raw)); s.Scan(); {
			if name, value, ok := strings.Cut(s.Text(), "="); ok {
				field[name] = value
			}
		}
		if field["TYPE"] == "tty" {
			add(field["TTY"], field["USER"])
		}
	}
	return out
}

func readSome(name string, most int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	b := make([]byte, min(most, max(st.Size(), 4096)))
	n, err := f.Read(b)
	return b[:n], err
}

// write puts the message on a terminal and returns why it could not, "" for nothing. The
// name of the line is what a session's program said.
func (h *Handler) write(line string, p Params) string {
	name := filepath.Clean("/" + line)
	dir, err := unix.Open(h.cfg.Dev, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err.Error()
	}
	defer unix.Close(dir)
	// Below /dev and through no link. Without waiting: one whose reader stopped would hold up all.
	fd, err := unix.Openat2(dir, name[1:], &unix.OpenHow{Flags: unix.O_WRONLY | unix.O_NOCTTY | unix.O_NONBLOCK | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS})
	if err != nil {
		return err.Error()
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err.Error()
	}
	if _, err := unix.IoctlGetTermios(fd, unix.TCGETS); st.Mode&unix.S_IFMT != unix.S_IFCHR || err != nil {
		return "it is no terminal"
	}
	const wanted = 0o020 // what mesg(1) sets and takes away
	if st.Mode&wanted == 0 && p.Level != "critical" {
		return "its user wants no messages (mesg n)"
	}
	text := []byte(p.terminalText())
	n, err := unix.Write(fd, text)
	switch {
	case err != nil:
		return err.Error()
	case n < len(text):
		return "it took a part of the message only"
	}
	return ""
}
