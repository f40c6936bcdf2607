// Package link is the agent's side of the wire: it enrols the device, sends what the
// spool holds, says how the device fares, and fetches and verifies commands and
// indicators.
//
// It keeps nothing that must not be lost but the device's identity and the ledger of
// commands: telemetry and results live in package spool, and what a command does is the
// responder's affair. The invariants: the private key never leaves the device; a server is
// believed only under the CA pinned at enrolment, a command only under the command key; a
// command runs at most once to its end, whatever is sent again. Start at Ensure, then New
// and Link.Run.
package link

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"connectrpc.com/connect"
	"golang.org/x/sync/errgroup"

	"github.com/vedette-edr/vedette/agent/spool"
	"github.com/vedette-edr/vedette/wire"
	"github.com/vedette-edr/vedette/wire/wirepb"
)

// ErrNotEnrolled says that the server no longer knows this device, and that there is no
// right to enrol again: an operator has to give the agent a token.
var ErrNotEnrolled = errors.New("link: the server does not know this device; enrol it again with a token")

// Result is what became of a command. State is verified, applied, failed or refused; the
// link itself says cancelled of one that was stopped at the server's wish.
type Result struct {
	State    string
	Detail   string
	Evidence []byte // JSON; nil for none
}

// Health is what the agent says of itself in a heartbeat.
type Health struct {
	// Inventory is the report of package inventory as JSON. It is sent when Digest is not
	// the one of the last that the server took.
	Inventory  []byte
	Digest     [32]byte
	Facilities []*wirepb.Facility
}

// Indicators is what enforces indicators on the device.
type Indicators interface {
	// Revision is the one that is in force; 0 for none.
	Revision() uint64
	// Apply brings a complete set (base 0) or a difference into force, or fails and
	// changes nothing. The parts are verified and in order.
	Apply(ctx context.Context, parts []*wirepb.IndicatorSet) error
}

// Config is what a Link and an enrolment need. Members marked so may be left out.
type Config struct {
	Server       string // https://host:port, or host:port
	StateDir     string // created with mode 0700; holds identity and ledger
	CA           []byte // PEM of the server's CA; not needed once enrolled
	Token        string // for enrolment; "" when there is none
	Name         string // of the device, fully qualified where known
	Platform     string
	AgentVersion string
	Fingerprint  [32]byte

	Respond    func(context.Context, *wire.Command) Result
	Health     func(context.Context) Health // nil says nothing
	Indicators Indicators                   // nil enforces none
	// Sections is the further inventory, looked at every minute; nil for none.
	Sections func(context.Context) []Section
	Policy   wire.Policy // Approvers, Threshold and Refused; the rest is filled in

	MinBackoff time.Duration    // 0 for 1 s
	MaxBackoff time.Duration    // 0 for 1 min
	Clock      func() time.Time // nil for time.Now
	// ServerClock learns the server's time; nil for one that is not kept.
	ServerClock *Clock

	// Reported is called when the server has the result of a command, or will never take it,
	// with "" when the server shows that it has the device's last word; nil for nothing.
	Reported func(command string)
	// Leaving reports whether a command's result is the device's last word: that the server
	// does not know the device any more says that it has it then. With "" it reports whether
	// the device is leaving at all. nil for never.
	Leaving func(command string) bool
	// Fault is called at each step of a command on this device, by the step's name (see
	// Faults) and the command's id. It is for tests, which end the process there; nil for
	// nothing.
	Fault func(point, command string)

	// Trouble is told what keeps the device from its server when that changes, and nil
	// when they are in touch again. It returns quickly; nil tells nobody.
	Trouble func(error)
}

