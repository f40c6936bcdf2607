// Package detection is what this server's API has about detections beyond the published
// one, below /api/vedette: rule files (shipped, of the operator, imported) and backtests.
//
// It holds no rules and no state: packages detect/behavior, detect/custom and
// detect/backtest know the nouns. Start at Routes.
package detection

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/vedette-edr/vedette/detection"
	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/api"
	"github.com/vedette-edr/vedette/server/detect/backtest"
	"github.com/vedette-edr/vedette/server/detect/behavior"
	"github.com/vedette-edr/vedette/server/detect/custom"
	"github.com/vedette-edr/vedette/server/errs"
)

// Files is what this package needs of behavior.FileLibrary, which acts for the principal
// of the context.
type Files interface {
	List(ctx context.Context) ([]behavior.Entry, error)
	Get(ctx context.Context, id string) (*behavior.Entry, error)
	Switch(ctx context.Context, id string, on bool) (*behavior.Entry, error)
	Import(ctx context.Context, rule, test string) (*behavior.Entry, error)
	Delete(ctx context.Context, id string) error
}

// Rules finds custom rules; custom.Service does.
type Rules interface {
	Get(ctx context.Context, id int64) (*custom.Rule, error)
}

// Backtests is what this package needs of backtest.Service.
type Backtests interface {
	Start(ctx context.Context, r backtest.Request) (*backtest.Job, error)
	Get(ctx context.Context, id string) (*backtest.Job, error)
	Cancel(ctx context.Context, id string) error
}

// Config is what the API is made of.
type Config struct {
	Files     Files
	Rules     Rules
	Backtests Backtests
	Attack    *detection.Attack
	Now       func() time.Time // nil for time.Now
}

// Routes returns the route table of the API.
func Routes(c Config) []api.Route {
	if c.Now == nil {
		c.Now = time.Now
	}
	h := &handler{c}
	read := []access.Permission{access.CustomDetectionRead, access.CustomDetectionReadWrite}
	write := []access.Permission{access.CustomDetectionReadWrite}
	id := []api.Param{{Name: "id", Required: true, About: "A rule's id or name; a backtest's id."}}
	gone := []errs.Code{errs.ResourceNotFound}
	const files, tests = "/api/vedette/detections", "/api/vedette/backtests"
	return []api.Route{
		{Method: http.MethodGet, Pattern: "/api/vedette/techniques", Need: append([]access.Permission{access.AlertRead, access.AlertReadWrite}, read...), Handle: h.techniques,
			Doc: api.Doc{Summary: "List the ATT&CK techniques that alerts and rules name", Answer: []technique{}}},
		{Method: http.MethodGet, Pattern: files, Need: read, Handle: h.list, Doc: api.Doc{Summary: "List rule files", Answer: []ruleFile{}}},
		{Method: http.MethodGet, Pattern: files + "/{id}", Need: read, Handle: h.get, Doc: api.Doc{Summary: "Get a rule file", Params: id, Answer: ruleFile{}, Errors: gone}},
		{Method: http.MethodPost, Pattern: files, Need: write, Handle: h.imported, MaxBody: 3 << 20,
			Doc: api.Doc{Summary: "Import a rule file with its tests", Body: importBody{}, Answer: ruleFile{}, Status: http.StatusCreated, Errors: []errs.Code{errs.InvalidInput, errs.BadRequest}}},
		{Method: http.MethodPost, Pattern: files + "/{id}/enable", Need: write, Handle: h.enable, Doc: api.Doc{Summary: "Enable a rule file", Params: id, Answer: ruleFile{}, Errors: append(gone, errs.DisallowedOperation)}},
		{Method: http.MethodPost, Pattern: files + "/{id}/disable", Need: write, Handle: h.disable, Doc: api.Doc{Summary: "Disable a rule file", Params: id, Answer: ruleFile{}, Errors: append(gone, errs.DisallowedOperation)}},
		{Method: http.MethodDelete, Pattern: files + "/{id}", Need: write, Handle: h.delete, Doc: api.Doc{Summary: "Delete an imported rule file", Params: id, Status: http.StatusNoContent, Errors: append(gone, errs.DisallowedOperation)}},
		{Method: http.MethodPost, Pattern: tests, Need: read, Handle: h.start, MaxBody: 2 << 20, Limit: api.Limit{PerMinute: 15},
			Doc: api.Doc{Summary: "Run a rule or an indicator over past telemetry", Body: backtestBody{}, Answer: backtestJob{}, Status: http.StatusAccepted, Errors: []errs.Code{errs.InvalidInput}}},
		{Method: http.MethodGet, Pattern: tests + "/{id}", Need: read, Handle: h.job, Doc: api.Doc{Summary: "Get a backtest", Params: id, Answer: backtestJob{}, Errors: gone}},
		{Method: http.MethodDelete, Pattern: tests + "/{id}", Need: read, Handle: h.cancel, Doc: api.Doc{Summary: "Cancel a backtest", Params: id, Status: http.StatusNoContent, Errors: gone}},
	}
}

