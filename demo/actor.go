package demo

import (
	"crypto/sha1" //nolint:gosec // a column of the schema, not a safeguard
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"path"
	"strconv"
	"time"

	"github.com/vedette-edr/vedette/schema/event"
)

// cue is what one device observes at one time, or what people do then.
type cue struct {
	at     time.Time
	host   *host
	events []*event.Event
	do     func(*desk) error // nil for none
	about  string            // of do, for people
}

// actor makes the events of one device, one after the other.
type actor struct {
	h    *host
	rand *rand.Rand
	now  time.Time
	pid  uint32
	made []*event.Event
	cues *[]cue
}

// newActor returns an actor whose processes differ from those of every other salt.
func newActor(seed uint64, h *host, salt string, at time.Time) *actor {
	r := rand.New(rand.NewPCG(seed, hash64(h.name+"/"+salt)))
	return &actor{h: h, rand: r, now: at, pid: 2000 + r.Uint32N(60_000)}
}

func hash64(s string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(s))
	return h.Sum64()
}

// after lets time pass.
func (a *actor) after(d time.Duration) { a.now = a.now.Add(d) }

// flush makes a cue of what was observed since the last one. Its time is the last event's.
func (a *actor) flush() {
	if len(a.made) > 0 {
		*a.cues = append(*a.cues, cue{at: a.now, host: a.h, events: a.made})
		a.made = nil
	}
}

func (a *actor) add(e *event.Event) *event.Event {
	e.Time = a.now
	a.made = append(a.made, e)
	a.now = a.now.Add(time.Duration(5+a.rand.IntN(60)) * time.Millisecond)
	return e
}

func root(h *host) event.Account { return event.Account{Name: "root", Domain: h.name, SID: "0"} }

func (h *host) account(login string, uid int) event.Account {
	return event.Account{Name: login, Domain: h.name, SID: strconv.Itoa(uid)}
}

// file is a file by its path; its content is what is named, so that the same program has
// the same hashes everywhere.
func file(p, content string, size int64) event.File {
	s1, s256 := sha1.Sum([]byte(content)), sha256.Sum256([]byte(content)) //nolint:gosec // see above
	return event.File{Name: path.Base(p), Path: p, SHA1: hex.EncodeToString(s1[:]), SHA256: hex.EncodeToString(s256[:]), Size: size}
}

// program is a program of the distribution.
func (a *actor) program(p string) event.File {
	return file(p, a.h.distro.release+p, int64(14_000+hash64(p)%900_000))
}

// begin makes a process without an event: one that runs already.
func (a *actor) begin(p, cmd string, as event.Account, parent *event.Process) *event.Process {
	a.pid += 1 + a.rand.Uint32N(7)
	proc := &event.Process{Key: a.rand.Uint64(), PID: a.pid, Start: a.now, Image: a.program(p), CommandLine: cmd, WorkingDir: "/", Account: as,
		Elevation: "TokenElevationTypeDefault", Integrity: "Medium"}
	if as.SID == "0" {
		proc.Elevation, proc.Integrity = "TokenElevationTypeFull", "System"
	}
	if parent != nil {
		proc.Parent = event.Parent{PID: parent.PID, FileName: parent.Image.Name, Start: parent.Start}
		proc.Session = parent.Session
	}
	return proc
}

// run lets a process start a program.
func (a *actor) run(by *event.Process, p, cmd string) *event.Process {
	return a.runAs(by, p, cmd, by.Account, nil)
}

// runAs is run under an account, with further fields.
func (a *actor) runAs(by *event.Process, p, cmd string, as event.Account, more m) *event.Process {
	proc := a.begin(p, cmd, as, by)
	a.add(&event.Event{Table: event.ProcessEvents, Action: "ProcessCreated", Initiating: by, Process: proc, Additional: additional(more)})
	return proc
}

func additional(more m) string {
	if len(more) == 0 {
		return ""
	}
	raw, err := json.Marshal(more)
	if err != nil {
		panic(err) // of texts and numbers: cannot fail
	}
	return string(raw)
}

