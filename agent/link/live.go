package link

import (
	"context"
	"sync"
	"time"

	"connectrpc.com/connect"

	"github.com/vedette-edr/vedette/wire"
	"github.com/vedette-edr/vedette/wire/wirepb"
)

// LiveStream is the stream of one live session. Send may be called by several goroutines,
// Receive by one; both end when the stream does. A side that is not heard of for
// wire.LiveSilence is gone.
type LiveStream struct {
	stream *connect.BidiStreamForClient[wirepb.LiveUp, wirepb.LiveDown]
	client *Client
	cancel context.CancelFunc
	dog    *time.Timer
	done   chan struct{}
	wg     sync.WaitGroup

	mu sync.Mutex // of Send
}

// Live opens the stream of a session, on a connection of its own: what people do not read
// must not hold up telemetry. The caller closes it.
func (l *Link) Live(ctx context.Context, session string) (*LiveStream, error) {
	id, _ := l.current()
	client, err := newClient(id, l.dialer)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	s := &LiveStream{client: client, cancel: cancel, stream: client.AgentClient.Live(ctx), done: make(chan struct{})}
	s.dog = time.AfterFunc(wire.LiveSilence, cancel)
	if err := s.Send(&wirepb.LiveUp{Session: session}); err != nil {
		s.Close()
		return nil, err
	}
	s.wg.Go(s.live)
	return s, nil
}

// live says now and then that the device is there.
func (s *LiveStream) live() {
	t := time.NewTicker(wire.LiveAlive)
	defer t.Stop()
	for {
		select {
		case <-s.done:
			return
		case <-t.C:
			if s.Send(&wirepb.LiveUp{}) != nil {
				return
			}
		}
	}
}

// Send says something. It waits while the other side does not read.
func (s *LiveStream) Send(m *wirepb.LiveUp) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stream.Send(m)
}

// Receive returns what is said next. Signs of life are not.
func (s *LiveStream) Receive() (*wirepb.LiveDown, error) {
	for {
		m, err := s.stream.Receive()
		if err != nil {
			return nil, err
		}
		s.dog.Reset(wire.LiveSilence)
		if m.Run == 0 && !m.Close {
			continue
		}
		return m, nil
	}
}

// Close ends the stream.
func (s *LiveStream) Close() {
	close(s.done)
	s.dog.Stop()
	s.cancel()
	s.wg.Wait()
	// The context is over: both can only say that again.
	_ = s.stream.CloseRequest()
	_ = s.stream.CloseResponse()
	s.client.Close()
}
