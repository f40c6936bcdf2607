package device

import (
	"context"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
)

// ClockTolerance is the clock offset up to which a device's own time is taken as it is.
const ClockTolerance = 2 * time.Second

// MaxFacilities bounds the facilities of one report.
const MaxFacilities = 256

// Report is one heartbeat of a device, validated.
type Report struct {
	AgentVersion string
	Protocol     int
	Inventory    *Inventory // nil when unchanged since the last report
	Facilities   []Facility
	Spool        Spool
	Indicators   uint64
	ExternalIP   string
	Offset       time.Duration // server clock minus device clock
}

// Heartbeat records a report and returns the device as it is now.
func (s *Service) Heartbeat(ctx context.Context, tenant ident.TenantID, id ident.DeviceID, r Report) (*Device, error) {
	const op = "device.Heartbeat"
	if err := r.check(); err != nil {
		return nil, err
	}
	now := s.now().UTC()
	d, err := s.update(ctx, tenant, id, func(d *Device) error {
		d.LastSeen, d.LastReport = now, now
		d.AgentVersion, d.Protocol = r.AgentVersion, r.Protocol
		d.Facilities, d.Spool, d.Indicators = slices.Clone(r.Facilities), r.Spool, r.Indicators
		d.ExternalIP, d.Offset = r.ExternalIP, r.Offset
		if r.Inventory != nil {
			d.Inventory = r.Inventory.copy()
			d.LastIP = r.Inventory.mainIP()
			if n := r.Inventory.Name(); n != "" {
				d.Name = n
			}
			if r.Inventory.Platform != "" {
				d.Platform = r.Inventory.Platform
			}
		}
		return nil
	})
	return d, errs.Wrap(op, err)
}

// Touch records signs of life that came with telemetry.
func (s *Service) Touch(ctx context.Context, contacts []Contact) error {
	if len(contacts) == 0 {
		return nil
	}
	return errs.Wrap("device.Touch", s.store.Touch(ctx, contacts))
}

// ClockWrong reports whether the device's clock is off by more than ClockTolerance, so
// that the server corrects its timestamps.
func (d *Device) ClockWrong() bool { return d.Offset.Abs() > ClockTolerance }

func (r *Report) check() error {
	const op = "device.Heartbeat"
	if len(r.AgentVersion) > 64 || !utf8.ValidString(r.AgentVersion) {
		return errs.New(op, errs.Invalid, errs.InvalidInput, "the agent version is longer than 64 bytes or not UTF-8")
	}
	if len(r.Facilities) > MaxFacilities {
		return errs.New(op, errs.Invalid, errs.InvalidInput, "there are %d facilities, more than %d", len(r.Facilities), MaxFacilities)
	}
	for i, f := range r.Facilities {
		switch f.State {
		case "working", "degraded", "missing":
		default:
			return errs.New(op, errs.Invalid, errs.InvalidInput, "the state of facility %d is not known", i)
		}
		for _, t := range []string{f.Name, f.Detail, f.Remedy} {
			if len(t) > maxText || !utf8.ValidString(t) {
				return errs.New(op, errs.Invalid, errs.InvalidInput, "a text of facility %d is longer than %d bytes or not UTF-8", i, maxText)
			}
		}
	}
	return nil
}
