package spool_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/vedette-edr/vedette/agent/sensor"
	"github.com/vedette-edr/vedette/agent/spool"
	"github.com/vedette-edr/vedette/schema/event"
	"github.com/vedette-edr/vedette/wire"
)

var _ sensor.Sink = (*spool.Spool)(nil)

const device = "00112233445566778899aabbccddeeff00112233"

func config(dir string) spool.Config {
	return spool.Config{Dir: dir, Device: device, Incarnation: 1}
}

func open(t testing.TB, c spool.Config) *spool.Spool {
	t.Helper()
	s, err := spool.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

type mark struct {
	Run int    `json:"run"`
	N   uint64 `json:"n"`
	Pad string `json:"pad,omitempty"`
}

func numbered(run int, n uint64, pad string) *event.Event {
	b, err := json.Marshal(mark{run, n, pad})
	if err != nil {
		panic(err)
	}
	return &event.Event{Table: event.DeviceEvents, Action: "Numbered", Time: time.Now(), Additional: string(b)}
}

// drained is what a spool gave out.
type drained struct {
	marks   []mark
	gaps    []event.Gap
	frames  map[uint64][]byte
	lastSeq uint64
}

// drain takes every batch that is on disk, and checks sequences and report ids.
func drain(t testing.TB, s *spool.Spool, ack bool) *drained {
	t.Helper()
	d := &drained{frames: map[uint64][]byte{}}
	var report int64
	for s.Stats().Batches > len(d.frames) || ack && s.Stats().Batches > 0 {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		b, err := s.Next(ctx)
		cancel()
		if err != nil {
			t.Fatal(err)
		}
		got, err := wire.DecodeBatch(b.Frame, wire.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		if d.lastSeq != 0 && got.Sequence <= d.lastSeq || got.Sequence != b.Sequence {
			t.Fatalf("sequence %d (%d) after %d", got.Sequence, b.Sequence, d.lastSeq)
		}
		if got.FirstReport < report {
			t.Fatalf("report id %d after %d", got.FirstReport, report)
		}
		d.lastSeq, report = got.Sequence, got.FirstReport+int64(len(got.Events))
		d.frames[b.Sequence] = b.Frame
		for _, e := range got.Events {
			var m mark
			if err := json.Unmarshal([]byte(e.Additional), &m); err != nil {
				t.Fatal(err)
			}
			m.Pad = ""
			d.marks = append(d.marks, m)
		}
		d.gaps = append(d.gaps, got.Gaps...)
		if ack {
			s.Ack(b)
		}
	}
	return d
}

func (d *drained) lost(source, reason string) (n uint64) {
	for _, g := range d.gaps {
		if g.Source == source && strings.Contains(g.Reason, reason) {
			n += g.Count
		}
	}
	return n
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within 20 s", what)
		}
	}
}

func TestWhatWasEmittedIsDeliveredOnceAndInOrder(t *testing.T) {
	s := open(t, config(t.TempDir()))
	const n = 3000
	for i := range n {
		s.Emit(numbered(0, uint64(i), ""))
	}
	eventually(t, "all on disk", func() bool { return s.Stats().Spooled == n })
	d := drain(t, s, true)
	if len(d.marks) != n || len(d.gaps) != 0 {
		t.Fatalf("%d events and gaps %v", len(d.marks), d.gaps)
	}
	for i, m := range d.marks {
		if m.N != uint64(i) {
			t.Fatalf("event %d stands at %d", m.N, i)
		}
	}
}

func TestAnUnacknowledgedBatchComesAgainWithTheSameBytes(t *testing.T) {
	c := config(t.TempDir())
	s := open(t, c)
	for i := range 50 {
		s.Emit(numbered(0, uint64(i), ""))
		if i%10 == 0 {
			time.Sleep(20 * time.Millisecond)
		}
	}
	eventually(t, "all on disk", func() bool { return s.Stats().Spooled == 50 })
	first := drain(t, s, false)
	if len(first.frames) < 2 {
		t.Fatalf("%d batches are too few for this test", len(first.frames))
	}
	s.Rewind()
	again := drain(t, s, false)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, c)
	eventually(t, "the stop on record", func() bool { return s.Stats().Batches > len(first.frames) })
	reopened := drain(t, s, false)
	for seq, frame := range first.frames {
		if !bytes.Equal(frame, again.frames[seq]) || !bytes.Equal(frame, reopened.frames[seq]) {
			t.Errorf("batch %d changed", seq)
		}
	}
	if n := reopened.lastSeq; n != first.lastSeq+1 {
		t.Errorf("the next batch has sequence %d after %d", n, first.lastSeq)
	}
	if len(reopened.gaps) != 1 || reopened.gaps[0].Reason != "the agent was stopped" {
		t.Errorf("gaps %v", reopened.gaps)
	}
}

