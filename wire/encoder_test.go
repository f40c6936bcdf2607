package wire_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/vedette-edr/vedette/schema/event"
	"github.com/vedette-edr/vedette/wire"
	"github.com/vedette-edr/vedette/wire/wiretest"
)

// TestAnEncoderThatIsUsedAgainForgetsWhatWasBefore compares every frame of one encoder, after
// batches of every kind, failed and outsized ones among them, with that of a new one.
func TestAnEncoderThatIsUsedAgainForgetsWhatWasBefore(t *testing.T) {
	var x wire.Encoder
	huge := wiretest.Shell(9, 40)
	for i, e := range huge {
		p := *e.Initiating
		p.CommandLine = strings.Repeat(fmt.Sprint(i), 30_000)
		e.Initiating = &p
	}
	broken := append(wiretest.All(5), &event.Event{Table: 99})
	batches := [][]*event.Event{wiretest.All(1), wiretest.Shell(2, 700), broken, wiretest.Shell(3, 1), huge, wiretest.All(4), nil, wiretest.Shell(2, 700)}
	for i, events := range batches {
		for range 2 {
			h := header(uint64(i + 1))
			want, err := wire.EncodeBatch(h, events, wiretest.Gaps())
			got, gotErr := x.EncodeBatch(h, events, wiretest.Gaps())
			var bad *wire.EventError
			switch {
			case errors.As(err, &bad) && gotErr != nil && gotErr.Error() == err.Error():
			case err != nil || gotErr != nil:
				t.Fatalf("batch %d: %v, new: %v", i, gotErr, err)
			case !bytes.Equal(got, want):
				t.Errorf("batch %d differs from that of a new encoder", i)
			}
		}
	}
}

// BenchmarkEncoder is the encoding of a storm: one batch after the other.
func BenchmarkEncoder(b *testing.B) {
	for _, n := range []int{50, 500} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			events := wiretest.Shell(7, n)
			var x wire.Encoder
			b.ReportAllocs()
			for b.Loop() {
				if _, err := x.EncodeBatch(header(1), events, nil); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N*n)/b.Elapsed().Seconds(), "events/s")
		})
	}
}
