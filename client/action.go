package client

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"time"
)

// actionCenter is where this server's own routes about response actions live.
const actionCenter = "/api/vedette/machineactions"

// ActionDetail is an action as the action center shows it.
type ActionDetail struct {
	ID             string          `json:"id"`
	Type           string          `json:"type"`
	Scope          string          `json:"scope"`
	Status         string          `json:"status"`
	State          string          `json:"state"` // requested, approved, delivered, applied, verified, reverted, failed, expired, cancelled, unknown
	Truth          string          `json:"truth"` // what was seen or said last
	MachineID      string          `json:"machineId"`
	Machine        string          `json:"computerDnsName"`
	Requestor      string          `json:"requestor"`
	Comment        string          `json:"requestorComment"`
	Source         string          `json:"requestSource"`
	Created        *time.Time      `json:"creationDateTimeUtc"`
	Updated        *time.Time      `json:"lastUpdateDateTimeUtc"`
	Expires        *time.Time      `json:"expirationDateTimeUtc"`
	Error          string          `json:"error"`
	SHA1           string          `json:"fileSha1"`
	IsOpen         bool            `json:"isOpen"`
	AwaitsApproval bool            `json:"awaitsApproval"`
	UndoType       string          `json:"undoType"` // what would undo it now; "" for nothing
	Undoes         string          `json:"undoes"`
	Progress       *ActionProgress `json:"progress"`
	Approval       *ActionApproval `json:"approval"`
	Steps          []ActionStep    `json:"steps"` // of one action; a list leaves them out
}

// ActionProgress is how far a device is with an action.
type ActionProgress struct {
	Percent int             `json:"percent"` // -1 where it is not known
	Detail  string          `json:"detail"`
	Numbers json.RawMessage `json:"numbers"`
	At      *time.Time      `json:"time"`
}

// ActionApproval is what has to be agreed about an action, and what was said so far.
type ActionApproval struct {
	Until   *time.Time     `json:"until"`
	Demands []ActionDemand `json:"demands"`
	Votes   []ActionVote   `json:"votes"`
}

// ActionDemand is what one approval policy demands of an action.
type ActionDemand struct {
	Policy    int64    `json:"policyId"`
	Name      string   `json:"name"`
	Need      int      `json:"approvals"`
	Missing   int      `json:"missing"`
	Approvers []string `json:"approvers"`
}

// ActionVote is what one principal said.
type ActionVote struct {
	By      string     `json:"by"`
	Agrees  bool       `json:"approves"`
	Comment string     `json:"comment"`
	At      *time.Time `json:"time"`
}

// ActionStep is one movement of an action.
type ActionStep struct {
	State    string          `json:"state"`
	At       *time.Time      `json:"time"`
	Actor    string          `json:"actor"`
	Detail   string          `json:"detail"`
	Evidence json.RawMessage `json:"evidence"`
}

// Envelope is what an approver signs: Context followed by Body.
type Envelope struct {
	Context []byte `json:"context"`
	Body    []byte `json:"body"`
}

// ActionSignature is an approver's own signature.
type ActionSignature struct {
	Key       []byte `json:"Key"` // ed25519
	Signature []byte `json:"Signature"`
}

// BulkOutcome is what became of a request for one of many devices.
type BulkOutcome struct {
	MachineID string `json:"machineId"`
	Machine   string `json:"computerDnsName"`
	Action    string `json:"actionId"`
	Status    string `json:"status"`
	Code      string `json:"code"`
	Message   string `json:"message"`
}

// Bulk is what became of a request for many devices.
type Bulk struct {
	Machines int           `json:"machines"`
	Accepted int           `json:"accepted"`
	Refused  int           `json:"refused"`
	Counted  bool          `json:"countOnly"`
	Outcomes []BulkOutcome `json:"outcomes"`
}

// ApprovalPolicy says which actions somebody must agree to, and who.
type ApprovalPolicy struct {
	ID         int64    `json:"id"`
	Name       string   `json:"name"`
	Enabled    bool     `json:"enabled"`
	Types      []string `json:"types"`
	Groups     []int64  `json:"rbacGroupIds"`
	Requestors []string `json:"requestors"`
	Need       int      `json:"approvals"`
	Approvers  []string `json:"approvers"`
	Self       bool     `json:"requestorMayApprove"`
	Patience   int64    `json:"patienceMinutes"`
}

// ActionDetail returns one action with every step it took.
func (c *Client) ActionDetail(ctx context.Context, id string) (*ActionDetail, error) {
	out := &ActionDetail{}
	return out, c.Do(ctx, http.MethodGet, actionCenter+"/"+url.PathEscape(id), nil, out)
}

// Move lets the caller approve, reject or undo an action: the last word of the route.
func (c *Client) Move(ctx context.Context, id, verb, comment string, signatures ...ActionSignature) (*ActionDetail, error) {
	body := map[string]any{"Comment": comment}
	if len(signatures) > 0 {
		body["Signatures"] = signatures
	}
	out := &ActionDetail{}
	return out, c.Do(ctx, http.MethodPost, actionCenter+"/"+url.PathEscape(id)+"/"+verb, body, out)
}

// Envelope returns what an approver of an action signs.
func (c *Client) Envelope(ctx context.Context, id string) (*Envelope, error) {
	out := &Envelope{}
	return out, c.Do(ctx, http.MethodGet, actionCenter+"/"+url.PathEscape(id)+"/envelope", nil, out)
}

// Bulk asks many devices for an action of a type.
func (c *Client) Bulk(ctx context.Context, kind string, body map[string]any) (*Bulk, error) {
	out := &Bulk{}
	return out, c.Do(ctx, http.MethodPost, actionCenter+"/bulk/"+url.PathEscape(kind), body, out)
}

// Actions lists a view of the action center.
func (c *Client) Actions(ctx context.Context, l List) ([]ActionDetail, error) {
	return All[ActionDetail](ctx, c, actionCenter, l)
}

// ExportActions writes a view of the action center as CSV, with every column there is.
func (c *Client) ExportActions(ctx context.Context, l List, w io.Writer) error {
	l.Format = "csv"
	resp, err := c.send(ctx, http.MethodGet, actionCenter+l.query(), nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(w, resp.Body)
	return err
}
