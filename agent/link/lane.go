package link

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/vedette-edr/vedette/agent/responder"
	"github.com/vedette-edr/vedette/wire"
)

// commandTime bounds one command of a kind, so that one that hangs does not hold its lane
// for ever. What reads whole disks, or has people at its other end, may take its time.
func commandTime(kind string) time.Duration {
	switch kind {
	case "runantivirusscan", "livesession":
		return 24 * time.Hour
	case "collectinvestigationpackage", "liveresponse":
		return 4 * time.Hour
	}
	return 30 * time.Minute
}

const containment = "containment"

// lane names the queue that a kind of command waits in. Commands of one lane run one after
// the other; what limits a device shares one, so that its order is kept, and waits for
// nothing else. What does and undoes one thing shares a lane too.
func lane(kind string) string {
	switch kind {
	case "isolate", "unisolate":
		return containment
	case "restrictcodeexecution", "unrestrictcodeexecution":
		return "restriction"
	case "stopandquarantinefile", "restorefile":
		return "quarantine"
	}
	return kind
}

// task is a command that the ledger has and that has not ended.
type task struct {
	opened
	command *wire.Command
	stop    context.CancelCauseFunc // nil while it waits
}

// lanes runs commands.
type lanes struct {
	link *Link
	wg   sync.WaitGroup

	mu      sync.Mutex
	waiting map[string][]*task // by lane, while its goroutine runs; in their order
	running map[string]*task   // by id
}

func newLanes(l *Link) *lanes {
	return &lanes{link: l, waiting: map[string][]*task{}, running: map[string]*task{}}
}

// add queues a command that the ledger has.
func (r *lanes) add(ctx context.Context, c *wire.Command, o opened) {
	name := lane(c.Kind)
	r.mu.Lock()
	defer r.mu.Unlock()
	queue, running := r.waiting[name]
	r.waiting[name] = append(queue, &task{opened: o, command: c})
	if running {
		return
	}
	r.wg.Go(func() {
		for r.next(ctx, name) {
		}
	})
}

// next runs the first command of a lane; it reports false when there is none, and the
// lane's goroutine ends.
func (r *lanes) next(ctx context.Context, name string) bool {
	r.mu.Lock()
	queue := r.waiting[name]
	if len(queue) == 0 || ctx.Err() != nil {
		delete(r.waiting, name)
		r.mu.Unlock()
		return false
	}
	t := queue[0]
	r.waiting[name] = queue[1:]
	tctx, cancel := context.WithCancelCause(ctx)
	t.stop = cancel
	r.running[t.command.ID] = t
	r.mu.Unlock()

	r.link.execute(tctx, t.opened)
	cancel(nil)
	r.mu.Lock()
	delete(r.running, t.command.ID)
	r.mu.Unlock()
	return true
}

// stop ends commands that the server no longer wants: one that waits is not begun, one that
// runs is told by its context. What limits the device is not broken off: it takes a moment,
// and a limit that is half in force is worse than one that is undone afterwards.
func (r *lanes) stop(ids []string) {
	var dropped []*task
	r.mu.Lock()
	for name, queue := range r.waiting {
		r.waiting[name] = slices.DeleteFunc(queue, func(t *task) bool {
			unwanted := slices.Contains(ids, t.command.ID)
			if unwanted {
				dropped = append(dropped, t)
			}
			return unwanted
		})
	}
	for _, id := range ids {
		if t := r.running[id]; t != nil && lane(t.command.Kind) != containment {
			t.stop(responder.ErrStopped)
		}
	}
	r.mu.Unlock()
	for _, t := range dropped {
		r.link.finish(t.command, Result{State: "cancelled", Detail: "cancelled before it was begun"})
	}
}