func (c Config) orDefault() Config {
	if c.MinBackoff <= 0 {
		c.MinBackoff = time.Second
	}
	if c.MaxBackoff <= 0 {
		c.MaxBackoff = time.Minute
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.ServerClock == nil {
		c.ServerClock = OpenClock("", c.Clock)
	}
	if c.Reported == nil {
		c.Reported = func(string) {}
	}
	if c.Leaving == nil {
		c.Leaving = func(string) bool { return false }
	}
	if c.Fault == nil {
		c.Fault = func(string, string) {}
	}
	if c.Trouble == nil {
		c.Trouble = func(error) {}
	}
	if c.Respond == nil {
		c.Respond = func(context.Context, *wire.Command) Result {
			return Result{State: "refused", Detail: "this agent carries out no commands"}
		}
	}
	return c
}

// Status is how the link fares, for people and health.
type Status struct {
	Device      string        `json:"device"`
	Incarnation uint64        `json:"incarnation"`
	Tenant      string        `json:"tenant"`
	Server      string        `json:"server"`
	Watching    bool          `json:"watching"` // the stream of nudges is open
	LastContact time.Time     `json:"lastContact,omitzero"`
	Offset      time.Duration `json:"clockOffset"` // server clock minus this device's
	Indicators  uint64        `json:"indicators"`
	Problem     string        `json:"problem,omitempty"` // the last failure that has not been overcome
	Pushed      uint64        `json:"batchesAcknowledged"`
	Duplicates  uint64        `json:"batchesSentTwice"`
	Renewed     time.Time     `json:"certificateUntil"`
}

// Link keeps one device in touch with its server.
type Link struct {
	conf     Config
	spool    *spool.Spool
	ledger   *ledger
	dialer   *dialer
	poll     chan struct{} // of capacity 1, like the others: fetch commands
	refresh  chan struct{} // fetch indicators
	beat     chan struct{} // send a heartbeat now
	enrol    sync.Mutex    // one enrolment at a time
	handing  sync.Mutex    // one handOver at a time
	progress *progress

	mu       sync.Mutex
	identity *Identity
	client   *Client
	status   Status
	sent     [32]byte           // digest of the inventory that the server has
	wanted   bool               // the server asks for the inventory
	revision uint64             // of indicators, that the server says is in force
	rewatch  context.CancelFunc // ends the present watch
}

// New returns a link for an enrolled device.
func New(c Config, id *Identity, s *spool.Spool) (*Link, error) {
	c = c.orDefault()
	d, err := newDialer(c.Server, c.StateDir)
	if err != nil {
		return nil, err
	}
	l := &Link{conf: c, spool: s, dialer: d, poll: make(chan struct{}, 1), refresh: make(chan struct{}, 1), beat: make(chan struct{}, 1), progress: newProgress(), wanted: true}
	if l.ledger, err = openLedger(c.StateDir); err != nil {
		return nil, err
	}
	if err := l.adopt(id); err != nil {
		return nil, err
	}
	return l, nil
}

// adopt goes on under an identity: a new one, or the same with a new certificate.
func (l *Link) adopt(id *Identity) error {
	c, err := newClient(id, l.dialer)
	if err != nil {
		return err
	}
	l.mu.Lock()
	old, rewatch := l.client, l.rewatch
	l.identity, l.client = id, c
	l.status.Device, l.status.Incarnation, l.status.Tenant = id.Device, id.Incarnation, id.Tenant
	l.status.Server, l.status.Renewed = l.conf.Server, id.notAfter()
	l.mu.Unlock()
	if rewatch != nil {
		rewatch()
	}
	if old != nil {
		old.Close()
	}
	return nil
}

func (l *Link) current() (*Identity, *Client) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.identity, l.client
}

// Run keeps in touch until ctx ends, and returns nil then. It returns ErrNotEnrolled when
// the server refuses the device for good; the spool keeps collecting.
func (l *Link) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, loop := range []func(context.Context) error{l.pushLoop, l.heartbeatLoop, l.watchLoop, l.commandLoop, l.resultLoop, l.progressLoop, l.indicatorLoop, l.sectionLoop} {
		g.Go(func() error { return loop(ctx) })
	}
	err := g.Wait()
	_, c := l.current()
	c.Close()
	if errors.Is(err, context.Canceled) || errors.Is(err, spool.ErrClosed) {
		return nil
	}
	if err != nil {
		l.trouble(err)
	}
	return err
}

// Status returns how the link fares.
func (l *Link) Status() Status {
	l.mu.Lock()
	defer l.mu.Unlock()
	st := l.status
	if l.conf.Indicators != nil {
		st.Indicators = l.conf.Indicators.Revision()
	}
	return st
}

// ServerTime is the server's clock as far as it is known, else the device's own.
func (l *Link) ServerTime() time.Time { return l.conf.ServerClock.Now() }

