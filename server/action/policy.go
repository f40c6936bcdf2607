package action

import (
	"context"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/audit"
	"github.com/vedette-edr/vedette/server/device"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
)

// Policy says which actions somebody must agree to, and who. An action that several
// policies are about needs what each of them demands.
type Policy struct {
	ID      ident.ApprovalID
	Tenant  ident.TenantID
	Name    string
	Enabled bool
	// What it is about: one of each list that is not empty.
	Kinds  []Kind
	Groups []int64 // device groups, 0 for devices in none
	// Requestors are who asks: ids of roles, client ids of applications, or the words
	// Applications and Automatic (rules, flows and other parts of the server).
	Requestors []string
	// What it demands: how many agree, and who may. Approvers are ids of roles and client
	// ids of applications; empty for everybody with the permission.
	Need      int
	Approvers []string
	Self      bool // whoever asked may be one of them
	// Patience is how long an action waits for them; 0 for the published seven days.
	Patience  time.Duration
	CreatedBy ident.Actor
	Created   time.Time
	UpdatedBy ident.Actor
	Updated   time.Time
}

// The words that stand for requestors who are nobody in particular.
const (
	Applications = "Applications"
	Automatic    = "Automatic"
)

// Bounds of policies.
const (
	maxPolicies     = 200
	maxNeed         = 10
	maxNames        = 100
	maxName         = 256
	defaultPatience = 7 * 24 * time.Hour // the published one
	maxPatience     = 14 * 24 * time.Hour
	minPatience     = time.Minute
)

// PolicyStore keeps the approval policies of all tenants. Every method is safe for
// concurrent use; a policy of another tenant is errs.NotFound.
type PolicyStore interface {
	// CreatePolicy keeps a new policy and gives it its ID.
	CreatePolicy(ctx context.Context, p *Policy) error
	// Policies returns the tenant's policies by id.
	Policies(ctx context.Context, tenant ident.TenantID) ([]*Policy, error)
	// UpdatePolicy reads, changes and writes one policy in a transaction.
	UpdatePolicy(ctx context.Context, tenant ident.TenantID, id ident.ApprovalID, change func(*Policy) error) (*Policy, error)
	// DeletePolicy forgets one policy.
	DeletePolicy(ctx context.Context, tenant ident.TenantID, id ident.ApprovalID) error
}

// noPolicies is the store of an installation without any.
type noPolicies struct{ PolicyStore }

// Policies implements PolicyStore.
func (noPolicies) Policies(context.Context, ident.TenantID) ([]*Policy, error) { return nil, nil }

// Check refuses a policy that is not wholly understood and fills in what was left out.
func (p *Policy) Check() error {
	bad := func(format string, args ...any) error {
		return errs.New("action.Policy", errs.Invalid, errs.InvalidInput, format, args...)
	}
	if strings.TrimSpace(p.Name) == "" || !utf8.ValidString(p.Name) || utf8.RuneCountInString(p.Name) > maxName {
		return bad("name: it has between 1 and %d characters", maxName)
	}
	if len(p.Groups) > maxNames || len(p.Kinds) > maxNames {
		return bad("types, rbacGroupIds: at most %d of each", maxNames)
	}
	for i, k := range p.Kinds {
		at := slices.IndexFunc(Kinds(), func(known Kind) bool { return strings.EqualFold(string(known), string(k)) })
		if at < 0 {
			return bad("types[%d]: %q is no type of action", i, clip(string(k)))
		}
		p.Kinds[i] = Kinds()[at]
	}
	for place, list := range map[string][]string{"requestors": p.Requestors, "approvers": p.Approvers} {
		if len(list) > maxNames {
			return bad("%s: at most %d", place, maxNames)
		}
		for i, s := range list {
			switch {
			case s == "" || len(s) > 64 || !utf8.ValidString(s):
				return bad("%s[%d]: it is the id of a role or of an application", place, i)
			case place == "approvers" && (strings.EqualFold(s, Applications) || strings.EqualFold(s, Automatic)):
				return bad("approvers[%d]: %s cannot agree to anything; name roles, or an application by its id", i, s)
			case strings.EqualFold(s, Applications):
				list[i] = Applications
			case strings.EqualFold(s, Automatic):
				list[i] = Automatic
			default:
				list[i] = strings.ToLower(s)
			}
		}
	}
	if p.Need == 0 {
		p.Need = 1
	}
	if p.Need < 1 || p.Need > maxNeed {
		return bad("approvals: between 1 and %d", maxNeed)
	}
	if p.Patience == 0 {
		p.Patience = defaultPatience
	}
	if p.Patience < minPatience || p.Patience > maxPatience {
		return bad("patienceMinutes: between %d and %d", minPatience/time.Minute, maxPatience/time.Minute)
	}
	return nil
}

