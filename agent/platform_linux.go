package agent

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vedette-edr/vedette/agent/enforce"
	"github.com/vedette-edr/vedette/agent/enforce/address"
	"github.com/vedette-edr/vedette/agent/enforce/file"
	"github.com/vedette-edr/vedette/agent/enforce/name"
	"github.com/vedette-edr/vedette/agent/enforce/notice"
	"github.com/vedette-edr/vedette/agent/hash"
	"github.com/vedette-edr/vedette/agent/inventory"
	"github.com/vedette-edr/vedette/agent/inventory/posture"
	"github.com/vedette-edr/vedette/agent/inventory/software"
	"github.com/vedette-edr/vedette/agent/link"
	"github.com/vedette-edr/vedette/agent/policy"
	"github.com/vedette-edr/vedette/agent/process"
	"github.com/vedette-edr/vedette/agent/quarantine"
	"github.com/vedette-edr/vedette/agent/recent"
	"github.com/vedette-edr/vedette/agent/responder"
	"github.com/vedette-edr/vedette/agent/responder/isolate"
	"github.com/vedette-edr/vedette/agent/responder/live"
	"github.com/vedette-edr/vedette/agent/responder/message"
	"github.com/vedette-edr/vedette/agent/responder/restrict"
	"github.com/vedette-edr/vedette/agent/sensor"
	"github.com/vedette-edr/vedette/agent/sensor/account"
	"github.com/vedette-edr/vedette/agent/sensor/audit"
	"github.com/vedette-edr/vedette/agent/sensor/ebpf"
	"github.com/vedette-edr/vedette/schema/event"
	"github.com/vedette-edr/vedette/wire"
	"github.com/vedette-edr/vedette/wire/wirepb"
)

// auditMark is where agents of one kernel agree on who turned audit on.
const auditMark = "/run/vedette-audit"

// platform is what the agent is on Linux: its sensors and what it can do.
type platform struct {
	conf        Config
	inventory   *inventory.Collector
	software    *software.Collector
	posture     *posture.Collector
	sensors     []sensor.Sensor
	kernel      *ebpf.Sensor
	writers     *writers
	recent      recent.Ring
	isolator    *isolate.Isolator
	restrictor  *restrict.Restrictor
	restriction *restrict.Handler
	teller      notice.Teller
	live        *live.Live // nil where it cannot be
	messages    *message.Handler
	server      *uplink
	responder   *responder.Responder
	table       *process.Table
	hashes      *hash.Pool
	vault       *quarantine.Vault // nil where it cannot be opened
	addresses   *address.Blocker  // nil where addresses cannot be blocked, for the reason in without
	names       *name.Blocker     // the same of names; nil too until the device's identity is known
	files       *file.Guard       // the same of files
	without     enforce.Without
	resolver    atomic.Pointer[name.Blocker]
	set         atomic.Pointer[enforce.Set] // nil until the device's identity is known
	sink        atomic.Pointer[sensor.Sink] // where tampering is reported, once the spool is open

	mu     sync.Mutex
	unread string                     // of the inventory, as it was logged last
	failed map[string]sensor.Facility // sensors that could not work at all; zero for one that says itself what it lacks
}

func newPlatform(ctx context.Context, c Config, servers func(context.Context) ([]netip.AddrPort, error), server *uplink) (*platform, error) {
	p := &platform{conf: c, server: server, failed: map[string]sensor.Facility{}, inventory: inventory.New(inventory.Config{}),
		software: software.New(""), posture: posture.New(posture.Config{}),
		writers: newWriters(time.Now), hashes: hash.NewPool(hash.Config{})}
	p.teller.Told = func(terminal string, e *event.Event) {
		c.Log.Info("a user was told", "terminal", terminal, "action", e.Action)
	}
	var err error
	p.isolator, err = isolate.New(isolate.Config{Instance: c.Instance, StateDir: c.StateDir, Tampered: p.tampered})
	if err != nil {
		return nil, err
	}
	if was, err := p.isolator.Restore(ctx); err != nil {
		c.Log.Error("restoring isolation", "err", err)
	} else if was {
		c.Log.Warn("this device is isolated")
	}
	p.openVault()
	p.openRestriction()
	if err := p.respondTo(servers); err != nil {
		return nil, err
	}
	exclude, err := exclusions(c)
	if err != nil {
		return nil, err
	}
	host := p.inventory.Collect().Hostname
	p.table = process.New(process.Config{})
	kernel := ebpf.New(ebpf.Config{Table: p.table, Pool: p.hashes, Exclude: exclude, Resolved: p.resolved})
	p.kernel = kernel
	p.sensors = []sensor.Sensor{
		kernel,
		audit.New(audit.Config{Host: host, Lookup: p.sender, Mark: auditMark}),
		account.New(account.Config{Host: host, Writer: p.writer}),
	}
	p.addresses, p.without.Addresses = address.New(address.Config{Instance: c.Instance, Servers: servers, Find: p.table.Find, Warned: p.warned})
	if p.without.Addresses == nil {
		p.sensors = append(p.sensors, p.addresses)
	}
	if p.files != nil {
		p.sensors = append(p.sensors, p.files)
	}
	return p, nil
}

