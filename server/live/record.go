package live

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/vedette-edr/vedette/server/audit"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/filter"
	"github.com/vedette-edr/vedette/server/ident"
)

// Get returns one session.
func (s *Service) Get(ctx context.Context, tenant ident.TenantID, id ident.ActionID) (*Session, error) {
	n, err := s.cfg.Store.Session(ctx, tenant, id)
	return n, errs.Wrap("live.Get", err)
}

// List lists sessions.
func (s *Service) List(ctx context.Context, tenant ident.TenantID, q filter.Query) (filter.Page[*Session], error) {
	p, err := s.cfg.Store.Sessions(ctx, tenant, q)
	return p, errs.Wrap("live.List", err)
}

// Commands returns the commands of a session.
func (s *Service) Commands(ctx context.Context, tenant ident.TenantID, id ident.ActionID) ([]*Command, error) {
	const op = "live.Commands"
	if _, err := s.cfg.Store.Session(ctx, tenant, id); err != nil { // which knows scopes
		return nil, errs.Wrap(op, err)
	}
	c, err := s.cfg.Store.Commands(ctx, tenant, id)
	return c, errs.Wrap(op, err)
}

// Transcript opens the transcript of a session that ended; the caller closes it.
func (s *Service) Transcript(ctx context.Context, tenant ident.TenantID, id ident.ActionID) (*Session, *os.File, error) {
	const op = "live.Transcript"
	n, err := s.cfg.Store.Session(ctx, tenant, id)
	if err != nil {
		return nil, nil, errs.Wrap(op, err)
	}
	if n.Transcript == "" {
		return nil, nil, errs.New(op, errs.NotFound, errs.ResourceNotFound, "the session has no transcript: it is %s", n.State)
	}
	f, err := s.cfg.Blobs.Open(n.Transcript)
	return n, f, errs.Wrap(op, err)
}

// File opens a file that a session brought; the caller closes it.
func (s *Service) File(ctx context.Context, tenant ident.TenantID, id ident.ActionID, index int) (File, *os.File, error) {
	const op = "live.File"
	n, err := s.cfg.Store.Session(ctx, tenant, id)
	if err != nil {
		return File{}, nil, errs.Wrap(op, err)
	}
	f, ok := n.file(index)
	if !ok {
		return File{}, nil, errs.New(op, errs.NotFound, errs.ResourceNotFound, "the session brought no file %d", index)
	}
	file, err := s.cfg.Blobs.Open(f.SHA256)
	return f, file, errs.Wrap(op, err)
}

// Sums calls each with the hash of everything that sessions keep; those that ended before a
// time forget it.
func (s *Service) Sums(ctx context.Context, tenant ident.TenantID, before time.Time, each func(sum string)) error {
	const op, part = "live.Sums", 500
	for q := (filter.Query{Top: part}); ; q.Skip += part {
		page, err := s.cfg.Store.Sessions(ctx, tenant, q)
		if err != nil {
			return errs.Wrap(op, err)
		}
		for _, n := range page.Items {
			if n.State == Ended && n.Ended.Before(before) && (n.Transcript != "" || len(n.Files) > 0) {
				if _, err := s.cfg.Store.UpdateSession(ctx, tenant, n.ID, func(n *Session) error {
					n.Transcript, n.Files = "", nil
					return nil
				}); err != nil {
					return errs.Wrap(op, err)
				}
				continue
			}
			if n.Transcript != "" {
				each(n.Transcript)
			}
			for _, f := range n.Files {
				each(f.SHA256)
			}
		}
		if len(page.Items) < part {
			return nil
		}
	}
}

// conclude ends a session in the store, and keeps its transcript. An error is for the log:
// the session is over in any case, and ended again at the next start.
func (s *Service) conclude(ctx context.Context, n *Session, reason, cast string) {
	sum := ""
	f, err := os.Open(cast)
	if err == nil {
		sum, _, err = s.cfg.Blobs.Put(f, maxCast*2)
		err = errors.Join(err, f.Close())
	} else if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	now := s.cfg.Clock().UTC()
	ended, uerr := s.cfg.Store.UpdateSession(ctx, n.Tenant, n.ID, func(n *Session) error {
		n.State, n.Ended, n.Reason = Ended, now, reason
		if sum != "" {
			n.Transcript = sum
		}
		return nil
	})
	if uerr == nil && err == nil {
		_ = os.Remove(cast) // it is kept as a blob
	}
	if err = errors.Join(err, uerr); err == nil {
		err = s.lose(ctx, ended)
	}
	if err == nil {
		err = s.cfg.Audit.Record(ctx, audit.Entry{At: now, Tenant: n.Tenant, Actor: n.By, Verb: "live.close", Object: string(n.ID), Detail: reason, Outcome: audit.Done})
	}
	if err != nil {
		s.cfg.Log.Error("ending a live response session", "session", n.ID, "err", err)
	}
}

// lose says of commands that were running at the end that nobody knows how they ended.
func (s *Service) lose(ctx context.Context, n *Session) error {
	all, err := s.cfg.Store.Commands(ctx, n.Tenant, n.ID)
	if err != nil {
		return err
	}
	for _, c := range all {
		if c.Ended.IsZero() {
			c.Ended, c.Status, c.Error = n.Ended, "lost", "the session ended first"
			if err := s.cfg.Store.PutCommand(ctx, n.Tenant, n.ID, c); err != nil {
				return err
			}
		}
	}
	return nil
}
