package fleetsim

import (
	"context"
	"maps"
	"sync"

	"github.com/vedette-edr/vedette/agent/link"
	"github.com/vedette-edr/vedette/wire/wirepb"
)

// enforced is the indicators that a started device has in force, in memory.
type enforced struct {
	mu       sync.Mutex
	revision uint64
	byID     map[int64]*wirepb.Indicator
}

var _ link.Indicators = (*enforced)(nil)

// Revision is the one in force.
func (e *enforced) Revision() uint64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.revision
}

// Apply brings a set into force.
func (e *enforced) Apply(_ context.Context, parts []*wirepb.IndicatorSet) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if parts[0].Base == 0 || e.byID == nil {
		e.byID = map[int64]*wirepb.Indicator{}
	}
	for _, p := range parts {
		for _, i := range p.Put {
			e.byID[i.Id] = i
		}
		for _, id := range p.Remove {
			delete(e.byID, id)
		}
		e.revision = p.Revision
	}
	return nil
}

// Enforced returns the indicators that the device has in force, by id, and their revision.
func (d *Device) Enforced() (map[int64]*wirepb.Indicator, uint64) {
	d.enforced.mu.Lock()
	defer d.enforced.mu.Unlock()
	return maps.Clone(d.enforced.byID), d.enforced.revision
}
