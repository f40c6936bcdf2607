package access_test

import (
	"errors"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
)

const secondPassword = "a password of somebody"

// people is a fixture whose directory keeps second factors.
type people struct {
	*fixture
	ada *access.Person
}

func newPeople(t *testing.T) *people {
	t.Helper()
	f := setup(t)
	s := f.store
	f.dir = access.NewDirectory(access.DirectoryConfig{Tenants: s.Access(), Applications: s.Access(), People: s.Access(), Roles: s.Access(), Groups: s.Access(),
		SignIns: s.Access(), Policies: s.Access(), Sealer: s.Key(), SecretKey: s.Key().Derive("client-secret"), Clock: f.clock})
	ada, _, err := f.dir.NewPerson(t.Context(), f.first.Tenant.ID, "ada@example.org", secondPassword, []ident.RoleID{access.SecurityReader})
	if err != nil {
		t.Fatal(err)
	}
	return &people{f, ada}
}

// code is what an authenticator shows, as somebody else's program works it out.
func (p *people) code(t *testing.T, secret string, at time.Time) string {
	t.Helper()
	out, err := exec.Command("oathtool", "--totp", "-b", "-N", at.UTC().Format("2006-01-02 15:04:05 UTC"), secret).CombinedOutput()
	if err != nil {
		t.Fatalf("oathtool: %v: %s (make setup-test installs it)", err, out)
	}
	return strings.TrimSpace(string(out))
}

// enrol gives ada a second factor and returns its secret and recovery codes.
func (p *people) enrol(t *testing.T) (secret string, recovery []string) {
	t.Helper()
	e, err := p.dir.BeginFactor(t.Context(), p.ada.Tenant, p.ada.ID)
	if err != nil {
		t.Fatal(err)
	}
	recovery, err = p.dir.ConfirmFactor(t.Context(), p.ada.Tenant, p.ada.ID, p.code(t, e.Secret, p.now))
	if err != nil {
		t.Fatal(err)
	}
	p.now = p.now.Add(time.Minute)
	return e.Secret, recovery
}

func (p *people) check(t *testing.T, code string) error {
	t.Helper()
	return p.dir.CheckFactor(t.Context(), p.ada.Tenant, p.ada.ID, code)
}

func wantCode(t *testing.T, what string, err error, want errs.Code) {
	t.Helper()
	var e *errs.E
	if !errors.As(err, &e) || e.Code != want {
		t.Errorf("%s: %v, want %s", what, err, want)
	}
}

