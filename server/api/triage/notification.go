package triage

import (
	"net/http"
	"time"

	"github.com/vedette-edr/vedette/server/alert"
	"github.com/vedette-edr/vedette/server/api"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/notify"
)

// ruleBody is the body that creates or changes a notification rule; a change leaves out
// what stays. secret signs what the web hook gets and is never answered.
type ruleBody struct {
	Name       string   `json:"name" doc:"max=256"`
	Enabled    bool     `json:"enabled"`
	Subject    string   `json:"subject" doc:"enum=Alert|Incident|Approval"`
	Severity   string   `json:"severity" doc:"enum=Informational|Low|Medium|High"`
	Groups     []int64  `json:"rbacGroupIds"`
	Sources    []string `json:"detectionSources"`
	Categories []string `json:"categories"`
	Mail       []string `json:"mail" doc:"max=50"`
	URL        string   `json:"webhookUrl" doc:"max=2048"`
	Secret     string   `json:"secret" doc:"max=256"`
	Digest     int64    `json:"digestMinutes"`
	PerHour    int64    `json:"perHour"`
}

// ruleEntity is a rule as it is answered.
type ruleEntity struct {
	ID         int64     `json:"id"`
	Name       string    `json:"name"`
	Enabled    bool      `json:"enabled"`
	Subject    string    `json:"subject"`
	Severity   string    `json:"severity"`
	Groups     []int64   `json:"rbacGroupIds"`
	Sources    []string  `json:"detectionSources"`
	Categories []string  `json:"categories"`
	Mail       []string  `json:"mail"`
	URL        string    `json:"webhookUrl"`
	Signed     bool      `json:"signed"`
	Digest     int64     `json:"digestMinutes"`
	PerHour    int       `json:"perHour"`
	CreatedBy  string    `json:"createdBy"`
	Created    time.Time `json:"createdTime"`
	UpdatedBy  string    `json:"lastUpdatedBy"`
	Updated    time.Time `json:"lastUpdateTime"`
}

func showRule(x *notify.Rule) ruleEntity {
	return ruleEntity{ID: int64(x.ID), Name: x.Name, Enabled: x.Enabled, Subject: string(x.Subject), Severity: string(x.Severity),
		Groups: append([]int64{}, x.Groups...), Sources: append([]string{}, x.Sources...), Categories: append([]string{}, x.Categories...),
		Mail: append([]string{}, x.Mail...), URL: x.URL, Signed: x.Secret != "", Digest: int64(x.Digest / time.Minute), PerHour: x.PerHour,
		CreatedBy: x.CreatedBy.Name, Created: x.Created.UTC(), UpdatedBy: x.UpdatedBy.Name, Updated: x.Updated.UTC()}
}

func (a *API) listRules(w http.ResponseWriter, r *api.Request) error {
	rules, err := a.Rules.Rules(r.Context(), r.Caller.Tenant)
	if err != nil {
		return err
	}
	var out []ruleEntity
	for _, x := range rules {
		out = append(out, showRule(x))
	}
	return writeValues(w, r, out)
}

func (a *API) getRule(w http.ResponseWriter, r *api.Request) error {
	x, err := a.Rules.Rule(r.Context(), r.Caller.Tenant, ident.NotificationID(id(r)))
	if err != nil {
		return err
	}
	return api.WriteJSON(w, r, http.StatusOK, showRule(x))
}

