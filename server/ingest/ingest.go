// Package ingest is the way of a batch from the wire into the telemetry store: decode and
// validate, stamp with device, tenant and clock offset, detect, append, acknowledge.
//
// It knows nothing of connections (package gateway) nor of how rows are kept (package
// telemetry). The invariants: a batch is acknowledged only after both its events and the
// alerts found in them are on stable storage; the two are written side by side, so that
// an alert does not wait for the telemetry. A batch that comes again is examined again,
// because the server may have ended between the two the first time; that doubles nothing.
// Every batch that is refused is counted under the reason. Start at Pipeline.Push.
package ingest

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/vedette-edr/vedette/schema/event"
	"github.com/vedette-edr/vedette/server/alert"
	"github.com/vedette-edr/vedette/server/detect"
	"github.com/vedette-edr/vedette/server/device"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/telemetry"
	"github.com/vedette-edr/vedette/wire"
)

// Alerts keeps the alerts that detection found; those that are known are passed over.
type Alerts interface {
	Raise(ctx context.Context, alerts []*alert.Alert) ([]*alert.Alert, error)
}

// Devices is what ingest tells the devices' Service.
type Devices interface {
	Touch(ctx context.Context, contacts []device.Contact) error
	Cloned(ctx context.Context, tenant ident.TenantID, id ident.DeviceID, incarnation uint64) error
}

// Groups names the device groups.
type Groups interface {
	Label(tenant ident.TenantID, id int64) string
}

// Config is what a Pipeline needs. Members marked so may be left out.
type Config struct {
	Appender telemetry.Appender
	Detector detect.Detector
	Alerts   Alerts
	Devices  Devices
	Groups   Groups                // nil: rows name no device group
	Metrics  prometheus.Registerer // nil for none
	Clock    func() time.Time      // nil for time.Now
	Limits   wire.Limits           // tighter than the format's own; the zero value is those
	InFlight int                   // batches worked on at a time; 0 for 256
}

// storeRetry is when a device tries again after the store could not take a batch and did
// not say when.
const storeRetry = 5 * time.Second

// touchEvery is how often signs of life are written; they are many and small.
const touchEvery = 2 * time.Second

// Pipeline takes batches in. Its methods are safe for concurrent use; batches of one
// device are worked on one after the other.
type Pipeline struct {
	cfg     Config
	slots   chan struct{}
	metrics *metrics

	mu       sync.Mutex
	devices  map[ident.DeviceID]*lane
	contacts map[ident.DeviceID]device.Contact
}

// lane keeps the batches of one device apart and in order, and holds its clock.
type lane struct {
	turn   sync.Mutex
	clock  clock // guarded by Pipeline.mu
	within int   // batches in the lane; guarded by Pipeline.mu
	used   time.Time
}

// New returns a pipeline. Run has to be running for signs of life to be kept.
func New(c Config) *Pipeline {
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.InFlight <= 0 {
		c.InFlight = 256
	}
	if c.Detector == nil {
		c.Detector = detect.All(nil)
	}
	return &Pipeline{cfg: c, slots: make(chan struct{}, c.InFlight), metrics: newMetrics(c.Metrics),
		devices: map[ident.DeviceID]*lane{}, contacts: map[ident.DeviceID]device.Contact{}}
}

// Push takes one frame of device d, which sent it at the time sent by its own clock. It
// returns after the batch and its alerts are on stable storage. Errors: errs.Invalid with
// code BatchMalformed (never send it again), errs.Denied with BatchForeign, errs.Conflict
// with DeviceCloned, errs.Unavailable with StoreFull or ServiceDegraded and a Retry (send
// it again).
func (p *Pipeline) Push(ctx context.Context, d *device.Device, frame []byte, sent time.Time) (telemetry.Ack, error) {
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	case <-ctx.Done():
		return 0, errs.Wrap("ingest.Push", ctx.Err())
	}
	ack, err := p.push(ctx, d, frame, sent)
	p.metrics.count(ack, err)
	return ack, err
}

func (p *Pipeline) push(ctx context.Context, d *device.Device, frame []byte, sent time.Time) (telemetry.Ack, error) {
	const op = "ingest.Push"
	received := p.cfg.Clock()
	b, err := wire.DecodeBatch(frame, p.cfg.Limits)
	if err != nil {
		return 0, &errs.E{Op: op, Kind: errs.Invalid, Code: errs.BatchMalformed, Detail: detail(err), Err: err}
	}
	if b.Device != string(d.ID) || b.Incarnation != d.Incarnation {
		return 0, errs.New(op, errs.Denied, errs.BatchForeign, "the batch is of device %s, incarnation %d", b.Device, b.Incarnation)
	}
	l := p.enter(d)
	defer p.leave(l)
	l.turn.Lock()
	defer l.turn.Unlock()
	tb := &telemetry.Batch{
		Tenant: d.Tenant, Device: d.ID, DeviceName: d.Name, Incarnation: b.Incarnation, Sequence: b.Sequence,
		Hash: wire.Hash(frame), FirstReport: b.FirstReport, Offset: p.measure(l, sent, received),
		Received: received, Events: b.Events, Gaps: b.Gaps, Raw: frame,
	}
	ack, err := p.keep(ctx, tb)
	if err != nil {
		return 0, p.refused(ctx, d, err)
	}
	p.metrics.kept(ack, tb, p.cfg.Clock().Sub(received))
	p.note(d, received, tb.Offset)
	return ack, nil
}

