package action

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"time"

	"github.com/google/uuid"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/audit"
	"github.com/vedette-edr/vedette/server/bus"
	"github.com/vedette-edr/vedette/server/device"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/filter"
	"github.com/vedette-edr/vedette/server/ident"
)

const (
	// present is how recently a device must have reported to be judged by its report.
	present     = 10 * time.Minute
	defaultLife = 3 * 24 * time.Hour // the published one, for an offline device
	maxLife     = 7 * 24 * time.Hour
	maxComment  = 4000 // characters
	maxExternal = 256
)

// Devices is what the service asks about devices.
type Devices interface {
	// Get returns one device, errs.NotFound when the tenant has no such device.
	Get(ctx context.Context, tenant ident.TenantID, id ident.DeviceID) (*device.Device, error)
}

// Nudger tells a device that something waits for it. It is a hint: it may be lost, and
// must not wait.
type Nudger interface {
	Nudge(device ident.DeviceID)
}

// Config is what a Service and a Dispatcher need.
type Config struct {
	Store   Store
	Devices Devices
	Nudger  Nudger              // nil for none
	Audit   audit.Log           // nil for none
	Changed *bus.Topic[Changed] // nil for none
	// Self reports whether the device is the machine that this server runs on; nil says
	// that none is.
	Self func(*device.Device) bool
	// Barred says why there is no live response with a device, "" when there is; nil bars none.
	Barred   func(ctx context.Context, d *device.Device) (string, error)
	Policies PolicyStore // who must agree to what; nil for nobody to anything
	Waiting  Waiting     // hears of what waits for approval; nil for nobody
	// Envelopes is needed where devices ask for approvers' own signatures.
	Envelopes Envelopes
	// Releases makes release codes; nil for none.
	Releases ReleaseSigner
	// Library has the files that live responses name; nil has none.
	Library Library
	Blobs   Blobs            // keeps what actions yield; nil where nothing does
	Clock   func() time.Time // nil for time.Now
	Rand    io.Reader        // nil for crypto/rand
	// Offboarded is told in the transaction that a device has taken its leave; nil tells
	// nobody.
	Offboarded func(ctx context.Context, tenant ident.TenantID, device ident.DeviceID, incarnation uint64) error
	// Fault is called at each step of an action on the server, by the step's name (see
	// Faults). It is for tests, which end the process there; nil for nothing.
	Fault func(point string)
	// Atomic runs do in one transaction of Store and Audit, which take part by do's
	// context; nil runs it as it is.
	Atomic func(ctx context.Context, do func(context.Context) error) error
}

// Service takes requests for actions, and cancellations. Permission is decided by the
// caller, before.
type Service struct {
	cfg Config
}

// NewService returns the service.
func NewService(c Config) *Service { return &Service{c.filled()} }

