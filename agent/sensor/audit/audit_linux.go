package audit

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vedette-edr/vedette/agent/passwd"
	"github.com/vedette-edr/vedette/agent/sensor"
	"github.com/vedette-edr/vedette/schema/event"
)

const (
	tick      = 250 * time.Millisecond // while something is held
	ownership = 5 * time.Second        // between looks at who owns audit
)

// Config is what a Sensor needs. The zero value of every field works.
type Config struct {
	// Host is the Domain of local accounts; "" means the kernel's host name.
	Host string
	// Lookup finds the process that sent a message; nil or a nil result leaves it unknown.
	Lookup func(pid uint32) *event.Process
	// Accounts is the account database; nil means the device's own.
	Accounts *passwd.Cache
	// Mark is the path of a file that says for one boot that an agent turned audit on, so
	// that a killed agent's successor can still put it back. All agents on one kernel
	// share it: /run/vedette-audit, for instance. "" means no such file.
	Mark string
	// Hold is how long a session of ssh waits for its terminal before it counts as Network:
	// the round trips between authentication and the client's request. 0 means 2 s.
	Hold time.Duration
	// Now is the wall clock; nil means time.Now.
	Now func() time.Time
	// LogDir holds wtmp and btmp, the fallback; "" means /var/log.
	LogDir string
	// NoAudit goes straight to the fallback: policy may forbid touching audit.
	NoAudit bool
}

// Sensor watches logons. It implements sensor.Sensor.
type Sensor struct {
	cfg Config

	mu         sync.Mutex
	facilities map[string]sensor.Facility
}

var _ sensor.Sensor = (*Sensor)(nil)

// New returns a sensor; nothing is opened before Run.
func New(cfg Config) *Sensor {
	if cfg.Host == "" {
		cfg.Host, _ = os.Hostname()
	}
	if cfg.Accounts == nil {
		cfg.Accounts = passwd.NewCache("/")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Hold == 0 {
		cfg.Hold = 2 * time.Second
	}
	if cfg.LogDir == "" {
		cfg.LogDir = "/var/log"
	}
	return &Sensor{cfg: cfg, facilities: map[string]sensor.Facility{}}
}

// Name returns "audit".
func (s *Sensor) Name() string { return "audit" }

// Facilities reports the audit group, who owns audit, and the fallback when it is in use.
func (s *Sensor) Facilities() []sensor.Facility {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []sensor.Facility
	for _, name := range []string{facReadLog, facEnabled, facUtmp} {
		if f, ok := s.facilities[name]; ok {
			out = append(out, f)
		}
	}
	return out
}

const (
	facReadLog = "audit:readlog"
	facEnabled = "audit:enabled"
	facUtmp    = "utmp"
)

func (s *Sensor) report(f sensor.Facility) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.facilities[f.Name] = f
}

// Run watches until ctx ends. It falls back to wtmp and btmp when audit cannot be had and
// returns an error when neither can.
func (s *Sensor) Run(ctx context.Context, sink sensor.Sink) error {
	err := errors.New("forbidden by policy")
	if !s.cfg.NoAudit {
		err = s.runAudit(ctx, sink)
	}
	if err != nil && ctx.Err() == nil {
		return s.fallBack(ctx, sink, err)
	}
	return nil
}

// fallBack watches wtmp and btmp, because audit cannot be had for the reason given.
func (s *Sensor) fallBack(ctx context.Context, sink sensor.Sink, err error) error {
	s.report(sensor.Facility{
		Name: facReadLog, State: sensor.Missing, Detail: err.Error(),
		Remedy: "give the agent CAP_AUDIT_READ and CAP_AUDIT_CONTROL in the initial namespaces",
	})
	if ferr := s.runUtmp(ctx, sink); ferr != nil && ctx.Err() == nil {
		s.report(sensor.Facility{Name: facUtmp, State: sensor.Missing, Detail: ferr.Error()})
		return fmt.Errorf("no source of logons: %w", errors.Join(err, ferr))
	}
	return nil
}

