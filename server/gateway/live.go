package gateway

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"connectrpc.com/connect"

	"github.com/vedette-edr/vedette/server/device"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/live"
	"github.com/vedette-edr/vedette/wire/wirepb"
)

// Sessions is where live response sessions are joined; see live.Service.
type Sessions interface {
	Serve(ctx context.Context, d *device.Device, id ident.ActionID, stream live.Stream) error
}

// Live joins a device's stream with the session that it names.
func (s *agent) Live(ctx context.Context, in *connect.BidiStream[wirepb.LiveUp, wirepb.LiveDown]) error {
	const op = "gateway.Live"
	if s.g.cfg.Sessions == nil {
		return errs.New(op, errs.Unsupported, errs.DisabledFeature, "this server has no live response")
	}
	first, err := in.Receive()
	if err != nil {
		return err
	}
	id, ok := ident.ParseActionID(first.Session)
	if !ok {
		return errs.New(op, errs.Invalid, errs.InvalidInput, "the session's id is no GUID")
	}
	s.g.metrics.live.Inc()
	defer s.g.metrics.live.Dec()
	// What the device says is a body without an end. Bodies have to come soon; that a device
	// which says nothing is gone is seen to by the session, see wire.LiveSilence.
	control := peerOf(ctx).control
	_ = control.SetReadDeadline(time.Time{}) // a connection without deadlines needs none taken off
	stream := &liveStream{stream: in, control: control}
	defer stream.Close()
	return errs.Wrap(op, s.g.cfg.Sessions.Serve(ctx, peerOf(ctx).device, id, stream))
}

// liveStream is the stream of a device in the words of package live.
type liveStream struct {
	stream  *connect.BidiStream[wirepb.LiveUp, wirepb.LiveDown]
	control *http.ResponseController
	over    atomic.Bool
	mu      sync.Mutex // of Send
}

var errOver = errors.New("the stream is over")

// Send implements live.Stream.
func (s *liveStream) Send(d live.Down) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over.Load() {
		return errOver // the handler may have returned: there is nothing to write to
	}
	return s.stream.Send(&wirepb.LiveDown{Run: d.Run, Line: d.Line, Input: d.Input, Columns: d.Columns, Rows: d.Rows,
		Cancel: d.Cancel, Background: d.Background, Close: d.Close})
}

// Close implements live.Stream. After it nothing is sent any more, and what waited to send
// or to receive has given up.
func (s *liveStream) Close() {
	s.over.Store(true)
	// A connection without deadlines ends when the device's does.
	_ = s.control.SetReadDeadline(time.Unix(1, 0))
	_ = s.control.SetWriteDeadline(time.Unix(1, 0))
	s.mu.Lock()
	defer s.mu.Unlock()
}

// Receive implements live.Stream.
func (s *liveStream) Receive() (live.Up, error) {
	m, err := s.stream.Receive()
	if err != nil {
		return live.Up{}, err
	}
	up := live.Up{Run: m.Run, Output: m.Output, Directory: m.Directory}
	if e := m.End; e != nil {
		up.End = &live.End{Status: e.Status, Exit: int(e.Exit), Error: e.Error}
		for _, f := range e.Files {
			up.End.Files = append(up.End.Files, int(f))
		}
	}
	return up, nil
}