// filled returns c with what may be left out.
func (c Config) filled() Config {
	if c.Audit == nil {
		c.Audit = audit.Discard
	}
	if c.Self == nil {
		c.Self = func(*device.Device) bool { return false }
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Rand == nil {
		c.Rand = rand.Reader
	}
	if c.Library == nil {
		c.Library = noLibrary{}
	}
	if c.Policies == nil {
		c.Policies = noPolicies{}
	}
	if c.Waiting == nil {
		c.Waiting = nobody{}
	}
	if c.Offboarded == nil {
		c.Offboarded = func(context.Context, ident.TenantID, ident.DeviceID, uint64) error { return nil }
	}
	if c.Fault == nil {
		c.Fault = func(string) {}
	}
	if c.Nudger == nil {
		c.Nudger = noNudger{}
	}
	if c.Atomic == nil {
		c.Atomic = func(ctx context.Context, do func(context.Context) error) error { return do(ctx) }
	}
	return c
}

type noNudger struct{}

func (noNudger) Nudge(ident.DeviceID) {}

// Request asks for an action on a device.
type Request struct {
	Device    ident.DeviceID
	Kind      Kind
	Scope     string          // for Isolate: Full or Selective, "" for Full; for RunAntiVirusScan: Quick or Full, "" for Quick
	File      string          // for StopAndQuarantineFile, RestoreFile and RequestSample: a SHA-1 or SHA-256
	Paths     []string        // where the file was seen on devices; what is no path is left out
	Size      int64           // of the file in bytes; 0 when it is not known
	Scan      *Scan           // of RunAntiVirusScan; nil for the zero value
	Commands  []LiveCommand   // for LiveResponse: Kind and Params of each
	Comment   string          // why; required
	Source    string          // PublicApi, Portal, Rule, …
	External  string          // the caller's own id; may be ""
	Life      time.Duration   // how long an absent device is waited for; 0 for three days
	ForceSelf bool            // isolate the machine that the server runs on all the same
	Undoes    ident.ActionID  // the action whose inverse it is; "" for none
	Allow     *IsolationAllow // of a selective isolation; nil for DefaultAllow
	Trust     *Trust          // of RestrictCodeExecution; nil for packages' files alone
	Message   *Message        // of NotifyUser
}

// Request checks r and keeps the action. It is approved at once where no policy asks for
// somebody's approval, and waits for it otherwise. While an action of the kind is open on the
// device it is errs.Conflict with code ActiveRequestAlreadyExists.
func (s *Service) Request(ctx context.Context, by *access.Principal, r Request) (*Action, error) {
	const op = "action.Request"
	a, d, err := s.asked(ctx, by, r)
	if err != nil {
		return nil, err
	}
	if err := s.keep(ctx, by, d, a); err != nil {
		return nil, errs.Wrap(op, err)
	}
	s.announce(a)
	return a, nil
}

// asked makes the action of a request for one device, which is not kept yet.
func (s *Service) asked(ctx context.Context, by *access.Principal, r Request) (*Action, *device.Device, error) {
	params, err := r.allowed(by)
	if err != nil {
		return nil, nil, err
	}
	d, err := s.cfg.Devices.Get(ctx, by.Tenant, r.Device)
	if err != nil {
		return nil, nil, errs.Wrap("action.Request", err)
	}
	a, err := s.prepare(ctx, by, d, r, params)
	return a, d, err
}

// allowed checks r and that by may ask for it, and returns what the responder gets.
func (r *Request) allowed(by *access.Principal) (json.RawMessage, error) {
	params, err := r.check()
	if err != nil {
		return nil, err
	}
	return params, mayRun(by, r)
}

// prepare makes the action of a request that was allowed, which is not kept yet.
func (s *Service) prepare(ctx context.Context, by *access.Principal, d *device.Device, r Request, params json.RawMessage) (*Action, error) {
	const op = "action.Request"
	now := s.cfg.Clock().UTC()
	if err := s.refusal(d, &r, now); err != nil {
		return nil, errors.Join(err, s.cfg.Audit.Record(ctx, audit.Entry{
			Tenant: by.Tenant, Actor: by.Actor, Verb: "action.request", Object: string(d.ID), Detail: string(r.Kind) + ": " + detailOf(err), Outcome: audit.Denied,
		}))
	}
	if err := s.barred(ctx, by, d, &r); err != nil {
		return nil, err
	}
	pins, err := s.pin(ctx, by.Tenant, &r)
	if err != nil {
		return nil, err
	}
	id, err := uuid.NewRandomFromReader(s.cfg.Rand)
	if err != nil {
		return nil, errs.Wrap(op, err)
	}
	a := &Action{
		ID: ident.ActionID(id.String()), Tenant: by.Tenant, Device: d.ID, DeviceName: d.Name, Incarnation: d.Incarnation,
		Kind: r.Kind, Scope: r.Scope, File: r.File, Commands: r.Commands, Params: params, Pins: pins, Comment: r.Comment, Requestor: by.Actor, Source: r.Source,
		External: r.External, Created: now, Expires: now.Add(r.Life), Life: r.Life, Undoes: r.Undoes,
	}
	a.move(Requested, now, by.Name, r.Comment, nil)
	return a, nil
}

// barred refuses a live response with a device whose group has none, as sessions are.
func (s *Service) barred(ctx context.Context, by *access.Principal, d *device.Device, r *Request) error {
	if r.Kind != LiveResponse || s.cfg.Barred == nil {
		return nil
	}
	why, err := s.cfg.Barred(ctx, d)
	if err != nil || why == "" {
		return err
	}
	return errors.Join(errs.New("action.Request", errs.Denied, errs.DisabledFeature, "%s", why), s.cfg.Audit.Record(ctx, audit.Entry{
		Tenant: by.Tenant, Actor: by.Actor, Verb: "action.request", Object: string(d.ID), Detail: string(r.Kind) + ": " + why, Outcome: audit.Denied,
	}))
}

// refusal says why a device cannot be asked for an action at all, nil when it can.
func (s *Service) refusal(d *device.Device, r *Request, now time.Time) error {
	if r.Kind.ByServer() {
		return nil
	}
	if r.Kind == Isolate && !r.ForceSelf && s.cfg.Self(d) {
		return errs.New("action.Request", errs.Denied, errs.ForceSelfMissing,
			"the device %s is the machine this server runs on: isolating it cuts everybody off from the server, and is refused unless forced", d.Name)
	}
	if r.Kind == Isolate && r.Scope == scopeSelective {
		if err := RefusalOfSelective(d); err != nil {
			return err
		}
	}
	if d.Left() {
		return errs.New("action.Request", errs.Conflict, errs.DisallowedOperation, "the device %s was offboarded and takes no actions", d.Name)
	}
	// A device that is away may come back with an agent that can.
	if err := Refusal(d, r.Kind); err != nil && now.Sub(d.LastReport) < present {
		return err
	}
	return nil
}

// keep keeps an action that was prepared, approved or waiting, with its record.
func (s *Service) keep(ctx context.Context, by *access.Principal, d *device.Device, a *Action) error {
	return s.cfg.Atomic(ctx, func(ctx context.Context) error {
		if err := s.sessionFree(ctx, a); err != nil {
			return err
		}
		if err := s.demand(ctx, by, d, a); err != nil {
			return err
		}
		if err := s.cfg.Store.CreateAction(ctx, a); err != nil {
			return err
		}
		s.cfg.Fault(faultAsked)
		if a.State == Requested {
			if err := s.cfg.Waiting.Waits(ctx, a); err != nil {
				return err
			}
		}
		return s.cfg.Audit.Record(ctx, audit.Entry{
			At: a.Created, Tenant: by.Tenant, Actor: by.Actor, Verb: "action.request", Object: string(a.ID),
			Detail: string(a.Kind) + " of device " + string(a.Device) + ": " + a.Comment, Outcome: audit.Done,
		})
	})
}

// announce tells of an action that was kept, and its device when it may have it.
func (s *Service) announce(a *Action) {
	s.cfg.Fault(faultKept)
	s.cfg.Changed.Publish(Changed{a})
	if a.State == Approved && !a.Kind.ByServer() {
		s.cfg.Nudger.Nudge(a.Device)
	}
}

// Get returns one action.
func (s *Service) Get(ctx context.Context, tenant ident.TenantID, id ident.ActionID) (*Action, error) {
	a, err := s.cfg.Store.Action(ctx, tenant, id)
	return a, errs.Wrap("action.Get", err)
}

// List lists actions, newest first unless q orders otherwise.
func (s *Service) List(ctx context.Context, tenant ident.TenantID, q filter.Query) (filter.Page[*Action], error) {
	p, err := s.cfg.Store.Actions(ctx, tenant, q)
	return p, errs.Wrap("action.List", err)
}

// move brings a into a state and keeps the step.
func (a *Action) move(to State, at time.Time, actor, detail string, evidence json.RawMessage) {
	a.State, a.Updated = to, at
	if to == Failed {
		a.Error = detail
	}
	a.Steps = append(a.Steps, Step{State: to, At: at, Actor: actor, Detail: detail, Evidence: evidence})
}
