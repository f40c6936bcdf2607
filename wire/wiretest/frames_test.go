package wiretest_test

import (
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/vedette-edr/vedette/schema/event"
	"github.com/vedette-edr/vedette/wire"
	"github.com/vedette-edr/vedette/wire/wiretest"
)

var record = flag.Bool("record", false, "record frames that are not there yet; recorded ones never change")

func recorded() map[string]*wire.Batch {
	head := func(seq uint64) wire.Header {
		return wire.Header{Device: "89abcdef0123456789abcdef0123456789abcdef", Incarnation: 2, Sequence: seq,
			FirstReport: int64(seq * 100), Created: wiretest.Start.Add(time.Hour)}
	}
	return map[string]*wire.Batch{
		"vdb1-all":   {Header: head(1), Events: wiretest.All(11), Gaps: wiretest.Gaps()},
		"vdb1-one":   {Header: head(2), Events: wiretest.Shell(12, 1)},
		"vdb1-shell": {Header: head(3), Events: wiretest.Shell(13, 200)},
		"vdb1-gaps":  {Header: head(4), Gaps: wiretest.Gaps()},
	}
}

func TestRecordedFramesDecodeForEver(t *testing.T) {
	for name, want := range recorded() {
		file := filepath.Join("testdata", name+".frame")
		frame, err := os.ReadFile(file)
		if os.IsNotExist(err) && *record {
			if frame, err = wire.EncodeBatch(want.Header, want.Events, want.Gaps); err == nil {
				err = os.WriteFile(file, frame, 0o644)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
		got, err := wire.DecodeBatch(frame, wire.Limits{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if d := cmp.Diff(want, got, cmpopts.EquateEmpty()); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

// FuzzDecodeBatch gives the decoder any content in a sound frame and any frame: it never
// panics, and what it accepts comes back the same after another round.
func FuzzDecodeBatch(f *testing.F) {
	for _, b := range recorded() {
		if len(b.Events) > 20 {
			b.Events = b.Events[:20]
		}
		frame, err := wire.EncodeBatch(b.Header, b.Events, b.Gaps)
		if err != nil {
			f.Fatal(err)
		}
		content, err := wire.Unframe(frame, wire.DefaultLimits().Decoded)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(content)
		f.Add(frame)
	}
	small := wire.Limits{Frame: 1 << 20, Decoded: 1 << 20, Events: 1000, Gaps: 100, Text: 64 << 10}
	f.Fuzz(func(t *testing.T, in []byte) {
		if len(in) > 64<<10 {
			return
		}
		_, _ = wire.DecodeBatch(in, small)
		frame, err := wire.Frame(in)
		if err != nil {
			t.Fatal(err)
		}
		b, err := wire.DecodeBatch(frame, small)
		if err != nil {
			return
		}
		again, err := wire.EncodeBatch(b.Header, b.Events, b.Gaps)
		if err != nil {
			t.Fatalf("what was decoded cannot be encoded: %v", err)
		}
		c, err := wire.DecodeBatch(again, wire.Limits{})
		if err != nil {
			t.Fatalf("what was encoded cannot be decoded: %v", err)
		}
		if d := cmp.Diff(b, c, cmpopts.EquateEmpty()); d != "" {
			t.Fatal(d)
		}
	})
}

func TestEveryTruncationAndFlipIsAnErrorOrAValidBatch(t *testing.T) {
	b := recorded()["vdb1-all"]
	frame, err := wire.EncodeBatch(b.Header, b.Events, b.Gaps)
	if err != nil {
		t.Fatal(err)
	}
	for n := range frame {
		if _, err := wire.DecodeBatch(frame[:n], wire.Limits{}); err == nil {
			t.Fatalf("the first %d of %d bytes were accepted", n, len(frame))
		}
	}
	content, err := wire.Unframe(frame, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	for n := range content {
		for _, bit := range []int{n % 8, (5*n + 3) % 8} {
			spoiled := append([]byte(nil), content...)
			spoiled[n] ^= 1 << bit
			f, err := wire.Frame(spoiled)
			if err != nil {
				t.Fatal(err)
			}
			got, err := wire.DecodeBatch(f, wire.Limits{})
			if err != nil {
				continue
			}
			for _, e := range got.Events {
				if why := wire.CheckEvent(e); why != "" {
					t.Fatalf("byte %d bit %d: accepted an event that %s", n, bit, why)
				}
			}
		}
	}
}

func TestABombIsRefusedBeforeItUnfolds(t *testing.T) {
	frame, err := wire.Frame(make([]byte, 64<<20))
	if err != nil {
		t.Fatal(err)
	}
	if len(frame) > 64<<10 {
		t.Fatalf("the bomb is %d bytes", len(frame))
	}
	if _, err := wire.DecodeBatch(frame, wire.Limits{}); err == nil {
		t.Fatal("accepted")
	}
	// The same bomb, saying that it holds a hundred bytes.
	lying := append([]byte("VDB1"), 100)
	lying = append(lying, frame[4+4:]...)
	allocs := testing.AllocsPerRun(1, func() {
		if _, err := wire.DecodeBatch(lying, wire.Limits{}); err == nil {
			t.Fatal("accepted")
		}
	})
	if allocs > 1000 {
		t.Errorf("%v allocations", allocs)
	}
}

func TestShellIsTheSameEveryTime(t *testing.T) {
	if d := cmp.Diff(wiretest.Shell(1, 50), wiretest.Shell(1, 50)); d != "" {
		t.Error(d)
	}
	for _, e := range append(wiretest.All(1), wiretest.Shell(1, 50)...) {
		if why := wire.CheckEvent(e); why != "" {
			t.Errorf("%s: %s", e.Action, why)
		}
	}
	seen := map[event.Table]bool{}
	for _, e := range wiretest.All(1) {
		seen[e.Table] = true
	}
	if len(seen) != 7 {
		t.Errorf("All has %d tables", len(seen))
	}
}
