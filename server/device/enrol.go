package device

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
)

// copiesAllowed bounds how many copies of one cloned identity may enrol again by the
// cloned key alone; beyond it each needs a token.
const copiesAllowed = 16

// certificatesKept bounds Device.Certificates; the oldest go first.
const certificatesKept = 8

// New returns the service.
func New(c Config) *Service {
	s := &Service{store: c.Store, tokens: c.Tokens, groups: c.Groups, moved: c.Moved, key: c.TokenKey, now: c.Clock, rand: c.Rand, protections: c.Protections}
	if s.now == nil {
		s.now = time.Now
	}
	if s.rand == nil {
		s.rand = rand.Reader
	}
	return s
}

// TokenRequest describes a token to be made.
type TokenRequest struct {
	Name  string
	Life  time.Duration // 0 for no expiry
	Limit int           // 0 for no limit
	Tags  []string
}

// EnrolmentTokens returns the tokens of a tenant, oldest first, those that have ended too.
func (s *Service) EnrolmentTokens(ctx context.Context, tenant ident.TenantID) ([]*Token, error) {
	out, err := s.tokens.Tokens(ctx, tenant)
	return out, errs.Wrap("device.EnrolmentTokens", err)
}

// RevokeToken ends a token; what enrolled by it stays. Errors: errs.NotFound.
func (s *Service) RevokeToken(ctx context.Context, tenant ident.TenantID, hash [32]byte) error {
	return errs.Wrap("device.RevokeToken", s.tokens.RevokeToken(ctx, tenant, hash))
}

// NewToken makes an enrolment token and returns its text, which is not kept.
func (s *Service) NewToken(ctx context.Context, tenant ident.TenantID, r TokenRequest) (string, *Token, error) {
	const op = "device.NewToken"
	if r.Life < 0 || r.Limit < 0 {
		return "", nil, errs.New(op, errs.Invalid, errs.InvalidInput, "life and limit of a token are not negative")
	}
	var raw [32]byte
	if _, err := io.ReadFull(s.rand, raw[:]); err != nil {
		return "", nil, errs.Wrap(op, err)
	}
	text := "vet_" + base64.RawURLEncoding.EncodeToString(raw[:])
	t := &Token{Hash: s.hash(text), Tenant: tenant, Name: r.Name, Created: s.now().UTC(), Limit: r.Limit}
	if r.Life > 0 {
		t.Expires = t.Created.Add(r.Life)
	}
	for _, tag := range r.Tags {
		tag, err := checkTag(tag)
		if err != nil {
			return "", nil, errs.Wrap(op, err)
		}
		t.Tags = append(t.Tags, tag)
	}
	slices.Sort(t.Tags)
	t.Tags = slices.Compact(t.Tags)
	if err := s.tokens.AddToken(ctx, t); err != nil {
		return "", nil, errs.Wrap(op, err)
	}
	return text, t, nil
}

func (s *Service) hash(text string) (h [32]byte) {
	m := hmac.New(sha256.New, s.key)
	m.Write([]byte(text))
	copy(h[:], m.Sum(nil))
	return h
}

// Identity is what a device's certificate says: who it is, and which enrolment of it.
type Identity struct {
	Device      ident.DeviceID
	Incarnation uint64
	Serial      string // of the certificate, lower-case hexadecimal
}

// Enrolment is one computer's wish to be a device. The caller has verified Previous: the
// computer proved that it holds the key of that certificate.
type Enrolment struct {
	Token        string
	Previous     *Identity
	Name         string
	Platform     string
	AgentVersion string
	Protocol     int
	Fingerprint  [32]byte
	ExternalIP   string
}

// Enrol admits a computer and returns its device. A computer that proves to be the
// present incarnation of a device stays that device with the next incarnation; every
// other one becomes a new device, because a fingerprint is a claim that anybody can copy.
// The right to enrol is a token, or the key of an identity that was seen cloned; without
// either it is errs.Unauthenticated with the code TokenInvalid.
func (s *Service) Enrol(ctx context.Context, e Enrolment) (*Device, error) {
	const op = "device.Enrol"
	if err := e.check(); err != nil {
		return nil, err
	}
	var tok *Token
	if e.Token != "" {
		t, err := s.tokens.UseToken(ctx, s.hash(e.Token), s.now())
		if err != nil {
			return nil, errs.Wrap(op, err)
		}
		tok = t
	}
	if e.Previous != nil {
		d, tenant, err := s.again(ctx, e, tok)
		if d != nil || err != nil {
			return d, errs.Wrap(op, err)
		}
		if tenant != "" {
			return s.create(ctx, e, tenant, nil)
		}
	}
	if tok == nil {
		return nil, errs.New(op, errs.Unauthenticated, errs.TokenInvalid, "a valid enrolment token is needed")
	}
	return s.create(ctx, e, tok.Tenant, tok.Tags)
}

