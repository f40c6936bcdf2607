package fleetsim

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"connectrpc.com/connect"

	"github.com/vedette-edr/vedette/agent/link"
	"github.com/vedette-edr/vedette/agent/responder"
	"github.com/vedette-edr/vedette/agent/spool"
	"github.com/vedette-edr/vedette/schema/event"
	"github.com/vedette-edr/vedette/wire"
	"github.com/vedette-edr/vedette/wire/wirepb"
)

// Device is one simulated device.
type Device struct {
	fleet *Fleet
	index int
	dir   string
	name  string
	host  Host // as described; the zero Host without a description

	enforced enforced

	mu       sync.Mutex
	rand     *rand.Rand
	identity *link.Identity
	commands []*wire.Command // carried out

	// Driven by hand.
	client   *link.Client
	sequence uint64
	report   int64

	// Started.
	spool  *spool.Spool
	link   *link.Link
	cancel context.CancelFunc
	ended  chan error
}

func newDevice(f *Fleet, i int) *Device {
	d := &Device{fleet: f, index: i, dir: f.dir(i), name: fmt.Sprintf("%s-%04d.example.net", f.conf.Prefix, i),
		rand: rand.New(rand.NewPCG(f.conf.Seed, uint64(i))), sequence: 1, report: 1}
	if f.conf.Describe != nil {
		d.host = f.conf.Describe(i)
		d.name = d.host.Name
	}
	return d
}

// Name is the device's name.
func (d *Device) Name() string { return d.name }

// Index is its place among the fleet's devices.
func (d *Device) Index() int { return d.index }

// ID is the device's id, "" before it is enrolled.
func (d *Device) ID() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.link != nil {
		return d.link.Status().Device
	}
	if d.identity == nil {
		return ""
	}
	return d.identity.Device
}

// Identity is who the device is, nil before it is enrolled. The caller does not change it.
func (d *Device) Identity() *link.Identity {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.identity
}

// Now is the device's own clock.
func (d *Device) Now() time.Time { return d.fleet.conf.Clock().Add(d.fleet.conf.Skew) }

// Status is how the device's link fares; the zero Status unless it is started.
func (d *Device) Status() link.Status {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.link == nil {
		return link.Status{}
	}
	return d.link.Status()
}

// Commands returns the commands that the device carried out.
func (d *Device) Commands() []*wire.Command {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]*wire.Command(nil), d.commands...)
}

func (d *Device) config() link.Config {
	c := d.fleet.conf
	conf := link.Config{
		Server: c.Server, StateDir: d.dir, CA: c.CA, Token: c.Token, Name: d.name, Platform: "Linux",
		AgentVersion: "0.0.0-sim", Fingerprint: sha256.Sum256([]byte(d.name)),
		MinBackoff: c.Backoff, MaxBackoff: 10 * c.Backoff, Clock: d.Now,
		Respond: d.respond, Indicators: &d.enforced, Fault: d.fault, Policy: c.Policy,
		Health: func(context.Context) link.Health {
			inv := d.inventory()
			return link.Health{Inventory: inv, Digest: sha256.Sum256(inv), Facilities: []*wirepb.Facility{{Name: "sim", State: "working"}}}
		},
	}
	if len(d.host.Sections) > 0 {
		conf.Sections = func(context.Context) []link.Section { return d.host.Sections }
	}
	return conf
}

func (d *Device) fault(point, command string) {
	if f := d.fleet.conf.Fault; f != nil {
		f(d, point, command)
	}
}

func (d *Device) respond(ctx context.Context, c *wire.Command) link.Result {
	r := link.Result{State: "verified", Detail: "simulated", Evidence: []byte(`{"simulated":true}`)}
	if d.fleet.conf.Answer != nil {
		r = d.fleet.conf.Answer(ctx, d, c)
	}
	d.mu.Lock()
	d.commands = append(d.commands, c)
	d.mu.Unlock()
	return r
}

// Progress says how far a started device is with a command.
func (d *Device) Progress(command string, p responder.Progress) {
	d.mu.Lock()
	l := d.link
	d.mu.Unlock()
	if l != nil {
		l.Progress(command, p)
	}
}

// Server is what handlers of commands ask of the server of a started device; nil of others.
func (d *Device) Server() responder.Server {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.link == nil {
		return nil
	}
	return d.link
}

// Live opens the stream of a live response session of a started device.
func (d *Device) Live(ctx context.Context, session string) (*link.LiveStream, error) {
	d.mu.Lock()
	l := d.link
	d.mu.Unlock()
	if l == nil {
		return nil, errors.New("fleetsim: the device is not started")
	}
	return l.Live(ctx, session)
}

