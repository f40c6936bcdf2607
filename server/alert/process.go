package alert

import "github.com/vedette-edr/vedette/schema/event"

// Process returns the process that an alert is about, the first of its evidence; false when
// it is about none.
func (a *Alert) Process() (event.Process, bool) {
	for i := range a.Evidence {
		if e := &a.Evidence[i]; e.Type == "Process" && e.ProcessID > 0 {
			return event.Process{
				PID: uint32(e.ProcessID), Start: e.ProcessCreated, CommandLine: e.CommandLine,
				Image:   event.File{Name: e.FileName, Path: e.FilePath, SHA1: e.SHA1, SHA256: e.SHA256, Size: -1},
				Account: event.Account{Name: e.Account, Domain: e.Domain, SID: e.UserID},
				Parent:  event.Parent{PID: uint32(e.ParentID), Start: e.ParentCreated, FileName: e.ParentName},
			}, true
		}
	}
	return event.Process{}, false
}
