package live

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/wire"
)

// Bounds of one session.
const (
	maxRuns = 10_000
	goodbye = 5 * time.Second // for a side to close after it was asked to
)

// relay joins both sides of one session.
type relay struct {
	s       *Service
	session *Session // as it was made

	stopped chan struct{} // closed by end
	parted  chan struct{} // closed when both sides were told
	done    chan struct{} // closed when everything of it is over
	both    sync.WaitGroup

	device  chan Stream // of capacity 1, like the next
	console chan consoleOf
	ready   chan struct{} // closed when both are there
	size    [2]int        // of the console's terminal, columns and rows; of who obeys it

	mu      sync.Mutex
	reason  string
	over    bool
	taken   [2]bool // device and console have come
	stream  Stream
	person  consoleOf
	cast    *cast
	runs    map[int]*Command
	next    int
	granted map[string]bool
	active  time.Time
	heard   time.Time
}

type consoleOf struct {
	Console
	by *access.Principal
}

func newRelay(s *Service, n *Session) *relay {
	return &relay{s: s, session: n, stopped: make(chan struct{}), parted: make(chan struct{}), done: make(chan struct{}), ready: make(chan struct{}),
		device: make(chan Stream, 1), console: make(chan consoleOf, 1), runs: map[int]*Command{}, granted: map[string]bool{}}
}

// end ends the session; the first reason stays.
func (r *relay) end(reason string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.over {
		r.over, r.reason = true, reason
		close(r.stopped)
	}
}

// consoleClosed is why a session ended whose console went without a word.
const consoleClosed = "the console closed"

// refuse ends the session for what its console said. Who was writing to the console may have
// noticed before that it closed, and not why.
func (r *relay) refuse(why string) {
	r.end(consoleClosed)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.reason == consoleClosed {
		r.reason += ": " + why
	}
}

func (r *relay) ended() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.over
}

// names reports whether a command of the session has named a file of the library.
func (r *relay) names(file string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.granted[file]
}

// run waits for both sides, watches that they live, and ends the session in the store.
func (r *relay) run(ctx context.Context) {
	defer close(r.done)
	defer r.s.drop(r)
	path := r.s.castFile(r.session.ID)
	var err error
	if r.cast, err = newCast(path, "Live response on "+r.session.DeviceName+" by "+r.session.By.Name, r.s.cfg.Clock); err != nil {
		r.s.cfg.Log.Error("transcript of a live response session", "session", r.session.ID, "err", err)
		r.end("the server cannot keep a transcript")
	} else if r.meet(ctx) {
		r.watch()
	}
	<-r.stopped
	r.farewell(ctx)
	close(r.parted)
	r.both.Wait()
	if r.cast != nil {
		if err := r.cast.close(); err != nil {
			r.s.cfg.Log.Error("transcript of a live response session", "session", r.session.ID, "err", err)
		}
	}
	r.mu.Lock()
	reason := r.reason
	r.mu.Unlock()
	r.s.conclude(ctx, r.session, reason, path)
}

// meet waits until both sides are there.
func (r *relay) meet(ctx context.Context) bool {
	patience := time.NewTimer(r.s.cfg.Connect)
	defer patience.Stop()
	var stream Stream
	var person consoleOf
	for stream == nil || person.Console == nil {
		select {
		case stream = <-r.device:
		case person = <-r.console:
			if stream == nil {
				_ = person.Send(ctx, Event{Type: "waiting", Session: r.session}) // it is noticed below when nobody is there
			}
		case <-patience.C:
			if stream == nil {
				r.end("the device did not answer")
			} else {
				r.end("nobody opened the console")
			}
			return false
		case <-r.stopped:
			return false
		}
	}
	now := r.s.cfg.Clock().UTC()
	n, err := r.s.cfg.Store.UpdateSession(ctx, r.session.Tenant, r.session.ID, func(n *Session) error {
		n.State, n.Started = Active, now
		return nil
	})
	if err != nil {
		r.s.cfg.Log.Error("beginning a live response session", "session", r.session.ID, "err", err)
		r.end("the server could not record the session")
		return false
	}
	r.mu.Lock()
	r.stream, r.person, r.active, r.heard = stream, person, now, now
	r.mu.Unlock()
	close(r.ready)
	r.show(Event{Type: "ready", Session: n})
	return true
}

// watch ends the session when nobody says anything for too long.
func (r *relay) watch() {
	t := time.NewTicker(min(wire.LiveAlive, r.s.cfg.Idle/4+time.Millisecond))
	defer t.Stop()
	for {
		select {
		case <-r.stopped:
			return
		case <-t.C:
		}
		now := r.s.cfg.Clock()
		r.mu.Lock()
		idle, silent, stream := now.Sub(r.active), now.Sub(r.heard), r.stream
		r.mu.Unlock()
		switch {
		case idle >= r.s.cfg.Idle:
			r.end(fmt.Sprintf("nothing happened for %v", r.s.cfg.Idle))
		case silent >= wire.LiveSilence:
			r.end("the device is not heard of any more")
		default:
			// A device that does not read has to be waited for without waiting here.
			go func() { _ = stream.Send(Down{}) }()
		}
	}
}

// farewell tells both sides that it is over.
func (r *relay) farewell(ctx context.Context) {
	r.mu.Lock()
	stream, person, reason := r.stream, r.person, r.reason
	r.mu.Unlock()
	if stream != nil {
		go func() { _ = stream.Send(Down{Close: true}) }() // it may not read any more
	}
	if person.Console == nil {
		select {
		case person = <-r.console:
		default:
			return
		}
	}
	ctx, cancel := context.WithTimeout(ctx, goodbye)
	defer cancel()
	_ = person.Send(ctx, Event{Type: "closed", Reason: reason}) // it may be gone
}

// show sends an event to the console. One that does not take it is gone.
func (r *relay) show(e Event) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		select {
		case <-r.stopped:
			cancel()
		case <-stop:
		}
	}()
	if err := r.person.Send(ctx, e); err != nil {
		r.end(consoleClosed)
	}
}
