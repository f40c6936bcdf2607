package indicator

import (
	"context"
	"time"

	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
)

// TallyKey names what is counted: the sightings of one row on one device.
type TallyKey struct {
	Tenant ident.TenantID
	Noun   Noun // AnIOC or AnIndicator
	ID     int64
	Device ident.DeviceID
}

// Tally is how often one row was seen on one device. As an argument it is a difference to
// be added.
type Tally struct {
	TallyKey
	Matches int64 // events that showed it, those included that a device left out as repetitions
	Blocks  int64 // of these, those in which the device reports that it blocked what it saw
	Alerts  int64 // alerts raised
	First   time.Time
	Last    time.Time
}

// Add adds x, which has the same key.
func (t *Tally) Add(x *Tally) {
	t.Matches, t.Blocks, t.Alerts = t.Matches+x.Matches, t.Blocks+x.Blocks, t.Alerts+x.Alerts
	if x.First.Before(t.First) {
		t.First = x.First
	}
	if x.Last.After(t.Last) {
		t.Last = x.Last
	}
}

// Stats is what was seen of one row on all devices.
type Stats struct {
	Matches int64
	Blocks  int64
	Alerts  int64
	Devices int
	First   time.Time // zero when it was never seen
	Last    time.Time
}

// TallyStore keeps sightings. What is counted of a row goes when somebody deletes the row,
// and stays when it expires.
type TallyStore interface {
	// AddTallies adds all or none. Rows that are not there any more are left out.
	AddTallies(ctx context.Context, ts []Tally) error
	// Tallied sums up one row's sightings; of one that was never seen all is zero. With a
	// scope in the context only devices within are counted.
	Tallied(ctx context.Context, tenant ident.TenantID, noun Noun, id int64) (*Stats, error)
}

// Stats returns what was seen of an indicator that the caller sees, up to some seconds ago.
func (s *Service) Stats(ctx context.Context, id ident.IndicatorID) (*Stats, error) {
	const op = "indicator.Stats"
	if _, err := s.Indicator(ctx, id); err != nil {
		return nil, errs.Wrap(op, err)
	}
	c, err := s.caller(ctx, op)
	if err != nil {
		return nil, err
	}
	st, err := s.tallies.Tallied(ctx, c.Tenant, AnIndicator, int64(id))
	return st, errs.Wrap(op, err)
}

// IOCStats is Stats of an IOC.
func (s *Service) IOCStats(ctx context.Context, id IOCID) (*Stats, error) {
	const op = "indicator.IOCStats"
	if _, err := s.IOC(ctx, id); err != nil {
		return nil, errs.Wrap(op, err)
	}
	c, err := s.caller(ctx, op)
	if err != nil {
		return nil, err
	}
	st, err := s.tallies.Tallied(ctx, c.Tenant, AnIOC, int64(id))
	return st, errs.Wrap(op, err)
}
