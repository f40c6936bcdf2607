package admin_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/api"
	"github.com/vedette-edr/vedette/server/api/admin"
	"github.com/vedette-edr/vedette/server/audit"
	"github.com/vedette-edr/vedette/server/device"
	"github.com/vedette-edr/vedette/server/device/group"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/sso"
	"github.com/vedette-edr/vedette/server/store"
)

const (
	ours   = ident.TenantID("00000000-0000-4000-8000-000000000001")
	theirs = ident.TenantID("00000000-0000-4000-8000-000000000002")
)

// callers lets a token be the name of a tenant and one permission of its bearer.
type callers struct{}

func (callers) Authenticate(_ context.Context, token, _ string) (*access.Principal, error) {
	tenant, role, ok := strings.Cut(token, "/")
	if !ok {
		return nil, errs.New("test", errs.Unauthenticated, errs.Unauthorized, "no such token")
	}
	return &access.Principal{Actor: ident.Actor{Kind: ident.ActorApp, ID: "caller", Tenant: ident.TenantID(tenant)}, Roles: []string{role}, Scope: access.Everything}, nil
}

type site struct {
	*api.Router
	t     *testing.T
	store *store.Store
}

func newSite(t *testing.T) *site {
	t.Helper()
	ctx := t.Context()
	db, err := store.Open(ctx, store.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	for _, id := range []ident.TenantID{ours, theirs} {
		if err := db.Access().CreateTenant(ctx, &access.Tenant{ID: id, Name: string(id), Created: time.Now()}); err != nil {
			t.Fatal(err)
		}
	}
	key := db.Key()
	directory := access.NewDirectory(access.DirectoryConfig{Tenants: db.Access(), Applications: db.Access(), People: db.Access(),
		Roles: db.Access(), Groups: db.Access(), SignIns: db.Access(), SecretKey: key.Derive("s")})
	a := admin.New(admin.Config{
		Directory: directory, Providers: sso.New(sso.Config{Store: db.Access(), Accounts: directory, Sealer: key}),
		Groups:  group.New(group.Config{Store: db.Groups(), Audit: audit.New(db.Audit(), key.Derive("a"), time.Now), Atomic: db.Atomic}),
		Devices: device.New(device.Config{Store: db.Devices(), Tokens: db.Tokens(), TokenKey: key.Derive("t")}),
		Audit:   audit.New(db.Audit(), key.Derive("a"), time.Now),
	})
	r, err := api.New(api.Config{Auth: callers{}}, a.Routes())
	if err != nil {
		t.Fatal(err)
	}
	return &site{r, t, db}
}

func (s *site) call(tenant ident.TenantID, role access.Permission, method, path, body string, want int, out any) {
	s.t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+string(tenant)+"/"+string(role))
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	if w.Code != want {
		s.t.Fatalf("%s %s: %d %s, want %d", method, path, w.Code, w.Body, want)
	}
	if out != nil {
		if err := json.Unmarshal(w.Body.Bytes(), out); err != nil {
			s.t.Fatal(err)
		}
	}
}

type app struct {
	ID, Name, ClientSecret string
	Roles                  []string
	Disabled               *time.Time `json:"disabledDateTimeUtc"`
}

func TestApplications(t *testing.T) {
	s := newSite(t)
	const path = "/api/vedette/applications"
	var made, other app
	s.call(ours, access.ServerAdmin, "POST", path, `{"name":"reader","roles":["Alert.Read.All"]}`, http.StatusCreated, &made)
	s.call(theirs, access.ServerAdmin, "POST", path, `{"name":"other"}`, http.StatusCreated, &other)
	if made.ClientSecret == "" || made.Name != "reader" || len(made.Roles) != 1 {
		t.Errorf("made %+v", made)
	}
	var list struct{ Value []app }
	s.call(ours, access.ServerAdmin, "GET", path, "", http.StatusOK, &list)
	if len(list.Value) != 1 || list.Value[0].ID != made.ID || list.Value[0].ClientSecret != "" {
		t.Errorf("list %+v", list)
	}
	s.call(theirs, access.ServerAdmin, "POST", path+"/"+made.ID+"/disable", "", http.StatusNotFound, nil)
	s.call(ours, access.ServerAdmin, "POST", path+"/"+made.ID+"/disable", "", http.StatusNoContent, nil)
	s.call(ours, access.ServerAdmin, "GET", path, "", http.StatusOK, &list)
	if list.Value[0].Disabled == nil {
		t.Error("the application is not disabled")
	}
	for body, place := range map[string]string{
		`{"roles":[]}`:                         "name",
		`{"name":"x","roles":["Root.All"]}`:    "Root.All",
		`{"name":"x","roles":"Alert.Read.All"`: "line 1",
		`{"name":"x","roles":[{}]}`:            "line 1, column 22",
	} {
		var e struct{ Error struct{ Message string } }
		s.call(ours, access.ServerAdmin, "POST", path, body, http.StatusBadRequest, &e)
		if !strings.Contains(e.Error.Message, place) {
			t.Errorf("%s: %q names no %s", body, e.Error.Message, place)
		}
	}
	for _, role := range access.Permissions() {
		if role != access.ServerAdmin {
			s.call(ours, role, "GET", path, "", http.StatusForbidden, nil)
			s.call(ours, role, "POST", path, `{"name":"x"}`, http.StatusForbidden, nil)
		}
	}
	records, err := s.store.Audit().AuditRecords(t.Context(), ours, 0, 10)
	if err != nil || len(records) != 2 || records[0].Verb != "application.create" || records[1].Verb != "application.disable" {
		t.Errorf("audit %+v, %v", records, err)
	}
}
