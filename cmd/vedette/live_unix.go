//go:build unix

package main

import (
	"os"
	"syscall"

	"golang.org/x/term"

	"github.com/vedette-edr/vedette/client"
)

// liveSignals are those that mean something to a session.
func liveSignals() []os.Signal {
	return []os.Signal{os.Interrupt, syscall.SIGTSTP, syscall.SIGWINCH, syscall.SIGTERM, syscall.SIGHUP}
}

// signalled passes a signal on to the run in the foreground.
func (k *liveConsole) signalled(sig os.Signal, run int) error {
	switch sig {
	case os.Interrupt:
		if run == 0 {
			_, err := k.errs.Write([]byte("\nexit leaves.\n"))
			k.prompt()
			return err
		}
		return k.live.Send(k.ctx, client.LiveInput{Type: "cancel", Run: run})
	case syscall.SIGTSTP:
		if run != 0 {
			return k.live.Send(k.ctx, client.LiveInput{Type: "background", Run: run})
		}
	case syscall.SIGWINCH:
		if w, h, err := term.GetSize(int(os.Stdin.Fd())); err == nil && run != 0 {
			return k.live.Send(k.ctx, client.LiveInput{Type: "resize", Run: run, Columns: w, Rows: h})
		}
	case syscall.SIGTERM, syscall.SIGHUP:
		return k.leave()
	}
	return nil
}
