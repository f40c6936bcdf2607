package event

import (
	"net/netip"
	"strconv"
	"time"
)

// Origin is what the server knows of an event beyond what the device said.
type Origin struct {
	DeviceID   string
	DeviceName string
	ReportID   int64     // per device, counts up within an incarnation
	Timestamp  time.Time // Event.Time corrected by the device's measured clock offset
	Ingested   time.Time // when the server took the batch in
}

// Reader returns the cell of one column.
type Reader func(*Origin, *Event) Value

// Column returns the reader of a hunting column, the same for every event table: a bare
// name is the target, InitiatingProcess… the actor. It reports false for a column that
// no event fills; such a column is null (a string "") in every row.
func Column(name string) (Reader, bool) {
	r, ok := columns[name]
	return r, ok
}

var columns = map[string]Reader{
	"Timestamp":     func(o *Origin, _ *Event) Value { return At(o.Timestamp) },
	"IngestionTime": func(o *Origin, _ *Event) Value { return At(o.Ingested) },
	"RawTimestamp":  func(_ *Origin, e *Event) Value { return At(e.Time) },
	"DeviceId":      func(o *Origin, _ *Event) Value { return Str(o.DeviceID) },
	"DeviceName":    func(o *Origin, _ *Event) Value { return Str(o.DeviceName) },
	"ReportId":      func(o *Origin, _ *Event) Value { return Num(o.ReportID) },
	"ActionType":    func(_ *Origin, e *Event) Value { return Str(e.Action) },
	"AdditionalFields": func(_ *Origin, e *Event) Value {
		if e.Additional == "" {
			return Value{}
		}
		return Str(e.Additional)
	},

	"FileName":         target(func(f *File) Value { return Str(f.Name) }),
	"FolderPath":       target(func(f *File) Value { return Str(f.Path) }),
	"SHA1":             target(func(f *File) Value { return Str(f.SHA1) }),
	"SHA256":           target(func(f *File) Value { return Str(f.SHA256) }),
	"MD5":              target(func(f *File) Value { return Str(f.MD5) }),
	"FileSize":         target(fileSize),
	"PreviousFileName": previous(func(f *File) Value { return Str(f.Name) }),
	"PreviousFolderPath": previous(func(f *File) Value {
		return Str(f.Path)
	}),

	"ProcessId":                     process(pid),
	"ProcessCommandLine":            process(func(p *Process) Value { return Str(p.CommandLine) }),
	"ProcessCreationTime":           process(func(p *Process) Value { return At(p.Start) }),
	"ProcessIntegrityLevel":         process(func(p *Process) Value { return Str(p.Integrity) }),
	"ProcessTokenElevation":         process(func(p *Process) Value { return Str(p.Elevation) }),
	"ProcessUniqueId":               process(key),
	"CreatedProcessSessionId":       process(session),
	"AccountName":                   account(func(a *Account) Value { return Str(a.Name) }),
	"AccountDomain":                 account(func(a *Account) Value { return Str(a.Domain) }),
	"AccountSid":                    account(func(a *Account) Value { return Str(a.SID) }),
	"LogonId":                       logonID,
	"InitiatingProcessId":           initiating(pid),
	"InitiatingProcessFileName":     initiating(func(p *Process) Value { return Str(p.Image.Name) }),
	"InitiatingProcessFolderPath":   initiating(func(p *Process) Value { return Str(p.Image.Path) }),
	"InitiatingProcessSHA1":         initiating(func(p *Process) Value { return Str(p.Image.SHA1) }),
	"InitiatingProcessSHA256":       initiating(func(p *Process) Value { return Str(p.Image.SHA256) }),
	"InitiatingProcessMD5":          initiating(func(p *Process) Value { return Str(p.Image.MD5) }),
	"InitiatingProcessFileSize":     initiating(func(p *Process) Value { return fileSize(&p.Image) }),
	"InitiatingProcessCommandLine":  initiating(func(p *Process) Value { return Str(p.CommandLine) }),
	"InitiatingProcessCreationTime": initiating(func(p *Process) Value { return At(p.Start) }),
	"InitiatingProcessAccountName":  initiating(func(p *Process) Value { return Str(p.Account.Name) }),
	"InitiatingProcessAccountDomain": initiating(func(p *Process) Value {
		return Str(p.Account.Domain)
	}),
	"InitiatingProcessAccountSid":     initiating(func(p *Process) Value { return Str(p.Account.SID) }),
	"InitiatingProcessIntegrityLevel": initiating(func(p *Process) Value { return Str(p.Integrity) }),
	"InitiatingProcessTokenElevation": initiating(func(p *Process) Value { return Str(p.Elevation) }),
	"InitiatingProcessLogonId":        initiating(session),
	"InitiatingProcessSessionId":      initiating(session),
	"InitiatingProcessUniqueId":       initiating(key),
	"InitiatingProcessParentId": initiating(func(p *Process) Value {
		return Num(int64(p.Parent.PID))
	}),
	"InitiatingProcessParentFileName": initiating(func(p *Process) Value { return Str(p.Parent.FileName) }),
	"InitiatingProcessParentCreationTime": initiating(func(p *Process) Value {
		return At(p.Parent.Start)
	}),

	"RemoteIP":         remoteIP,
	"RemotePort":       remotePort,
	"RemoteIPType":     func(o *Origin, e *Event) Value { return Str(IPType(remoteIP(o, e).S)) },
	"RemoteUrl":        network(func(n *Network) Value { return Str(n.RemoteURL) }),
	"LocalIP":          network(func(n *Network) Value { return Str(n.LocalIP) }),
	"LocalPort":        network(func(n *Network) Value { return port(n.LocalPort) }),
	"LocalIPType":      network(func(n *Network) Value { return Str(IPType(n.LocalIP)) }),
	"Protocol":         protocol,
	"LogonType":        logon(func(l *Logon) Value { return Str(l.Type) }),
	"FailureReason":    logon(func(l *Logon) Value { return Str(l.Failure) }),
	"IsLocalAdmin":     logon(func(l *Logon) Value { return Flag(l.LocalAdmin) }),
	"RemoteDeviceName": logon(func(l *Logon) Value { return Str(l.RemoteDevice) }),
}

