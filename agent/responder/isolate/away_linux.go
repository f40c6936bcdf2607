package isolate

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// A device can be moved to another network namespace, where none of this namespace's rules
// see its packets. It is followed: the same rules are installed there. The machine's own
// namespace is never touched by an agent that runs in another.

// Where namespaces are found: those of processes, and those that are kept by a name.
var namespaceFiles = []string{"/proc/[0-9]*/ns/net", "/run/netns/*", "/run/docker/netns/*"}

func namespaceOf(path string) (uint64, error) {
	var st unix.Stat_t
	err := unix.Stat(path, &st)
	return st.Ino, err
}

// others calls f on a thread inside each other network namespace that can be found.
func others(f func(ino uint64)) error {
	own, err := namespaceOf("/proc/thread-self/ns/net")
	if err != nil {
		return fmt.Errorf("own network namespace: %w", err)
	}
	seen := map[uint64]bool{own: true}
	if machine, err := namespaceOf("/proc/1/ns/net"); err == nil {
		seen[machine] = true
	}
	var failed []error
	for _, pattern := range namespaceFiles {
		paths, _ := filepath.Glob(pattern) // a malformed pattern is its only error
		for _, path := range paths {
			ino, err := namespaceOf(path)
			if err != nil || seen[ino] {
				continue
			}
			seen[ino] = true
			err = within(path, func() { f(ino) })
			if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.ESRCH) && !errors.Is(err, unix.EINVAL) {
				failed = append(failed, fmt.Errorf("%s: %w", path, err))
			}
		}
	}
	return errors.Join(failed...)
}

func within(path string, f func()) (err error) {
	ns, err := os.Open(path)
	if err != nil {
		return err
	}
	defer ns.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		// The thread stays locked, and so it ends with this goroutine instead of going back
		// among the others in a foreign namespace.
		runtime.LockOSThread()
		if err = unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err == nil {
			f()
		}
	}()
	<-done
	return err
}

// pursue isolates the other namespaces that the devices went to, and those it was told of
// by the state file. It returns what it found to tell, and whether there is more to keep in
// the state file. i.mu is held.
func (i *Isolator) pursue(gone []link) (told []string, more bool) {
	home, err := linksOf(i.home.route)
	if err != nil {
		return []string{err.Error()}, false
	}
	found := map[string]bool{}
	err = others(func(ino uint64) {
		if i.away[ino] != nil {
			return
		}
		s, err := openSite()
		if err != nil {
			return // this kernel's nftables cannot be had there: nothing was promised of it
		}
		known := slices.Contains(i.saved.Away, ino)
		list, err := linksOf(s.route)
		if err != nil {
			list = nil
		}
		for _, l := range list {
			moved := slices.ContainsFunc(gone, l.same) && !slices.ContainsFunc(home, func(h link) bool {
				// What the other end of a pair at home sends and gets passes home's rules.
				return l.kind == "veth" && h.kind == "veth" && h.index == l.peer && h.peer == l.index
			})
			hardware := i.machine && l.kind == ""
			if moved || hardware {
				found[l.name] = true
				known = true
			}
			if moved {
				told = append(told, fmt.Sprintf("the device %s was moved to another network namespace", l.name))
			}
		}
		if !known {
			s.close()
			return
		}
		if err := s.install(i.name, i.ruleset(), i.wish); err != nil {
			told = append(told, fmt.Sprintf("network namespace %d: %v", ino, err))
			s.close()
			return
		}
		i.away[ino] = s
		if !slices.Contains(i.saved.Away, ino) {
			i.saved.Away = append(i.saved.Away, ino)
			more = true
		}
	})
	if err != nil {
		told = append(told, err.Error())
	}
	return told, more
}

// returnAway takes the rules of every other namespace away that has them of us.
func (i *Isolator) returnAway() error {
	var failed []error
	for ino, s := range i.away {
		if err := s.nft.uninstall(i.name); err != nil {
			failed = append(failed, err)
		}
		s.close()
		delete(i.away, ino)
	}
	if len(i.awayBefore) == 0 {
		return errors.Join(failed...)
	}
	err := others(func(ino uint64) {
		if !slices.Contains(i.awayBefore, ino) {
			return
		}
		s, err := openSite()
		if err == nil {
			err = s.nft.uninstall(i.name)
			s.close()
		}
		if err != nil {
			failed = append(failed, err)
		}
	})
	return errors.Join(append(failed, err)...)
}

// isGone reports whether a transaction failed because a device in it is no more.
func isGone(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENODEV) || errors.Is(err, unix.ENXIO)
}

// forAway does what f does with every site, home first, and joins what it says.
func (i *Isolator) everySite(f func(*site) string) string {
	out := []string{}
	if d := f(i.home); d != "" {
		out = append(out, d)
	}
	for ino, s := range i.away {
		if d := f(s); d != "" {
			out = append(out, fmt.Sprintf("network namespace %d: %s", ino, d))
		}
	}
	return strings.Join(out, "; ")
}
