// Package triage is what this server's API has beyond the published one for those who work
// on alerts, below /api/vedette: histories, process trees, suppression rules, moving and
// merging incidents, and notification rules.
//
// It holds no rules and no state; packages alert, incident and notify do. Start at Routes.
package triage

import (
	"context"
	"net/http"
	"slices"
	"strconv"

	"github.com/vedette-edr/vedette/schema/event"
	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/alert"
	"github.com/vedette-edr/vedette/server/api"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/history"
	"github.com/vedette-edr/vedette/server/hunt"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/incident"
	"github.com/vedette-edr/vedette/server/notify"
)

// Alerts is what this package needs of alert.Service about alerts.
type Alerts interface {
	Get(ctx context.Context, tenant ident.TenantID, id ident.AlertID) (*alert.Alert, error)
	History(ctx context.Context, tenant ident.TenantID, id ident.AlertID, after int64, limit int) ([]history.Entry, error)
}

// Suppressions is what this package needs of alert.Service about suppression rules.
type Suppressions interface {
	Suppressions(ctx context.Context, tenant ident.TenantID) ([]*alert.Suppression, error)
	CreateSuppression(ctx context.Context, by *access.Principal, r alert.Suppression) (*alert.Suppression, error)
	UpdateSuppression(ctx context.Context, by *access.Principal, id ident.SuppressionID, change func(*alert.Suppression) error) (*alert.Suppression, error)
	DeleteSuppression(ctx context.Context, by *access.Principal, id ident.SuppressionID) error
}

// Incidents is what this package needs of incident.Service.
type Incidents interface {
	History(ctx context.Context, tenant ident.TenantID, id ident.IncidentID, after int64, limit int) ([]history.Entry, error)
	Update(ctx context.Context, by *access.Principal, id ident.IncidentID, c incident.Change) (*incident.Incident, error)
	Merge(ctx context.Context, by *access.Principal, from, into ident.IncidentID) (*incident.Incident, error)
	Move(ctx context.Context, by *access.Principal, ids []ident.AlertID, to ident.IncidentID) (*incident.Incident, error)
}

// Rules is what this package needs of notify.Service.
type Rules interface {
	Rules(ctx context.Context, tenant ident.TenantID) ([]*notify.Rule, error)
	Rule(ctx context.Context, tenant ident.TenantID, id ident.NotificationID) (*notify.Rule, error)
	CreateRule(ctx context.Context, by *access.Principal, r notify.Rule) (*notify.Rule, error)
	UpdateRule(ctx context.Context, by *access.Principal, id ident.NotificationID, change func(*notify.Rule) error) (*notify.Rule, error)
	DeleteRule(ctx context.Context, by *access.Principal, id ident.NotificationID) error
	Messages(ctx context.Context, tenant ident.TenantID, rule ident.NotificationID, limit int) ([]*notify.Message, error)
}

// Tester sends a test message of a notification rule.
type Tester interface {
	Test(ctx context.Context, by *access.Principal, id ident.NotificationID) error
}

// Trees tells of the processes around one.
type Trees interface {
	ProcessTree(ctx context.Context, tenant ident.TenantID, device ident.DeviceID, of event.Process) (*hunt.Tree, error)
}

// Config is what the API is made of.
type Config struct {
	Alerts       Alerts
	Suppressions Suppressions
	Incidents    Incidents
	Rules        Rules
	Tester       Tester
	Trees        Trees
}

// API is the handlers over the services.
type API struct{ Config }

// New returns the API.
func New(c Config) *API { return &API{c} }

// root is where the routes live.
const root = "/api/vedette"

