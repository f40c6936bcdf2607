package ebpf

import (
	"errors"
	"time"

	"github.com/vedette-edr/vedette/agent/hash"
	"github.com/vedette-edr/vedette/schema/event"
)

// patience is how long an event waits for the hash of the process that caused it. The
// creation of a process waits until its own hash and its creator's are there or are known
// not to come, and its end waits for the same, so as not to come before the creation.
const patience = 20 * time.Millisecond

// lateness bounds that longer wait: whoever fills the pool's queue with big files must not
// thereby hide what is started meanwhile.
const lateness = 5 * time.Second

// pending is a process whose image is being read. All of it is guarded by normaliser.mu.
type pending struct {
	proc     *event.Process
	deadline time.Time // when the events that only mention proc go without its hash
	given    bool      // the deadline has passed
	late     time.Time // when those go that are patient
	waiting  []waiter
	children []uint64 // keys of what it forked meanwhile: the same image
}

type waiter struct {
	*held
	patient bool // waits beyond the deadline
}

// held is an event that waits for waits hashes.
type held struct {
	ev    *event.Event
	waits int
}

// creates reports whether the event is the creation of the process with that key.
func (h *held) creates(key uint64) bool {
	return h.ev.Table == event.ProcessEvents && h.ev.Process != nil && h.ev.Process.Key == key
}

// emit hands ev to the sink, now or when the hashes of its processes are known.
func (n *normaliser) emit(ev *event.Event) {
	var h *held
	wait := func(p *event.Process, patient bool) {
		if p == nil {
			return
		}
		pend := n.pending[p.Key]
		if pend == nil || pend.given && !patient || n.waiting >= maxWaiting {
			return
		}
		if h == nil {
			h = &held{ev: ev}
		}
		h.waits++
		n.waiting++
		pend.waiting = append(pend.waiting, waiter{h, patient})
	}
	creation := ev.Table == event.ProcessEvents
	wait(ev.Process, creation || ev.Action == terminated)
	wait(ev.Initiating, creation)
	if h == nil {
		n.deliver(ev)
	}
}

// waited ends one of the waits of h.
func (n *normaliser) waited(h *held) {
	n.waiting--
	if h.waits--; h.waits == 0 {
		n.deliver(h.ev)
	}
}

func (n *normaliser) deliver(ev *event.Event) {
	n.emitted.Add(1)
	n.sink.Emit(ev)
}

// Bounds of what waits for hashes: a file may be read for minutes while what runs it forks,
// and what is started meanwhile has long command lines.
const (
	maxPending = 16384
	maxWaiting = 8192
)

// await makes p pending, or returns nil when too many are. It may be already: a process born
// while the sensor starts is found in /proc and in the ring.
func (n *normaliser) await(p *event.Process) *pending {
	if pend := n.pending[p.Key]; pend != nil {
		return pend
	}
	if len(n.pending) >= maxPending {
		return nil
	}
	now := time.Now()
	pend := &pending{proc: p, deadline: now.Add(patience), late: now.Add(lateness)}
	n.pending[p.Key] = pend
	n.unhashed.Store(int64(len(n.pending)))
	return pend
}

// hashed is called by a worker of the pool.
func (n *normaliser) hashed(key uint64, sums hash.Sums, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.settle(key, sums, err)
}

func (n *normaliser) settle(key uint64, sums hash.Sums, err error) {
	pend := n.pending[key]
	if pend == nil {
		return
	}
	delete(n.pending, key)
	n.unhashed.Store(int64(len(n.pending)))
	if err == nil {
		img := pend.proc.Image
		img.SHA1, img.SHA256, img.MD5 = sums.SHA1, sums.SHA256, sums.MD5
		n.table.SetImage(pend.proc.PID, key, img)
		// Of one process there may be several values, which differ in its user.
		done := make(map[*event.Process]*event.Process, 1)
		with := func(p *event.Process) *event.Process {
			if p == nil || p.Key != key {
				return p
			}
			q := done[p]
			if q == nil {
				q = new(event.Process)
				*q = *p
				q.Image = img
				done[p] = q
			}
			return q
		}
		for _, w := range pend.waiting {
			w.ev.Process, w.ev.Initiating = with(w.ev.Process), with(w.ev.Initiating)
		}
	}
	for _, w := range pend.waiting {
		if err != nil && w.creates(key) {
			w.ev.Additional = more(w.ev.Additional, "HashUnavailable", reason(err))
		}
		n.waited(w.held)
	}
	for _, child := range pend.children {
		n.settle(child, sums, err)
	}
}

// release lets go the events whose patience has ended and returns when the next one's
// will, the zero time when none waits.
func (n *normaliser) release(now time.Time) (next time.Time) {
	for _, pend := range n.pending {
		due := pend.deadline
		if pend.given {
			due = pend.late
		}
		if pend.given && len(pend.waiting) == 0 {
			continue
		}
		if now.Before(due) {
			if next.IsZero() || due.Before(next) {
				next = due
			}
			continue
		}
		n.letGo(pend, pend.given)
		pend.given = true
	}
	return next
}

// letGo ends the wait for pend: of all, or of all but the patient.
func (n *normaliser) letGo(pend *pending, all bool) {
	stay := pend.waiting[:0]
	for _, w := range pend.waiting {
		if w.patient && !all {
			stay = append(stay, w)
			continue
		}
		if w.creates(pend.proc.Key) {
			w.ev.Additional = more(w.ev.Additional, "HashUnavailable", "Late")
		}
		n.waited(w.held)
	}
	clear(pend.waiting[len(stay):])
	pend.waiting = stay
}

// drain waits a moment for the hashes that events still wait for, and then lets all go.
func (n *normaliser) drain(limit time.Duration) {
	for end := time.Now().Add(limit); n.anyWaiting() && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for key := range n.pending {
		n.settle(key, hash.Sums{}, hash.ErrClosed)
	}
}

func (n *normaliser) anyWaiting() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, pend := range n.pending {
		if len(pend.waiting) > 0 {
			return true
		}
	}
	return false
}

func reason(err error) string {
	switch {
	case errors.Is(err, hash.ErrTooLarge):
		return "TooLarge"
	case errors.Is(err, hash.ErrChanged):
		return "Gone"
	case errors.Is(err, hash.ErrBusy):
		return "Busy"
	case errors.Is(err, hash.ErrStuck):
		return "Stuck"
	case errors.Is(err, hash.ErrClosed):
		return "Stopped"
	}
	return "Unreadable"
}
