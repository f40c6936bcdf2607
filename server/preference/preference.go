// Package preference keeps what a person chose in the portal, for every browser that the
// person uses: the columns of a list, saved sets of filters, open queries. It is the
// person's own and nobody else's; the server never reads a meaning into it.
//
// A preference is a JSON value under a name. Names and sizes are bounded, so that nobody
// keeps files here.
package preference

import (
	"context"
	"encoding/json"
	"regexp"

	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
)

// Bounds of what one person keeps.
const (
	MaxSize  = 256 << 10 // bytes of a value
	MaxCount = 200       // preferences of a person
)

// Store keeps preferences.
type Store interface {
	// Preferences returns the values of a person by name.
	Preferences(ctx context.Context, tenant ident.TenantID, person ident.UserID) (map[string]json.RawMessage, error)
	// PutPreference keeps a value under a name, the old one replaced. A name that is new when
	// the person has most of them is errs.Exhausted.
	PutPreference(ctx context.Context, tenant ident.TenantID, person ident.UserID, name string, value json.RawMessage, most int) error
	// DeletePreference forgets a name; one that is not there is no error.
	DeletePreference(ctx context.Context, tenant ident.TenantID, person ident.UserID, name string) error
}

// Service is the preferences of people.
type Service struct{ store Store }

// New returns a Service.
func New(s Store) *Service { return &Service{s} }

var name = regexp.MustCompile(`^[a-z][a-zA-Z0-9.-]{0,63}$`)

// All returns what the person keeps, by name.
func (s *Service) All(ctx context.Context, who ident.Actor) (map[string]json.RawMessage, error) {
	all, err := s.store.Preferences(ctx, who.Tenant, ident.UserID(who.ID))
	return all, errs.Wrap("preference.All", err)
}

// Put keeps a JSON value under a name.
func (s *Service) Put(ctx context.Context, who ident.Actor, key string, value json.RawMessage) error {
	const op = "preference.Put"
	switch {
	case !name.MatchString(key):
		return errs.New(op, errs.Invalid, errs.InvalidInput, "the name of a preference is up to 64 letters, digits, points and hyphens, a small letter first")
	case len(value) > MaxSize:
		return errs.New(op, errs.Invalid, errs.InvalidInput, "the value has %d bytes, more than %d", len(value), MaxSize)
	case !json.Valid(value):
		return errs.New(op, errs.Invalid, errs.InvalidRequestBody, "the value is not JSON")
	}
	return errs.Wrap(op, s.store.PutPreference(ctx, who.Tenant, ident.UserID(who.ID), key, value, MaxCount))
}

// Delete forgets a name.
func (s *Service) Delete(ctx context.Context, who ident.Actor, key string) error {
	return errs.Wrap("preference.Delete", s.store.DeletePreference(ctx, who.Tenant, ident.UserID(who.ID), key))
}
