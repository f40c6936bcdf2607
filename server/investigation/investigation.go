// Package investigation is the record of automated investigations: what was asked to be
// looked into, by whom or by which alert, and how far that got.
//
// It investigates nothing. Whoever does moves an investigation on; until then it waits as
// Queued and says so, and ends as TerminatedBySystem when nobody came for it. Start at
// Service.
package investigation

import (
	"context"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/audit"
	"github.com/vedette-edr/vedette/server/device"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/filter"
	"github.com/vedette-edr/vedette/server/ident"
)

// State is the published state of an investigation.
type State string

// The states that this release gives.
const (
	Queued             State = "Queued"
	TerminatedBySystem State = "TerminatedBySystem"
)

// Open reports whether the investigation is not over.
func (s State) Open() bool {
	switch s {
	case Queued, "Running", "PendingApproval", "PendingResource":
		return true
	}
	return false
}

// Investigation is one investigation of a device.
type Investigation struct {
	ID         int64 // 1, 2, 3, … in its tenant
	Tenant     ident.TenantID
	Device     ident.DeviceID
	DeviceName string
	State      State
	Details    string // why it is in the state, for people
	Alert      ident.AlertID
	Comment    string
	Requestor  ident.Actor
	Cancelled  string // who ended it; "" for nobody
	Start      time.Time
	End        time.Time // zero while it is open
}

// Fields is what investigations may be filtered and ordered by.
var Fields = filter.Schema{
	{Name: "id", Type: filter.String},
	{Name: "startTime", Type: filter.Time},
	{Name: "endTime", Type: filter.Time},
	{Name: "state", Type: filter.String},
	{Name: "machineId", Type: filter.String},
	{Name: "triggeringAlertId", Type: filter.String},
}

// Store keeps investigations. A thing of another tenant, or of a device outside of
// access.ScopeOf the context, is errs.NotFound.
type Store interface {
	// CreateInvestigation gives i the next ID of its tenant and keeps it. While one is open
	// on the device it is errs.Conflict with code ActiveRequestAlreadyExists.
	CreateInvestigation(ctx context.Context, i *Investigation) error
	Investigation(ctx context.Context, tenant ident.TenantID, id int64) (*Investigation, error)
	// Investigations lists investigations, newest first unless q orders otherwise.
	Investigations(ctx context.Context, tenant ident.TenantID, q filter.Query) (filter.Page[*Investigation], error)
	// UpdateInvestigation reads, changes and writes one investigation in a transaction; an
	// error of change leaves it as it was and is returned.
	UpdateInvestigation(ctx context.Context, tenant ident.TenantID, id int64, change func(*Investigation) error) (*Investigation, error)
}

// Devices is what the service asks about devices.
type Devices interface {
	Get(ctx context.Context, tenant ident.TenantID, id ident.DeviceID) (*device.Device, error)
}

// Alerts is told of what becomes of the investigations of alerts.
type Alerts interface {
	// Investigated notes, in the transaction of ctx, that the investigation with the number
	// is in a state: on the alert id, which becomes one of its alerts ("" for none), and on
	// those that it has. announce is called when the transaction is kept.
	Investigated(ctx context.Context, tenant ident.TenantID, id ident.AlertID, number int64, state State) (announce func(), err error)
}

// Config is what a Service is made of.
type Config struct {
	Store   Store
	Devices Devices
	Alerts  Alerts           // nil for nobody to tell
	Audit   audit.Log        // nil for none
	Clock   func() time.Time // nil for time.Now
	// Atomic runs do in one transaction of Store and Audit; nil runs it as it is.
	Atomic func(ctx context.Context, do func(context.Context) error) error
}

// Service takes requests for investigations. Permission is decided by the caller, before.
type Service struct{ cfg Config }

