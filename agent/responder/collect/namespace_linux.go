package collect

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// maxNamespaces bounds the network namespaces that are looked into.
const maxNamespaces = 1000

// namespace is a network namespace, with a process that is in it.
type namespace struct {
	name string // net:[4026531840]
	pid  uint32 // 0 for the agent's own
}

// eachNamespace calls look in the agent's own network namespace and in every other that a
// process is in, on a thread that is there. A failure in a foreign one is noted.
func (d *device) eachNamespace(t *Task, look func(ns namespace) error) error {
	own, err := os.Readlink("/proc/thread-self/ns/net")
	if err != nil {
		return fmt.Errorf("own network namespace: %w", err)
	}
	if err := look(namespace{name: own}); err != nil {
		return err
	}
	pids, err := d.pids()
	if err != nil {
		return err
	}
	seen := map[string]bool{own: true}
	for _, pid := range pids {
		file := d.path("proc/" + itoa(pid) + "/ns/net")
		name, err := os.Readlink(file)
		if err != nil || seen[name] {
			continue
		}
		if seen[name] = true; len(seen) > maxNamespaces {
			t.Note(nil, "only the first %d network namespaces", maxNamespaces)
			return nil
		}
		if err := t.ctx.Err(); err != nil {
			return err
		}
		if err := inNamespace(file, func() error { return look(namespace{name, pid}) }); err != nil {
			if full(err) {
				return err
			}
			if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.ESRCH) { // its last process ended
				t.Note(err, "%s of process %d", name, pid)
			}
		}
	}
	return nil
}

// inNamespace calls look on a thread of its own in the namespace of a file.
func inNamespace(file string, look func() error) error {
	ns, err := os.Open(file)
	if err != nil {
		return err
	}
	defer ns.Close()
	done := make(chan error, 1)
	go func() {
		// The thread stays locked, and ends with this goroutine instead of going back among
		// the others in a foreign namespace.
		runtime.LockOSThread()
		yieldOthers()
		if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
			done <- err
			return
		}
		done <- look()
	}()
	return <-done
}
