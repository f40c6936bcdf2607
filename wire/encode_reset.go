package wire

// reset empties an encoding and keeps its memory. Every column is named here, and a test
// finds the one that is not.
func (e *encoding) reset() {
	clear(e.seen)
	clear(e.addresses)
	clear(e.accounts)
	clear(e.files)
	clear(e.procs)
	clear(e.networks)
	clear(e.logons)
	clear(e.byPointer)
	clear(e.byFile)
	clear(e.byAccount)
	e.object, e.why, e.pid, e.boot = "", "", 0, difference{}

	s := e.out.Strings
	s.Length, s.Text = s.Length[:0], s.Text[:0]

	d := e.out.Addresses
	d.Length, d.Octets = d.Length[:0], d.Octets[:0]

	a := e.out.Accounts
	a.Name, a.Domain, a.Sid = a.Name[:0], a.Domain[:0], a.Sid[:0]

	f := e.out.Files
	f.Name, f.Path, f.Size, f.Hashes = f.Name[:0], f.Path[:0], f.Size[:0], f.Hashes[:0]
	f.Sha1, f.Sha256, f.Md5 = f.Sha1[:0], f.Sha256[:0], f.Md5[:0]

	p := e.out.Processes
	p.Key, p.Pid, p.Start, p.Image = p.Key[:0], p.Pid[:0], p.Start[:0], p.Image[:0]
	p.CommandLine, p.WorkingDir, p.Account, p.Session = p.CommandLine[:0], p.WorkingDir[:0], p.Account[:0], p.Session[:0]
	p.Elevation, p.Integrity, p.ParentPid, p.ParentName = p.Elevation[:0], p.Integrity[:0], p.ParentPid[:0], p.ParentName[:0]
	p.ParentStart = p.ParentStart[:0]

	n := e.out.Networks
	n.RemoteIp, n.RemotePort, n.RemoteUrl, n.LocalIp = n.RemoteIp[:0], n.RemotePort[:0], n.RemoteUrl[:0], n.LocalIp[:0]
	n.LocalPort, n.Protocol = n.LocalPort[:0], n.Protocol[:0]

	l := e.out.Logons
	l.Type, l.Id, l.Protocol, l.Failure = l.Type[:0], l.Id[:0], l.Protocol[:0], l.Failure[:0]
	l.LocalAdmin, l.RemoteDevice, l.RemoteIp, l.RemotePort = l.LocalAdmin[:0], l.RemoteDevice[:0], l.RemoteIp[:0], l.RemotePort[:0]

	v := e.out.Events
	v.Table, v.Action, v.Time, v.Boot = v.Table[:0], v.Action[:0], v.Time[:0], v.Boot[:0]
	v.Initiating, v.Process, v.File, v.Previous = v.Initiating[:0], v.Process[:0], v.File[:0], v.Previous[:0]
	v.Network, v.Logon, v.Account, v.Additional = v.Network[:0], v.Logon[:0], v.Account[:0], v.Additional[:0]

	g := e.out.Gaps
	g.Source, g.Reason, g.Count, g.From = g.Source[:0], g.Reason[:0], g.Count[:0], g.From[:0]
	g.To = g.To[:0]
}
