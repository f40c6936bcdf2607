package gateway

import (
	"sync"

	"github.com/vedette-edr/vedette/server/device"
	"github.com/vedette-edr/vedette/server/ident"
)

// hub holds the devices that watch for nudges. A nudge marks the watcher and wakes it;
// several that come before it wakes are one.
type hub struct {
	mu       sync.Mutex
	watchers map[ident.DeviceID]*watcher
	closed   bool
}

type watcher struct {
	tenant ident.TenantID
	wake   chan struct{} // of capacity 1
	gone   chan struct{} // closed when another watcher takes its place, or the hub ends

	// Guarded by hub.mu.
	commands  bool
	revision  uint64
	regrouped uint64 // of the device, which its revision is announced with
}

func newHub() *hub { return &hub{watchers: map[ident.DeviceID]*watcher{}} }

// add makes a device's watcher; the one before it ends, because an agent has one stream
// and the older is a connection that died unnoticed.
func (h *hub) add(d *device.Device) *watcher {
	w := &watcher{tenant: d.Tenant, wake: make(chan struct{}, 1), gone: make(chan struct{}), regrouped: d.Regrouped}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		close(w.gone)
		return w
	}
	if old := h.watchers[d.ID]; old != nil {
		close(old.gone)
	}
	h.watchers[d.ID] = w
	return w
}

func (h *hub) remove(id ident.DeviceID, w *watcher) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.watchers[id] == w {
		delete(h.watchers, id)
	}
}

func (h *hub) has(id ident.DeviceID) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.watchers[id] != nil
}

func (h *hub) commands(id ident.DeviceID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if w := h.watchers[id]; w != nil {
		w.commands = true
		w.signal()
	}
}

func (h *hub) indicators(tenant ident.TenantID, revision uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, w := range h.watchers {
		if w.tenant == tenant {
			w.revision = announce(w.regrouped, revision)
			w.signal()
		}
	}
}

// moved tells the watcher of a device that is in another group now to fetch indicators.
func (h *hub) moved(d *device.Device, revision uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if w := h.watchers[d.ID]; w != nil && w.tenant == d.Tenant {
		w.regrouped = d.Regrouped
		w.revision = announce(d.Regrouped, revision)
		w.signal()
	}
}

func (w *watcher) signal() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// take returns what a watcher was nudged for since it was last asked.
func (h *hub) take(w *watcher) (commands bool, revision uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	commands, revision = w.commands, w.revision
	w.commands, w.revision = false, 0
	return commands, revision
}

func (h *hub) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return
	}
	h.closed = true
	for _, w := range h.watchers {
		close(w.gone)
	}
	clear(h.watchers)
}
