package action

import (
	"context"
	"io"
	"os"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/audit"
	"github.com/vedette-edr/vedette/server/device"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/filter"
	"github.com/vedette-edr/vedette/server/ident"
)

// Artifact is a file that an action yielded: an investigation package, or what a command of
// a live response brought.
type Artifact struct {
	Index  int    // of the live response's command; 0 for a package
	Name   string // for whoever saves it
	SHA256 string // hexadecimal
	Size   int64  // bytes
}

// Blobs keeps contents by their hash.
type Blobs interface {
	Put(r io.Reader, most int64) (sum string, size int64, err error)
	Open(sum string) (*os.File, error)
}

const (
	// MaxArtifact is published for files that live response gets; in bytes.
	MaxArtifact     = 3 << 30
	maxArtifactName = 255 // bytes
)

// Expects checks that d may bring a file of an action: that the action is its own, was
// handed to it and is not concluded, and has that index. kept says that the server has that
// very content of it already. An action of another device or incarnation is errs.NotFound.
func (p *Dispatcher) Expects(ctx context.Context, d *device.Device, id ident.ActionID, index int, name, sum string) (kept bool, err error) {
	const op = "action.Expects"
	a, err := p.yields(ctx, op, d, id, index, name)
	if err != nil {
		return false, err
	}
	if slices.ContainsFunc(a.Artifacts, func(f Artifact) bool { return f.Index == index && f.SHA256 == sum && f.Name == name }) {
		return true, nil
	}
	switch a.State {
	case Requested, Approved, Verified, Failed, Reverted:
		return false, errs.New(op, errs.Conflict, errs.BadRequest, "the action is %s: nothing more is expected of it", a.State)
	}
	return false, nil
}

// Grants returns the SHA-256 of the file of the library that a command of d names; one that
// it does not name is errs.NotFound, one that was replaced since the action was asked for
// errs.Conflict.
func (p *Dispatcher) Grants(ctx context.Context, d *device.Device, id ident.ActionID, name string) (sum string, err error) {
	const op = "action.Grants"
	a, err := p.cfg.Store.Action(ctx, d.Tenant, id)
	if err != nil {
		return "", errs.Wrap(op, err)
	}
	named := func(c LiveCommand) bool {
		return slices.Contains(c.Params, Param{"FileName", name}) || slices.Contains(c.Params, Param{"ScriptName", name})
	}
	if a.Device != d.ID || a.Incarnation != d.Incarnation || a.State != Delivered || !slices.ContainsFunc(a.Commands, named) && !slices.Contains(a.rules(), name) {
		return "", errs.New(op, errs.NotFound, errs.ResourceNotFound, "no command %s of the device names that file", id)
	}
	if sum, err = p.cfg.Library.Digest(ctx, d.Tenant, name); err != nil {
		return "", errs.Wrap(op, err)
	}
	if pinned, ok := a.Pins[name]; ok && pinned != sum {
		return "", errs.New(op, errs.Conflict, errs.DisallowedOperation, "the library's file %q was replaced after the action was asked for", name)
	}
	return sum, nil
}

// yields returns the action that d brings a file of.
func (p *Dispatcher) yields(ctx context.Context, op string, d *device.Device, id ident.ActionID, index int, name string) (*Action, error) {
	a, err := p.cfg.Store.Action(ctx, d.Tenant, id)
	if err != nil {
		return nil, errs.Wrap(op, err)
	}
	if a.Device != d.ID || a.Incarnation != d.Incarnation {
		return nil, errs.New(op, errs.NotFound, errs.ResourceNotFound, "the device has no command %s", id)
	}
	if index < 0 || index >= max(1, len(a.Commands)) {
		return nil, errs.New(op, errs.Invalid, errs.InvalidInput, "the action has no command %d", index)
	}
	return a, CheckName(name)
}

// CheckName refuses what a device may not call a file that it brings: it becomes the name
// under which somebody saves it.
func CheckName(name string) error {
	if name == "" || name == "." || name == ".." || len(name) > maxArtifactName || !utf8.ValidString(name) ||
		strings.ContainsFunc(name, func(r rune) bool { return r == '/' || r == '\\' || unicode.IsControl(r) }) {
		return errs.New("action.Keep", errs.Invalid, errs.InvalidInput, "the name of the file is empty, longer than %d bytes, or no name", maxArtifactName)
	}
	return nil
}

