package worker

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/vedette-edr/vedette/server/telemetry/duckdb/frame"
)

// maxFiles is enough for a query over a month of segments, one by one.
const maxFiles = 4096

// enter shuts the process in. The store has started it in namespaces of its own and with
// no_new_privs; with s.Root, the file system becomes one that holds nothing but the
// tenant's segments, read-only. It returns what could not be had, and changes s to the
// paths as they are from inside.
func enter(s *frame.Setup) (lacks []string, err error) {
	// When memory runs out, a query is to die and not the server. Without /proc it is as
	// likely as anybody.
	_ = os.WriteFile("/proc/self/oom_score_adj", []byte("900"), 0)
	switch {
	case s.Root != "":
		if err := pivot(s); err != nil {
			return nil, err
		}
	case s.Cage:
		// Left again by nobody but root, which the process is no more when a query comes.
		if err := unix.Chroot(s.Data); err != nil {
			return nil, fmt.Errorf("enter %s: %w", s.Data, err)
		}
		if err := os.Chdir("/"); err != nil {
			return nil, err
		}
		s.Data = "/"
	default:
		lacks = append(lacks, "a file system of its own")
	}
	if err := limit(s); err != nil {
		return nil, err
	}
	if s.UID != 0 {
		if err := drop(s.UID, s.GID); err != nil {
			return nil, err
		}
	} else {
		lacks = append(lacks, "another user")
	}
	if s.Root != "" && s.UID == 0 {
		// Root of a user namespace, and nobody outside. Capabilities belong to threads,
		// and Go offers no way to drop them in every thread of a program with cgo.
		lacks = append(lacks, "dropped capabilities")
	}
	if n, err := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0); err != nil || n != 1 {
		lacks = append(lacks, "no_new_privs")
	}
	return lacks, nil
}

// pivot builds a root of /data and /out in an empty tmpfs and moves into it.
func pivot(s *frame.Setup) error {
	step := func(what string, err error) error {
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		return nil
	}
	if err := step("make mounts private", unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")); err != nil {
		return err
	}
	if err := step("mount root", unix.Mount("none", s.Root, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "size=64k,mode=0755")); err != nil {
		return err
	}
	if err := bind(s.Data, filepath.Join(s.Root, "data"), unix.MS_RDONLY); err != nil {
		return err
	}
	s.Data = "/data"
	if s.Out != "" {
		if err := bind(s.Out, filepath.Join(s.Root, "out"), 0); err != nil {
			return err
		}
		s.Out = "/out"
	}
	if err := step("enter root", os.Chdir(s.Root)); err != nil {
		return err
	}
	// The old root is stacked on the new one and taken away: no directory is needed for it.
	if err := step("pivot", unix.PivotRoot(".", ".")); err != nil {
		return err
	}
	if err := step("leave the old root", unix.Unmount(".", unix.MNT_DETACH)); err != nil {
		return err
	}
	if err := step("enter /", os.Chdir("/")); err != nil {
		return err
	}
	return step("make root read-only", unix.Mount("", "/", "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""))
}

func bind(from, to string, flags uintptr) error {
	if err := os.Mkdir(to, 0o755); err != nil {
		return err
	}
	if err := unix.Mount(from, to, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("bind %s: %w", from, err)
	}
	flags |= unix.MS_REMOUNT | unix.MS_BIND | unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC
	if err := unix.Mount("", to, "", flags, ""); err != nil {
		return fmt.Errorf("bind %s: %w", from, err)
	}
	return nil
}

func limit(s *frame.Setup) error {
	limits := map[int]uint64{unix.RLIMIT_CORE: 0, unix.RLIMIT_NOFILE: maxFiles}
	if s.AddressSpace > 0 {
		limits[unix.RLIMIT_AS] = uint64(s.AddressSpace)
	}
	for which, n := range limits {
		var had unix.Rlimit
		if err := unix.Getrlimit(which, &had); err != nil {
			return err
		}
		n = min(n, had.Max)
		if err := unix.Setrlimit(which, &unix.Rlimit{Cur: n, Max: n}); err != nil {
			return fmt.Errorf("rlimit %d: %w", which, err)
		}
	}
	return nil
}

// drop becomes an unprivileged user, in every thread, and makes sure there is no way back.
func drop(uid, gid int) error {
	if err := syscall.Setgroups(nil); err != nil {
		return fmt.Errorf("setgroups: %w", err)
	}
	if err := syscall.Setresgid(gid, gid, gid); err != nil {
		return fmt.Errorf("setgid: %w", err)
	}
	if err := syscall.Setresuid(uid, uid, uid); err != nil {
		return fmt.Errorf("setuid: %w", err)
	}
	if syscall.Setuid(0) == nil {
		return errors.New("root could be had back")
	}
	return nil
}
