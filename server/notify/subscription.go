package notify

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
)

// Subscriptions returns the tenant's subscriptions that have not ended.
func (s *Service) Subscriptions(ctx context.Context, tenant ident.TenantID) ([]*Subscription, error) {
	all, err := s.store.Subscriptions(ctx, tenant)
	now := s.now()
	return slices.DeleteFunc(all, func(x *Subscription) bool { return !x.Expires.After(now) }), errs.Wrap("notify.Subscriptions", err)
}

// Subscribe keeps a new subscription, whose Secret is in the clear.
func (s *Service) Subscribe(ctx context.Context, by *access.Principal, sub Subscription) (*Subscription, error) {
	const op = "notify.Subscribe"
	now := s.now().UTC()
	if err := sub.check(now); err != nil {
		return nil, err
	}
	id, err := uuid.NewRandom()
	if err != nil {
		return nil, errs.Wrap(op, err)
	}
	if sub.Secret, err = s.seal("secret", sub.Secret); err != nil {
		return nil, errs.Wrap(op, err)
	}
	sub.ID, sub.Tenant, sub.Owner, sub.Created = ident.SubscriptionID(id.String()), by.Tenant, by.Actor, now
	err = s.change(ctx, by, "subscription.create", func(ctx context.Context) (string, string, error) {
		all, err := s.store.Subscriptions(ctx, by.Tenant)
		if err == nil && len(all) >= maxSubscriptions {
			err = errs.New(op, errs.Exhausted, errs.QuotaExceeded, "a tenant has at most %d subscriptions", maxSubscriptions)
		}
		if err == nil {
			err = s.store.CreateSubscription(ctx, &sub)
		}
		return string(sub.ID), sub.URL, err
	})
	return &sub, errs.Wrap(op, err)
}

// check brings words into their spelling and refuses what is not offered.
func (s *Subscription) check(now time.Time) error {
	if err := CheckURL("notificationUrl", s.URL); err != nil {
		return err
	}
	if !strings.EqualFold(strings.Trim(s.Resource, "/"), "alerts") {
		return bad("resource: %q is not offered, only alerts", clip(s.Resource))
	}
	if !strings.EqualFold(s.ChangeType, "created") {
		return bad("changeType: %q is not offered, only created", clip(s.ChangeType))
	}
	if len(s.ClientState) > maxState {
		return bad("clientState: at most %d bytes", maxState)
	}
	if !s.Expires.After(now) {
		return bad("expirationDateTime: it is a time to come")
	}
	s.Resource, s.ChangeType = "alerts", "created"
	return nil
}

// Renew lets a subscription end at another time.
func (s *Service) Renew(ctx context.Context, by *access.Principal, id ident.SubscriptionID, until time.Time) (*Subscription, error) {
	var out *Subscription
	err := s.change(ctx, by, "subscription.renew", func(ctx context.Context) (string, string, error) {
		var err error
		out, err = s.store.UpdateSubscription(ctx, by.Tenant, id, func(x *Subscription) error {
			x.Expires = until
			return x.check(s.now())
		})
		return string(id), until.UTC().Format(time.RFC3339), err
	})
	return out, errs.Wrap("notify.Renew", noSubscription(err, id))
}

// Unsubscribe ends a subscription; messages that it made already are sent.
func (s *Service) Unsubscribe(ctx context.Context, by *access.Principal, id ident.SubscriptionID) error {
	err := s.change(ctx, by, "subscription.delete", func(ctx context.Context) (string, string, error) {
		return string(id), "", s.store.DeleteSubscription(ctx, by.Tenant, id)
	})
	return errs.Wrap("notify.Unsubscribe", noSubscription(err, id))
}

func noSubscription(err error, id ident.SubscriptionID) error {
	if errs.Is(err, errs.NotFound) {
		return errs.New("notify", errs.NotFound, errs.ResourceNotFound, "Subscription %s was not found", clip(string(id)))
	}
	return err
}
