// Package query keeps hunting queries that people saved: for themselves, or shared with
// everybody of the tenant.
//
// It knows texts and whose they are, and neither compiles nor runs one: package hunt does.
// The invariants: a query that is not shared is seen by its owner alone; only its owner
// changes it, and who may administer the server deletes shared ones too. Start at Service.
package query

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/audit"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
)

// Bounds of a query and of a tenant's.
const (
	MaxName  = 256      // characters
	MaxText  = 64 << 10 // bytes
	MaxNotes = 4000     // characters
	MaxOwned = 1000     // of one person
)

// Query is one saved query. Times are UTC.
type Query struct {
	ID      string
	Tenant  ident.TenantID
	Name    string
	Folder  string // names of folders with / between, "" for none
	Notes   string
	Text    string // KQL, not necessarily sound
	Shared  bool
	Owner   ident.Actor
	Created time.Time
	Updated time.Time
}

// Store keeps queries. Every method is safe for concurrent use.
type Store interface {
	// PutQuery adds q, or replaces the one of its tenant and id.
	PutQuery(ctx context.Context, q *Query) error
	// Query returns one query, errs.NotFound when the tenant has none of that id.
	Query(ctx context.Context, tenant ident.TenantID, id string) (*Query, error)
	// Queries returns the queries that are shared or owned by owner, ordered by folder, name
	// and id.
	Queries(ctx context.Context, tenant ident.TenantID, owner string) ([]*Query, error)
	// DeleteQuery removes one query, errs.NotFound when the tenant has none of that id.
	DeleteQuery(ctx context.Context, tenant ident.TenantID, id string) error
}

// Config is what a Service works with.
type Config struct {
	Store  Store
	Audit  audit.Log        // nil for none
	Clock  func() time.Time // nil for time.Now
	Rand   io.Reader        // nil for crypto/rand
	Atomic func(ctx context.Context, do func(context.Context) error) error
}

// Service holds the rules. Who calls may hunt: the route decided.
type Service struct{ Config }

// New returns the service.
func New(c Config) *Service {
	if c.Audit == nil {
		c.Audit = audit.Discard
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Rand == nil {
		c.Rand = rand.Reader
	}
	if c.Atomic == nil {
		c.Atomic = func(ctx context.Context, do func(context.Context) error) error { return do(ctx) }
	}
	return &Service{c}
}

// List returns what the caller sees.
func (s *Service) List(ctx context.Context, by *access.Principal) ([]*Query, error) {
	out, err := s.Store.Queries(ctx, by.Tenant, by.ID)
	return out, errs.Wrap("query.List", err)
}

// Get returns one query that the caller sees.
func (s *Service) Get(ctx context.Context, by *access.Principal, id string) (*Query, error) {
	const op = "query.Get"
	q, err := s.Store.Query(ctx, by.Tenant, id)
	if err == nil && !q.Shared && q.Owner.ID != by.ID {
		err = missing(op)
	}
	return q, errs.Wrap(op, err)
}

func missing(op string) error {
	return errs.New(op, errs.NotFound, errs.ResourceNotFound, "there is no such query")
}

// Create keeps a new query of the caller.
func (s *Service) Create(ctx context.Context, by *access.Principal, q Query) (*Query, error) {
	const op = "query.Create"
	var raw [16]byte
	if _, err := io.ReadFull(s.Rand, raw[:]); err != nil {
		return nil, errs.Wrap(op, err)
	}
	if err := q.check(op); err != nil {
		return nil, err
	}
	now := s.Clock().UTC()
	q.ID, q.Tenant, q.Owner, q.Created, q.Updated = hex.EncodeToString(raw[:]), by.Tenant, by.Actor, now, now
	err := s.Atomic(ctx, func(ctx context.Context) error {
		all, err := s.Store.Queries(ctx, by.Tenant, by.ID)
		if err != nil {
			return err
		}
		owned := 0
		for _, o := range all {
			if o.Owner.ID == by.ID {
				owned++
			}
		}
		if owned >= MaxOwned {
			return errs.New(op, errs.Invalid, errs.InvalidInput, "at most %d queries of one person are kept", MaxOwned)
		}
		if err := s.Store.PutQuery(ctx, &q); err != nil {
			return err
		}
		return s.record(ctx, by, "query.create", &q)
	})
	return &q, errs.Wrap(op, err)
}

// Update lets change change a query of the caller.
func (s *Service) Update(ctx context.Context, by *access.Principal, id string, change func(*Query) error) (*Query, error) {
	const op = "query.Update"
	var out *Query
	err := s.Atomic(ctx, func(ctx context.Context) error {
		q, err := s.Get(ctx, by, id)
		if err != nil {
			return err
		}
		if q.Owner.ID != by.ID {
			return errs.New(op, errs.Denied, errs.Forbidden, "the query is of %s; save a copy to change it", q.Owner.Name)
		}
		if err := change(q); err != nil {
			return err
		}
		if err := q.check(op); err != nil {
			return err
		}
		q.Updated, out = s.Clock().UTC(), q
		if err := s.Store.PutQuery(ctx, q); err != nil {
			return err
		}
		return s.record(ctx, by, "query.change", q)
	})
	return out, errs.Wrap(op, err)
}

// Delete removes a query of the caller, or a shared one for who may administer the server.
func (s *Service) Delete(ctx context.Context, by *access.Principal, id string) error {
	const op = "query.Delete"
	return errs.Wrap(op, s.Atomic(ctx, func(ctx context.Context) error {
		q, err := s.Get(ctx, by, id)
		if err != nil {
			return err
		}
		if q.Owner.ID != by.ID && !by.Can(access.ServerAdmin) {
			return errs.New(op, errs.Denied, errs.Forbidden, "the query is of %s", q.Owner.Name)
		}
		if err := s.Store.DeleteQuery(ctx, by.Tenant, id); err != nil {
			return err
		}
		return s.record(ctx, by, "query.delete", q)
	}))
}

func (s *Service) record(ctx context.Context, by *access.Principal, verb string, q *Query) error {
	detail := q.Name
	if q.Shared {
		detail += " (shared)"
	}
	return s.Audit.Record(ctx, audit.Entry{Tenant: by.Tenant, Actor: by.Actor, Verb: verb, Object: q.ID, Detail: detail, Outcome: audit.Done})
}

func (q *Query) check(op string) error {
	q.Name, q.Folder = strings.TrimSpace(q.Name), strings.Trim(strings.TrimSpace(q.Folder), "/")
	wrong := func(format string, args ...any) error {
		return errs.New(op, errs.Invalid, errs.InvalidInput, format, args...)
	}
	switch {
	case q.Name == "" || utf8.RuneCountInString(q.Name) > MaxName:
		return wrong("name: between 1 and %d characters are needed", MaxName)
	case utf8.RuneCountInString(q.Folder) > MaxName:
		return wrong("folder: at most %d characters are allowed", MaxName)
	case utf8.RuneCountInString(q.Notes) > MaxNotes:
		return wrong("description: at most %d characters are allowed", MaxNotes)
	case strings.TrimSpace(q.Text) == "" || len(q.Text) > MaxText:
		return wrong("query: between 1 and %d bytes are needed", MaxText)
	case !utf8.ValidString(q.Text):
		return wrong("query: it is not UTF-8")
	}
	return nil
}
