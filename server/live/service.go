package live

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/action"
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

// Get returns one session.
func (s *Service) Get(ctx context.Context, tenant ident.TenantID, id ident.ActionID) (*Session, error) {
	n, err := s.cfg.Store.Session(ctx, tenant, id)
	return n, errs.Wrap("live.Get", err)
}

// List lists sessions.
func (s *Service) List(ctx context.Context, tenant ident.TenantID, q filter.Query) (filter.Page[*Session], error) {
	p, err := s.cfg.Store.Sessions(ctx, tenant, q)
	return p, errs.Wrap("live.List", err)
}

// Commands returns the commands of a session.
func (s *Service) Commands(ctx context.Context, tenant ident.TenantID, id ident.ActionID) ([]*Command, error) {
	const op = "live.Commands"
	if _, err := s.cfg.Store.Session(ctx, tenant, id); err != nil { // which knows scopes
		return nil, errs.Wrap(op, err)
	}
	c, err := s.cfg.Store.Commands(ctx, tenant, id)
	return c, errs.Wrap(op, err)
}

// Transcript opens the transcript of a session that ended; the caller closes it.
func (s *Service) Transcript(ctx context.Context, tenant ident.TenantID, id ident.ActionID) (*Session, *os.File, error) {
	const op = "live.Transcript"
	n, err := s.cfg.Store.Session(ctx, tenant, id)
	if err != nil {
		return nil, nil, errs.Wrap(op, err)
	}
	if n.Transcript == "" {
		return nil, nil, errs.New(op, errs.NotFound, errs.ResourceNotFound, "the session has no transcript: it is %s", n.State)
	}
	f, err := s.cfg.Blobs.Open(n.Transcript)
	return n, f, errs.Wrap(op, err)
}

