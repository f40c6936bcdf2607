package live

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/audit"
	"github.com/vedette-edr/vedette/server/device"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/filter"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/wire"
)

// Devices is what the service asks about devices.
type Devices interface {
	Get(ctx context.Context, tenant ident.TenantID, id ident.DeviceID) (*device.Device, error)
}

// Library is the files that sessions put and run; see library.Service.
type Library interface {
	Digest(ctx context.Context, tenant ident.TenantID, name string) (string, error)
}

// Blobs keeps contents by their hash.
type Blobs interface {
	Put(r io.Reader, most int64) (sum string, size int64, err error)
	Open(sum string) (*os.File, error)
}

// Config is what a Service needs. Members marked so may be left out.
type Config struct {
	Store   Store
	Devices Devices
	Library Library
	Blobs   Blobs
	Audit   audit.Log
	Nudge   func(ident.DeviceID)
	// Barred says why no session may be had with a device, "" when one may; nil bars none.
	Barred func(ctx context.Context, d *device.Device) (string, error)
	// Shelf carries out the command library for somebody; see Shelf.
	Shelf Shelf
	// Renew returns who opened a session as they stand now, with what they may do and see, and
	// fails when they may do nothing any more (access.Authority.Renew); nil takes them for
	// unchanged.
	Renew func(ctx context.Context, by *access.Principal, since time.Time) (*access.Principal, error)
	Dir   string // for transcripts while sessions last; made if need be
	Log   *slog.Logger
	Clock func() time.Time // nil for time.Now
	// Sessions at a time: of a tenant, 0 for 500; of one caller, 0 for 10, as published.
	PerTenant, PerCaller int
	Idle                 time.Duration // 0 for half an hour, as published
	Recheck              time.Duration // how often Renew is asked while a session lasts; 0 for 15 seconds
	Connect              time.Duration // how long either side is waited for; 0 for a minute
}

// Shelf shows the library to a session and takes files out of it.
type Shelf interface {
	List(ctx context.Context, tenant ident.TenantID, q filter.Query) (filter.Page[ShelfFile], error)
	Delete(ctx context.Context, by *access.Principal, name string) error
}

// ShelfFile is one file of the library.
type ShelfFile struct {
	Name, SHA256, Description, By string
	Size                          int64
	Updated                       time.Time
}

const (
	ticketLife = time.Minute
	maxComment = 4000
	// commandLife is how long the command that opens a session is good.
	commandLife = 2 * time.Minute
	maxFiles    = 1000 // of one session
)

// Service holds the sessions. It is safe for concurrent use.
type Service struct {
	cfg Config

	mu      sync.Mutex
	relays  map[ident.ActionID]*relay // of the sessions that have not ended
	tickets map[[32]byte]ticket
	closed  bool
	wg      sync.WaitGroup
}

// ticket opens the console of one session once.
type ticket struct {
	session ident.ActionID
	by      *access.Principal
	until   time.Time
}

// New returns the service. Sessions that the server before did not end are ended.
func New(ctx context.Context, c Config) (*Service, error) {
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Audit == nil {
		c.Audit = audit.Discard
	}
	if c.PerTenant == 0 {
		c.PerTenant = 500
	}
	if c.PerCaller == 0 {
		c.PerCaller = 10
	}
	if c.Idle == 0 {
		c.Idle = wire.LiveIdle
	}
	if c.Connect == 0 {
		c.Connect = time.Minute
	}
	if c.Recheck == 0 {
		c.Recheck = 15 * time.Second
	}
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, err
	}
	s := &Service{cfg: c, relays: map[ident.ActionID]*relay{}, tickets: map[[32]byte]ticket{}}
	open, err := c.Store.OpenSessions(ctx)
	if err != nil {
		return nil, err
	}
	for _, o := range open {
		s.conclude(ctx, o, "the server was started anew", s.castFile(o.ID))
	}
	return s, nil
}

func (s *Service) castFile(id ident.ActionID) string {
	return filepath.Join(s.cfg.Dir, string(id)+".cast")
}

// LevelOf returns what p may do in a session: people what their rights say, applications
// everything. ok is false when p may have none.
func LevelOf(p *access.Principal) (level wire.LiveLevel, ok bool) {
	switch {
	case !p.Can(access.MachineLive):
		return "", false
	case p.Kind != ident.ActorUser || slices.Contains(p.Rights, access.LiveResponseAdvanced):
		return wire.LiveAdvanced, true
	}
	return wire.LiveBasic, true
}

