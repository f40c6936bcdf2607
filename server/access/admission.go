package access

import (
	"context"
	"crypto/hmac"
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"

	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
)

// Step is what a person who proved who they are still has to do before they are let in.
type Step string

// The steps.
const (
	Admitted   Step = ""      // nothing: they are in
	EnterCode  Step = "code"  // give a code of their second factor
	SetUpCodes Step = "enrol" // set up a second factor, because one is required
)

// Admission is how far somebody got in signing in. Nobody is let in on one whose Step is
// not Admitted: Sessions.Open refuses it, and no program gets a token.
type Admission struct {
	Person *Person
	Step   Step
	// Provider is the identity provider that vouched for the person; "" for a password.
	Provider ident.ProviderID
	// Token is the provider's sealed identity token, by which it is told who signs out.
	Token string
}

// Admit says what somebody has to do whose password, or whose provider, was believed.
// factor tells whether a second factor of this server's is asked for at all.
func (d *Directory) Admit(ctx context.Context, p *Person, provider ident.ProviderID, factor bool) (*Admission, error) {
	out := &Admission{Person: p, Provider: provider}
	if !factor {
		return out, nil
	}
	if p.Factor.On() {
		out.Step = EnterCode
		return out, nil
	}
	required, err := d.FactorRequired(ctx, p)
	if err != nil {
		return nil, errs.Wrap("access.Admit", err)
	}
	if required {
		out.Step = SetUpCodes
	}
	return out, nil
}

// CompleteByCode takes a code of the second factor of a person of whom one is asked.
func (d *Directory) CompleteByCode(ctx context.Context, a *Admission, code string) error {
	const op = "access.CompleteByCode"
	if a.Step != EnterCode {
		return errs.New(op, errs.Conflict, FactorMissing, "no code is asked for")
	}
	if err := d.CheckFactor(ctx, a.Person.Tenant, a.Person.ID, code); err != nil {
		return errs.Wrap(op, err)
	}
	a.Step = Admitted
	return nil
}

// CompleteByEnrolment turns on the second factor of a person who has to set one up, and
// returns the recovery codes.
func (d *Directory) CompleteByEnrolment(ctx context.Context, a *Admission, code string) ([]string, error) {
	const op = "access.CompleteByEnrolment"
	if a.Step != SetUpCodes {
		return nil, errs.New(op, errs.Conflict, FactorMissing, "no second factor is to be set up")
	}
	codes, err := d.ConfirmFactor(ctx, a.Person.Tenant, a.Person.ID, code)
	if err != nil {
		return nil, errs.Wrap(op, err)
	}
	a.Step = Admitted
	return codes, nil
}

// PendingLife is how long a sign-in waits for its second step.
const PendingLife = 10 * time.Minute

// waiting is what the text of an Admission holds.
type waiting struct {
	Purpose  string
	Tenant   ident.TenantID
	Person   ident.UserID
	Provider ident.ProviderID `json:",omitempty"`
	Factor   bool
	Begun    time.Time
}

// Suspend returns a text by which Continue goes on with the admission: authenticated, good
// for PendingLife and for that purpose alone. It is no credential: what is missing is still
// asked for.
func (d *Directory) Suspend(a *Admission, purpose string) (string, error) {
	b, err := json.Marshal(waiting{Purpose: purpose, Tenant: a.Person.Tenant, Person: a.Person.ID, Provider: a.Provider, Factor: a.Step != Admitted, Begun: d.now().UTC()})
	if err != nil {
		return "", errs.Wrap("access.Suspend", err)
	}
	body := base64.RawURLEncoding.EncodeToString(b)
	return body + "." + base64.RawURLEncoding.EncodeToString(d.hash("waiting/"+body)), nil
}

// Continue returns the admission that Suspend was given, with the step that is missing now. A text
// that is malformed, of another purpose or too old, and one of a person who may no longer
// sign in, is errs.Unauthenticated with code SignInStale.
func (d *Directory) Continue(ctx context.Context, text, purpose string) (*Admission, error) {
	const op = "access.Continue"
	stale := errs.New(op, errs.Unauthenticated, SignInStale, "this took too long: sign in again")
	body, sum, ok := strings.Cut(text, ".")
	mac, err := base64.RawURLEncoding.DecodeString(sum)
	if !ok || err != nil || len(text) > maxPendingSignIn || !hmac.Equal(mac, d.hash("waiting/"+body)) {
		return nil, stale
	}
	b, err := base64.RawURLEncoding.DecodeString(body)
	if err != nil {
		return nil, stale
	}
	var v waiting
	if err := json.Unmarshal(b, &v); err != nil {
		return nil, stale
	}
	if now := d.now(); v.Purpose != purpose || now.Sub(v.Begun) >= PendingLife || now.Before(v.Begun) {
		return nil, stale
	}
	p, err := d.people.Person(ctx, v.Tenant, v.Person)
	switch {
	case errs.Is(err, errs.NotFound):
		return nil, stale
	case err != nil:
		return nil, errs.Wrap(op, err)
	case !p.Disabled.IsZero() || p.Changed.After(v.Begun):
		return nil, stale
	}
	a, err := d.Admit(ctx, p, v.Provider, v.Factor)
	return a, errs.Wrap(op, err)
}
