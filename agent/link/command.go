package link

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"github.com/vedette-edr/vedette/agent/responder"
	"github.com/vedette-edr/vedette/wire"
	"github.com/vedette-edr/vedette/wire/wirepb"
)

// commandLoop fetches commands when it is nudged, and first takes up those that the agent
// had not finished when it ended.
func (l *Link) commandLoop(ctx context.Context) error {
	run := newLanes(l)
	defer run.wg.Wait()
	l.handOver()
	for _, o := range l.ledger.unfinished() {
		c, err := l.verifyAgain(o)
		if err != nil {
			l.conclude(c, err)
			continue
		}
		run.add(ctx, c, o)
	}
	b := l.backoff()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-l.poll:
		}
		l.handOver()
		if err := l.persist(ctx, b, func(_ *Identity, c *Client) error { return l.fetch(ctx, c, run) }); err != nil {
			return err
		}
	}
}

// fetch asks for commands, notes those that are good in the ledger, and queues them.
func (l *Link) fetch(ctx context.Context, client *Client, run *lanes) error {
	r, err := client.FetchCommands(ctx, connect.NewRequest(&wirepb.FetchCommandsRequest{Have: l.ledger.ids(l.ServerTime())}))
	if err != nil {
		return err
	}
	l.heard(r.Msg.ServerTime)
	if len(r.Msg.Commands) > 0 {
		l.conf.Fault(faultFetched, "")
	}
	taken := false
	for _, e := range r.Msg.Commands {
		c, err := l.verify(e)
		if err != nil {
			l.trouble(err)
			if c != nil && !l.ledger.has(c.ID) {
				l.conclude(c, err)
			}
			continue
		}
		fresh, err := l.ledger.take(c, e)
		if err != nil {
			return err
		}
		if fresh {
			taken = true
			l.conf.Fault(faultTaken, c.ID)
			run.add(ctx, c, opened{envelope: e})
		}
	}
	run.stop(r.Msg.Cancel)
	if taken {
		l.wakePoll() // says at once which commands the device has
	}
	return nil
}

// verify judges a command by the pinned key, this device's identity and the server's time.
func (l *Link) verify(e *wirepb.Envelope) (*wire.Command, error) {
	id, _ := l.current()
	p := l.conf.Policy
	p.Device, p.Incarnation, p.Server = id.Device, id.Incarnation, id.CommandKey
	return wire.Verify(e, p, l.ServerTime())
}

// verifyAgain judges a command that the ledger has. One that had begun when the agent ended
// is taken up again even after its lifetime: what it did to the device is done, and calling
// it refused would be a lie.
func (l *Link) verifyAgain(o opened) (*wire.Command, error) {
	c, err := l.verify(o.envelope)
	if o.begun && errors.Is(err, wire.ErrExpired) {
		err = nil
	}
	return c, err
}

// execute runs one command that the ledger has, and brings its result to the disk.
func (l *Link) execute(ctx context.Context, o opened) {
	c, err := l.verifyAgain(o) // it may have expired while it waited
	if err == nil {
		err = l.ledger.begin(c.ID)
	}
	if err != nil {
		l.conclude(c, err)
		return
	}
	l.conf.Fault(faultBegun, c.ID)
	cctx, cancel := context.WithTimeout(ctx, commandTime(c.Kind))
	defer cancel()
	l.progress.begin(c.ID)
	r := l.conf.Respond(cctx, c)
	l.progress.end(c.ID)
	if ctx.Err() != nil && !errors.Is(context.Cause(ctx), responder.ErrStopped) {
		return // the agent is ending: the ledger has it begun, and it is taken up again
	}
	if errors.Is(context.Cause(ctx), responder.ErrStopped) && (r.State == "failed" || r.State == "refused") {
		// Both mean that the device is as it was before.
		r.State, r.Detail = "cancelled", strings.TrimSuffix("stopped on the way: "+r.Detail, ": ")
	}
	l.conf.Fault(faultRan, c.ID)
	l.finish(c, r)
}

// conclude ends a command that is not run.
func (l *Link) conclude(c *wire.Command, why error) {
	l.trouble(why)
	if c == nil {
		return // not signed by the server: nobody is owed an answer
	}
	l.finish(c, Result{State: "refused", Detail: why.Error()})
}

const maxDetail = 4000

func (l *Link) finish(c *wire.Command, r Result) {
	m := &wirepb.Result{Command: c.ID, State: r.State, Detail: r.Detail, Evidence: r.Evidence, Finished: l.conf.Clock().UnixNano()}
	if len(m.Evidence) > 0 && (len(m.Evidence) > wire.MaxEvidence || !json.Valid(m.Evidence)) {
		m.Evidence, m.Detail = nil, "(the evidence was too large or no JSON) "+m.Detail
	}
	m.Detail = text(m.Detail, maxDetail)
	b, err := proto.Marshal(m)
	if err == nil {
		err = l.ledger.done(c, b, l.ServerTime())
	}
	if err != nil {
		// It stays unfinished in the ledger and runs again at the next start: its result
		// must not be lost.
		l.trouble(fmt.Errorf("link: result of %s: %w", c.ID, err))
		return
	}
	l.conf.Fault(faultKept, c.ID)
	l.handOver()
	l.conf.Fault(faultDone, c.ID)
}

// handOver brings the results that the ledger holds into the spool, which reports them. One
// that is there already is reported twice, which does no harm.
func (l *Link) handOver() {
	l.handing.Lock()
	defer l.handing.Unlock()
	for _, o := range l.ledger.owed() {
		if err := l.spool.PutResult(o.result); err != nil {
			l.trouble(fmt.Errorf("link: result of %s: %w", o.command, err)) // the next poll tries again
			return
		}
		l.ledger.handed(o.command)
	}
}

var errLedger = errors.New("link: the ledger of commands is full")
