package name

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/vedette-edr/vedette/agent/enforce/address"
	"github.com/vedette-edr/vedette/agent/enforce/program"
	"github.com/vedette-edr/vedette/agent/process"
	"github.com/vedette-edr/vedette/agent/sensor"
	"github.com/vedette-edr/vedette/agent/session"
	"github.com/vedette-edr/vedette/schema/event"
)

// flagAgain is FLAG_AGAIN of bpf/name.bpf.c.
const flagAgain = 1

// events ends the sessions of what was held back and makes events of it.
type events struct {
	b    *Blocker
	sink sensor.Sink
}

// maxWaiting bounds what a storm can make wait.
const maxWaiting = 1024

func (e *events) take(b []byte) (*bpfSighting, bool) {
	x := new(bpfSighting)
	if len(b) < int(unsafe.Sizeof(*x)) {
		return nil, false
	}
	// The kernel wrote the same structure, and the ring may be written again.
	*x = *(*bpfSighting)(unsafe.Pointer(&b[0]))
	if address.Verdict(x.Header.Type) == address.Block && x.Protocol == unix.IPPROTO_TCP {
		// It sends nothing more, and would only learn so by waiting.
		_, err := session.DestroyBetween(endpoint(x.Local, x.LocalPort), endpoint(x.Remote, x.RemotePort), session.TCP)
		e.b.mu.Lock()
		e.b.trouble = err
		e.b.mu.Unlock()
	}
	return x, x.Header.Flags&flagAgain == 0
}

func endpoint(a [16]uint8, port uint16) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom16(a).Unmap(), port)
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

func (e *events) emit(x *bpfSighting) {
	wall := program.Wall(e.b.cfg.Now)
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
	who := (*program.Who)(unsafe.Pointer(&x.Header.Who)) // the same structure of the kernel
	if ref, ok := who.Ref(wall); ok && e.b.cfg.Find != nil {
		ev.Initiating = e.b.cfg.Find(ref)
	}
	e.sink.Emit(ev)
	if ev.Action == "SmartScreenUrlWarning" && e.b.cfg.Warned != nil {
		e.b.cfg.Warned(ev)
	}
}
