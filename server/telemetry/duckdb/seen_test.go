package duckdb

import (
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/vedette-edr/vedette/schema/event"
	"github.com/vedette-edr/vedette/server/telemetry"
)

// TestSeenAgainstMap compares with a map that forgets nothing, through encoding and back.
func TestSeenAgainstMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, model := &seen{}, map[uint64]uint64{}
		newest := uint64(0)
		for range rapid.IntRange(1, 300).Draw(t, "steps") {
			seq := newest + rapid.Uint64Range(1, 3).Draw(t, "ahead")
			if rapid.IntRange(0, 3).Draw(t, "old") == 0 {
				seq = rapid.Uint64Range(1, max(1, newest)).Draw(t, "seq")
			}
			if rapid.IntRange(0, 40).Draw(t, "jump") == 0 {
				seq = newest + hashWindow*2
			}
			hash := rapid.Uint64Range(0, 2).Draw(t, "hash")
			want := fresh
			if h, ok := model[seq]; ok {
				want = duplicate
				if h != hash && newest-seq < hashWindow {
					want = conflict
				}
			}
			if got := s.lookup(seq, hash); got != want {
				t.Fatalf("lookup(%d, %d) = %v, want %v (newest %d)", seq, hash, got, want, newest)
			}
			if want == fresh {
				s.add(seq, hash)
				model[seq] = hash
				newest = max(newest, seq)
			}
			if rapid.IntRange(0, 20).Draw(t, "store") == 0 {
				var err error
				if s, err = decodeSeen(s.encode()); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}

func TestSeenIsBounded(t *testing.T) {
	s := &seen{}
	for seq := uint64(2); seq < 4*maxSpans; seq += 2 {
		s.add(seq, 1)
	}
	if len(s.spans) > maxSpans {
		t.Errorf("%d spans", len(s.spans))
	}
	if v := s.lookup(3, 1); v != closed {
		t.Errorf("a hole of long ago is %v, want closed", v)
	}
	if v := s.lookup(4*maxSpans-3, 1); v != fresh {
		t.Errorf("a new hole is %v, want fresh", v)
	}
}

func TestRecordsRoundTrip(t *testing.T) {
	b := makeBatch(tenantA, 3, 9, 2)
	b.Offset, b.Received = -5, event.FromTicks(event.Ticks(b.Received))
	got, err := decodeBatch(encodeBatch(b))
	if err != nil {
		t.Fatal(err)
	}
	b.Events = nil
	if diff := cmp.Diff(b, got); diff != "" {
		t.Errorf("batch (-want +got):\n%s", diff)
	}
	rows := []telemetry.Row{{"A": event.Str("ü"), "B": event.Num(-7), "C": event.Value{}}, {"D": event.Flag(true), "E": event.At(b.Received)}}
	rec, err := decodeRows(encodeRows(tenantB, "T", rows))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(rows, rec.rows); diff != "" || rec.tenant != tenantB || rec.table != "T" {
		t.Errorf("rows of %s %s (-want +got):\n%s", rec.tenant, rec.table, diff)
	}
}

// TestRecordsMutated decodes damaged records: any error will do, but no panic.
func TestRecordsMutated(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 1))
	originals := [][]byte{
		encodeBatch(makeBatch(tenantA, 3, 9, 2)),
		encodeRows(tenantB, "T", []telemetry.Row{{"A": event.Str("text"), "B": event.Num(-7)}}),
	}
	s := &Store{cfg: Config{Decode: decodeLoad}}
	for range 20_000 {
		b := append([]byte(nil), originals[rnd.IntN(2)]...)
		for range 1 + rnd.IntN(3) {
			b[rnd.IntN(min(len(b), 120))] = byte(rnd.Uint32())
		}
		_, _ = s.decodeWork(b[:rnd.IntN(len(b)+1)])
	}
}
