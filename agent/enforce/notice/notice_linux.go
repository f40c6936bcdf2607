package notice

import (
	"fmt"
	"strings"
	"unicode"

	"golang.org/x/sys/unix"

	"github.com/vedette-edr/vedette/agent/procfs"
	"github.com/vedette-edr/vedette/schema/event"
)

// Tell writes what e warns of, or what was blocked, to the controlling terminal of the process that caused it,
// if it has one. It reports whether it did.
func Tell(e *event.Event) bool {
	if e.Initiating == nil {
		return false
	}
	s, ok := procfs.ReadStat(e.Initiating.PID)
	return ok && TellAt(s.Terminal(), e)
}

// TellAt is Tell of a terminal, named below /dev, for what its process may have ended.
func TellAt(terminal string, e *event.Event) bool {
	if terminal == "" || strings.Contains(terminal, ":") {
		return false
	}
	fd, err := unix.Open("/dev/"+terminal, unix.O_WRONLY|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
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
	what, who := "something", "a program"
	if e.Initiating != nil {
		who = e.Initiating.Image.Name
	}
	switch {
	case e.File != nil:
		what = "the file " + e.File.Path
	case e.Network != nil && e.Network.RemoteURL != "":
		what = e.Network.RemoteURL
	case e.Network != nil:
		what = e.Network.RemoteIP
	}
	if strings.HasPrefix(e.Action, "AppControl") {
		return fmt.Sprintf("\r\n[vedette] Your organisation lets only trusted programs run on this device at present. %s was kept from running %s, and it was reported.\r\n", plain(who), plain(what))
	}
	return fmt.Sprintf("\r\n[vedette] Your organisation warns of %s, which %s uses. It was not stopped, and it was reported.\r\n", plain(what), plain(who))
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
