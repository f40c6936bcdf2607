package expert

import (
	"time"

	"github.com/vedette-edr/vedette/server/action"
	"github.com/vedette-edr/vedette/server/expert"
)

// caseEntity is a question to an expert. status is its machine action's published status,
// state what stands behind it.
type caseEntity struct {
	ID        string          `json:"id"`
	Alert     string          `json:"alertId"`
	Incident  int64           `json:"incidentId"`
	Machine   string          `json:"machineId"`
	Title     string          `json:"title"`
	Question  string          `json:"question"`
	Contact   string          `json:"contact"`
	AskedBy   string          `json:"askedBy"`
	Receiver  int64           `json:"receiverId"`
	Name      string          `json:"receiverName"`
	Alerts    []string        `json:"alertIds"`
	Machines  []subjectEntity `json:"machines"`
	From      time.Time       `json:"timelineFrom"`
	To        time.Time       `json:"timelineTo"`
	Package   string          `json:"package"`
	Status    string          `json:"status"`
	State     string          `json:"state"`
	IsOpen    bool            `json:"isOpen"`
	Detail    string          `json:"detail"` // what it waits for, or how it ended
	Created   time.Time       `json:"creationTime"`
	Updated   time.Time       `json:"lastUpdateTime"`
	Taken     *time.Time      `json:"takenTime"` // when the receiver took it
	Answer    string          `json:"receiverAnswer"`
	Attempts  int             `json:"attempts"`
	LastError string          `json:"lastError"` // of the attempts, while it is not taken
	Bundle    *bundleEntity   `json:"bundle"`
	Fetched   int             `json:"fetchCount"`
	Fetches   []fetchEntity   `json:"fetches"` // the latest
	RevokedBy string          `json:"linkRevokedBy"`
	Revoked   *time.Time      `json:"linkRevokedTime"`
}

type subjectEntity struct {
	ID      string `json:"machineId"`
	Name    string `json:"computerDnsName"`
	Package string `json:"packageActionId"` // of the action that collects its package; "" for none
}

type bundleEntity struct {
	Name      string          `json:"fileName"`
	SHA256    string          `json:"sha256"` // "" when it is not kept any more
	Size      int64           `json:"size"`
	Encrypted bool            `json:"encrypted"`
	Made      time.Time       `json:"madeTime"`
	Linked    bool            `json:"linked"`
	Until     *time.Time      `json:"linkExpires"` // nil without a link
	Files     []contentEntity `json:"files"`
	Lacks     []lackEntity    `json:"lacks"`
}

type contentEntity struct {
	Path   string `json:"path"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

type lackEntity struct {
	What string `json:"what"`
	Why  string `json:"why"`
}

type fetchEntity struct {
	Time time.Time `json:"time"`
	From string    `json:"from"`
}

func stamp(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

func show(c *expert.Case, a *action.Action) caseEntity {
	out := caseEntity{ID: string(c.ID), Alert: string(c.About.Alert), Incident: int64(c.About.Incident), Title: c.Title, Question: c.Question, Contact: c.Contact,
		AskedBy: c.By.Name, Receiver: int64(c.Receiver), Name: c.Name, Alerts: []string{}, Machines: []subjectEntity{}, From: c.From.UTC(), To: c.To.UTC(), Package: string(c.Package),
		Status: string(a.State.Status()), State: string(a.State), IsOpen: a.State.Open(), Created: c.Created.UTC(), Updated: a.Updated.UTC(), Taken: stamp(c.Taken), Answer: c.Answer,
		Attempts: c.Attempts, LastError: c.Waiting, Fetched: c.Fetched, Fetches: []fetchEntity{}}
	for _, id := range c.Alerts {
		out.Alerts = append(out.Alerts, string(id))
	}
	for _, s := range c.Subjects {
		out.Machines = append(out.Machines, subjectEntity{string(s.Device), s.Name, string(s.Package)})
	}
	if len(c.Subjects) > 0 {
		out.Machine = string(c.Subjects[0].Device)
	}
	if n := len(a.Steps); n > 0 {
		out.Detail = a.Steps[n-1].Detail
	}
	if a.State.Open() && a.Progress != nil {
		out.Detail = a.Progress.Detail
	}
	for _, f := range c.Fetches {
		out.Fetches = append(out.Fetches, fetchEntity{f.At.UTC(), f.From})
	}
	if c.Revoked != nil {
		out.RevokedBy, out.Revoked = c.Revoked.By, stamp(c.Revoked.At)
	}
	if b := c.Bundle; b != nil {
		e := &bundleEntity{Name: b.Name, SHA256: b.SHA256, Size: b.Size, Encrypted: b.Encrypted, Made: b.Made.UTC(), Linked: b.Linked, Files: []contentEntity{}, Lacks: []lackEntity{}}
		if b.Linked {
			e.Until = stamp(b.Until)
		}
		for _, f := range b.Contents {
			e.Files = append(e.Files, contentEntity{f.Path, f.Size, f.SHA256})
		}
		for _, o := range b.Omitted {
			e.Lacks = append(e.Lacks, lackEntity(o))
		}
		out.Bundle = e
	}
	return out
}
