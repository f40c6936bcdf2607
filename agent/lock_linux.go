package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// lockPatience is how long the lock of another process is waited for. The kernel frees that
// of an agent which was killed only after it has taken the agent's programs off its system
// calls, for which it waits once for each: seconds on a busy machine.
const lockPatience = 10 * time.Second

// lock makes the state directory this process's own until unlock or its end. It waits
// up to patience for another that has it.
func lock(ctx context.Context, path string, patience time.Duration) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	late := time.NewTimer(patience)
	defer late.Stop()
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		switch {
		case err == nil:
			return func() { f.Close() }, nil
		case !errors.Is(err, unix.EWOULDBLOCK):
			f.Close()
			return nil, err
		}
		select {
		case <-again.C:
		case <-late.C:
			f.Close()
			return nil, fmt.Errorf("another agent runs on this state directory (%s is locked)", path)
		case <-ctx.Done():
			f.Close()
			return nil, ctx.Err()
		}
	}
}
