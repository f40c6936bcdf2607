package journal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
)

// payload makes a record that tells its number and can be checked for alteration.
func payload(id uint64, rnd *rand.Rand) []byte {
	b := make([]byte, 8+rnd.IntN(200))
	if rnd.IntN(20) == 0 {
		b = make([]byte, 2000)
	}
	fill(b, id)
	return b
}

func fill(b []byte, id uint64) {
	binary.LittleEndian.PutUint64(b, id)
	for i := 8; i < len(b); i++ {
		b[i] = byte(id*31 + uint64(i)*7)
	}
}

// recordID returns a record's number, and fails when the record was altered.
func recordID(t *testing.T, b []byte) uint64 {
	t.Helper()
	if len(b) < 8 {
		t.Fatalf("a record of %d bytes was never appended", len(b))
	}
	id := binary.LittleEndian.Uint64(b)
	want := make([]byte, len(b))
	fill(want, id)
	if !bytes.Equal(b, want) {
		t.Fatalf("record %d was altered", id)
	}
	return id
}

// TestCrash kills the machine at a random operation, again and again, on a disk that also
// fails now and then, and checks after each boot that what was acknowledged is there once
// and in order, that nothing else is but what was appended, and that no damage is seen.
func TestCrash(t *testing.T) {
	rounds := uint64(400)
	if testing.Short() {
		rounds = 60
	}
	for seed := range rounds {
		crashRun(t, seed)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func crashRun(t *testing.T, seed uint64) {
	rnd := rand.New(rand.NewPCG(seed, 2))
	d := newDisk(seed)
	var (
		nextID   uint64
		acked    []uint64 // in order
		failed   = map[uint64]bool{}
		released Position
		byPos    = map[uint64]Position{}
	)
	for boot := 0; boot < 8; boot++ {
		d.failRate, d.opsLeft = 0, -1
		j, err := Open("", Options{SegmentSize: 1500, fs: d})
		if err != nil {
			t.Fatalf("boot %d: %v", boot, err)
		}
		checkAfterBoot(t, j, acked, failed, func(id uint64) bool { return byPos[id].Compare(released) <= 0 })
		if t.Failed() {
			return
		}
		d.mu.Lock()
		d.opsLeft = rnd.IntN(120)
		if rnd.IntN(2) == 0 {
			d.failRate = 0.08
		}
		d.mu.Unlock()
		for {
			var batch [][]byte
			first := nextID
			for range 1 + rnd.IntN(4) {
				batch = append(batch, payload(nextID, rnd))
				nextID++
			}
			pos, err := j.Append(batch...)
			for id := first; id < nextID; id++ {
				if err != nil {
					failed[id] = true
					continue
				}
				acked = append(acked, id)
				byPos[id] = pos
			}
			if errors.Is(err, errDead) {
				break
			}
			if err == nil && rnd.IntN(12) == 0 {
				released = pos
				if err := j.Release(pos); errors.Is(err, errDead) {
					break
				}
			}
		}
		d.mu.Lock()
		d.opsLeft = 0
		d.mu.Unlock()
		_ = j.Close()
		d = d.crash()
	}
}

func checkAfterBoot(t *testing.T, j *Journal, acked []uint64, failed map[uint64]bool, released func(uint64) bool) {
	t.Helper()
	r, err := j.Read(Position{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	seen := map[uint64]bool{}
	last := int64(-1)
	for {
		b, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		id := recordID(t, b)
		if int64(id) <= last {
			t.Errorf("record %d after %d", id, last)
		}
		last = int64(id)
		seen[id] = true
	}
	if j.Recovery().Missing != 0 {
		t.Errorf("%d segments reported missing", j.Recovery().Missing)
	}
	known := map[uint64]bool{}
	for _, id := range acked {
		known[id] = true
		if !seen[id] && !released(id) {
			t.Errorf("acknowledged record %d is lost", id)
		}
	}
	for id := range seen {
		if !known[id] && !failed[id] {
			t.Errorf("record %d was never appended", id)
		}
	}
}

func TestGroupCommitSharesSyncs(t *testing.T) {
	d := newDisk(1)
	j, err := Open("", Options{fs: d})
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	const writers, each = 32, 50
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			last := Position{}
			for i := range each {
				b := make([]byte, 40)
				fill(b, uint64(w*each+i))
				pos, err := j.Append(b)
				if err != nil {
					t.Error(err)
					return
				}
				if pos.Compare(last) <= 0 {
					t.Errorf("position %v after %v", pos, last)
				}
				last = pos
			}
		})
	}
	wg.Wait()
	r, _ := j.Read(Position{})
	seen := map[uint64]bool{}
	for {
		b, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		id := recordID(t, b)
		if seen[id] {
			t.Errorf("record %d twice", id)
		}
		seen[id] = true
	}
	if len(seen) != writers*each {
		t.Errorf("%d records read, want %d", len(seen), writers*each)
	}
	if d.syncs > writers*each {
		t.Errorf("%d syncs for %d appends", d.syncs, writers*each)
	}
	t.Logf("%d appends, %d syncs", writers*each, d.syncs)
}
