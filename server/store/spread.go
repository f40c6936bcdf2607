package store

import (
	"context"
	"database/sql"
	"errors"
	"sync"
	"time"

	"github.com/vedette-edr/vedette/server/ident"
)

// This file counts the devices that hold software and that are exposed by it, for the lists
// of vulnerability management: over a large fleet no list could count them when it is asked
// for. One pass over the installations counts everything for every device group; its rows
// are what lists add up. docs/design/0045-spread.md says why.

// Kinds of spread.id.
const (
	spreadSoftware      = "software"
	spreadProduct       = "product"
	spreadVulnerability = "vulnerability"
)

const (
	// promptly is how long a count may take that whoever asks waits for, so that small
	// fleets are always answered as they are.
	promptly = 250 * time.Millisecond
	// patience is how many times as long as a count takes its result is good for at least,
	// where it takes longer: counting then takes a twentieth of one processor at most.
	patience = 20
	// spreadBatch is how many rows are written in one transaction.
	spreadBatch = 2000
)

// touchSpread notes, in the transaction that changes it, that what is counted has changed.
func touchSpread(ctx context.Context, q querier, tenant ident.TenantID) error {
	_, err := q.ExecContext(ctx, `INSERT INTO spread_state (tenant, revision, counted, cost, at) VALUES (?, 1, 0, 0, 0)
		ON CONFLICT (tenant) DO UPDATE SET revision = spread_state.revision + 1`, string(tenant))
	return err
}

// counting keeps counts one at a time for each tenant.
type counting struct {
	mu     sync.Mutex
	of     map[ident.TenantID]*sync.Mutex
	broken map[ident.TenantID]bool // where the last count in the background failed
	behind sync.WaitGroup          // counts that nobody waits for
	end    context.Context         //nolint:containedctx // ends them when the store closes
	stop   context.CancelFunc
}

func newCounting() *counting {
	c := &counting{of: map[ident.TenantID]*sync.Mutex{}, broken: map[ident.TenantID]bool{}}
	c.end, c.stop = context.WithCancel(context.Background())
	return c
}

func (c *counting) close() {
	c.stop()
	c.behind.Wait()
}

func (c *counting) tenant(id ident.TenantID) *sync.Mutex {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.of[id]
	if m == nil {
		m = &sync.Mutex{}
		c.of[id] = m
	}
	return m
}

// ended notes how a count in the background ended. What failed is done again by the next
// who asks, who is told when it fails once more.
func (c *counting) ended(tenant ident.TenantID, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.broken[tenant] = err != nil
}

func (c *counting) failed(tenant ident.TenantID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.broken[tenant]
}

// due reports whether the spread is to be counted anew, and whether that is quick enough,
// or too new, for anybody to be answered without it.
func (s *Store) due(ctx context.Context, tenant ident.TenantID) (due, wait bool, err error) {
	err = s.view(ctx, "store.spread", func(ctx context.Context, q querier) error {
		var revision, counted, cost, at int64
		err := q.QueryRowContext(ctx, `SELECT revision, counted, cost, at FROM spread_state WHERE tenant = ?`, string(tenant)).Scan(&revision, &counted, &cost, &at)
		if errors.Is(err, sql.ErrNoRows) {
			return nil // no device reported anything
		}
		age := s.now().Sub(time.Unix(0, at))
		wait = counted == 0 || cost <= int64(promptly) || s.counting.failed(tenant)
		due = revision != counted && (wait || age < 0 || age > patience*time.Duration(cost))
		return err
	})
	return due, wait, err
}

