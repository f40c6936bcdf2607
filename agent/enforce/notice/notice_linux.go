package notice

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"
	"unicode"

	"golang.org/x/sys/unix"

	"github.com/vedette-edr/vedette/agent/procfs"
	"github.com/vedette-edr/vedette/schema/event"
)

// A terminal takes nothing while another program writes to it (the shell that says what it was
// refused), or while its user has stopped it: it is tried again this often, for so long, with
// so many messages at most.
const (
	again   = 5 * time.Millisecond
	atLast  = 2 * time.Second
	maxLate = 16
)

// Teller writes to terminals. It waits for none: what a terminal does not take at once is
// tried again beside the caller. It is safe for concurrent use.
type Teller struct {
	Told func(terminal string, e *event.Event) // called when a message was written; nil for nobody
	late atomic.Int32
}

// Tell writes what e warns of, or what was blocked, to the controlling terminal of the process
// that caused it, if it has one.
func (t *Teller) Tell(e *event.Event) {
	if e.Initiating == nil {
		return
	}
	if s, ok := procfs.ReadStat(e.Initiating.PID); ok {
		t.TellAt(s.Terminal(), e)
	}
}

// TellAt is Tell of a terminal, named below /dev, for what its process may have ended.
func (t *Teller) TellAt(terminal string, e *event.Event) {
	fd, err := open(terminal)
	if err != nil {
		return
	}
	end := func(err error) {
		unix.Close(fd)
		if err == nil && t.Told != nil {
			t.Told(terminal, e)
		}
	}
	rest, err := put(fd, []byte(text(e)))
	if !errors.Is(err, unix.EAGAIN) {
		end(err)
		return
	}
	if t.late.Add(1) > maxLate {
		t.late.Add(-1)
		end(err)
		return
	}
	go func() {
		defer t.late.Add(-1)
		// The same descriptor all the while: the name may be another user's terminal by then.
		for last := time.Now().Add(atLast); errors.Is(err, unix.EAGAIN) && time.Now().Before(last); {
			time.Sleep(again)
			rest, err = put(fd, rest)
		}
		end(err)
	}()
}

var errUnwanted = errors.New("the terminal takes no messages")

// open opens a terminal whose user wants messages.
func open(terminal string) (int, error) {
	if terminal == "" || strings.Contains(terminal, ":") {
		return -1, errUnwanted
	}
	fd, err := unix.Open("/dev/"+terminal, unix.O_WRONLY|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
	if err != nil {
		return -1, err
	}
	var st unix.Stat_t
	const wanted = 0o020 // what mesg(1) sets and takes away
	if unix.Fstat(fd, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFCHR || st.Mode&wanted == 0 {
		unix.Close(fd)
		return -1, errUnwanted
	}
	return fd, nil
}

// put writes what a terminal takes and returns the rest, with unix.EAGAIN while there is any.
func put(fd int, b []byte) ([]byte, error) {
	n, err := unix.Write(fd, b)
	b = b[max(n, 0):]
	if err == nil && len(b) > 0 {
		err = unix.EAGAIN
	}
	return b, err
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