// Request asks for a session.
type Request struct {
	Device  ident.DeviceID
	Comment string         // why; may be ""
	Level   wire.LiveLevel // at most this; "" for what the caller may
}

// Open makes a session, calls the device, and returns the session with the ticket that
// opens its console: once, within a minute.
func (s *Service) Open(ctx context.Context, by *access.Principal, r Request) (*Session, string, error) {
	const op = "live.Open"
	if !utf8.ValidString(r.Comment) || utf8.RuneCountInString(r.Comment) > maxComment {
		return nil, "", errs.New(op, errs.Invalid, errs.InvalidInput, "Comment is longer than %d characters or not UTF-8", maxComment)
	}
	level, ok := LevelOf(by)
	if !ok {
		return nil, "", errs.New(op, errs.Denied, errs.Forbidden, "live response needs a right of its own")
	}
	switch r.Level {
	case "", level:
	case wire.LiveBasic:
		level = wire.LiveBasic
	case wire.LiveAdvanced:
		return nil, "", errs.New(op, errs.Denied, errs.Forbidden, "an advanced session needs the right %s", access.LiveResponseAdvanced)
	default:
		return nil, "", errs.New(op, errs.Invalid, errs.InvalidInput, "Level is neither basic nor advanced")
	}
	d, err := s.cfg.Devices.Get(ctx, by.Tenant, r.Device)
	if err != nil {
		return nil, "", errs.Wrap(op, err)
	}
	if err := s.possible(ctx, d); err != nil {
		return nil, "", err
	}
	if err := s.settle(ctx, d); err != nil {
		return nil, "", err
	}
	now := s.cfg.Clock().UTC()
	n := &Session{ID: ident.ActionID(uuid.NewString()), Tenant: by.Tenant, Device: d.ID, DeviceName: d.Name, Incarnation: d.Incarnation,
		Level: level, By: by.Actor, Comment: r.Comment, State: Waiting, Created: now}
	rel, err := s.admit(n)
	if err != nil {
		return nil, "", err
	}
	err = s.cfg.Store.CreateSession(ctx, n)
	if err == nil {
		err = s.cfg.Audit.Record(ctx, audit.Entry{At: now, Tenant: n.Tenant, Actor: n.By, Verb: "live.open", Object: string(n.ID),
			Detail: string(n.Level) + " session with device " + string(n.Device) + ": " + n.Comment, Outcome: audit.Done})
	}
	if err != nil {
		s.drop(rel)
		return nil, "", errs.Wrap(op, err)
	}
	text := s.issue(n.ID, by)
	s.wg.Go(func() { rel.run(context.WithoutCancel(ctx)) })
	s.cfg.Nudge(n.Device)
	return n, text, nil
}

// possible says why no session may be had with d, whoever asks; nil when one may.
func (s *Service) possible(ctx context.Context, d *device.Device) error {
	const op = "live.Open"
	if works, known := d.Responds(wire.KindLiveSession); known && !works {
		return errs.New(op, errs.Unsupported, errs.ClientVersionNotSupported, "The agent %s of %s has no live response: %s", d.AgentVersion, d.Name, d.Lacks(wire.KindLiveSession))
	}
	if s.cfg.Barred == nil {
		return nil
	}
	why, err := s.cfg.Barred(ctx, d)
	if err != nil {
		return errs.Wrap(op, err)
	}
	if why != "" {
		return errs.New(op, errs.Denied, errs.DisabledFeature, "%s", why)
	}
	return nil
}

// Outlook is what would come of asking for a session now.
type Outlook struct {
	Level  wire.LiveLevel // the most that the caller may do
	Reason string         // why there would be none; "" when there would
	Open   *Session       // the session that the device has; nil for none
}

// Ask says what Open would, and opens nothing.
func (s *Service) Ask(ctx context.Context, by *access.Principal, id ident.DeviceID) (*Outlook, error) {
	const op = "live.Ask"
	d, err := s.cfg.Devices.Get(ctx, by.Tenant, id)
	if err != nil {
		return nil, errs.Wrap(op, err)
	}
	o := &Outlook{}
	o.Level, _ = LevelOf(by)
	if err := s.possible(ctx, d); err != nil {
		var e *errs.E
		if !errors.As(err, &e) || (e.Kind != errs.Unsupported && e.Kind != errs.Denied) {
			return nil, errs.Wrap(op, err)
		}
		o.Reason = e.Detail
	}
	equals := func(name string, op filter.Op, v string) filter.Compare {
		f, _ := Fields.Find(name)
		return filter.Compare{Field: f, Op: op, Value: filter.Value{Type: filter.String, S: v}}
	}
	page, err := s.cfg.Store.Sessions(ctx, by.Tenant, filter.Query{Top: 1, Where: filter.And{
		equals("machineId", filter.Eq, string(id)), equals("state", filter.Ne, string(Ended))}})
	if err != nil {
		return nil, errs.Wrap(op, err)
	}
	if len(page.Items) > 0 {
		o.Open = page.Items[0]
	}
	return o, nil
}

