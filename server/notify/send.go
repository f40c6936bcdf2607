package notify

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/audit"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
)

// How the outbox is worked off.
const (
	sendEvery   = 500 * time.Millisecond
	sendBatch   = 200
	sendAtOnce  = 8
	sendTimeout = 20 * time.Second
	giveUpAfter = 24 * time.Hour
	keepSent    = 30 * 24 * time.Hour
	maxDigested = 500  // items of one digest message
	maxError    = 500  // characters of an error that is kept
	maxAnswer   = 2000 // of what a receiver answers

	parcelBatch   = 20
	parcelsAtOnce = 4
	slowest       = 256 << 10 // bytes that a receiver takes in a second at least
)

// waits is how long the sender waits after each failed attempt; the last holds for all
// that follow.
var waits = []time.Duration{5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute, 30 * time.Minute, time.Hour}

// Sender works the outbox off.
type Sender struct {
	service *Service
	mailer  Mailer // nil when the server sends no mail
	poster  Poster
	files   Files // nil when there are no parcels
	log     *slog.Logger

	mu    sync.Mutex
	under map[string]bool // parcels that are on their way now, by tenant and id
}

// NewSender returns a sender of the service's outbox. mailer may be nil: mails are given up
// then, with the reason; so may files, where no message has one.
func NewSender(s *Service, mailer Mailer, poster Poster, files Files, log *slog.Logger) *Sender {
	return &Sender{service: s, mailer: mailer, poster: poster, files: files, log: log, under: map[string]bool{}}
}

// Run sends what is due until ctx ends.
func (x *Sender) Run(ctx context.Context) error {
	var g errgroup.Group
	g.Go(func() error { return x.work(ctx, "sending parcels", x.SendParcels) })
	tidied := time.Time{}
	g.Go(func() error {
		return x.work(ctx, "sending notifications", func(ctx context.Context) error {
			err := x.Send(ctx)
			if now := x.service.now(); now.Sub(tidied) > time.Hour {
				tidied = now
				err = errors.Join(err, x.service.store.Tidy(ctx, now.Add(-keepSent)), x.service.store.ExpireSubscriptions(ctx, now))
			}
			return err
		})
	})
	return g.Wait()
}

