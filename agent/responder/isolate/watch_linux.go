package isolate

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// reinspect is how often Watch looks even if the kernel announced nothing.
const reinspect = 5 * time.Second

// Watch puts the table back whenever somebody changes or removes it, until ctx ends. It is
// what holds the isolation on kernels whose tables cannot be owned; on others it is the
// second line.
func (i *Isolator) Watch(ctx context.Context) error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_NETFILTER)
	if err != nil {
		return fmt.Errorf("watch socket: %w", err)
	}
	f := os.NewFile(uintptr(fd), "nftables")
	defer f.Close()
	group := &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: 1 << (unix.NFNLGRP_NFTABLES - 1)}
	if err := unix.Bind(fd, group); err != nil {
		return fmt.Errorf("watch nftables: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = f.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	buf := make([]byte, 64<<10)
	for {
		i.mend()
		_ = f.SetReadDeadline(time.Now().Add(reinspect))
		if ctx.Err() != nil {
			return nil
		}
		_, err := f.Read(buf)
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil, errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, unix.ENOBUFS):
			// What was announced does not matter: mend looks at the table itself.
		default:
			return fmt.Errorf("watch nftables: %w", err)
		}
	}
}

// mend puts the table back if it should be there and is not as it was made.
func (i *Isolator) mend() {
	i.mu.Lock()
	var detail string
	if i.saved != nil {
		if detail = i.damage(); detail != "" {
			if err := i.install(i.saved.Policy); err != nil {
				detail += "; " + err.Error()
			}
		}
	}
	i.mu.Unlock()
	if detail != "" && i.cfg.Tampered != nil {
		i.cfg.Tampered(detail)
	}
}
