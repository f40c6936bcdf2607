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

// reconcile writes the hunting rows that alerts changed since then lack: because
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
	updated, _ := alert.Fields.Find("lastUpdateTime")
	q := filter.Query{Where: filter.Compare{Field: updated, Op: filter.Ge, Value: filter.Value{Type: filter.Time, T: since}}, Top: 1000,
		Order: []filter.Order{{Field: updated}}}
	var recent []*alert.Alert
	oldest := time.Time{}
	for {
		page, err := t.server.control.alerts.List(ctx, tenant, q)
		if err != nil {
			return err
		}
		for _, a := range page.Items {
			if oldest.IsZero() || a.Created.Before(oldest) {
				oldest = a.Created
			}
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
	// No row's Timestamp is before its alert's creation.
	count := func(table string) (map[ident.AlertID]int, error) {
		system := access.System(tenant, "reconcile")
		system.Roles = []string{string(access.AdvancedQueryRead)}
		r, err := t.hunts.Run(access.WithPrincipal(ctx, system), hunt.Request{Query: fmt.Sprintf(
			"%s | where Timestamp >= datetime(%s) | summarize Rows = count() by AlertId", table, types.FormatDatetime(event.Ticks(oldest)))})
		if err != nil {
			return nil, err
		}
		defer func() { _ = r.Close() }()
		out := map[ident.AlertID]int{}
		for row, err := range r.Rows.All() {
			if err != nil {
				return nil, err
			}
			out[ident.AlertID(row[0].S)] = int(row[1].I)
		}
		return out, nil
	}
	infos, err := count("AlertInfo")
	if err != nil {
		return err
	}
	pieces, err := count("AlertEvidence")
	if err != nil {
		return err
	}
	for _, a := range recent {
		switch {
		case infos[a.ID] == 0:
			err = t.alerts.Write(ctx, a)
		// The device has a row as well.
		case pieces[a.ID] < 1+len(a.Evidence):
			err = t.alerts.WriteEvidence(ctx, a, pieces[a.ID]-1)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
