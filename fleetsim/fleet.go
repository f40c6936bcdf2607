// Package fleetsim is many devices in one process: each enrols, has its own certificate
// and speaks the real protocol, with telemetry that depends on a seed.
//
// It fakes devices and nothing of the server, and it is the only way anything fakes a device:
// tests do, and the demonstration that package demo fills a server with.
// A device is used in one of two ways. Started, it is the agent's own link and spool, and
// events go by Emit: for tests of behaviour. Driven by hand, batches go by Push without a
// spool: for clones, foreign batches and load. Start at New.
package fleetsim

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/vedette-edr/vedette/agent/link"
	"github.com/vedette-edr/vedette/wire"
)

// Config describes a fleet. Members marked so may be left out.
type Config struct {
	Server  string // https://host:port
	CA      []byte // PEM
	Token   string
	Devices int
	Seed    uint64
	Dir     string // state of the devices, one directory each; the caller removes it
	Prefix  string // of the devices' names; "" for sim
	// Describe says what the device of an index is; nil for a nameless Debian each.
	Describe func(i int) Host

	// Answer says what becomes of a command; nil answers every one with verified. Its
	// context ends when the server wishes the command to stop, or the device ends.
	Answer func(ctx context.Context, d *Device, c *wire.Command) link.Result
	// Fault is called at each step of a command on a device (see link.Faults); nil for nothing.
	Fault  func(d *Device, point, command string)
	Policy wire.Policy // Approvers, Threshold and Refused of the devices
	// Clock is the time by which the devices live; nil for time.Now.
	Clock func() time.Time
	// Skew is added to the clock of each device.
	Skew time.Duration
	// Backoff bounds the devices' pauses after errors; 0 for 50 ms.
	Backoff time.Duration
}

// Host is what a device says of itself.
type Host struct {
	Name      string // fully qualified
	Inventory []byte // the agent's inventory report, JSON
	Sections  []link.Section
}

// Fleet is some devices.
type Fleet struct {
	conf    Config
	devices []*Device
}

// New returns a fleet of devices that are not enrolled yet.
func New(c Config) (*Fleet, error) {
	if c.Devices <= 0 || c.Dir == "" {
		return nil, fmt.Errorf("fleetsim: a fleet needs devices and a directory")
	}
	if c.Prefix == "" {
		c.Prefix = "sim"
	}
	if c.Backoff <= 0 {
		c.Backoff = 50 * time.Millisecond
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	f := &Fleet{conf: c}
	for i := range c.Devices {
		f.devices = append(f.devices, newDevice(f, i))
	}
	return f, nil
}

// Devices returns the devices in order.
func (f *Fleet) Devices() []*Device { return f.devices }

// Again returns a device that is enrolled as d is and was not driven yet, on d's state
// directory: the agent on that device begins anew. The caller closes it; d is not used
// any more.
func (f *Fleet) Again(d *Device) *Device {
	n := newDevice(f, d.index)
	n.identity = d.Identity()
	return n
}

// enrolling is how many devices enrol at a time.
const enrolling = 8

// Enrol enrols every device that is not yet.
func (f *Fleet) Enrol(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(enrolling)
	for _, d := range f.devices {
		g.Go(func() error { return d.Enrol(ctx) })
	}
	return g.Wait()
}

// Start starts every device; Close ends them.
func (f *Fleet) Start(ctx context.Context) error {
	for _, d := range f.devices {
		if err := d.Start(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Close ends every device.
func (f *Fleet) Close() error {
	var g errgroup.Group
	for _, d := range f.devices {
		g.Go(d.Close)
	}
	return g.Wait()
}

// Dir is where the state of the devices lies.
func (f *Fleet) Dir() string { return f.conf.Dir }

func (f *Fleet) dir(i int) string { return filepath.Join(f.conf.Dir, fmt.Sprintf("device-%d", i)) }
