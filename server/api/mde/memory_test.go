package mde_test

import (
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/filter"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/indicator"
)

// memory is an indicator.IndicatorStore, Feed and Sink that keeps rows in memory.
type memory struct {
	mu       sync.Mutex
	rows     []*indicator.Indicator
	tenants  []ident.TenantID // of rows
	last     ident.IndicatorID
	revision indicator.Revision
}

func (m *memory) find(tenant ident.TenantID, match func(*indicator.Indicator) bool) int {
	for i, r := range m.rows {
		if m.tenants[i] == tenant && match(r) {
			return i
		}
	}
	return -1
}

func (m *memory) PutIndicators(_ context.Context, tenant ident.TenantID, _ indicator.Quota, keys []indicator.Key, put func(int, *indicator.Indicator) (*indicator.Indicator, error)) (indicator.Revision, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for n, k := range keys {
		at := m.find(tenant, func(i *indicator.Indicator) bool { return i.ID == k.ID })
		if at < 0 {
			at = m.find(tenant, func(i *indicator.Indicator) bool { return i.Value == k.Value })
		}
		var old *indicator.Indicator
		if at >= 0 {
			c := *m.rows[at]
			old = &c
		}
		i, err := put(n, old)
		if err != nil {
			return 0, err
		}
		if i == nil {
			continue
		}
		if at >= 0 {
			m.rows[at] = i
			continue
		}
		m.last++
		i.ID = m.last
		m.rows, m.tenants = append(m.rows, i), append(m.tenants, tenant)
	}
	m.revision++
	return m.revision, nil
}

func (m *memory) Indicator(_ context.Context, tenant ident.TenantID, id ident.IndicatorID) (*indicator.Indicator, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	at := m.find(tenant, func(i *indicator.Indicator) bool { return i.ID == id })
	if at < 0 {
		return nil, errs.New("memory", errs.NotFound, errs.ResourceNotFound, "Indicator %s was not found", id)
	}
	c := *m.rows[at]
	return &c, nil
}

func (m *memory) Indicators(_ context.Context, tenant ident.TenantID, q filter.Query) (filter.Page[*indicator.Indicator], error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []*indicator.Indicator
	for i, r := range m.rows {
		if m.tenants[i] == tenant && holds(q.Where, r) {
			out = append(out, r)
		}
	}
	p := filter.Page[*indicator.Indicator]{Total: int64(len(out))}
	out = out[min(q.Skip, len(out)):]
	p.More = len(out) > q.Top
	p.Items = out[:min(q.Top, len(out))]
	return p, nil
}

func holds(e filter.Expr, i *indicator.Indicator) bool {
	cell := map[string]string{"indicatorValue": i.Value, "createdBy": i.CreatedBy}
	switch e := e.(type) {
	case filter.And:
		return !slices.ContainsFunc(e, func(t filter.Expr) bool { return !holds(t, i) })
	case filter.Compare:
		return strings.EqualFold(cell[e.Field.Name], e.Value.S)
	case filter.In:
		return slices.ContainsFunc(e.Values, func(v filter.Value) bool { return strings.EqualFold(cell[e.Field.Name], v.S) })
	}
	return e == nil
}

func (m *memory) DeleteIndicators(_ context.Context, tenant ident.TenantID, w indicator.Which) (indicator.Revision, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, id := range w.IDs {
		mine := func(i *indicator.Indicator) bool { return int64(i.ID) == id && (w.By == "" || i.CreatedBy == w.By) }
		if m.find(tenant, mine) < 0 {
			return 0, errs.New("memory", errs.NotFound, errs.ResourceNotFound, "Indicator %d was not found", id)
		}
	}
	for _, id := range w.IDs {
		at := m.find(tenant, func(i *indicator.Indicator) bool { return int64(i.ID) == id })
		m.rows, m.tenants = slices.Delete(m.rows, at, at+1), slices.Delete(m.tenants, at, at+1)
	}
	m.revision++
	return m.revision, nil
}

func (m *memory) Tenants(context.Context) ([]ident.TenantID, error) { return nil, nil }

func (m *memory) Changes(context.Context, ident.TenantID, indicator.Revision, int) (*indicator.Page, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return &indicator.Page{Revision: m.revision}, nil
}

func (m *memory) Apply(context.Context, ident.TenantID, *indicator.Page) error { return nil }