// File opens a file that a session brought; the caller closes it.
func (s *Service) File(ctx context.Context, tenant ident.TenantID, id ident.ActionID, index int) (File, *os.File, error) {
	const op = "live.File"
	n, err := s.cfg.Store.Session(ctx, tenant, id)
	if err != nil {
		return File{}, nil, errs.Wrap(op, err)
	}
	f, ok := n.file(index)
	if !ok {
		return File{}, nil, errs.New(op, errs.NotFound, errs.ResourceNotFound, "the session brought no file %d", index)
	}
	file, err := s.cfg.Blobs.Open(f.SHA256)
	return f, file, errs.Wrap(op, err)
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

// Pending returns the commands that open sessions with d, but for those that it has.
func (s *Service) Pending(_ context.Context, d *device.Device, have []ident.ActionID) ([]action.Command, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []action.Command
	for _, r := range s.relays {
		n := r.session
		if n.Device != d.ID || n.Tenant != d.Tenant || n.Incarnation != d.Incarnation || slices.Contains(have, n.ID) || r.ended() {
			continue
		}
		params, err := json.Marshal(wire.LiveSession{Level: n.Level, User: n.By.Name})
		if err != nil {
			return nil, err
		}
		out = append(out, action.Command{ID: n.ID, Device: n.Device, Incarnation: n.Incarnation, Kind: wire.KindLiveSession, Params: params,
			Issued: n.Created, Expires: n.Created.Add(commandLife)})
	}
	return out, nil
}

// Result takes what a device says of the end of a session. A session that is not d's is
// errs.NotFound.
func (s *Service) Result(ctx context.Context, d *device.Device, r action.Result) error {
	const op = "live.Result"
	n, err := s.of(ctx, d, r.ID)
	if err != nil {
		return err
	}
	if len(r.Detail) > maxComment || !utf8.ValidString(r.Detail) {
		return errs.New(op, errs.Invalid, errs.InvalidInput, "the detail is not UTF-8 or longer than %d bytes", maxComment)
	}
	if _, err := s.cfg.Store.UpdateSession(ctx, d.Tenant, n.ID, func(n *Session) error {
		n.Outcome = strings.TrimSuffix(r.State+": "+r.Detail, ": ")
		return nil
	}); err != nil {
		return errs.Wrap(op, err)
	}
	if rel := s.relay(n.ID); rel != nil {
		rel.end("the device ended it: " + r.Detail)
	}
	return errs.Wrap(op, s.cfg.Audit.Record(ctx, audit.Entry{Tenant: d.Tenant, Actor: ident.Actor{Kind: ident.ActorSystem, ID: string(d.ID), Name: d.Name, Tenant: d.Tenant},
		Verb: "live.result", Object: string(n.ID), Detail: r.State + ": " + r.Detail, Outcome: audit.Done}))
}

// of returns the session of an id if it is d's.
func (s *Service) of(ctx context.Context, d *device.Device, id ident.ActionID) (*Session, error) {
	n, err := s.cfg.Store.Session(ctx, d.Tenant, id)
	if err != nil {
		return nil, errs.Wrap("live.of", err)
	}
	if n.Device != d.ID || n.Incarnation != d.Incarnation {
		return nil, errs.New("live.of", errs.NotFound, errs.ResourceNotFound, "the device has no session %s", id)
	}
	return n, nil
}

// Expects implements transfer.Owner.
func (s *Service) Expects(ctx context.Context, d *device.Device, id ident.ActionID, index int, name, sum string) (bool, error) {
	const op = "live.Expects"
	n, err := s.of(ctx, d, id)
	if err != nil {
		return false, err
	}
	if index < 0 || index > maxFiles {
		return false, errs.New(op, errs.Invalid, errs.InvalidInput, "a session brings at most %d files", maxFiles)
	}
	if err := action.CheckName(name); err != nil {
		return false, err
	}
	if f, ok := n.file(index); ok && f.SHA256 == sum {
		return true, nil
	}
	if s.relay(id) == nil {
		return false, errs.New(op, errs.Conflict, errs.BadRequest, "the session has ended")
	}
	return false, nil
}

// Keep implements transfer.Owner.
func (s *Service) Keep(ctx context.Context, d *device.Device, id ident.ActionID, index int, name string, r io.Reader) error {
	const op = "live.Keep"
	if _, err := s.of(ctx, d, id); err != nil {
		return err
	}
	sum, size, err := s.cfg.Blobs.Put(r, action.MaxArtifact)
	if err != nil {
		return errs.Wrap(op, err)
	}
	f := File{Index: index, Name: name, SHA256: sum, Size: size, At: s.cfg.Clock().UTC()}
	n, err := s.cfg.Store.UpdateSession(ctx, d.Tenant, id, func(n *Session) error {
		n.Files = append(slices.DeleteFunc(n.Files, func(f File) bool { return f.Index == index }), f)
		return nil
	})
	if err != nil {
		return errs.Wrap(op, err)
	}
	return errs.Wrap(op, s.cfg.Audit.Record(ctx, audit.Entry{Tenant: n.Tenant, Actor: n.By, Verb: "live.file", Object: string(id),
		Detail: fmt.Sprintf("%q of device %s, %d bytes, SHA-256 %s", name, n.Device, size, sum), Outcome: audit.Done}))
}

// Grants implements transfer.Owner: an advanced session that is open has the library.
func (s *Service) Grants(ctx context.Context, d *device.Device, id ident.ActionID, name string) (string, error) {
	const op = "live.Grants"
	n, err := s.of(ctx, d, id)
	if err != nil {
		return "", err
	}
	r := s.relay(id)
	if r == nil || n.Level != wire.LiveAdvanced || !r.names(name) {
		return "", errs.New(op, errs.NotFound, errs.ResourceNotFound, "no command of the session names that file")
	}
	sum, err := s.cfg.Library.Digest(ctx, d.Tenant, name)
	return sum, errs.Wrap(op, err)
}

// Sums calls each with the hash of everything that sessions keep; those that ended before a
// time forget it.
func (s *Service) Sums(ctx context.Context, tenant ident.TenantID, before time.Time, each func(sum string)) error {
	const op, part = "live.Sums", 500
	for q := (filter.Query{Top: part}); ; q.Skip += part {
		page, err := s.cfg.Store.Sessions(ctx, tenant, q)
		if err != nil {
			return errs.Wrap(op, err)
		}
		for _, n := range page.Items {
			if n.State == Ended && n.Ended.Before(before) && (n.Transcript != "" || len(n.Files) > 0) {
				if _, err := s.cfg.Store.UpdateSession(ctx, tenant, n.ID, func(n *Session) error {
					n.Transcript, n.Files = "", nil
					return nil
				}); err != nil {
					return errs.Wrap(op, err)
				}
				continue
			}
			if n.Transcript != "" {
				each(n.Transcript)
			}
			for _, f := range n.Files {
				each(f.SHA256)
			}
		}
		if len(page.Items) < part {
			return nil
		}
	}
}

// conclude ends a session in the store, and keeps its transcript. An error is for the log:
// the session is over in any case, and ended again at the next start.
func (s *Service) conclude(ctx context.Context, n *Session, reason, cast string) {
	sum := ""
	f, err := os.Open(cast)
	if err == nil {
		sum, _, err = s.cfg.Blobs.Put(f, maxCast*2)
		err = errors.Join(err, f.Close())
	} else if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	now := s.cfg.Clock().UTC()
	ended, uerr := s.cfg.Store.UpdateSession(ctx, n.Tenant, n.ID, func(n *Session) error {
		n.State, n.Ended, n.Reason = Ended, now, reason
		if sum != "" {
			n.Transcript = sum
		}
		return nil
	})
	if uerr == nil && err == nil {
		_ = os.Remove(cast) // it is kept as a blob
	}
	if err = errors.Join(err, uerr); err == nil {
		err = s.lose(ctx, ended)
	}
	if err == nil {
		err = s.cfg.Audit.Record(ctx, audit.Entry{At: now, Tenant: n.Tenant, Actor: n.By, Verb: "live.close", Object: string(n.ID), Detail: reason, Outcome: audit.Done})
	}
	if err != nil {
		s.cfg.Log.Error("ending a live response session", "session", n.ID, "err", err)
	}
}

// lose says of commands that were running at the end that nobody knows how they ended.
func (s *Service) lose(ctx context.Context, n *Session) error {
	all, err := s.cfg.Store.Commands(ctx, n.Tenant, n.ID)
	if err != nil {
		return err
	}
	for _, c := range all {
		if c.Ended.IsZero() {
			c.Ended, c.Status, c.Error = n.Ended, "lost", "the session ended first"
			if err := s.cfg.Store.PutCommand(ctx, n.Tenant, n.ID, c); err != nil {
				return err
			}
		}
	}
	return nil
}
