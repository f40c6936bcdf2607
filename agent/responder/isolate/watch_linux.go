package isolate

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// reinspect is how often Watch looks even if the kernel announced nothing.
const reinspect = 5 * time.Second

// Watch puts the tables back whenever somebody changes or removes them, and follows devices
// that come, go and are moved, until ctx ends. On kernels whose tables cannot be owned it is
// what holds the isolation; on others it is the second line.
func (i *Isolator) Watch(ctx context.Context) error {
	changed := make(chan struct{}, 1)
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	failed := make(chan error, 2)
	for _, w := range []struct {
		protocol, group int
	}{{unix.NETLINK_NETFILTER, unix.NFNLGRP_NFTABLES}, {unix.NETLINK_ROUTE, unix.RTNLGRP_LINK}} {
		f, err := announcements(w.protocol, w.group)
		if err != nil {
			return err
		}
		stop := context.AfterFunc(ctx, func() { f.Close() })
		defer stop()
		wg.Go(func() {
			defer f.Close()
			if err := await(ctx, f, changed); err != nil {
				failed <- err
			}
		})
	}
	t := time.NewTicker(reinspect)
	defer t.Stop()
	for {
		i.mend()
		select {
		case <-ctx.Done():
			return nil
		case err := <-failed:
			return err
		case <-changed:
		case <-t.C:
		}
	}
}

// announcements opens a socket on which the kernel tells of changes.
func announcements(protocol, group int) (*os.File, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, protocol)
	if err != nil {
		return nil, fmt.Errorf("watch socket: %w", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: 1 << (group - 1)}); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("watch: %w", err)
	}
	return os.NewFile(uintptr(fd), "announcements"), nil
}

// await says that something was announced. What it was does not matter: mend looks itself.
func await(ctx context.Context, f *os.File, changed chan<- struct{}) error {
	buf := make([]byte, 64<<10)
	for {
		_, err := f.Read(buf)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil && !errors.Is(err, unix.ENOBUFS) {
			return fmt.Errorf("watch: %w", err)
		}
		select {
		case changed <- struct{}{}:
		default:
		}
	}
}

// mend puts the tables back if they should be there and are not as they were made.
func (i *Isolator) mend() {
	i.mu.Lock()
	var told []string
	if i.saved != nil {
		told = i.mendSaved()
	}
	i.mu.Unlock()
	if len(told) > 0 && i.cfg.Tampered != nil {
		i.cfg.Tampered(strings.Join(told, "; "))
	}
}

func (i *Isolator) mendSaved() (told []string) {
	detail := i.damaged()
	moved, gone, err := i.home.moved()
	if err != nil {
		told = append(told, err.Error())
	}
	for _, s := range i.away {
		m, _, err := s.moved()
		moved = moved || err == nil && m
	}
	if detail != "" {
		told = append(told, detail)
	}
	if detail != "" || moved {
		// That devices come and go is no tampering, and told to nobody.
		if err := i.install(); err != nil {
			told = append(told, err.Error())
		}
	}
	if len(gone) > 0 {
		told = append(told, i.follow(gone)...)
	}
	if i.speakers != nil {
		i.speakers.Refresh()
	}
	return told
}
