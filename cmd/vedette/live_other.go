//go:build !unix

package main

import (
	"os"

	"github.com/vedette-edr/vedette/client"
)

// liveSignals are those that mean something to a session.
func liveSignals() []os.Signal { return []os.Signal{os.Interrupt} }

// signalled passes a signal on to the run in the foreground.
func (k *liveConsole) signalled(_ os.Signal, run int) error {
	if run == 0 {
		return k.leave()
	}
	return k.live.Send(k.ctx, client.LiveInput{Type: "cancel", Run: run})
}
