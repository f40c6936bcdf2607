package group

import (
	"context"
	"time"

	"github.com/vedette-edr/vedette/server/device"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
)

// Sizes of sorting: how many devices are looked at in one read, and moved in one write,
// which other writes wait for.
const (
	readPage  = 5000
	movePage  = 500
	pollEvery = 2 * time.Second // for what another process, or a former one, left unsorted
)

// Run sorts the devices of tenants whose groups changed, until ctx ends. failed is told of
// errors, after which sorting is tried again.
//
// Why a device cannot stay in a wrong group: a change of the groups is first committed,
// then seen by GroupOf, then sorted for. Whoever changes a device asks GroupOf inside the
// transaction. If that saw the old rules, its commit came before this sorting began to
// read, which therefore finds the device; if it saw the new ones, it is right by itself,
// and Move, which asks again inside its own transaction, leaves it right.
func (s *Service) Run(ctx context.Context, failed func(error)) error {
	t := time.NewTicker(pollEvery)
	defer t.Stop()
	for {
		if err := s.sortAll(ctx); err != nil && ctx.Err() == nil {
			failed(err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-s.wake:
		case <-t.C:
		}
	}
}

func (s *Service) sortAll(ctx context.Context) error {
	tenants, err := s.store.Unsorted(ctx)
	for _, t := range tenants {
		if e := s.Sort(ctx, t); err == nil {
			err = e
		}
	}
	return err
}

// Sort puts every device of a tenant into the group that the rules say.
func (s *Service) Sort(ctx context.Context, tenant ident.TenantID) error {
	const op = "group.Sort"
	if err := s.reload(ctx, tenant); err != nil {
		return errs.Wrap(op, err)
	}
	generation := s.of(tenant).generation
	assign := func(t Traits) int64 { return s.of(tenant).assign(t) }
	err := s.each(ctx, tenant, func(page []Traits) error {
		var wrong []ident.DeviceID
		for _, t := range page {
			if assign(t) != t.Group {
				wrong = append(wrong, t.ID)
			}
		}
		for len(wrong) > 0 {
			n := min(movePage, len(wrong))
			moved, err := s.store.Move(ctx, tenant, wrong[:n], assign)
			if err != nil {
				return err
			}
			if len(moved) > 0 {
				s.moved.Publish(device.Moved{Tenant: tenant, Devices: moved})
			}
			wrong = wrong[n:]
		}
		return nil
	})
	if err != nil {
		return errs.Wrap(op, err)
	}
	return errs.Wrap(op, s.store.Sorted(ctx, tenant, generation))
}

// each calls f with every device of a tenant that ctx may see, page by page.
func (s *Service) each(ctx context.Context, tenant ident.TenantID, f func([]Traits) error) error {
	var after ident.DeviceID
	for {
		page, err := s.store.Traits(ctx, tenant, after, readPage)
		if err != nil {
			return err
		}
		if err := f(page); err != nil {
			return err
		}
		if len(page) < readPage {
			return nil
		}
		after = page[len(page)-1].ID
	}
}
