package link

import (
	"context"
	"errors"
	"io"
	"time"

	"connectrpc.com/connect"

	"github.com/vedette-edr/vedette/wire/wirepb"
)

// silence is how long the stream of nudges may say nothing; the server says something at
// least every 38 s.
const silence = 75 * time.Second

// watchLoop listens for nudges, and comes back whenever the stream ends.
func (l *Link) watchLoop(ctx context.Context) error {
	b := l.backoff()
	for {
		id, client := l.current()
		heard, err := l.watch(ctx, client)
		l.mu.Lock()
		l.status.Watching = false
		l.mu.Unlock()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if heard {
			b.reset()
		}
		pause := b.next(0)
		if err != nil {
			if pause, err = l.refused(ctx, id, err, b); err != nil {
				return err
			}
		}
		if err := wait(ctx, pause); err != nil {
			return err
		}
	}
}

// watch follows one stream until it ends, and reports whether anything came of it.
func (l *Link) watch(ctx context.Context, client *Client) (heard bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	l.mu.Lock()
	stale := l.client != client
	l.rewatch = cancel
	l.mu.Unlock()
	if stale {
		return true, nil
	}
	dog := time.AfterFunc(silence, cancel)
	defer dog.Stop()
	s, err := client.Watch(ctx, connect.NewRequest(&wirepb.WatchRequest{}))
	if err != nil {
		return false, err
	}
	defer func() { _ = s.Close() }() // what went wrong is in s.Err
	for s.Receive() {
		dog.Reset(silence)
		m := s.Msg()
		l.heard(m.ServerTime)
		l.mu.Lock()
		l.status.Watching = true
		l.mu.Unlock()
		heard = true
		if m.Commands {
			l.wakePoll()
		}
		if m.Indicators != 0 {
			l.announced(m.Indicators)
		}
	}
	err = s.Err()
	if errors.Is(err, io.EOF) || ctx.Err() != nil {
		err = nil
	}
	return heard, err
}

func (l *Link) wakePoll() { signal(l.poll) }

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
