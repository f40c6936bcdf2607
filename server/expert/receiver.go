package expert

import (
	"bytes"
	"context"
	"fmt"
	"net/mail"
	"net/url"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"filippo.io/age"
	"filippo.io/age/agessh"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/audit"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/notify"
)

// Bounds of receivers.
const (
	maxReceivers = 100
	maxName      = 256
	maxAbout     = 1000
	maxMail      = 10
	maxKeys      = 10
	maxKey       = 8192 // bytes
	maxGroups    = 100

	minBytes = 64 << 10
	// A mail grows by a third on its way; servers seldom take more than 25 MB.
	defaultMailBytes = 15 << 20
	maxMailBytes     = 50 << 20
	defaultBytes     = 512 << 20
	maxBytes         = 2 << 30

	minLife     = time.Hour
	defaultLife = 72 * time.Hour
	maxLife     = 14 * 24 * time.Hour
)

func bad(format string, args ...any) error {
	return errs.New("expert", errs.Invalid, errs.InvalidInput, format, args...)
}

// line checks a text of one line.
func line(place, s string, least, most int) error {
	if n := utf8.RuneCountInString(s); !utf8.ValidString(s) || n > most || least > 0 && strings.TrimSpace(s) == "" {
		return bad("%s: it has between %d and %d characters", place, least, most)
	}
	if strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' }) {
		return bad("%s: it is one line, without control characters", place)
	}
	return nil
}

// prose checks a text of several lines.
func prose(place, s string, least, most int) error {
	if n := utf8.RuneCountInString(s); !utf8.ValidString(s) || n > most || least > 0 && strings.TrimSpace(s) == "" {
		return bad("%s: it has between %d and %d characters", place, least, most)
	}
	if strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\r' && r != '\t' }) {
		return bad("%s: it has control characters", place)
	}
	return nil
}

// Check refuses a receiver that is not wholly understood and fills in what was left out.
func (r *Receiver) Check() error {
	if err := line("name", r.Name, 1, maxName); err != nil {
		return err
	}
	if err := prose("about", r.About, 0, maxAbout); err != nil {
		return err
	}
	if (len(r.Mail) == 0) == (r.URL == "") {
		return bad("give mail addresses or a web hook's url, one of the two")
	}
	if len(r.Mail) > maxMail {
		return bad("mail: at most %d addresses", maxMail)
	}
	for i, m := range r.Mail {
		a, err := mail.ParseAddress(m)
		if err != nil || len(m) > 320 || strings.ContainsAny(a.Address, "\r\n") {
			return bad("mail[%d]: it is no mail address", i)
		}
		r.Mail[i] = a.Address
	}
	if r.URL != "" {
		if err := notify.CheckURL("url", r.URL); err != nil {
			return err
		}
	}
	switch {
	case r.Hand == "" || strings.EqualFold(string(r.Hand), string(ByLink)):
		r.Hand = ByLink
	case strings.EqualFold(string(r.Hand), string(ByAttached)):
		r.Hand = ByAttached
	default:
		return bad("handover: it is %s or %s", ByLink, ByAttached)
	}
	if err := r.checkKeys(); err != nil {
		return err
	}
	if r.Hand == ByAttached && len(r.Mail) > 0 && len(r.Keys) == 0 && !r.Plain {
		return bad("handover: a mail lies open on every server on its way; give keys to encrypt its attachment to, or allow plain attachments")
	}
	least, most := defaultBytes, int64(maxBytes)
	if r.Hand == ByAttached && len(r.Mail) > 0 {
		least, most = defaultMailBytes, maxMailBytes
	}
	if r.MaxBytes == 0 {
		r.MaxBytes = int64(least)
	}
	if r.MaxBytes < minBytes || r.MaxBytes > most {
		return bad("maxBytes: between %d and %d", minBytes, most)
	}
	if r.Life == 0 {
		r.Life = defaultLife
	}
	if r.Life < minLife || r.Life > maxLife {
		return bad("linkHours: between %d and %d", minLife/time.Hour, maxLife/time.Hour)
	}
	if r.Base != "" {
		u, err := url.Parse(r.Base)
		if err != nil || len(r.Base) > 2048 || u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
			return bad("linkBase: it is https://HOST, the address at which the receiver reaches this server")
		}
		r.Base = strings.TrimRight(r.Base, "/")
	}
	if len(r.Groups) > maxGroups {
		return bad("rbacGroupIds: at most %d", maxGroups)
	}
	return nil
}

