package spool_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/vedette-edr/vedette/agent/spool"
	"github.com/vedette-edr/vedette/wire"
)

// next takes the next batch and says how many events it has.
func next(t *testing.T, s *spool.Spool) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	b, err := s.Next(ctx)
	if err != nil {
		t.Fatal(err)
	}
	got, err := wire.DecodeBatch(b.Frame, wire.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return len(got.Events)
}

// TestUnderLoadEventsWaitForMoreCompany makes one big batch, after which the next events wait
// longer than the test may take, until there are enough of them.
func TestUnderLoadEventsWaitForMoreCompany(t *testing.T) {
	c := config(t.TempDir())
	c.Linger, c.LoadLinger, c.BatchEvents = time.Hour, time.Hour, 300
	s := open(t, c)
	emit := func(n int) {
		for i := range n {
			s.Emit(numbered(0, uint64(i), ""))
		}
	}
	emit(300)
	if n := next(t, s); n != 300 {
		t.Fatalf("the first batch has %d events", n)
	}
	emit(299)
	before := s.Stats().Spooled
	emit(1)
	if n := next(t, s); before != 300 || n != 300 {
		t.Errorf("%d were on disk before there was company; the second batch has %d events", before, n)
	}
}

func TestManyBytesGoWithoutWaiting(t *testing.T) {
	c := config(t.TempDir())
	c.Linger, c.LoadLinger = time.Hour, time.Hour
	s := open(t, c)
	s.Emit(numbered(0, 0, ""))
	pad := strings.Repeat("p", 60_000)
	for i := range 40 {
		s.Emit(numbered(0, uint64(i+1), pad))
	}
	// Without the bound on bytes all would wait for an hour.
	if n := next(t, s); n < 2 || n > 41 {
		t.Errorf("%d events in the first batch", n)
	}
}