// heard notes an answer of the server.
func (l *Link) heard(serverTime int64) {
	l.mu.Lock()
	over := l.status.Problem != ""
	l.status.LastContact, l.status.Problem = l.conf.Clock(), ""
	if serverTime > 0 {
		l.conf.ServerClock.heard(time.Unix(0, serverTime))
	}
	l.mu.Unlock()
	if over {
		l.conf.Trouble(nil)
	}
}

func (l *Link) trouble(err error) {
	l.mu.Lock()
	begun := l.status.Problem == ""
	l.status.Problem = words(err)
	l.mu.Unlock()
	if begun {
		l.conf.Trouble(err)
	}
}

// words says an error so that a person knows whether the server refused or was not there.
func words(err error) string {
	var c *connect.Error
	if errors.As(err, &c) && !connect.IsWireError(err) {
		switch c.Code() {
		case connect.CodeUnavailable, connect.CodeDeadlineExceeded:
			return "the server cannot be reached: " + c.Message()
		}
	}
	return err.Error()
}

// persist asks the server until it answers.
func (l *Link) persist(ctx context.Context, b *backoff, ask func(*Identity, *Client) error) error {
	for {
		id, client := l.current()
		err := ask(id, client)
		if err == nil {
			b.reset()
			return nil
		}
		if err := l.retry(ctx, id, err, b); err != nil {
			return err
		}
	}
}

// retry is refused with its pause.
func (l *Link) retry(ctx context.Context, with *Identity, err error, b *backoff) error {
	pause, err := l.refused(ctx, with, err, b)
	if err != nil {
		return err
	}
	return wait(ctx, pause)
}

// refused deals with an error that says the server does not know this device: it enrols
// again when there is a right to, and ends the link with ErrNotEnrolled when not. Other
// errors are returned as pauses: how long to wait before the next try.
func (l *Link) refused(ctx context.Context, with *Identity, err error, b *backoff) (time.Duration, error) {
	if ctx.Err() != nil {
		return 0, ctx.Err()
	}
	l.trouble(err)
	f := FaultOf(err)
	if f.Code == codeUnknown && l.conf.Leaving("") {
		l.conf.Reported("") // it has the last word
		<-ctx.Done()
		return 0, ctx.Err()
	}
	if !f.EnrolAgain() && l.ServerTime().Before(with.notAfter()) {
		return b.next(f.Retry), nil
	}
	again := l.again(ctx, with, f)
	switch {
	case again == nil:
		b.reset()
		return 0, nil
	case errors.Is(again, ErrNotEnrolled), ctx.Err() != nil:
		return 0, again
	}
	l.trouble(again)
	return b.next(FaultOf(again).Retry), nil
}

// again enrols again, unless another loop did so since the identity with was used.
func (l *Link) again(ctx context.Context, with *Identity, why Fault) error {
	l.enrol.Lock()
	defer l.enrol.Unlock()
	if id, _ := l.current(); id.Incarnation != with.Incarnation || id.Device != with.Device {
		return nil
	}
	if l.conf.Token == "" && why.Code != codeCloned {
		return ErrNotEnrolled
	}
	id, err := enrol(ctx, l.conf, l.dialer, with)
	if err != nil {
		if c := FaultOf(err).Code; c == codeToken || c == codeUnknown {
			return errors.Join(ErrNotEnrolled, err)
		}
		return err
	}
	if err := l.spool.Rebind(id.Device, id.Incarnation); err != nil {
		return err
	}
	l.mu.Lock()
	l.sent, l.wanted = [32]byte{}, true
	l.mu.Unlock()
	return l.adopt(id)
}

// backoff is an exponential pause with full jitter over its upper half.
type backoff struct {
	min, max time.Duration
	pause    time.Duration
}

func (l *Link) backoff() *backoff { return &backoff{min: l.conf.MinBackoff, max: l.conf.MaxBackoff} }

func (b *backoff) reset() { b.pause = 0 }

// next returns how long to wait: at least what the server asked for, which spreads its
// own answers.
func (b *backoff) next(asked time.Duration) time.Duration {
	b.pause = min(max(2*b.pause, b.min), b.max)
	d := b.pause/2 + rand.N(b.pause/2+1)
	return max(d, min(asked, time.Hour))
}

// wait returns an error when ctx ends first.
func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
