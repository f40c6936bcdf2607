package store

import (
	"context"
	"database/sql"
	"errors"
	"runtime"
	"sort"

	"golang.org/x/sync/errgroup"

	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/indicator"
)

// Tenants implements indicator.Feed.
func (v Threats) Tenants(ctx context.Context) ([]ident.TenantID, error) {
	return v.s.tenants(ctx, "store.ThreatTenants", `SELECT tenant FROM ti_counter ORDER BY tenant`)
}

// Changes implements indicator.Feed.
func (v Threats) Changes(ctx context.Context, tenant ident.TenantID, since indicator.Revision, limit int) (*indicator.Page, error) {
	var out *indicator.Page
	err := v.s.view(ctx, "store.Changes", func(ctx context.Context, q querier) (err error) {
		out, err = changes(ctx, q, tenant, since, max(limit, 1))
		return err
	})
	return out, err
}

func changes(ctx context.Context, q querier, tenant ident.TenantID, since indicator.Revision, limit int) (*indicator.Page, error) {
	var newest, forgotten indicator.Revision
	err := q.QueryRowContext(ctx, `SELECT revision, forgotten FROM ti_counter WHERE tenant = ?`, string(tenant)).Scan(&newest, &forgotten)
	if errors.Is(err, sql.ErrNoRows) {
		return &indicator.Page{Reset: since != 0}, nil
	}
	if err != nil {
		return nil, err
	}
	p := &indicator.Page{}
	// A reader that is ahead read from a database that has been restored since.
	if since != 0 && (since < forgotten || since > newest) {
		p.Reset, since = true, 0
	}
	if p.Revision, err = pageEnd(ctx, q, tenant, since, newest, limit); err != nil {
		return nil, err
	}
	if since == 0 {
		// A reader between 0 and forgotten would have to start over: there is no stop there.
		p.Revision = max(p.Revision, forgotten)
	}
	p.More = p.Revision < newest
	for _, add := range []func(context.Context, querier, ident.TenantID, *indicator.Page, indicator.Revision) error{
		addRows(&definitions, func(c *indicator.Change, d *indicator.Definition) { c.ID, c.Definition = int64(d.ID), d }),
		addRows(&iocs, func(c *indicator.Change, i *indicator.IOC) { c.ID, c.IOC = int64(i.ID), i }),
		addRows(&indicators, func(c *indicator.Change, i *indicator.Indicator) { c.ID, c.Indicator = int64(i.ID), i }),
		addDeletions,
	} {
		if err := add(ctx, q, tenant, p, since); err != nil {
			return nil, err
		}
	}
	sort.SliceStable(p.Changes, func(i, j int) bool { return p.Changes[i].Revision < p.Changes[j].Revision })
	return p, nil
}

// pageEnd returns the revision of the limit-th changed row after since, newest when there
// are fewer.
func pageEnd(ctx context.Context, q querier, tenant ident.TenantID, since, newest indicator.Revision, limit int) (indicator.Revision, error) {
	sub := func(table string) string {
		return "SELECT revision FROM (SELECT revision FROM " + table + " WHERE tenant = ? AND revision > ? ORDER BY revision LIMIT ?) AS " + table + "_head"
	}
	var end indicator.Revision
	args := []any{string(tenant), since, limit}
	err := q.QueryRowContext(ctx, "SELECT revision FROM ("+sub("definition")+" UNION ALL "+sub("ioc")+" UNION ALL "+sub("indicator")+" UNION ALL "+sub("ti_deletion")+
		") AS changed ORDER BY revision LIMIT 1 OFFSET ?", append(append(append(append(append([]any{}, args...), args...), args...), args...), limit-1)...).Scan(&end)
	if errors.Is(err, sql.ErrNoRows) {
		return newest, nil
	}
	return end, err
}

// addRows returns what adds the rows of one noun to a page that knows its end.
func addRows[T any](t *threat, fill func(*indicator.Change, *T)) func(context.Context, querier, ident.TenantID, *indicator.Page, indicator.Revision) error {
	return func(ctx context.Context, q querier, tenant ident.TenantID, p *indicator.Page, since indicator.Revision) error {
		rows, err := q.QueryContext(ctx, "SELECT revision, doc FROM "+t.name+" WHERE tenant = ? AND revision > ? AND revision <= ? ORDER BY revision, id",
			string(tenant), since, p.Revision)
		if err != nil {
			return err
		}
		defer rows.Close()
		first := len(p.Changes)
		var docs []string
		for rows.Next() {
			c := indicator.Change{Noun: t.noun}
			var doc string
			if err := rows.Scan(&c.Revision, &doc); err != nil {
				return err
			}
			p.Changes, docs = append(p.Changes, c), append(docs, doc)
		}
		if err := rows.Err(); err != nil {
			return err
		}
		return decodeAll(docs, p.Changes[first:], fill)
	}
}

// decodeAll fills each change from its document. Decoding is half the work of a start with
// many rows, so it is shared between the processors.
func decodeAll[T any](docs []string, into []indicator.Change, fill func(*indicator.Change, *T)) error {
	const least = 500 // not worth sharing
	each := max((len(docs)+runtime.GOMAXPROCS(0)-1)/runtime.GOMAXPROCS(0), least)
	var g errgroup.Group
	for from := 0; from < len(docs); from += each {
		g.Go(func() error {
			for n := from; n < min(from+each, len(docs)); n++ {
				v, err := decode[T](docs[n])
				if err != nil {
					return err
				}
				fill(&into[n], v)
			}
			return nil
		})
	}
	return g.Wait()
}

// addDeletions adds what was deleted, but for a reader that starts with nothing.
func addDeletions(ctx context.Context, q querier, tenant ident.TenantID, p *indicator.Page, since indicator.Revision) error {
	if since == 0 {
		return nil
	}
	rows, err := q.QueryContext(ctx, `SELECT revision, noun, id FROM ti_deletion WHERE tenant = ? AND revision > ? AND revision <= ? ORDER BY revision, noun, id`,
		string(tenant), since, p.Revision)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var c indicator.Change
		if err := rows.Scan(&c.Revision, &c.Noun, &c.ID); err != nil {
			return err
		}
		p.Changes = append(p.Changes, c)
	}
	return rows.Err()
}

// tenants returns the one column that a query selects.
func (s *Store) tenants(ctx context.Context, op, query string, args ...any) ([]ident.TenantID, error) {
	var out []ident.TenantID
	err := s.view(ctx, op, func(ctx context.Context, q querier) error {
		rows, err := q.QueryContext(ctx, query, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var t ident.TenantID
			if err := rows.Scan(&t); err != nil {
				return err
			}
			out = append(out, t)
		}
		return rows.Err()
	})
	return out, err
}
