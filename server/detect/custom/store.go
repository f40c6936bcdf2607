package custom

import (
	"context"
	"time"

	"github.com/vedette-edr/vedette/server/filter"
	"github.com/vedette-edr/vedette/server/ident"
)

// Store keeps the rules of all tenants. Every method is safe for concurrent use; a thing
// of another tenant is errs.NotFound.
type Store interface {
	// CreateRule keeps a new rule and gives it its ID. A name that another has, in any
	// case, is errs.Conflict.
	CreateRule(ctx context.Context, r *Rule) error
	// Rule returns one rule.
	Rule(ctx context.Context, tenant ident.TenantID, id int64) (*Rule, error)
	// Rules lists rules, by id unless q orders otherwise.
	Rules(ctx context.Context, tenant ident.TenantID, q filter.Query) (filter.Page[*Rule], error)
	// UpdateRule reads, changes and writes one rule in a transaction; an error of change
	// leaves it as it was and is returned. A name that another has is errs.Conflict.
	UpdateRule(ctx context.Context, tenant ident.TenantID, id int64, change func(*Rule) error) (*Rule, error)
	// DeleteRule forgets one rule or is errs.NotFound.
	DeleteRule(ctx context.Context, tenant ident.TenantID, id int64) error
	// DueRules returns up to limit enabled rules of all tenants whose Next is not after
	// now, longest due first.
	DueRules(ctx context.Context, now time.Time, limit int) ([]*Rule, error)
}

// Answer is what became of one response to one alert.
type Answer struct {
	Tenant ident.TenantID
	Alert  ident.AlertID
	Place  int // in the rule's Responses
	Rule   int64
	Kind   ResponseKind
	Device ident.DeviceID
	At     time.Time // when it became due
	Done   time.Time // zero while it is to be done
	Object string    // the action or indicator it made; "" for none
	Error  string    // why there is none
}

// AnswerStore keeps answers.
type AnswerStore interface {
	// AddAnswers keeps answers that are to be done; those that are known already, by alert
	// and place, are passed over.
	AddAnswers(ctx context.Context, as []*Answer) error
	// OpenAnswers returns up to limit answers of all tenants that are to be done, oldest first.
	OpenAnswers(ctx context.Context, limit int) ([]*Answer, error)
	// EndAnswer keeps an answer that was done.
	EndAnswer(ctx context.Context, a *Answer) error
}
