package admin

import (
	"context"
	"net/http"
	"strings"

	"github.com/vedette-edr/vedette/server/api"
	"github.com/vedette-edr/vedette/server/ident"
)

// kept is what administrators make, change and delete alike: entities E, with ids K, made of
// requests Q and answered as T. Each change is recorded.
type kept[Q, E any, K ~string, T any] struct {
	*API
	noun     string // of the record's verbs
	variable string // of the path, for the id
	read     func(*api.Request) (Q, error)
	create   func(context.Context, ident.TenantID, Q) (*E, error)
	change   func(context.Context, ident.TenantID, K, Q) (*E, error)
	remove   func(context.Context, ident.TenantID, K) error
	show     func(*E) T
	describe func(*E) (K, string) // for the record
}

func (k *kept[Q, E, K, T]) key(r *api.Request) K { return K(strings.ToLower(r.Var(k.variable))) }

func (k *kept[Q, E, K, T]) post(w http.ResponseWriter, r *api.Request) error {
	q, err := k.read(r)
	if err != nil {
		return err
	}
	e, err := k.create(r.Context(), r.Caller.Tenant, q)
	if err != nil {
		return err
	}
	return k.answer(w, r, http.StatusCreated, "create", e)
}

func (k *kept[Q, E, K, T]) put(w http.ResponseWriter, r *api.Request) error {
	q, err := k.read(r)
	if err != nil {
		return err
	}
	e, err := k.change(r.Context(), r.Caller.Tenant, k.key(r), q)
	if err != nil {
		return err
	}
	return k.answer(w, r, http.StatusOK, "change", e)
}

func (k *kept[Q, E, K, T]) answer(w http.ResponseWriter, r *api.Request, status int, verb string, e *E) error {
	id, what := k.describe(e)
	if err := k.record(r, k.noun+"."+verb, string(id), what); err != nil {
		return err
	}
	return write(w, r, status, k.show(e))
}

func (k *kept[Q, E, K, T]) delete(w http.ResponseWriter, r *api.Request) error {
	if err := k.remove(r.Context(), r.Caller.Tenant, k.key(r)); err != nil {
		return err
	}
	return k.done(w, r, k.noun+".delete", string(k.key(r)), "")
}