func TestASecondFactorCountsOnceItIsConfirmed(t *testing.T) {
	p := newPeople(t)
	e, err := p.dir.BeginFactor(t.Context(), p.ada.Tenant, p.ada.ID)
	if err != nil {
		t.Fatal(err)
	}
	a, err := p.dir.SignIn(t.Context(), p.ada.Tenant, p.ada.Login, secondPassword)
	if err != nil || a.Step != access.Admitted {
		t.Fatalf("before it is confirmed: %+v, %v", a, err)
	}
	_, err = p.dir.ConfirmFactor(t.Context(), p.ada.Tenant, p.ada.ID, "000000")
	wantCode(t, "a wrong code", err, access.FactorWrong)
	codes, err := p.dir.ConfirmFactor(t.Context(), p.ada.Tenant, p.ada.ID, p.code(t, e.Secret, p.now))
	if err != nil || len(codes) != 10 {
		t.Fatalf("%v, %v", codes, err)
	}
	a, err = p.dir.SignIn(t.Context(), p.ada.Tenant, p.ada.Login, secondPassword)
	if err != nil || a.Step != access.EnterCode {
		t.Fatalf("after: %+v, %v", a, err)
	}
	sessions := access.NewSessions(access.SessionsConfig{Store: p.store.Access(), Authority: p.authority, Key: []byte("k"), Clock: p.clock})
	_, _, err = sessions.Open(t.Context(), a, "", "")
	wantCode(t, "a session without the code", err, access.FactorNeeded)
	p.now = p.now.Add(time.Minute)
	if err := p.dir.CompleteByCode(t.Context(), a, p.code(t, e.Secret, p.now)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := sessions.Open(t.Context(), a, "", ""); err != nil {
		t.Error(err)
	}
	// What is kept tells neither the secret nor the recovery codes.
	kept, err := p.dir.Person(t.Context(), p.ada.Tenant, p.ada.ID)
	if err != nil || strings.Contains(kept.Factor.Secret, e.Secret) || slices.Contains(kept.Factor.Recovery, codes[0]) || kept.Factor.Pending != "" {
		t.Errorf("%v %+v", err, kept.Factor)
	}
}

func TestAPendingFactorExpires(t *testing.T) {
	p := newPeople(t)
	e, err := p.dir.BeginFactor(t.Context(), p.ada.Tenant, p.ada.ID)
	if err != nil {
		t.Fatal(err)
	}
	p.now = p.now.Add(16 * time.Minute)
	_, err = p.dir.ConfirmFactor(t.Context(), p.ada.Tenant, p.ada.ID, p.code(t, e.Secret, p.now))
	wantCode(t, "after a quarter of an hour", err, access.FactorMissing)
}

func TestEachCodeIsTakenOnce(t *testing.T) {
	p := newPeople(t)
	secret, recovery := p.enrol(t)
	code := p.code(t, secret, p.now)
	if err := p.check(t, code[:3]+" "+code[3:]); err != nil {
		t.Fatal(err)
	}
	wantCode(t, "the same code again", p.check(t, code), access.FactorWrong)
	wantCode(t, "an older code", p.check(t, p.code(t, secret, p.now.Add(-30*time.Second))), access.FactorWrong)
	if err := p.check(t, p.code(t, secret, p.now.Add(30*time.Second))); err != nil {
		t.Errorf("a clock that is ahead: %v", err)
	}
	// As somebody copies it from paper.
	if err := p.check(t, strings.ToUpper(strings.ReplaceAll(recovery[3], "-", " "))); err != nil {
		t.Errorf("a recovery code: %v", err)
	}
	wantCode(t, "the same recovery code", p.check(t, recovery[3]), access.FactorWrong)
	if err := p.check(t, recovery[4]); err != nil {
		t.Error(err)
	}
	again, err := p.dir.NewRecoveryCodes(t.Context(), p.ada.Tenant, p.ada.ID)
	if err != nil {
		t.Fatal(err)
	}
	wantCode(t, "a recovery code that was replaced", p.check(t, recovery[5]), access.FactorWrong)
	if err := p.check(t, again[0]); err != nil {
		t.Error(err)
	}
}

func TestTwoWhoBringTheSameCodeAtOnceAreNotBothLetIn(t *testing.T) {
	p := newPeople(t)
	secret, recovery := p.enrol(t)
	for what, code := range map[string]string{"a code": p.code(t, secret, p.now), "a recovery code": recovery[0]} {
		var wg sync.WaitGroup
		var mu sync.Mutex
		in := 0
		for range 4 {
			wg.Go(func() {
				if p.dir.CheckFactor(t.Context(), p.ada.Tenant, p.ada.ID, code) == nil {
					mu.Lock()
					in++
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		if in != 1 {
			t.Errorf("%s let %d in", what, in)
		}
	}
}

func TestGuessingASecondFactorGetsSlower(t *testing.T) {
	p := newPeople(t)
	secret, _ := p.enrol(t)
	for range 5 {
		wantCode(t, "a guess", p.check(t, "123456"), access.FactorWrong)
	}
	err := p.check(t, p.code(t, secret, p.now))
	wantCode(t, "the right code among guesses", err, access.FactorLocked)
	var e *errs.E
	if errors.As(err, &e); e.Retry != 30*time.Second || e.Kind != errs.Limited {
		t.Errorf("the wait is %v", e.Retry)
	}
	// Whoever goes on guessing waits an hour for each: 24 of 333,333 a day.
	tries, end := 0, p.now.Add(24*time.Hour)
	for p.now.Before(end) {
		p.now = p.now.Add(15 * time.Second)
		if err := p.check(t, "123456"); !errs.Is(err, errs.Limited) {
			tries++
		}
	}
	if tries > 32 {
		t.Errorf("%d guesses in a day", tries)
	}
	p.now = p.now.Add(time.Hour)
	if err := p.check(t, p.code(t, secret, p.now)); err != nil {
		t.Errorf("after waiting: %v", err)
	}
}

func TestASecondFactorIsRequiredAsThePolicySays(t *testing.T) {
	p := newPeople(t)
	tenant := p.ada.Tenant
	step := func() access.Step {
		t.Helper()
		a, err := p.dir.SignIn(t.Context(), tenant, p.ada.Login, secondPassword)
		if err != nil {
			t.Fatal(err)
		}
		return a.Step
	}
	set := func(r access.Requirement, roles ...ident.RoleID) {
		t.Helper()
		if _, err := p.dir.SetSignInPolicy(t.Context(), tenant, r, roles); err != nil {
			t.Fatal(err)
		}
	}
	if got := step(); got != access.Admitted {
		t.Errorf("with no policy: %q", got)
	}
	set(access.RequiredOfAll)
	if got := step(); got != access.SetUpCodes {
		t.Errorf("required of all: %q", got)
	}
	set(access.RequiredByRole, access.Admin)
	if got := step(); got != access.Admitted {
		t.Errorf("required of another role: %q", got)
	}
	// A role by way of a group counts.
	g, err := p.dir.NewUserGroup(t.Context(), tenant, access.UserGroupRequest{Name: "Admins", Roles: []ident.RoleID{access.Admin}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.dir.ChangePerson(t.Context(), tenant, p.ada.ID, access.PersonChange{Groups: &[]ident.UserGroupID{g.ID}}); err != nil {
		t.Fatal(err)
	}
	if got := step(); got != access.SetUpCodes {
		t.Errorf("required of a role that a group gives: %q", got)
	}
	for what, r := range map[string]struct {
		required access.Requirement
		roles    []ident.RoleID
	}{"no such requirement": {"Some", nil}, "no roles": {access.RequiredByRole, nil}, "an unknown role": {access.RequiredByRole, []ident.RoleID{"x"}}, "roles of all": {access.RequiredOfAll, []ident.RoleID{access.Admin}}} {
		if _, err := p.dir.SetSignInPolicy(t.Context(), tenant, r.required, r.roles); !errs.Is(err, errs.Invalid) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestAnAdministratorTakesAwayAFactor(t *testing.T) {
	p := newPeople(t)
	p.enrol(t)
	if _, err := p.dir.RemoveFactor(t.Context(), p.ada.Tenant, p.ada.ID); err != nil {
		t.Fatal(err)
	}
	if a, err := p.dir.SignIn(t.Context(), p.ada.Tenant, p.ada.Login, secondPassword); err != nil || a.Step != access.Admitted {
		t.Errorf("%+v %v", a, err)
	}
}

func TestASignInThatWaitsIsBoundAndEnds(t *testing.T) {
	p := newPeople(t)
	p.enrol(t)
	ctx := t.Context()
	begin := func() string {
		t.Helper()
		a, err := p.dir.SignIn(ctx, p.ada.Tenant, p.ada.Login, secondPassword)
		if err != nil {
			t.Fatal(err)
		}
		text, err := p.dir.Suspend(a, "here")
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	text := begin()
	if a, err := p.dir.Continue(ctx, text, "here"); err != nil || a.Step != access.EnterCode || a.Person.ID != p.ada.ID {
		t.Fatalf("%+v %v", a, err)
	}
	stale := func(what, text, purpose string) {
		t.Helper()
		_, err := p.dir.Continue(ctx, text, purpose)
		wantCode(t, what, err, access.SignInStale)
	}
	stale("another purpose", text, "there")
	stale("nothing", "", "here")
	stale("no seal", strings.SplitN(text, ".", 2)[0], "here")
	stale("another body", "e30"+text, "here")
	stale("a long text", strings.Repeat("x", 1<<20), "here")
	p.now = p.now.Add(access.PendingLife)
	stale("too late", text, "here")
	text = begin()
	p.now = p.now.Add(time.Second)
	if err := p.dir.SetPassword(ctx, p.ada.Tenant, p.ada.ID, "another password of somebody"); err != nil {
		t.Fatal(err)
	}
	stale("a changed password", text, "here")
}

func TestAnIdentityProviderVouches(t *testing.T) {
	p := newPeople(t)
	ctx, tenant := t.Context(), p.ada.Tenant
	v := access.Vouched{Provider: "p1", Subject: "s1", Login: "bob@example.org", Name: "Bob", Mail: "bob@example.org", Roles: []ident.RoleID{access.SecurityReader}}
	_, _, err := p.dir.Vouch(ctx, tenant, v)
	wantCode(t, "nobody of that name, none made", err, access.AccountUnknown)
	v.Create = true
	bob, made, err := p.dir.Vouch(ctx, tenant, v)
	if err != nil || !made || bob.Name != "Bob" || bob.Mail != "bob@example.org" || !bob.NoPassword || !slices.Equal(bob.Roles, v.Roles) {
		t.Fatalf("%+v %v %v", bob, made, err)
	}
	if _, err := p.dir.SignIn(ctx, tenant, bob.Login, ""); !errs.Is(err, errs.Unauthenticated) {
		t.Errorf("without a password: %v", err)
	}
	// The subject counts, whatever they are called now; roles change as the provider says.
	v.Login, v.Roles, v.Manages = "robert@example.org", []ident.RoleID{access.SecurityOperator}, true
	again, made, err := p.dir.Vouch(ctx, tenant, v)
	if err != nil || made || again.ID != bob.ID || again.Login != "bob@example.org" || !slices.Equal(again.Roles, v.Roles) {
		t.Errorf("%+v %v %v", again, made, err)
	}
	// Another subject cannot take a name that is taken.
	v.Subject, v.Login = "s2", "BOB@example.org"
	_, _, err = p.dir.Vouch(ctx, tenant, v)
	wantCode(t, "a name that is taken", err, access.AccountTaken)
	v.Link = true
	_, _, err = p.dir.Vouch(ctx, tenant, v)
	wantCode(t, "an account for which somebody vouches", err, access.AccountTaken)
	// An account of this server is taken over where that is allowed, and keeps its password.
	v.Login, v.Manages = p.ada.Login, false
	ada, made, err := p.dir.Vouch(ctx, tenant, v)
	if err != nil || !made || ada.ID != p.ada.ID || ada.NoPassword || !slices.Equal(ada.Roles, p.ada.Roles) {
		t.Errorf("%+v %v %v", ada, made, err)
	}
	yes := true
	if _, err := p.dir.ChangePerson(ctx, tenant, ada.ID, access.PersonChange{Disabled: &yes}); err != nil {
		t.Fatal(err)
	}
	_, _, err = p.dir.Vouch(ctx, tenant, v)
	wantCode(t, "a disabled account", err, access.AccountDisabled)
	if _, err := p.dir.Unlink(ctx, tenant, bob.ID); err != nil {
		t.Fatal(err)
	}
	no := false
	if _, err := p.dir.ChangePerson(ctx, tenant, bob.ID, access.PersonChange{NoPassword: &no}); !errs.Is(err, errs.Conflict) {
		t.Errorf("a password that is not there: %v", err)
	}
	for what, v := range map[string]access.Vouched{"no subject": {Provider: "p1"}, "a long subject": {Provider: "p1", Subject: strings.Repeat("x", 300)}, "bytes": {Provider: "p1", Subject: "\xff"}} {
		if _, _, err := p.dir.Vouch(ctx, tenant, v); !errs.Is(err, errs.Invalid) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestTheLastAdministratorWithAPasswordKeepsIt(t *testing.T) {
	p := newPeople(t)
	ctx, tenant, admin := t.Context(), p.first.Tenant.ID, p.first.Admin.ID
	yes := true
	_, err := p.dir.ChangePerson(ctx, tenant, admin, access.PersonChange{NoPassword: &yes})
	wantCode(t, "the last password", err, errs.DisallowedOperation)
	// An administrator for whom a provider vouches is no way in when the provider fails.
	v := access.Vouched{Provider: "p", Subject: "s", Login: "eve", Roles: []ident.RoleID{access.Admin}, Create: true, Manages: true}
	if _, _, err := p.dir.Vouch(ctx, tenant, v); err != nil {
		t.Fatal(err)
	}
	_, err = p.dir.ChangePerson(ctx, tenant, admin, access.PersonChange{Disabled: &yes})
	wantCode(t, "the last who has a password", err, errs.DisallowedOperation)
	if _, err := p.dir.ChangePerson(ctx, tenant, p.ada.ID, access.PersonChange{Roles: &[]ident.RoleID{access.Admin}}); err != nil {
		t.Fatal(err)
	}
	if _, err := p.dir.ChangePerson(ctx, tenant, admin, access.PersonChange{NoPassword: &yes}); err != nil {
		t.Errorf("one of two: %v", err)
	}
	if _, err := p.dir.SignIn(ctx, tenant, access.AdminLogin, p.first.Password); !errs.Is(err, errs.Unauthenticated) {
		t.Errorf("with a password that is off: %v", err)
	}
	v.Roles = nil
	if eve, _, err := p.dir.Vouch(ctx, tenant, v); err != nil || len(eve.Roles) != 0 {
		t.Errorf("an administrator who is none any more: %+v %v", eve, err)
	}
}
