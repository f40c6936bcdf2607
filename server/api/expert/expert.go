// Package expert is asking an expert in this server's own API, below /api/vedette/expert:
// questions, what became of them, whom they may be put to, and the links to bundles.
//
// It holds no rules and no state; package server/expert does, and the state of a case is its
// machine action's. Start at Routes.
package expert

import (
	"context"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/action"
	"github.com/vedette-edr/vedette/server/api"
	"github.com/vedette-edr/vedette/server/api/odata"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/expert"
	"github.com/vedette-edr/vedette/server/filter"
	"github.com/vedette-edr/vedette/server/ident"
)

// Cases is what this package needs of expert.Service about cases.
type Cases interface {
	Ask(ctx context.Context, by *access.Principal, q expert.Question) (*expert.Case, *action.Action, error)
	Case(ctx context.Context, tenant ident.TenantID, id ident.ActionID) (*expert.Case, error)
	Cases(ctx context.Context, tenant ident.TenantID, q filter.Query) (filter.Page[*expert.Case], error)
	Revoke(ctx context.Context, by *access.Principal, id ident.ActionID) (*expert.Case, error)
	Redeem(ctx context.Context, ticket, from string) (*expert.Bundle, *os.File, error)
}

// Receivers is what this package needs of expert.Service about receivers.
type Receivers interface {
	Receivers(ctx context.Context, tenant ident.TenantID) ([]*expert.Receiver, error)
	Receiver(ctx context.Context, tenant ident.TenantID, id ident.ReceiverID) (*expert.Receiver, error)
	CreateReceiver(ctx context.Context, by *access.Principal, r expert.Receiver) (*expert.Receiver, error)
	UpdateReceiver(ctx context.Context, by *access.Principal, id ident.ReceiverID, change func(*expert.Receiver) error) (*expert.Receiver, error)
	DeleteReceiver(ctx context.Context, by *access.Principal, id ident.ReceiverID) error
	TestReceiver(ctx context.Context, by *access.Principal, id ident.ReceiverID) (answer string, err error)
}

// Actions is what this package needs of action.Service.
type Actions interface {
	Get(ctx context.Context, tenant ident.TenantID, id ident.ActionID) (*action.Action, error)
}

// API is the handlers over the services.
type API struct {
	cases     Cases
	receivers Receivers
	actions   Actions
}

// New returns the API.
func New(c Cases, r Receivers, a Actions) *API { return &API{c, r, a} }

const root = "/api/vedette/expert"

