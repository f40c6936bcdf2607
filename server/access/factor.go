package access

import (
	"context"
	"slices"
	"time"

	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
)

// The reasons for which a second factor, or a sign-in that waits for one, is refused.
const (
	FactorWrong   errs.Code = "FactorWrong"   // the code does not fit, or was used before
	FactorLocked  errs.Code = "FactorLocked"  // too many wrong codes: wait
	FactorMissing errs.Code = "FactorMissing" // there is none, or none that waits to be confirmed
	FactorNeeded  errs.Code = "FactorNeeded"  // the password alone is not enough
	FactorUnset   errs.Code = "FactorUnset"   // one is required and the person has set up none
	SignInStale   errs.Code = "SignInStale"   // it waited too long for its second step: begin again
)

// Factor is the second factor of a person: a secret that a program on something they carry
// makes codes of (RFC 6238), and codes for the day on which that is lost. The zero Factor
// is none.
type Factor struct {
	Secret string    `json:",omitempty"` // sealed; "" while none is on
	Since  time.Time `json:",omitzero"`
	Taken  int64     `json:",omitempty"` // the step of the last code that was taken: no code is taken twice
	// Recovery is the keyed hashes, in hexadecimal, of recovery codes that were not used.
	Recovery []string `json:",omitempty"`
	// Pending is the sealed secret of one that is to be confirmed, Begun when it was made.
	Pending string    `json:",omitempty"`
	Begun   time.Time `json:",omitzero"`
	// Failed counts the wrong codes since the last right one.
	Failed   int       `json:",omitempty"`
	FailedAt time.Time `json:",omitzero"`
}

// On reports whether signing in asks for it.
func (f Factor) On() bool { return f.Secret != "" }

// Bounds of second factors.
const (
	// pendingLife is how long a secret waits to be confirmed.
	pendingLife = 15 * time.Minute
	// freeFailures may go wrong at once; each further wrong code doubles the wait, from
	// firstWait to lastWait. Who knows the password and guesses gets one code an hour then.
	freeFailures  = 5
	firstWait     = 30 * time.Second
	lastWait      = time.Hour
	recoveryCodes = 10
	recoveryBytes = 10 // of each: 80 bits
)

// wait is how long no code is looked at.
func (f Factor) wait(now time.Time) time.Duration {
	if f.Failed < freeFailures {
		return 0
	}
	span := lastWait
	if n := f.Failed - freeFailures; n < 7 {
		span = min(lastWait, firstWait<<n)
	}
	return max(0, f.FailedAt.Add(span).Sub(now))
}

// Requirement says of whom a second factor is required.
type Requirement string

// The requirements. The zero value is NotRequired.
const (
	NotRequired      Requirement = "None"
	RequiredOfAll    Requirement = "All"
	RequiredByRole   Requirement = "Roles"
	maxPolicyRoles               = 100
	factorIssuer                 = "Vedette"
	maxFactorCode                = 64
	maxPendingSignIn             = 4096
)

// SignInPolicy is what a tenant asks of people who sign in with a password, or by a
// provider that is told to ask for a second factor of this server's.
type SignInPolicy struct {
	Tenant   ident.TenantID
	Required Requirement
	Roles    []ident.RoleID // whose holders need one, with RequiredByRole
	Changed  time.Time      // zero while it was never set
}

// PolicyStore keeps what tenants ask of people who sign in.
type PolicyStore interface {
	// SignInPolicy returns a tenant's; one that was never set is its zero value.
	SignInPolicy(ctx context.Context, tenant ident.TenantID) (*SignInPolicy, error)
	// PutSignInPolicy keeps one.
	PutSignInPolicy(ctx context.Context, p *SignInPolicy) error
}

// noPolicies is the PolicyStore of who has none.
type noPolicies struct{}

// SignInPolicy implements PolicyStore.
func (noPolicies) SignInPolicy(_ context.Context, tenant ident.TenantID) (*SignInPolicy, error) {
	return &SignInPolicy{Tenant: tenant, Required: NotRequired}, nil
}

// PutSignInPolicy implements PolicyStore.
func (noPolicies) PutSignInPolicy(context.Context, *SignInPolicy) error {
	return errs.New("access", errs.Unsupported, errs.DisabledFeature, "no policies are kept here")
}

// SignInPolicy returns what the tenant asks of people who sign in.
func (d *Directory) SignInPolicy(ctx context.Context, tenant ident.TenantID) (*SignInPolicy, error) {
	p, err := d.policies.SignInPolicy(ctx, tenant)
	if err == nil && p.Required == "" {
		p.Required = NotRequired
	}
	return p, errs.Wrap("access.SignInPolicy", err)
}

// SetSignInPolicy says of whom a second factor is required. It counts from the next
// sign-in: who is signed in stays so.
func (d *Directory) SetSignInPolicy(ctx context.Context, tenant ident.TenantID, required Requirement, roles []ident.RoleID) (*SignInPolicy, error) {
	const op = "access.SetSignInPolicy"
	switch {
	case !slices.Contains([]Requirement{NotRequired, RequiredOfAll, RequiredByRole}, required):
		return nil, errs.New(op, errs.Invalid, errs.InvalidInput, "secondFactor is %q: it is %s, %s or %s", clip(string(required)), NotRequired, RequiredOfAll, RequiredByRole)
	case required == RequiredByRole && len(roles) == 0:
		return nil, errs.New(op, errs.Invalid, errs.MissingRequiredParameter, "roles is empty: name those whose holders need a second factor")
	case required != RequiredByRole && len(roles) > 0:
		return nil, errs.New(op, errs.Invalid, errs.InvalidInput, "roles are named with secondFactor %s alone", RequiredByRole)
	case len(roles) > maxPolicyRoles:
		return nil, errs.New(op, errs.Invalid, errs.InvalidInput, "roles: %d of them, at most %d", len(roles), maxPolicyRoles)
	}
	if err := d.checkRoles(ctx, tenant, roles); err != nil {
		return nil, errs.Wrap(op, err)
	}
	p := &SignInPolicy{Tenant: tenant, Required: required, Roles: slices.Clone(roles), Changed: d.now().UTC()}
	return p, errs.Wrap(op, d.policies.PutSignInPolicy(ctx, p))
}

// FactorRequired reports whether the tenant requires a second factor of the person.
func (d *Directory) FactorRequired(ctx context.Context, p *Person) (bool, error) {
	const op = "access.FactorRequired"
	policy, err := d.SignInPolicy(ctx, p.Tenant)
	if err != nil {
		return false, errs.Wrap(op, err)
	}
	switch policy.Required {
	case RequiredOfAll:
		return true, nil
	case RequiredByRole:
		s, err := standing(ctx, d.roles, d.groups, p)
		return slices.ContainsFunc(s.Roles, func(r ident.RoleID) bool { return slices.Contains(policy.Roles, r) }), errs.Wrap(op, err)
	}
	return false, nil
}
