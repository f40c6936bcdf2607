package action

import (
	"context"
	"errors"
	"slices"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/device"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
)

// MaxBulk is how many devices one request may be about, as published for files.
const MaxBulk = 1000

// bulkPart is how many actions are kept in one transaction: it is brief for whoever waits.
const bulkPart = 50

// Outcome is what became of a request for one of many devices.
type Outcome struct {
	Device ident.DeviceID
	Name   string  // of the device; "" when it is not known
	Action *Action // nil when it was refused, and when the request was only counted
	Err    error   // why it was refused
}

// Count says for each device what RequestMany would say, and asks for nothing.
func (s *Service) Count(ctx context.Context, by *access.Principal, devices []ident.DeviceID, r Request) ([]Outcome, error) {
	return s.each(ctx, by, devices, r, func(d *device.Device, r Request) (*Action, error) {
		if err := s.refusal(d, &r, s.cfg.Clock()); err != nil {
			return nil, err
		}
		open, err := s.cfg.Store.OpenActions(ctx, by.Tenant, d.ID)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(open, func(a *Action) bool { return a.Kind == r.Kind }) {
			return nil, errs.New("action.Count", errs.Conflict, errs.ActiveRequestAlreadyExists, "Action is already in progress")
		}
		return nil, nil
	})
}

// RequestMany asks many devices for the same; what is refused for one is asked of the others
// all the same. Permission is decided by the caller. More than MaxBulk devices are
// errs.Invalid; a device that is named twice is asked once.
func (s *Service) RequestMany(ctx context.Context, by *access.Principal, devices []ident.DeviceID, r Request) ([]Outcome, error) {
	const op = "action.RequestMany"
	kept := map[*Action]*device.Device{}
	out, err := s.each(ctx, by, devices, r, func(d *device.Device, r Request) (*Action, error) {
		params, err := r.allowed(by)
		if err != nil {
			return nil, err
		}
		a, err := s.prepare(ctx, by, d, r, params)
		if err == nil {
			kept[a] = d
		}
		return a, err
	})
	if err != nil {
		return nil, err
	}
	for part := range slices.Chunk(out, bulkPart) {
		err := s.cfg.Atomic(ctx, func(ctx context.Context) error {
			for i := range part {
				o := &part[i]
				if o.Action == nil {
					continue
				}
				if err := s.keep(ctx, by, kept[o.Action], o.Action); err != nil {
					o.Action, o.Err = nil, err
				}
			}
			return nil
		})
		if err != nil {
			return nil, errs.Wrap(op, err)
		}
		for _, o := range part {
			if o.Action != nil {
				s.announce(o.Action)
			}
		}
	}
	return out, nil
}

// each does something for each device that r asks, once.
func (s *Service) each(ctx context.Context, by *access.Principal, devices []ident.DeviceID, r Request, do func(*device.Device, Request) (*Action, error)) ([]Outcome, error) {
	const op = "action.RequestMany"
	if len(devices) == 0 {
		return nil, errs.New(op, errs.Invalid, errs.MissingRequiredParameter, "there are no devices to ask")
	}
	if len(devices) > MaxBulk {
		return nil, errs.New(op, errs.Invalid, errs.MaximumBatchSizeExceeded, "received %d devices, allowed %d", len(devices), MaxBulk)
	}
	probe := r
	if _, err := probe.check(); err != nil {
		return nil, err // wrong for every device
	}
	seen := map[ident.DeviceID]bool{}
	var out []Outcome
	for _, id := range devices {
		if seen[id] {
			continue
		}
		seen[id] = true
		o := Outcome{Device: id}
		d, err := s.cfg.Devices.Get(ctx, by.Tenant, id)
		if err == nil {
			q := r
			q.Device, o.Name = id, d.Name
			o.Action, err = do(d, q)
		}
		var e *errs.E
		if err != nil && (!errors.As(err, &e) || e.Kind == errs.Internal || e.Kind == errs.Unavailable) {
			return nil, errs.Wrap(op, err)
		}
		o.Err = err
		out = append(out, o)
	}
	return out, nil
}
