// Package agent builds the agent out of its parts and runs it on one device.
//
// It holds wiring and nothing else: sensors emit into the spool, the link carries the
// spool's batches to the server and brings commands, the responder carries them out. The
// order of New's work matters: isolation that was in force is restored before anything
// touches the network, and nothing is watched before there is a spool to keep it.
package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/vedette-edr/vedette/agent/link"
	"github.com/vedette-edr/vedette/agent/policy"
	"github.com/vedette-edr/vedette/agent/spool"
	"github.com/vedette-edr/vedette/wire"
)

// Config is how an agent runs. Server and StateDir are required; CA and a token are for
// the first start alone.
type Config struct {
	Server   string // https://host:port
	CAFile   string
	Token    string // enrolment token
	StateDir string
	Instance string   // names what the agent leaves in the kernel; "" for "vedette"
	Exclude  []string // PATH or PATH=PROGRAM: file events below it that are not reported
	Version  string
	// Policy is the file that says what commands may do to this device; "" looks for one (see
	// package policy).
	Policy string
	Log    *slog.Logger

	floor  policy.Policy // what that file says
	leaver *leaver       // whether the device was offboarded
	owed   func() int64  // batches that the server does not have
}

// Agent is an enrolled agent.
type Agent struct {
	conf     Config
	unlock   func()
	platform *platform
	spool    *spool.Spool
	link     *link.Link
	uplink   uplink

	releaser    *releaser
	endReleases func()      // nil until release codes are taken
	announced   sync.Once   // to the service manager
	telling     atomic.Bool // telemetry is kept: what happens can be told of
}

var instanceForm = regexp.MustCompile(`^[A-Za-z0-9_-]{1,32}$`)

// Run enrols the device if need be and works until ctx ends.
func Run(ctx context.Context, c Config) error {
	a, err := start(ctx, c)
	switch {
	case errors.Is(err, errLeft):
		return a.conf.leaver.idle(ctx, a.conf)
	case err == nil:
		err := a.run(ctx)
		if err == nil && ctx.Err() == nil && a.conf.leaver.left() {
			return a.conf.leaver.idle(ctx, a.conf)
		}
		return err
	case ctx.Err() == nil:
		return advise(err, c)
	}
	c.Log.Info("stopped before it was enrolled")
	return nil
}

// errLeft says that the device was offboarded.
var errLeft = errors.New("this device was offboarded")

func start(ctx context.Context, c Config) (_ *Agent, err error) {
	if c.Instance == "" {
		c.Instance = "vedette"
	}
	if !instanceForm.MatchString(c.Instance) {
		return nil, fmt.Errorf("instance %q: letters, digits, - and _ are allowed, at most 32", c.Instance)
	}
	if c.StateDir, err = filepath.Abs(c.StateDir); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(c.StateDir, 0o700); err != nil {
		return nil, err
	}
	var from string
	if c.floor, from, err = policy.Load(c.Policy, c.StateDir); err != nil {
		return nil, err
	}
	if from != "" {
		c.Log.Info("commands are bounded by the device's own policy", "file", from, "refused", c.floor.Refuses(), "approvers", len(c.floor.Approvers))
	}
	if c.leaver, err = openLeaver(c); err != nil {
		return nil, err
	}
	a := &Agent{}
	c.owed = func() int64 { return int64(a.spool.Stats().Batches) }
	a.conf = c
	if c.leaver.left() {
		return a, errLeft
	}
	if a.unlock, err = lock(ctx, filepath.Join(c.StateDir, "lock"), lockPatience); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			a.close()
		}
	}()
	if a.platform, err = newPlatform(ctx, c, a.servers, &a.uplink); err != nil {
		return nil, err
	}
	clock := link.OpenClock(c.StateDir, time.Now)
	// From here on, and before the server is reached, which may never be.
	a.releaser = &releaser{dir: c.StateDir, clock: clock.Now, end: a.platform.endIsolation}
	a.serveReleases(ctx)
	if _, err := link.Load(c.StateDir); err != nil {
		// The first start: enrolment needs the network, and nothing is in force but isolation.
		a.ready()
	}
	var ca []byte
	if c.CAFile != "" {
		if ca, err = os.ReadFile(c.CAFile); err != nil {
			return nil, err
		}
	}
	host := a.platform.host()
	lc := link.Config{
		ServerClock: clock,
		Server:      c.Server, StateDir: c.StateDir, CA: ca, Token: c.Token, AgentVersion: c.Version,
		Name: host.name, Platform: host.platform, Fingerprint: host.fingerprint,
		Policy:   wire.Policy{Approvers: c.floor.Keys(), Threshold: c.floor.Thresholds, Refused: c.floor.Refuses()},
		Reported: c.leaver.told, Leaving: c.leaver.leaving,
		Respond: a.platform.respond, Health: a.platform.health, Sections: a.platform.sections,
		Trouble: func(err error) {
			if err == nil {
				c.Log.Info("in touch with the server again")
				return
			}
			c.Log.Warn("no contact with the server; trying again and again", "server", c.Server, "err", err)
		},
	}
	c.Log.Info("enrolling or returning", "server", c.Server, "name", host.name)
	id, err := link.Ensure(ctx, lc)
	if err != nil {
		return nil, err
	}
	if a.spool, err = spool.Open(spool.Config{Dir: filepath.Join(c.StateDir, "spool"), Device: id.Device, Incarnation: id.Incarnation}); err != nil {
		return nil, err
	}
	// Before the server is reached: what was blocked is blocked again.
	if lc.Indicators, err = a.platform.enforce(id.Device, clock.Now); err != nil {
		return nil, err
	}
	if a.link, err = link.New(lc, id, a.spool); err != nil {
		return nil, err
	}
	a.uplink.link.Store(a.link)
	c.Log.Info("enrolled", "device", id.Device, "tenant", id.Tenant)
	return a, nil
}