// readRule sets on a rule what the body holds.
func readRule(body *api.Object, x *notify.Rule) error {
	var err error
	var severity, subject = string(x.Severity), string(x.Subject)
	for name, to := range map[string]*string{"name": &x.Name, "subject": &subject, "severity": &severity, "webhookUrl": &x.URL, "secret": &x.Secret} {
		if body.Has(name) {
			if *to, err = body.String(name); err != nil {
				return err
			}
		}
	}
	x.Severity, x.Subject = alert.Severity(severity), notify.Subject(subject)
	if body.Has("enabled") {
		if x.Enabled, err = body.Bool("enabled"); err != nil {
			return err
		}
	}
	for name, to := range map[string]*[]string{"detectionSources": &x.Sources, "categories": &x.Categories, "mail": &x.Mail} {
		if body.Has(name) {
			if *to, err = body.Strings(name); err != nil {
				return err
			}
		}
	}
	if body.Has("rbacGroupIds") {
		if x.Groups, err = ints(body, "rbacGroupIds"); err != nil {
			return err
		}
	}
	if body.Has("digestMinutes") {
		n, err := body.Int("digestMinutes")
		if err != nil {
			return err
		}
		if n < 0 || n > 7*24*60 {
			return errs.New("triage", errs.Invalid, errs.InvalidInput, "digestMinutes: 0, or between 1 and %d", 7*24*60)
		}
		x.Digest = time.Duration(n) * time.Minute
	}
	if body.Has("perHour") {
		n, err := body.Int("perHour")
		if err != nil {
			return err
		}
		if n < 0 || n > 1<<20 {
			return errs.New("triage", errs.Invalid, errs.InvalidInput, "perHour: it is a number of messages")
		}
		x.PerHour = int(n)
	}
	return nil
}

func (a *API) createRule(w http.ResponseWriter, r *api.Request) error {
	body, err := r.JSON()
	if err != nil {
		return err
	}
	x := notify.Rule{Enabled: true}
	if err := readRule(body, &x); err != nil {
		return err
	}
	out, err := a.Rules.CreateRule(r.Context(), r.Caller, x)
	if err != nil {
		return err
	}
	return api.WriteJSON(w, r, http.StatusCreated, showRule(out))
}

func (a *API) updateRule(w http.ResponseWriter, r *api.Request) error {
	body, err := r.JSON()
	if err != nil {
		return err
	}
	out, err := a.Rules.UpdateRule(r.Context(), r.Caller, ident.NotificationID(id(r)), func(x *notify.Rule) error { return readRule(body, x) })
	if err != nil {
		return err
	}
	return api.WriteJSON(w, r, http.StatusOK, showRule(out))
}

func (a *API) deleteRule(w http.ResponseWriter, r *api.Request) error {
	if err := a.Rules.DeleteRule(r.Context(), r.Caller, ident.NotificationID(id(r))); err != nil {
		return err
	}
	return api.WriteEmpty(w, http.StatusNoContent)
}

func (a *API) testRule(w http.ResponseWriter, r *api.Request) error {
	if err := a.Tester.Test(r.Context(), r.Caller, ident.NotificationID(id(r))); err != nil {
		return err
	}
	return api.WriteEmpty(w, http.StatusNoContent)
}

// messageEntity is a message of the outbox, without its text.
type messageEntity struct {
	ID        string     `json:"id"`
	Channel   string     `json:"channel"`
	Kind      string     `json:"kind"`
	To        []string   `json:"to"`
	Subject   string     `json:"subject"`
	State     string     `json:"state"`
	Attempts  int        `json:"attempts"`
	LastError string     `json:"lastError"`
	Created   time.Time  `json:"createdTime"`
	Done      *time.Time `json:"doneTime"`
}

// maxMessages bounds the messages of one answer.
const maxMessages = 1000

func (a *API) messages(w http.ResponseWriter, r *api.Request) error {
	top, err := number(r, "top", 100, 1, maxMessages)
	if err != nil {
		return err
	}
	rule := ident.NotificationID(id(r))
	if r.Var("id") != "" {
		if _, err := a.Rules.Rule(r.Context(), r.Caller.Tenant, rule); err != nil {
			return err
		}
	}
	ms, err := a.Rules.Messages(r.Context(), r.Caller.Tenant, rule, int(top))
	if err != nil {
		return err
	}
	var out []messageEntity
	for _, m := range ms {
		e := messageEntity{ID: m.ID, Channel: m.Channel, Kind: string(m.Kind), To: m.To, Subject: m.Subject, State: string(m.State),
			Attempts: m.Attempts, LastError: m.LastError, Created: m.Created.UTC()}
		if !m.Done.IsZero() {
			at := m.Done.UTC()
			e.Done = &at
		}
		out = append(out, e)
	}
	return writeValues(w, r, out)
}
