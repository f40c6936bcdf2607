package wire

import (
	"encoding/hex"
	"net/netip"

	"github.com/vedette-edr/vedette/schema/event"
)

func (d *decoding) readAddresses() error {
	t := d.in.GetAddresses()
	octets := t.GetOctets()
	d.addresses = append(make([]string, 0, len(t.GetLength())+1), "")
	for i, n := range t.GetLength() {
		if n != 4 && n != 16 || int(n) > len(octets) {
			return bad("addresses", "address %d has the wrong length", i+1)
		}
		a, _ := netip.AddrFromSlice(octets[:n])
		octets = octets[n:]
		if a.Is4In6() {
			return bad("addresses", "address %d is an IPv4 address in IPv6 form", i+1)
		}
		d.addresses = append(d.addresses, a.String())
	}
	if len(octets) != 0 {
		return bad("addresses", "%d octets belong to no address", len(octets))
	}
	return nil
}

func (d *decoding) readAccounts() error {
	t := d.in.GetAccounts()
	n := len(t.GetName())
	if err := sameLength("accounts", n, len(t.GetDomain()), len(t.GetSid())); err != nil {
		return err
	}
	d.accounts = make([]event.Account, n)
	for i := range d.accounts {
		r := row{d: d, table: "accounts", index: i}
		d.accounts[i] = event.Account{Name: r.text("name", t.Name[i]), Domain: r.text("domain", t.Domain[i]), SID: r.text("sid", t.Sid[i])}
		if r.err != nil {
			return r.err
		}
	}
	return nil
}

func (d *decoding) readFiles() error {
	t := d.in.GetFiles()
	n := len(t.GetPath())
	if err := sameLength("files", n, len(t.GetName()), len(t.GetSize()), len(t.GetHashes())); err != nil {
		return err
	}
	sums := [3]struct {
		left []byte
		size int
	}{{t.GetSha1(), 20}, {t.GetSha256(), 32}, {t.GetMd5(), 16}}
	d.files = make([]event.File, n)
	for i := range d.files {
		r := row{d: d, table: "files", index: i}
		f := &d.files[i]
		f.Path, f.Size = r.text("path", t.Path[i]), t.Size[i]
		if f.Name = lastElement(f.Path); t.Name[i] > 0 {
			f.Name = r.text("name", t.Name[i]-1)
		}
		if f.Size < -1 {
			r.fail("size", "is negative")
		}
		if t.Hashes[i] > 7 {
			r.fail("hashes", "has unknown bits")
		}
		for bit, to := range []*string{&f.SHA1, &f.SHA256, &f.MD5} {
			if t.Hashes[i]&(1<<bit) == 0 || r.err != nil {
				continue
			}
			s := &sums[bit]
			if len(s.left) < s.size {
				r.fail("hashes", "a hash is missing")
				continue
			}
			*to, s.left = hex.EncodeToString(s.left[:s.size]), s.left[s.size:]
		}
		if r.err != nil {
			return r.err
		}
	}
	for _, s := range sums {
		if len(s.left) != 0 {
			return bad("files", "%d bytes of hashes belong to no file", len(s.left))
		}
	}
	return nil
}

func (d *decoding) readProcesses() error {
	t := d.in.GetProcesses()
	n := len(t.GetKey())
	if err := sameLength("processes", n, len(t.GetPid()), len(t.GetStart()), len(t.GetImage()), len(t.GetCommandLine()),
		len(t.GetWorkingDir()), len(t.GetAccount()), len(t.GetSession()), len(t.GetElevation()), len(t.GetIntegrity()),
		len(t.GetParentPid()), len(t.GetParentName()), len(t.GetParentStart())); err != nil {
		return err
	}
	start, parentStart, pid := difference{d.in.Created}, difference{d.in.Created}, int64(0)
	d.processes = make([]event.Process, n)
	for i := range d.processes {
		r := row{d: d, table: "processes", index: i}
		p := &d.processes[i]
		p.Key, p.Session = t.Key[i], t.Session[i]
		p.PID = r.pid("pid", pid+t.Pid[i])
		pid = int64(p.PID)
		p.Start = r.moment("start", &start, t.Start[i])
		if f := part(&r, "image", d.files, t.Image[i]); f != nil {
			p.Image = *f
		} else if r.err == nil {
			r.fail("image", "is not given")
		}
		p.CommandLine, p.WorkingDir = r.text("command_line", t.CommandLine[i]), r.text("working_dir", t.WorkingDir[i])
		if a := part(&r, "account", d.accounts, t.Account[i]); a != nil {
			p.Account = *a
		}
		p.Elevation, p.Integrity = r.text("elevation", t.Elevation[i]), r.text("integrity", t.Integrity[i])
		p.Parent = event.Parent{
			PID:      r.pid("parent_pid", pid+t.ParentPid[i]),
			FileName: r.text("parent_name", t.ParentName[i]),
			Start:    r.moment("parent_start", &parentStart, t.ParentStart[i]),
		}
		if r.err != nil {
			return r.err
		}
	}
	return nil
}

func (d *decoding) readNetworks() error {
	t := d.in.GetNetworks()
	n := len(t.GetRemoteIp())
	if err := sameLength("networks", n, len(t.GetRemotePort()), len(t.GetRemoteUrl()), len(t.GetLocalIp()),
		len(t.GetLocalPort()), len(t.GetProtocol())); err != nil {
		return err
	}
	d.networks = make([]event.Network, n)
	for i := range d.networks {
		r := row{d: d, table: "networks", index: i}
		d.networks[i] = event.Network{
			RemoteIP: r.address("remote_ip", t.RemoteIp[i]), RemotePort: r.port("remote_port", t.RemotePort[i]),
			RemoteURL: r.text("remote_url", t.RemoteUrl[i]),
			LocalIP:   r.address("local_ip", t.LocalIp[i]), LocalPort: r.port("local_port", t.LocalPort[i]),
			Protocol: r.text("protocol", t.Protocol[i]),
		}
		if r.err != nil {
			return r.err
		}
	}
	return nil
}

func (d *decoding) readLogons() error {
	t := d.in.GetLogons()
	n := len(t.GetType())
	if err := sameLength("logons", n, len(t.GetId()), len(t.GetProtocol()), len(t.GetFailure()), len(t.GetLocalAdmin()),
		len(t.GetRemoteDevice()), len(t.GetRemoteIp()), len(t.GetRemotePort())); err != nil {
		return err
	}
	d.logons = make([]event.Logon, n)
	for i := range d.logons {
		r := row{d: d, table: "logons", index: i}
		if t.LocalAdmin[i] > 1 {
			r.fail("local_admin", "is neither 0 nor 1")
		}
		d.logons[i] = event.Logon{
			Type: r.text("type", t.Type[i]), ID: t.Id[i], Protocol: r.text("protocol", t.Protocol[i]),
			Failure: r.text("failure", t.Failure[i]), LocalAdmin: t.LocalAdmin[i] == 1,
			RemoteDevice: r.text("remote_device", t.RemoteDevice[i]), RemoteIP: r.address("remote_ip", t.RemoteIp[i]),
			RemotePort: r.port("remote_port", t.RemotePort[i]),
		}
		if r.err != nil {
			return r.err
		}
	}
	return nil
}
