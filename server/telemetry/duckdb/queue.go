package duckdb

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/vedette-edr/vedette/server/ident"
)

// maxWaiting bounds the queries of one caller that wait.
const maxWaiting = 32

var errCrowded = errors.New("too many queries of this caller are waiting")

// party is on whose behalf something runs.
type party struct {
	tenant ident.TenantID
	caller string
}

// queue gives out places to run in, so that nobody can keep everybody else out. size
// places are for all; one more is for a caller who has none, and another one for a tenant
// that has none: however long the queries of one tenant take, another one's begins. When
// a place becomes free it goes to the tenant with the fewest, there to the caller with
// the fewest, there to who came first.
type queue struct {
	size int

	mu      sync.Mutex
	total   int
	tenants map[ident.TenantID]int
	parties map[party]int
	waiting []*ticket // in order of arrival
	closing *ticket   // who waits for the last one to leave, or nil
}

type ticket struct {
	party
	granted chan struct{} // closed when the place is taken
}

func newQueue(size int) *queue {
	return &queue{size: size, tenants: map[ident.TenantID]int{}, parties: map[party]int{}}
}

// enter waits for a place, which the caller gives back with leave.
func (q *queue) enter(ctx context.Context, p party) error {
	t := &ticket{p, make(chan struct{})}
	q.mu.Lock()
	mine := 0
	for _, w := range q.waiting {
		if w.party == p {
			mine++
		}
	}
	if mine >= maxWaiting {
		q.mu.Unlock()
		return errCrowded
	}
	q.waiting = append(q.waiting, t)
	q.grant()
	q.mu.Unlock()
	select {
	case <-t.granted:
		return nil
	case <-ctx.Done():
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if i := slices.Index(q.waiting, t); i >= 0 {
		q.waiting = slices.Delete(q.waiting, i, i+1)
	} else {
		q.free(p)
	}
	return ctx.Err()
}

func (q *queue) leave(p party) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.free(p)
}

func (q *queue) free(p party) {
	q.total--
	if q.tenants[p.tenant]--; q.tenants[p.tenant] == 0 {
		delete(q.tenants, p.tenant)
	}
	if q.parties[p]--; q.parties[p] == 0 {
		delete(q.parties, p)
	}
	q.grant()
}

// grant gives places to those whose turn it is.
func (q *queue) grant() {
	for {
		next := -1
		for i, t := range q.waiting {
			if q.admits(t.party) && (next < 0 || q.before(t.party, q.waiting[next].party)) {
				next = i
			}
		}
		if next < 0 {
			if q.closing != nil && q.total == 0 {
				close(q.closing.granted)
				q.closing = nil
			}
			return
		}
		t := q.waiting[next]
		q.waiting = slices.Delete(q.waiting, next, next+1)
		q.total++
		q.tenants[t.tenant]++
		q.parties[t.party]++
		close(t.granted)
	}
}

func (q *queue) admits(p party) bool {
	room := q.size
	if q.parties[p] == 0 {
		room++
	}
	if q.tenants[p.tenant] == 0 {
		room++
	}
	return q.total < room
}

func (q *queue) before(a, b party) bool {
	if x, y := q.tenants[a.tenant], q.tenants[b.tenant]; x != y {
		return x < y
	}
	return q.parties[a] < q.parties[b]
}

// most is how many places there can be at once.
func (q *queue) most() int { return q.size + 2 }

// close waits until everybody left. Who enters afterwards is let in, to find closed
// whatever the places were for.
func (q *queue) close() {
	q.mu.Lock()
	t := &ticket{granted: make(chan struct{})}
	q.closing = t
	q.grant()
	q.mu.Unlock()
	<-t.granted
}
