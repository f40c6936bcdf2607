package bus_test

import (
	"sync"
	"testing"

	"github.com/vedette-edr/vedette/server/bus"
)

func TestOrderAndDrops(t *testing.T) {
	var topic bus.Topic[int]
	fast, slow := topic.Subscribe(100), topic.Subscribe(3)
	for i := range 10 {
		topic.Publish(i)
	}
	fast.Close()
	slow.Close()
	slow.Close()
	topic.Publish(10)
	want := 0
	for e := range fast.Events() {
		if e != want {
			t.Fatalf("got %d, want %d", e, want)
		}
		want++
	}
	if want != 10 || fast.Dropped() != 0 {
		t.Errorf("%d events, %d dropped", want, fast.Dropped())
	}
	n := 0
	for e := range slow.Events() {
		if e != n {
			t.Errorf("got %d, want the oldest first", e)
		}
		n++
	}
	if n != 3 || slow.Dropped() != 7 {
		t.Errorf("slow: %d events, %d dropped; want 3 and 7", n, slow.Dropped())
	}
}

func TestNilTopic(t *testing.T) {
	var topic *bus.Topic[int]
	topic.Publish(1)
}

// TestManyAtOnce closes subscriptions while events are published; every event is either
// received or counted.
func TestManyAtOnce(t *testing.T) {
	const publishers, each = 4, 500
	var topic bus.Topic[int]
	steady := topic.Subscribe(16)
	received := make(chan uint64)
	go func() {
		var n uint64
		for range steady.Events() {
			n++
		}
		received <- n
	}()
	var wg sync.WaitGroup
	for range publishers {
		wg.Go(func() {
			for i := range each {
				topic.Publish(i)
			}
		})
		wg.Go(func() {
			for range each {
				topic.Subscribe(1).Close()
			}
		})
	}
	wg.Wait()
	steady.Close()
	if n := <-received; n+steady.Dropped() != publishers*each {
		t.Errorf("%d received, %d dropped, %d published", n, steady.Dropped(), publishers*each)
	}
}