type handler struct{ Config }

// technique is an ATT&CK technique or sub-technique as it is answered.
type technique struct {
	ID         string   `json:"id"`
	Name       string   `json:"name"`
	Tactics    []string `json:"tactics"`
	ReplacedBy string   `json:"replacedBy"` // of one that was revoked; "" otherwise
}

func (h *handler) techniques(w http.ResponseWriter, r *api.Request) error {
	all := h.Attack.All()
	out := make([]technique, len(all))
	for i, t := range all {
		out[i] = technique{t.ID, t.Name, append([]string{}, t.Tactics...), t.ReplacedBy}
	}
	return api.WriteJSON(w, r, http.StatusOK, map[string]any{"value": out})
}

// ruleFile is a rule file as it is answered.
type ruleFile struct {
	ID          string              `json:"id"`
	Name        string              `json:"name"`
	Title       string              `json:"title"`
	Description string              `json:"description"`
	Severity    string              `json:"severity"`
	Category    string              `json:"category"`
	Techniques  []string            `json:"mitreTechniques"`
	Origin      string              `json:"origin"` // shipped, directory, imported
	Enabled     bool                `json:"isEnabled"`
	Problem     string              `json:"problem"` // why it cannot run; "" for nothing
	Tests       []detection.Outcome `json:"tests"`
}

func show(e *behavior.Entry) ruleFile {
	out := ruleFile{Name: e.Name, Origin: string(e.Origin), Enabled: e.Enabled, Tests: e.Outcomes, Techniques: []string{}}
	if e.Problem != nil {
		out.Problem = e.Problem.Error()
	}
	if c := e.Compiled; c != nil {
		out.ID, out.Title, out.Description, out.Severity, out.Category = c.ID, c.Title, c.Description, c.Severity, c.Category
		out.Techniques = append(out.Techniques, c.Techniques...)
	}
	if out.Tests == nil {
		out.Tests = []detection.Outcome{}
	}
	return out
}

func (h *handler) list(w http.ResponseWriter, r *api.Request) error {
	es, err := h.Files.List(r.Context())
	if err != nil {
		return err
	}
	out := make([]ruleFile, len(es))
	for i := range es {
		out[i] = show(&es[i])
	}
	return api.WriteJSON(w, r, http.StatusOK, map[string]any{"value": out})
}

func (h *handler) get(w http.ResponseWriter, r *api.Request) error {
	e, err := h.Files.Get(r.Context(), r.Var("id"))
	return h.answer(w, r, http.StatusOK, e, err)
}

func (h *handler) answer(w http.ResponseWriter, r *api.Request, status int, e *behavior.Entry, err error) error {
	if err != nil {
		return err
	}
	return api.WriteJSON(w, r, status, show(e))
}

type importBody struct {
	Rule string `json:"rule" doc:"required"` // the rule's file
	Test string `json:"test" doc:"required"` // the test file beside it
}

func (h *handler) imported(w http.ResponseWriter, r *api.Request) error {
	body, err := r.JSON()
	if err != nil {
		return err
	}
	rule, err := body.RequireString("rule")
	if err != nil {
		return err
	}
	test, err := body.String("test")
	if err != nil {
		return err
	}
	e, err := h.Files.Import(r.Context(), rule, test)
	return h.answer(w, r, http.StatusCreated, e, err)
}

func (h *handler) enable(w http.ResponseWriter, r *api.Request) error {
	e, err := h.Files.Switch(r.Context(), r.Var("id"), true)
	return h.answer(w, r, http.StatusOK, e, err)
}

func (h *handler) disable(w http.ResponseWriter, r *api.Request) error {
	e, err := h.Files.Switch(r.Context(), r.Var("id"), false)
	return h.answer(w, r, http.StatusOK, e, err)
}

func (h *handler) delete(w http.ResponseWriter, r *api.Request) error {
	if err := h.Files.Delete(r.Context(), r.Var("id")); err != nil {
		return err
	}
	return api.WriteEmpty(w, http.StatusNoContent)
}

// backtestBody asks for a backtest: one of rule, ruleId, customRuleId, query and the
// indicator. Without from it is of the last 7 days.
type backtestBody struct {
	Rule           string    `json:"rule"`           // a rule file's text
	RuleID         string    `json:"ruleId"`         // of a rule file, or its name
	CustomRuleID   string    `json:"customRuleId"`   // of a custom detection rule
	Query          string    `json:"query"`          // of a custom detection rule that is not kept
	Period         string    `json:"period"`         // of it; "0" runs it as on the stream
	IndicatorType  string    `json:"indicatorType"`  // FileSha1, IpAddress, …
	IndicatorValue string    `json:"indicatorValue"` //
	From           time.Time `json:"from"`
	To             time.Time `json:"to"`
}

