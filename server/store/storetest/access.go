package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
)

// AccessStore is everything that package access asks of a store.
type AccessStore interface {
	access.TenantStore
	access.ApplicationStore
	access.PersonStore
	access.KeyStore
	access.RoleStore
	access.UserGroupStore
}

// Access tests an AccessStore. open returns an empty one.
func Access(t *testing.T, open func(testing.TB) AccessStore) {
	t.Run("tenants", func(t *testing.T) {
		s, ctx := open(t), t.Context()
		b := &access.Tenant{ID: tenantB, Name: "B", Domains: []string{"b.example"}, Created: base.Add(time.Second)}
		a := &access.Tenant{ID: tenantA, Name: "A", Created: base}
		check(t, s.CreateTenant(ctx, b))
		check(t, s.CreateTenant(ctx, a))
		wantKind(t, "created twice", s.CreateTenant(ctx, a), errs.Conflict)
		all, err := s.Tenants(ctx)
		check(t, err)
		wantEqual(t, "tenants", all, []*access.Tenant{a, b})
		got, err := s.Tenant(ctx, tenantB)
		check(t, err)
		wantEqual(t, "tenant", got, b)
		_, err = s.Tenant(ctx, "x")
		wantKind(t, "unknown tenant", err, errs.NotFound)
	})
	t.Run("applications", func(t *testing.T) {
		s, ctx := open(t), t.Context()
		a := &access.Application{ID: ident.AppID(guid(1)), Tenant: tenantA, Name: "Äpp", Roles: []string{"Alert.Read.All"},
			Secrets: []access.Secret{{Hash: []byte{1, 0, 255}, Created: base, Expires: base.Add(time.Hour)}}, Created: base}
		check(t, s.CreateApplication(ctx, a))
		wantKind(t, "created twice", s.CreateApplication(ctx, a), errs.Conflict)
		got, err := s.Application(ctx, a.ID)
		check(t, err)
		wantEqual(t, "application", got, a)
		_, err = s.Application(ctx, "x")
		wantKind(t, "unknown application", err, errs.NotFound)
		_, err = s.UpdateApplication(ctx, tenantB, a.ID, func(*access.Application) error { return nil })
		wantKind(t, "write across tenants", err, errs.NotFound)
		_, err = s.UpdateApplication(ctx, tenantA, a.ID, func(a *access.Application) error { a.Name = "half"; return errChange })
		wantOwn(t, err)
		for _, err := range together(20, func(i int) error {
			_, err := s.UpdateApplication(ctx, tenantA, a.ID, func(a *access.Application) error { a.Roles = append(a.Roles, fmt.Sprint(i)); return nil })
			return err
		}) {
			check(t, err)
		}
		all, err := s.Applications(ctx, tenantA)
		check(t, err)
		if len(all) != 1 || len(all[0].Roles) != 21 || all[0].Name != "Äpp" {
			t.Errorf("applications %+v", all)
		}
		none, err := s.Applications(ctx, tenantB)
		check(t, err)
		if len(none) != 0 {
			t.Errorf("applications of another tenant: %+v", none)
		}
	})
	t.Run("people", func(t *testing.T) {
		s, ctx := open(t), t.Context()
		p := &access.Person{ID: ident.UserID(guid(1)), Tenant: tenantA, Login: "Zoë", Password: "$argon2id$", Roles: []ident.RoleID{access.Admin}, Created: base}
		check(t, s.CreatePerson(ctx, p))
		same := *p
		same.ID, same.Login = ident.UserID(guid(2)), "ZOË"
		wantKind(t, "a login taken", s.CreatePerson(ctx, &same), errs.Conflict)
		same.Tenant = tenantB
		check(t, s.CreatePerson(ctx, &same))
		got, err := s.PersonByLogin(ctx, tenantA, "zoË")
		check(t, err)
		wantEqual(t, "person", got, p)
		_, err = s.Person(ctx, tenantB, p.ID)
		wantKind(t, "read across tenants", err, errs.NotFound)
		third := &access.Person{ID: ident.UserID(guid(3)), Tenant: tenantA, Login: "max", Created: base}
		check(t, s.CreatePerson(ctx, third))
		_, err = s.UpdatePerson(ctx, tenantA, third.ID, func(p *access.Person) error { p.Login = "zoë"; return nil })
		wantKind(t, "renamed to a login taken", err, errs.Conflict)
		_, err = s.UpdatePerson(ctx, tenantA, third.ID, func(p *access.Person) error { p.Login = "moritz"; return nil })
		check(t, err)
		_, err = s.PersonByLogin(ctx, tenantA, "max")
		wantKind(t, "the former login", err, errs.NotFound)
	})
	t.Run("people, applications: lists and ends", func(t *testing.T) {
		s, ctx := open(t), t.Context()
		for i, login := range []string{"zoe", "Adam"} {
			check(t, s.CreatePerson(ctx, &access.Person{ID: ident.UserID(guid(i)), Tenant: tenantA, Login: login, Created: base}))
		}
		people, err := s.People(ctx, tenantA)
		check(t, err)
		if len(people) != 2 || people[0].Login != "Adam" {
			t.Errorf("people %+v", people)
		}
		if people, err = s.People(ctx, tenantB); err != nil || len(people) != 0 {
			t.Errorf("people of another tenant: %+v, %v", people, err)
		}
		a := &access.Application{ID: ident.AppID(guid(1)), Tenant: tenantA, Name: "a", Created: base}
		check(t, s.CreateApplication(ctx, a))
		wantKind(t, "delete across tenants", s.DeleteApplication(ctx, tenantB, a.ID), errs.NotFound)
		check(t, s.DeleteApplication(ctx, tenantA, a.ID))
		wantKind(t, "deleted twice", s.DeleteApplication(ctx, tenantA, a.ID), errs.NotFound)
	})
	t.Run("roles and user groups", func(t *testing.T) {
		s, ctx := open(t), t.Context()
		r := &access.Role{ID: "r1", Tenant: tenantA, Name: "Tier 1", Rights: []access.Right{access.ViewOperations}, Created: base}
		check(t, s.CreateRole(ctx, r))
		wantKind(t, "a name taken", s.CreateRole(ctx, &access.Role{ID: "r2", Tenant: tenantA, Name: "TIER 1"}), errs.Conflict)
		check(t, s.CreateRole(ctx, &access.Role{ID: "r2", Tenant: tenantB, Name: "TIER 1"}))
		all, err := s.Roles(ctx, tenantA)
		check(t, err)
		wantEqual(t, "roles", all, []*access.Role{r})
		_, err = s.UpdateRole(ctx, tenantB, r.ID, func(*access.Role) error { return nil })
		wantKind(t, "write across tenants", err, errs.NotFound)
		_, err = s.UpdateRole(ctx, tenantA, r.ID, func(r *access.Role) error { r.Name = "half"; return errChange })
		wantOwn(t, err)
		got, err := s.UpdateRole(ctx, tenantA, r.ID, func(r *access.Role) error { r.Name = "Tier 2"; return nil })
		check(t, err)
		if got.Name != "Tier 2" {
			t.Errorf("renamed to %q", got.Name)
		}
		wantKind(t, "delete across tenants", s.DeleteRole(ctx, tenantB, r.ID), errs.NotFound)
		check(t, s.DeleteRole(ctx, tenantA, r.ID))
		wantKind(t, "deleted twice", s.DeleteRole(ctx, tenantA, r.ID), errs.NotFound)
		g := &access.UserGroup{ID: "g1", Tenant: tenantA, Name: "SOC", Roles: []ident.RoleID{"r1"}, Created: base}
		check(t, s.CreateUserGroup(ctx, g))
		wantKind(t, "a name taken", s.CreateUserGroup(ctx, &access.UserGroup{ID: "g2", Tenant: tenantA, Name: "soc"}), errs.Conflict)
		groups, err := s.UserGroups(ctx, tenantA)
		check(t, err)
		wantEqual(t, "user groups", groups, []*access.UserGroup{g})
		_, err = s.UpdateUserGroup(ctx, tenantA, g.ID, func(g *access.UserGroup) error { g.Roles = nil; return nil })
		check(t, err)
		check(t, s.DeleteUserGroup(ctx, tenantA, g.ID))
		wantKind(t, "deleted twice", s.DeleteUserGroup(ctx, tenantA, g.ID), errs.NotFound)
	})
	t.Run("keys", func(t *testing.T) {
		s, ctx := open(t), t.Context()
		old := &access.SigningKey{ID: "a", Private: []byte{0, 1, 2}, Created: base}
		young := &access.SigningKey{ID: "b", Private: []byte{3}, Created: base.Add(time.Second)}
		check(t, s.AddSigningKey(ctx, old))
		check(t, s.AddSigningKey(ctx, young))
		all, err := s.SigningKeys(ctx)
		check(t, err)
		wantEqual(t, "keys", all, []*access.SigningKey{young, old})
		check(t, s.RemoveSigningKey(ctx, "a"))
		check(t, s.RemoveSigningKey(ctx, "a"))
		all, err = s.SigningKeys(ctx)
		check(t, err)
		wantEqual(t, "keys", all, []*access.SigningKey{young})
	})
}
