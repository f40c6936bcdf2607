package hunt

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
)

// Quota is how long the queries of one tenant may run together. Zero means the published
// quota, negative none.
//
// Source: "Advanced hunting API", limitations: 10 minutes of running time every hour and 3
// hours of running time a day.
type Quota struct {
	Hour, Day time.Duration
}

// What is published.
const (
	quotaHour = 10 * time.Minute
	quotaDay  = 3 * time.Hour
)

// Usage keeps how long the queries of tenants ran, by the minute since 1970 in which they
// ended, so that a quota that is used up stays so when the server starts again. It is safe
// for concurrent use.
type Usage interface {
	// Spend adds to a minute of a tenant, and may forget what is older than forget.
	Spend(ctx context.Context, tenant ident.TenantID, minute int64, d time.Duration, forget int64) error
	// Spent returns the minutes of a tenant from one on; those without a query may be absent.
	Spent(ctx context.Context, tenant ident.TenantID, from int64) (map[int64]time.Duration, error)
}

// UsageMinutes is how many minutes the quotas look back.
const UsageMinutes = 24 * 60

// ahead is how many minutes a clock may have been set back without anything being
// forgotten: minutes up to here in the future count as this one. Later ones were written by
// a clock that was wrong, and would use the quota up for ever.
const ahead = 60

// ledger decides by what Usage keeps. A store that fails is told of and decides nothing:
// who mends it must be able to hunt.
type ledger struct {
	now    func() time.Time
	quota  Quota
	usage  Usage
	failed func(error) // never nil
}

func newLedger(q Quota, usage Usage, now func() time.Time, failed func(error)) *ledger {
	if q.Hour == 0 {
		q.Hour = quotaHour
	}
	if q.Day == 0 {
		q.Day = quotaDay
	}
	if usage == nil {
		usage = &memory{used: map[ident.TenantID]map[int64]time.Duration{}}
	}
	if failed == nil {
		failed = func(error) {}
	}
	return &ledger{now: now, quota: q, usage: usage, failed: failed}
}

// charge adds the running time of a query that has ended.
func (l *ledger) charge(ctx context.Context, t ident.TenantID, d time.Duration) {
	if d <= 0 || l.quota.Hour < 0 && l.quota.Day < 0 {
		return
	}
	minute := l.now().Unix() / 60
	// The query ran, whether or not its caller waited for the end.
	if err := l.usage.Spend(context.WithoutCancel(ctx), t, minute, d, minute-UsageMinutes-ahead); err != nil {
		l.failed(errs.Wrap("hunt.charge", err))
	}
}

// check reports whether a tenant may run another query, as errs.Limited that says which
// quota is used up and when there is some again.
func (l *ledger) check(ctx context.Context, t ident.TenantID) error {
	if l.quota.Hour < 0 && l.quota.Day < 0 {
		return nil
	}
	now := l.now()
	minute := now.Unix() / 60
	spent, err := l.usage.Spent(ctx, t, minute-UsageMinutes+1)
	if err != nil {
		l.failed(errs.Wrap("hunt.quota", err))
		return nil
	}
	m := minutesOf(spent, minute)
	for _, q := range []struct {
		name  string
		span  int64 // minutes
		limit time.Duration
	}{{"an hour", 60, l.quota.Hour}, {"a day", UsageMinutes, l.quota.Day}} {
		if q.limit < 0 {
			continue
		}
		free, ok := m.free(minute-q.span+1, q.limit)
		if ok {
			continue
		}
		wait := time.Unix((free+q.span)*60, 0).Sub(now)
		return &errs.E{Op: "hunt.quota", Kind: errs.Limited, Code: errs.TooManyRequests, Retry: wait,
			Detail: "The quota of running time of queries is used up: " + q.limit.String() + " " + q.name + ". Try again in " + wait.Round(time.Second).String() + "."}
	}
	return nil
}

// minutes is running time by the minute, in their order.
type minutes []used

type used struct {
	at    int64
	spent time.Duration
}

// minutesOf orders what was spent as it counts at a minute.
func minutesOf(spent map[int64]time.Duration, now int64) minutes {
	var out minutes
	var late time.Duration
	for at, d := range spent {
		switch {
		case at > now+ahead:
		case at > now:
			late += d
		default:
			out = append(out, used{at, d})
		}
	}
	slices.SortFunc(out, func(a, b used) int { return cmp.Compare(a.at, b.at) })
	if late > 0 {
		out = append(out, used{now, late})
	}
	return out
}

// free reports whether less than limit was spent from a minute on; if not, it answers the
// minute that has to be out of them for that.
func (m minutes) free(from int64, limit time.Duration) (minute int64, ok bool) {
	var sum time.Duration
	for _, s := range m {
		if s.at >= from {
			sum += s.spent
		}
	}
	for _, s := range m {
		if sum < limit {
			break
		}
		if s.at >= from {
			sum -= s.spent
			minute = s.at
		}
	}
	return minute, minute == 0
}

// memory is the Usage of a server that keeps none: it begins anew with it.
type memory struct {
	mu   sync.Mutex
	used map[ident.TenantID]map[int64]time.Duration
}

// Spend implements Usage.
func (m *memory) Spend(_ context.Context, t ident.TenantID, minute int64, d time.Duration, forget int64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	of := m.used[t]
	if of == nil {
		of = map[int64]time.Duration{}
		m.used[t] = of
	}
	of[minute] += d
	for at := range of {
		if at < forget {
			delete(of, at)
		}
	}
	return nil
}

// Spent implements Usage.
func (m *memory) Spent(_ context.Context, t ident.TenantID, from int64) (map[int64]time.Duration, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := map[int64]time.Duration{}
	for at, d := range m.used[t] {
		if at >= from {
			out[at] = d
		}
	}
	return out, nil
}
