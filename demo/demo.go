// Package demo shows the product with data: it starts a server and fills it with a week in
// the life of an invented company, of two hundred simulated devices and five attacks, and
// then keeps the devices alive, so that they answer actions.
//
// Nothing is written past the server: devices enrol, keep their events in the agent's own
// spool and send them by the agent's own link; what is found, found the shipped detections;
// what people did, they did by the API. So that a week passes in a minute, server and
// devices live by one clock that the demonstration moves on (Clock); it ends at the real
// time, and is the real clock from then on. What happens depends on the seed alone; ids and
// keys do not, because the server draws them. Start at Run.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/vedette-edr/vedette/client"
	"github.com/vedette-edr/vedette/fleetsim"
	"github.com/vedette-edr/vedette/server"
)

// Config is a demonstration. Members marked so may be left out.
type Config struct {
	Seed    uint64
	Devices int // at least MinDevices
	Days    int // of telemetry, at least MinDays
	// Density scales how much the devices do beside the attacks; 1 is about 250,000 events
	// of 200 devices in a week.
	Density float64
	// Hostile adds devices whose processes, files and users have names that attack whoever
	// shows them.
	Hostile bool
	// Still lets nothing happen any more once the week is over.
	Still  bool
	Server server.Config // Clock and RateLimit are set here
	Out    io.Writer     // progress for people; nil for none
	// Ready is called once everything is there; nil for nobody.
	Ready func(p client.Profile)
}

// The least that the attacks need to take place.
const (
	MinDevices = 60
	MinDays    = 7
)

// markFile in the data directory says that the demonstration was filled in.
const markFile = "demo.json"

// Run fills the server's data directory, unless it was, and serves until ctx ends.
func Run(ctx context.Context, c Config) error {
	if c.Devices < MinDevices || c.Days < MinDays || c.Days > 28 {
		return fmt.Errorf("a demonstration needs at least %d devices and between %d and 28 days", MinDevices, MinDays)
	}
	if c.Density <= 0 || c.Density > 100 {
		return errors.New("the density is a number above 0 and not above 100")
	}
	if c.Out == nil {
		c.Out = io.Discard
	}
	if c.Server.Log == nil {
		c.Server.Log = slog.New(slog.DiscardHandler)
	}
	dir, err := filepath.Abs(c.Server.DataDir)
	if err != nil {
		return err
	}
	mark := filepath.Join(dir, markFile)
	filled := false
	if raw, err := os.ReadFile(mark); err == nil {
		if filled, err = sameDemo(raw, c); err != nil {
			return fmt.Errorf("%s: %w", mark, err)
		}
	} else if _, err := os.Stat(filepath.Join(dir, "bootstrap.json")); err == nil {
		return fmt.Errorf("%s holds a server that is no demonstration; give an empty directory", dir)
	}
	clock := &Clock{}
	end := time.Now()
	if !filled {
		clock.Set(end.Add(-time.Duration(c.Days) * 24 * time.Hour))
	}
	c.Server.DataDir, c.Server.Clock, c.Server.RateLimit, c.Server.Simulated = dir, clock.Now, -1, true
	s, err := server.New(ctx, c.Server)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.Run(ctx) })
	g.Go(func() error {
		err := show(ctx, c, &world{conf: c, clock: clock, end: end, dir: dir}, filled, mark)
		if err != nil && ctx.Err() == nil {
			return fmt.Errorf("demonstration: %w", err)
		}
		return nil
	})
	return g.Wait()
}

// world is one demonstration under way.
type world struct {
	conf    Config
	clock   *Clock
	end     time.Time // where the week ends
	dir     string
	profile client.Profile
	company *company
	fleet   *fleetsim.Fleet
}

// show fills in what is missing and keeps the devices alive until ctx ends.
func show(ctx context.Context, c Config, w *world, filled bool, mark string) (err error) {
	p, err := client.LoadProfile(filepath.Join(w.dir, "bootstrap.json"))
	if err != nil {
		return err
	}
	w.profile = *p
	ca, err := os.ReadFile(p.CAFile)
	if err != nil {
		return err
	}
	w.company = newCompany(c.Seed, c.Devices, c.Hostile)
	w.fleet, err = fleetsim.New(fleetsim.Config{
		Server: p.APIURL, CA: ca, Token: p.EnrollmentToken, Devices: len(w.company.hosts), Seed: c.Seed, Dir: filepath.Join(w.dir, "demo-devices"),
		Clock: w.clock.Now, Describe: w.company.describe, Answer: w.answer,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.fleet.Close()) }()
	if !filled {
		if err := w.fill(ctx, mark); err != nil {
			return err
		}
	} else if err := w.resume(ctx); err != nil {
		return err
	}
	if c.Ready != nil {
		c.Ready(w.profile)
	}
	if c.Still {
		<-ctx.Done()
		return nil
	}
	return w.live(ctx)
}
