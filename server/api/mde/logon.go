package mde

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/vedette-edr/vedette/server/api"
	"github.com/vedette-edr/vedette/server/api/odata"
	"github.com/vedette-edr/vedette/server/filter"
	"github.com/vedette-edr/vedette/server/hunt"
	"github.com/vedette-edr/vedette/server/ident"
)

// Logons knows who logged on to devices.
type Logons interface {
	// LogonUsers returns the accounts that logged on to a device since a time, last logon
	// first.
	LogonUsers(ctx context.Context, tenant ident.TenantID, device ident.DeviceID, since time.Time) ([]hunt.LogonUser, error)
}

func (a *API) getLogonUsers(w http.ResponseWriter, r *api.Request) error {
	users, err := a.logonUsers(r)
	if err != nil {
		return err
	}
	return derived(a, w, r, "Users", entities(users))
}

func entities(users []hunt.LogonUser) []userEntity {
	out := make([]userEntity, len(users))
	for i, u := range users {
		out[i] = logonUser(u)
	}
	return out
}

func (a *API) countLogonUsers(w http.ResponseWriter, r *api.Request) error {
	users, err := a.logonUsers(r)
	if err != nil {
		return err
	}
	o, err := odata.Parse(r.Query, a.spec(odata.Fields(userEntity{}), userEntity{}))
	if err != nil {
		return err
	}
	found := odata.Derived(entities(users), odata.Options{Query: filter.Query{Where: o.Query.Where}})
	return counted(w, found.Total)
}

func (a *API) logonUsers(r *api.Request) ([]hunt.LogonUser, error) {
	d, err := a.device(r.Context(), r.Caller.Tenant, r.Var("id"))
	if err != nil {
		return nil, err
	}
	return a.logons.LogonUsers(r.Context(), r.Caller.Tenant, d.ID, a.now().Add(-a.retention))
}

func logonUser(u hunt.LogonUser) userEntity {
	e := user(u.Account.Domain, u.Account.Name, u.Account.SID)
	e.FirstSeen, e.LastSeen = stamp(u.First), stamp(u.Last)
	e.LogonTypes = optional(strings.Join(u.Types, ","))
	network := len(u.Types) == 1 && u.Types[0] == "Network"
	e.IsOnlyNetworkUser = &network
	return e
}

func user(domain, name, sid string) userEntity {
	id := name
	if domain != "" {
		id = domain + `\` + name
	}
	return userEntity{ID: id, AccountName: name, AccountDomain: optional(domain), AccountSID: optional(sid)}
}