// newGuard returns what keeps files from being run. It works without a quarantine, and
// says so.
func (p *platform) newGuard() (*file.Guard, error) {
	return file.New(file.Config{Pool: p.hashes, Lookup: p.sender, Vault: p.vault, Warned: p.warned, Decide: p.decide, Active: p.hasFiles,
		Confine: p.restrictor, Refused: p.refused})
}

// decide says what indicators want of a file.
func (p *platform) decide(s hash.Sums) file.Decision {
	if set := p.set.Load(); set != nil {
		return set.File(s)
	}
	return file.Decision{}
}

// hasFiles reports whether there are indicators of files.
func (p *platform) hasFiles() bool {
	set := p.set.Load()
	return set != nil && set.HasFiles()
}

// warned tells a user of what an indicator warns of, where there is one.
func (p *platform) warned(e *event.Event) {
	p.teller.Tell(e)
}

// refused tells a user of what the restriction kept from running.
func (p *platform) refused(e *event.Event, terminal string) {
	p.teller.TellAt(terminal, e)
}

// resolved hands on what the sensors learn of names.
func (p *platform) resolved(host string, addr netip.Addr, ttl time.Duration) {
	if b := p.resolver.Load(); b != nil {
		b.Resolved(host, addr, ttl)
	}
}

// enforce brings the indicators that the device has kept into force, and takes new ones.
func (p *platform) enforce(device string, now func() time.Time) (link.Indicators, error) {
	c := enforce.Config{StateDir: p.conf.StateDir, Device: device, Without: p.without, Names: p.openNames, Now: now}
	if p.addresses != nil {
		c.Addresses = p.addresses
	}
	if p.files != nil {
		c.Files = p.files
	}
	set, err := enforce.Open(c)
	if err != nil {
		return nil, err
	}
	p.set.Store(set)
	if p.files != nil {
		p.files.Changed()
	}
	return set, nil
}

// openNames is called by enforce once the seed of the device's keys is known.
func (p *platform) openNames(seed name.Seed) (enforce.Names, error) {
	c := name.Config{Instance: p.conf.Instance, Seed: seed, Find: p.table.Find, Warned: p.warned}
	if u, err := url.Parse(p.conf.Server); err == nil {
		c.Spare = u.Hostname()
	}
	if p.addresses != nil {
		c.Addresses = p.addresses
	}
	b, err := name.New(c)
	if err != nil {
		return nil, err
	}
	p.names = b
	p.sensors = append(p.sensors, b)
	p.resolver.Store(b)
	return b, nil
}

// exclusions are those of the configuration, and what the agent itself does in its state
// directory: reporting that would cause it again. What others do there is reported.
func exclusions(c Config) ([]ebpf.Exclusion, error) {
	texts := c.Exclude
	if self, err := os.Executable(); err == nil {
		texts = append(slices.Clone(texts), c.StateDir+"="+self)
	}
	list, err := parseExclusions(texts)
	if err != nil {
		return nil, err
	}
	var out []ebpf.Exclusion
	for _, x := range list {
		out = append(out, ebpf.Exclusion{Path: x.path, Program: x.program})
	}
	return out, nil
}

func (p *platform) host() machine {
	r := p.inventory.Collect()
	m := machine{name: r.FQDN, platform: r.OS.Platform}
	raw, _ := json.Marshal(r.Fingerprint) // of strings: cannot fail
	m.fingerprint = sha256.Sum256(raw)
	return m
}

// catchUp bounds the wait for the kernel's ring: a logon is worth it, a storm is not.
const catchUp = 50 * time.Millisecond

// sender is the process that sent a message of the audit system: it may have been started
// a moment ago.
func (p *platform) sender(pid uint32) *event.Process {
	p.kernel.CatchUp(catchUp)
	return p.kernel.Processes().Lookup(pid)
}

// writer is who wrote a file last.
func (p *platform) writer(path string) *event.Process {
	p.kernel.CatchUp(catchUp)
	return p.writers.last(path)
}

