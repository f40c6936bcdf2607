package agent

import (
	"context"
	"errors"
	"io"
	"os"
	"sync/atomic"

	"github.com/vedette-edr/vedette/agent/link"
	"github.com/vedette-edr/vedette/agent/responder"
)

// uplink is what handlers of commands ask of the server. They are made before the link is,
// and have nothing to do before it brings them a command.
type uplink struct{ link atomic.Pointer[link.Link] }

var _ responder.Server = (*uplink)(nil)

var errNoLink = errors.New("the agent has not met its server yet")

// Upload implements responder.Server.
func (u *uplink) Upload(ctx context.Context, command string, index int, name string, f *os.File) error {
	l := u.link.Load()
	if l == nil {
		return errNoLink
	}
	return l.Upload(ctx, command, index, name, f)
}

// Fetch implements responder.Server.
func (u *uplink) Fetch(ctx context.Context, command, name string, w io.Writer) error {
	l := u.link.Load()
	if l == nil {
		return errNoLink
	}
	return l.Fetch(ctx, command, name, w)
}

// Progress implements responder.Server.
func (u *uplink) Progress(command string, p responder.Progress) {
	if l := u.link.Load(); l != nil {
		l.Progress(command, p)
	}
}

// Live opens the stream of a live response session.
func (u *uplink) Live(ctx context.Context, session string) (*link.LiveStream, error) {
	l := u.link.Load()
	if l == nil {
		return nil, errNoLink
	}
	return l.Live(ctx, session)
}
