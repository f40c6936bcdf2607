package policy

import (
	"fmt"
	"os"
	"syscall"
)

// trusted refuses a file that somebody other than this user and root could have written.
func trusted(f *os.File) error {
	i, err := f.Stat()
	if err != nil {
		return err
	}
	st, ok := i.Sys().(*syscall.Stat_t)
	switch {
	case !i.Mode().IsRegular():
		return fmt.Errorf("it is no regular file")
	case ok && st.Uid != 0 && int(st.Uid) != os.Geteuid():
		return fmt.Errorf("it belongs to user %d, not to root", st.Uid)
	case i.Mode().Perm()&0o022 != 0:
		return fmt.Errorf("others than its owner may write it (%v); chmod go-w mends that", i.Mode().Perm())
	}
	return nil
}
