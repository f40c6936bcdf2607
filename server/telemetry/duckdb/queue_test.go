package duckdb

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/vedette-edr/vedette/server/ident"
)

// TestNobodyIsKeptOut has one tenant ask for far more than there is room for, and shows
// that others wait for none of it.
func TestNobodyIsKeptOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(2)
		ctx, cancel := context.WithCancel(t.Context())
		greedy := party{tenantA, "greedy"}
		entered := make(chan string, 100)
		enter := func(p party) {
			go func() {
				if q.enter(ctx, p) == nil {
					entered <- p.caller
				}
			}()
			synctest.Wait()
		}
		for range 10 {
			enter(greedy)
		}
		if len(entered) != 2 {
			t.Fatalf("%d of the greedy run, want 2", len(entered))
		}
		enter(party{tenantA, "colleague"})
		if len(entered) != 3 {
			t.Error("a caller of the same tenant waits")
		}
		enter(party{tenantB, "other"})
		if len(entered) != 4 {
			t.Error("another tenant waits")
		}
		enter(party{tenantB, "other"})
		if len(entered) != 4 {
			t.Error("there is room for everybody")
		}
		for len(entered) > 0 {
			<-entered
		}
		// Of two who wait, the tenant with fewer goes first, whoever came first.
		q.leave(party{tenantB, "other"})
		synctest.Wait()
		if first := <-entered; first != "other" {
			t.Errorf("%s goes first", first)
		}
		cancel()
		synctest.Wait()
		if len(q.waiting) != 0 {
			t.Errorf("%d wait although nobody is there any more", len(q.waiting))
		}
	})
}

func TestACallerWhoAsksTooMuch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(1)
		p := party{tenantA, "x"}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := q.enter(ctx, p); err != nil {
			t.Fatal(err)
		}
		for range maxWaiting {
			go func() { _ = q.enter(ctx, p) }()
		}
		synctest.Wait()
		if err := q.enter(ctx, p); !errors.Is(err, errCrowded) {
			t.Errorf("one more: %v", err)
		}
		if err := q.enter(ctx, party{tenantA, "y"}); err != nil {
			t.Errorf("another caller: %v", err)
		}
	})
}

// TestQueueKeepsItsBooks lets parties come and go at random: never more than there is
// room for, and nobody waits while there is room for them.
func TestQueueKeepsItsBooks(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		q := newQueue(rapid.IntRange(1, 4).Draw(rt, "size"))
		var inside []*ticket
		for range rapid.IntRange(1, 60).Draw(rt, "steps") {
			if rapid.Bool().Draw(rt, "comes") {
				p := party{rapid.SampledFrom([]ident.TenantID{tenantA, tenantB}).Draw(rt, "tenant"), rapid.SampledFrom([]string{"x", "y", "z"}).Draw(rt, "caller")}
				q.waiting = append(q.waiting, &ticket{p, make(chan struct{})})
				inside = append(inside, q.waiting[len(q.waiting)-1])
				q.grant()
			} else if len(inside) > 0 {
				i := rapid.IntRange(0, len(inside)-1).Draw(rt, "leaves")
				select {
				case <-inside[i].granted:
					q.leave(inside[i].party)
					inside = append(inside[:i:i], inside[i+1:]...)
				default:
				}
			}
			if q.total > q.most() || q.total < 0 || q.total < q.size && len(q.waiting) > 0 {
				rt.Fatalf("%d inside of %d, %d waiting", q.total, q.size, len(q.waiting))
			}
			sum := 0
			for _, n := range q.parties {
				sum += n
			}
			if sum != q.total {
				rt.Fatalf("%d inside, %d by party", q.total, sum)
			}
		}
	})
}
