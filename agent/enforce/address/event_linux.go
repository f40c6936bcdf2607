package address

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"os"
	"sync"
	"time"
	"unsafe"

	"github.com/cilium/ebpf/ringbuf"
	"golang.org/x/sys/unix"

	"github.com/vedette-edr/vedette/agent/process"
	"github.com/vedette-edr/vedette/agent/sensor"
	"github.com/vedette-edr/vedette/schema/event"
)

// refresh is how often the server's addresses are asked for and losses are reported.
const refresh = time.Minute

// Run implements sensor.Sensor: it reports what is refused, and closes the Blocker when ctx
// ends.
func (b *Blocker) Run(ctx context.Context, sink sensor.Sink) (err error) {
	defer func() { err = errors.Join(err, b.Close()) }()
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// What the kernel noted until then is still read: the read after it says ErrFlushed. A
	// deadline would not do, it waits for the read that it is to end.
	stop := context.AfterFunc(ctx, func() {
		b.detach()
		_ = b.events.Flush()
	})
	defer stop()
	wg.Go(func() { b.protectServers(ctx) })
	r := reporter{b: b, sink: sink, since: b.cfg.Now()}
	var rec ringbuf.Record
	var next time.Time
	for done := false; !done; {
		if now := time.Now(); !now.Before(next) {
			r.losses()
			next = now.Add(refresh)
		}
		b.events.SetDeadline(r.deadline(next))
		err := b.events.ReadInto(&rec)
		switch {
		case err == nil:
			r.take(rec.RawSample)
		case errors.Is(err, ringbuf.ErrClosed), errors.Is(err, ringbuf.ErrFlushed):
			done = true
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return err
		}
		r.release(time.Now())
	}
	r.release(time.Now().Add(b.cfg.Settle))
	r.losses()
	return nil
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

// reporter turns what the kernel refused into events.
type reporter struct {
	b       *Blocker
	sink    sensor.Sink
	waiting []held // in the order of their release
	lost    uint64 // reported so far
	since   time.Time
}

type held struct {
	refusal bpfRefusal
	at      time.Time
}

// maxWaiting bounds what a storm can make wait; beyond it the oldest goes at once.
const maxWaiting = 4096

func (r *reporter) take(b []byte) {
	var h held
	if len(b) < int(unsafe.Sizeof(h.refusal)) {
		return
	}
	// The kernel wrote the same structure, and the ring may be written again.
	h.refusal = *(*bpfRefusal)(unsafe.Pointer(&b[0]))
	h.at = time.Now().Add(r.b.cfg.Settle)
	if len(r.waiting) >= maxWaiting {
		r.emit(&r.waiting[0].refusal)
		r.waiting = r.waiting[1:]
	}
	r.waiting = append(r.waiting, h)
}

func (r *reporter) deadline(next time.Time) time.Time {
	if len(r.waiting) > 0 && r.waiting[0].at.Before(next) {
		return r.waiting[0].at
	}
	return next
}

func (r *reporter) release(now time.Time) {
	for len(r.waiting) > 0 && !now.Before(r.waiting[0].at) {
		r.emit(&r.waiting[0].refusal)
		r.waiting = r.waiting[1:]
	}
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

func (r *reporter) emit(x *bpfRefusal) {
	boot := bootTime(r.b.cfg.Now)
	wall := func(ns uint64) time.Time { return boot.Add(time.Duration(ns)).UTC() }
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
		ev.Network.RemoteURL = r.b.nameOf(remote)
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
	ev.Initiating = r.who(&x.Header.Who, wall)
	r.sink.Emit(ev)
	if Verdict(x.Header.Type) == Warn && r.b.cfg.Warned != nil {
		r.b.cfg.Warned(ev)
	}
}

func (r *reporter) who(w *bpfWho, wall func(uint64) time.Time) *event.Process {
	if r.b.cfg.Find == nil || w.Pid == 0 {
		return nil
	}
	ref := process.Ref{
		PID: w.Pid, Start: int64(w.Start), StartTime: wall(w.Start), PPID: w.Ppid, ParentStart: int64(w.ParentStart),
		UID: w.Euid, Caps: w.Caps, Comm: comm(w.Comm[:]), Old: true,
	}
	if w.Session != ^uint32(0) {
		ref.Session = w.Session
	}
	return r.b.cfg.Find(ref)
}

func comm(c []int8) string {
	b := make([]byte, len(c))
	for i, x := range c {
		b[i] = byte(x)
	}
	b, _, _ = bytes.Cut(b, []byte{0})
	return process.Text(string(b))
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

// bootNow is the time since boot, 0 where the kernel does not tell.
func bootNow() int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return 0
	}
	return ts.Nano()
}

// bootTime is the wall-clock instant at which boot time was 0.
func bootTime(now func() time.Time) time.Time { return now().Add(-time.Duration(bootNow())) }

// losses reports the events that the kernel could not hand over since it was last called.
func (r *reporter) losses() {
	now := r.b.cfg.Now()
	if n := r.b.Stats().Lost; n > r.lost {
		r.sink.Lost(event.Gap{Source: "kernel:" + facility, Reason: "the kernel's ring buffer was full", Count: n - r.lost, From: r.since, To: now})
		r.lost = n
	}
	r.since = now
}