func (r *Receiver) checkKeys() error {
	if len(r.Keys) > maxKeys {
		return bad("keys: at most %d", maxKeys)
	}
	for i, k := range r.Keys {
		if _, err := recipient(k); err != nil {
			return bad("keys[%d]: it is no public key of age (age1…) or of ssh (ssh-ed25519 or ssh-rsa)", i)
		}
		r.Keys[i] = strings.TrimSpace(k)
	}
	return nil
}

// recipient reads a public key. A private one is refused like everything else that is none.
func recipient(key string) (age.Recipient, error) {
	key = strings.TrimSpace(key)
	if len(key) > maxKey {
		return nil, fmt.Errorf("more than %d bytes", maxKey)
	}
	if strings.HasPrefix(key, "ssh-") {
		return agessh.ParseRecipient(key)
	}
	list, err := age.ParseRecipients(bytes.NewReader([]byte(key)))
	if err != nil {
		return nil, err
	}
	if len(list) != 1 {
		return nil, fmt.Errorf("%d keys", len(list))
	}
	return list[0], nil
}

// kind is how messages to the receiver are sent, and to where.
func (r *Receiver) kind() (notify.Kind, []string) {
	if r.URL != "" {
		return notify.ByHook, []string{r.URL}
	}
	return notify.ByMail, r.Mail
}

// Receivers returns the tenant's receivers by id. Their secrets are sealed.
func (s *Service) Receivers(ctx context.Context, tenant ident.TenantID) ([]*Receiver, error) {
	rs, err := s.cfg.Receivers.Receivers(ctx, tenant)
	return rs, errs.Wrap("expert.Receivers", err)
}

// Receiver returns one receiver.
func (s *Service) Receiver(ctx context.Context, tenant ident.TenantID, id ident.ReceiverID) (*Receiver, error) {
	rs, err := s.Receivers(ctx, tenant)
	if err != nil {
		return nil, err
	}
	for _, r := range rs {
		if r.ID == id {
			return r, nil
		}
	}
	return nil, noReceiver(id)
}

func noReceiver(id ident.ReceiverID) error {
	return errs.New("expert.Receiver", errs.NotFound, errs.ResourceNotFound, "Expert receiver %d was not found", id)
}

// CreateReceiver keeps a new receiver, whose Secret is in the clear.
func (s *Service) CreateReceiver(ctx context.Context, by *access.Principal, r Receiver) (*Receiver, error) {
	const op = "expert.CreateReceiver"
	if err := r.Check(); err != nil {
		return nil, err
	}
	var err error
	if r.Secret, err = s.cfg.Outbox.Seal("secret", r.Secret); err != nil {
		return nil, errs.Wrap(op, err)
	}
	now := s.cfg.Clock().UTC()
	r.ID, r.Tenant, r.CreatedBy, r.Created, r.UpdatedBy, r.Updated = 0, by.Tenant, by.Actor, now, by.Actor, now
	err = s.cfg.Atomic(ctx, func(ctx context.Context) error {
		all, err := s.cfg.Receivers.Receivers(ctx, by.Tenant)
		if err == nil && len(all) >= maxReceivers {
			err = errs.New(op, errs.Exhausted, errs.QuotaExceeded, "a tenant has at most %d expert receivers", maxReceivers)
		}
		if err == nil {
			err = s.cfg.Receivers.CreateReceiver(ctx, &r)
		}
		if err != nil {
			return err
		}
		return s.record(ctx, by, "expert.receiver.create", r.ID.String(), r.tell())
	})
	return &r, errs.Wrap(op, err)
}

