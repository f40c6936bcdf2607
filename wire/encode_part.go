package wire

import (
	"encoding/hex"
	"net/netip"

	"github.com/vedette-edr/vedette/schema/event"
)

type fileRow struct {
	name, path        uint32
	sha1, sha256, md5 string
	size              int64
}

type processRow struct {
	key                                         uint64
	pid, image, line, dir, account, session     uint32
	elevation, integrity, parentPID, parentName uint32
	start, parentStart                          int64
}

type accountRow struct{ name, domain, sid uint32 }

type networkRow struct{ rip, rport, url, lip, lport, proto uint32 }

type logonRow struct {
	kind, proto, failure, admin, rdev, rip, rport uint32
	id                                            uint64
}

func (e *encoding) address(what, s string) uint32 {
	if s == "" {
		return 0
	}
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" {
		e.fail(what + " is not an IP address")
		return 0
	}
	a = a.Unmap()
	i, ok := e.addresses[a]
	if !ok {
		i = uint32(len(e.addresses) + 1)
		e.addresses[a] = i
		e.out.Addresses.Length = append(e.out.Addresses.Length, uint32(a.BitLen()/8))
		e.out.Addresses.Octets = append(e.out.Addresses.Octets, a.AsSlice()...)
	}
	return i
}

func (e *encoding) account(a *event.Account) uint32 {
	if *a == (event.Account{}) {
		return 0
	}
	if i, ok := e.byAccount[*a]; ok {
		return i
	}
	i := e.addAccount(a)
	e.byAccount[*a] = i
	return i
}

func (e *encoding) addAccount(a *event.Account) uint32 {
	r := accountRow{e.text(a.Name), e.text(a.Domain), e.text(a.SID)}
	i, ok := e.accounts[r]
	if !ok {
		i = uint32(len(e.accounts) + 1)
		e.accounts[r] = i
		t := e.out.Accounts
		t.Name, t.Domain, t.Sid = append(t.Name, r.name), append(t.Domain, r.domain), append(t.Sid, r.sid)
	}
	return i
}

func (e *encoding) digest(what, s string, size int) string {
	if s == "" {
		return ""
	}
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != size {
		e.fail(what + " is not a hash in hexadecimal")
		return ""
	}
	return string(b)
}

func (e *encoding) file(f *event.File) uint32 {
	if i, ok := e.byFile[*f]; ok {
		return i
	}
	i := e.addFile(f)
	if e.why == "" {
		e.byFile[*f] = i
	}
	return i
}

func (e *encoding) addFile(f *event.File) uint32 {
	r := fileRow{path: e.text(f.Path), size: f.Size}
	if f.Name != lastElement(f.Path) {
		r.name = e.text(f.Name) + 1
	}
	if f.Size < -1 {
		e.fail("a file's size is negative")
	}
	r.sha1, r.sha256, r.md5 = e.digest("SHA1", f.SHA1, 20), e.digest("SHA256", f.SHA256, 32), e.digest("MD5", f.MD5, 16)
	i, ok := e.files[r]
	if ok {
		return i
	}
	i = uint32(len(e.files) + 1)
	e.files[r] = i
	t := e.out.Files
	var has uint32
	for bit, h := range []struct {
		sum string
		to  *[]byte
	}{{r.sha1, &t.Sha1}, {r.sha256, &t.Sha256}, {r.md5, &t.Md5}} {
		if h.sum != "" {
			has |= 1 << bit
			*h.to = append(*h.to, h.sum...)
		}
	}
	t.Name, t.Path, t.Size, t.Hashes = append(t.Name, r.name), append(t.Path, r.path), append(t.Size, r.size), append(t.Hashes, has)
	return i
}

