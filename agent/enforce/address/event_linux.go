package address

import (
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/vedette-edr/vedette/agent/enforce/program"
	"github.com/vedette-edr/vedette/agent/sensor"
	"github.com/vedette-edr/vedette/schema/event"
)

// refresh is how often the server's addresses are asked for.
const refresh = time.Minute

// Run implements sensor.Sensor: it reports what is refused, and closes the Blocker when ctx
// ends.
func (b *Blocker) Run(ctx context.Context, sink sensor.Sink) (err error) {
	defer func() { err = errors.Join(err, b.Close()) }()
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	wg.Go(func() { b.protectServers(ctx) })
	e := events{b: b, sink: sink}
	r := program.Reporter[bpfRefusal]{
		Sink: sink, Source: "kernel:" + facility, Settle: b.cfg.Settle, Most: maxWaiting,
		Take: take, Emit: e.emit, Lost: func() uint64 { return b.Stats().Lost }, Now: b.cfg.Now,
	}
	return r.Follow(ctx, b.events, b.detach)
}

// protectServers keeps the floor at the server's addresses until ctx ends. A failure is
// no news: the floor stays as it is, and the agent's own connections pass anyway.
func (b *Blocker) protectServers(ctx context.Context) {
	if b.cfg.Servers == nil {
		return
	}
	t := time.NewTicker(refresh)
	defer t.Stop()
	for {
		if list, err := b.cfg.Servers(ctx); err == nil && len(list) > 0 {
			var as []netip.Addr
			for _, s := range list[:min(len(list), maxFloor)] {
				as = append(as, s.Addr())
			}
			_ = b.Protect(as)
		}
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

// events makes events of what the kernel refused.
type events struct {
	b    *Blocker
	sink sensor.Sink
}

// maxWaiting bounds what a storm can make wait.
const maxWaiting = 4096

func take(b []byte) (*bpfRefusal, bool) {
	x := new(bpfRefusal)
	if len(b) < int(unsafe.Sizeof(*x)) {
		return nil, false
	}
	// The kernel wrote the same structure, and the ring may be written again.
	*x = *(*bpfRefusal)(unsafe.Pointer(&b[0]))
	return x, true
}

// additional is the AdditionalFields of an event. All but the last two are published ones.
type additional struct {
	IsAudit          bool
	ResponseCategory string `json:",omitempty"`
	Experience       string `json:",omitempty"`
	Uri              string `json:",omitempty"`
	Direction        string `json:",omitempty"`
	IndicatorID      int64  `json:"IndicatorId"`
	Repeated         uint64 `json:",omitempty"` // the same attempts left out before this one
}

// Flags of bpf/address.bpf.c.
const (
	flagIncoming = 1
	flagLearned  = 2
)

func (e *events) emit(x *bpfRefusal) {
	wall := program.Wall(e.b.cfg.Now)
	remote := addrOf(&x.Address)
	ev := &event.Event{
		Table: event.DeviceEvents, Action: "ExploitGuardNetworkProtectionBlocked",
		Time: wall(x.Header.Time), Boot: int64(x.Header.Time),
		Network: &event.Network{RemoteIP: remote.String(), RemotePort: x.Port, Protocol: protocol(x.Protocol)},
	}
	more := additional{ResponseCategory: "CustomBlockList", IndicatorID: int64(x.Id), Repeated: x.Repeated}
	switch Verdict(x.Header.Type) {
	case Audit:
		ev.Action, more.IsAudit = "ExploitGuardNetworkProtectionAudited", true
	case Warn:
		ev.Action = "SmartScreenUrlWarning"
		more.ResponseCategory, more.Experience = "", "CustomBlockList"
	}
	if x.Header.Flags&flagLearned != 0 {
		ev.Network.RemoteURL = e.b.nameOf(remote)
		more.Uri = ev.Network.RemoteURL
	}
	if x.Header.Flags&flagIncoming != 0 {
		more.Direction = "In"
		ev.Network.LocalIP, ev.Network.LocalPort = addrOf(&x.Local).String(), x.LocalPort
		if Verdict(x.Header.Type) == Block {
			ev.Action = "FirewallInboundConnectionBlocked"
		}
	}
	j, _ := json.Marshal(more) // of plain values: cannot fail
	ev.Additional = string(j)
	who := (*program.Who)(unsafe.Pointer(&x.Header.Who)) // the same structure of the kernel
	if ref, ok := who.Ref(wall); ok && e.b.cfg.Find != nil {
		ev.Initiating = e.b.cfg.Find(ref)
	}
	e.sink.Emit(ev)
	if Verdict(x.Header.Type) == Warn && e.b.cfg.Warned != nil {
		e.b.cfg.Warned(ev)
	}
}

func protocol(p uint16) string {
	switch p {
	case unix.IPPROTO_TCP:
		return "Tcp"
	case unix.IPPROTO_UDP, unix.IPPROTO_UDPLITE:
		return "Udp"
	case unix.IPPROTO_ICMP, unix.IPPROTO_ICMPV6:
		return "Icmp"
	}
	return ""
}