// tell says for the record where cases go from now on.
func (r *Receiver) tell() string {
	_, to := r.kind()
	open := "not encrypted"
	if len(r.Keys) > 0 {
		open = fmt.Sprintf("encrypted to %d keys", len(r.Keys))
	}
	return fmt.Sprintf("%s: %s to %s, %s", r.Name, r.Hand, strings.Join(to, ", "), open)
}

// UpdateReceiver changes a receiver. change sees no secret: one that it sets, in the clear,
// replaces the receiver's. Where its cases go is another matter when the address changes, so a
// new web hook drops the secret of the old one unless it brings its own.
func (s *Service) UpdateReceiver(ctx context.Context, by *access.Principal, id ident.ReceiverID, change func(*Receiver) error) (*Receiver, error) {
	const op = "expert.UpdateReceiver"
	var out *Receiver
	err := s.cfg.Atomic(ctx, func(ctx context.Context) error {
		var err error
		out, err = s.cfg.Receivers.UpdateReceiver(ctx, by.Tenant, id, func(r *Receiver) error {
			was := *r
			r.Secret = ""
			if err := change(r); err != nil {
				return err
			}
			if r.MaxBytes == was.MaxBytes && r.Hand != was.Hand {
				r.MaxBytes = 0 // what is usual for the one is too much for the other
			}
			if err := r.Check(); err != nil {
				return err
			}
			sealed, err := s.cfg.Outbox.Seal("secret", r.Secret)
			if err != nil {
				return err
			}
			if r.Secret = sealed; sealed == "" && r.URL == was.URL {
				r.Secret = was.Secret
			}
			r.ID, r.Tenant, r.CreatedBy, r.Created, r.UpdatedBy, r.Updated = was.ID, was.Tenant, was.CreatedBy, was.Created, by.Actor, s.cfg.Clock().UTC()
			return nil
		})
		if err != nil {
			return err
		}
		return s.record(ctx, by, "expert.receiver.update", id.String(), out.tell())
	})
	if errs.Is(err, errs.NotFound) {
		err = noReceiver(id)
	}
	return out, errs.Wrap(op, err)
}

// DeleteReceiver forgets a receiver; cases whose bundle is made are handed over all the same.
func (s *Service) DeleteReceiver(ctx context.Context, by *access.Principal, id ident.ReceiverID) error {
	err := s.cfg.Atomic(ctx, func(ctx context.Context) error {
		if err := s.cfg.Receivers.DeleteReceiver(ctx, by.Tenant, id); err != nil {
			return err
		}
		return s.record(ctx, by, "expert.receiver.delete", id.String(), "")
	})
	if errs.Is(err, errs.NotFound) {
		err = noReceiver(id)
	}
	return errs.Wrap("expert.DeleteReceiver", err)
}

// TestReceiver sends a message without a case at once, and returns what was answered, or why
// it was not taken.
func (s *Service) TestReceiver(ctx context.Context, by *access.Principal, id ident.ReceiverID) (answer string, err error) {
	r, err := s.Receiver(ctx, by.Tenant, id)
	if err != nil {
		return "", err
	}
	answer, failed := s.cfg.Sender.Try(ctx, s.trial(r))
	outcome := audit.Done
	if failed != nil {
		outcome = audit.Failed
	}
	if err := s.cfg.Audit.Record(ctx, audit.Entry{At: s.cfg.Clock().UTC(), Tenant: by.Tenant, Actor: by.Actor, Verb: "expert.receiver.test", Object: id.String(), Outcome: outcome}); err != nil {
		return "", errs.Wrap("expert.TestReceiver", err)
	}
	return answer, failed
}

func (s *Service) record(ctx context.Context, by *access.Principal, verb, object, detail string) error {
	return s.cfg.Audit.Record(ctx, audit.Entry{At: s.cfg.Clock().UTC(), Tenant: by.Tenant, Actor: by.Actor, Verb: verb, Object: object, Detail: detail, Outcome: audit.Done})
}