// payload runs a program that is none of the distribution's.
func (a *actor) payload(by *event.Process, f event.File, cmd string, more m) *event.Process {
	proc := a.begin(f.Path, cmd, by.Account, by)
	proc.Image = f
	a.add(&event.Event{Table: event.ProcessEvents, Action: "ProcessCreated", Initiating: by, Process: proc, Additional: additional(more)})
	return proc
}

func (a *actor) file(by *event.Process, action string, f event.File) {
	a.add(&event.Event{Table: event.FileEvents, Action: action, Initiating: by, File: &f})
}

func (a *actor) rename(by *event.Process, from, to event.File) {
	a.add(&event.Event{Table: event.FileEvents, Action: "FileRenamed", Initiating: by, File: &to, Previous: &from})
}

func (a *actor) reads(by *event.Process, p string) {
	f := file(p, a.h.name+p, 400)
	a.add(&event.Event{Table: event.DeviceEvents, Action: "SensitiveFileRead", Initiating: by, File: &f})
}

func (a *actor) device(by *event.Process, action string, f *event.File, more m) {
	a.add(&event.Event{Table: event.DeviceEvents, Action: action, Initiating: by, File: f, Additional: additional(more)})
}

// connect opens a connection to a host of the world or the company.
func (a *actor) connect(by *event.Process, ip string, port uint16, name string) {
	n := &event.Network{RemoteIP: ip, RemotePort: port, RemoteURL: name, LocalIP: a.h.ip, LocalPort: uint16(32_768 + a.rand.IntN(28_000)), Protocol: "Tcp"}
	a.add(&event.Event{Table: event.NetworkEvents, Action: "ConnectionAttempt", Initiating: by, Network: n})
	a.add(&event.Event{Table: event.NetworkEvents, Action: "ConnectionSuccess", Initiating: by, Network: n})
}

func (a *actor) accept(by *event.Process, ip string, port uint16) {
	a.add(&event.Event{Table: event.NetworkEvents, Action: "InboundConnectionAccepted", Initiating: by,
		Network: &event.Network{RemoteIP: ip, RemotePort: uint16(32_768 + a.rand.IntN(28_000)), LocalIP: a.h.ip, LocalPort: port, Protocol: "Tcp"}})
}

func (a *actor) resolve(by *event.Process, name, ip string) {
	a.add(&event.Event{Table: event.DeviceEvents, Action: "DnsQueryResponse", Initiating: by, Additional: additional(m{
		"DnsQueryString": name, "DnsQueryType": "A", "DnsQueryResult": []any{m{"Result": ip, "DnsQueryType": "A"}}})})
}

// logon is an attempt from an address to log on by ssh; failure "" succeeds. It returns the
// session's shell when it does.
func (a *actor) logon(login string, uid int, from, device, failure string) *event.Process {
	sshd := a.begin("/usr/sbin/sshd", "sshd: "+login+" [priv]", root(a.h), nil)
	session := a.rand.Uint32N(1 << 20)
	l := &event.Logon{Type: "RemoteInteractive", ID: uint64(session), Protocol: "ssh", RemoteIP: from, RemotePort: uint16(40_000 + a.rand.IntN(20_000)),
		RemoteDevice: device, LocalAdmin: uid == 0, Failure: failure}
	action := "LogonSuccess"
	if failure != "" {
		action, l.Type, l.ID = "LogonFailed", "Network", 0
	}
	acct := a.h.account(login, uid)
	a.add(&event.Event{Table: event.LogonEvents, Action: action, Initiating: sshd, Logon: l, Account: &acct})
	if failure != "" {
		return nil
	}
	sshd.Session = session
	return a.runAs(sshd, "/usr/bin/bash", "-bash", acct, nil)
}

// uidOf is the number of an account: of a person, or of a service.
func (c *company) uidOf(login string) int {
	for _, p := range c.people {
		if p.login == login {
			return p.uid
		}
	}
	if login == "root" {
		return 0
	}
	return 100 + int(hash64(login)%800)
}

// private is an address of nobody, for the world outside: RFC 5737.
func outside(n int) string { return fmt.Sprintf("198.51.100.%d", n) }