// servers returns the addresses of the server, which isolation keeps reachable.
func (a *Agent) servers(ctx context.Context) ([]netip.AddrPort, error) {
	if a.link == nil {
		return nil, errNoLink
	}
	return a.link.Addresses(ctx)
}

// serveReleases takes release codes until the agent is closed.
func (a *Agent) serveReleases(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := a.releaser.serve(ctx, a.tellReleases); err != nil {
			// Long state directories exceed what a socket's name may hold; the code then needs the
			// agent to be stopped.
			a.conf.Log.Warn("no release socket", "err", err)
		}
	}()
	a.endReleases = func() {
		cancel()
		<-done
	}
}

// tellReleases has the server hear of releases by code, once telemetry is kept.
func (a *Agent) tellReleases() {
	if !a.telling.Load() {
		return // told when it is
	}
	if err := a.releaser.tell(a.platform.releasedByCode); err != nil {
		a.conf.Log.Error("telling of a release", "err", err)
	}
}

func (a *Agent) run(ctx context.Context) error {
	defer a.close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		select {
		case <-a.conf.leaver.gone:
			cancel()
		case <-ctx.Done():
		}
		return nil
	})
	g.Go(func() error { return a.platform.run(ctx, a.spool, a.watching) })
	g.Go(func() error {
		a.platform.contained(ctx)
		a.ready()
		return nil
	})
	g.Go(func() error { return a.serveStatus(ctx) })
	g.Go(func() error {
		err := a.link.Run(ctx)
		if errors.Is(err, link.ErrNotEnrolled) {
			a.conf.Log.Error("the server does not know this device; start the agent again with a token", "err", err)
			<-ctx.Done() // telemetry is still kept for the next enrolment
			return nil
		}
		return err
	})
	err := g.Wait()
	if errors.Is(err, context.Canceled) {
		err = nil
	}
	a.conf.Log.Info("stopped", "err", err)
	return err
}

// ready tells the service manager, once, that what was in force before is in force again:
// what waits for the agent may go on.
func (a *Agent) ready() {
	a.announced.Do(func() {
		if err := notifyReady(); err != nil {
			a.conf.Log.Warn("the service manager was not told", "err", err)
		}
	})
}

// watching is called when the sensors have found out what they can watch.
func (a *Agent) watching() {
	a.spool.Watching()
	a.telling.Store(true)
	a.tellReleases()
	a.link.Report()
}

func (a *Agent) close() {
	if a.endReleases != nil {
		a.endReleases()
	}
	if a.spool != nil {
		if err := a.spool.Close(); err != nil {
			a.conf.Log.Error("closing the spool", "err", err)
		}
	}
	if a.platform != nil {
		a.platform.close()
	}
	if a.unlock != nil {
		a.unlock()
	}
}

// ReadToken returns the enrolment token in a file, without the white space around it.
func ReadToken(path string) (string, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	token := strings.TrimSpace(string(raw))
	if token == "" {
		return "", fmt.Errorf("%s is empty", path)
	}
	return token, nil
}

// Status is what an agent says of itself to a person on the device.
type Status struct {
	link.Status
	Version    string        `json:"version"`
	Started    time.Time     `json:"started"`
	Spool      spool.Stats   `json:"spool"`
	Facilities []Facility    `json:"facilities"`
	Ready      bool          `json:"ready"` // the sensors watch
	Isolated   bool          `json:"isolated"`
	Uptime     time.Duration `json:"uptime"`
}

// Facility is one thing the agent needs of the device.
type Facility struct {
	Name   string `json:"name"`
	State  string `json:"state"`
	Detail string `json:"detail,omitempty"`
	Remedy string `json:"remedy,omitempty"`
}

func (a *Agent) status(started time.Time) Status {
	s := Status{Status: a.link.Status(), Version: a.conf.Version, Started: started.UTC(), Spool: a.spool.Stats(),
		Ready: a.platform.ready(), Isolated: a.platform.isolated(), Uptime: time.Since(started).Round(time.Second)}
	for _, f := range a.platform.facilities() {
		s.Facilities = append(s.Facilities, Facility{f.Name, string(f.State), f.Detail, f.Remedy})
	}
	return s
}

// machine is what enrolment says of the device.
type machine struct {
	name, platform string
	fingerprint    [32]byte
}