// Keep takes a file that d's action yielded; one of the same index takes the place of the
// one before. An action of another device or incarnation is errs.NotFound.
func (p *Dispatcher) Keep(ctx context.Context, d *device.Device, id ident.ActionID, index int, name string, r io.Reader) error {
	const op = "action.Keep"
	if _, err := p.yields(ctx, op, d, id, index, name); err != nil {
		return err
	}
	sum, size, err := p.cfg.Blobs.Put(r, MaxArtifact)
	if err != nil {
		return errs.Wrap(op, err)
	}
	_, err = p.cfg.Store.UpdateAction(ctx, d.Tenant, id, func(a *Action) error {
		a.Artifacts = slices.DeleteFunc(a.Artifacts, func(f Artifact) bool { return f.Index == index })
		a.Artifacts = append(a.Artifacts, Artifact{Index: index, Name: name, SHA256: sum, Size: size})
		return nil
	})
	return errs.Wrap(op, err)
}

// Artifact returns what an action yielded at an index; errs.NotFound while it did not.
func (a *Action) Artifact(index int) (Artifact, error) {
	for _, f := range a.Artifacts {
		if f.Index == index && a.yielded(index) {
			return f, nil
		}
	}
	return Artifact{}, errs.New("action.Artifact", errs.NotFound, errs.ResourceNotFound, "The action %s, which is %s, has no result %d", a.ID, a.State.Status(), index)
}

// Results calls each with the hash of everything that the actions of a tenant yielded.
// Actions that nothing happened to since a time forget their results: what was asked for
// long ago is not kept for ever.
func (p *Dispatcher) Results(ctx context.Context, tenant ident.TenantID, since time.Time, each func(sum string)) error {
	const op, part = "action.Results", 500
	kind, _ := Fields.Find("type")
	q := filter.Query{Top: part, Where: filter.In{Field: kind, Values: []filter.Value{
		{Type: filter.String, S: string(CollectPackage)}, {Type: filter.String, S: string(LiveResponse)}, {Type: filter.String, S: string(RequestSample)},
	}}}
	for ; ; q.Skip += part {
		page, err := p.cfg.Store.Actions(ctx, tenant, q)
		if err != nil {
			return errs.Wrap(op, err)
		}
		for _, a := range page.Items {
			if a.State.Open() || len(a.Artifacts) == 0 || !a.Updated.Before(since) {
				for _, f := range a.Artifacts {
					each(f.SHA256)
				}
				continue
			}
			if _, err := p.cfg.Store.UpdateAction(ctx, tenant, a.ID, func(a *Action) error {
				a.Artifacts = nil
				return nil
			}); err != nil {
				return errs.Wrap(op, err)
			}
		}
		if len(page.Items) < part {
			return nil
		}
	}
}

// Grant sees that an action yielded something at an index, and records who gets a link to
// it. What a link leads to is often a secret of the device: who could read it is kept.
func (s *Service) Grant(ctx context.Context, by *access.Principal, id ident.ActionID, index int) error {
	const op = "action.Grant"
	a, err := s.cfg.Store.Action(ctx, by.Tenant, id)
	if err != nil {
		return errs.Wrap(op, err)
	}
	f, err := a.Artifact(index)
	if err != nil {
		return err
	}
	return errs.Wrap(op, s.cfg.Audit.Record(ctx, audit.Entry{
		At: s.cfg.Clock().UTC(), Tenant: by.Tenant, Actor: by.Actor, Verb: "action.link", Object: string(id),
		Detail: "a link to " + f.Name + " of device " + string(a.Device), Outcome: audit.Done,
	}))
}

// Redeem opens what an action yielded at an index for the bearer of a link that was granted
// to an actor, and records it unless the bearer only goes on with a download. The caller
// closes the file.
func (s *Service) Redeem(ctx context.Context, granted ident.Actor, id ident.ActionID, index int, goesOn bool) (Artifact, *os.File, error) {
	const op = "action.Redeem"
	a, err := s.cfg.Store.Action(ctx, granted.Tenant, id)
	if err != nil {
		return Artifact{}, nil, errs.Wrap(op, err)
	}
	f, err := a.Artifact(index)
	if err != nil {
		return f, nil, err
	}
	if s.cfg.Blobs == nil {
		return f, nil, errs.New(op, errs.NotFound, errs.ResourceNotFound, "there is no such file")
	}
	if !goesOn {
		err := s.cfg.Audit.Record(ctx, audit.Entry{
			At: s.cfg.Clock().UTC(), Tenant: granted.Tenant, Actor: granted, Verb: "action.download", Object: string(id),
			Detail: f.Name + " of device " + string(a.Device) + ", by the link that was granted to this actor", Outcome: audit.Done,
		})
		if err != nil {
			return f, nil, errs.Wrap(op, err)
		}
	}
	content, err := s.cfg.Blobs.Open(f.SHA256)
	return f, content, errs.Wrap(op, err)
}