// run watches until ctx ends. A sensor that cannot work is a facility that is missing and
// not the end of the others. It calls watching once, when all have begun or failed.
func (p *platform) run(ctx context.Context, sink sensor.Sink, watching func()) error {
	w := watched{Sink: sink, writers: p.writers, recent: &p.recent}
	if p.files != nil {
		w.observer = p.files
	}
	sink = w
	p.sink.Store(&sink)
	var wg sync.WaitGroup
	for _, s := range p.sensors {
		wg.Go(func() {
			if err := s.Run(ctx, sink); err != nil {
				p.conf.Log.Error("sensor", "name", s.Name(), "err", err)
				p.mu.Lock()
				defer p.mu.Unlock()
				f := sensor.Facility{Name: s.Name(), State: sensor.Missing, Detail: err.Error()}
				if slices.ContainsFunc(s.Facilities(), func(f sensor.Facility) bool { return f.State == sensor.Missing }) {
					f = sensor.Facility{} // it says itself what it lacks
				}
				p.failed[s.Name()] = f
			}
		})
	}
	wg.Go(func() { p.set.Load().Run(ctx) })
	wg.Go(func() { p.watchIsolation(ctx) })
	wg.Go(func() { p.announce(ctx, watching) })
	wg.Wait()
	return nil
}

// contained returns once programs are kept from running that must not, or cannot be. It
// waits for run.
func (p *platform) contained(ctx context.Context) {
	if p.files == nil {
		return
	}
	if err := p.files.Apply(ctx); err != nil && ctx.Err() == nil {
		p.conf.Log.Error("programs are ended after they began, not kept from beginning", "err", err)
	}
}

// watchIsolation holds the isolation. Where the device cannot be isolated at all there is
// nothing to hold, and the facility nftables, which is missing then, says so.
func (p *platform) watchIsolation(ctx context.Context) {
	err := p.isolator.Watch(ctx)
	if err == nil || ctx.Err() != nil {
		return
	}
	if _, unable := p.isolator.Status(); unable == nil {
		p.conf.Log.Error("watching isolation", "err", err)
	}
}

// announce waits until the sensors watch, says so, and logs what they lack.
func (p *platform) announce(ctx context.Context, watching func()) {
	t := time.NewTicker(20 * time.Millisecond)
	defer t.Stop()
	for !p.ready() {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
	watching()
	for _, f := range p.facilities() {
		if f.State != sensor.Working {
			p.conf.Log.Warn("not everything can be seen on this device", "facility", f.Name, "state", f.State, "why", f.Detail, "remedy", f.Remedy)
		}
	}
}

// tampered reports that somebody changed the isolation of this device.
func (p *platform) tampered(detail string) {
	p.conf.Log.Warn("isolation was tampered with and put back", "detail", detail)
	if s := p.sink.Load(); s != nil {
		extra, _ := json.Marshal(map[string]string{"TamperingAction": "Isolation", "Target": p.conf.Instance, "Status": "Reverted", "Detail": detail})
		(*s).Emit(&event.Event{Table: event.DeviceEvents, Action: "TamperingAttempt", Time: time.Now(), Additional: string(extra)})
	}
}

func (p *platform) facilities() []sensor.Facility {
	var out []sensor.Facility
	for _, s := range p.sensors {
		out = append(out, s.Facilities()...)
	}
	if set := p.set.Load(); set != nil {
		out = append(out, set.Facilities()...)
	}
	for _, kind := range p.responder.Kinds() {
		out = append(out, bounded(p.responds("respond:"+kind, kind), kind, &p.conf.floor))
	}
	// That selective isolation is known; whether a program can be told apart, a command's probe says.
	out = append(out, p.responds("respond:isolate-selective", isolate.KindIsolate), p.responds("nftables", isolate.KindIsolate))
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(p.failed)) {
		if f := p.failed[name]; f.Name != "" {
			out = append(out, f)
		}
	}
	return out
}

// responds is a facility by which the server knows whether the device carries out a kind of
// command.
func (p *platform) responds(name, kind string) sensor.Facility {
	if remedy, why := p.responder.Lacks(kind); why != nil {
		return sensor.Facility{Name: name, State: sensor.Missing, Detail: why.Error(), Remedy: remedy}
	}
	return sensor.Facility{Name: name, State: sensor.Working}
}

// bounded is a facility of responds under the device's own policy.
func bounded(f sensor.Facility, kind string, floor *policy.Policy) sensor.Facility {
	if slices.Contains(floor.Refuses(), kind) {
		f.State, f.Detail, f.Remedy = sensor.Missing, "this device's own policy refuses it", "who owns the device changes its policy file"
	} else if n := floor.Thresholds[kind]; n > 0 && f.State == sensor.Working {
		f.Detail = fmt.Sprintf("this device's own policy asks for the signatures of %d of its approvers", n)
	}
	return f
}

