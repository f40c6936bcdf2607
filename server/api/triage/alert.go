package triage

import (
	"net/http"
	"time"

	"github.com/vedette-edr/vedette/server/alert"
	"github.com/vedette-edr/vedette/server/api"
	"github.com/vedette-edr/vedette/server/history"
	"github.com/vedette-edr/vedette/server/hunt"
	"github.com/vedette-edr/vedette/server/ident"
)

// entryEntity is one change.
type entryEntity struct {
	Seq    int64     `json:"seq"`
	Time   time.Time `json:"time"`
	By     string    `json:"by"`
	ByKind string    `json:"byKind"`
	Field  string    `json:"field"`
	Old    string    `json:"old"`
	New    string    `json:"new"`
}

// maxEntries is the largest page of a history.
const maxEntries = 1000

func (a *API) writeHistory(w http.ResponseWriter, r *api.Request, read func(after int64, limit int) ([]history.Entry, error)) error {
	after, err := number(r, "after", 0, 0, 1<<62)
	if err != nil {
		return err
	}
	top, err := number(r, "top", maxEntries, 1, maxEntries)
	if err != nil {
		return err
	}
	es, err := read(after, int(top))
	if err != nil {
		return err
	}
	var out []entryEntity
	for _, e := range es {
		out = append(out, entryEntity{e.Seq, e.At.UTC(), e.By.Name, string(e.By.Kind), e.Field, e.Old, e.New})
	}
	return writeValues(w, r, out)
}

func (a *API) alertHistory(w http.ResponseWriter, r *api.Request) error {
	return a.writeHistory(w, r, func(after int64, limit int) ([]history.Entry, error) {
		es, err := a.Alerts.History(r.Context(), r.Caller.Tenant, ident.AlertID(r.Var("id")), after, limit)
		return es, missing(err, "Alert", r.Var("id"))
	})
}

// treeEntity is the processes around an alert: each names its parent by its place in the
// list, -1 for none.
type treeEntity struct {
	AlertID   string       `json:"alertId"`
	MachineID string       `json:"machineId"`
	Processes []nodeEntity `json:"processes"`
	// Truncated says that there are more processes.
	Truncated bool `json:"truncated"`
}

type nodeEntity struct {
	Parent      int        `json:"parent"`
	ProcessID   int64      `json:"processId"`
	Created     *time.Time `json:"processCreationTime"`
	FileName    string     `json:"fileName"`
	FilePath    string     `json:"filePath"`
	CommandLine string     `json:"processCommandLine"`
	SHA1        string     `json:"sha1"`
	SHA256      string     `json:"sha256"`
	Account     string     `json:"accountName"`
	Domain      string     `json:"domainName"`
	// InAlert says that it is evidence of the alert.
	InAlert bool `json:"inAlert"`
}

func (a *API) alertTree(w http.ResponseWriter, r *api.Request) error {
	al, err := a.Alerts.Get(r.Context(), r.Caller.Tenant, ident.AlertID(r.Var("id")))
	if err != nil {
		return missing(err, "Alert", r.Var("id"))
	}
	out := treeEntity{AlertID: string(al.ID), MachineID: string(al.Device), Processes: []nodeEntity{}}
	if of, ok := al.Process(); ok {
		t, err := a.Trees.ProcessTree(r.Context(), r.Caller.Tenant, al.Device, of)
		if err != nil {
			return err
		}
		out.Truncated = t.More
		for _, n := range t.Nodes {
			out.Processes = append(out.Processes, node(al, n))
		}
	}
	return api.WriteJSON(w, r, http.StatusOK, out)
}

func node(al *alert.Alert, n hunt.TreeNode) nodeEntity {
	p := &n.Process
	out := nodeEntity{Parent: n.Parent, ProcessID: int64(p.PID), FileName: p.Image.Name, FilePath: p.Image.Path, CommandLine: p.CommandLine,
		SHA1: p.Image.SHA1, SHA256: p.Image.SHA256, Account: p.Account.Name, Domain: p.Account.Domain, InAlert: n.Root}
	if !p.Start.IsZero() {
		at := p.Start.UTC()
		out.Created = &at
	}
	for i := range al.Evidence {
		e := &al.Evidence[i]
		if d := e.ProcessCreated.Sub(p.Start); e.Type == "Process" && e.ProcessID == int64(p.PID) && d > -2*time.Second && d < 2*time.Second {
			out.InAlert = true
		}
	}
	return out
}
