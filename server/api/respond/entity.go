package respond

import (
	"encoding/base64"
	"encoding/json"
	"time"

	"github.com/vedette-edr/vedette/server/action"
)

// actionEntity is an action as the action center shows it. Members that the published entity
// has too are called the same.
type actionEntity struct {
	ID             string              `json:"id"`
	Type           string              `json:"type"`
	Scope          string              `json:"scope"`
	Status         string              `json:"status"` // the published one
	State          string              `json:"state"`  // requested, approved, delivered, applied, verified, reverted, failed, expired, cancelled, unknown
	Truth          string              `json:"truth"`  // what was seen or said last
	MachineID      string              `json:"machineId"`
	Machine        string              `json:"computerDnsName"`
	Requestor      string              `json:"requestor"`
	Comment        string              `json:"requestorComment"`
	Source         string              `json:"requestSource"`
	External       string              `json:"externalId"`
	Created        time.Time           `json:"creationDateTimeUtc"`
	Updated        time.Time           `json:"lastUpdateDateTimeUtc"`
	Expires        time.Time           `json:"expirationDateTimeUtc"`
	Error          string              `json:"error"`
	SHA1           string              `json:"fileSha1"`
	IsOpen         bool                `json:"isOpen"`
	AwaitsApproval bool                `json:"awaitsApproval"`
	UndoType       string              `json:"undoType"` // what would undo it now; "" for nothing
	Undoes         string              `json:"undoes"`   // id of the action that it was asked for to undo
	Cancellation   *cancellationEntity `json:"cancellation"`
	Progress       *progressEntity     `json:"progress"`
	Approval       *approvalEntity     `json:"approval"`
	Artifacts      []artifactEntity    `json:"artifacts"`
	Steps          []stepEntity        `json:"steps"` // of one action; a list leaves them out
}

type cancellationEntity struct {
	By      string    `json:"by"`
	Comment string    `json:"comment"`
	At      time.Time `json:"time"`
}

type progressEntity struct {
	Percent int             `json:"percent"` // -1 where it is not known
	Detail  string          `json:"detail"`
	Numbers json.RawMessage `json:"numbers"`
	At      time.Time       `json:"time"`
}

type approvalEntity struct {
	Until      time.Time         `json:"until"`
	Demands    []demandEntity    `json:"demands"`
	Votes      []voteEntity      `json:"votes"`
	Signatures []signatureEntity `json:"signatures"`
}

type demandEntity struct {
	Policy    int64    `json:"policyId"`
	Name      string   `json:"name"`
	Need      int      `json:"approvals"`
	Missing   int      `json:"missing"`
	Approvers []string `json:"approvers"`
	Self      bool     `json:"requestorMayApprove"`
}

type voteEntity struct {
	By      string    `json:"by"`
	Agrees  bool      `json:"approves"`
	Comment string    `json:"comment"`
	At      time.Time `json:"time"`
}

type signatureEntity struct {
	By  string `json:"by"`
	Key string `json:"key"` // base64
}

type artifactEntity struct {
	Index  int    `json:"index"`
	Name   string `json:"name"`
	SHA256 string `json:"sha256"`
	Size   int64  `json:"size"`
}

type stepEntity struct {
	State    string          `json:"state"`
	At       time.Time       `json:"time"`
	Actor    string          `json:"actor"`
	Detail   string          `json:"detail"`
	Evidence json.RawMessage `json:"evidence"`
}

// show renders an action for a list.
func show(a *action.Action) actionEntity {
	requestor := a.Requestor.Name
	if requestor == "" {
		requestor = a.Requestor.ID
	}
	out := actionEntity{
		ID: string(a.ID), Type: string(a.Kind), Scope: a.Scope, Status: string(a.State.Status()), State: string(a.State),
		MachineID: string(a.Device), Machine: a.DeviceName, Requestor: requestor, Comment: a.Comment, Source: a.Source, External: a.External,
		Created: a.Created.UTC(), Updated: a.Updated.UTC(), Expires: a.Due().UTC(), Error: a.Error, SHA1: a.File, IsOpen: a.State.Open(),
		AwaitsApproval: a.State == action.Requested, Undoes: string(a.Undoes), Artifacts: []artifactEntity{}, Steps: []stepEntity{},
	}
	if n := len(a.Steps); n > 0 {
		out.Truth = a.Steps[n-1].Detail
	}
	if undo, ok := a.Kind.Undo(); ok && a.Undoable() {
		out.UndoType = string(undo)
	}
	if !a.Cancel.At.IsZero() {
		out.Cancellation = &cancellationEntity{a.Cancel.By, a.Cancel.Comment, a.Cancel.At.UTC()}
	}
	if p := a.Progress; p != nil {
		out.Progress = &progressEntity{p.Percent, p.Detail, p.Numbers, p.At.UTC()}
	}
	for _, f := range a.Artifacts {
		out.Artifacts = append(out.Artifacts, artifactEntity{f.Index, f.Name, f.SHA256, f.Size})
	}
	out.Approval = showApproval(a)
	return out
}

func showApproval(a *action.Action) *approvalEntity {
	v := a.Approval
	if v == nil {
		return nil
	}
	out := &approvalEntity{Until: v.Until.UTC(), Votes: []voteEntity{}, Signatures: []signatureEntity{}}
	missing := v.Missing()
	for _, m := range v.Demands {
		out.Demands = append(out.Demands, demandEntity{int64(m.Policy), m.Name, m.Need, missing[m.Policy], append([]string{}, m.Approvers...), m.Self})
	}
	for _, w := range v.Votes {
		out.Votes = append(out.Votes, voteEntity{w.By.Name, w.Agrees, w.Comment, w.At.UTC()})
	}
	for _, s := range a.Signatures {
		out.Signatures = append(out.Signatures, signatureEntity{s.By, base64.StdEncoding.EncodeToString(s.Key)})
	}
	return out
}

// showWhole renders an action with its steps.
func showWhole(a *action.Action) actionEntity {
	out := show(a)
	for _, s := range a.Steps {
		out.Steps = append(out.Steps, stepEntity{string(s.State), s.At.UTC(), s.Actor, s.Detail, s.Evidence})
	}
	return out
}
