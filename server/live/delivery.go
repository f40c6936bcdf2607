package live

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/vedette-edr/vedette/server/action"
	"github.com/vedette-edr/vedette/server/audit"
	"github.com/vedette-edr/vedette/server/device"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/wire"
)

// Pending returns the commands that open sessions with d, but for those that it has.
func (s *Service) Pending(_ context.Context, d *device.Device, have []ident.ActionID) ([]action.Command, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []action.Command
	for _, r := range s.relays {
		n := r.session
		if n.Device != d.ID || n.Tenant != d.Tenant || n.Incarnation != d.Incarnation || slices.Contains(have, n.ID) || r.ended() {
			continue
		}
		params, err := json.Marshal(wire.LiveSession{Level: n.Level, User: n.By.Name})
		if err != nil {
			return nil, err
		}
		out = append(out, action.Command{ID: n.ID, Device: n.Device, Incarnation: n.Incarnation, Kind: wire.KindLiveSession, Params: params,
			Issued: n.Created, Expires: n.Created.Add(commandLife)})
	}
	return out, nil
}

// Result takes what a device says of the end of a session. A session that is not d's is
// errs.NotFound.
func (s *Service) Result(ctx context.Context, d *device.Device, r action.Result) error {
	const op = "live.Result"
	n, err := s.of(ctx, d, r.ID)
	if err != nil {
		return err
	}
	if len(r.Detail) > maxComment || !utf8.ValidString(r.Detail) {
		return errs.New(op, errs.Invalid, errs.InvalidInput, "the detail is not UTF-8 or longer than %d bytes", maxComment)
	}
	if _, err := s.cfg.Store.UpdateSession(ctx, d.Tenant, n.ID, func(n *Session) error {
		n.Outcome = strings.TrimSuffix(r.State+": "+r.Detail, ": ")
		return nil
	}); err != nil {
		return errs.Wrap(op, err)
	}
	if rel := s.relay(n.ID); rel != nil {
		rel.end("the device ended it: " + r.Detail)
	}
	return errs.Wrap(op, s.cfg.Audit.Record(ctx, audit.Entry{Tenant: d.Tenant, Actor: ident.Actor{Kind: ident.ActorSystem, ID: string(d.ID), Name: d.Name, Tenant: d.Tenant},
		Verb: "live.result", Object: string(n.ID), Detail: r.State + ": " + r.Detail, Outcome: audit.Done}))
}

// of returns the session of an id if it is d's.
func (s *Service) of(ctx context.Context, d *device.Device, id ident.ActionID) (*Session, error) {
	n, err := s.cfg.Store.Session(ctx, d.Tenant, id)
	if err != nil {
		return nil, errs.Wrap("live.of", err)
	}
	if n.Device != d.ID || n.Incarnation != d.Incarnation {
		return nil, errs.New("live.of", errs.NotFound, errs.ResourceNotFound, "the device has no session %s", id)
	}
	return n, nil
}

// Expects implements transfer.Owner.
func (s *Service) Expects(ctx context.Context, d *device.Device, id ident.ActionID, index int, name, sum string) (bool, error) {
	const op = "live.Expects"
	n, err := s.of(ctx, d, id)
	if err != nil {
		return false, err
	}
	if index < 0 || index > maxFiles {
		return false, errs.New(op, errs.Invalid, errs.InvalidInput, "a session brings at most %d files", maxFiles)
	}
	if err := action.CheckName(name); err != nil {
		return false, err
	}
	if f, ok := n.file(index); ok && f.SHA256 == sum {
		return true, nil
	}
	if s.relay(id) == nil {
		return false, errs.New(op, errs.Conflict, errs.BadRequest, "the session has ended")
	}
	return false, nil
}

// Keep implements transfer.Owner.
func (s *Service) Keep(ctx context.Context, d *device.Device, id ident.ActionID, index int, name string, r io.Reader) error {
	const op = "live.Keep"
	if _, err := s.of(ctx, d, id); err != nil {
		return err
	}
	sum, size, err := s.cfg.Blobs.Put(r, action.MaxArtifact)
	if err != nil {
		return errs.Wrap(op, err)
	}
	f := File{Index: index, Name: name, SHA256: sum, Size: size, At: s.cfg.Clock().UTC()}
	n, err := s.cfg.Store.UpdateSession(ctx, d.Tenant, id, func(n *Session) error {
		n.Files = append(slices.DeleteFunc(n.Files, func(f File) bool { return f.Index == index }), f)
		return nil
	})
	if err != nil {
		return errs.Wrap(op, err)
	}
	return errs.Wrap(op, s.cfg.Audit.Record(ctx, audit.Entry{Tenant: n.Tenant, Actor: n.By, Verb: "live.file", Object: string(id),
		Detail: fmt.Sprintf("%q of device %s, %d bytes, SHA-256 %s", name, n.Device, size, sum), Outcome: audit.Done}))
}

// Grants implements transfer.Owner: an advanced session that is open has the library.
func (s *Service) Grants(ctx context.Context, d *device.Device, id ident.ActionID, name string) (string, error) {
	const op = "live.Grants"
	n, err := s.of(ctx, d, id)
	if err != nil {
		return "", err
	}
	r := s.relay(id)
	if r == nil || n.Level != wire.LiveAdvanced || !r.names(name) {
		return "", errs.New(op, errs.NotFound, errs.ResourceNotFound, "no command of the session names that file")
	}
	sum, err := s.cfg.Library.Digest(ctx, d.Tenant, name)
	return sum, errs.Wrap(op, err)
}
