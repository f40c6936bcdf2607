package storetest

import (
	"errors"
	"testing"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/sso"
)

// IdentityStore is what keeps how people sign in.
type IdentityStore interface {
	access.PersonStore
	access.PolicyStore
	sso.Store
}

// Identity tests how people sign in beside a password. open returns an empty store.
func Identity(t *testing.T, open func(testing.TB) IdentityStore) {
	t.Run("somebody-by-subject", func(t *testing.T) {
		s, ctx := open(t), t.Context()
		person := func(n int, login string, p ident.ProviderID, subject string) *access.Person {
			return &access.Person{ID: ident.UserID(guid(n)), Tenant: tenantA, Login: login, Created: base, Provider: p, Subject: subject}
		}
		ada := person(1, "ada", "p", "S")
		check(t, s.CreatePerson(ctx, ada))
		wantKind(t, "the same subject", s.CreatePerson(ctx, person(2, "bob", "p", "S")), errs.Conflict)
		check(t, s.CreatePerson(ctx, person(2, "bob", "q", "S")))
		check(t, s.CreatePerson(ctx, person(3, "carl", "", "")))
		check(t, s.CreatePerson(ctx, person(4, "dora", "", "")))
		got, err := s.PersonBySubject(ctx, tenantA, "p", "S")
		check(t, err)
		wantEqual(t, "somebody", got, ada)
		for what, find := range map[string][3]string{"another case": {string(tenantA), "p", "s"}, "another tenant": {string(tenantB), "p", "S"}, "nothing": {string(tenantA), "", ""}} {
			_, err := s.PersonBySubject(ctx, ident.TenantID(find[0]), ident.ProviderID(find[1]), find[2])
			wantKind(t, what, err, errs.NotFound)
		}
		_, err = s.UpdatePerson(ctx, tenantA, ident.UserID(guid(3)), func(p *access.Person) error { p.Provider, p.Subject = "p", "S"; return nil })
		wantKind(t, "a subject that is taken", err, errs.Conflict)
		_, err = s.UpdatePerson(ctx, tenantA, ident.UserID(guid(3)), func(p *access.Person) error { p.Provider, p.Subject = "p", "s"; return nil })
		check(t, err)
		_, err = s.UpdatePerson(ctx, tenantA, ident.UserID(guid(1)), func(p *access.Person) error { p.Provider, p.Subject = "", ""; return nil })
		check(t, err)
		_, err = s.PersonBySubject(ctx, tenantA, "p", "S")
		wantKind(t, "one that was let go", err, errs.NotFound)
	})
	t.Run("identity-providers", func(t *testing.T) {
		s, ctx := open(t), t.Context()
		one := &sso.Provider{ID: "1", Tenant: tenantA, Name: "Zed", Issuer: "https://z", Mappings: []sso.Mapping{{Group: "g", Role: "r"}}, Created: base, Changed: base}
		check(t, s.CreateProvider(ctx, one))
		wantKind(t, "the same name", s.CreateProvider(ctx, &sso.Provider{ID: "2", Tenant: tenantA, Name: "zed"}), errs.Conflict)
		check(t, s.CreateProvider(ctx, &sso.Provider{ID: "2", Tenant: tenantA, Name: "Alpha"}))
		check(t, s.CreateProvider(ctx, &sso.Provider{ID: "1", Tenant: tenantB, Name: "Zed"}))
		all, err := s.Providers(ctx, tenantA)
		check(t, err)
		if len(all) != 2 || all[0].ID != "2" || all[1].ID != "1" {
			t.Errorf("providers %+v", all)
		}
		got, err := s.Provider(ctx, tenantA, "1")
		check(t, err)
		wantEqual(t, "provider", got, one)
		_, err = s.Provider(ctx, tenantB, "2")
		wantKind(t, "of another tenant", err, errs.NotFound)
		no := errors.New("no")
		if _, err := s.UpdateProvider(ctx, tenantA, "1", func(p *sso.Provider) error { p.Name = "x"; return no }); !errors.Is(err, no) {
			t.Errorf("a change that fails: %v", err)
		}
		got, err = s.UpdateProvider(ctx, tenantA, "1", func(p *sso.Provider) error { p.Name, p.ID = "Omega", "9"; return nil })
		check(t, err)
		if got.Name != "Omega" || got.ID != "1" {
			t.Errorf("changed to %+v", got)
		}
		check(t, s.DeleteProvider(ctx, tenantA, "1"))
		wantKind(t, "deleted twice", s.DeleteProvider(ctx, tenantA, "1"), errs.NotFound)
		_, err = s.Provider(ctx, tenantB, "1")
		check(t, err)
	})
	t.Run("sign-in-policy", func(t *testing.T) {
		s, ctx := open(t), t.Context()
		got, err := s.SignInPolicy(ctx, tenantA)
		check(t, err)
		wantEqual(t, "one that was never set", got, &access.SignInPolicy{Tenant: tenantA})
		for _, want := range []*access.SignInPolicy{{Tenant: tenantA, Required: access.RequiredByRole, Roles: []ident.RoleID{"r"}, Changed: base}, {Tenant: tenantA, Required: access.NotRequired, Changed: base}} {
			check(t, s.PutSignInPolicy(ctx, want))
			got, err := s.SignInPolicy(ctx, tenantA)
			check(t, err)
			wantEqual(t, "policy", got, want)
		}
		got, err = s.SignInPolicy(ctx, tenantB)
		check(t, err)
		wantEqual(t, "another tenant's", got, &access.SignInPolicy{Tenant: tenantB})
	})
}
