package link

import (
	"context"
	"math/rand/v2"
	"strings"
	"time"

	"connectrpc.com/connect"

	"github.com/vedette-edr/vedette/wire"
	"github.com/vedette-edr/vedette/wire/wirepb"
)

// heartbeatLoop says how the device fares, and does what need be done now and then.
func (l *Link) heartbeatLoop(ctx context.Context) error {
	b := l.backoff()
	for {
		id, _ := l.current()
		pause, err := l.heartbeat(ctx)
		if err == nil {
			b.reset()
			l.wakePoll() // a nudge may have been lost
			if id.due(l.ServerTime()) {
				err = l.renew(ctx)
			}
		}
		if err != nil {
			if pause, err = l.refused(ctx, id, err, b); err != nil {
				return err
			}
		}
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-l.beat:
		case <-ctx.Done():
		}
		t.Stop()
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// Report asks for a heartbeat now, because something worth saying changed.
func (l *Link) Report() { signal(l.beat) }

// Bounds of what a server may ask for.
const (
	minHeartbeat = time.Second
	maxHeartbeat = time.Hour
)

func (l *Link) heartbeat(ctx context.Context) (time.Duration, error) {
	id, client := l.current()
	m := &wirepb.HeartbeatRequest{AgentVersion: l.conf.AgentVersion}
	var h Health
	if l.conf.Health != nil {
		h = l.conf.Health(ctx)
	}
	m.Facilities = clipped(h.Facilities)
	l.mu.Lock()
	if len(h.Inventory) > 0 && len(h.Inventory) <= wire.MaxInventory && (l.wanted || h.Digest != l.sent) {
		m.Inventory = h.Inventory
	}
	l.mu.Unlock()
	st := l.spool.Stats()
	m.Spool = &wirepb.Spool{Bytes: st.Bytes, Limit: st.Limit, Batches: int64(st.Batches), Dropped: st.Dropped}
	if !st.Oldest.IsZero() {
		m.Spool.Oldest = st.Oldest.UnixNano()
	}
	if st.Degraded != "" {
		m.Facilities = append(m.Facilities, &wirepb.Facility{Name: "spool", State: "degraded", Detail: clip(st.Degraded),
			Remedy: "make room on the disk of the state directory"})
	}
	if l.conf.Indicators != nil {
		m.Indicators = l.conf.Indicators.Revision()
	}
	m.Sent = l.conf.Clock().UnixNano()
	r, err := client.Heartbeat(ctx, connect.NewRequest(m))
	if connect.CodeOf(err) == connect.CodeInvalidArgument && connect.IsWireError(err) && m.Inventory != nil {
		// An inventory that the server does not understand must not keep the rest from it.
		l.mu.Lock()
		l.sent, l.wanted = h.Digest, false
		l.mu.Unlock()
	}
	if err != nil {
		return 0, err
	}
	l.heard(r.Msg.ServerTime)
	l.mu.Lock()
	l.status.Offset, l.wanted = time.Duration(r.Msg.Offset), r.Msg.WantInventory
	if m.Inventory != nil {
		l.sent = h.Digest
	}
	l.mu.Unlock()
	if err := l.followKeys(id, r.Msg.Keys); err != nil {
		return 0, err
	}
	l.announced(r.Msg.Indicators)
	every := min(max(time.Duration(r.Msg.Interval), minHeartbeat), maxHeartbeat)
	return every - every/10 + rand.N(every/5), nil
}

// followKeys pins the newest command key that the pinned one vouches for.
func (l *Link) followKeys(id *Identity, chain []*wirepb.KeySuccession) error {
	if len(chain) == 0 {
		return nil
	}
	next := *id
	next.CommandKey = wire.Succeed(id.CommandKey, chain)
	if next.CommandKey.Equal(id.CommandKey) {
		return nil
	}
	if err := next.save(l.conf.StateDir); err != nil {
		return err
	}
	return l.adopt(&next)
}

// maxFacilities and maxText are what a server takes of facilities; a heartbeat beyond them
// would be refused as a whole.
const (
	maxFacilities = 250
	maxText       = 1000
)

// clipped bounds what sensors say, which may quote the kernel at length.
func clipped(fs []*wirepb.Facility) []*wirepb.Facility {
	out := make([]*wirepb.Facility, 0, len(fs)+1)
	for _, f := range fs[:min(len(fs), maxFacilities)] {
		out = append(out, &wirepb.Facility{Name: clip(f.Name), State: f.State, Detail: clip(f.Detail), Remedy: clip(f.Remedy)})
	}
	return out
}

func clip(s string) string {
	// Cut last: the replacement is longer than what it stands for.
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) > maxText {
		s = strings.ToValidUTF8(s[:maxText], "")
	}
	return s
}
