package respond

import (
	"errors"
	"net/http"
	"strings"

	"github.com/vedette-edr/vedette/server/action"
	"github.com/vedette-edr/vedette/server/api"
	"github.com/vedette-edr/vedette/server/api/odata"
	"github.com/vedette-edr/vedette/server/device"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/filter"
	"github.com/vedette-edr/vedette/server/ident"
)

func (a *API) undo(w http.ResponseWriter, r *api.Request) error {
	id, _, comment, err := reason(r)
	if err != nil {
		return err
	}
	_, inverse, err := a.Actions.Inverse(r.Context(), r.Caller.Tenant, id)
	if err != nil {
		return named(err, id)
	}
	if err := r.Caller.Require("respond.undo", inverse.Need()); err != nil {
		return err
	}
	act, err := a.Actions.Undo(r.Context(), r.Caller, id, comment, r.Source())
	if err != nil {
		return named(err, id)
	}
	return api.WriteJSON(w, r, http.StatusCreated, showWhole(act))
}

type bulkBody struct {
	Comment   string   `json:"Comment" doc:"required,max=4000"`
	Machines  []string `json:"MachineIds" doc:"max=1000"`    // ids or computer names
	Filter    string   `json:"MachineFilter" doc:"max=4096"` // or every machine that matches, as $filter of /api/machines
	CountOnly bool     `json:"CountOnly"`                    // ask for nothing, say what would become of it
	Isolation string   `json:"IsolationType"`
	Scan      string   `json:"ScanType"`
	SHA1      string   `json:"Sha1"`
	SHA256    string   `json:"Sha256"`
	CPULimit  int64    `json:"CpuLimit"`                               // of a scan: percent of one processor; 0 for 50
	Take      string   `json:"Quarantine" doc:"enum=Default|All|None"` // of a scan: what is taken into quarantine
	Rules     []string `json:"Rules" doc:"max=32"`                     // of a scan: files of YARA rules in the library
	External  string   `json:"ExternalId" doc:"max=256"`
	ForceSelf bool     `json:"ForceSelf"`
}

type bulkEntity struct {
	Machines int             `json:"machines"` // that the request is about
	Accepted int             `json:"accepted"` // asked, or that would be
	Refused  int             `json:"refused"`
	Counted  bool            `json:"countOnly"`
	Outcomes []outcomeEntity `json:"outcomes"`
}

type outcomeEntity struct {
	MachineID string `json:"machineId"`
	Machine   string `json:"computerDnsName"`
	Action    string `json:"actionId"` // "" where there is none
	Status    string `json:"status"`   // of the action
	Code      string `json:"code"`     // why it was refused; "" where it was not
	Message   string `json:"message"`
}

func (a *API) bulk(k action.Kind) api.Handler {
	return func(w http.ResponseWriter, r *api.Request) error { return a.ask(w, r, k) }
}

// ask asks many devices for an action of a kind.
func (a *API) ask(w http.ResponseWriter, r *api.Request, k action.Kind) error {
	body, err := r.JSON()
	if err != nil {
		return err
	}
	q, countOnly, err := readBulk(body, k, r.Source())
	if err != nil {
		return err
	}
	devices, err := a.devices(r, body)
	if err != nil {
		return err
	}
	do := a.Many.RequestMany
	if countOnly {
		do = a.Many.Count
	}
	out, err := do(r.Context(), r.Caller, devices, q)
	if err != nil {
		return err
	}
	return api.WriteJSON(w, r, http.StatusOK, bulkOf(out, countOnly))
}

// bulkOf is the answer about many devices.
func bulkOf(out []action.Outcome, countOnly bool) bulkEntity {
	answer := bulkEntity{Machines: len(out), Counted: countOnly, Outcomes: []outcomeEntity{}}
	for _, o := range out {
		e := outcomeEntity{MachineID: string(o.Device), Machine: o.Name}
		if o.Action != nil {
			e.Action, e.Status = string(o.Action.ID), string(o.Action.State.Status())
		}
		var why *errs.E
		if errors.As(o.Err, &why) {
			e.Code, e.Message = string(why.Code), why.Detail
			answer.Refused++
		} else {
			answer.Accepted++
		}
		answer.Outcomes = append(answer.Outcomes, e)
	}
	return answer
}

