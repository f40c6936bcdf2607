package ingest_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/vedette-edr/vedette/server/alert"
	"github.com/vedette-edr/vedette/server/device"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/ingest"
	"github.com/vedette-edr/vedette/server/telemetry"
	"github.com/vedette-edr/vedette/wire"
	"github.com/vedette-edr/vedette/wire/wiretest"
)

// journal records what is asked of the parts around a pipeline, in order.
type journal struct {
	mu       sync.Mutex
	order    []string
	matchErr error
	raiseErr error
	keepErr  error
	offsets  []time.Duration
	contacts []device.Contact
	cloned   int
	rows     map[string][]telemetry.Row // by table
}

func (j *journal) note(s string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.order = append(j.order, s)
}

func (j *journal) Match(_ context.Context, b *telemetry.Batch) ([]*alert.Alert, error) {
	j.note("match")
	return []*alert.Alert{{ID: "da1_1", Tenant: b.Tenant}}, j.matchErr
}

func (j *journal) Raise(_ context.Context, as []*alert.Alert) ([]*alert.Alert, error) {
	j.note("raise")
	return as, j.raiseErr
}

func (j *journal) Append(_ context.Context, b *telemetry.Batch) (telemetry.Ack, error) {
	j.note("append")
	j.offsets = append(j.offsets, b.Offset)
	return telemetry.Committed, j.keepErr
}

func (j *journal) AppendRows(_ context.Context, _ ident.TenantID, table string, rows []telemetry.Row) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.rows == nil {
		j.rows = map[string][]telemetry.Row{}
	}
	j.rows[table] = append(j.rows[table], rows...)
	return nil
}

func (j *journal) Touch(_ context.Context, c []device.Contact) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.contacts = append(j.contacts, c...)
	return nil
}

func (j *journal) Cloned(context.Context, ident.TenantID, ident.DeviceID, uint64) error {
	j.cloned++
	return nil
}

var dev = &device.Device{ID: "00112233445566778899aabbccddeeff00112233", Tenant: "11111111-2222-3333-4444-555555555555", Incarnation: 1, Name: "d"}

func frame(t testing.TB, seq uint64) []byte {
	t.Helper()
	b, err := wire.EncodeBatch(wire.Header{Device: string(dev.ID), Incarnation: 1, Sequence: seq, FirstReport: 1, Created: time.Now()}, wiretest.Shell(seq, 3), nil)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func pipeline(j *journal) *ingest.Pipeline {
	return ingest.New(ingest.Config{Appender: j, Detector: j, Alerts: j, Devices: j})
}

func TestDetectionGoesBeforeTheCommit(t *testing.T) {
	j := &journal{}
	if _, err := pipeline(j).Push(t.Context(), dev, frame(t, 1), time.Now()); err != nil {
		t.Fatal(err)
	}
	if len(j.order) != 3 || j.order[0] != "match" {
		t.Errorf("the order is %v", j.order)
	}
}

func TestABatchIsAcknowledgedOnlyWhenAllOfItIsSafe(t *testing.T) {
	broken := errors.New("broken")
	for name, j := range map[string]*journal{
		"detection": {matchErr: broken}, "alerts": {raiseErr: broken}, "store": {keepErr: broken},
		"full": {keepErr: &errs.E{Kind: errs.Unavailable, Code: errs.StoreFull, Retry: time.Minute}},
	} {
		_, err := pipeline(j).Push(t.Context(), dev, frame(t, 1), time.Now())
		var e *errs.E
		if !errors.As(err, &e) || e.Kind != errs.Unavailable || e.Retry <= 0 {
			t.Errorf("%s: got %v", name, err)
		}
		if want := errs.ServiceDegraded; name != "full" && e.Code != want {
			t.Errorf("%s: code %s", name, e.Code)
		}
		if len(j.order) != 3 {
			t.Errorf("%s: only %v was tried", name, j.order)
		}
	}
}

func TestAConflictIsToldToTheDevices(t *testing.T) {
	j := &journal{keepErr: errs.New("x", errs.Conflict, errs.DeviceCloned, "another hash")}
	_, err := pipeline(j).Push(t.Context(), dev, frame(t, 1), time.Now())
	if !errs.Is(err, errs.Conflict) || j.cloned != 1 {
		t.Errorf("got %v, told %d times", err, j.cloned)
	}
}

func TestTheClockIsSmoothedAndFollowsAJump(t *testing.T) {
	j := &journal{}
	p := pipeline(j)
	push := func(seq uint64, behind time.Duration) time.Duration {
		if _, err := p.Push(t.Context(), dev, frame(t, seq), time.Now().Add(-behind)); err != nil {
			t.Fatal(err)
		}
		return j.offsets[len(j.offsets)-1]
	}
	near := func(got, want time.Duration) bool { return (got - want).Abs() < 150*time.Millisecond }
	if got := push(1, time.Hour); !near(got, time.Hour) {
		t.Errorf("the first measurement gives %v", got)
	}
	if got := push(2, time.Hour+800*time.Millisecond); !near(got, time.Hour+100*time.Millisecond) {
		t.Errorf("a slow network gives %v", got)
	}
	if got := push(3, -48*time.Hour); !near(got, -48*time.Hour) {
		t.Errorf("a clock that was set gives %v", got)
	}
}

func TestSignsOfLifeAreWrittenAtTheEndToo(t *testing.T) {
	j := &journal{}
	p := pipeline(j)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- p.Run(ctx) }()
	if _, err := p.Push(ctx, dev, frame(t, 1), time.Now()); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if len(j.contacts) != 1 || j.contacts[0].Device != dev.ID || j.contacts[0].Data.IsZero() {
		t.Errorf("contacts %+v", j.contacts)
	}
}

func BenchmarkPush(b *testing.B) {
	j := &journal{}
	p := ingest.New(ingest.Config{Appender: j, Alerts: j, Devices: j})
	f, err := wire.EncodeBatch(wire.Header{Device: string(dev.ID), Incarnation: 1, Sequence: 1, FirstReport: 1, Created: time.Now()}, wiretest.Shell(1, 500), nil)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := p.Push(b.Context(), dev, f, time.Now()); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N*500)/b.Elapsed().Seconds(), "events/s")
}