func (e *encoding) process(p *event.Process) uint32 {
	if p == nil {
		return 0
	}
	if i, ok := e.byPointer[p]; ok {
		return i
	}
	r := processRow{
		key: p.Key, pid: p.PID, start: e.moment("a process's start", p.Start), image: e.file(&p.Image),
		line: e.text(p.CommandLine), dir: e.text(p.WorkingDir), account: e.account(&p.Account), session: p.Session,
		elevation: e.text(p.Elevation), integrity: e.text(p.Integrity), parentPID: p.Parent.PID,
		parentName: e.text(p.Parent.FileName), parentStart: e.moment("a parent's start", p.Parent.Start),
	}
	i, ok := e.procs[r]
	if !ok && e.why == "" {
		i = uint32(len(e.procs) + 1)
		e.procs[r] = i
		t := e.out.Processes
		t.Key, t.Pid = append(t.Key, r.key), append(t.Pid, int64(r.pid)-e.pid)
		e.pid = int64(r.pid)
		t.Start = append(t.Start, column(&e.start, r.start))
		t.Image, t.CommandLine = append(t.Image, r.image), append(t.CommandLine, r.line)
		t.WorkingDir, t.Account = append(t.WorkingDir, r.dir), append(t.Account, r.account)
		t.Session, t.Elevation = append(t.Session, r.session), append(t.Elevation, r.elevation)
		t.Integrity = append(t.Integrity, r.integrity)
		t.ParentPid = append(t.ParentPid, int64(r.parentPID)-int64(r.pid))
		t.ParentName = append(t.ParentName, r.parentName)
		t.ParentStart = append(t.ParentStart, column(&e.parentStart, r.parentStart))
	}
	e.byPointer[p] = i
	return i
}

func (e *encoding) network(n *event.Network) uint32 {
	if n == nil {
		return 0
	}
	r := networkRow{e.address("RemoteIP", n.RemoteIP), uint32(n.RemotePort), e.text(n.RemoteURL),
		e.address("LocalIP", n.LocalIP), uint32(n.LocalPort), e.text(n.Protocol)}
	i, ok := e.networks[r]
	if !ok {
		i = uint32(len(e.networks) + 1)
		e.networks[r] = i
		t := e.out.Networks
		t.RemoteIp, t.RemotePort, t.RemoteUrl = append(t.RemoteIp, r.rip), append(t.RemotePort, r.rport), append(t.RemoteUrl, r.url)
		t.LocalIp, t.LocalPort, t.Protocol = append(t.LocalIp, r.lip), append(t.LocalPort, r.lport), append(t.Protocol, r.proto)
	}
	return i
}

func (e *encoding) logon(l *event.Logon) uint32 {
	if l == nil {
		return 0
	}
	r := logonRow{kind: e.text(l.Type), id: l.ID, proto: e.text(l.Protocol), failure: e.text(l.Failure),
		rdev: e.text(l.RemoteDevice), rip: e.address("RemoteIP", l.RemoteIP), rport: uint32(l.RemotePort)}
	if l.LocalAdmin {
		r.admin = 1
	}
	i, ok := e.logons[r]
	if !ok {
		i = uint32(len(e.logons) + 1)
		e.logons[r] = i
		t := e.out.Logons
		t.Type, t.Id, t.Protocol = append(t.Type, r.kind), append(t.Id, r.id), append(t.Protocol, r.proto)
		t.Failure, t.LocalAdmin = append(t.Failure, r.failure), append(t.LocalAdmin, r.admin)
		t.RemoteDevice, t.RemoteIp = append(t.RemoteDevice, r.rdev), append(t.RemoteIp, r.rip)
		t.RemotePort = append(t.RemotePort, r.rport)
	}
	return i
}

// accountPart is account for a part that is given: an empty one is not the same as none.
func (e *encoding) accountPart(a *event.Account) uint32 {
	if i := e.account(a); i != 0 {
		return i
	}
	i, ok := e.accounts[accountRow{}]
	if !ok {
		i = uint32(len(e.accounts) + 1)
		e.accounts[accountRow{}] = i
		t := e.out.Accounts
		t.Name, t.Domain, t.Sid = append(t.Name, 0), append(t.Domain, 0), append(t.Sid, 0)
	}
	return i
}
