package scan

import (
	"fmt"
	"os/exec"

	"golang.org/x/sys/unix"
)

// Helper is what the agent's program does when it is started as the helper: it gives up
// what it does not need and becomes the program, which is started from here and not by the
// agent itself, because the agent must be free to answer whether it may run.
func Helper(program string, args []string, env []string) error {
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("scan: no_new_privs: %w", err)
	}
	_ = unix.Setpriority(unix.PRIO_PROCESS, 0, 19) // it is bounded all the same
	for what, most := range map[int]uint64{
		unix.RLIMIT_AS: 2 << 30, unix.RLIMIT_CPU: 1800, unix.RLIMIT_CORE: 0, unix.RLIMIT_FSIZE: 0,
	} {
		if err := unix.Setrlimit(what, &unix.Rlimit{Cur: most, Max: most}); err != nil {
			return fmt.Errorf("scan: limit %d: %w", what, err)
		}
	}
	return unix.Exec(program, append([]string{program}, args...), env)
}

// ownHelper starts this program as the helper.
func ownHelper(program string, args ...string) *exec.Cmd {
	return exec.Command("/proc/self/exe", append([]string{"scan-helper", "--", program}, args...)...)
}
