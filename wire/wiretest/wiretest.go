// Package wiretest makes telemetry as devices really send it, and keeps recorded frames
// of every batch format, which must decode for ever.
//
// Shell is the measure of the wire's size: what a build server's shell scripts look like.
// All is small and fills every field of every part. Both depend on the seed alone.
package wiretest

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"path"
	"time"

	"github.com/vedette-edr/vedette/schema/event"
)

// Start is when all telemetry of this package begins.
var Start = time.Date(2026, 11, 21, 9, 30, 0, 123456789, time.UTC)

var programs = []string{
	"/usr/bin/dash", "/usr/bin/bash", "/usr/bin/grep", "/usr/bin/sed", "/usr/bin/gawk", "/usr/bin/cat", "/usr/bin/ls",
	"/usr/bin/find", "/usr/bin/xargs", "/usr/bin/tar", "/usr/bin/gzip", "/usr/bin/date", "/usr/bin/sleep", "/usr/bin/ps",
	"/usr/bin/id", "/usr/bin/uname", "/usr/bin/rm", "/usr/bin/cp", "/usr/bin/mv", "/usr/bin/mkdir", "/usr/bin/chmod",
	"/usr/bin/head", "/usr/bin/tail", "/usr/bin/sort", "/usr/bin/wc", "/usr/bin/tr", "/usr/bin/cut", "/usr/bin/true",
	"/usr/bin/curl", "/usr/bin/git", "/usr/lib/git-core/git-remote-https", "/usr/bin/make", "/usr/bin/x86_64-linux-gnu-gcc-12",
	"/usr/lib/gcc/x86_64-linux-gnu/12/cc1", "/usr/bin/x86_64-linux-gnu-as", "/usr/bin/x86_64-linux-gnu-ld.bfd",
	"/usr/bin/python3.11", "/usr/bin/perl", "/usr/bin/expr", "/usr/bin/stat",
}

var words = []string{
	"src", "main", "lib", "include", "config", "module", "server", "client", "handler", "buffer", "parser", "kernel",
	"network", "output", "result", "index", "cache", "worker", "queue", "report", "daily", "backup", "deploy", "release",
}

func program(p string) event.File {
	s1, s2, m := sha1.Sum([]byte(p)), sha256.Sum256([]byte(p)), md5.Sum([]byte(p))
	return event.File{Name: path.Base(p), Path: p, Size: int64(20000 + 7919*len(p)),
		SHA1: hex.EncodeToString(s1[:]), SHA256: hex.EncodeToString(s2[:]), MD5: hex.EncodeToString(m[:])}
}

// Shell returns n executions by shell scripts: forty programs with their hashes, nested
// shells as parents, command lines with paths and numbers that differ in nearly every one.
func Shell(seed uint64, n int) []*event.Event {
	r := rand.New(rand.NewPCG(seed, 1))
	files := make([]event.File, len(programs))
	for i, p := range programs {
		files[i] = program(p)
	}
	builder := event.Account{Name: "builder", Domain: "build-07", SID: "1001"}
	root := event.Account{Name: "root", Domain: "build-07", SID: "0"}
	now, pid := Start, uint32(184_000)
	boot := int64(86_400_000_000_000)
	var shells []*event.Process
	for i := range 6 {
		p := &event.Process{Key: r.Uint64(), PID: pid, Start: now.Add(-time.Duration(r.Int64N(int64(time.Hour)))), Image: files[i%2],
			CommandLine: fmt.Sprintf("/bin/sh ./ci/%s-%s.sh --jobs=%d", words[r.IntN(len(words))], words[r.IntN(len(words))], r.IntN(16)),
			WorkingDir:  "/home/builder/work/" + words[r.IntN(len(words))], Account: builder, Session: 12, Elevation: "TokenElevationTypeDefault",
			Integrity: "Medium", Parent: event.Parent{PID: 2211, FileName: "runner", Start: Start.Add(-26 * time.Hour)}}
		if i == 5 {
			p.Account, p.Integrity, p.Elevation = root, "System", "TokenElevationTypeFull"
		}
		shells = append(shells, p)
		pid += uint32(1 + r.IntN(4))
	}
	out := make([]*event.Event, n)
	for i := range out {
		step := time.Duration(200_000 + r.Int64N(900_000))
		now, boot, pid = now.Add(step), boot+int64(step), pid+uint32(1+r.IntN(3))
		by := shells[r.IntN(len(shells))]
		image := files[int(float64(len(files))*r.Float64()*r.Float64())]
		w := func() string { return words[r.IntN(len(words))] }
		line := image.Name
		switch r.IntN(4) {
		case 0:
			line += fmt.Sprintf(" -e 's/%s/%s/' %s/%s_%d.c", w(), w(), w(), w(), r.IntN(1000))
		case 1:
			line += fmt.Sprintf(" -rn --include=*.go %s.%s %s/", w(), w(), w())
		case 2:
			line += fmt.Sprintf(" /tmp/%s.%06d/%s.log", w(), r.IntN(1_000_000), w())
		}
		p := &event.Process{Key: r.Uint64(), PID: pid, Start: now.Add(-time.Duration(100_000 + r.Int64N(400_000))), Image: image,
			CommandLine: line, WorkingDir: by.WorkingDir, Account: by.Account, Session: by.Session, Elevation: by.Elevation,
			Integrity: by.Integrity, Parent: event.Parent{PID: by.PID, FileName: by.Image.Name, Start: by.Start}}
		out[i] = &event.Event{Table: event.ProcessEvents, Action: "ProcessCreated", Time: now, Boot: boot, Initiating: by, Process: p}
		if image.Name == "bash" || image.Name == "dash" {
			shells[r.IntN(5)] = p
		}
	}
	return out
}

