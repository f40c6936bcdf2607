package hunt

import (
	"strconv"

	"github.com/vedette-edr/vedette/kql/types"
	"github.com/vedette-edr/vedette/schema/event"
	"github.com/vedette-edr/vedette/server/ident"
)

// Event is one event as its hunting row tells it. Times are those of the row: corrected
// by the server where the device's clock was off.
type Event struct {
	event.Event
	Device     ident.DeviceID
	DeviceName string
	ReportID   int64
}

// tableColumn names the column in which a lookup keeps the table that a row came from.
const tableColumn = "EventTable"

// eventTable finds a table of events by its name.
func eventTable(name string) event.Table {
	for t := event.TableUnknown + 1; t.Valid(); t++ {
		if t.String() == name {
			return t
		}
	}
	return event.TableUnknown
}

// event reads a row of any table of events: the inverse of event.Column, as far as a row
// keeps what an event had. A part of which the row says nothing is nil.
func (t *table) event(r []types.Value) *Event {
	e := &Event{
		Device: ident.DeviceID(t.text(r, "DeviceId")), DeviceName: t.text(r, "DeviceName"), ReportID: t.number(r, "ReportId"),
	}
	e.Table, e.Action, e.Time = eventTable(t.text(r, tableColumn)), t.text(r, "ActionType"), t.time(r, "Timestamp")
	e.Initiating = t.process(r, "Initiating")
	e.Process = t.process(r, "")
	if f := t.file(r, ""); f != (event.File{Size: -1}) {
		// A bare file name is the image of the process that the row is about, if it is
		// about one.
		if e.Process != nil {
			e.Process.Image = f
		} else {
			e.File = &f
		}
	}
	account := event.Account{Name: t.text(r, "AccountName"), Domain: t.text(r, "AccountDomain"), SID: t.text(r, "AccountSid")}
	switch {
	case account.Name == "":
	case e.Process != nil:
		e.Process.Account = account
	default:
		e.Account = &account
	}
	n := event.Network{
		RemoteIP: t.text(r, "RemoteIP"), RemotePort: uint16(t.number(r, "RemotePort")), RemoteURL: t.text(r, "RemoteUrl"),
		LocalIP: t.text(r, "LocalIP"), LocalPort: uint16(t.number(r, "LocalPort")), Protocol: t.text(r, "Protocol"),
	}
	if n != (event.Network{}) {
		e.Network = &n
	}
	if e.Table == event.LogonEvents {
		e.Network = nil
		e.Logon = &event.Logon{
			Type: t.text(r, "LogonType"), ID: uint64(t.number(r, "LogonId")), Protocol: n.Protocol, Failure: t.text(r, "FailureReason"),
			LocalAdmin: t.cell(r, "IsLocalAdmin").True(), RemoteDevice: t.text(r, "RemoteDeviceName"), RemoteIP: n.RemoteIP, RemotePort: n.RemotePort,
		}
	}
	return e
}

// process reads the process whose columns begin with actor ("Initiating" or ""), nil when
// the row names none.
func (t *table) process(r []types.Value, actor string) *event.Process {
	columns := actor + "Process"
	pid := t.cell(r, columns+"Id")
	if pid.Null {
		return nil
	}
	p := &event.Process{PID: uint32(pid.I), Start: t.time(r, columns+"CreationTime"), CommandLine: t.text(r, columns+"CommandLine")}
	p.Key, _ = strconv.ParseUint(t.text(r, columns+"UniqueId"), 10, 64) // "" where there is none
	if actor == "" {
		// The parent of a process that was created is whoever created it, unless that is the
		// same process before it replaced its image.
		if by := t.cell(r, "InitiatingProcessId"); !by.Null && by.I != pid.I && t.text(r, "ActionType") == "ProcessCreated" {
			p.Parent = event.Parent{PID: uint32(by.I), FileName: t.text(r, "InitiatingProcessFileName"), Start: t.time(r, "InitiatingProcessCreationTime")}
		}
		return p
	}
	p.Image = t.file(r, columns)
	p.Account = event.Account{
		Name: t.text(r, columns+"AccountName"), Domain: t.text(r, columns+"AccountDomain"), SID: t.text(r, columns+"AccountSid"),
	}
	p.Parent = event.Parent{
		PID: uint32(t.number(r, columns+"ParentId")), FileName: t.text(r, columns+"ParentFileName"), Start: t.time(r, columns+"ParentCreationTime"),
	}
	return p
}

// file reads the file whose columns begin with prefix.
func (t *table) file(r []types.Value, prefix string) event.File {
	f := event.File{
		Name: t.text(r, prefix+"FileName"), Path: t.text(r, prefix+"FolderPath"), SHA1: t.text(r, prefix+"SHA1"),
		SHA256: t.text(r, prefix+"SHA256"), MD5: t.text(r, prefix+"MD5"), Size: -1,
	}
	if size := t.cell(r, prefix+"FileSize"); !size.Null {
		f.Size = size.I
	}
	return f
}
