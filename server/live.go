package server

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/action"
	"github.com/vedette-edr/vedette/server/device"
	"github.com/vedette-edr/vedette/server/device/group"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/filter"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/library"
	"github.com/vedette-edr/vedette/server/live"
)

// openLive makes live response. Sessions are joined in this process.
func (c *control) openLive(ctx context.Context) (*live.Service, error) {
	cfg := c.server.cfg
	return live.New(ctx, live.Config{Store: c.store.Live(), Devices: c.devices, Library: c.library, Shelf: shelf{c.library}, Blobs: c.blobs,
		Audit: c.audit, Nudge: c.nudges.Nudge, Barred: c.barred, Renew: c.renew, Dir: filepath.Join(cfg.DataDir, "live"), Log: cfg.Log, Clock: cfg.Clock})
}

// renew is the authority's, which is opened later.
func (c *control) renew(ctx context.Context, by *access.Principal, since time.Time) (*access.Principal, error) {
	return c.authority.Renew(ctx, by, since)
}

// barred says why there is no live response with a device: its group has none.
func (c *control) barred(ctx context.Context, d *device.Device) (string, error) {
	g, err := c.groups.Get(ctx, d.Tenant, d.Group)
	if errs.Is(err, errs.NotFound) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	if g.Automation == group.None {
		return fmt.Sprintf("the automation level of the device group %s is %s: there is no live response with its devices", g.Name, g.Automation), nil
	}
	return "", nil
}

// shelf shows the library to live response sessions.
type shelf struct{ library *library.Service }

// List implements live.Shelf.
func (s shelf) List(ctx context.Context, tenant ident.TenantID, q filter.Query) (filter.Page[live.ShelfFile], error) {
	page, err := s.library.List(ctx, tenant, q)
	out := filter.Page[live.ShelfFile]{Total: page.Total}
	for _, f := range page.Items {
		out.Items = append(out.Items, live.ShelfFile{Name: f.Name, SHA256: f.SHA256, Description: f.Description, By: f.By, Size: f.Size, Updated: f.Updated})
	}
	return out, err
}

// Delete implements live.Shelf.
func (s shelf) Delete(ctx context.Context, by *access.Principal, name string) error {
	return s.library.Delete(ctx, by, name)
}

// commands is what devices are told to do: response actions, and live sessions.
type commands struct {
	*action.Dispatcher
	live *live.Service
}

// Pending implements gateway.Commands.
func (c commands) Pending(ctx context.Context, d *device.Device, have []ident.ActionID) (action.Work, error) {
	work, err := c.Dispatcher.Pending(ctx, d, have)
	if err != nil {
		return work, err
	}
	sessions, err := c.live.Pending(ctx, d, have)
	work.Commands = append(work.Commands, sessions...)
	return work, err
}

// Result implements gateway.Commands.
func (c commands) Result(ctx context.Context, d *device.Device, r action.Result) error {
	err := c.Dispatcher.Result(ctx, d, r)
	if errs.Is(err, errs.NotFound) {
		return c.live.Result(ctx, d, r)
	}
	return err
}
