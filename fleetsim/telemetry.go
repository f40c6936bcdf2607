package fleetsim

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/vedette-edr/vedette/schema/event"
	"github.com/vedette-edr/vedette/wire/wiretest"
)

// Execs returns n executions by shell scripts, the first of them now. What they are
// depends on the fleet's seed and the device alone.
func (d *Device) Execs(n int) []*event.Event {
	d.mu.Lock()
	seed := d.rand.Uint64()
	d.mu.Unlock()
	return retimed(wiretest.Shell(seed, n), d.Now().Sub(wiretest.Start))
}

// Numbered returns n executions, now, whose command lines are marker and the numbers from
// first on: what a test counts afterwards.
func (d *Device) Numbered(marker string, first, n int) []*event.Event {
	events := d.Execs(n)
	for i, e := range events {
		p := *e.Process
		p.CommandLine = fmt.Sprint(marker, " ", first+i)
		e.Process = &p
		e.Time = d.Now()
	}
	return events
}

// retimed moves events in time. Parts are shared as before.
func retimed(events []*event.Event, by time.Duration) []*event.Event {
	moved := map[*event.Process]*event.Process{}
	process := func(p *event.Process) *event.Process {
		if p == nil {
			return nil
		}
		m := moved[p]
		if m == nil {
			c := *p
			c.Start, c.Parent.Start = c.Start.Add(by), c.Parent.Start.Add(by)
			m = &c
			moved[p] = m
		}
		return m
	}
	out := make([]*event.Event, len(events))
	for i, e := range events {
		c := *e
		c.Time, c.Initiating, c.Process = c.Time.Add(by), process(e.Initiating), process(e.Process)
		out[i] = &c
	}
	return out
}

// Logon returns a successful logon of user, now. Kind is a LogonType: Interactive,
// RemoteInteractive, Network, …
func (d *Device) Logon(user, kind string) *event.Event {
	d.mu.Lock()
	id, pid := d.rand.Uint64N(1<<31), d.rand.Uint32N(1<<22)
	d.mu.Unlock()
	now := d.Now()
	return &event.Event{
		Table: event.LogonEvents, Action: "LogonSuccess", Time: now,
		Logon:   &event.Logon{Type: kind, ID: id, Protocol: "sim"},
		Account: &event.Account{Name: user, Domain: d.name, SID: fmt.Sprint(1000 + len(user))},
		Initiating: &event.Process{Key: id, PID: pid, Start: now, CommandLine: "login",
			Image: event.File{Name: "login", Path: "/usr/bin/login", Size: -1}},
	}
}

// Connect returns an attempt to reach an address, now.
func (d *Device) Connect(ip string, port uint16) *event.Event {
	e := d.Execs(1)[0]
	return &event.Event{Table: event.NetworkEvents, Action: "ConnectionAttempt", Time: e.Time, Initiating: e.Process,
		Network: &event.Network{RemoteIP: ip, RemotePort: port, LocalIP: d.ip(), LocalPort: 40000, Protocol: "Tcp"}}
}

func (d *Device) ip() string {
	return fmt.Sprintf("10.%d.%d.%d", d.index>>16&255, d.index>>8&255, d.index&255)
}

// inventory is the agent's inventory report.
func (d *Device) inventory() []byte {
	if d.host.Inventory != nil {
		return d.host.Inventory
	}
	b, err := json.Marshal(map[string]any{
		"hostname": d.name, "fqdn": d.name,
		"os": map[string]any{"platform": "Linux", "distribution": "Debian", "version": "12", "kernel": "6.1.0-sim",
			"architecture": "64-bit", "processor": "x64"},
		"interfaces": []any{map[string]any{"name": "eth0", "type": "Ethernet", "status": "Up",
			"addresses": []any{map[string]any{"ip": d.ip(), "prefix": 8}}}},
	})
	if err != nil {
		panic(err) // of texts and numbers: cannot fail
	}
	return b
}
