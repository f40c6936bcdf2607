package wire

import (
	"encoding/hex"
	"math"
	"net/netip"
	"time"
	"unicode/utf8"

	"github.com/vedette-edr/vedette/schema/event"
	"github.com/vedette-edr/vedette/wire/wirepb"
)

// DecodeBatch reads a frame. Nothing in it is trusted: sizes, counts, references, UTF-8,
// JSON, addresses, numbers and times are checked, and an error is a *FormatError that
// names the place. What it returns, EncodeBatch turns into an equal batch again.
func DecodeBatch(frame []byte, l Limits) (*Batch, error) {
	l = l.orDefault()
	if len(frame) > l.Frame {
		return nil, bad("frame", "is %d bytes, more than %d", len(frame), l.Frame)
	}
	content, err := unpack(frame, l.Decoded)
	if err != nil {
		return nil, err
	}
	d := decoding{limits: l}
	if err := d.in.UnmarshalVT(content); err != nil {
		return nil, bad("content", "is not the message it should be: %v", err)
	}
	return d.batch()
}

type decoding struct {
	limits    Limits
	in        wirepb.Batch
	texts     []string
	object    []uint8 // per text: whether it is a JSON object; 0 not yet known
	addresses []string
	accounts  []event.Account
	files     []event.File
	processes []event.Process
	networks  []event.Network
	logons    []event.Logon
}

func (d *decoding) batch() (*Batch, error) {
	in := &d.in
	switch {
	case len(in.Device) != 20:
		return nil, bad("device", "is not 20 bytes")
	case in.Incarnation == 0 || in.Sequence == 0:
		return nil, bad("header", "incarnation and sequence begin at 1")
	case in.FirstReport < 0 || in.FirstReport > maxTime:
		return nil, bad("first_report", "is out of range")
	case in.Created <= 0 || in.Created >= maxTime:
		return nil, bad("created", "is out of range")
	}
	if err := d.checkRows(); err != nil {
		return nil, err
	}
	for _, part := range []func() error{
		d.readStrings, d.readAddresses, d.readAccounts, d.readFiles, d.readProcesses, d.readNetworks, d.readLogons,
	} {
		if err := part(); err != nil {
			return nil, err
		}
	}
	b := &Batch{Header: Header{
		Device: hex.EncodeToString(in.Device), Incarnation: in.Incarnation, Sequence: in.Sequence,
		FirstReport: in.FirstReport, Created: time.Unix(0, in.Created).UTC(),
	}}
	var err error
	if b.Events, err = d.readEvents(); err != nil {
		return nil, err
	}
	if b.Gaps, err = d.readGaps(); err != nil {
		return nil, err
	}
	if len(b.Events)+len(b.Gaps) == 0 {
		return nil, bad("events", "the batch holds nothing")
	}
	return b, nil
}

// checkRows bounds every table by what the events can refer to, before anything is
// allocated for it.
func (d *decoding) checkRows() error {
	in := &d.in
	events, gaps := len(in.GetEvents().GetTable()), len(in.GetGaps().GetSource())
	if events > d.limits.Events {
		return bad("events", "there are %d, more than %d", events, d.limits.Events)
	}
	if gaps > d.limits.Gaps {
		return bad("gaps", "there are %d, more than %d", gaps, d.limits.Gaps)
	}
	for _, t := range []struct {
		name      string
		rows, max int
	}{
		{"strings", len(in.GetStrings().GetLength()), 1 + 40*events + 2*gaps},
		{"addresses", len(in.GetAddresses().GetLength()), 3 * events},
		{"accounts", len(in.GetAccounts().GetName()), 3 * events},
		{"files", len(in.GetFiles().GetPath()), 4 * events},
		{"processes", len(in.GetProcesses().GetKey()), 2 * events},
		{"networks", len(in.GetNetworks().GetRemoteIp()), events},
		{"logons", len(in.GetLogons().GetType()), events},
	} {
		if t.rows > t.max {
			return bad(t.name, "there are %d, more than the events can refer to", t.rows)
		}
	}
	return nil
}

// sameLength checks that the columns of a table have one length.
func sameLength(table string, n int, columns ...int) error {
	for i, c := range columns {
		if c != n {
			return bad(table, "column %d has %d rows, the first has %d", i+2, c, n)
		}
	}
	return nil
}

func (d *decoding) readStrings() error {
	t := d.in.GetStrings()
	lengths, text := t.GetLength(), string(t.GetText())
	if len(lengths) == 0 || lengths[0] != 0 {
		return bad("strings", "string 0 is not the empty one")
	}
	d.texts, d.object = make([]string, len(lengths)), make([]uint8, len(lengths))
	at := 0
	for i, n := range lengths {
		if n > uint32(d.limits.Text) {
			return bad("strings", "string %d is %d bytes, more than %d", i, n, d.limits.Text)
		}
		if int(n) > len(text)-at {
			return bad("strings", "string %d ends outside the text", i)
		}
		d.texts[i] = text[at : at+int(n)]
		if !utf8.ValidString(d.texts[i]) {
			return bad("strings", "string %d is not UTF-8", i)
		}
		at += int(n)
	}
	if at != len(text) {
		return bad("strings", "%d bytes of text belong to no string", len(text)-at)
	}
	return nil
}

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

