package name

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/vedette-edr/vedette/agent/enforce/address"
	"github.com/vedette-edr/vedette/agent/process"
	"github.com/vedette-edr/vedette/agent/sensor"
	"github.com/vedette-edr/vedette/agent/session"
	"github.com/vedette-edr/vedette/schema/event"
)

// flagAgain is FLAG_AGAIN of bpf/name.bpf.c.
const flagAgain = 1

// reporter ends the sessions of what was held back and turns it into events.
type reporter struct {
	b       *Blocker
	sink    sensor.Sink
	waiting []held // in the order of their release
	lost    uint64
	since   time.Time
}

type held struct {
	sighting *bpfSighting
	at       time.Time
}

// maxWaiting bounds what a storm can make wait; beyond it the oldest goes at once.
const maxWaiting = 1024

func (r *reporter) take(b []byte) {
	x := new(bpfSighting)
	if len(b) < int(unsafe.Sizeof(*x)) {
		return
	}
	// The kernel wrote the same structure, and the ring may be written again.
	*x = *(*bpfSighting)(unsafe.Pointer(&b[0]))
	if address.Verdict(x.Header.Type) == address.Block && x.Protocol == unix.IPPROTO_TCP {
		// It sends nothing more, and would only learn so by waiting.
		_, err := session.DestroyBetween(endpoint(x.Local, x.LocalPort), endpoint(x.Remote, x.RemotePort), session.TCP)
		r.b.mu.Lock()
		r.b.trouble = err
		r.b.mu.Unlock()
	}
	if x.Header.Flags&flagAgain != 0 {
		return
	}
	if len(r.waiting) >= maxWaiting {
		r.emit(r.waiting[0].sighting)
		r.waiting = r.waiting[1:]
	}
	r.waiting = append(r.waiting, held{x, time.Now().Add(r.b.cfg.Settle)})
}

func endpoint(a [16]uint8, port uint16) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom16(a).Unmap(), port)
}

func (r *reporter) deadline(next time.Time) time.Time {
	if len(r.waiting) > 0 && r.waiting[0].at.Before(next) {
		return r.waiting[0].at
	}
	return next
}

func (r *reporter) release(now time.Time) {
	for len(r.waiting) > 0 && !now.Before(r.waiting[0].at) {
		r.emit(r.waiting[0].sighting)
		r.waiting = r.waiting[1:]
	}
}

// additional is the AdditionalFields of an event. The first four are published ones.
type additional struct {
	Uri              string
	IsAudit          bool
	ResponseCategory string `json:",omitempty"`
	Experience       string `json:",omitempty"`
	Source           string // Dns, Tls or Http: where the name was read
	DnsServer        string `json:",omitempty"`
	IndicatorID      int64  `json:"IndicatorId"`
	Repeated         uint64 `json:",omitempty"`
}

var sources = [...]string{"", "Dns", "Tls", "Http"}

func (r *reporter) emit(x *bpfSighting) {
	boot := bootTime(r.b.cfg.Now)
	wall := func(ns uint64) time.Time { return boot.Add(time.Duration(ns)).UTC() }
	remote, local := endpoint(x.Remote, x.RemotePort), endpoint(x.Local, x.LocalPort)
	host := process.Text(string(x.Text[:min(int(x.HostLen), len(x.Text)/2)]))
	net := &event.Network{RemoteURL: host, LocalIP: local.Addr().String(), LocalPort: local.Port(), Protocol: "Tcp"}
	if x.Protocol == unix.IPPROTO_UDP {
		net.Protocol = "Udp"
	}
	more := additional{IndicatorID: int64(x.Id), Repeated: x.Repeated}
	if int(x.Source) < len(sources) {
		more.Source = sources[x.Source]
	}
	switch more.Source {
	case "Dns":
		// The resolver's address is not that of the name.
		more.DnsServer = remote.String()
	case "Http":
		path := process.Text(string(x.Text[len(x.Text)/2:][:min(int(x.PathLen), len(x.Text)/2)]))
		net.RemoteURL = "http://" + host
		if remote.Port() != 80 {
			net.RemoteURL += fmt.Sprintf(":%d", remote.Port())
		}
		net.RemoteURL += path
		fallthrough
	default:
		net.RemoteIP, net.RemotePort = remote.Addr().String(), remote.Port()
	}
	more.Uri = net.RemoteURL
	ev := &event.Event{
		Table: event.DeviceEvents, Action: "ExploitGuardNetworkProtectionBlocked",
		Time: wall(x.Header.Time), Boot: int64(x.Header.Time), Network: net,
	}
	switch address.Verdict(x.Header.Type) {
	case address.Warn:
		ev.Action, more.Experience = "SmartScreenUrlWarning", "CustomBlockList"
	case address.Audit:
		ev.Action, more.IsAudit, more.ResponseCategory = "ExploitGuardNetworkProtectionAudited", true, "CustomBlockList"
	default:
		more.ResponseCategory = "CustomBlockList"
	}
	j, _ := json.Marshal(more) // of plain values: cannot fail
	ev.Additional = string(j)
	if w := &x.Header.Who; r.b.cfg.Find != nil && w.Pid != 0 {
		ref := process.Ref{
			PID: w.Pid, Start: int64(w.Start), StartTime: wall(w.Start), PPID: w.Ppid, ParentStart: int64(w.ParentStart),
			UID: w.Euid, Caps: w.Caps, Comm: comm(w.Comm[:]), Old: true,
		}
		if w.Session != ^uint32(0) {
			ref.Session = w.Session
		}
		ev.Initiating = r.b.cfg.Find(ref)
	}
	r.sink.Emit(ev)
	if ev.Action == "SmartScreenUrlWarning" && r.b.cfg.Warned != nil {
		r.b.cfg.Warned(ev)
	}
}

func comm(c []int8) string {
	b := make([]byte, len(c))
	for i, x := range c {
		b[i] = byte(x)
	}
	b, _, _ = bytes.Cut(b, []byte{0})
	return process.Text(string(b))
}

// bootTime is the wall-clock instant at which boot time was 0.
func bootTime(now func() time.Time) time.Time {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return now() // no kernel that runs these programs lacks the clock
	}
	return now().Add(-time.Duration(ts.Nano()))
}

// losses reports the events that the kernel could not hand over since it was last called.
func (r *reporter) losses() {
	now := r.b.cfg.Now()
	if n := r.b.Stats().Lost; n > r.lost {
		r.sink.Lost(event.Gap{Source: "kernel:enforce:domain", Reason: "the kernel's ring buffer was full", Count: n - r.lost, From: r.since, To: now})
		r.lost = n
	}
	r.since = now
}
