package ebpf

import (
	"encoding/json"
	"net/netip"

	"github.com/vedette-edr/vedette/schema/event"
)

// dns turns a client's query into DnsConnectionInspected and the answer to it into
// DnsQueryResponse, the published names of both.
func (n *normaliser) dns(b []byte) bool {
	e, _ := view[bpfDnsEvent](b)
	if e == nil {
		return false
	}
	kept := min(e.PayloadLen, uint32(len(e.Payload)-1))
	m, ok := parseDNS(e.Payload[:kept])
	if !ok || m.response == (e.Egress != 0) {
		n.undecoded.Add(1) // something else on port 53
		return true
	}
	s := &e.Socket
	server := netip.AddrFrom16(s.Remote).Unmap()
	q := question{server: server, port: s.LocalPort, id: m.id, name: m.name, kind: m.kind}
	ev := &event.Event{
		Time: n.clock.wall(s.Header.Time), Boot: int64(s.Header.Time),
		Initiating: n.actor(&s.Header.Who, true),
		Network: &event.Network{
			RemoteIP: server.String(), RemotePort: s.RemotePort,
			LocalIP: netip.AddrFrom16(s.Local).Unmap().String(), LocalPort: s.LocalPort, Protocol: "Udp",
		},
	}
	var f fields
	if !m.response {
		n.names.ask(q, n.cfg.Now())
		ev.Table, ev.Action = event.NetworkEvents, "DnsConnectionInspected"
		f.str("direction", "Out")
		f.str("query", m.name)
		f.str("qtype_name", m.kind)
		f.num("trans_id", uint64(m.id))
	} else {
		ev.Table, ev.Action = event.DeviceEvents, "DnsQueryResponse"
		ev.Network.RemoteURL = m.name
		f.str("DnsQueryString", m.name)
		f.str("DnsQueryType", m.kind)
		f.str("ResponseCode", m.code)
		results := m.answers
		if results == nil {
			results = []dnsAnswer{}
		}
		list, err := json.Marshal(results)
		if err != nil {
			return false
		}
		f.raw("DnsQueryResult", list)
		if !n.names.learn(q, m.answers, n.cfg.Now()) {
			f.yes("Unsolicited")
		} else if n.cfg.Resolved != nil {
			for _, a := range m.answers {
				if a.addr.IsValid() {
					n.cfg.Resolved(m.name, a.addr, a.ttl)
				}
			}
		}
	}
	if e.PayloadLen > kept {
		f.yes("Truncated")
	}
	ev.Additional = f.String()
	n.emit(ev)
	return true
}