// fresh sees to it that the spread of a tenant may be answered from: it is counted now if
// that takes no time to speak of, or was never done, and in the background if it is old.
func (v Vulnerabilities) fresh(ctx context.Context, tenant ident.TenantID) error {
	s := v.s
	if s.txn(ctx) != nil {
		return nil // a write transaction is no place to count in
	}
	due, wait, err := s.due(ctx, tenant)
	if err != nil || !due {
		return err
	}
	m := s.counting.tenant(tenant)
	if wait {
		m.Lock()
		defer m.Unlock()
		if due, _, err = s.due(ctx, tenant); err != nil || !due {
			return err // somebody else did meanwhile
		}
		err := s.count(ctx, tenant)
		s.counting.ended(tenant, err)
		return err
	}
	if m.TryLock() {
		s.counting.behind.Add(1)
		go func() {
			defer s.counting.behind.Done()
			defer m.Unlock()
			s.counting.ended(tenant, s.count(s.counting.end, tenant))
		}()
	}
	return nil
}

// spreadKey and spreadRow are a row of spread.
type spreadKey struct {
	kind, id string
	group    int64
}

type spreadRow struct{ devices, exposed, fixable, since int64 }

// count counts the spread of a tenant anew.
func (s *Store) count(ctx context.Context, tenant ident.TenantID) error {
	began := time.Now() // of the machine, not of the injected clock: it is a cost
	var revision int64
	now, was := map[spreadKey]spreadRow{}, map[spreadKey]spreadRow{}
	err := s.view(ctx, "store.spread", func(ctx context.Context, q querier) error {
		if err := q.QueryRowContext(ctx, `SELECT revision FROM spread_state WHERE tenant = ?`, string(tenant)).Scan(&revision); err != nil {
			return err
		}
		c, err := newCensus(ctx, q, tenant, now)
		if err == nil {
			err = c.take(ctx, q, tenant)
		}
		if err != nil {
			return err
		}
		return each(ctx, q, `SELECT kind, id, grp, devices, exposed, fixable, since FROM spread WHERE tenant = ?`, tenant, func(scan func(...any) error) error {
			var k spreadKey
			var r spreadRow
			err := scan(&k.kind, &k.id, &k.group, &r.devices, &r.exposed, &r.fixable, &r.since)
			was[k] = r
			return err
		})
	})
	if err != nil {
		return err
	}
	var changed []spreadKey
	for k, r := range now {
		if was[k] != r {
			changed = append(changed, k)
		}
	}
	for k := range was {
		if _, is := now[k]; !is {
			changed = append(changed, k)
		}
	}
	for len(changed) > spreadBatch { // brief transactions: other writers wait for them
		if err := s.putSpread(ctx, tenant, changed[:spreadBatch], now, nil); err != nil {
			return err
		}
		changed = changed[spreadBatch:]
	}
	return s.putSpread(ctx, tenant, changed, now, func(ctx context.Context, q querier) error {
		_, err := q.ExecContext(ctx, `UPDATE spread_state SET counted = ?, cost = ?, at = ? WHERE tenant = ?`, revision, int64(time.Since(began)), nanos(s.now()), string(tenant))
		return err
	})
}

func (s *Store) putSpread(ctx context.Context, tenant ident.TenantID, keys []spreadKey, now map[spreadKey]spreadRow, last func(context.Context, querier) error) error {
	return s.update(ctx, "store.spread", func(ctx context.Context, q querier) error {
		for _, k := range keys {
			r, is := now[k]
			var err error
			if is {
				_, err = q.ExecContext(ctx, `INSERT INTO spread (tenant, kind, id, grp, devices, exposed, fixable, since) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
					ON CONFLICT (tenant, kind, id, grp) DO UPDATE SET devices = excluded.devices, exposed = excluded.exposed, fixable = excluded.fixable, since = excluded.since`,
					string(tenant), k.kind, k.id, k.group, r.devices, r.exposed, r.fixable, r.since)
			} else {
				_, err = q.ExecContext(ctx, `DELETE FROM spread WHERE tenant = ? AND kind = ? AND id = ? AND grp = ?`, string(tenant), k.kind, k.id, k.group)
			}
			if err != nil {
				return err
			}
		}
		if last == nil {
			return nil
		}
		return last(ctx, q)
	})
}