// Routes returns the route table of the API.
func (a *API) Routes() []api.Route {
	ask := []access.Permission{access.ExpertAsk}
	administer := []access.Permission{access.ServerAdmin}
	either := []access.Permission{access.ExpertAsk, access.ServerAdmin}
	one := []errs.Code{errs.ResourceNotFound}
	write := []errs.Code{errs.ResourceNotFound, errs.InvalidInput, errs.InvalidURL, errs.InvalidRequestBody, errs.MissingRequiredParameter, errs.QuotaExceeded}
	asking := append(write[:len(write):len(write)], errs.DisallowedOperation, errs.ActiveRequestAlreadyExists)
	route := func(method, pattern string, need []access.Permission, h api.Handler, d api.Doc) api.Route {
		return api.Route{Method: method, Pattern: root + pattern, Need: need, Handle: h, Doc: d, MaxBody: 1 << 20}
	}
	get, post, patch, del := http.MethodGet, http.MethodPost, http.MethodPatch, http.MethodDelete
	return []api.Route{
		route(get, "/cases", ask, a.list, api.Doc{Summary: "List questions to experts, with what became of them", Params: odata.Params(spec()), Answer: []caseEntity{}, Errors: []errs.Code{errs.ODataError}}),
		route(post, "/cases", ask, a.ask, api.Doc{Summary: "Ask an expert about an alert, an incident or a machine", Body: askBody{}, Answer: caseEntity{}, Bare: true, Status: http.StatusCreated, Errors: asking}),
		route(get, "/cases/{id}", ask, a.get, api.Doc{Summary: "Get a question to an expert", Answer: caseEntity{}, Bare: true, Errors: one}),
		route(post, "/cases/{id}/revoke", ask, a.revoke, api.Doc{Summary: "End the link to a case's bundle", Answer: caseEntity{}, Bare: true, Errors: append(one, errs.DisallowedOperation)}),

		route(get, "/receivers", either, a.listReceivers, api.Doc{Summary: "List whom cases may be handed to", Answer: []receiverEntity{}}),
		route(post, "/receivers", administer, a.createReceiver, api.Doc{Summary: "Create a receiver of cases", Body: receiverBody{}, Answer: receiverEntity{}, Bare: true, Status: http.StatusCreated, Errors: write}),
		route(get, "/receivers/{id}", either, a.getReceiver, api.Doc{Summary: "Get a receiver of cases", Answer: receiverEntity{}, Bare: true, Errors: one}),
		route(patch, "/receivers/{id}", administer, a.updateReceiver, api.Doc{Summary: "Change a receiver of cases", Body: receiverBody{}, Answer: receiverEntity{}, Bare: true, Errors: write}),
		route(del, "/receivers/{id}", administer, a.deleteReceiver, api.Doc{Summary: "Delete a receiver of cases", Status: http.StatusNoContent, Errors: one}),
		route(post, "/receivers/{id}/test", administer, a.testReceiver, api.Doc{Summary: "Send a receiver a test message at once", Answer: answerEntity{}, Bare: true, Errors: []errs.Code{errs.ResourceNotFound, errs.DisallowedOperation}}),

		{Method: get, Pattern: root + "/bundles/{ticket}", Open: "the link is signed, ends, and can be revoked", Handle: a.bundle,
			Doc: api.Doc{Summary: "Fetch the bundle of a case by the link that its receiver was given", AnswerMedia: "application/octet-stream", Errors: one}},
	}
}

func spec() odata.Spec {
	return odata.Spec{Fields: expert.Fields, Entity: caseEntity{}, Page: 200, Top: 1000}
}

// askBody is the body that asks. One of alertId, incidentId and machineId says about what.
type askBody struct {
	Alert    string    `json:"alertId"`
	Incident int64     `json:"incidentId"`
	Machine  string    `json:"machineId"`
	Question string    `json:"question" doc:"required,max=4000"`
	Contact  string    `json:"contact" doc:"max=256"` // how to answer; the caller's name without it
	Receiver int64     `json:"receiverId" doc:"required"`
	Package  string    `json:"package" doc:"enum=None|Latest|Collect"`
	From     time.Time `json:"from"` // of the timelines; what surrounds the alerts without it
	To       time.Time `json:"to"`
	Wait     int64     `json:"waitMinutes"` // for a package that is collected; 120 without it
}