// Enrol enrols the device, unless it is.
func (d *Device) Enrol(ctx context.Context) error {
	id, err := link.Ensure(ctx, d.config())
	if err != nil {
		return fmt.Errorf("fleetsim: %s: %w", d.name, err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.identity = id
	return nil
}

// Start runs the agent's link and spool for the device, which is enrolled, until Close.
func (d *Device) Start(ctx context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.identity == nil || d.link != nil || d.sequence != 1 {
		return fmt.Errorf("fleetsim: %s is not enrolled, or is driven by hand or started already", d.name)
	}
	s, err := spool.Open(spool.Config{Dir: d.dir + "/spool", Device: d.identity.Device, Incarnation: d.identity.Incarnation,
		Limit: 16 << 20, Clock: d.Now})
	if err != nil {
		return err
	}
	s.Watching()
	l, err := link.New(d.config(), d.identity, s)
	if err != nil {
		return errors.Join(err, s.Close())
	}
	ctx, cancel := context.WithCancel(ctx)
	d.spool, d.link, d.cancel, d.ended = s, l, cancel, make(chan error, 1)
	go func() { d.ended <- l.Run(ctx) }()
	return nil
}

// Emit hands events to a started device.
func (d *Device) Emit(events ...*event.Event) {
	d.mu.Lock()
	s := d.spool
	d.mu.Unlock()
	for _, e := range events {
		s.Emit(e)
	}
}

// Dir is the device's state directory.
func (d *Device) Dir() string { return d.dir }

// Spool returns how a started device's spool fares.
func (d *Device) Spool() spool.Stats {
	d.mu.Lock()
	s := d.spool
	d.mu.Unlock()
	return s.Stats()
}

// Close ends a started device and the connections of one driven by hand. What its spool
// holds goes out when it is started again.
func (d *Device) Close() error {
	d.mu.Lock()
	l, s, cancel, ended, client := d.link, d.spool, d.cancel, d.ended, d.client
	d.link, d.spool, d.client = nil, nil, nil
	d.mu.Unlock()
	if client != nil {
		client.Close()
	}
	if l == nil {
		return nil
	}
	cancel()
	err := errors.Join(<-ended, s.Close())
	id, lerr := link.Load(d.dir)
	d.mu.Lock()
	d.identity = id
	d.mu.Unlock()
	return errors.Join(err, lerr)
}

// Client returns the device's client, for calls by hand.
func (d *Device) Client() (*link.Client, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.client == nil {
		c, err := link.NewClient(d.identity, d.fleet.conf.Server, d.dir)
		if err != nil {
			return nil, err
		}
		d.client = c
	}
	return d.client, nil
}

// Frame makes the device's next batch by hand.
func (d *Device) Frame(events []*event.Event, gaps ...event.Gap) ([]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	h := wire.Header{Device: d.identity.Device, Incarnation: d.identity.Incarnation, Sequence: d.sequence,
		FirstReport: d.report, Created: d.Now()}
	b, err := wire.EncodeBatch(h, events, gaps)
	if err == nil {
		d.sequence++
		d.report += int64(len(events))
	}
	return b, err
}

// Send sends a frame once.
func (d *Device) Send(ctx context.Context, frame []byte) (*wirepb.PushResponse, error) {
	c, err := d.Client()
	if err != nil {
		return nil, err
	}
	r, err := c.Push(ctx, connect.NewRequest(&wirepb.PushRequest{Batch: frame, Sent: d.Now().UnixNano()}))
	if err != nil {
		return nil, err
	}
	return r.Msg, nil
}

// Refusal is the code that the server gave with an error of Send or Push; "" when the
// error is not the server's.
func Refusal(err error) string { return link.FaultOf(err).Code }

// Push sends events as one batch by hand, again and again while the server asks to come
// back later.
func (d *Device) Push(ctx context.Context, events []*event.Event, gaps ...event.Gap) error {
	frame, err := d.Frame(events, gaps...)
	if err != nil {
		return err
	}
	for {
		_, err := d.Send(ctx, frame)
		if err == nil {
			return nil
		}
		switch connect.CodeOf(err) {
		case connect.CodeUnavailable, connect.CodeResourceExhausted:
		default:
			return err
		}
		t := time.NewTimer(max(d.fleet.conf.Backoff, link.FaultOf(err).Retry))
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return errors.Join(err, ctx.Err())
		}
	}
}

// Copy returns a second copy of a device that is driven by hand: the same key and
// certificate and the same next sequence, as after copying a disk.
func (d *Device) Copy() *Device {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := newDevice(d.fleet, d.index)
	c.dir, c.identity, c.sequence, c.report = d.dir+"-copy", d.identity, d.sequence, d.report
	return c
}