// settle waits for a session with d that is just ending: whoever closes one may open another.
func (s *Service) settle(ctx context.Context, d *device.Device) error {
	s.mu.Lock()
	var old *relay
	for _, r := range s.relays {
		if r.session.Tenant == d.Tenant && r.session.Device == d.ID && r.ended() {
			old = r
		}
	}
	s.mu.Unlock()
	if old == nil {
		return nil
	}
	t := time.NewTimer(2 * goodbye)
	defer t.Stop()
	select {
	case <-old.done:
	case <-t.C: // it is told as the one that is open
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// admit reserves a place for a session.
func (s *Service) admit(n *Session) (*relay, error) {
	const op = "live.Open"
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, errs.New(op, errs.Unavailable, errs.ServiceDegraded, "the server is being stopped")
	}
	tenant, caller := 0, 0
	for _, r := range s.relays {
		if r.session.Tenant == n.Tenant {
			tenant++
			if r.session.By.ID == n.By.ID {
				caller++
			}
		}
	}
	if tenant >= s.cfg.PerTenant {
		return nil, errs.New(op, errs.Limited, errs.TooManyRequests, "%d live response sessions are open, which is as many as a tenant may have", tenant)
	}
	if caller >= s.cfg.PerCaller {
		return nil, errs.New(op, errs.Limited, errs.TooManyRequests, "%d live response sessions are open, which is as many as one caller may have", caller)
	}
	r := newRelay(s, n)
	s.relays[n.ID] = r
	return r, nil
}

func (s *Service) drop(r *relay) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.relays, r.session.ID)
}

func (s *Service) relay(id ident.ActionID) *relay {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.relays[id]
}

// issue makes a ticket.
func (s *Service) issue(id ident.ActionID, by *access.Principal) string {
	raw := make([]byte, 32)
	_, _ = rand.Read(raw) // never fails
	now := s.cfg.Clock()
	s.mu.Lock()
	defer s.mu.Unlock()
	for k, t := range s.tickets {
		if !now.Before(t.until) {
			delete(s.tickets, k)
		}
	}
	s.tickets[sha256.Sum256(raw)] = ticket{id, by, now.Add(ticketLife)}
	return hex.EncodeToString(raw)
}

// redeem takes a ticket of a session; one that is wrong in any way is errs.Unauthenticated.
func (s *Service) redeem(id ident.ActionID, text string) (*relay, *access.Principal, error) {
	raw, err := hex.DecodeString(text)
	now := s.cfg.Clock()
	s.mu.Lock()
	defer s.mu.Unlock()
	sum := sha256.Sum256(raw)
	t, ok := s.tickets[sum]
	delete(s.tickets, sum)
	if err != nil || !ok || t.session != id || !now.Before(t.until) || s.relays[t.session] == nil {
		return nil, nil, errs.New("live.Console", errs.Unauthenticated, errs.Unauthorized, "the ticket is not valid, or not any more: open another session")
	}
	return s.relays[t.session], t.by, nil
}

// End ends a session from outside of it.
func (s *Service) End(ctx context.Context, by *access.Principal, id ident.ActionID) (*Session, error) {
	const op = "live.End"
	n, err := s.cfg.Store.Session(ctx, by.Tenant, id)
	if err != nil {
		return nil, errs.Wrap(op, err)
	}
	if r := s.relay(id); r != nil {
		if err := s.cfg.Audit.Record(ctx, audit.Entry{Tenant: n.Tenant, Actor: by.Actor, Verb: "live.end", Object: string(id), Outcome: audit.Done}); err != nil {
			return nil, errs.Wrap(op, err)
		}
		r.end("ended by " + by.Name)
		<-r.done
	}
	return s.Get(ctx, by.Tenant, id)
}

// Close ends every session and waits for it.
func (s *Service) Close() {
	s.mu.Lock()
	s.closed = true
	all := make([]*relay, 0, len(s.relays))
	for _, r := range s.relays {
		all = append(all, r)
	}
	s.mu.Unlock()
	for _, r := range all {
		r.end("the server was stopped")
	}
	s.wg.Wait()
}
