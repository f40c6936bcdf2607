package notify

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

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

// compose makes the messages that tell a rule's receivers of some news: one mail, one call
// of its web hook, or both.
func (s *Service) compose(r *Rule, id string, news []News, now time.Time) []*Message {
	base := Message{Tenant: r.Tenant, Channel: channelOf(r.ID), State: Waiting, Created: now, Due: now}
	var out []*Message
	if len(r.Mail) > 0 {
		m := base
		m.ID, m.Kind, m.To = id+"-m", ByMail, r.Mail
		m.Subject, m.Body = s.mail(r, news)
		out = append(out, &m)
	}
	if r.URL != "" {
		m := base
		m.ID, m.Kind, m.To, m.Secret = id+"-w", ByHook, []string{r.URL}, r.Secret
		m.Body = s.payload(r, news)
		out = append(out, &m)
	}
	return out
}

// payload is what a rule's web hook gets.
func (s *Service) payload(r *Rule, news []News) string {
	type item struct {
		Type        string    `json:"type"`
		AlertID     string    `json:"alertId,omitempty"`
		IncidentID  int64     `json:"incidentId,omitempty"`
		ActionID    string    `json:"actionId,omitempty"`
		Title       string    `json:"title"`
		Severity    string    `json:"severity"`
		Category    string    `json:"category"`
		Source      string    `json:"detectionSource"`
		MachineID   string    `json:"machineId"`
		Machine     string    `json:"computerDnsName"`
		Created     time.Time `json:"createdTime"`
		Description string    `json:"description"`
		URL         string    `json:"url,omitempty"`
	}
	body := struct {
		Rule  string `json:"rule"`
		Items []item `json:"items"`
	}{Rule: r.Name}
	for _, n := range news {
		body.Items = append(body.Items, item{string(n.Subject), string(n.Alert), int64(n.Incident), string(n.Action), n.Title, string(n.Severity), n.Category, n.Source,
			string(n.Device), n.DeviceName, n.At, cutText(n.Text, maxShown), s.link(&n)})
	}
	raw, _ := json.Marshal(body) // of strings, numbers and times: cannot fail
	return string(raw)
}

// Bounds of what a message shows.
const (
	maxShown = 2000
	maxLine  = 120
)

func (s *Service) link(n *News) string {
	switch {
	case s.url == "":
		return ""
	case n.Subject == OfApprovals:
		return s.url + "/actions?open=" + string(n.Action)
	case n.Subject == OfIncidents:
		return fmt.Sprintf("%s/incidents/%d", s.url, n.Incident)
	}
	return s.url + "/alerts/" + string(n.Alert)
}

// mail is the subject and text of a rule's mail.
func (s *Service) mail(r *Rule, news []News) (subject, text string) {
	var b strings.Builder
	if len(news) == 1 {
		n := &news[0]
		subject = fmt.Sprintf("[%s] %s", n.Severity, cutText(oneLine(n.Title), maxLine))
		fmt.Fprintf(&b, "%s\n\n", oneLine(n.Title))
	} else {
		subject = fmt.Sprintf("%d notifications of %s", len(news), cutText(oneLine(r.Name), maxLine))
	}
	for i := range news {
		n := &news[i]
		if len(news) > 1 {
			fmt.Fprintf(&b, "%d. %s\n", i+1, oneLine(n.Title))
		}
		fmt.Fprintf(&b, "Severity:  %s\nCategory:  %s\nDevice:    %s\nTime:      %s\n", n.Severity, oneLine(n.Category), oneLine(n.DeviceName), n.At.UTC().Format(time.RFC3339))
		if n.Incident != 0 {
			fmt.Fprintf(&b, "Incident:  %d\n", n.Incident)
		}
		if n.Alert != "" {
			fmt.Fprintf(&b, "Alert:     %s\n", n.Alert)
		}
		if n.Action != "" {
			fmt.Fprintf(&b, "Action:    %s\n", n.Action)
		}
		if url := s.link(n); url != "" {
			fmt.Fprintf(&b, "Link:      %s\n", url)
		}
		if len(news) == 1 && n.Text != "" {
			fmt.Fprintf(&b, "\n%s\n", cutText(n.Text, maxShown))
		}
		b.WriteString("\n")
	}
	fmt.Fprintf(&b, "You get this because of the notification rule %q.\n", r.Name)
	return subject, b.String()
}

// oneLine takes line breaks and control characters out of a text that a device chose.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r >= 0x7f && r < 0xa0 || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, s)
}

func cutText(s string, n int) string {
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	return string(r[:n]) + "…"
}
