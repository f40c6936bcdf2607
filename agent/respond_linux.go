package agent

import (
	"context"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/vedette-edr/vedette/agent/enforce/file"
	"github.com/vedette-edr/vedette/agent/hash"
	"github.com/vedette-edr/vedette/agent/passwd"
	"github.com/vedette-edr/vedette/agent/persistence"
	"github.com/vedette-edr/vedette/agent/quarantine"
	"github.com/vedette-edr/vedette/agent/responder"
	"github.com/vedette-edr/vedette/agent/responder/antivirus"
	"github.com/vedette-edr/vedette/agent/responder/isolate"
	"github.com/vedette-edr/vedette/agent/responder/remediate"
	"github.com/vedette-edr/vedette/agent/scan"
	"github.com/vedette-edr/vedette/agent/sensor"
	"github.com/vedette-edr/vedette/schema/event"
)

// rulesDir has files of YARA rules that the owner of the device put there.
const rulesDir = "/etc/vedette/yara"

// respondTo makes the handlers of commands. What cannot be made is a facility that is
// missing, and not the end of the others: the device can still be cut off.
func (p *platform) respondTo(servers func(context.Context) ([]netip.AddrPort, error)) error {
	p.messages = newMessages()
	p.restriction = p.newRestriction()
	handlers := []responder.Handler{&isolate.Handler{Isolator: p.isolator, Servers: servers}, p.restriction, p.messages}
	add := func(h responder.Handler, err error) {
		if err == nil {
			handlers = append(handlers, h)
			return
		}
		for _, kind := range h.Kinds() {
			p.conf.Log.Error("a kind of command cannot be carried out", "kind", kind, "err", err)
			p.failed["respond:"+kind] = sensor.Facility{Name: "respond:" + kind, State: sensor.Missing, Detail: err.Error(), Remedy: "let the agent write its state directory"}
		}
	}
	packages, err := p.newCollector()
	add(packages, err)
	remediator, err := p.newRemediator()
	add(&remediate.Handler{Remediator: remediator}, err)
	add(p.newAntivirus(remediator), nil)
	sessions, err := p.newLive(remediator)
	p.live = sessions
	for _, h := range sessions.Handlers() {
		add(h, err)
	}
	add(p.newLeave(), nil)
	p.responder, err = responder.New(handlers...)
	return err
}

// openVault opens the quarantine, which several share.
func (p *platform) openVault() {
	var err error
	told := func(err error) { p.conf.Log.Error("the quarantine", "err", err) }
	if p.vault, err = quarantine.Open(quarantine.Config{Dir: filepath.Join(p.conf.StateDir, "quarantine"), Problem: told}); err != nil {
		p.conf.Log.Error("opening the quarantine", "err", err)
		p.vault = nil
	}
}

func (p *platform) newRemediator() (*remediate.Remediator, error) {
	own := []string{p.conf.StateDir}
	if self, err := os.Executable(); err == nil {
		own = append(own, self)
	}
	own = append(own, p.conf.floor.Protected()...)
	return remediate.New(remediate.Config{
		Dir: filepath.Join(p.conf.StateDir, "remediation"), Vault: p.vault, Pool: p.hashes, Own: own,
		Owners:      p.software.Owners,
		Persistence: func() *persistence.Finder { return &persistence.Finder{Root: "/", Homes: homes()} },
		Images:      func() []string { return p.table.Images() },
		Blocked: func(s hash.Sums) (int64, bool) {
			d := p.decide(s)
			return d.ID, d.Action >= file.Block
		},
	})
}

func (p *platform) newAntivirus(r *remediate.Remediator) *antivirus.Handler {
	scanner := scan.New(scan.Config{
		Pool: p.hashes, Decide: p.decide, Indicators: p.hasFiles, Skip: []string{p.conf.StateDir},
		Autoruns: func() []string {
			f := persistence.Finder{Root: "/", Homes: homes()}
			paths, err := f.Named(context.Background())
			if err != nil {
				p.conf.Log.Warn("not all of what starts programs could be read", "err", err)
			}
			return paths
		},
		Homes: func() (out []string) {
			for _, h := range homes() {
				out = append(out, h.Dir)
			}
			return out
		},
	})
	return antivirus.New(antivirus.Config{
		Scanner: scanner, Remediator: r, Server: p.server, Lookup: p.sender, RuleDirs: []string{rulesDir},
		Emit: func(e *event.Event) {
			if s := p.sink.Load(); s != nil {
				(*s).Emit(e)
			}
		},
	})
}

// homes are the home directories of people and of root.
func homes() []persistence.Home {
	db, err := passwd.Read("/")
	if err != nil {
		return nil
	}
	var out []persistence.Home
	seen := map[string]bool{}
	for _, u := range db.Users {
		// Services have directories of the system as theirs, which nobody logs on to.
		if (u.UID == 0 || u.UID >= 1000 && u.UID != 65534) && filepath.IsAbs(u.Home) && filepath.Clean(u.Home) != "/" && !seen[u.Home] {
			seen[u.Home] = true
			out = append(out, persistence.Home{User: u.Name, Dir: u.Home})
		}
	}
	return out
}
