package notify

import (
	"context"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
)

// Rules returns the tenant's rules by id. Their secrets are sealed.
func (s *Service) Rules(ctx context.Context, tenant ident.TenantID) ([]*Rule, error) {
	rs, err := s.store.Rules(ctx, tenant)
	return rs, errs.Wrap("notify.Rules", err)
}

// Rule returns one rule.
func (s *Service) Rule(ctx context.Context, tenant ident.TenantID, id ident.NotificationID) (*Rule, error) {
	rs, err := s.Rules(ctx, tenant)
	if err != nil {
		return nil, err
	}
	for _, r := range rs {
		if r.ID == id {
			return r, nil
		}
	}
	return nil, errs.New("notify.Rule", errs.NotFound, errs.ResourceNotFound, "Notification rule %d was not found", id)
}

// CreateRule keeps a new rule, whose Secret is in the clear.
func (s *Service) CreateRule(ctx context.Context, by *access.Principal, r Rule) (*Rule, error) {
	const op = "notify.CreateRule"
	if err := r.Check(); err != nil {
		return nil, err
	}
	var err error
	if r.Secret, err = s.seal("secret", r.Secret); err != nil {
		return nil, errs.Wrap(op, err)
	}
	now := s.now().UTC()
	r.ID, r.Tenant, r.CreatedBy, r.Created, r.UpdatedBy, r.Updated = 0, by.Tenant, by.Actor, now, by.Actor, now
	err = s.change(ctx, by, "notification.create", func(ctx context.Context) (string, string, error) {
		all, err := s.store.Rules(ctx, by.Tenant)
		if err == nil && len(all) >= maxRules {
			err = errs.New(op, errs.Exhausted, errs.QuotaExceeded, "a tenant has at most %d notification rules", maxRules)
		}
		if err == nil {
			err = s.store.CreateRule(ctx, &r)
		}
		return r.ID.String(), r.Name, err
	})
	return &r, errs.Wrap(op, err)
}

// UpdateRule changes a rule. change sees no secret: one that it sets, in the clear,
// replaces the rule's.
func (s *Service) UpdateRule(ctx context.Context, by *access.Principal, id ident.NotificationID, change func(*Rule) error) (*Rule, error) {
	var out *Rule
	err := s.change(ctx, by, "notification.update", func(ctx context.Context) (string, string, error) {
		var err error
		out, err = s.store.UpdateRule(ctx, by.Tenant, id, func(r *Rule) error {
			was := *r
			r.Secret = ""
			if err := change(r); err != nil {
				return err
			}
			if err := r.Check(); err != nil {
				return err
			}
			sealed, err := s.seal("secret", r.Secret)
			if err != nil {
				return err
			}
			if r.Secret = was.Secret; sealed != "" {
				r.Secret = sealed
			}
			r.ID, r.Tenant, r.CreatedBy, r.Created, r.UpdatedBy, r.Updated = was.ID, was.Tenant, was.CreatedBy, was.Created, by.Actor, s.now().UTC()
			return nil
		})
		if err != nil {
			return "", "", err
		}
		return id.String(), out.Name, nil
	})
	if errs.Is(err, errs.NotFound) {
		err = errs.New("notify.UpdateRule", errs.NotFound, errs.ResourceNotFound, "Notification rule %d was not found", id)
	}
	return out, errs.Wrap("notify.UpdateRule", err)
}

// DeleteRule forgets a rule; messages that it made already are sent.
func (s *Service) DeleteRule(ctx context.Context, by *access.Principal, id ident.NotificationID) error {
	err := s.change(ctx, by, "notification.delete", func(ctx context.Context) (string, string, error) {
		return id.String(), "", s.store.DeleteRule(ctx, by.Tenant, id)
	})
	if errs.Is(err, errs.NotFound) {
		err = errs.New("notify.DeleteRule", errs.NotFound, errs.ResourceNotFound, "Notification rule %d was not found", id)
	}
	return errs.Wrap("notify.DeleteRule", err)
}

// Messages returns what was sent, waits, or was given up, newest first; of all rules and
// subscriptions when rule is 0.
func (s *Service) Messages(ctx context.Context, tenant ident.TenantID, rule ident.NotificationID, limit int) ([]*Message, error) {
	channel := ""
	if rule != 0 {
		channel = channelOf(rule)
	}
	ms, err := s.store.Messages(ctx, tenant, channel, limit)
	return ms, errs.Wrap("notify.Messages", err)
}
