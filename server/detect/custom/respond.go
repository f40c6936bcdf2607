package custom

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/action"
	"github.com/vedette-edr/vedette/server/alert"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/filter"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/indicator"
)

// Actions asks devices for actions; an action.Service is one.
type Actions interface {
	Request(ctx context.Context, by *access.Principal, r action.Request) (*action.Action, error)
}

// Indicators keeps indicators; an indicator.Service is one.
type Indicators interface {
	Put(ctx context.Context, i *indicator.Indicator) (*indicator.Indicator, error)
}

// Alerts is what the Responder asks about alerts; an alert.Store is one.
type Alerts interface {
	Alert(ctx context.Context, tenant ident.TenantID, id ident.AlertID) (*alert.Alert, error)
	Alerts(ctx context.Context, tenant ident.TenantID, q filter.Query) (filter.Page[*alert.Alert], error)
}

// ResponderConfig is what a Responder needs.
type ResponderConfig struct {
	Rules      Store
	Answers    AnswerStore
	Alerts     Alerts
	Actions    Actions
	Indicators Indicators
	Clock      func() time.Time // nil for time.Now
}

// Responder answers the alerts of custom rules with the rules' responses. What is due is
// kept before it is done, so that a crash loses none; doing one again does nothing new.
type Responder struct{ cfg ResponderConfig }

// NewResponder returns a Responder.
func NewResponder(c ResponderConfig) *Responder {
	if c.Clock == nil {
		c.Clock = time.Now
	}
	return &Responder{c}
}

// Offered says which responses this server carries out.
type Offered struct{}

// Offers implements Capabilities. A response is offered when there is something that does
// it: what the server only has a name for is refused.
func (Offered) Offers(r Response) error {
	const op = "custom.Offers"
	switch r.Kind {
	case Isolate:
		if r.Scope != "" && !strings.EqualFold(r.Scope, "full") {
			return errs.New(op, errs.Unsupported, errs.InvalidInput, "responseActions: isolateDevice with isolationType %s is not offered: agents cut a device off fully or not at all", r.Scope)
		}
		return nil
	case Scan:
		return nil
	case Quarantine:
		if !strings.HasSuffix(r.Target, "SHA1") && !strings.HasSuffix(r.Target, "SHA256") {
			return errs.New(op, errs.Unsupported, errs.InvalidInput, "responseActions: %s takes SHA1 or SHA256", r.Kind)
		}
		return nil
	case AllowFile, BlockFile:
		if !strings.HasSuffix(r.Target, "SHA1") && !strings.HasSuffix(r.Target, "SHA256") {
			return errs.New(op, errs.Unsupported, errs.InvalidInput, "responseActions: %s takes SHA1 or SHA256", r.Kind)
		}
		return nil
	}
	return errs.New(op, errs.Unsupported, errs.InvalidInput, "responseActions: %s is not offered: this server has nothing yet that carries it out", r.Kind)
}

// Note keeps what is due in answer to an alert.
func (p *Responder) Note(ctx context.Context, a *alert.Alert) error {
	const op = "custom.Note"
	id, ok := ruleOf(a)
	if !ok {
		return nil
	}
	rule, err := p.cfg.Rules.Rule(ctx, a.Tenant, id)
	if errs.Is(err, errs.NotFound) {
		return nil // deleted: nobody stands for its responses any more
	}
	if err != nil {
		return errs.Wrap(op, err)
	}
	var due []*Answer
	for i, re := range rule.Responses {
		if !a.Created.Before(rule.Responding) {
			due = append(due, &Answer{Tenant: a.Tenant, Alert: a.ID, Place: i, Rule: rule.ID, Kind: re.Kind, Device: a.Device, At: p.cfg.Clock().UTC()})
		}
	}
	if len(due) == 0 {
		return nil
	}
	return errs.Wrap(op, p.cfg.Answers.AddAnswers(ctx, due))
}

// Catch notes what is due for a tenant's alerts since a time: those whose announcement a
// crash or a full queue swallowed.
func (p *Responder) Catch(ctx context.Context, tenant ident.TenantID, since time.Time) error {
	const op = "custom.Catch"
	source, _ := alert.Fields.Find("detectionSource")
	created, _ := alert.Fields.Find("alertCreationTime")
	q := filter.Query{Top: 1000, Where: filter.And{
		filter.Compare{Field: source, Op: filter.Eq, Value: filter.Value{Type: filter.String, S: "CustomDetection"}},
		filter.Compare{Field: created, Op: filter.Ge, Value: filter.Value{Type: filter.Time, T: since}},
	}}
	for {
		page, err := p.cfg.Alerts.Alerts(ctx, tenant, q)
		if err != nil {
			return errs.Wrap(op, err)
		}
		for _, a := range page.Items {
			if err := p.Note(ctx, a); err != nil {
				return errs.Wrap(op, err)
			}
		}
		if !page.More {
			return nil
		}
		q.Skip += len(page.Items)
	}
}