type backtestJob struct {
	ID       string            `json:"id"`
	Status   string            `json:"status"` // running, succeeded, failed, cancelled
	Progress float64           `json:"progress"`
	From     time.Time         `json:"from"`
	To       time.Time         `json:"to"`
	Examined int               `json:"examined"` // events, or rows of the query's result
	Alerts   int               `json:"alerts"`
	Devices  []backtest.Count  `json:"byDevice"`
	Days     []backtest.Count  `json:"byDay"`
	Samples  []backtest.Sample `json:"samples"`
	Error    string            `json:"error"`
}

func showJob(j *backtest.Job) backtestJob {
	out := backtestJob{ID: j.ID, Status: string(j.Status), Progress: j.Progress, From: j.From, To: j.To, Examined: j.Examined,
		Alerts: j.Alerts, Devices: j.Devices, Days: j.Days, Samples: j.Samples, Error: j.Error}
	if out.Samples == nil {
		out.Samples = []backtest.Sample{}
	}
	return out
}

func (h *handler) start(w http.ResponseWriter, r *api.Request) error {
	body, err := r.JSON()
	if err != nil {
		return err
	}
	var b backtestBody
	for name, to := range map[string]*string{"rule": &b.Rule, "ruleId": &b.RuleID, "customRuleId": &b.CustomRuleID, "query": &b.Query,
		"period": &b.Period, "indicatorType": &b.IndicatorType, "indicatorValue": &b.IndicatorValue} {
		if body.Has(name) && !body.IsNull(name) {
			if *to, err = body.String(name); err != nil {
				return err
			}
		}
	}
	for name, to := range map[string]*time.Time{"from": &b.From, "to": &b.To} {
		if body.Has(name) && !body.IsNull(name) {
			if *to, err = body.Time(name); err != nil {
				return err
			}
		}
	}
	if b.To.IsZero() {
		b.To = h.Now()
	}
	if b.From.IsZero() {
		b.From = b.To.Add(-7 * 24 * time.Hour)
	}
	req, err := h.request(r.Context(), &b)
	if err != nil {
		return err
	}
	j, err := h.Backtests.Start(r.Context(), *req)
	if err != nil {
		return err
	}
	return api.WriteJSON(w, r, http.StatusAccepted, showJob(j))
}

func (h *handler) request(ctx context.Context, b *backtestBody) (*backtest.Request, error) {
	const op = "detection.backtest"
	req := &backtest.Request{From: b.From, To: b.To}
	wrong := func(err error) error {
		return &errs.E{Op: op, Kind: errs.Invalid, Code: errs.InvalidInput, Detail: "the rule cannot run: " + err.Error(), Err: err}
	}
	asked := 0
	for _, s := range []string{b.Rule, b.RuleID, b.CustomRuleID, b.Query, b.IndicatorValue} {
		if s != "" {
			asked++
		}
	}
	if asked != 1 {
		return nil, errs.New(op, errs.Invalid, errs.InvalidInput, "one of rule, ruleId, customRuleId, query and indicatorValue is needed, and no second one")
	}
	switch {
	case b.Rule != "":
		rule, err := detection.Parse([]byte(b.Rule))
		if err != nil {
			return nil, wrong(err)
		}
		if req.Rule, err = detection.Compile(rule, nil); err != nil {
			return nil, wrong(err)
		}
	case b.RuleID != "":
		e, err := h.Files.Get(ctx, b.RuleID)
		if err != nil {
			return nil, err
		}
		if e.Compiled == nil {
			return nil, wrong(e.Problem)
		}
		req.Rule = e.Compiled
	case b.IndicatorValue != "":
		req.Indicator = backtest.Indicator{Type: b.IndicatorType, Value: b.IndicatorValue}
	default:
		rule := &custom.Rule{DetectorID: "backtest", Query: b.Query, Period: custom.Period(b.Period)}
		if b.CustomRuleID != "" {
			id, err := strconv.ParseInt(b.CustomRuleID, 10, 64)
			if err != nil {
				return nil, errs.New(op, errs.NotFound, errs.ResourceNotFound, "there is no detection rule %q", b.CustomRuleID)
			}
			if rule, err = h.Rules.Get(ctx, id); err != nil {
				return nil, err
			}
		}
		if rule.Period != custom.Continuous {
			req.Query = rule.Query
			break
		}
		s, err := rule.Stream()
		if err != nil {
			return nil, wrong(err)
		}
		req.Rule = s.Compiled
	}
	return req, nil
}

func (h *handler) job(w http.ResponseWriter, r *api.Request) error {
	j, err := h.Backtests.Get(r.Context(), r.Var("id"))
	if err != nil {
		return err
	}
	return api.WriteJSON(w, r, http.StatusOK, showJob(j))
}

func (h *handler) cancel(w http.ResponseWriter, r *api.Request) error {
	if err := h.Backtests.Cancel(r.Context(), r.Var("id")); err != nil {
		return err
	}
	return api.WriteEmpty(w, http.StatusNoContent)
}