func (s *Sensor) runAudit(ctx context.Context, sink sensor.Sink) (err error) {
	c, err := openControl()
	if err != nil {
		return err
	}
	defer c.Close()
	f, err := dial(1 << (groupReadLog - 1))
	if err != nil {
		return err
	}
	defer f.Close()
	own := newOwner(c, s.cfg.Mark)
	found, _, err := own.acquire()
	if err != nil {
		return err
	}
	defer func() { _ = own.restore(1) }()
	s.report(sensor.Facility{Name: facReadLog, State: sensor.Working})
	s.reportOwner(found, own)
	stop := context.AfterFunc(ctx, func() { _ = f.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	return s.follow(ctx, sink, f, own)
}

// follow reads records until ctx ends.
func (s *Sensor) follow(ctx context.Context, sink sensor.Sink, f *os.File, own *owner) error {
	t := newTracker(s.cfg.Host, s.cfg.Accounts.DB, s.cfg.Lookup, s.cfg.Hold)
	emit := func(events []*event.Event) {
		for _, e := range events {
			s.stamp(e)
			sink.Emit(e)
		}
	}
	defer func() { emit(t.flush()) }()
	buf := make([]byte, 64<<10)
	last := s.cfg.Now() // the last moment the source was known to be whole
	looked := time.Now()
	known, err := own.c.status()
	if err != nil {
		return err
	}
	lost := known.Lost
	for ctx.Err() == nil {
		wait := ownership
		if t.held > 0 {
			wait = tick
		}
		typ, payload, err := await(ctx, f, buf, time.Now().Add(wait))
		now := s.cfg.Now()
		changed := false
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, os.ErrDeadlineExceeded):
		case errors.Is(err, unix.ENOBUFS):
			sink.Lost(event.Gap{Source: "kernel:audit", Reason: "audit receive buffer overflowed", From: last, To: now})
		case err != nil:
			return fmt.Errorf("audit read: %w", err)
		case typ == typeConfigChange:
			changed = true
		case typ >= typeUserAuth && typ <= typeUserLogout:
			r, perr := parseRecord(typ, string(payload))
			if perr != nil {
				sink.Lost(event.Gap{Source: "audit", Reason: perr.Error(), Count: 1, From: now, To: now})
				break
			}
			emit(t.feed(r, now))
		}
		if t.held > 0 {
			emit(t.expire(now))
		}
		if changed || time.Since(looked) >= ownership {
			looked = time.Now()
			emit(t.expire(now))
			n, err := s.keep(sink, own, lost, last, now)
			if err != nil {
				return err
			}
			lost = n
		}
		last = now
	}
	return nil
}

// keep looks again at who owns audit, and turns it on again when it was turned off. Given
// the count of records lost so far it tells of new ones, and returns the new count.
func (s *Sensor) keep(sink sensor.Sink, own *owner, lost uint32, last, now time.Time) (uint32, error) {
	found, turnedOn, err := own.acquire()
	if err != nil {
		return lost, err
	}
	s.reportOwner(found, own)
	if turnedOn {
		sink.Lost(event.Gap{Source: "kernel:audit", Reason: "audit was turned off by somebody", From: last, To: now})
	}
	if n := found.Lost - lost; n > 0 && found.Lost > lost {
		from := now.Add(-ownership)
		if last.Before(from) {
			from = last
		}
		sink.Lost(event.Gap{Source: "kernel:audit", Reason: "the kernel's audit queue was full", Count: uint64(n), From: from, To: now})
	}
	return found.Lost, nil
}

func (s *Sensor) reportOwner(found status, own *owner) {
	fac := sensor.Facility{Name: facEnabled, State: sensor.Working}
	if found.PID != 0 && found.Enabled == 0 {
		fac.State = sensor.Missing
		fac.Detail = fmt.Sprintf("the audit daemon (process %d) holds audit and has it turned off", found.PID)
		fac.Remedy = "auditctl -e 1"
	}
	if own.mine && !own.rule {
		fac.State = sensor.Degraded
		fac.Detail = "the rule task,never could not be added: system calls cost more while audit is on"
	}
	s.report(fac)
}

// stamp fills the time since boot that corresponds to the event's wall time.
func (s *Sensor) stamp(e *event.Event) {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts) != nil {
		return
	}
	if boot := ts.Nano() - int64(s.cfg.Now().Sub(e.Time)); boot > 0 {
		e.Boot = boot
	}
}
