package access

import (
	"context"
	"strings"

	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
)

// AdminLogin is the login of the first person.
const AdminLogin = "admin"

// First is what the first start made. The texts of secret and password are nowhere else.
type First struct {
	Tenant      *Tenant
	Application *Application // with every permission
	Secret      string
	Admin       *Person
	Password    string
}

// Bootstrap makes the first tenant, an application with every permission and the
// administrator, unless there is a tenant: it returns nil then. The caller hands the
// result on inside the same transaction of the store, before it is committed: a crash
// then leaves either nothing, and the next start begins anew, or all of it and its
// secrets handed on.
func (d *Directory) Bootstrap(ctx context.Context, name string, domains ...string) (*First, error) {
	const op = "access.Bootstrap"
	all, err := d.tenants.Tenants(ctx)
	if err != nil || len(all) > 0 {
		return nil, errs.Wrap(op, err)
	}
	f := &First{}
	if f.Tenant, err = d.NewTenant(ctx, name, domains...); err != nil {
		return nil, errs.Wrap(op, err)
	}
	if f.Application, f.Secret, err = d.NewApplication(ctx, f.Tenant.ID, strings.TrimSpace(name+" API"), Permissions()); err != nil {
		return nil, errs.Wrap(op, err)
	}
	if f.Admin, f.Password, err = d.NewPerson(ctx, f.Tenant.ID, AdminLogin, "", []ident.RoleID{Admin}); err != nil {
		return nil, errs.Wrap(op, err)
	}
	return f, nil
}
