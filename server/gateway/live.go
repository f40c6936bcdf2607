package gateway

import (
	"context"
	"sync"

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
	return errs.Wrap(op, s.g.cfg.Sessions.Serve(ctx, peerOf(ctx).device, id, &liveStream{stream: in}))
}

// liveStream is the stream of a device in the words of package live.
type liveStream struct {
	stream *connect.BidiStream[wirepb.LiveUp, wirepb.LiveDown]
	mu     sync.Mutex // of Send
}

// Send implements live.Stream.
func (s *liveStream) Send(d live.Down) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stream.Send(&wirepb.LiveDown{Run: d.Run, Line: d.Line, Input: d.Input, Columns: d.Columns, Rows: d.Rows,
		Cancel: d.Cancel, Background: d.Background, Close: d.Close})
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
