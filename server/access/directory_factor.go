package access

import (
	"context"
	"encoding/base32"
	"encoding/hex"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
)

// Sealer keeps secrets unreadable in the store.
type Sealer interface {
	// Seal encrypts and authenticates b for the purpose.
	Seal(purpose string, b []byte) (string, error)
	// Unseal returns what was sealed for the purpose; anything else is an error.
	Unseal(purpose, text string) ([]byte, error)
}

// Enrolment is a second factor that waits to be confirmed, as the person's program takes
// it. It is shown once.
type Enrolment struct {
	Secret  string // base32 without padding
	Address string // otpauth://…, for a QR code
}

func factorPurpose(p *Person) string { return "second-factor/" + string(p.Tenant) + "/" + string(p.ID) }

// BeginFactor makes a secret that the person's program is to hold. It counts when a code
// of it was given to ConfirmFactor; until then what the person had goes on.
func (d *Directory) BeginFactor(ctx context.Context, tenant ident.TenantID, id ident.UserID) (*Enrolment, error) {
	const op = "access.BeginFactor"
	if d.sealer == nil {
		return nil, errs.New(op, errs.Unsupported, errs.DisabledFeature, "second factors are not kept here")
	}
	secret := make([]byte, otpSecret)
	if _, err := io.ReadFull(d.rand, secret); err != nil {
		return nil, errs.Wrap(op, err)
	}
	var out *Enrolment
	_, err := d.people.UpdatePerson(ctx, tenant, id, func(p *Person) error {
		sealed, err := d.sealer.Seal(factorPurpose(p), secret)
		if err != nil {
			return err
		}
		p.Factor.Pending, p.Factor.Begun = sealed, d.now().UTC()
		text := otpText.EncodeToString(secret)
		out = &Enrolment{Secret: text, Address: otpAddress(factorIssuer, p.Login, text)}
		return nil
	})
	if err != nil {
		return nil, errs.Wrap(op, err)
	}
	return out, nil
}

// ConfirmFactor turns on the second factor that BeginFactor made, in place of one that the
// person had, and returns the recovery codes, which are kept nowhere.
func (d *Directory) ConfirmFactor(ctx context.Context, tenant ident.TenantID, id ident.UserID, code string) ([]string, error) {
	const op = "access.ConfirmFactor"
	texts, hashes, err := d.newRecovery()
	if err != nil {
		return nil, errs.Wrap(op, err)
	}
	err = d.tryFactor(ctx, tenant, id, func(p *Person, now time.Time) (bool, error) {
		if p.Factor.Pending == "" || now.Sub(p.Factor.Begun) >= pendingLife {
			return false, errs.New(op, errs.Conflict, FactorMissing, "no second factor waits to be confirmed: begin again")
		}
		secret, err := d.sealer.Unseal(factorPurpose(p), p.Factor.Pending)
		if err != nil {
			return false, err
		}
		step, ok := otpFits(secret, digitsOf(code), now, 0)
		if ok {
			p.Factor = Factor{Secret: p.Factor.Pending, Since: now, Taken: step, Recovery: hashes}
		}
		return ok, nil
	})
	if err != nil {
		return nil, errs.Wrap(op, err)
	}
	return texts, nil
}

// CheckFactor takes a code of the person's program, or one of their recovery codes, each
// once.
func (d *Directory) CheckFactor(ctx context.Context, tenant ident.TenantID, id ident.UserID, code string) error {
	const op = "access.CheckFactor"
	err := d.tryFactor(ctx, tenant, id, func(p *Person, now time.Time) (bool, error) {
		if !p.Factor.On() {
			return false, errs.New(op, errs.Conflict, FactorMissing, "there is no second factor")
		}
		if digits := digitsOf(code); len(digits) == otpDigits {
			secret, err := d.sealer.Unseal(factorPurpose(p), p.Factor.Secret)
			if err != nil {
				return false, err
			}
			step, ok := otpFits(secret, digits, now, p.Factor.Taken)
			if ok {
				p.Factor.Taken = step
			}
			return ok, nil
		}
		at := slices.Index(p.Factor.Recovery, d.recoveryHash(code))
		if at >= 0 {
			p.Factor.Recovery = slices.Delete(p.Factor.Recovery, at, at+1)
		}
		return at >= 0, nil
	})
	return errs.Wrap(op, err)
}

