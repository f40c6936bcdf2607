package notice

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/sys/unix"

	"github.com/vedette-edr/vedette/schema/event"
)

// Tell writes what e warns of, or what was blocked, to the controlling terminal of the process that caused it,
// if it has one. It reports whether it did.
func Tell(e *event.Event) bool {
	if e.Initiating == nil {
		return false
	}
	tty := terminal(e.Initiating.PID)
	if tty == "" {
		return false
	}
	fd, err := unix.Open(tty, unix.O_WRONLY|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	const wanted = 0o020 // what mesg(1) sets and takes away
	if unix.Fstat(fd, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFCHR || st.Mode&wanted == 0 {
		return false
	}
	_, err = unix.Write(fd, []byte(text(e)))
	return err == nil
}

func text(e *event.Event) string {
	what := "something"
	switch {
	case e.File != nil:
		what = "the file " + e.File.Path
	case e.Network != nil && e.Network.RemoteURL != "":
		what = e.Network.RemoteURL
	case e.Network != nil:
		what = e.Network.RemoteIP
	}
	if strings.HasPrefix(e.Action, "AppControl") {
		return fmt.Sprintf("\r\n[vedette] Your organisation lets only trusted programs run on this device at present. %s was kept from running %s, and it was reported.\r\n", plain(e.Initiating.Image.Name), plain(what))
	}
	return fmt.Sprintf("\r\n[vedette] Your organisation warns of %s, which %s uses. It was not stopped, and it was reported.\r\n", plain(what), plain(e.Initiating.Image.Name))
}

// plain leaves nothing that a terminal would obey.
func plain(s string) string {
	const most = 200
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
	if r := []rune(s); len(r) > most {
		s = string(r[:most]) + "…"
	}
	return s
}

// terminal returns the pseudo terminal that controls a process, "" for none.
func terminal(pid uint32) string {
	stat, err := os.ReadFile("/proc/" + strconv.FormatUint(uint64(pid), 10) + "/stat")
	if err != nil {
		return ""
	}
	// The name is in parentheses and may hold anything.
	_, rest, ok := strings.Cut(string(stat[strings.LastIndexByte(string(stat), ')')+1:]), " ")
	f := strings.Fields(rest)
	const ttyNr = 4 // field 7 of proc(5), counted from the state
	if !ok || len(f) <= ttyNr {
		return ""
	}
	n, err := strconv.ParseInt(f[ttyNr], 10, 64)
	if err != nil || n == 0 {
		return ""
	}
	major, minor := unix.Major(uint64(n)), unix.Minor(uint64(n))
	switch {
	case major >= 136 && major <= 143:
		return fmt.Sprintf("/dev/pts/%d", (major-136)<<8|minor)
	case major == 4 && minor < 64:
		return fmt.Sprintf("/dev/tty%d", minor)
	case major == 4:
		return fmt.Sprintf("/dev/ttyS%d", minor-64)
	}
	return ""
}
