package link

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"github.com/vedette-edr/vedette/wire"
	"github.com/vedette-edr/vedette/wire/wirepb"
)

// commandTime bounds one command, so that one that hangs does not hold its lane for ever.
const commandTime = 30 * time.Minute

// lane names the queue that a kind of command waits in. Commands of one lane run one after
// the other; what limits a device shares one, so that its order is kept, and waits for
// nothing else.
func lane(kind string) string {
	switch kind {
	case "isolate", "unisolate":
		return "containment"
	}
	return kind
}

// lanes runs commands.
type lanes struct {
	link *Link
	wg   sync.WaitGroup

	mu      sync.Mutex
	waiting map[string][]*wirepb.Envelope // by lane, while its goroutine runs
}

// add queues a command that the ledger has.
func (r *lanes) add(ctx context.Context, kind string, e *wirepb.Envelope) {
	name := lane(kind)
	r.mu.Lock()
	defer r.mu.Unlock()
	queue, running := r.waiting[name]
	r.waiting[name] = append(queue, e)
	if running {
		return
	}
	r.wg.Go(func() {
		for {
			r.mu.Lock()
			queue := r.waiting[name]
			if len(queue) == 0 || ctx.Err() != nil {
				delete(r.waiting, name)
				r.mu.Unlock()
				return
			}
			r.waiting[name] = queue[1:]
			r.mu.Unlock()
			r.link.execute(ctx, queue[0])
		}
	})
}

// commandLoop fetches commands when it is nudged, and first takes up those that the agent
// had not finished when it ended.
func (l *Link) commandLoop(ctx context.Context) error {
	run := &lanes{link: l, waiting: map[string][]*wirepb.Envelope{}}
	defer run.wg.Wait()
	for _, e := range l.ledger.unfinished() {
		c, err := l.verify(e)
		if err != nil {
			l.conclude(c, err)
			continue
		}
		run.add(ctx, c.Kind, e)
	}
	b := l.backoff()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-l.poll:
		}
		for {
			id, client := l.current()
			err := l.fetch(ctx, client, run)
			if err == nil {
				b.reset()
				break
			}
			pause, err := l.refused(ctx, id, err, b)
			if err == nil {
				err = wait(ctx, pause)
			}
			if err != nil {
				return err
			}
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
			run.add(ctx, c.Kind, e)
		}
	}
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

// execute runs one command that the ledger has, and brings its result to the disk.
func (l *Link) execute(ctx context.Context, e *wirepb.Envelope) {
	c, err := l.verify(e) // it may have expired while it waited
	if err != nil {
		l.conclude(c, err)
		return
	}
	cctx, cancel := context.WithTimeout(ctx, commandTime)
	defer cancel()
	r := l.conf.Respond(cctx, c)
	if ctx.Err() != nil {
		return // the agent is ending: the ledger has it begun, and it is taken up again
	}
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
		err = l.spool.PutResult(b)
	}
	if err == nil {
		err = l.ledger.done(c, l.ServerTime())
	}
	if err != nil {
		// It stays unfinished in the ledger and runs again at the next start: its result
		// must not be lost.
		l.trouble(fmt.Errorf("link: result of %s: %w", c.ID, err))
	}
}

var errLedger = errors.New("link: the ledger of commands is full")