// about reports whether the policy is about an action of a kind that by asks of d.
func (p *Policy) about(k Kind, by *access.Principal, d *device.Device) bool {
	return p.Enabled && (len(p.Kinds) == 0 || slices.Contains(p.Kinds, k)) &&
		(len(p.Groups) == 0 || slices.Contains(p.Groups, d.Group)) &&
		(len(p.Requestors) == 0 || slices.ContainsFunc(p.Requestors, func(s string) bool { return stands(by, s) }))
}

// stands reports whether a word of a policy stands for a principal.
func stands(by *access.Principal, word string) bool {
	switch by.Kind {
	case ident.ActorApp:
		return word == Applications || strings.EqualFold(by.ID, word)
	case ident.ActorSystem:
		return word == Automatic
	}
	return slices.ContainsFunc(by.In, func(r ident.RoleID) bool { return strings.EqualFold(string(r), word) })
}

// Policies returns the tenant's approval policies by id.
func (s *Service) Policies(ctx context.Context, tenant ident.TenantID) ([]*Policy, error) {
	ps, err := s.cfg.Policies.Policies(ctx, tenant)
	return ps, errs.Wrap("action.Policies", err)
}

// CreatePolicy keeps a new policy. It is about what is asked for from now on.
func (s *Service) CreatePolicy(ctx context.Context, by *access.Principal, p Policy) (*Policy, error) {
	const op = "action.CreatePolicy"
	if err := p.Check(); err != nil {
		return nil, err
	}
	now := s.cfg.Clock().UTC()
	p.ID, p.Tenant, p.CreatedBy, p.Created, p.UpdatedBy, p.Updated = 0, by.Tenant, by.Actor, now, by.Actor, now
	err := s.changePolicy(ctx, by, "approvalpolicy.create", func(ctx context.Context) (ident.ApprovalID, string, error) {
		all, err := s.cfg.Policies.Policies(ctx, by.Tenant)
		if err == nil && len(all) >= maxPolicies {
			err = errs.New(op, errs.Exhausted, errs.QuotaExceeded, "a tenant has at most %d approval policies", maxPolicies)
		}
		if err == nil {
			err = s.cfg.Policies.CreatePolicy(ctx, &p)
		}
		return p.ID, p.Name, err
	})
	if err != nil {
		return nil, errs.Wrap(op, err)
	}
	return &p, nil
}

// UpdatePolicy changes a policy. What waits already goes on under what was demanded then.
func (s *Service) UpdatePolicy(ctx context.Context, by *access.Principal, id ident.ApprovalID, change func(*Policy) error) (*Policy, error) {
	var out *Policy
	err := s.changePolicy(ctx, by, "approvalpolicy.update", func(ctx context.Context) (ident.ApprovalID, string, error) {
		var err error
		out, err = s.cfg.Policies.UpdatePolicy(ctx, by.Tenant, id, func(p *Policy) error {
			was := *p
			if err := change(p); err != nil {
				return err
			}
			p.ID, p.Tenant, p.CreatedBy, p.Created, p.UpdatedBy, p.Updated = was.ID, was.Tenant, was.CreatedBy, was.Created, by.Actor, s.cfg.Clock().UTC()
			return p.Check()
		})
		if err != nil {
			return id, "", err
		}
		return id, out.Name, nil
	})
	return out, errs.Wrap("action.UpdatePolicy", err)
}

// DeletePolicy forgets a policy.
func (s *Service) DeletePolicy(ctx context.Context, by *access.Principal, id ident.ApprovalID) error {
	err := s.changePolicy(ctx, by, "approvalpolicy.delete", func(ctx context.Context) (ident.ApprovalID, string, error) {
		return id, "", s.cfg.Policies.DeletePolicy(ctx, by.Tenant, id)
	})
	return errs.Wrap("action.DeletePolicy", err)
}

// changePolicy runs do in a transaction with its audit record.
func (s *Service) changePolicy(ctx context.Context, by *access.Principal, verb string, do func(context.Context) (ident.ApprovalID, string, error)) error {
	return s.cfg.Atomic(ctx, func(ctx context.Context) error {
		id, detail, err := do(ctx)
		if err != nil {
			return err
		}
		return s.cfg.Audit.Record(ctx, audit.Entry{Tenant: by.Tenant, Actor: by.Actor, Verb: verb, Object: id.String(), Detail: detail, Outcome: audit.Done})
	})
}