// All returns one event of each table, in which every field of every part is filled in
// one event and left out in another.
func All(seed uint64) []*event.Event {
	r := rand.New(rand.NewPCG(seed, 2))
	sh := Shell(seed, 3)
	by := sh[1].Process
	at := func() time.Time { return Start.Add(time.Duration(r.Int64N(int64(time.Minute)))) }
	return []*event.Event{
		sh[0],
		{Table: event.NetworkEvents, Action: "ConnectionAttempt", Time: at(), Boot: 1, Initiating: by,
			Network: &event.Network{RemoteIP: "203.0.113.77", RemotePort: 443, RemoteURL: "updates.example.net",
				LocalIP: "192.0.2.10", LocalPort: 51514, Protocol: "Tcp"}},
		{Table: event.NetworkEvents, Action: "ListeningConnectionCreated", Time: at(), Initiating: by,
			Network: &event.Network{LocalIP: "2001:db8::1", LocalPort: 8443, Protocol: "Tcp"}},
		{Table: event.FileEvents, Action: "FileRenamed", Time: at(), Boot: 77, Initiating: by,
			File:     &event.File{Name: "naïve résumé.pdf", Path: "/home/builder/naïve résumé.pdf", Size: 4096},
			Previous: &event.File{Name: "draft", Path: "/home/builder/.draft.swp", Size: -1}},
		{Table: event.LogonEvents, Action: "LogonSuccess", Time: at(), Initiating: by,
			Logon: &event.Logon{Type: "RemoteInteractive", ID: 4, Protocol: "ssh", LocalAdmin: true,
				RemoteDevice: "laptop-3", RemoteIP: "198.51.100.4", RemotePort: 50022},
			Account: &event.Account{Name: "alice", Domain: "build-07", SID: "1000"}, Additional: `{"Terminal":"pts/3"}`},
		{Table: event.LogonEvents, Action: "LogonFailed", Time: at(),
			Logon: &event.Logon{Type: "Network", Protocol: "ssh", Failure: "InvalidCredentials"}, Account: &event.Account{}},
		{Table: event.ImageLoadEvents, Action: "ImageLoaded", Time: at(), Initiating: by, File: &sh[2].Process.Image},
		{Table: event.RegistryEvents, Action: "RegistryValueSet", Time: at(), Initiating: &event.Process{PID: 4}},
		{Table: event.DeviceEvents, Action: "ProcessTerminated", Time: at(), Process: sh[2].Process, Initiating: sh[2].Process,
			Additional: `{"ExitCode":-1,"Nested":{"a":[1,2,{"b":"}"}]}}`},
	}
}

// Gaps returns losses as devices report them.
func Gaps() []event.Gap {
	return []event.Gap{
		{Source: "kernel:exec", Reason: "the ring was full", Count: 17, From: Start, To: Start.Add(time.Second)},
		{Source: "spool", Reason: "the agent was killed", From: Start.Add(-time.Minute), To: Start},
		{Source: "link", Reason: "unknown period", Count: 1},
	}
}