// ready reports whether every sensor has found out what it can watch, and watches it.
func (p *platform) ready() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.sensors {
		if _, failed := p.failed[s.Name()]; failed {
			continue
		}
		if len(s.Facilities()) == 0 {
			return false
		}
		if s == sensor.Sensor(p.kernel) {
			select {
			case <-p.kernel.Ready():
			default:
				return false
			}
		}
	}
	return true
}

// endIsolation ends the isolation of this device at the request of somebody at it.
func (p *platform) endIsolation(ctx context.Context) Released { return endIsolation(ctx, p.isolator) }

// releasedByCode reports that somebody at the device ended its isolation by a code.
func (p *platform) releasedByCode(at time.Time) {
	p.conf.Log.Warn("isolation was ended by a release code", "at", at)
	if s := p.sink.Load(); s != nil {
		extra, _ := json.Marshal(map[string]string{"Target": p.conf.Instance, "Status": "Released", "Detail": "by a release code of the server"})
		(*s).Emit(&event.Event{Table: event.DeviceEvents, Action: "IsolationReleasedByCode", Time: at, Additional: string(extra)})
	}
}

func (p *platform) isolated() bool {
	s, err := p.isolator.Status()
	return err == nil && s.Isolated
}

// respond carries out a command that the link has verified.
func (p *platform) respond(ctx context.Context, c *wire.Command) link.Result {
	p.conf.Log.Info("command", "id", c.ID, "kind", c.Kind)
	r := p.responder.Do(ctx, responder.Command{ID: c.ID, Kind: c.Kind, Params: c.Params})
	p.conf.Log.Info("command ended", "id", c.ID, "kind", c.Kind, "state", r.State, "detail", r.Detail)
	return link.Result{State: string(r.State), Detail: r.Detail, Evidence: r.Evidence}
}

// health is what the next heartbeat says.
func (p *platform) health(context.Context) link.Health {
	r := p.inventory.Collect()
	h := link.Health{Digest: r.Digest()}
	h.Inventory, _ = json.Marshal(r) // of plain values: cannot fail
	for _, f := range p.facilities() {
		h.Facilities = append(h.Facilities, &wirepb.Facility{Name: f.Name, State: string(f.State),
			Detail: strings.ToValidUTF8(f.Detail, "�"), Remedy: f.Remedy})
	}
	return h
}

// sections is the further inventory, for the server's vulnerability management.
func (p *platform) sections(context.Context) []link.Section {
	packages, problems := p.software.Collect()
	state := p.posture.Collect()
	problems = append(problems, state.Problems...)
	sections := []link.Section{
		{Name: wire.SectionSoftware, Items: software.Items(packages)},
		{Name: wire.SectionConfiguration, Items: state.Configuration},
		{Name: wire.SectionHardware, Items: state.Hardware},
		{Name: wire.SectionCertificates, Items: state.Certificates},
		{Name: wire.SectionExtensions, Items: state.Extensions},
	}
	for i, s := range sections {
		fit, left := wire.FitSection(s.Items)
		if left > 0 {
			problems = append(problems, fmt.Sprintf("%s: %d of %d items are left out (at most %d, of %d bytes each)", s.Name, left, len(s.Items), wire.MaxSectionItems, wire.MaxSectionItem))
		}
		sections[i].Items = fit
	}
	p.troubled(problems)
	return sections
}

// troubled logs what of the inventory cannot be read, once for each change.
func (p *platform) troubled(problems []string) {
	text := strings.Join(problems, "; ")
	p.mu.Lock()
	defer p.mu.Unlock()
	if text != "" && text != p.unread {
		p.conf.Log.Warn("not all of the inventory can be read", "problems", text)
	}
	p.unread = text
}

func (p *platform) close() {
	closing := func(what string, err error) {
		if err != nil {
			p.conf.Log.Error("closing "+what, "err", err)
		}
	}
	// Closing again does nothing: an agent that ran has closed them.
	if p.files != nil {
		closing("the control of files", p.files.Close())
	}
	if p.names != nil {
		closing("the blocker of names", p.names.Close())
	}
	if p.addresses != nil {
		closing("the blocker of addresses", p.addresses.Close())
	}
	if set := p.set.Load(); set != nil {
		closing("the indicators", set.Close())
	}
	p.hashes.Close()
	p.messages.Close()
	closing("the restriction", p.restrictor.Close())
	if err := p.isolator.Close(); err != nil {
		p.conf.Log.Error("closing isolation", "err", err)
	}
}
