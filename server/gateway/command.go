package gateway

import (
	"context"
	"crypto/ed25519"

	"connectrpc.com/connect"

	"github.com/vedette-edr/vedette/server/action"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/wire"
	"github.com/vedette-edr/vedette/wire/wirepb"
)

// maxHave bounds the ids of one FetchCommands.
const maxHave = 10_000

// FetchCommands answers the commands that wait for the device, signed.
func (s *agent) FetchCommands(ctx context.Context, r *connect.Request[wirepb.FetchCommandsRequest]) (*connect.Response[wirepb.FetchCommandsResponse], error) {
	const op = "gateway.FetchCommands"
	if len(r.Msg.Have) > maxHave {
		return nil, errs.New(op, errs.Invalid, errs.InvalidInput, "there are more than %d ids", maxHave)
	}
	var have []ident.ActionID
	for i, text := range r.Msg.Have {
		id, ok := ident.ParseActionID(text)
		if !ok {
			return nil, errs.New(op, errs.Invalid, errs.InvalidInput, "have[%d] is no GUID", i)
		}
		have = append(have, id)
	}
	work, err := s.g.cfg.Commands.Pending(ctx, peerOf(ctx).device, have)
	if err != nil {
		return nil, errs.Wrap(op, err)
	}
	resp := &wirepb.FetchCommandsResponse{ServerTime: s.now()}
	for _, id := range work.Stop {
		resp.Cancel = append(resp.Cancel, string(id))
	}
	for _, c := range work.Commands {
		e, err := envelope(c, s.g.cfg.CA.CommandKey())
		if err != nil {
			return nil, errs.Wrap(op, err)
		}
		resp.Commands = append(resp.Commands, e)
	}
	return connect.NewResponse(resp), nil
}

// envelope is a command signed by the server and by whoever approved it.
func envelope(c action.Command, key ed25519.PrivateKey) (*wirepb.Envelope, error) {
	body := c.Body
	if body == nil {
		var err error
		if body, err = (Envelopes{}).Body(c); err != nil {
			return nil, err
		}
	}
	e := &wirepb.Envelope{Body: body, Signatures: wire.SignBody(wire.CommandContext, body, key)}
	for _, g := range c.Signatures {
		e.Signatures = append(e.Signatures, &wirepb.Signature{Key: g.Key, Signature: g.Signature})
	}
	return e, nil
}

// Envelopes is the action.Envelopes of the agent link.
type Envelopes struct{}

var _ action.Envelopes = Envelopes{}

// Body implements action.Envelopes.
func (Envelopes) Body(c action.Command) ([]byte, error) {
	return wire.Body(&wire.Command{ID: string(c.ID), Device: string(c.Device), Incarnation: c.Incarnation, Kind: c.Kind,
		Params: c.Params, Issued: c.Issued, Expires: c.Expires})
}

// Signed implements action.Envelopes.
func (Envelopes) Signed(body []byte, s action.Signature) bool {
	return wire.VerifyBody(wire.CommandContext, body, []*wirepb.Signature{{Key: s.Key, Signature: s.Signature}}, s.Key)
}

// ReportResult takes the result of a command.
func (s *agent) ReportResult(ctx context.Context, r *connect.Request[wirepb.ReportResultRequest]) (*connect.Response[wirepb.ReportResultResponse], error) {
	const op = "gateway.ReportResult"
	m := r.Msg.GetResult()
	id, ok := ident.ParseActionID(m.GetCommand())
	if !ok {
		return nil, errs.New(op, errs.Invalid, errs.InvalidInput, "the command's id is no GUID")
	}
	if len(m.Evidence) > wire.MaxEvidence {
		return nil, errs.New(op, errs.Invalid, errs.InvalidInput, "the evidence is longer than %d bytes", wire.MaxEvidence)
	}
	err := s.g.cfg.Commands.Result(ctx, peerOf(ctx).device, action.Result{ID: id, State: m.State, Detail: m.Detail, Evidence: m.Evidence})
	s.g.known.forget(peerOf(ctx).device.ID) // it may have been its last word
	if err != nil {
		return nil, errs.Wrap(op, err)
	}
	return connect.NewResponse(&wirepb.ReportResultResponse{}), nil
}

// ReportProgress takes how far a command is.
func (s *agent) ReportProgress(ctx context.Context, r *connect.Request[wirepb.ReportProgressRequest]) (*connect.Response[wirepb.ReportProgressResponse], error) {
	const op = "gateway.ReportProgress"
	m := r.Msg
	id, ok := ident.ParseActionID(m.Command)
	if !ok {
		return nil, errs.New(op, errs.Invalid, errs.InvalidInput, "the command's id is no GUID")
	}
	err := s.g.cfg.Commands.Progress(ctx, peerOf(ctx).device, id, action.Progress{Percent: int(m.Percent), Detail: m.Detail, Numbers: m.Numbers})
	if err != nil {
		return nil, errs.Wrap(op, err)
	}
	return connect.NewResponse(&wirepb.ReportProgressResponse{}), nil
}
