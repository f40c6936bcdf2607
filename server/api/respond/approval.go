package respond

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/vedette-edr/vedette/server/action"
	"github.com/vedette-edr/vedette/server/api"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
)

type reasonBody struct {
	Comment string `json:"Comment" doc:"required,max=4000"`
}

type approveBody struct {
	reasonBody
	Signatures []signatureBody `json:"Signatures" doc:"max=15"`
}

type signatureBody struct {
	Key       string `json:"Key" doc:"required"`       // base64 of the ed25519 public key
	Signature string `json:"Signature" doc:"required"` // base64
}

// envelopeEntity is what an approver signs: the context, a zero byte within it, and the body.
type envelopeEntity struct {
	Context string `json:"context"` // base64 of what stands before the body
	Body    string `json:"body"`    // base64 of the command
}

// signedContext stands before the body in what is signed; the protocol's document says so.
const signedContext = "vedette command 1\x00"

func (a *API) envelope(w http.ResponseWriter, r *api.Request) error {
	id, err := actionID(r)
	if err != nil {
		return err
	}
	act, err := a.Actions.Get(r.Context(), r.Caller.Tenant, id)
	if err != nil {
		return named(err, id)
	}
	if len(act.Body) == 0 {
		return errs.New("respond.envelope", errs.Conflict, errs.DisallowedOperation, "nobody had to agree to the action %s: its command is not signed by approvers", id)
	}
	b64 := base64.StdEncoding
	return api.WriteJSON(w, r, http.StatusOK, envelopeEntity{b64.EncodeToString([]byte(signedContext)), b64.EncodeToString(act.Body)})
}

func (a *API) approve(w http.ResponseWriter, r *api.Request) error {
	id, body, comment, err := reason(r)
	if err != nil {
		return err
	}
	list, err := body.Objects("Signatures")
	if err != nil {
		return err
	}
	var signatures []action.Signature
	for i, o := range list {
		var s action.Signature
		for name, to := range map[string]*[]byte{"Key": &s.Key, "Signature": &s.Signature} {
			text, err := o.RequireString(name)
			if err != nil {
				return err
			}
			if *to, err = base64.StdEncoding.DecodeString(text); err != nil {
				return errs.New("respond.approve", errs.Invalid, errs.InvalidInput, "Signatures[%d].%s is no base64", i, name)
			}
		}
		signatures = append(signatures, s)
	}
	act, err := a.Actions.Approve(r.Context(), r.Caller, id, comment, signatures...)
	if err != nil {
		return named(err, id)
	}
	return api.WriteJSON(w, r, http.StatusOK, showWhole(act))
}

func (a *API) reject(w http.ResponseWriter, r *api.Request) error {
	id, _, comment, err := reason(r)
	if err != nil {
		return err
	}
	act, err := a.Actions.Reject(r.Context(), r.Caller, id, comment)
	if err != nil {
		return named(err, id)
	}
	return api.WriteJSON(w, r, http.StatusOK, showWhole(act))
}

// reason reads the action that the path names and why something is done with it.
func reason(r *api.Request) (ident.ActionID, *api.Object, string, error) {
	id, err := actionID(r)
	if err != nil {
		return "", nil, "", err
	}
	body, err := r.JSON()
	if err != nil {
		return "", nil, "", err
	}
	comment, err := body.RequireString("Comment")
	return id, body, comment, err
}

// policyBody is the body that creates or changes a policy; a change leaves out what stays.
type policyBody struct {
	Name       string   `json:"name" doc:"max=256"`
	Enabled    bool     `json:"enabled"`
	Types      []string `json:"types" doc:"max=100"`        // of machine actions; empty for all
	Groups     []int64  `json:"rbacGroupIds" doc:"max=100"` // of the device; empty for all
	Requestors []string `json:"requestors" doc:"max=100"`   // role ids, application ids, Applications, Automatic; empty for all
	Need       int64    `json:"approvals"`
	Approvers  []string `json:"approvers" doc:"max=100"` // role ids, application ids; empty for everybody with the permission
	Self       bool     `json:"requestorMayApprove"`
	Patience   int64    `json:"patienceMinutes"` // 10080 when it is left out
}

// policyEntity is a policy as it is answered.
type policyEntity struct {
	ID         int64     `json:"id"`
	Name       string    `json:"name"`
	Enabled    bool      `json:"enabled"`
	Types      []string  `json:"types"`
	Groups     []int64   `json:"rbacGroupIds"`
	Requestors []string  `json:"requestors"`
	Need       int       `json:"approvals"`
	Approvers  []string  `json:"approvers"`
	Self       bool      `json:"requestorMayApprove"`
	Patience   int64     `json:"patienceMinutes"`
	CreatedBy  string    `json:"createdBy"`
	Created    time.Time `json:"createdTime"`
	UpdatedBy  string    `json:"lastUpdatedBy"`
	Updated    time.Time `json:"lastUpdateTime"`
}