func (a *API) ask(w http.ResponseWriter, r *api.Request) error {
	body, err := r.JSON()
	if err != nil {
		return err
	}
	q := expert.Question{Source: r.Source()}
	if q.Text, err = body.RequireString("question"); err != nil {
		return err
	}
	var texts struct{ alert, machine, pack string }
	for name, to := range map[string]*string{"alertId": &texts.alert, "machineId": &texts.machine, "contact": &q.Contact, "package": &texts.pack} {
		if body.Has(name) {
			if *to, err = body.String(name); err != nil {
				return err
			}
		}
	}
	var of, receiver, wait int64
	for name, to := range map[string]*int64{"incidentId": &of, "receiverId": &receiver, "waitMinutes": &wait} {
		if body.Has(name) {
			if *to, err = body.Int(name); err != nil {
				return err
			}
		}
	}
	for name, to := range map[string]*time.Time{"from": &q.From, "to": &q.To} {
		if body.Has(name) {
			if *to, err = body.Time(name); err != nil {
				return err
			}
		}
	}
	if !body.Has("receiverId") {
		return errs.New("expert.ask", errs.Invalid, errs.MissingRequiredParameter, "receiverId is missing: whom is it put to?")
	}
	if wait < 0 || wait > 1<<20 {
		return errs.New("expert.ask", errs.Invalid, errs.InvalidInput, "waitMinutes: it is a number of minutes")
	}
	if texts.machine != "" {
		id, ok := ident.ParseDeviceID(texts.machine)
		if !ok {
			return errs.New("expert.ask", errs.NotFound, errs.ResourceNotFound, "Machine %.64q was not found", texts.machine)
		}
		q.About.Device = id
	}
	q.About.Alert, q.About.Incident = ident.AlertID(texts.alert), ident.IncidentID(of)
	q.Package, q.Receiver, q.Patience = expert.Package(texts.pack), ident.ReceiverID(receiver), time.Duration(wait)*time.Minute
	c, act, err := a.cases.Ask(r.Context(), r.Caller, q)
	if err != nil {
		return err
	}
	return api.WriteJSON(w, r, http.StatusCreated, show(c, act))
}

func (a *API) list(w http.ResponseWriter, r *api.Request) error {
	o, err := odata.Parse(r.Query, spec())
	if err != nil {
		return err
	}
	page, err := a.cases.Cases(r.Context(), r.Caller.Tenant, o.Query)
	if err != nil {
		return err
	}
	var failed error
	err = odata.WriteCollection(w, r, "/api/vedette/$metadata#ExpertCases", o, page, func(c *expert.Case) caseEntity {
		act, err := a.actions.Get(r.Context(), r.Caller.Tenant, c.ID)
		if err != nil {
			failed = err
			act = &action.Action{}
		}
		return show(c, act)
	})
	if err == nil {
		err = failed
	}
	return err
}

func caseID(r *api.Request) (ident.ActionID, error) {
	id, ok := ident.ParseActionID(r.Var("id"))
	if !ok {
		return "", errs.New("expert.case", errs.NotFound, errs.ResourceNotFound, "Expert case %.64q was not found", r.Var("id"))
	}
	return id, nil
}

func (a *API) get(w http.ResponseWriter, r *api.Request) error {
	id, err := caseID(r)
	if err != nil {
		return err
	}
	c, err := a.cases.Case(r.Context(), r.Caller.Tenant, id)
	if err != nil {
		return err
	}
	return a.answer(w, r, c)
}

func (a *API) answer(w http.ResponseWriter, r *api.Request, c *expert.Case) error {
	act, err := a.actions.Get(r.Context(), r.Caller.Tenant, c.ID)
	if err != nil {
		return err
	}
	return api.WriteJSON(w, r, http.StatusOK, show(c, act))
}

func (a *API) revoke(w http.ResponseWriter, r *api.Request) error {
	id, err := caseID(r)
	if err != nil {
		return err
	}
	c, err := a.cases.Revoke(r.Context(), r.Caller, id)
	if err != nil {
		return err
	}
	return a.answer(w, r, c)
}

// bundle answers a link with the file.
func (a *API) bundle(w http.ResponseWriter, r *api.Request) error {
	from, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		from = r.RemoteAddr
	}
	b, f, err := a.cases.Redeem(r.Context(), r.Var("ticket"), from)
	if err != nil {
		return err
	}
	defer f.Close()
	h := w.Header()
	api.Attachment(h, b.Name, "application/octet-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("ETag", `"`+b.SHA256+`"`) // what a broken download goes on by
	http.ServeContent(w, r.Request, "", time.Time{}, f)
	return nil
}

// number reads a numeric id of the path; what is none is the id of nothing.
func number(r *api.Request) ident.ReceiverID {
	n, err := strconv.ParseInt(r.Var("id"), 10, 64)
	if err != nil || n < 0 {
		return 0
	}
	return ident.ReceiverID(n)
}