// keep detects, and then writes alerts and telemetry side by side.
func (p *Pipeline) keep(ctx context.Context, b *telemetry.Batch) (telemetry.Ack, error) {
	start := time.Now()
	found, matchErr := p.cfg.Detector.Match(ctx, b)
	p.metrics.detect.Observe(time.Since(start).Seconds())
	var ack telemetry.Ack
	g, gctx := errgroup.WithContext(ctx)
	if len(found) > 0 {
		g.Go(func() error {
			// Not the group's context: an alert that was found is worth keeping even when
			// the telemetry cannot be kept.
			raised, err := p.cfg.Alerts.Raise(ctx, found)
			p.metrics.alerts.Add(float64(len(raised)))
			return errs.Wrap("ingest.alerts", err)
		})
	}
	g.Go(func() error {
		start := time.Now()
		var err error
		ack, err = p.cfg.Appender.Append(gctx, b)
		p.metrics.append.Observe(time.Since(start).Seconds())
		return errs.Wrap("ingest.append", err)
	})
	err := g.Wait()
	if err == nil && matchErr != nil {
		err = &errs.E{Op: "ingest.detect", Kind: errs.Unavailable, Code: errs.ServiceDegraded, Detail: "detection failed", Err: matchErr}
	}
	return ack, err
}

// refused gives the error that the device reads, after a failure to keep its batch.
func (p *Pipeline) refused(ctx context.Context, d *device.Device, err error) error {
	var e *errs.E
	if !errors.As(err, &e) {
		e = &errs.E{Kind: errs.Unavailable, Code: errs.ServiceDegraded, Detail: "the batch could not be kept", Err: err}
	}
	out := *e
	switch {
	case out.Code == errs.DeviceCloned:
		if err := p.cfg.Devices.Cloned(ctx, d.Tenant, d.ID, d.Incarnation); err != nil {
			return errs.Wrap("ingest.cloned", err)
		}
		return &out
	case out.Kind == errs.Internal, out.Kind == errs.Timeout:
		// Whatever went wrong, the batch is good: the device keeps it and tries again.
		out.Kind, out.Code, out.Detail, out.Err = errs.Unavailable, errs.ServiceDegraded, "the batch could not be kept", err
	}
	if out.Retry == 0 {
		out.Retry = storeRetry
	}
	return &out
}

// Decode turns the bytes that a store kept of a batch into its events and gaps again. The
// batch was accepted once, so the format alone bounds it.
func Decode(raw []byte) ([]*event.Event, []event.Gap, error) {
	b, err := wire.DecodeBatch(raw, wire.Limits{})
	if err != nil {
		return nil, nil, errs.Wrap("ingest.Decode", err)
	}
	return b.Events, b.Gaps, nil
}

func detail(err error) string {
	var f *wire.FormatError
	if errors.As(err, &f) {
		return f.Place + ": " + f.Why
	}
	return "the batch cannot be decoded"
}

func (p *Pipeline) enter(d *device.Device) *lane {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.devices[d.ID]
	if l == nil {
		l = &lane{clock: clock{offset: d.Offset, known: d.Offset != 0}}
		p.devices[d.ID] = l
	}
	l.within++
	l.used = p.cfg.Clock()
	return l
}

func (p *Pipeline) leave(l *lane) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l.within--
}

func (p *Pipeline) measure(l *lane, sent, received time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return l.clock.measure(received.Sub(sent))
}

// Offset takes one more measurement of a device's clock and returns the smoothed offset,
// server clock minus device clock.
func (p *Pipeline) Offset(d *device.Device, sent, received time.Time) time.Duration {
	l := p.enter(d)
	defer p.leave(l)
	return p.measure(l, sent, received)
}

func (p *Pipeline) note(d *device.Device, at time.Time, offset time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.contacts[d.ID] = device.Contact{Tenant: d.Tenant, Device: d.ID, Seen: at, Data: at, Offset: &offset}
}

// laneLife is how long a silent device's lane is remembered.
const laneLife = time.Hour

// Run writes signs of life until ctx ends, and once more then.
func (p *Pipeline) Run(ctx context.Context) error {
	t := time.NewTicker(touchEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer cancel()
			return p.touch(last)
		case <-t.C:
			if err := p.touch(ctx); err != nil {
				p.metrics.touchFailed.Inc()
			}
		}
	}
}

func (p *Pipeline) touch(ctx context.Context) error {
	p.mu.Lock()
	taken := p.contacts
	p.contacts = map[ident.DeviceID]device.Contact{}
	now := p.cfg.Clock()
	for id, l := range p.devices {
		if l.within == 0 && now.Sub(l.used) > laneLife {
			delete(p.devices, id)
		}
	}
	p.mu.Unlock()
	list := make([]device.Contact, 0, len(taken))
	for _, c := range taken {
		list = append(list, c)
	}
	err := p.cfg.Devices.Touch(ctx, list)
	if err == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for id, c := range taken {
		if _, newer := p.contacts[id]; !newer {
			p.contacts[id] = c
		}
	}
	return err
}