// target reads the file an event is about: the file itself, else the image of the target process.
func target(f func(*File) Value) Reader {
	return func(_ *Origin, e *Event) Value {
		switch {
		case e.File != nil:
			return f(e.File)
		case e.Process != nil:
			return f(&e.Process.Image)
		}
		return Value{}
	}
}

func previous(f func(*File) Value) Reader {
	return func(_ *Origin, e *Event) Value {
		if e.Previous == nil {
			return Value{}
		}
		return f(e.Previous)
	}
}

func process(f func(*Process) Value) Reader {
	return func(_ *Origin, e *Event) Value {
		if e.Process == nil {
			return Value{}
		}
		return f(e.Process)
	}
}

func initiating(f func(*Process) Value) Reader {
	return func(_ *Origin, e *Event) Value {
		if e.Initiating == nil {
			return Value{}
		}
		return f(e.Initiating)
	}
}

func network(f func(*Network) Value) Reader {
	return func(_ *Origin, e *Event) Value {
		if e.Network == nil {
			return Value{}
		}
		return f(e.Network)
	}
}

func logon(f func(*Logon) Value) Reader {
	return func(_ *Origin, e *Event) Value {
		if e.Logon == nil {
			return Value{}
		}
		return f(e.Logon)
	}
}

// account reads the account an event is about, else the account of the target process.
func account(f func(*Account) Value) Reader {
	return func(_ *Origin, e *Event) Value {
		switch {
		case e.Account != nil:
			return f(e.Account)
		case e.Process != nil:
			return f(&e.Process.Account)
		}
		return Value{}
	}
}

func logonID(_ *Origin, e *Event) Value {
	switch {
	case e.Logon != nil && e.Logon.ID != 0:
		return Num(int64(e.Logon.ID))
	case e.Process != nil && e.Process.Session != 0:
		return Num(int64(e.Process.Session))
	}
	return Value{}
}

func remoteIP(_ *Origin, e *Event) Value {
	switch {
	case e.Network != nil:
		return Str(e.Network.RemoteIP)
	case e.Logon != nil:
		return Str(e.Logon.RemoteIP)
	}
	return Value{}
}

func remotePort(_ *Origin, e *Event) Value {
	switch {
	case e.Network != nil:
		return port(e.Network.RemotePort)
	case e.Logon != nil:
		return port(e.Logon.RemotePort)
	}
	return Value{}
}

func protocol(_ *Origin, e *Event) Value {
	switch {
	case e.Network != nil:
		return Str(e.Network.Protocol)
	case e.Logon != nil:
		return Str(e.Logon.Protocol)
	}
	return Value{}
}

func pid(p *Process) Value { return Num(int64(p.PID)) }

func key(p *Process) Value {
	if p.Key == 0 {
		return Value{}
	}
	return Str(strconv.FormatUint(p.Key, 10))
}

func session(p *Process) Value {
	if p.Session == 0 {
		return Value{}
	}
	return Num(int64(p.Session))
}

func fileSize(f *File) Value {
	if f.Size < 0 {
		return Value{}
	}
	return Num(f.Size)
}

// port returns null for port 0, which no conversation has.
func port(p uint16) Value {
	if p == 0 {
		return Value{}
	}
	return Num(int64(p))
}

// IPType classes an address with the words of the RemoteIPType and LocalIPType columns:
// Loopback, Private, Broadcast, Reserved, FourToSixMapping, Teredo or Public; "" for a
// text that is no address.
func IPType(s string) string {
	a, err := netip.ParseAddr(s)
	if err != nil {
		return ""
	}
	switch {
	case a.Is4In6():
		return "FourToSixMapping"
	case a.IsLoopback():
		return "Loopback"
	case a.IsPrivate():
		return "Private"
	case a == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return "Broadcast"
	case teredo.Contains(a):
		return "Teredo"
	case a.IsUnspecified(), a.IsMulticast(), a.IsLinkLocalUnicast(), a.Is4() && a.As4()[0] >= 240:
		return "Reserved"
	}
	return "Public"
}

var teredo = netip.MustParsePrefix("2001::/32")
