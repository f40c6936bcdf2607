package server

import (
	"context"
	"fmt"
	"time"

	"github.com/vedette-edr/vedette/kql/types"
	"github.com/vedette-edr/vedette/schema/event"
	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/alert"
	"github.com/vedette-edr/vedette/server/filter"
	"github.com/vedette-edr/vedette/server/hunt"
	"github.com/vedette-edr/vedette/server/ident"
)

// reconcile writes the hunting rows of alerts created since then that have none: because
// the server was killed between keeping the alert and writing its rows, or because there
// were more alerts than could wait while the store took nothing.
func (t *stream) reconcile(ctx context.Context, since time.Time) {
	log := t.server.cfg.Log
	tenants, err := t.server.control.store.Access().Tenants(ctx)
	if err != nil {
		log.Error("alerts without hunting rows", "err", err)
		return
	}
	for _, tenant := range tenants {
		if err := t.reconcileTenant(ctx, tenant.ID, since); err != nil && ctx.Err() == nil {
			log.Error("alerts without hunting rows", "tenant", tenant.ID, "err", err)
		}
	}
}

func (t *stream) reconcileTenant(ctx context.Context, tenant ident.TenantID, since time.Time) error {
	created, _ := alert.Fields.Find("alertCreationTime")
	q := filter.Query{Where: filter.Compare{Field: created, Op: filter.Ge, Value: filter.Value{Type: filter.Time, T: since}}, Top: 1000}
	var recent []*alert.Alert
	for {
		page, err := t.server.control.alerts.List(ctx, tenant, q)
		if err != nil {
			return err
		}
		recent = append(recent, page.Items...)
		if !page.More {
			break
		}
		q.Skip += len(page.Items)
	}
	if len(recent) == 0 {
		return nil
	}
	// The rows' Timestamp is the alert's creation.
	system := access.System(tenant, "reconcile")
	system.Roles = []string{string(access.AdvancedQueryRead)}
	r, err := t.hunts.Run(access.WithPrincipal(ctx, system), hunt.Request{
		Query: fmt.Sprintf("AlertInfo | where Timestamp >= datetime(%s) | distinct AlertId", types.FormatDatetime(event.Ticks(since)))})
	if err != nil {
		return err
	}
	defer r.Close()
	known := map[ident.AlertID]bool{}
	for row, err := range r.Rows.All() {
		if err != nil {
			return err
		}
		known[ident.AlertID(row[0].S)] = true
	}
	for _, a := range recent {
		if !known[a.ID] {
			if err := t.alerts.Write(ctx, a); err != nil {
				return err
			}
		}
	}
	return nil
}
