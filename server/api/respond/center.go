package respond

import (
	"encoding/csv"
	"net/http"
	"strings"
	"time"

	"github.com/vedette-edr/vedette/server/action"
	"github.com/vedette-edr/vedette/server/api"
	"github.com/vedette-edr/vedette/server/api/odata"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/filter"
	"github.com/vedette-edr/vedette/sheet"
)

// The views of the action center.
const (
	viewPending  = "pending"
	viewHistory  = "history"
	viewApproval = "approval"
)

func (a *API) spec() odata.Spec {
	return odata.Spec{Fields: action.CenterFields, Entity: actionEntity{}, Page: 1000}
}

// view is the predicate of a view's name.
func view(name string) (filter.Expr, error) {
	is := func(field string, b bool) filter.Expr {
		f, _ := action.CenterFields.Find(field)
		return filter.Compare{Field: f, Op: filter.Eq, Value: filter.Value{Type: filter.Bool, B: b}}
	}
	switch strings.ToLower(name) {
	case "":
		return nil, nil
	case viewPending:
		return is("isOpen", true), nil
	case viewHistory:
		return is("isOpen", false), nil
	case viewApproval:
		return is("awaitsApproval", true), nil
	}
	return nil, errs.New("respond.list", errs.Invalid, errs.InvalidInput, "view: it is %s, %s or %s", viewPending, viewHistory, viewApproval)
}

func (a *API) list(w http.ResponseWriter, r *api.Request) error {
	o, err := odata.Parse(r.Query, a.spec())
	if err != nil {
		return err
	}
	only, err := view(r.Query.Get("view"))
	if err != nil {
		return err
	}
	switch {
	case o.Query.Where == nil:
		o.Query.Where = only
	case only != nil:
		o.Query.Where = filter.And{only, o.Query.Where}
	}
	form := r.Query.Get("format")
	if form != "" && !strings.EqualFold(form, "csv") && !strings.EqualFold(form, "json") {
		return errs.New("respond.list", errs.Invalid, errs.InvalidInput, "format: it is csv or json")
	}
	if strings.EqualFold(form, "csv") {
		return a.export(w, r, o)
	}
	page, err := a.Actions.List(r.Context(), r.Caller.Tenant, o.Query)
	if err != nil {
		return err
	}
	return odata.WriteCollection(w, r, "/api/vedette/$metadata#MachineActions", o, page, show)
}

// maxExport is how many actions one export holds.
const maxExport = 100_000

var exported = []string{"Id", "Type", "Scope", "Status", "State", "Device", "DeviceId", "Requestor", "Comment", "Source", "ExternalId",
	"Created", "Updated", "ApprovedBy", "CancelledBy", "CancellationComment", "FileSha1", "Error", "Truth"}

// export answers every row that the query selects as CSV, page by page.
func (a *API) export(w http.ResponseWriter, r *api.Request, o odata.Options) error {
	q := o.Query
	most := maxExport
	if r.Query.Has("$top") {
		most = q.Top
	}
	q.Top = min(1000, most)
	page, err := a.Actions.List(r.Context(), r.Caller.Tenant, q)
	if err != nil {
		return err
	}
	api.Attachment(w.Header(), "actions-"+a.Now().UTC().Format("20060102T150405Z")+".csv", "text/csv; charset=utf-8")
	out := csv.NewWriter(w)
	if err := out.Write(exported); err != nil {
		return err
	}
	for n := 0; ; {
		for _, act := range page.Items {
			if err := out.Write(row(act)); err != nil {
				return err
			}
		}
		n += len(page.Items)
		if !page.More || n >= most {
			break
		}
		q.Skip, q.Top = q.Skip+len(page.Items), min(1000, most-n)
		if page, err = a.Actions.List(r.Context(), r.Caller.Tenant, q); err != nil {
			return err // half an answer is broken off
		}
	}
	out.Flush()
	return out.Error()
}

func row(act *action.Action) []string {
	e := show(act)
	var approved []string
	if e.Approval != nil {
		for _, v := range e.Approval.Votes {
			if v.Agrees {
				approved = append(approved, v.By)
			}
		}
	}
	cells := []string{e.ID, e.Type, e.Scope, e.Status, e.State, e.Machine, e.MachineID, e.Requestor, e.Comment, e.Source, e.External,
		e.Created.Format(time.RFC3339), e.Updated.Format(time.RFC3339), strings.Join(approved, "; "), act.Cancel.By, act.Cancel.Comment, e.SHA1, e.Error, e.Truth}
	return sheet.Row(cells)
}

func (a *API) get(w http.ResponseWriter, r *api.Request) error {
	id, err := actionID(r)
	if err != nil {
		return err
	}
	act, err := a.Actions.Get(r.Context(), r.Caller.Tenant, id)
	if err != nil {
		return named(err, id)
	}
	return api.WriteJSON(w, r, http.StatusOK, showWhole(act))
}
