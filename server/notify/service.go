package notify

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/alert"
	"github.com/vedette-edr/vedette/server/audit"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/incident"
)

// Store is everything that the service keeps.
type Store interface {
	RuleStore
	SubscriptionStore
	Outbox
	Ledger
}

// Config is what a Service needs.
type Config struct {
	Store  Store
	Sealer Sealer
	Groups alert.Groups     // nil when every device is in no group
	Audit  audit.Log        // nil for none
	Clock  func() time.Time // nil for time.Now
	URL    string           // of the portal, for links; "" for none
	// Atomic runs do in one transaction of the stores and Audit, which take part by do's
	// context; nil runs it as it is.
	Atomic func(ctx context.Context, do func(context.Context) error) error
}

// Service holds the rules about who is told what. Permission is decided by the caller,
// before.
type Service struct {
	store  Store
	sealer Sealer
	groups alert.Groups
	audit  audit.Log
	now    func() time.Time
	url    string
	atomic func(context.Context, func(context.Context) error) error

	mu    sync.Mutex
	known map[ident.TenantID]*wants
}

// wants is who wants to be told in a tenant, as the store has it.
type wants struct {
	rules         []*Rule
	subscriptions []*Subscription
}

// New returns the service.
func New(c Config) *Service {
	s := &Service{store: c.Store, sealer: c.Sealer, groups: c.Groups, audit: c.Audit, now: c.Clock, url: c.URL, atomic: c.Atomic,
		known: map[ident.TenantID]*wants{}}
	if s.audit == nil {
		s.audit = audit.Discard
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.atomic == nil {
		s.atomic = func(ctx context.Context, do func(context.Context) error) error { return do(ctx) }
	}
	return s
}

// Raised implements alert.Observer.
func (s *Service) Raised(ctx context.Context, a *alert.Alert) error {
	const op = "notify.Raised"
	w, err := s.wants(ctx, a.Tenant)
	if err != nil {
		return errs.Wrap(op, err)
	}
	if a.Suppression == 0 {
		n := News{Subject: OfAlerts, Alert: a.ID, Incident: a.Incident, Title: a.Title, Severity: a.Severity, Category: a.Category,
			Source: a.DetectionSource, Device: a.Device, DeviceName: a.DeviceName, At: a.Created, Text: a.Description}
		if err := s.tell(ctx, a.Tenant, w, n); err != nil {
			return errs.Wrap(op, err)
		}
	}
	now := s.now().UTC()
	for _, sub := range w.subscriptions {
		if !sub.Expires.After(now) {
			continue
		}
		body, _ := json.Marshal(struct { // of strings: cannot fail
			ID        ident.AlertID  `json:"id"`
			MachineID ident.DeviceID `json:"machineId"`
		}{a.ID, a.Device})
		channel := "subscription/" + string(sub.ID)
		if err := s.store.Enqueue(ctx, &Message{ID: key(a.Tenant, channel, string(a.ID)), Tenant: a.Tenant, Channel: channel, Kind: ByHook,
			To: []string{sub.URL}, Body: string(body), Secret: sub.Secret, State: Waiting, Created: now, Due: now}); err != nil {
			return errs.Wrap(op, err)
		}
	}
	return nil
}

// Changed implements alert.Observer: changes are told to nobody.
func (*Service) Changed(context.Context, ident.Actor, *alert.Alert, *alert.Alert) error { return nil }

// Opened implements incident.Observer.
func (s *Service) Opened(ctx context.Context, i *incident.Incident, a *alert.Alert) error {
	const op = "notify.Opened"
	if a.Suppression != 0 {
		return nil
	}
	w, err := s.wants(ctx, i.Tenant)
	if err != nil {
		return errs.Wrap(op, err)
	}
	return errs.Wrap(op, s.tell(ctx, i.Tenant, w, News{Subject: OfIncidents, Incident: i.ID, Title: i.Name, Severity: i.Severity,
		Category: a.Category, Source: a.DetectionSource, Device: a.Device, DeviceName: a.DeviceName, At: i.Created, Text: a.Description}))
}

// Tell tells of something that is neither an alert nor an incident. What is told again is
// told once.
func (s *Service) Tell(ctx context.Context, tenant ident.TenantID, n News) error {
	const op = "notify.Tell"
	w, err := s.wants(ctx, tenant)
	if err != nil {
		return errs.Wrap(op, err)
	}
	return errs.Wrap(op, s.tell(ctx, tenant, w, n))
}

// key derives a message's id from what it tells of and to whom.
func key(tenant ident.TenantID, parts ...string) string {
	sum := sha256.Sum256([]byte(string(tenant) + "\n" + strings.Join(parts, "\n")))
	return hex.EncodeToString(sum[:16])
}

// tell writes the news to the outbox for every rule that is about it.
func (s *Service) tell(ctx context.Context, tenant ident.TenantID, w *wants, n News) error {
	var group int64
	if s.groups != nil && slices.ContainsFunc(w.rules, func(r *Rule) bool { return len(r.Groups) > 0 }) {
		var err error
		if group, err = s.groups.GroupOf(ctx, tenant, n.Device); err != nil {
			return err
		}
	}
	now := s.now().UTC()
	for _, r := range w.rules {
		if !r.matches(&n, group) {
			continue
		}
		id := key(tenant, channelOf(r.ID), string(n.Subject), string(n.Alert)+string(n.Action), n.Incident.String())
		due, err := s.digestDue(ctx, r, now)
		if err != nil {
			return err
		}
		if !due.IsZero() {
			err = s.store.Gather(ctx, &Item{ID: id, Tenant: tenant, Rule: r.ID, Due: due, At: now, News: n})
		} else {
			err = s.store.Enqueue(ctx, s.compose(r, id, []News{n}, now)...)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func channelOf(id ident.NotificationID) string { return "rule/" + id.String() }

// digestDue returns when the news goes out with others, the zero time for at once.
func (s *Service) digestDue(ctx context.Context, r *Rule, now time.Time) (time.Time, error) {
	if r.Digest > 0 {
		return now.Truncate(r.Digest).Add(r.Digest), nil
	}
	n, err := s.store.CountMessages(ctx, r.Tenant, channelOf(r.ID), now.Add(-time.Hour))
	if err != nil || n < r.PerHour {
		return time.Time{}, err
	}
	return now.Truncate(time.Hour).Add(time.Hour), nil
}

// wants returns who wants to be told, which is read once and again after each change.
func (s *Service) wants(ctx context.Context, tenant ident.TenantID) (*wants, error) {
	s.mu.Lock()
	w := s.known[tenant]
	s.mu.Unlock()
	if w != nil {
		return w, nil
	}
	w = &wants{}
	var err error
	if w.rules, err = s.store.Rules(ctx, tenant); err != nil {
		return nil, err
	}
	if w.subscriptions, err = s.store.Subscriptions(ctx, tenant); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known[tenant] = w
	return w, nil
}

func (s *Service) forget(tenant ident.TenantID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.known, tenant)
}

// change runs do in a transaction with its audit record; what is known is read anew.
func (s *Service) change(ctx context.Context, by *access.Principal, verb string, do func(context.Context) (id, detail string, err error)) error {
	return s.atomic(ctx, func(ctx context.Context) error {
		id, detail, err := do(ctx)
		if err != nil {
			return err
		}
		s.forget(by.Tenant)
		return s.audit.Record(ctx, audit.Entry{Tenant: by.Tenant, Actor: by.Actor, Verb: verb, Object: id, Detail: detail, Outcome: audit.Done})
	})
}

// sealPurpose is what secrets of web hooks are sealed for.
const sealPurpose = "webhook"

// Seal keeps the secret of a web hook unreadable in the store, as Message.Secret holds it; ""
// stays "". place names it in errors.
func (s *Service) Seal(place, secret string) (string, error) { return s.seal(place, secret) }

// Submit keeps messages to be sent. It takes part in the transaction of ctx; one whose id is
// there already is passed over.
func (s *Service) Submit(ctx context.Context, ms ...*Message) error {
	return errs.Wrap("notify.Submit", s.store.Enqueue(ctx, ms...))
}

// Channel returns what became of the messages of a channel, newest first.
func (s *Service) Channel(ctx context.Context, tenant ident.TenantID, channel string, limit int) ([]*Message, error) {
	ms, err := s.store.Messages(ctx, tenant, channel, limit)
	return ms, errs.Wrap("notify.Channel", err)
}

func (s *Service) seal(place, secret string) (string, error) {
	if secret == "" {
		return "", nil
	}
	if len(secret) > maxSecret {
		return "", bad("%s: at most %d bytes", place, maxSecret)
	}
	return s.sealer.Seal(sealPurpose, []byte(secret))
}
