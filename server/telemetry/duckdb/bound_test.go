package duckdb

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/vedette-edr/vedette/kql"
	"github.com/vedette-edr/vedette/kql/types"
	"github.com/vedette-edr/vedette/schema/event"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/telemetry"
)

// A merge sorts in the memory of one worker: a busy tenant's day must not be one merge
// that fails for ever.
func TestMergesAreBounded(t *testing.T) {
	s := openStore(t, testConfig(t.TempDir()))
	p := place{tenantA, "DeviceProcessEvents"}
	var fake []*segment
	for i := range 40 {
		fake = append(fake, &segment{id: int64(1000 + i), tenant: tenantA, table: p.table, rows: 60_000, bytes: 1 << 20})
	}
	fake[7].rows, fake[20].bytes = maxMergeRows+1, maxMergeBytes+1
	s.mu.Lock()
	s.files[p] = fake
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.files, p)
		s.mu.Unlock()
	}()
	now, next, total := tickDuration(48*levels[2]), int64(5000), 0
	for round := 0; ; round++ {
		if round > 100 {
			t.Fatal("merging finds no end")
		}
		list, level := s.dueMerge(now, nil)
		if list == nil {
			break
		}
		merged := &segment{id: next, tenant: tenantA, table: p.table, level: level}
		for _, g := range list {
			merged.rows, merged.bytes = merged.rows+g.rows, merged.bytes+g.bytes
		}
		if len(list) < 2 || merged.rows > maxMergeRows || merged.bytes > maxMergeBytes {
			t.Fatalf("a merge of %d segments, %d rows, %d bytes", len(list), merged.rows, merged.bytes)
		}
		next, total = next+1, total+1
		s.publish([]*segment{merged}, list)
	}
	if total == 0 || len(s.files[p]) > 12 {
		t.Errorf("%d merges left %d segments", total, len(s.files[p]))
	}
}

// A clock that leaps ahead must not empty the store before anybody can see it.
func TestAClockThatLeapsAheadCostsLittle(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	cfg := testConfig(t.TempDir())
	cfg.Clock = func() time.Time { return now }
	cfg.Retention = 30 * 24 * time.Hour
	s := openStore(t, cfg)
	for day := range uint64(10) {
		b := makeBatch(tenantA, 1, day+1, 1)
		b.Received = now.Add(time.Duration(day-10) * 24 * time.Hour)
		mustAppend(t, s, b)
		cutAll(t, s)
	}
	leap := event.Ticks(now.Add(20 * 365 * 24 * time.Hour))
	if err := s.retire(leap); err != nil {
		t.Fatal(err)
	}
	if n := s.Status().Segments; n != 9 {
		t.Errorf("%d of 10 days are left after one pass", n)
	}
	// A server that was off for so long still gets there.
	for range 9 {
		if err := s.retire(leap); err != nil {
			t.Fatal(err)
		}
	}
	if n := s.Status().Segments; n != 0 {
		t.Errorf("%d segments are left in the end", n)
	}
}

// What a stream commits while its state is being folded belongs to the next fold.
func TestWhatComesDuringAFoldIsInTheNext(t *testing.T) {
	s := openStore(t, testConfig(t.TempDir()))
	mustAppend(t, s, makeBatch(tenantA, 1, 1, 1))
	cutAll(t, s)
	s.manifestMu.Lock()
	s.manifest.cuts = foldAfter
	s.manifestMu.Unlock()
	mustAppend(t, s, makeBatch(tenantA, 2, 1, 1))
	cutAll(t, s) // folds both streams
	k := streamOf(makeBatch(tenantA, 1, 2, 1))
	if left := s.dirtyStreams(); len(left) != 0 {
		t.Errorf("%d streams are dirty after a fold", len(left))
	}
	s.soil(map[stream][]byte{k: nil})
	if first := s.dirtyStreams(); first[k] == nil {
		t.Error("a fold that failed left the stream clean")
	}
	mustAppend(t, s, makeBatch(tenantA, 1, 2, 1))
	if second := s.dirtyStreams(); second[k] == nil {
		t.Error("a batch that came after the stream was encoded is in no fold")
	}
}

func TestWhatIsTooMuchIsSaidClearly(t *testing.T) {
	s := openStore(t, testConfig(t.TempDir()))
	huge := "let x = strrep(strrep('a', 1024), 1000); print " + strings.Repeat("strcat(x, tostring(rand())), ", 40) + "1"
	for text, want := range map[string]struct {
		kind errs.Kind
		text string
	}{
		"range x from 1 to 1000000000000 step 1 | count":                        {errs.Invalid, "more than"},
		`externaldata(a: string)["https://169.254.169.254/latest"]`:             {errs.Unsupported, "externaldata is not available"},
		`externaldata(a: string)[@"/etc/passwd"] with (format="txt") | take 10`: {errs.Unsupported, "externaldata is not available"},
		huge: {errs.Limited, textSize},
	} {
		q, err := kql.Compile(text, catalog{}, kql.Options{Now: types.UnixEpochTicks})
		if err != nil {
			t.Fatalf("%.80s: %v", text, err)
		}
		_, err = telemetry.Collect(context.Background(), s, &telemetry.Query{Tenant: tenantA, Plan: q.Root})
		if !errs.Is(err, want.kind) || !strings.Contains(err.Error(), want.text) {
			t.Errorf("%.80s: got %v, want %v with %q", text, err, want.kind, want.text)
		}
	}
}
