package alert

import (
	"context"
	"slices"
	"time"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/audit"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
)

// maxSuppressions bounds the rules of a tenant: each alert is held against all of them.
const maxSuppressions = 1000

// suppress resolves a when a rule matches, and counts it. It returns the rule, nil for none.
func (s *Service) suppress(ctx context.Context, a *Alert, now time.Time) (*Suppression, error) {
	if s.suppressions == nil {
		return nil, nil
	}
	rules, err := s.loaded(ctx, a.Tenant)
	if err != nil || len(rules) == 0 {
		return nil, err
	}
	var group int64
	if s.groups != nil && slices.ContainsFunc(rules, func(r *Suppression) bool { return len(r.Groups) > 0 }) {
		if group, err = s.groups.GroupOf(ctx, a.Tenant, a.Device); err != nil {
			return nil, err
		}
	}
	i := slices.IndexFunc(rules, func(r *Suppression) bool { return r.Match(a, group) })
	if i < 0 {
		return nil, nil
	}
	rule, err := s.suppressions.UpdateSuppression(ctx, a.Tenant, rules[i].ID, func(r *Suppression) error {
		r.Matched++
		r.LastMatched = now
		return nil
	})
	if errs.Is(err, errs.NotFound) {
		return nil, nil // it was deleted in between
	}
	if err != nil {
		return nil, err
	}
	a.Status, a.Resolved, a.Suppression, a.Hidden = Resolved, now, rule.ID, rule.Action == Hide
	return rule, nil
}

// loaded returns the tenant's rules, which are read once and again after each change.
func (s *Service) loaded(ctx context.Context, tenant ident.TenantID) ([]*Suppression, error) {
	s.mu.Lock()
	rules, ok := s.rules[tenant]
	s.mu.Unlock()
	if ok {
		return rules, nil
	}
	rules, err := s.suppressions.Suppressions(ctx, tenant)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rules[tenant] = rules
	return rules, nil
}

// Suppressions returns the tenant's suppression rules by id, with their counts.
func (s *Service) Suppressions(ctx context.Context, tenant ident.TenantID) ([]*Suppression, error) {
	rules, err := s.suppressions.Suppressions(ctx, tenant)
	return rules, errs.Wrap("alert.Suppressions", err)
}

// CreateSuppression keeps a new rule, which is in force when it returns.
func (s *Service) CreateSuppression(ctx context.Context, by *access.Principal, r Suppression) (*Suppression, error) {
	const op = "alert.CreateSuppression"
	if err := r.Check(); err != nil {
		return nil, err
	}
	now := s.now().UTC()
	r.ID, r.Tenant, r.Matched, r.LastMatched = 0, by.Tenant, 0, time.Time{}
	r.CreatedBy, r.Created, r.UpdatedBy, r.Updated = by.Actor, now, by.Actor, now
	err := s.changeRules(ctx, by, "suppression.create", func(ctx context.Context) (ident.SuppressionID, string, error) {
		rules, err := s.suppressions.Suppressions(ctx, by.Tenant)
		if err != nil {
			return 0, "", err
		}
		if len(rules) >= maxSuppressions {
			return 0, "", errs.New(op, errs.Exhausted, errs.QuotaExceeded, "a tenant has at most %d suppression rules", maxSuppressions)
		}
		err = s.suppressions.CreateSuppression(ctx, &r)
		return r.ID, r.Name, err
	})
	if err != nil {
		return nil, errs.Wrap(op, err)
	}
	return &r, nil
}

// UpdateSuppression changes a rule; what change does to id, tenant, counts and authorship
// is undone.
func (s *Service) UpdateSuppression(ctx context.Context, by *access.Principal, id ident.SuppressionID, change func(*Suppression) error) (*Suppression, error) {
	now := s.now().UTC()
	var out *Suppression
	err := s.changeRules(ctx, by, "suppression.update", func(ctx context.Context) (ident.SuppressionID, string, error) {
		var err error
		out, err = s.suppressions.UpdateSuppression(ctx, by.Tenant, id, func(r *Suppression) error {
			was := *r
			if err := change(r); err != nil {
				return err
			}
			r.ID, r.Tenant, r.Matched, r.LastMatched, r.CreatedBy, r.Created = was.ID, was.Tenant, was.Matched, was.LastMatched, was.CreatedBy, was.Created
			r.UpdatedBy, r.Updated = by.Actor, now
			return r.Check()
		})
		if err != nil {
			return 0, "", err
		}
		return id, out.Name, nil
	})
	if err != nil {
		return nil, errs.Wrap("alert.UpdateSuppression", err)
	}
	return out, nil
}

// DeleteSuppression takes a rule out of force. What it suppressed stays resolved.
func (s *Service) DeleteSuppression(ctx context.Context, by *access.Principal, id ident.SuppressionID) error {
	return errs.Wrap("alert.DeleteSuppression", s.changeRules(ctx, by, "suppression.delete", func(ctx context.Context) (ident.SuppressionID, string, error) {
		return id, "", s.suppressions.DeleteSuppression(ctx, by.Tenant, id)
	}))
}

// changeRules runs change in a transaction with its audit record, and lets the rules be
// read anew. Raising runs in transactions of the same store, so that it sees either.
func (s *Service) changeRules(ctx context.Context, by *access.Principal, verb string, change func(context.Context) (ident.SuppressionID, string, error)) error {
	return s.atomic(ctx, func(ctx context.Context) error {
		id, name, err := change(ctx)
		if err != nil {
			return err
		}
		if err := s.audit.Record(ctx, audit.Entry{
			Tenant: by.Tenant, Actor: by.Actor, Verb: verb, Object: id.String(), Detail: name, Outcome: audit.Done,
		}); err != nil {
			return err
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.rules, by.Tenant)
		return nil
	})
}