// row resolves the references of one row; the first fault stays in err.
type row struct {
	d     *decoding
	table string
	index int
	err   error
}

func (r *row) fail(column, format string, args ...any) {
	if r.err == nil {
		r.err = bad(r.table+"."+column, "row %d: "+format, append([]any{r.index}, args...)...)
	}
}

func (r *row) text(column string, ref uint32) string {
	if uint64(ref) >= uint64(len(r.d.texts)) {
		r.fail(column, "there is no string %d", ref)
		return ""
	}
	return r.d.texts[ref]
}

func (r *row) address(column string, ref uint32) string {
	if uint64(ref) >= uint64(len(r.d.addresses)) {
		r.fail(column, "there is no address %d", ref)
		return ""
	}
	return r.d.addresses[ref]
}

func (r *row) port(column string, n uint32) uint16 {
	if n > math.MaxUint16 {
		r.fail(column, "%d is no port", n)
	}
	return uint16(n)
}

func (r *row) moment(column string, d *difference, n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	v := d.take(n)
	if v <= 0 || v >= maxTime {
		r.fail(column, "the time is out of range")
		return time.Time{}
	}
	return time.Unix(0, v).UTC()
}

func (r *row) pid(column string, n int64) uint32 {
	if n < 0 || n > math.MaxUint32 {
		r.fail(column, "%d is no process id", n)
		return 0
	}
	return uint32(n)
}

// part resolves a one-based reference into a table of parts.
func part[T any](r *row, column string, table []T, ref uint32) *T {
	if ref == 0 {
		return nil
	}
	if uint64(ref) > uint64(len(table)) {
		r.fail(column, "there is no row %d to refer to", ref)
		return nil
	}
	return &table[ref-1]
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

func (d *decoding) readEvents() ([]*event.Event, error) {
	t := d.in.GetEvents()
	n := len(t.GetTable())
	if err := sameLength("events", n, len(t.GetAction()), len(t.GetTime()), len(t.GetBoot()), len(t.GetInitiating()),
		len(t.GetProcess()), len(t.GetFile()), len(t.GetPrevious()), len(t.GetNetwork()), len(t.GetLogon()),
		len(t.GetAccount()), len(t.GetAdditional())); err != nil {
		return nil, err
	}
	clock, boot := difference{d.in.Created}, difference{}
	all, out := make([]event.Event, n), make([]*event.Event, n)
	for i := range all {
		r := row{d: d, table: "events", index: i}
		e := &all[i]
		out[i] = e
		if e.Table = event.Table(t.Table[i]); t.Table[i] > math.MaxUint8 || !e.Table.Valid() {
			r.fail("table", "%d is unknown", t.Table[i])
		}
		if e.Action = r.text("action", t.Action[i]); r.err == nil && !isAction(e.Action) {
			r.fail("action", "is not 1 to 64 letters and digits")
		}
		if e.Time = r.moment("time", &clock, t.Time[i]); r.err == nil && e.Time.IsZero() {
			r.fail("time", "is not given")
		}
		if t.Boot[i] != 0 && r.err == nil {
			e.Boot = boot.take(t.Boot[i]) + clock.last
			if e.Boot <= 0 || e.Boot >= maxBoot {
				r.fail("boot", "is out of range")
			}
		}
		e.Initiating = part(&r, "initiating", d.processes, t.Initiating[i])
		e.Process = part(&r, "process", d.processes, t.Process[i])
		e.File, e.Previous = part(&r, "file", d.files, t.File[i]), part(&r, "previous", d.files, t.Previous[i])
		e.Network, e.Logon = part(&r, "network", d.networks, t.Network[i]), part(&r, "logon", d.logons, t.Logon[i])
		e.Account = part(&r, "account", d.accounts, t.Account[i])
		if e.Additional = r.text("additional", t.Additional[i]); e.Additional != "" && !d.isObject(t.Additional[i]) {
			r.fail("additional", "is not a JSON object")
		}
		if r.err != nil {
			return nil, r.err
		}
	}
	return out, nil
}

// isObject remembers its answer, because many events may share one text.
func (d *decoding) isObject(ref uint32) bool {
	if d.object[ref] == 0 {
		d.object[ref] = 1
		if isObject(d.texts[ref]) {
			d.object[ref] = 2
		}
	}
	return d.object[ref] == 2
}

func (d *decoding) readGaps() ([]event.Gap, error) {
	t := d.in.GetGaps()
	n := len(t.GetSource())
	if err := sameLength("gaps", n, len(t.GetReason()), len(t.GetCount()), len(t.GetFrom()), len(t.GetTo())); err != nil {
		return nil, err
	}
	from, to := difference{d.in.Created}, difference{d.in.Created}
	var out []event.Gap
	for i := range n {
		r := row{d: d, table: "gaps", index: i}
		g := event.Gap{Source: r.text("source", t.Source[i]), Reason: r.text("reason", t.Reason[i]), Count: t.Count[i],
			From: r.moment("from", &from, t.From[i]), To: r.moment("to", &to, t.To[i])}
		if r.err == nil && g.Source == "" {
			r.fail("source", "is empty")
		}
		if r.err != nil {
			return nil, r.err
		}
		out = append(out, g)
	}
	return out, nil
}
