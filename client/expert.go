package client

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// ExpertCase is a question to an expert outside and what became of it.
type ExpertCase struct {
	ID         string          `json:"id"` // of its machine action as well
	AlertID    string          `json:"alertId"`
	IncidentID int64           `json:"incidentId"`
	MachineID  string          `json:"machineId"`
	Title      string          `json:"title"`
	Question   string          `json:"question"`
	Contact    string          `json:"contact"`
	AskedBy    string          `json:"askedBy"`
	Receiver   string          `json:"receiverName"`
	Machines   []ExpertMachine `json:"machines"`
	From       time.Time       `json:"timelineFrom"`
	To         time.Time       `json:"timelineTo"`
	Package    string          `json:"package"`
	Status     string          `json:"status"`
	State      string          `json:"state"`
	IsOpen     bool            `json:"isOpen"`
	Detail     string          `json:"detail"`
	Created    *time.Time      `json:"creationTime"`
	Taken      *time.Time      `json:"takenTime"`
	Answer     string          `json:"receiverAnswer"`
	Attempts   int             `json:"attempts"`
	LastError  string          `json:"lastError"`
	Bundle     *ExpertBundle   `json:"bundle"`
	Fetched    int             `json:"fetchCount"`
	Fetches    []ExpertFetch   `json:"fetches"`
	RevokedBy  string          `json:"linkRevokedBy"`
	Revoked    *time.Time      `json:"linkRevokedTime"`
}

// ExpertMachine is a machine that a case is about.
type ExpertMachine struct {
	ID      string `json:"machineId"`
	Name    string `json:"computerDnsName"`
	Package string `json:"packageActionId"` // of the action that collects its package; "" for none
}

// ExpertBundle is what was put together for a case.
type ExpertBundle struct {
	Name      string     `json:"fileName"`
	SHA256    string     `json:"sha256"`
	Size      int64      `json:"size"`
	Encrypted bool       `json:"encrypted"`
	Until     *time.Time `json:"linkExpires"` // nil where it went with the message
	Files     []struct {
		Path   string `json:"path"`
		Size   int64  `json:"size"`
		SHA256 string `json:"sha256"`
	} `json:"files"`
	Lacks []struct {
		What string `json:"what"`
		Why  string `json:"why"`
	} `json:"lacks"`
}

// ExpertFetch is one time that the link to a bundle was followed.
type ExpertFetch struct {
	Time *time.Time `json:"time"`
	From string     `json:"from"`
}

// ExpertReceiver is somebody whom cases can be handed to.
type ExpertReceiver struct {
	ID       int64    `json:"id"`
	Name     string   `json:"name"`
	About    string   `json:"about"`
	Enabled  bool     `json:"enabled"`
	Mail     []string `json:"mail"`
	URL      string   `json:"webhookUrl"`
	Signed   bool     `json:"signed"`
	Handover string   `json:"handover"`
	Keys     []string `json:"keys"`
	Plain    bool     `json:"allowPlain"`
	MaxBytes int64    `json:"maxBytes"`
	Hours    int64    `json:"linkHours"`
	Base     string   `json:"linkBase"`
	Groups   []int64  `json:"rbacGroupIds"`
}

const expertPath = "/api/vedette/expert"

// ExpertQuestion asks; one of AlertID, IncidentID and MachineID says about what. Zero members
// are left to the server.
type ExpertQuestion struct {
	AlertID    string     `json:"alertId,omitempty"`
	IncidentID int64      `json:"incidentId,omitempty"`
	MachineID  string     `json:"machineId,omitempty"`
	Question   string     `json:"question"`
	Contact    string     `json:"contact,omitempty"`
	Receiver   int64      `json:"receiverId"`
	Package    string     `json:"package,omitempty"` // None, Latest, Collect
	From       *time.Time `json:"from,omitempty"`
	To         *time.Time `json:"to,omitempty"`
	Wait       int64      `json:"waitMinutes,omitempty"`
}

// AskExpert asks an expert.
func (c *Client) AskExpert(ctx context.Context, q ExpertQuestion) (*ExpertCase, error) {
	out := &ExpertCase{}
	return out, c.Do(ctx, http.MethodPost, expertPath+"/cases", q, out)
}

// ExpertCase returns a question to an expert.
func (c *Client) ExpertCase(ctx context.Context, id string) (*ExpertCase, error) {
	out := &ExpertCase{}
	return out, c.Do(ctx, http.MethodGet, expertPath+"/cases/"+url.PathEscape(id), nil, out)
}

// ExpertCases lists questions to experts.
func (c *Client) ExpertCases(ctx context.Context, l List) ([]ExpertCase, error) {
	return All[ExpertCase](ctx, c, expertPath+"/cases", l)
}

// RevokeExpertLink ends the link to a case's bundle.
func (c *Client) RevokeExpertLink(ctx context.Context, id string) (*ExpertCase, error) {
	out := &ExpertCase{}
	return out, c.Do(ctx, http.MethodPost, expertPath+"/cases/"+url.PathEscape(id)+"/revoke", map[string]any{}, out)
}

// ExpertReceivers lists whom cases can be handed to.
func (c *Client) ExpertReceivers(ctx context.Context) ([]ExpertReceiver, error) {
	return All[ExpertReceiver](ctx, c, expertPath+"/receivers", List{})
}