// work does something again and again until ctx ends.
func (x *Sender) work(ctx context.Context, what string, do func(context.Context) error) error {
	t := time.NewTicker(sendEvery)
	defer t.Stop()
	for {
		if err := do(ctx); err != nil && ctx.Err() == nil {
			x.log.Error(what, "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
	}
}

// Send makes the digests that are due and tries each notice that is due once.
func (x *Sender) Send(ctx context.Context) error {
	if err := x.digest(ctx); err != nil {
		return errs.Wrap("notify.Send", err)
	}
	return x.lane(ctx, Notices, sendBatch, sendAtOnce)
}

// SendParcels tries each parcel that is due once.
func (x *Sender) SendParcels(ctx context.Context) error {
	return x.lane(ctx, Parcels, parcelBatch, parcelsAtOnce)
}

// lane tries each message of a lane that is due once.
func (x *Sender) lane(ctx context.Context, lane Lane, batch, atOnce int) error {
	due, err := x.service.store.Due(ctx, lane, x.service.now(), batch)
	if err != nil || len(due) == 0 {
		return errs.Wrap("notify.Send", err)
	}
	// Messages of one channel go one after the other, and after a failure the rest waits: a
	// receiver that is down holds nobody else up, and is not asked a hundred times.
	var order []string
	byChannel := map[string][]*Message{}
	for _, m := range due {
		k := string(m.Tenant) + m.Channel + string(m.Kind)
		if byChannel[k] == nil {
			order = append(order, k)
		}
		byChannel[k] = append(byChannel[k], m)
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(atOnce)
	for _, k := range order {
		g.Go(func() error { return x.channel(ctx, byChannel[k]) })
	}
	return errs.Wrap("notify.Send", g.Wait())
}

func (x *Sender) channel(ctx context.Context, ms []*Message) error {
	down := error(nil)
	for _, m := range ms {
		if down != nil {
			if err := x.postpone(ctx, m, down); err != nil {
				return err
			}
			continue
		}
		begun, err := x.begin(ctx, m)
		if err != nil {
			return err
		}
		if !begun {
			continue
		}
		answer, err := x.attempt(ctx, m)
		if ctx.Err() != nil {
			x.end(m)
			return ctx.Err() // it was not the receiver's fault: the message stays due
		}
		if err != nil && !final(err) {
			down = err
		}
		err = x.settle(ctx, m, answer, err)
		x.end(m)
		if err != nil {
			return err
		}
	}
	return nil
}

func final(err error) bool {
	return errs.Is(err, errs.Invalid) || errs.Is(err, errs.Denied) || errs.Is(err, errs.NotFound) || errs.Is(err, errs.Unsupported)
}

// begin marks a parcel as on its way, and reports false of one that was withdrawn since it
// was read.
func (x *Sender) begin(ctx context.Context, m *Message) (bool, error) {
	if m.Lane != Parcels {
		return true, nil
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	now, err := x.service.store.Messages(ctx, m.Tenant, m.Channel, sendBatch)
	if err != nil {
		return false, err
	}
	for _, n := range now {
		if n.ID == m.ID && n.State == Waiting {
			x.under[string(m.Tenant)+m.ID] = true
			return true, nil
		}
	}
	return false, nil
}

func (x *Sender) end(m *Message) {
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.under, string(m.Tenant)+m.ID)
}

// Withdraw gives a parcel up that nobody took yet. One that is on its way, or has been taken
// or given up, is errs.Conflict.
func (x *Sender) Withdraw(ctx context.Context, tenant ident.TenantID, id, why string) error {
	const op = "notify.Withdraw"
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.under[string(tenant)+id] {
		return errs.New(op, errs.Conflict, errs.BadRequest, "the message is being sent")
	}
	now := x.service.now().UTC()
	err := x.service.store.UpdateMessage(ctx, tenant, id, func(m *Message) error {
		if m.State != Waiting {
			return errs.New(op, errs.Conflict, errs.BadRequest, "the message is %s", m.State)
		}
		m.State, m.Done, m.LastError = Failed, now, why
		return nil
	})
	return errs.Wrap(op, err)
}

// attempt sends one message.
func (x *Sender) attempt(ctx context.Context, m *Message) (answer string, err error) {
	wait := sendTimeout
	var file *File
	if m.File != nil {
		if x.files == nil {
			return "", errs.New("notify.attempt", errs.Unsupported, errs.DisabledFeature, "the server sends no files")
		}
		wait += time.Duration(m.File.Size/slowest) * time.Second
		file = &File{Name: m.File.Name, Type: m.File.Type, Size: m.File.Size, Open: func() (io.ReadSeekCloser, error) { return x.files.Open(m.File.SHA256) }}
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	if m.Kind == ByMail {
		if x.mailer == nil {
			return "", errs.New("notify.attempt", errs.Unsupported, errs.DisabledFeature, "the server is not configured to send mail")
		}
		return x.mailer.Mail(ctx, Mail{To: m.To, Subject: m.Subject, Text: m.Body, Key: m.ID, ReplyTo: m.ReplyTo, File: file})
	}
	var secret []byte
	if m.Secret != "" {
		var err error
		if secret, err = x.service.sealer.Unseal(sealPurpose, m.Secret); err != nil {
			return "", &errs.E{Op: "notify.attempt", Kind: errs.Invalid, Detail: "its secret cannot be read", Err: err}
		}
	}
	h := Hook{URL: m.To[0], Body: []byte(m.Body), Key: m.ID, Secret: secret, File: file}
	if m.Lane == Parcels {
		h.Answer = maxAnswer
	}
	return x.poster.Post(ctx, h)
}

// Try sends a message at once, past the outbox, and returns what was answered, or why it was
// not taken in words for people.
func (x *Sender) Try(ctx context.Context, m *Message) (answer string, err error) {
	answer, err = x.attempt(ctx, m)
	if err != nil {
		x.log.Warn("a message was not taken", "channel", m.Channel, "kind", m.Kind, "err", err)
		return "", errs.New("notify.Try", errs.Invalid, errs.DisallowedOperation, "it was not taken: %s", reason(err))
	}
	return answer, nil
}

// settle keeps what came of an attempt.
func (x *Sender) settle(ctx context.Context, m *Message, answer string, failed error) error {
	s := x.service
	now := s.now().UTC()
	var gaveUp bool
	err := s.store.UpdateMessage(ctx, m.Tenant, m.ID, func(m *Message) error {
		m.Attempts++
		if failed == nil {
			m.State, m.Done, m.LastError, m.Answer = Sent, now, "", cutText(answer, maxAnswer)
			return nil
		}
		m.LastError = reason(failed)
		if gaveUp = final(failed) || m.over(now); gaveUp {
			m.State, m.Done = Failed, now
			return nil
		}
		m.Due = now.Add(waits[min(m.Attempts-1, len(waits)-1)])
		return nil
	})
	if err != nil || failed == nil {
		return err
	}
	x.log.Warn("a notification was not taken", "channel", m.Channel, "kind", m.Kind, "given up", gaveUp, "err", failed)
	if !gaveUp {
		return nil
	}
	if id, ok := strings.CutPrefix(m.Channel, "subscription/"); ok && errs.Is(failed, errs.NotFound) {
		// The receiver says that it is gone for good.
		if err := s.Unsubscribe(ctx, access.System(m.Tenant, "notify"), ident.SubscriptionID(id)); err != nil && !errs.Is(err, errs.NotFound) {
			return err
		}
	}
	return s.audit.Record(ctx, audit.Entry{At: now, Tenant: m.Tenant, Actor: access.System(m.Tenant, "notify").Actor, Verb: "notification.send",
		Object: m.ID, Detail: m.Channel + ": " + reason(failed), Outcome: audit.Failed})
}

// over reports whether it is time to give the message up.
func (m *Message) over(now time.Time) bool {
	if !m.Until.IsZero() {
		return now.After(m.Until)
	}
	return now.Sub(m.Created) > giveUpAfter
}

// postpone lets a message wait like the one before it, which failed.
func (x *Sender) postpone(ctx context.Context, m *Message, why error) error {
	now := x.service.now().UTC()
	return x.service.store.UpdateMessage(ctx, m.Tenant, m.ID, func(m *Message) error {
		m.Due, m.LastError = now.Add(waits[0]), reason(why)
		if m.over(now) {
			m.State, m.Done = Failed, now
		}
		return nil
	})
}

// reason is what people are told about a failure.
func reason(err error) string {
	var e *errs.E
	if errors.As(err, &e) && e.Detail != "" {
		return cutText(e.Detail, maxError)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Sprintf("no answer within %s", sendTimeout)
	}
	return "it could not be sent; the server's log says why"
}

// digest turns the items of digests that are due into messages. Taking them and keeping
// the message is one transaction.
func (x *Sender) digest(ctx context.Context) error {
	s := x.service
	for {
		if due, err := s.store.DigestDue(ctx, s.now()); err != nil || !due {
			return err
		}
		more := false
		err := s.atomic(ctx, func(ctx context.Context) error {
			now := s.now().UTC()
			items, err := s.store.TakeDigest(ctx, now, maxDigested)
			if err != nil || len(items) == 0 {
				return err
			}
			more = true
			rule, err := s.Rule(ctx, items[0].Tenant, items[0].Rule)
			if errs.Is(err, errs.NotFound) {
				return nil // it was deleted: nobody wants to know any more
			}
			if err != nil {
				return err
			}
			news := make([]News, len(items))
			for i, it := range items {
				news[i] = it.News
			}
			return s.store.Enqueue(ctx, s.compose(rule, key(rule.Tenant, "digest", channelOf(rule.ID), items[0].ID), news, now)...)
		})
		if err != nil || !more {
			return err
		}
	}
}

// Test sends a message of a rule at once, past outbox and throttle, and returns why it was
// not taken: one error for each of the rule's ways.
func (x *Sender) Test(ctx context.Context, by *access.Principal, id ident.NotificationID) error {
	const op = "notify.Test"
	s := x.service
	r, err := s.Rule(ctx, by.Tenant, id)
	if err != nil {
		return err
	}
	now := s.now().UTC()
	n := News{Subject: r.Subject, Title: "Test of the notification rule " + r.Name, Severity: r.Severity, Category: "General", At: now,
		Text: "Somebody asked for this test. Nothing happened."}
	var failed []string
	for _, m := range s.compose(r, key(r.Tenant, "test", channelOf(r.ID), now.String()), []News{n}, now) {
		if _, err := x.attempt(ctx, m); err != nil {
			failed = append(failed, string(m.Kind)+": "+reason(err))
			x.log.Warn("a test notification was not taken", "channel", m.Channel, "kind", m.Kind, "err", err)
		}
	}
	outcome := audit.Done
	if len(failed) > 0 {
		outcome = audit.Failed
	}
	if err := s.audit.Record(ctx, audit.Entry{At: now, Tenant: by.Tenant, Actor: by.Actor, Verb: "notification.test", Object: id.String(), Outcome: outcome}); err != nil {
		return errs.Wrap(op, err)
	}
	if len(failed) > 0 {
		return errs.New(op, errs.Invalid, errs.DisallowedOperation, "the test was not taken: %s", strings.Join(failed, "; "))
	}
	return nil
}
