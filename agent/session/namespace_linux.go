package session

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"
)

// DestroyEverywhere does what Destroy does in every network namespace that a process is
// in, so that containers are not left out. It goes on past a namespace that it cannot
// enter and returns those errors together.
func DestroyEverywhere(chosen func(remote netip.AddrPort) bool, protocols ...Protocol) (int, error) {
	return everywhere(byRemote(chosen), protocols)
}

// DestroyBetween ends the session between two ends, in whichever network namespace it is.
func DestroyBetween(local, remote netip.AddrPort, protocols ...Protocol) (int, error) {
	return everywhere(func(l, r netip.AddrPort) bool { return l == local && r == remote }, protocols)
}

func everywhere(chosen choice, protocols []Protocol) (int, error) {
	own, err := os.Readlink("/proc/thread-self/ns/net")
	if err != nil {
		return 0, fmt.Errorf("own network namespace: %w", err)
	}
	n, err := destroyAll(chosen, protocols)
	all := []error{err}
	seen := map[string]bool{own: true}
	links, _ := filepath.Glob("/proc/[0-9]*/ns/net") // a malformed pattern is its only error
	for _, path := range links {
		name, err := os.Readlink(path)
		if err != nil || seen[name] {
			continue // the process is gone, or another one was in there
		}
		seen[name] = true
		k, err := destroyIn(path, chosen, protocols)
		n += k
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.ESRCH) {
			all = append(all, fmt.Errorf("%s: %w", name, err))
		}
	}
	return n, errors.Join(all...)
}

func destroyIn(path string, chosen choice, protocols []Protocol) (n int, err error) {
	ns, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer ns.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		// The thread stays locked, and so it ends with this goroutine instead of going back
		// among the others in a foreign namespace.
		runtime.LockOSThread()
		if err = unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err == nil {
			n, err = destroyAll(chosen, protocols)
		}
	}()
	<-done
	return n, err
}
