package server

import (
	"cmp"
	"context"
	"time"
)

// blobGrace is how long a content may be without a name: whoever put it is about to give
// it one, or has failed to.
const blobGrace = time.Hour

// resultLife is how long results of actions are kept when nobody said how long telemetry is.
const resultLife = 30 * 24 * time.Hour

// sweepBlobs forgets results of actions that are older than telemetry is kept, and removes
// the contents that neither a file of the library, an action's result nor an expert's case has, such as
// those of which a crash came before the record.
func (c *control) sweepBlobs(ctx context.Context) error {
	now := c.server.cfg.Clock()
	tenants, err := c.tenants(ctx)
	if err != nil {
		return err
	}
	used := map[string]bool{}
	note := func(sum string) { used[sum] = true }
	if err := c.store.Library().Sums(ctx, note); err != nil {
		return err
	}
	for _, t := range tenants {
		if err := c.dispatch.Results(ctx, t, now.Add(-cmp.Or(c.server.cfg.Retention, resultLife)), note); err != nil {
			return err
		}
	}
	for _, t := range tenants {
		if err := c.live.Sums(ctx, t, now.Add(-cmp.Or(c.server.cfg.Retention, resultLife)), note); err != nil {
			return err
		}
	}
	for _, t := range tenants {
		if err := c.server.experts.Sums(ctx, t, now.Add(-cmp.Or(c.server.cfg.Retention, resultLife)), note); err != nil {
			return err
		}
	}
	// By the clock of the disk, which knows nothing of the server's.
	removed, err := c.blobs.Sweep(time.Now().Add(-blobGrace), func(sum string) bool { return used[sum] })
	if removed > 0 {
		c.server.cfg.Log.Info("files that nothing refers to were removed", "files", removed)
	}
	return err
}
