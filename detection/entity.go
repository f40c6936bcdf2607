package detection

import (
	"slices"
	"strings"
	"time"
)

// Entity is one thing that a finding is about. Fields that its Kind does not have are zero.
type Entity struct {
	Kind                    string    `json:"kind"` // Process, File, Ip, Url, User
	SHA1                    string    `json:"sha1,omitempty"`
	SHA256                  string    `json:"sha256,omitempty"`
	FileName                string    `json:"fileName,omitempty"`
	Folder                  string    `json:"folder,omitempty"` // without the name
	ProcessID               int64     `json:"pid,omitempty"`
	CommandLine             string    `json:"commandLine,omitempty"`
	ProcessCreated          time.Time `json:"created,omitzero"`
	ParentID                int64     `json:"parentPid,omitempty"`
	ParentName              string    `json:"parentName,omitempty"`
	ParentCreated           time.Time `json:"parentCreated,omitzero"`
	IP                      string    `json:"ip,omitempty"`
	URL                     string    `json:"url,omitempty"`
	Account, Domain, UserID string    `json:",omitempty"`
}

// The columns that each kind of entity may be named by.
var entityColumns = map[string][]string{
	"process": {"ProcessId", "InitiatingProcessId"},
	"file":    {"FolderPath", "InitiatingProcessFolderPath", "PreviousFolderPath"},
	"ip":      {"RemoteIP", "LocalIP"},
	"url":     {"RemoteUrl"},
	"user":    {"AccountName", "InitiatingProcessAccountName"},
}

func (e *Entities) check(ps *Problems) {
	for _, k := range []struct {
		kind string
		cols []string
	}{{"process", e.Process}, {"file", e.File}, {"ip", e.IP}, {"url", e.URL}, {"user", e.User}} {
		for _, c := range k.cols {
			if !slices.Contains(entityColumns[k.kind], c) {
				ps.add("entities."+k.kind, "%q names no %s: it is one of %s", c, k.kind, strings.Join(entityColumns[k.kind], ", "))
			}
		}
	}
}

func (e *Entities) empty() bool {
	return len(e.Process)+len(e.File)+len(e.IP)+len(e.URL)+len(e.User) == 0
}

// DefaultEntities is what an event of a table is about when nobody says.
func DefaultEntities(table string) Entities {
	actor := []string{"InitiatingProcessId"}
	switch table {
	case "DeviceProcessEvents":
		return Entities{Process: []string{"ProcessId", "InitiatingProcessId"}, User: []string{"AccountName"}}
	case "DeviceFileEvents", "DeviceImageLoadEvents":
		return Entities{Process: actor, File: []string{"FolderPath"}, User: []string{"InitiatingProcessAccountName"}}
	case "DeviceNetworkEvents":
		return Entities{Process: actor, IP: []string{"RemoteIP"}, URL: []string{"RemoteUrl"}, User: []string{"InitiatingProcessAccountName"}}
	case "DeviceLogonEvents":
		return Entities{Process: actor, IP: []string{"RemoteIP"}, User: []string{"AccountName"}}
	}
	return Entities{Process: actor, File: []string{"FolderPath"}, IP: []string{"RemoteIP"}, User: []string{"InitiatingProcessAccountName"}}
}

// Of reads the entities of one event; those of which it knows nothing are left out.
func (e *Entities) Of(r *Record) []Entity {
	var out []Entity
	for _, c := range e.IP {
		if ip := r.text(c); ip != "" {
			out = append(out, Entity{Kind: "Ip", IP: ip})
		}
	}
	for _, c := range e.URL {
		if url := r.text(c); url != "" {
			out = append(out, Entity{Kind: "Url", URL: url})
		}
	}
	for _, c := range e.File {
		if f, ok := r.file(strings.TrimSuffix(c, "FolderPath")); ok {
			f.Kind = "File"
			out = append(out, f)
		}
	}
	for _, c := range e.Process {
		if p, ok := r.process(strings.TrimSuffix(c, "ProcessId")); ok {
			out = append(out, p)
		}
	}
	for _, c := range e.User {
		if u := (Entity{Kind: "User"}); r.account(&u, strings.TrimSuffix(c, "AccountName")) {
			out = append(out, u)
		}
	}
	return out
}

// file reads the file whose columns begin with prefix.
func (r *Record) file(prefix string) (Entity, bool) {
	f := Entity{FileName: r.text(prefix + "FileName"), SHA1: r.text(prefix + "SHA1"), SHA256: r.text(prefix + "SHA256")}
	path := r.text(prefix + "FolderPath")
	f.Folder = folder(path, f.FileName)
	return f, f.FileName != "" || path != ""
}

func (r *Record) account(e *Entity, prefix string) bool {
	e.Account, e.Domain, e.UserID = r.text(prefix+"AccountName"), r.text(prefix+"AccountDomain"), r.text(prefix+"AccountSid")
	return e.Account != ""
}

// process reads the process acted on, or with prefix Initiating the one that acted.
func (r *Record) process(prefix string) (Entity, bool) {
	const actor = "InitiatingProcess"
	own, image, parent := "Process", "", actor
	if prefix != "" {
		own, image, parent = actor, actor, actor+"Parent"
	}
	p, _ := r.file(image)
	p.Kind = "Process"
	p.ProcessID, p.CommandLine, p.ProcessCreated = r.number(own+"Id"), r.text(own+"CommandLine"), r.time(own+"CreationTime")
	r.account(&p, image)
	// A process that ran another image is the actor of its own event: its parent is the
	// actor's.
	if prefix == "" && r.number(actor+"Id") == p.ProcessID {
		parent = actor + "Parent"
	}
	p.ParentID, p.ParentName, p.ParentCreated = r.number(parent+"Id"), r.text(parent+"FileName"), r.time(parent+"CreationTime")
	return p, p.ProcessID != 0 || p.FileName != ""
}

// folder returns where a file lies: entities name the folder apart from the file.
func folder(path, name string) string {
	dir := strings.TrimSuffix(path, name)
	if len(dir) > 1 {
		dir = strings.TrimRight(dir, `/\`)
	}
	if dir == "" && strings.HasPrefix(path, "/") {
		return "/"
	}
	return dir
}