func TestAcknowledgementsInAnyOrderHoldOverARestart(t *testing.T) {
	c := config(t.TempDir())
	c.BatchEvents = 1
	s := open(t, c)
	for i := range 6 {
		s.Emit(numbered(0, uint64(i), ""))
	}
	eventually(t, "all on disk", func() bool { return s.Stats().Batches == 6 })
	var bs []*spool.Batch
	for range 6 {
		b, err := s.Next(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		bs = append(bs, b)
	}
	for _, i := range []int{3, 0, 1} {
		s.Ack(bs[i])
	}
	if n := s.Stats().Batches; n != 4 {
		t.Errorf("%d batches are unacknowledged before the restart", n)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, c)
	b, err := s.Next(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if b.Sequence != 3 || !bytes.Equal(b.Frame, bs[2].Frame) {
		t.Errorf("the first batch after the restart has sequence %d", b.Sequence)
	}
}

func TestAFullSpoolDropsTheOldestAndCountsThem(t *testing.T) {
	c := config(t.TempDir())
	c.Limit, c.BatchEvents = 2<<20, 20
	s := open(t, c)
	const n = 6000
	pad := func(i int) string { // does not compress: different in each event
		r := strings.Builder{}
		for j := range 40 {
			fmt.Fprintf(&r, "%016x", (uint64(i)*1000003+uint64(j)*7919)*0x9e3779b97f4a7c15)
		}
		return r.String()
	}
	for i := range n {
		s.Emit(numbered(0, uint64(i), pad(i)))
		if i%1000 == 999 {
			eventually(t, "on disk", func() bool { return s.Stats().Spooled == uint64(i+1) })
		}
	}
	eventually(t, "within the limit", func() bool { return s.Stats().Bytes <= c.Limit })
	s.Lost(event.Gap{Source: "kernel:exec", Reason: "the ring was full", Count: 5})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, c)
	before := s.Stats().Batches
	s.Lost(event.Gap{Source: "last", Reason: "to see the one before on disk"})
	eventually(t, "the gaps on disk", func() bool { return s.Stats().Batches > before })
	d := drain(t, s, true)
	dropped := d.lost("spool", "dropped")
	if len(d.marks) == n || dropped == 0 {
		t.Fatal("nothing was dropped; the test proves nothing")
	}
	if uint64(len(d.marks))+dropped != n {
		t.Errorf("%d delivered and %d counted as dropped of %d", len(d.marks), dropped, n)
	}
	if first := d.marks[0].N; first != dropped {
		t.Errorf("the oldest kept is %d, not %d", first, dropped)
	}
	if got := d.lost("kernel:exec", ""); got != 5 {
		t.Errorf("the kernel's loss is %d", got)
	}
}

func TestMalformedEventsAreCountedAndTheRestDelivered(t *testing.T) {
	s := open(t, config(t.TempDir()))
	for i := range 10 {
		e := numbered(0, uint64(i), "")
		if i%3 == 1 {
			e.Table = 0
		}
		s.Emit(e)
	}
	eventually(t, "all on disk", func() bool { return s.Stats().Spooled == 7 && s.Stats().Dropped == 3 })
	s.Lost(event.Gap{Source: "last", Reason: "to see the one before on disk"})
	n := s.Stats().Batches
	eventually(t, "the gaps on disk", func() bool { return s.Stats().Batches > n })
	if d := drain(t, s, true); len(d.marks) != 7 || d.lost("spool", "malformed") != 3 {
		t.Errorf("%d events, gaps %v", len(d.marks), d.gaps)
	}
}

func TestANewIncarnationSendsWhatTheOldOneLeft(t *testing.T) {
	c := config(t.TempDir())
	s := open(t, c)
	for i := range 40 {
		s.Emit(numbered(0, uint64(i), ""))
		if i == 20 {
			eventually(t, "half on disk", func() bool { return s.Stats().Spooled == 21 })
		}
	}
	eventually(t, "all on disk", func() bool { return s.Stats().Spooled == 40 })
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	c.Incarnation = 2
	s = open(t, c)
	s.Emit(numbered(1, 0, ""))
	eventually(t, "the new one on disk", func() bool { return s.Stats().Spooled == 1 })
	d := drain(t, s, false)
	if len(d.marks) != 41 || d.marks[40].Run != 1 {
		t.Fatalf("%d events", len(d.marks))
	}
	seqs := uint64(len(d.frames))
	if d.lastSeq != seqs {
		t.Errorf("the sequences do not run from 1 to %d but to %d", seqs, d.lastSeq)
	}
	for seq, f := range d.frames {
		if b, err := wire.DecodeBatch(f, wire.Limits{}); err != nil || b.Incarnation != 2 || b.Device != device {
			t.Errorf("batch %d is of %s/%d: %v", seq, b.Device, b.Incarnation, err)
		}
	}
	if m, _ := os.ReadDir(c.Dir); len(m) != 4 {
		t.Errorf("the spool's directory has %d entries", len(m))
	}
}

func TestRebindWhileEventsComeInLosesNothing(t *testing.T) {
	s := open(t, config(t.TempDir()))
	stop := make(chan struct{})
	emitted := make(chan uint64)
	go func() {
		n := uint64(0)
		for {
			select {
			case <-stop:
				emitted <- n
				return
			default:
				s.Emit(numbered(0, n, ""))
				n++
				time.Sleep(200 * time.Microsecond)
			}
		}
	}()
	for i := uint64(2); i < 5; i++ {
		before := s.Stats().Spooled
		eventually(t, "some on disk", func() bool { return s.Stats().Spooled > before+50 })
		if err := s.Rebind(device, i); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	n := <-emitted
	eventually(t, "all on disk", func() bool { return s.Stats().Spooled == n })
	d := drain(t, s, true)
	for i, m := range d.marks {
		if m.N != uint64(i) {
			t.Fatalf("event %d stands at %d", m.N, i)
		}
	}
	if uint64(len(d.marks)) != n || len(d.gaps) != 0 {
		t.Errorf("%d of %d events, gaps %v", len(d.marks), n, d.gaps)
	}
	for seq, f := range d.frames {
		if b, err := wire.DecodeBatch(f, wire.Limits{}); err != nil || b.Incarnation != 4 {
			t.Errorf("batch %d is of incarnation %d: %v", seq, b.Incarnation, err)
		}
	}
}

func TestABatchSetAsideIsAGap(t *testing.T) {
	s := open(t, config(t.TempDir()))
	for i := range 5 {
		s.Emit(numbered(0, uint64(i), ""))
	}
	eventually(t, "on disk", func() bool { return s.Stats().Spooled == 5 })
	var aside uint64
	for aside < 5 {
		b, err := s.Next(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if err := s.SetAside(b, "the server refused it"); err != nil {
			t.Fatal(err)
		}
		aside += uint64(b.Events)
	}
	eventually(t, "the gap on disk", func() bool { return s.Stats().Batches > 0 })
	if d := drain(t, s, true); len(d.marks) != 0 || d.lost("link", "refused") != 5 {
		t.Errorf("%d events, gaps %v", len(d.marks), d.gaps)
	}
}

func TestResultsAreKeptUntilTheServerHasThem(t *testing.T) {
	c := config(t.TempDir())
	s := open(t, c)
	for i := range 3 {
		if err := s.PutResult(fmt.Appendf(nil, "result %d", i)); err != nil {
			t.Fatal(err)
		}
	}
	r, err := s.NextResult(context.Background())
	if err != nil || string(r.Data) != "result 0" {
		t.Fatalf("%q, %v", r.Data, err)
	}
	s.AckResult(r)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, c)
	for i := 1; i < 3; i++ {
		r, err := s.NextResult(context.Background())
		if err != nil || string(r.Data) != fmt.Sprintf("result %d", i) {
			t.Fatalf("%q, %v", r.Data, err)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if r, err := s.NextResult(ctx); err == nil {
		t.Errorf("there is a fourth: %q", r.Data)
	}
}

func TestALoneEventIsOnDiskSoon(t *testing.T) {
	s := open(t, config(t.TempDir()))
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	s.Emit(numbered(0, 0, ""))
	b, err := s.Next(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("after %v", time.Since(b.Created))
}