// Work does what is due and returns how many it ended.
func (p *Responder) Work(ctx context.Context) (int, error) {
	const op = "custom.Work"
	due, err := p.cfg.Answers.OpenAnswers(ctx, 100)
	if err != nil {
		return 0, errs.Wrap(op, err)
	}
	n := 0
	for _, an := range due {
		object, err := p.answer(ctx, an)
		if errs.Is(err, errs.Unavailable) || errs.Is(err, errs.Limited) || ctx.Err() != nil {
			continue // it is good and can be done later
		}
		an.Done, an.Object = p.cfg.Clock().UTC(), object
		if err != nil {
			an.Error = reason(err)
		}
		if e := p.cfg.Answers.EndAnswer(ctx, an); e != nil {
			return n, errs.Wrap(op, e)
		}
		n++
	}
	return n, nil
}

// answer does one response and returns the id of what it made.
func (p *Responder) answer(ctx context.Context, an *Answer) (string, error) {
	const op = "custom.answer"
	rule, err := p.cfg.Rules.Rule(ctx, an.Tenant, an.Rule)
	if err != nil {
		return "", err
	}
	if an.Place >= len(rule.Responses) || rule.Responses[an.Place].Kind != an.Kind {
		return "", errs.New(op, errs.Conflict, errs.BadRequest, "the rule was changed and has no such response any more")
	}
	a, err := p.cfg.Alerts.Alert(ctx, an.Tenant, an.Alert)
	if err != nil {
		return "", err
	}
	re := rule.Responses[an.Place]
	if err := (Offered{}).Offers(re); err != nil {
		return "", err
	}
	by := access.System(an.Tenant, fmt.Sprintf("detection rule %d", rule.ID))
	by.Scope = rule.Sees
	by.Roles = []string{string(access.TIReadWrite), string(access.MachineIsolate), string(access.MachineScan), string(access.MachineQuarantine)}
	ctx = access.WithPrincipal(ctx, by)
	q := action.Request{Device: a.Device, Comment: fmt.Sprintf("Detection rule %q, alert %s", rule.Name, a.ID), Source: "CustomDetection", External: string(a.ID)}
	switch re.Kind {
	case Isolate:
		q.Kind, q.Scope = action.Isolate, "Full"
		return p.ask(ctx, by, q)
	case Scan:
		q.Kind, q.Scope = action.RunAntiVirusScan, "Quick"
		return p.ask(ctx, by, q)
	case Quarantine:
		if q.Kind, q.File = action.StopAndQuarantineFile, a.Targets[re.Target]; q.File == "" {
			return "", errs.New(op, errs.Invalid, errs.InvalidInput, "the result names no file by %s", re.Target)
		}
		return p.ask(ctx, by, q)
	}
	hash, typ := a.Targets[re.Target], indicator.FileSHA1
	if strings.HasSuffix(re.Target, "SHA256") {
		typ = indicator.FileSHA256
	}
	if hash == "" {
		return "", errs.New(op, errs.Invalid, errs.InvalidInput, "the result names no file by %s", re.Target)
	}
	do := indicator.Allowed
	if re.Kind == BlockFile {
		do = indicator.Block
	}
	made, err := p.cfg.Indicators.Put(ctx, &indicator.Indicator{Value: hash, Type: typ, Action: do, Title: rule.Alert.Title,
		Description: fmt.Sprintf("Detection rule %q, alert %s", rule.Name, a.ID), Severity: indicator.Severity(rule.Alert.Severity),
		GenerateAlert: re.Kind == BlockFile, Groups: re.Groups})
	if err != nil {
		return "", err
	}
	return made.ID.String(), nil
}

// ask asks a device for an action. One that somebody asked for already is being done; while
// another file is put into quarantine this one waits.
func (p *Responder) ask(ctx context.Context, by *access.Principal, q action.Request) (string, error) {
	made, err := p.cfg.Actions.Request(ctx, by, q)
	var e *errs.E
	if errors.As(err, &e) && e.Code == errs.ActiveRequestAlreadyExists {
		if q.Kind == action.StopAndQuarantineFile {
			return "", errs.New("custom.ask", errs.Unavailable, errs.ActiveRequestAlreadyExists, "another file of the device is put into quarantine")
		}
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return string(made.ID), nil
}