// tryFactor looks at a code within a transaction of the person, so that guesses that come
// at once count one by one. try changes the person when the code fits.
func (d *Directory) tryFactor(ctx context.Context, tenant ident.TenantID, id ident.UserID, try func(p *Person, now time.Time) (bool, error)) error {
	const op = "access.tryFactor"
	if d.sealer == nil {
		return errs.New(op, errs.Unsupported, errs.DisabledFeature, "second factors are not kept here")
	}
	var refused error
	_, err := d.people.UpdatePerson(ctx, tenant, id, func(p *Person) error {
		now := d.now().UTC()
		if wait := p.Factor.wait(now); wait > 0 {
			return &errs.E{Op: op, Kind: errs.Limited, Code: FactorLocked, Retry: wait, Detail: "there were too many wrong codes: wait and try again"}
		}
		ok, err := try(p, now)
		if err != nil {
			return err
		}
		if ok {
			p.Factor.Failed, p.Factor.FailedAt = 0, time.Time{}
			return nil
		}
		p.Factor.Failed, p.Factor.FailedAt = p.Factor.Failed+1, now
		refused = errs.New(op, errs.Unauthenticated, FactorWrong, "the code is wrong or was used before")
		return nil
	})
	if err != nil {
		return err
	}
	return refused
}

// NewRecoveryCodes replaces the person's recovery codes and returns them, once.
func (d *Directory) NewRecoveryCodes(ctx context.Context, tenant ident.TenantID, id ident.UserID) ([]string, error) {
	const op = "access.NewRecoveryCodes"
	texts, hashes, err := d.newRecovery()
	if err != nil {
		return nil, errs.Wrap(op, err)
	}
	_, err = d.people.UpdatePerson(ctx, tenant, id, func(p *Person) error {
		if !p.Factor.On() {
			return errs.New(op, errs.Conflict, FactorMissing, "there is no second factor")
		}
		p.Factor.Recovery = hashes
		return nil
	})
	if err != nil {
		return nil, errs.Wrap(op, err)
	}
	return texts, nil
}

// RemoveFactor forgets the person's second factor and what programs were signed in to with
// it. Where one is required the next sign-in asks them to set up another.
func (d *Directory) RemoveFactor(ctx context.Context, tenant ident.TenantID, id ident.UserID) (*Person, error) {
	const op = "access.RemoveFactor"
	p, err := d.people.UpdatePerson(ctx, tenant, id, func(p *Person) error {
		p.Factor = Factor{}
		return nil
	})
	if err != nil {
		return nil, errs.Wrap(op, err)
	}
	return p, errs.Wrap(op, d.endSignIns(ctx, tenant, id))
}

// recoveryText is Crockford's alphabet: nothing in it is taken for something else.
var recoveryText = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

func (d *Directory) newRecovery() (texts, hashes []string, err error) {
	for range recoveryCodes {
		raw := make([]byte, recoveryBytes)
		if _, err := io.ReadFull(d.rand, raw); err != nil {
			return nil, nil, err
		}
		t := recoveryText.EncodeToString(raw)
		text := t[:4] + "-" + t[4:8] + "-" + t[8:12] + "-" + t[12:]
		texts, hashes = append(texts, text), append(hashes, d.recoveryHash(text))
	}
	return texts, hashes, nil
}

// recoveryHash is of the code as it was made, however somebody copied it from paper.
func (d *Directory) recoveryHash(code string) string {
	if len(code) > maxFactorCode {
		return ""
	}
	plain := strings.NewReplacer("-", "", " ", "", "o", "0", "i", "1", "l", "1").Replace(strings.ToLower(code))
	return hex.EncodeToString(d.hash("recovery/" + plain))
}

// digitsOf is a code without the spaces that programs show in it; "" for what is no code of
// a program.
func digitsOf(code string) string {
	if len(code) > maxFactorCode {
		return ""
	}
	plain := strings.ReplaceAll(strings.TrimSpace(code), " ", "")
	if strings.Trim(plain, "0123456789") != "" {
		return ""
	}
	return plain
}
