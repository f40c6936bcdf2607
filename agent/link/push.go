package link

import (
	"context"
	"errors"
	"fmt"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"github.com/vedette-edr/vedette/agent/spool"
	"github.com/vedette-edr/vedette/wire/wirepb"
)

// pushLoop sends batches in order, one at a time: detection on the server follows a
// device's events in their order. A batch leaves the spool when the server has it.
func (l *Link) pushLoop(ctx context.Context) error {
	b := l.backoff()
	for {
		batch, err := l.spool.Next(ctx)
		if err != nil {
			return err
		}
		for settled := false; !settled; {
			var pause time.Duration
			if settled, pause, err = l.push(ctx, batch, b); err != nil {
				return err
			}
			if err := wait(ctx, pause); err != nil {
				return err
			}
		}
	}
}

// push sends one batch once. It is settled when it need not be sent again.
func (l *Link) push(ctx context.Context, batch *spool.Batch, b *backoff) (settled bool, pause time.Duration, err error) {
	id, client := l.current()
	if l.spool.Stale(batch) {
		return true, 0, nil // the device enrolled again: the spool has it under the new identity
	}
	r, err := client.Push(ctx, connect.NewRequest(&wirepb.PushRequest{Batch: batch.Frame, Sent: l.conf.Clock().UnixNano()}))
	if err == nil {
		b.reset()
		l.spool.Ack(batch)
		l.heard(r.Msg.ServerTime)
		l.mu.Lock()
		l.status.Pushed++
		if r.Msg.Duplicate {
			l.status.Duplicates++
		}
		l.mu.Unlock()
		return true, 0, nil
	}
	if l.spool.Stale(batch) {
		return true, 0, nil
	}
	if f := FaultOf(err); f.Code == codeMalformed || f.Code == codeForeign {
		l.trouble(err)
		return true, 0, l.spool.SetAside(batch, fmt.Sprintf("the server refused batch %d: %s", batch.Sequence, f.Code))
	}
	pause, err = l.refused(ctx, id, err, b)
	return false, pause, err
}

// resultLoop reports the results of commands.
func (l *Link) resultLoop(ctx context.Context) error {
	b := l.backoff()
	for {
		r, err := l.spool.NextResult(ctx)
		if err != nil {
			return err
		}
		var m wirepb.Result
		if err := proto.Unmarshal(r.Data, &m); err != nil {
			l.trouble(fmt.Errorf("link: a result on disk is not readable: %w", err))
			l.spool.AckResult(r)
			continue
		}
		for {
			id, client := l.current()
			_, err := client.ReportResult(ctx, connect.NewRequest(&wirepb.ReportResultRequest{Result: &m}))
			if err == nil {
				b.reset()
				l.heard(0)
				l.conf.Fault(faultReported, m.Command)
				break
			}
			if final(err) {
				l.trouble(err)
				break
			}
			if FaultOf(err).Code == codeUnknown && l.conf.Leaving(m.Command) {
				break // it heard it before, and its answer was lost
			}
			if err := l.retry(ctx, id, err, b); err != nil {
				return err
			}
		}
		l.spool.AckResult(r)
		l.conf.Fault(faultSettled, m.Command)
		l.conf.Reported(m.Command)
	}
}

// final reports whether the server will never take a result: it is malformed, or the
// command is not, or no longer, this device's.
func final(err error) bool {
	var c *connect.Error
	return errors.As(err, &c) && (c.Code() == connect.CodeNotFound || c.Code() == connect.CodeInvalidArgument) && connect.IsWireError(err)
}