// each calls f with each row of a query whose one parameter is the tenant.
func each(ctx context.Context, q querier, text string, tenant ident.TenantID, f func(scan func(...any) error) error) error {
	return eachRow(ctx, q, text, []any{string(tenant)}, f)
}

// census is one pass over the installations of a tenant, device by device.
type census struct {
	groups   map[string]int64 // of devices
	software map[string]*counted
	rows     map[spreadKey]spreadRow

	// Of the device that is being counted.
	device          string
	products        map[string]spreadRow
	vulnerabilities map[string]int64 // since when
}

// counted is a version of software, as far as counting needs it.
type counted struct {
	product string
	flaws   []flaw
	fixable bool
}

type flaw struct {
	id    string
	since int64
}

func newCensus(ctx context.Context, q querier, tenant ident.TenantID, rows map[spreadKey]spreadRow) (*census, error) {
	c := &census{groups: map[string]int64{}, software: map[string]*counted{}, rows: rows, products: map[string]spreadRow{}, vulnerabilities: map[string]int64{}}
	err := each(ctx, q, `SELECT id, grp FROM device WHERE tenant = ?`, tenant, func(scan func(...any) error) error {
		var id string
		var group int64
		err := scan(&id, &group)
		c.groups[id] = group
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := each(ctx, q, `SELECT id, product FROM software WHERE tenant = ?`, tenant, func(scan func(...any) error) error {
		var id string
		sw := &counted{}
		err := scan(&id, &sw.product)
		c.software[id] = sw
		return err
	}); err != nil {
		return nil, err
	}
	return c, each(ctx, q, `SELECT software, vulnerability, since, fixed FROM finding WHERE tenant = ? AND ended IS NULL`, tenant, func(scan func(...any) error) error {
		var id string
		var f flaw
		var fixed *string
		err := scan(&id, &f.id, &f.since, &fixed)
		if sw := c.software[id]; sw != nil {
			sw.flaws, sw.fixable = append(sw.flaws, f), sw.fixable || fixed != nil
		}
		return err
	})
}

// take counts. Rows of one device follow each other: the primary key gives that order.
func (c *census) take(ctx context.Context, q querier, tenant ident.TenantID) error {
	err := each(ctx, q, `SELECT device, software, since FROM installation WHERE tenant = ? AND removed IS NULL ORDER BY device`, tenant, func(scan func(...any) error) error {
		var device, software string
		var since int64
		if err := scan(&device, &software, &since); err != nil {
			return err
		}
		if device != c.device {
			c.leave()
			c.device = device
		}
		c.hold(software, since)
		return nil
	})
	c.leave()
	return err
}

// hold counts one installation of the device.
func (c *census) hold(id string, since int64) {
	sw := c.software[id]
	if sw == nil {
		return
	}
	// One installation of a version on a device: its count needs no set.
	c.add(spreadSoftware, id, spreadRow{devices: 1})
	p := c.products[sw.product]
	p.devices = 1
	if len(sw.flaws) > 0 {
		p.exposed = 1
	}
	if sw.fixable {
		p.fixable = 1
	}
	c.products[sw.product] = p
	for _, f := range sw.flaws {
		began := max(f.since, since)
		if was, ok := c.vulnerabilities[f.id]; !ok || began < was {
			c.vulnerabilities[f.id] = began
		}
	}
}

// leave adds what the device holds to its group.
func (c *census) leave() {
	for id, r := range c.products {
		c.add(spreadProduct, id, r)
	}
	for id, since := range c.vulnerabilities {
		c.add(spreadVulnerability, id, spreadRow{devices: 1, exposed: 1, since: since})
	}
	clear(c.products)
	clear(c.vulnerabilities)
}

func (c *census) add(kind, id string, r spreadRow) {
	k := spreadKey{kind, id, c.groups[c.device]}
	was := c.rows[k]
	if was.devices > 0 && was.since < r.since {
		r.since = was.since
	}
	c.rows[k] = spreadRow{was.devices + r.devices, was.exposed + r.exposed, was.fixable + r.fixable, r.since}
}