// New returns the service.
func New(c Config) *Service {
	if c.Audit == nil {
		c.Audit = audit.Discard
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Atomic == nil {
		c.Atomic = func(ctx context.Context, do func(context.Context) error) error { return do(ctx) }
	}
	return &Service{c}
}

const (
	maxComment = 4000 // characters
	// life is how long an investigation waits for whoever carries it out.
	life = 3 * 24 * time.Hour
	// waiting is what Queued ones say of themselves.
	waiting = "It waits: nothing on this server investigates by itself yet"
)

// Start asks for an investigation of a device; alert is what triggered it, "" for a person.
func (s *Service) Start(ctx context.Context, by *access.Principal, id ident.DeviceID, alert ident.AlertID, comment string) (*Investigation, error) {
	const op = "investigation.Start"
	if strings.TrimSpace(comment) == "" {
		return nil, errs.New(op, errs.Invalid, errs.MissingRequiredParameter, "Comment is missing: an investigation needs a reason")
	}
	if !utf8.ValidString(comment) || utf8.RuneCountInString(comment) > maxComment {
		return nil, errs.New(op, errs.Invalid, errs.InvalidInput, "Comment is longer than %d characters or not UTF-8", maxComment)
	}
	d, err := s.cfg.Devices.Get(ctx, by.Tenant, id)
	if err != nil {
		return nil, errs.Wrap(op, err)
	}
	now := s.cfg.Clock().UTC()
	i := &Investigation{Tenant: by.Tenant, Device: d.ID, DeviceName: d.Name, State: Queued, Details: waiting, Alert: alert, Comment: comment, Requestor: by.Actor, Start: now}
	err = s.atomic(ctx, func(ctx context.Context) (func(), error) {
		if err := s.cfg.Store.CreateInvestigation(ctx, i); err != nil {
			return nil, err
		}
		announce, err := s.tell(ctx, i, alert)
		if err != nil {
			return nil, err
		}
		return announce, s.cfg.Audit.Record(ctx, audit.Entry{At: now, Tenant: by.Tenant, Actor: by.Actor, Verb: "investigation.start",
			Object: strconv.FormatInt(i.ID, 10), Detail: "of device " + string(d.ID) + ": " + comment, Outcome: audit.Done})
	})
	if err != nil {
		return nil, errs.Wrap(op, err)
	}
	return i, nil
}

// atomic runs do in one transaction, and what it returns when that was kept.
func (s *Service) atomic(ctx context.Context, do func(context.Context) (announce func(), err error)) error {
	announce := func() {}
	err := s.cfg.Atomic(ctx, func(ctx context.Context) error {
		said, err := do(ctx)
		if said != nil {
			announce = said
		}
		return err
	})
	if err == nil {
		announce()
	}
	return err
}

// tell notes the state of i on its alerts, and on one more when id is not "".
func (s *Service) tell(ctx context.Context, i *Investigation, id ident.AlertID) (func(), error) {
	if s.cfg.Alerts == nil {
		return nil, nil
	}
	return s.cfg.Alerts.Investigated(ctx, i.Tenant, id, i.ID, i.State)
}

// StartFor starts the investigation that a new alert triggers. While one is open on the
// device the alert joins that one instead.
func (s *Service) StartFor(ctx context.Context, by *access.Principal, id ident.DeviceID, alert ident.AlertID, comment string) (*Investigation, error) {
	const op = "investigation.StartFor"
	const tries = 3 // the open one may end between the two looks at it
	for n := 0; ; n++ {
		i, err := s.Start(ctx, by, id, alert, comment)
		if !errs.Is(err, errs.Conflict) {
			return i, errs.Wrap(op, err)
		}
		joined, jerr := s.join(ctx, by, id, alert)
		if jerr != nil || joined != nil {
			return joined, errs.Wrap(op, jerr)
		}
		if n == tries {
			return nil, errs.Wrap(op, err)
		}
	}
}

// join files an alert under the investigation that is open on its device, and returns nil
// when none is.
func (s *Service) join(ctx context.Context, by *access.Principal, id ident.DeviceID, alert ident.AlertID) (*Investigation, error) {
	device, _ := Fields.Find("machineId")
	q := filter.Query{Top: 1, Where: filter.Compare{Field: device, Value: filter.Value{Type: filter.String, S: string(id)}}}
	var out *Investigation
	err := s.atomic(ctx, func(ctx context.Context) (func(), error) {
		out = nil
		p, err := s.cfg.Store.Investigations(ctx, by.Tenant, q)
		// The newest is the open one, if one is: there is one at a time.
		if err != nil || len(p.Items) == 0 || !p.Items[0].State.Open() {
			return nil, err
		}
		out = p.Items[0]
		if out.Alert == alert {
			return nil, nil // somebody else just started it for the same alert
		}
		announce, err := s.tell(ctx, out, alert)
		if err != nil {
			return nil, err
		}
		return announce, s.cfg.Audit.Record(ctx, audit.Entry{At: s.cfg.Clock().UTC(), Tenant: by.Tenant, Actor: by.Actor, Verb: "investigation.join",
			Object: strconv.FormatInt(out.ID, 10), Detail: "alert " + string(alert), Outcome: audit.Done})
	})
	return out, err
}

// Get returns one investigation.
func (s *Service) Get(ctx context.Context, tenant ident.TenantID, id int64) (*Investigation, error) {
	i, err := s.cfg.Store.Investigation(ctx, tenant, id)
	return i, errs.Wrap("investigation.Get", err)
}

// OfAlert returns the newest investigation that an alert triggered.
func (s *Service) OfAlert(ctx context.Context, tenant ident.TenantID, id ident.AlertID) (*Investigation, error) {
	const op = "investigation.OfAlert"
	f, _ := Fields.Find("triggeringAlertId")
	p, err := s.cfg.Store.Investigations(ctx, tenant, filter.Query{Top: 1,
		Where: filter.Compare{Field: f, Value: filter.Value{Type: filter.String, S: string(id)}}})
	switch {
	case err != nil:
		return nil, errs.Wrap(op, err)
	case len(p.Items) == 0:
		return nil, errs.New(op, errs.NotFound, errs.ResourceNotFound, "No investigation was triggered by alert %s", id)
	}
	return p.Items[0], nil
}

// List lists investigations, newest first unless q orders otherwise.
func (s *Service) List(ctx context.Context, tenant ident.TenantID, q filter.Query) (filter.Page[*Investigation], error) {
	p, err := s.cfg.Store.Investigations(ctx, tenant, q)
	return p, errs.Wrap("investigation.List", err)
}

// Sweep ends the investigations of a tenant that waited longer than one may. It is called
// now and then.
func (s *Service) Sweep(ctx context.Context, tenant ident.TenantID) error {
	const op = "investigation.Sweep"
	now := s.cfg.Clock().UTC()
	state, _ := Fields.Find("state")
	start, _ := Fields.Find("startTime")
	for {
		p, err := s.cfg.Store.Investigations(ctx, tenant, filter.Query{Top: 100, Where: filter.And{
			filter.Compare{Field: state, Value: filter.Value{Type: filter.String, S: string(Queued)}},
			filter.Compare{Field: start, Op: filter.Le, Value: filter.Value{Type: filter.Time, T: now.Add(-life)}},
		}})
		if err != nil {
			return errs.Wrap(op, err)
		}
		if len(p.Items) == 0 {
			return nil
		}
		for _, i := range p.Items {
			if err := s.atomic(ctx, func(ctx context.Context) (func(), error) {
				i, err := s.cfg.Store.UpdateInvestigation(ctx, tenant, i.ID, func(i *Investigation) error {
					if i.State == Queued {
						i.State, i.End, i.Details = TerminatedBySystem, now, "Nothing took the investigation within three days"
					}
					return nil
				})
				if err != nil {
					return nil, err
				}
				return s.tell(ctx, i, "")
			}); err != nil {
				return errs.Wrap(op, err)
			}
		}
	}
}