func readBulk(body *api.Object, k action.Kind, source string) (action.Request, bool, error) {
	q := action.Request{Kind: k, Source: source}
	var err error
	if q.Comment, err = body.RequireString("Comment"); err != nil {
		return q, false, err
	}
	scope := ""
	switch q.Kind {
	case action.Isolate:
		scope = "IsolationType"
	case action.RunAntiVirusScan:
		scope = "ScanType"
	}
	for name, to := range map[string]*string{scope: &q.Scope, "Sha1": &q.File, "ExternalId": &q.External} {
		if name == "" {
			continue
		}
		if *to, err = body.String(name); err != nil {
			return q, false, err
		}
	}
	if q.ForceSelf, err = body.Bool("ForceSelf"); err != nil {
		return q, false, err
	}
	if q.File == "" {
		if q.File, err = body.String("Sha256"); err != nil {
			return q, false, err
		}
	}
	if q.Kind == action.RunAntiVirusScan {
		if q.Scan, err = readScan(body); err != nil {
			return q, false, err
		}
	}
	countOnly, err := body.Bool("CountOnly")
	return q, countOnly, err
}

// readScan reads how a scan is to be done.
func readScan(body *api.Object) (*action.Scan, error) {
	var s action.Scan
	limit, err := body.Int("CpuLimit")
	if err != nil {
		return nil, err
	}
	s.CPULimit = int(min(max(limit, -1), 101))
	if s.Quarantine, err = body.String("Quarantine"); err != nil {
		return nil, err
	}
	if strings.EqualFold(s.Quarantine, "Default") {
		s.Quarantine = ""
	}
	s.Rules, err = body.Strings("Rules")
	return &s, err
}

// devices returns those that a body is about.
func (a *API) devices(r *api.Request, body *api.Object) ([]ident.DeviceID, error) {
	const op = "respond.bulk"
	list, err := body.Strings("MachineIds")
	if err != nil {
		return nil, err
	}
	text, err := body.String("MachineFilter")
	if err != nil {
		return nil, err
	}
	if (len(list) == 0) == (text == "") {
		return nil, errs.New(op, errs.Invalid, errs.MissingRequiredParameter, "give either MachineIds or MachineFilter")
	}
	if len(list) > action.MaxBulk {
		return nil, errs.New(op, errs.Invalid, errs.MaximumBatchSizeExceeded, "MachineIds: received %d, allowed %d", len(list), action.MaxBulk)
	}
	if text != "" {
		where, err := odata.ParseFilter(text, device.Fields)
		if err != nil {
			return nil, err
		}
		// One more than may be asked tells that there are too many.
		page, err := a.Devices.Find(r.Context(), r.Caller.Tenant, device.Query{}, filter.Query{Where: where, Top: action.MaxBulk + 1})
		if err != nil {
			return nil, err
		}
		if len(page.Items) > action.MaxBulk {
			return nil, errs.New(op, errs.Invalid, errs.MaximumBatchSizeExceeded, "MachineFilter: more than %d machines match, and so many may be asked at once", action.MaxBulk)
		}
		var out []ident.DeviceID
		for _, d := range page.Items {
			out = append(out, d.ID)
		}
		return out, nil
	}
	out := make([]ident.DeviceID, len(list))
	for i, s := range list {
		id, ok := ident.ParseDeviceID(s)
		if !ok {
			ds, err := a.Devices.FindByName(r.Context(), r.Caller.Tenant, s)
			if err != nil {
				return nil, err
			}
			if len(ds) != 1 {
				return nil, errs.New(op, errs.NotFound, errs.ResourceNotFound, "MachineIds[%d]: %q names %d machines", i, s[:min(len(s), 64)], len(ds))
			}
			id = ds[0].ID
		}
		out[i] = id
	}
	return out, nil
}