// Routes returns the route table of the API.
func (a *API) Routes() []api.Route {
	alertRead := []access.Permission{access.AlertRead, access.AlertReadWrite}
	alertWrite := []access.Permission{access.AlertReadWrite}
	incidentRead := []access.Permission{access.IncidentRead, access.IncidentReadWrite}
	incidentWrite := []access.Permission{access.IncidentReadWrite}
	administer := []access.Permission{access.ServerAdmin}
	one := []errs.Code{errs.ResourceNotFound}
	write := []errs.Code{errs.ResourceNotFound, errs.InvalidInput, errs.InvalidRequestBody, errs.MissingRequiredParameter, errs.QuotaExceeded}
	paging := []api.Param{{Name: "after", Type: "integer", About: "the seq of the last entry that is known"}, {Name: "top", Type: "integer"}}
	route := func(method, pattern string, need []access.Permission, h api.Handler, d api.Doc) api.Route {
		return api.Route{Method: method, Pattern: root + pattern, Need: need, Handle: h, Doc: d, MaxBody: 1 << 20}
	}
	get, post, patch, del := http.MethodGet, http.MethodPost, http.MethodPatch, http.MethodDelete
	return []api.Route{
		route(get, "/alerts/{id}/history", alertRead, a.alertHistory, api.Doc{Summary: "What was changed on an alert", Params: paging, Answer: []entryEntity{}, Errors: one}),
		route(get, "/alerts/{id}/tree", alertRead, a.alertTree, api.Doc{Summary: "The processes around an alert", Answer: treeEntity{}, Errors: one}),

		route(get, "/suppressions", alertRead, a.listSuppressions, api.Doc{Summary: "List suppression rules", Answer: []suppressionEntity{}}),
		route(post, "/suppressions", alertWrite, a.createSuppression, api.Doc{Summary: "Create a suppression rule", Body: suppressionBody{}, Answer: suppressionEntity{}, Status: http.StatusCreated, Errors: write}),
		route(get, "/suppressions/{id}", alertRead, a.getSuppression, api.Doc{Summary: "Get a suppression rule", Answer: suppressionEntity{}, Errors: one}),
		route(patch, "/suppressions/{id}", alertWrite, a.updateSuppression, api.Doc{Summary: "Change a suppression rule", Body: suppressionBody{}, Answer: suppressionEntity{}, Errors: write}),
		route(del, "/suppressions/{id}", alertWrite, a.deleteSuppression, api.Doc{Summary: "Delete a suppression rule", Status: http.StatusNoContent, Errors: one}),

		route(get, "/incidents/{id}/history", incidentRead, a.incidentHistory, api.Doc{Summary: "What was changed on an incident", Params: paging, Answer: []entryEntity{}, Errors: one}),
		route(patch, "/incidents/{id}", incidentWrite, a.updateIncident, api.Doc{Summary: "Name, rate or summarise an incident", Body: incidentBody{}, Answer: incidentEntity{}, Errors: write}),
		route(post, "/incidents/{id}/merge", incidentWrite, a.mergeIncident, api.Doc{Summary: "Merge an incident into another", Body: mergeBody{}, Answer: incidentEntity{}, Errors: write}),
		route(post, "/incidents/move", incidentWrite, a.moveAlerts, api.Doc{Summary: "Move alerts to another incident, or to a new one", Body: moveBody{}, Answer: incidentEntity{}, Errors: write}),

		route(get, "/notifications", administer, a.listRules, api.Doc{Summary: "List notification rules", Answer: []ruleEntity{}}),
		route(post, "/notifications", administer, a.createRule, api.Doc{Summary: "Create a notification rule", Body: ruleBody{}, Answer: ruleEntity{}, Status: http.StatusCreated, Errors: write}),
		route(get, "/notifications/messages", administer, a.messages, api.Doc{Summary: "What was sent, waits, or was given up", Answer: []messageEntity{}}),
		route(get, "/notifications/{id}", administer, a.getRule, api.Doc{Summary: "Get a notification rule", Answer: ruleEntity{}, Errors: one}),
		route(patch, "/notifications/{id}", administer, a.updateRule, api.Doc{Summary: "Change a notification rule", Body: ruleBody{}, Answer: ruleEntity{}, Errors: write}),
		route(del, "/notifications/{id}", administer, a.deleteRule, api.Doc{Summary: "Delete a notification rule", Status: http.StatusNoContent, Errors: one}),
		route(post, "/notifications/{id}/test", administer, a.testRule, api.Doc{Summary: "Send a test message", Status: http.StatusNoContent, Errors: []errs.Code{errs.ResourceNotFound, errs.DisallowedOperation}}),
		route(get, "/notifications/{id}/messages", administer, a.messages, api.Doc{Summary: "What a rule sent", Answer: []messageEntity{}, Errors: one}),
	}
}

// values is a collection that is in one piece.
type values[E any] struct {
	Value []E `json:"value"`
}

func writeValues[E any](w http.ResponseWriter, r *api.Request, items []E) error {
	if items == nil {
		items = []E{}
	}
	return api.WriteJSON(w, r, http.StatusOK, values[E]{items})
}

// id reads a numeric id of the path; what is none is the id of nothing.
func id(r *api.Request) int64 {
	n, err := strconv.ParseInt(r.Var("id"), 10, 64)
	if err != nil || n < 0 {
		return 0
	}
	return n
}

// missing names what was not found, when that is what err says.
func missing(err error, what, id string) error {
	if errs.Is(err, errs.NotFound) {
		return errs.New("triage", errs.NotFound, errs.ResourceNotFound, "%s %s was not found", what, id)
	}
	return err
}

// number reads a parameter of the query between bounds.
func number(r *api.Request, name string, def, least, most int64) (int64, error) {
	s := r.Query.Get(name)
	if s == "" {
		return def, nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < least || n > most {
		return 0, errs.New("triage", errs.Invalid, errs.InvalidInput, "%s: it is a number between %d and %d", name, least, most)
	}
	return n, nil
}

// ints reads an array of numbers.
func ints(body *api.Object, name string) ([]int64, error) {
	texts, err := body.Texts(name)
	if err != nil {
		return nil, err
	}
	var out []int64
	for i, t := range texts {
		n, err := strconv.ParseInt(t, 10, 64)
		if err != nil || n < 0 {
			return nil, errs.New("triage", errs.Invalid, errs.InvalidInput, "%s[%d]: %q is no number", name, i, t[:min(len(t), 64)])
		}
		if !slices.Contains(out, n) {
			out = append(out, n)
		}
	}
	return out, nil
}