func showPolicy(p *action.Policy) policyEntity {
	out := policyEntity{ID: int64(p.ID), Name: p.Name, Enabled: p.Enabled, Types: []string{}, Groups: append([]int64{}, p.Groups...),
		Requestors: append([]string{}, p.Requestors...), Need: p.Need, Approvers: append([]string{}, p.Approvers...), Self: p.Self,
		Patience: int64(p.Patience / time.Minute), CreatedBy: p.CreatedBy.Name, Created: p.Created.UTC(), UpdatedBy: p.UpdatedBy.Name, Updated: p.Updated.UTC()}
	for _, k := range p.Kinds {
		out.Types = append(out.Types, string(k))
	}
	return out
}

// readPolicy sets on a policy what the body holds.
func readPolicy(body *api.Object, p *action.Policy) error {
	var err error
	if body.Has("name") {
		if p.Name, err = body.String("name"); err != nil {
			return err
		}
	}
	for name, to := range map[string]*bool{"enabled": &p.Enabled, "requestorMayApprove": &p.Self} {
		if body.Has(name) {
			if *to, err = body.Bool(name); err != nil {
				return err
			}
		}
	}
	for name, to := range map[string]*[]string{"requestors": &p.Requestors, "approvers": &p.Approvers} {
		if body.Has(name) {
			if *to, err = body.Strings(name); err != nil {
				return err
			}
		}
	}
	if body.Has("types") {
		types, err := body.Strings("types")
		if err != nil {
			return err
		}
		p.Kinds = nil
		for _, k := range types {
			p.Kinds = append(p.Kinds, action.Kind(k))
		}
	}
	if body.Has("rbacGroupIds") {
		if p.Groups, err = numbers(body, "rbacGroupIds"); err != nil {
			return err
		}
	}
	if body.Has("approvals") {
		n, err := body.Int("approvals")
		if err != nil {
			return err
		}
		p.Need = int(min(max(n, -1), 1000))
	}
	if body.Has("patienceMinutes") {
		n, err := body.Int("patienceMinutes")
		if err != nil {
			return err
		}
		p.Patience = time.Duration(min(max(n, -1), 1<<20)) * time.Minute
	}
	return nil
}

func numbers(body *api.Object, name string) ([]int64, error) {
	texts, err := body.Texts(name)
	if err != nil {
		return nil, err
	}
	var out []int64
	for i, t := range texts {
		n, err := strconv.ParseInt(t, 10, 64)
		if err != nil || n < 0 {
			return nil, errs.New("respond", errs.Invalid, errs.InvalidInput, "%s[%d]: %q is no number", name, i, t[:min(len(t), 64)])
		}
		out = append(out, n)
	}
	return out, nil
}

func (a *API) listPolicies(w http.ResponseWriter, r *api.Request) error {
	ps, err := a.Policies.Policies(r.Context(), r.Caller.Tenant)
	if err != nil {
		return err
	}
	out := []policyEntity{}
	for _, p := range ps {
		out = append(out, showPolicy(p))
	}
	return api.WriteJSON(w, r, http.StatusOK, map[string]any{"value": out})
}

func (a *API) getPolicy(w http.ResponseWriter, r *api.Request) error {
	ps, err := a.Policies.Policies(r.Context(), r.Caller.Tenant)
	if err != nil {
		return err
	}
	for _, p := range ps {
		if int64(p.ID) == number(r) {
			return api.WriteJSON(w, r, http.StatusOK, showPolicy(p))
		}
	}
	return noPolicy(errs.New("", errs.NotFound, "", ""), r)
}

func noPolicy(err error, r *api.Request) error {
	if errs.Is(err, errs.NotFound) {
		return errs.New("respond.policy", errs.NotFound, errs.ResourceNotFound, "Approval policy %s was not found", r.Var("id"))
	}
	return err
}

func (a *API) createPolicy(w http.ResponseWriter, r *api.Request) error {
	body, err := r.JSON()
	if err != nil {
		return err
	}
	p := action.Policy{Enabled: true}
	if err := readPolicy(body, &p); err != nil {
		return err
	}
	out, err := a.Policies.CreatePolicy(r.Context(), r.Caller, p)
	if err != nil {
		return err
	}
	w.Header().Set("Location", fmt.Sprintf("%s%s/approvalpolicies/%d", r.BaseURL(), root, out.ID))
	return api.WriteJSON(w, r, http.StatusCreated, showPolicy(out))
}

func (a *API) updatePolicy(w http.ResponseWriter, r *api.Request) error {
	body, err := r.JSON()
	if err != nil {
		return err
	}
	out, err := a.Policies.UpdatePolicy(r.Context(), r.Caller, ident.ApprovalID(number(r)), func(p *action.Policy) error { return readPolicy(body, p) })
	if err != nil {
		return noPolicy(err, r)
	}
	return api.WriteJSON(w, r, http.StatusOK, showPolicy(out))
}

func (a *API) deletePolicy(w http.ResponseWriter, r *api.Request) error {
	if err := a.Policies.DeletePolicy(r.Context(), r.Caller, ident.ApprovalID(number(r))); err != nil {
		return noPolicy(err, r)
	}
	return api.WriteEmpty(w, http.StatusNoContent)
}
