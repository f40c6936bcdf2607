package ioc

import (
	"sync"
	"time"

	"github.com/vedette-edr/vedette/server/ident"
)

// Bounds on what is remembered. Forgetting costs at most an alert that the store already
// has, or a second one for a sighting that straddles two windows.
const (
	maxDevices = 1 << 16
	maxRecent  = 512 // rows and processes of one device, in each of two generations
)

// recent remembers which sightings raised alerts, so that further ones of the same row by
// the same process within a window do not. See Matcher for the whole rule.
type recent struct {
	window time.Duration

	mu      sync.Mutex
	devices map[deviceKey]*device
}

type deviceKey struct {
	id          ident.DeviceID
	incarnation uint64
}

type device struct {
	now, before map[sighting]origin
	crowds      map[row]crowd
}

// crowd is how many processes raised alerts of one row within a window.
type crowd struct {
	from      int64 // nanoseconds by the device's clock
	processes int
}

// maxProcesses bounds the alerts of one row on one device within a window: whoever makes
// process keys up gets no more.
const maxProcesses = 16

// sighting is what counts as the same thing seen again.
type sighting struct {
	row     row
	process uint64 // event.Process.Key; 0 for an unknown process
}

// origin is the event that raised the alert.
type origin struct {
	at       int64 // nanoseconds by the device's clock
	sequence uint64
	index    int
}

func (o origin) before(p origin) bool {
	return o.sequence < p.sequence || o.sequence == p.sequence && o.index < p.index
}

func newRecent(window time.Duration) *recent {
	return &recent{window: window, devices: map[deviceKey]*device{}}
}

// raises reports whether an event that sees s raises an alert: unless an earlier event
// within the window did. An event that raised once raises again when its batch is sent
// again, because the alert may not have been kept the first time.
// flood says that the process is one too many: its sighting counts as one of process 0,
// which all such have in common.
func (r *recent) raises(k deviceKey, s sighting, o origin) (raises, flood bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	d := r.device(k)
	if again, same := r.seen(d, s, o); again {
		return same, false
	}
	c := d.crowds[s.row]
	if since := time.Duration(o.at - c.from); c.processes == 0 || since >= r.window || since <= -r.window {
		c = crowd{from: o.at}
	}
	if c.processes >= maxProcesses && s.process != 0 {
		s.process, flood = 0, true
		if again, same := r.seen(d, s, o); again {
			return same, true
		}
	}
	if len(d.crowds) >= maxRecent {
		d.crowds = nil
	}
	if d.crowds == nil {
		d.crowds = map[row]crowd{}
	}
	c.processes++
	d.crowds[s.row] = c
	if len(d.now) >= maxRecent {
		d.now, d.before = map[sighting]origin{}, d.now
	}
	d.now[s] = o
	return true, flood
}

// seen reports whether s was seen within the window, and whether in this very event.
func (r *recent) seen(d *device, s sighting, o origin) (again, same bool) {
	first, ok := d.now[s]
	if !ok {
		first, ok = d.before[s]
	}
	since := time.Duration(o.at - first.at)
	if !ok || since >= r.window || since <= -r.window {
		return false, false
	}
	if first == o {
		return true, true
	}
	return first.before(o), false
}

func (r *recent) device(k deviceKey) *device {
	d := r.devices[k]
	if d == nil {
		if len(r.devices) >= maxDevices {
			for old := range r.devices {
				delete(r.devices, old)
				break
			}
		}
		d = &device{now: map[sighting]origin{}}
		r.devices[k] = d
	}
	return d
}

// windowOf numbers the window that an instant by the device's clock falls into.
func (r *recent) windowOf(at int64) uint64 {
	n := at / int64(r.window)
	if at < 0 {
		n--
	}
	return uint64(n)
}
