package agent

import (
	"encoding/json"
	"time"

	"github.com/vedette-edr/vedette/agent/enforce/fileless"
	"github.com/vedette-edr/vedette/agent/passwd"
	"github.com/vedette-edr/vedette/agent/process"
	"github.com/vedette-edr/vedette/agent/responder/message"
	"github.com/vedette-edr/vedette/agent/responder/restrict"
	"github.com/vedette-edr/vedette/schema/event"
)

// openRestriction opens what controls the execution of files, with the restriction in force
// that was before.
func (p *platform) openRestriction() {
	p.restrictor = restrict.New(restrict.Config{StateDir: p.conf.StateDir, Pool: p.hashes, Ended: p.endedInMemory})
	if err := p.restrictor.Problem(); err != nil {
		p.conf.Log.Error("this device is to be restricted, and is not", "err", err)
	} else if p.restrictor.Active() {
		p.conf.Log.Warn("this device runs only what is trusted")
	}
	if p.files, p.without.Files = p.newGuard(); p.without.Files != nil {
		p.files = nil
	}
}

func (p *platform) newRestriction() *restrict.Handler {
	h := &restrict.Handler{Restrictor: p.restrictor, Without: p.without.Files}
	if p.files != nil {
		h.Guard = p.files
	}
	return h
}

func newMessages() *message.Handler {
	accounts := passwd.NewCache("")
	return message.New(message.Config{Users: func(uid uint32) string {
		u, _ := accounts.DB().ByUID(uid)
		return u.Name
	}})
}

// endedInMemory reports a program that no file system has, which the restriction ended.
func (p *platform) endedInMemory(e fileless.Ended) {
	s := p.sink.Load()
	if s == nil {
		return // not told of yet: the sensors begin with what runs
	}
	more, _ := json.Marshal(map[string]any{"Policy": "RestrictCodeExecution", "Use": "Executed", "Killed": true, "Fileless": true})
	name := process.Text(e.Name)
	ev := &event.Event{Table: event.DeviceEvents, Action: "AppControlExecutableBlocked", Time: time.Now().UTC(), Initiating: p.sender(e.PID),
		File: &event.File{Name: name, Path: "/" + name}, Additional: string(more)}
	(*s).Emit(ev)
	p.warned(ev)
}