// again enrols a computer that holds the key of an earlier certificate. It returns the
// device when the computer goes on as that device, or the tenant in which it may become a
// new one, or neither when the key gives it no right.
func (s *Service) again(ctx context.Context, e Enrolment, tok *Token) (*Device, ident.TenantID, error) {
	old, err := s.store.Locate(ctx, e.Previous.Device)
	if errs.Is(err, errs.NotFound) {
		return nil, "", nil
	}
	if err != nil {
		return nil, "", err
	}
	if tok != nil && tok.Tenant != old.Tenant {
		return nil, "", nil
	}
	var same, other bool
	d, err := s.update(ctx, old.Tenant, old.ID, func(d *Device) error {
		same, other = false, false
		cloned := d.Clone != nil && d.Clone.Incarnation == e.Previous.Incarnation && d.Clone.Left > 0
		if tok == nil && !cloned {
			return nil
		}
		if tok == nil {
			d.Clone.Left--
		}
		if d.Incarnation != e.Previous.Incarnation {
			other = true
			return nil
		}
		same = true
		d.Incarnation++
		d.Name, d.Platform, d.AgentVersion, d.Protocol = e.Name, e.Platform, e.AgentVersion, e.Protocol
		d.Fingerprint, d.ExternalIP, d.LastSeen = e.Fingerprint, e.ExternalIP, s.now().UTC()
		return nil
	})
	switch {
	case err != nil:
		return nil, "", err
	case same:
		return d, "", nil
	case other && tok == nil:
		return nil, d.Tenant, nil
	}
	return nil, "", nil
}

func (s *Service) create(ctx context.Context, e Enrolment, tenant ident.TenantID, tags []string) (*Device, error) {
	const op = "device.create"
	var raw [32]byte
	if _, err := io.ReadFull(s.rand, raw[:]); err != nil {
		return nil, errs.Wrap(op, err)
	}
	sum := sha1.Sum(raw[:])
	twins, err := s.store.List(ctx, tenant, Query{Fingerprint: &e.Fingerprint, Limit: 1})
	if err != nil {
		return nil, errs.Wrap(op, err)
	}
	now := s.now().UTC()
	d := &Device{
		ID: ident.DeviceID(hex.EncodeToString(sum[:])), Tenant: tenant, Name: e.Name, Incarnation: 1,
		Fingerprint: e.Fingerprint, Duplicate: len(twins) > 0 && e.Fingerprint != [32]byte{},
		FirstSeen: now, LastSeen: now, ExternalIP: e.ExternalIP, Platform: e.Platform,
		AgentVersion: e.AgentVersion, Protocol: e.Protocol, Tags: slices.Clone(tags), Value: Normal,
	}
	d.Group = s.groupOf(d)
	if err := s.store.Create(ctx, d); err != nil {
		return nil, errs.Wrap(op, err)
	}
	return d, nil
}

func (e *Enrolment) check() error {
	e.Name = strings.ToLower(strings.TrimSpace(e.Name))
	for _, t := range []struct {
		name, s string
		max     int
	}{{"name", e.Name, 255}, {"platform", e.Platform, 64}, {"agent version", e.AgentVersion, 64}, {"token", e.Token, 512}} {
		if len(t.s) > t.max || !utf8.ValidString(t.s) {
			return errs.New("device.Enrol", errs.Invalid, errs.InvalidInput, "the %s is longer than %d bytes or not UTF-8", t.name, t.max)
		}
	}
	if e.Name == "" {
		return errs.New("device.Enrol", errs.Invalid, errs.InvalidInput, "the name is empty")
	}
	return nil
}

// Issued records a certificate that was issued to the device.
func (s *Service) Issued(ctx context.Context, tenant ident.TenantID, id ident.DeviceID, c Certificate) error {
	_, err := s.update(ctx, tenant, id, func(d *Device) error {
		d.Certificates = append(d.Certificates, c)
		if n := len(d.Certificates) - certificatesKept; n > 0 {
			d.Certificates = slices.Delete(d.Certificates, 0, n)
		}
		return nil
	})
	return errs.Wrap("device.Issued", err)
}

// Authenticate returns the device that a certificate stands for. An unknown device, or a
// certificate that was never recorded as issued, is errs.Unauthenticated with the code
// DeviceUnknown; an incarnation that is no longer the present one, or was seen cloned,
// with the code DeviceCloned: both tell the agent to enrol again.
func (s *Service) Authenticate(ctx context.Context, id Identity) (*Device, error) {
	const op = "device.Authenticate"
	d, err := s.store.Locate(ctx, id.Device)
	if errs.Is(err, errs.NotFound) {
		return nil, errs.New(op, errs.Unauthenticated, errs.DeviceUnknown, "no such device is enrolled")
	}
	if err != nil {
		return nil, errs.Wrap(op, err)
	}
	if d.Clone != nil && d.Clone.Incarnation == id.Incarnation {
		return nil, errs.New(op, errs.Unauthenticated, errs.DeviceCloned, "another copy uses this identity: enrol again")
	}
	if d.Incarnation != id.Incarnation {
		return nil, errs.New(op, errs.Unauthenticated, errs.DeviceUnknown, "the device has enrolled again since")
	}
	if d.Left() {
		return nil, errs.New(op, errs.Unauthenticated, errs.DeviceUnknown, "the device was offboarded: enrol it again with a token")
	}
	known := func(c Certificate) bool { return c.Serial == id.Serial }
	if !slices.ContainsFunc(d.Certificates, known) {
		return nil, errs.New(op, errs.Unauthenticated, errs.DeviceUnknown, "the certificate is not one of the device's")
	}
	return d, nil
}

// Cloned records that two copies speak as the given incarnation: from now on neither is
// authenticated, and each may enrol again by the key it holds.
func (s *Service) Cloned(ctx context.Context, tenant ident.TenantID, id ident.DeviceID, incarnation uint64) error {
	_, err := s.update(ctx, tenant, id, func(d *Device) error {
		if d.Clone == nil || d.Clone.Incarnation != incarnation {
			d.Clone = &Clone{At: s.now().UTC(), Incarnation: incarnation, Left: copiesAllowed}
		}
		return nil
	})
	return errs.Wrap("device.Cloned", err)
}
